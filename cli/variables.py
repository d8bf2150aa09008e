"""The command `variables`: the device models of stations, as they are stored, and at the stations themselves."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from .api import OK, asks_server, refused
from .completion import charge_points_like
from .failures import CommandFailed, CommandMisused
from .options import CP, JSON, RAW
from .output import echo_json, export, lists, show_facts, show_next, show_table, shows, when

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .api import Api

EXPORTED = (
    "name", "component", "component_instance", "evse", "connector", "variable", "instance", "attribute", "value",
    "mutability", "persistent", "constant", "unit", "data_type", "min_limit", "max_limit", "values_list",
    "supports_monitoring", "monitor_ids", "updated_at",
)  # fmt: skip
TIMEOUT_S = 30.0
"""Seconds that a charge point has for each answer, and for a report."""
MARGIN_S = 300.0
"""Seconds that the server may take beyond that: a request may be many messages."""


def find_variables(api: Api, charge_point: str, search: str | None, attribute: str | None) -> dict[str, Any]:
    """List the stored variables of a charge point."""
    path = ("charge-points", charge_point, "variables")
    return api.whole("variables", *path, cursor="after", **_narrowed(search, attribute))


def _narrowed(search: str | None, attribute: str | None) -> dict[str, str]:
    given = {"search": search, "attribute": attribute}
    return {name: value for name, value in given.items() if value}


def _asked(
    api: Api, path: Sequence[str], query: Mapping[str, str], body: Any, timeout_s: float
) -> dict[str, Any]:
    """Ask the charge point by a POST; the answer, also of one that gave no result. Raises `CommandFailed`."""
    text = None if body is None else json.dumps(body)
    reply = api.ask("POST", *path, query=query, body=text, timeout_s=timeout_s + MARGIN_S)
    if reply.status != OK and "results" not in reply.json:
        raise refused(reply.status, reply.json)
    return reply.json


def show_variables(told: Mapping[str, Any]) -> None:
    """Print variables as a table."""
    lines = [
        (
            one["name"],
            "" if one["attribute"] == "Actual" else one["attribute"],
            one["value"],
            one["unit"],
            one["mutability"],
            one["data_type"],
            _limits(one),
            when(one["updated_at"]),
        )
        for one in told["variables"]
    ]
    columns = ("variable", "attribute", "value", "unit", "use", "type", "limits", "told")
    show_table(columns, lines, "no variable is known")
    show_next(told)


def _limits(one: Mapping[str, Any]) -> str:
    """Write the values that a variable can take: a list, or the ends of a range."""
    if one["values_list"]:
        return str(one["values_list"])
    if one["min_limit"] or one["max_limit"]:
        return f"{one['min_limit'] or ''}..{one['max_limit'] or ''}"
    return ""


def show_results(told: Mapping[str, Any]) -> None:
    """Print a line for each variable that was to be read or set."""
    lines = [(one["name"], one["status"] or "-", one["value"], one["reason"]) for one in told["results"]]
    show_table(("variable", "status", "value", "reason"), lines, "no variable")


def show_refreshed(told: Mapping[str, Any]) -> None:
    """Print the report that has come."""
    found = told["report"]
    if found is None:
        show_facts([("report", f"none has come; the command is {told['command']['state']}")])
        return
    missing = ", ".join(map(str, found["missing"]))
    show_facts(
        [
            ("report", found["number"]),
            ("state", found["state"]),
            ("parts", found["parts"]),
            ("missing", missing),
        ]
    )


def show_differences(told: Mapping[str, Any]) -> None:
    """Print a line for each variable that differs."""

    def cell(value: Any, *, there: bool) -> str:
        return "(not there)" if not there else "(no value)" if value is None else str(value)

    lines = [
        (one["name"], cell(one["value"], there=one["here"]), cell(one["other"], there=one["there"]))
        for one in told["differences"]
    ]
    show_table(("variable", "value", "other"), lines, "no variable differs")


class _ListsByItself(click.Group):
    """Group that takes the name of a charge point in a command's place: it lists its variables."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        named = args if args[0] in self.commands else ["list", *args]
        return super().resolve_command(ctx, named)


SEARCH = click.option("--search", metavar="TEXT", help="Those with this text in their name, in any case.")
ATTRIBUTE = click.option(
    "--attribute",
    type=click.Choice(["Actual", "Target", "MinSet", "MaxSet"], case_sensitive=False),
    help="This attribute only; default of get, set and compare: Actual.",
)
TIMEOUT = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0, min_open=True),
    default=TIMEOUT_S,
    show_default=True,
    help="Seconds for each answer.",
)


@click.group(cls=_ListsByItself)
def variables() -> None:
    """Show, refresh, read, set, compare and export the variables of a charge point.

    With CP in the place of a command, list those that are stored of it.
    """


@variables.command("list")
@CP
@SEARCH
@ATTRIBUTE
@lists(show_variables, "variables", EXPORTED)
@asks_server
def list_variables(api: Api, *, charge_point: str, search: str | None, attribute: str | None) -> Any:
    """List the stored variables of CP."""
    return find_variables(api, charge_point, search, attribute)


@variables.command("refresh")
@CP
@click.option(
    "--extent",
    type=click.Choice(["full", "configuration", "summary"]),
    default="full",
    show_default=True,
    help="All variables, those that can be set, or those that tell of availability.",
)
@TIMEOUT
@click.option(
    "--report-timeout",
    "report_s",
    type=click.FloatRange(0, min_open=True),
    default=120.0,
    show_default=True,
    help="Seconds for the last part.",
)
@shows(show_refreshed)
@asks_server
def refresh(api: Api, *, charge_point: str, extent: str, timeout_s: float, report_s: float) -> Any:
    """Have CP report its variables, and wait for the report."""
    path = ("charge-points", charge_point, "variables", "refresh")
    query = {"extent": extent, "timeout": f"{timeout_s:g}", "effect_timeout": f"{report_s:g}"}
    return _asked(api, path, query, None, timeout_s + report_s)


@variables.command("get")
@CP
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@ATTRIBUTE
@TIMEOUT
@shows(show_results)
@asks_server
def get(
    api: Api, *, charge_point: str, names: tuple[str, ...], attribute: str | None, timeout_s: float
) -> Any:
    """Read variables from CP, as OCPPCommCtrlr.HeartbeatInterval or HeartbeatInterval."""
    path = ("charge-points", charge_point, "variables", "get")
    body = {"names": list(names), "attribute": attribute or "Actual"}
    return _asked(api, path, {"timeout": f"{timeout_s:g}"}, body, timeout_s)


@variables.command("set")
@CP
@click.argument("values", metavar="NAME=VALUE...", nargs=-1, required=True)
@ATTRIBUTE
@TIMEOUT
@JSON
@asks_server
def set_(
    api: Api,
    *,
    charge_point: str,
    values: tuple[str, ...],
    attribute: str | None,
    timeout_s: float,
    json: bool,
) -> None:
    """Set variables of CP. The exit status is 1 unless all are accepted."""
    wanted = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise CommandMisused(
                f"{text!r} must have the form NAME=VALUE", "write it like HeartbeatInterval=300"
            )
        wanted[name] = value
    path = ("charge-points", charge_point, "variables")
    body = {"values": wanted, "attribute": attribute or "Actual"}
    told = _asked(api, path, {"timeout": f"{timeout_s:g}"}, body, timeout_s)
    _print_set(told, as_json=json)


def _print_set(told: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        echo_json(told)
    else:
        show_results(told)
    if any(one["status"] not in ("Accepted", "RebootRequired") for one in told["results"]):
        raise CommandFailed("not all were accepted", "see the reasons above, and correct those")


@variables.command("compare")
@CP
@click.argument("other", metavar="OTHER", shell_complete=charge_points_like)
@SEARCH
@ATTRIBUTE
@lists(show_differences, "differences", ("name", "here", "value", "there", "other"))
@asks_server
def compare(api: Api, *, charge_point: str, other: str, search: str | None, attribute: str | None) -> Any:
    """Show the stored variables that differ between the charge points CP and OTHER."""
    path = ("charge-points", charge_point, "variables", "compare")
    return api.get(*path, other=other, **_narrowed(search, attribute))


@variables.command("export")
@CP
@SEARCH
@ATTRIBUTE
@JSON
@RAW
@asks_server
def export_variables(
    api: Api, *, charge_point: str, search: str | None, attribute: str | None, json: bool, raw: bool
) -> None:
    """Print the stored variables of CP as CSV, or as JSON."""
    found = find_variables(api, charge_point, search, attribute)
    export(found["variables"], EXPORTED, sys.stdout.write, json=json, raw=raw)


@variables.command("forget")
@CP
@asks_server
def forget(api: Api, *, charge_point: str) -> None:
    """Delete the stored variables of CP."""
    told = api.change("DELETE", "charge-points", charge_point, "variables")
    click.echo(f"{told['forgotten']} variables of {charge_point} are forgotten")
