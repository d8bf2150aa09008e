"""The command `do`: verbs to a charge point of a running server, the same for every version of OCPP.

The one rule: a verb is a command here because it is one of `protocol.verbs`; its options are the members of its struct.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from msgspec import inspect

from ..protocol.verbs import PEM_MEDIA_TYPE, VERBS
from .api import asks_server
from .bulk import chooses, send_bulk
from .completion import charge_points_like
from .output import aware
from .send import SendingOptions, send_command, sends

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocol.verbs import Verb
    from .api import Api
    from .bulk import TargetChoice


def read_time(text: str) -> str:
    """Read a time, and return it as it is written. Raises `click.BadParameter`."""
    try:
        dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no time like 2026-12-01T02:00:00Z") from error
    return text


def read_id(text: str) -> int | str:
    """Read the id of a transaction: a number, or a text in versions that have one."""
    try:
        return int(text)
    except ValueError:
        return text


def read_pem(text: str) -> str:
    """Read a text in PEM: as it is given, or from the file of that name. Raises `click.BadParameter`."""
    if text.lstrip().startswith("-----BEGIN "):
        return text
    try:
        return Path(text).read_text(encoding="ascii")
    except OSError as error:
        raise click.BadParameter(f"{text}: {error.strerror}") from error
    except ValueError as error:
        raise click.BadParameter(f"{text} is no file in PEM") from error


class VerbGroup(click.Group):
    """Group with a command for each verb, made when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """List the verbs."""
        return sorted(name.replace("_", "-") for name in VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Make the command of a verb."""
        kind = VERBS.get(cmd_name.replace("-", "_"))
        return None if kind is None else command_of(kind)


def command_of(kind: type[Verb]) -> click.Command:
    """Make the command of a verb: an option for each member of its struct."""
    name = str(kind.__struct_config__.tag)
    fields = msgspec.structs.fields(kind)
    times = [one.name for one in fields if inspect.DateTimeType in _kinds(inspect.type_info(one.type))]

    def run(
        api: Api, *, charge_point: str | None, options: SendingOptions, choice: TargetChoice, **members: Any
    ) -> None:
        given = {member: value for member, value in members.items() if value not in (None, ())}
        given |= {member: aware(given[member]) for member in times if member in given}
        if choice.many:
            if charge_point is not None:
                raise click.UsageError(f"{charge_point} is one charge point, the options choose many")
            send_bulk(api, choice, {"verb": name, "members": given}, options)
        elif charge_point is None:
            raise click.UsageError("Missing argument 'CP'.")
        else:
            send_command(api, charge_point, "verbs", name, json.dumps(given), options)

    run.__doc__ = kind.__doc__
    command: Callable[..., Any] = sends(chooses(asks_server(run)))
    for member in reversed(fields):
        command = _option(member)(command)
    command = click.argument(
        "charge_point", metavar="[CP]", required=False, shell_complete=charge_points_like
    )(command)
    return click.command(name.replace("_", "-"))(command)


def _option(member: msgspec.structs.FieldInfo) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    info = inspect.type_info(member.type)
    more = (info.extra_json_schema or {}) if isinstance(info, inspect.Metadata) else {}
    kinds = _kinds(info)
    flag = f"--{member.name.removesuffix('_s').replace('_', '-')}"
    facts: dict[str, Any] = {"help": more.get("description", ""), "required": member.required}
    if inspect.BoolType in kinds:
        names = f"{flag}/--not-{flag.removeprefix('--')}" if member.required else flag
        return click.option(names, member.name, is_flag=True, **facts)
    if inspect.VarTupleType in kinds:
        kind = int if inspect.IntType in _kinds(_item(info)) else str
        return click.option(flag.removesuffix("s"), member.name, multiple=True, type=kind, **facts)
    if not member.required and member.default not in (None, ""):
        facts |= {"default": member.default, "show_default": True}
    if more.get("contentMediaType") == PEM_MEDIA_TYPE:
        facts["help"] += " A text, or a file with it."
        return click.option(flag, member.name, type=read_pem, metavar="FILE", **facts)
    return click.option(flag, member.name, **_type(kinds), **facts)


def _kinds(info: Any) -> set[type]:
    """Find the types of a member, None left out."""
    if isinstance(info, inspect.Metadata):
        return _kinds(info.type)
    if isinstance(info, inspect.UnionType):
        return set().union(*(_kinds(one) for one in info.types)) - {inspect.NoneType}
    return {type(info)}


def _item(info: Any) -> Any:
    """Find the type of the items of a member."""
    return _item(info.type) if isinstance(info, inspect.Metadata) else info.item_type


def _type(kinds: set[type]) -> dict[str, Any]:
    if inspect.DateTimeType in kinds:
        return {"type": read_time, "metavar": "TIME"}
    if kinds == {inspect.IntType, inspect.StrType}:
        return {"type": read_id, "metavar": "ID"}
    if inspect.FloatType in kinds:
        return {"type": float}
    return {"type": int if inspect.IntType in kinds else str}


@click.command(cls=VerbGroup)
def do() -> None:
    """Have a charge point do something, in words that are the same for every version of OCPP."""
