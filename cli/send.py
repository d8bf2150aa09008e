"""The command `send`: one command to a charge point of a running server."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from .api import OK, asks_server, next_for, why
from .bulk import chooses, send_bulk
from .completion import charge_points_like
from .escape import as_json
from .failures import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .api import Api
    from .bulk import TargetChoice

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


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingOptions:
    """Options of commands that send: times in seconds; without `effect_timeout_s` no effect is waited for."""

    timeout_s: float
    effect_timeout_s: float | None = None
    queue: bool = False
    expires_in_s: float | None = None

    @property
    def query(self) -> dict[str, str]:
        """Parameters of the request."""
        query = {"timeout": f"{self.timeout_s:g}"}
        if self.effect_timeout_s is not None:
            query |= {"until_effect": "1", "effect_timeout": f"{self.effect_timeout_s:g}"}
        if self.queue:
            query["when_offline"] = "queue"
        if self.expires_in_s is not None:
            query["expires_in"] = f"{self.expires_in_s:g}"
        return query

    @property
    def limit_s(self) -> float:
        """Seconds that the server has to answer."""
        return self.timeout_s + (self.effect_timeout_s or 0.0) + GRACE_S


def send_command(
    api: Api,
    charge_point: str,
    kind: str,
    name: str,
    body: str,
    options: SendingOptions,
) -> None:
    """Send a command and print the response as JSON text. Raises `CommandFailed` for every other end.

    `kind` is "commands" or "verbs", `name` the action or the verb. It is a failure if an effect that is waited for does
    not come. What may wait for a charge point that is away is not waited for: the id of its ticket is printed. What of
    the response departs from the specification, and the message that a verb was put into, go to standard error.
    """
    path = ("charge-points", charge_point, kind, name)
    reply = api.ask("POST", *path, query=options.query, body=body, timeout_s=options.limit_s)
    answer, subject = reply.json, f"{name} to {charge_point}"
    if "request" in answer:  # a verb, and the message that it was put into
        click.echo(f"{answer['action']} {as_json(answer['request'])}", err=True)
    if "response" in answer:
        click.echo(as_json(answer["response"], indent=2))
        for row in answer.get("deviations", []):
            click.echo(f"deviation: {row['path'] or 'payload'} {row['text']}", err=True)
    if options.queue and reply.status == ACCEPTED:
        click.echo(answer["ticket"])
        return
    if reply.status != OK:
        raise CommandFailed(_why(reply.status, answer, subject), _next(reply.status, answer, charge_point))
    effect = answer.get("effect", DONE)
    if effect != DONE:
        raise CommandFailed(f"{subject} is answered: {ENDS[effect]}", _look_at(charge_point))


def _look_at(charge_point: str) -> str:
    return f"see how it is: `chargehand charge-points show {charge_point}`, `chargehand recording {charge_point}`"


def _next(status: int, answer: Mapping[str, Any], charge_point: str) -> str:
    """Say what to do after a command that was not answered as it should be."""
    if status == ACCEPTED:
        return f"follow it: `chargehand tickets show {answer['ticket']}`"
    if answer.get("state") == "never_sent":
        return f"wait until {charge_point} is there, or give --queue to have it sent then"
    if "error" in answer or "effect" in answer or answer.get("state"):
        return _look_at(charge_point)
    return next_for(status, answer)


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


TIMEOUT = click.option(
    "--timeout", "timeout_s", type=float, default=30.0, show_default=True, help="Seconds to wait."
)
UNTIL_EFFECT = click.option(
    "--until-effect",
    is_flag=True,
    help="Also wait for the resulting message, e.g. StartTransaction after RemoteStartTransaction.",
)
EFFECT_TIMEOUT = click.option(
    "--effect-timeout",
    "effect_timeout_s",
    type=float,
    default=300.0,
    show_default=True,
    help="Seconds to wait for the resulting message.",
)
QUEUE = click.option(
    "--queue", is_flag=True, help="Queue the command if the charge point is offline, and print the ticket."
)
EXPIRES_IN = click.option(
    "--expires-in", "expires_in_s", type=float, help="Seconds after which a queued command expires."
)


def sends(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for sending; the command gets them as `options`."""

    @functools.wraps(command)
    def run(
        *args: Any,
        timeout_s: float,
        until_effect: bool,
        effect_timeout_s: float,
        queue: bool,
        expires_in_s: float | None,
        **more: Any,
    ) -> Any:
        options = SendingOptions(
            timeout_s=timeout_s,
            effect_timeout_s=effect_timeout_s if until_effect else None,
            queue=queue,
            expires_in_s=expires_in_s,
        )
        return command(*args, options=options, **more)

    for option in (EXPIRES_IN, QUEUE, EFFECT_TIMEOUT, UNTIL_EFFECT, TIMEOUT):
        run = option(run)
    return run


def checked_json(payload: str) -> str:
    """Return a payload that is JSON. Raises `CommandFailed`."""
    try:
        json.loads(payload)
    except ValueError as error:
        raise CommandFailed(
            f"the payload is not JSON: {error}", """write it like '{"type": "Soft"}', in single quotes"""
        ) from error
    return payload


@click.command()
@click.argument(
    "words", metavar="[CP] ACTION [JSON]", nargs=-1, required=True, shell_complete=charge_points_like
)
@sends
@chooses
@asks_server
def send(api: Api, *, words: tuple[str, ...], options: SendingOptions, choice: TargetChoice) -> None:
    """Have a running server send ACTION to the charge point CP, and print the response.

    The exit status is 0 if the charge point answered, whatever its answer says, and 1 if it did not. With
    --until-effect it is 0 only if the resulting message came too.

    With --all, --known, --where or --from it is sent to many, and CP is left out; each result is a line.
    """
    first = 0 if choice.many else 1
    if not first < len(words) <= first + 2:
        raise click.UsageError(
            "what is sent is ACTION [JSON]" if choice.many else "what is sent is CP ACTION [JSON]"
        )
    action, payload = words[first], checked_json(words[first + 1] if len(words) > first + 1 else "{}")
    if choice.many:
        send_bulk(api, choice, {"action": action, "payload": json.loads(payload)}, options)
    else:
        send_command(api, words[0], "commands", action, payload, options)
