"""The command `send`: one command to a charge point of a running server."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import click

from .api import OK, asks_server, why
from .escape import as_json
from .failures import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .api import Api

GRACE_S = 10.0
"""Seconds beyond the call's own limit that the server has to answer."""
ACCEPTED = 202
BAD_GATEWAY = 502
DONE = "done"
ENDS = {"declined": "it will not be done", "no_effect": "it was promised, and nothing came of it"}
SEEN = {
    "done": "; what was asked for has come to pass all the same",
    "pending": "; whether it is carried out all the same is still to be seen",
}
"""Effects of a command that was not answered."""


def send_command(
    api: Api,
    charge_point: str,
    action: str,
    payload: str,
    *,
    timeout_s: float,
    effect_timeout_s: float | None = None,
    queue: bool = False,
    expires_in_s: float | None = None,
    say: Callable[[str], object],
    warn: Callable[[str], object] = lambda _: None,
) -> None:
    """Send a command and say the response as JSON text. Raises `CommandFailed` for every other end.

    With `effect_timeout_s` what was promised is waited for too, and it is a failure if that does not come to pass. With
    `queue` it is handed over for a charge point that may be away, and nothing is waited for: its ticket's id is said.
    `warn` is told what of the response departs from the specification.
    """
    try:
        json.loads(payload)
    except ValueError as error:
        raise CommandFailed(f"the payload is not JSON: {error}") from error
    query, limit_s = {"timeout": f"{timeout_s:g}"}, timeout_s + GRACE_S
    if effect_timeout_s is not None:
        query |= {"until_effect": "1", "effect_timeout": f"{effect_timeout_s:g}"}
        limit_s += effect_timeout_s
    if queue:
        query["when_offline"] = "queue"
    if expires_in_s is not None:
        query["expires_in"] = f"{expires_in_s:g}"
    path = ("charge-points", charge_point, "commands", action)
    reply = api.ask("POST", *path, query=query, body=payload, timeout_s=limit_s)
    answer, subject = reply.json, f"{action} to {charge_point}"
    if "response" in answer:
        say(as_json(answer["response"], indent=2))
        for row in answer.get("deviations", []):
            warn(f"deviation: {row['path'] or 'payload'} {row['text']}")
    if queue and reply.status == ACCEPTED:
        say(answer["ticket"])
        return
    if reply.status != OK:
        raise CommandFailed(_why(reply.status, answer, subject))
    effect = answer.get("effect", DONE)
    if effect != DONE:
        raise CommandFailed(f"{subject} is answered: {ENDS[effect]}")


def _why(status: int, answer: Mapping[str, Any], subject: str) -> str:
    """Describe the outcome of a command."""
    if "error" in answer:
        error = answer["error"]
        details = f" {as_json(error['details'])}" if error["details"] else ""
        if status == BAD_GATEWAY:
            return f"{subject} was answered, but {error['description']}{details}"
        return f"{subject} was refused: {error['code']}: {error['description']}{details}"
    if status == ACCEPTED:
        what = "its effect is still to come" if "response" in answer else "not answered yet"
        return f"{subject} is {answer['state']} and {what}; its ticket is {answer['ticket']}"
    return why(status, answer, subject) + SEEN.get(answer.get("effect", ""), "")


@click.command()
@click.argument("charge_point", metavar="CP")
@click.argument("action")
@click.argument("payload", metavar="[JSON]", default="{}")
@click.option("--timeout", "timeout_s", type=float, default=30.0, show_default=True, help="Seconds to wait.")
@click.option(
    "--until-effect",
    is_flag=True,
    help="Also wait for the resulting message, e.g. StartTransaction after RemoteStartTransaction.",
)
@click.option(
    "--effect-timeout",
    "effect_timeout_s",
    type=float,
    default=300.0,
    show_default=True,
    help="Seconds to wait for the resulting message.",
)
@click.option(
    "--queue", is_flag=True, help="Queue the command if the charge point is offline, and print the ticket."
)
@click.option(
    "--expires-in", "expires_in_s", type=float, help="Seconds after which a queued command expires."
)
@asks_server
def send(
    api: Api,
    charge_point: str,
    action: str,
    payload: str,
    *,
    timeout_s: float,
    until_effect: bool,
    effect_timeout_s: float,
    queue: bool,
    expires_in_s: float | None,
) -> None:
    """Have a running server send ACTION to the charge point CP, and print the response.

    The exit status is 0 if the charge point answered, whatever its answer says, and 1 if it did not. With
    --until-effect it is 0 only if the resulting message came too.
    """
    effect_s = effect_timeout_s if until_effect else None
    send_command(
        api,
        charge_point,
        action,
        payload,
        timeout_s=timeout_s,
        effect_timeout_s=effect_s,
        queue=queue,
        expires_in_s=expires_in_s,
        say=click.echo,
        warn=functools.partial(click.echo, err=True),
    )
