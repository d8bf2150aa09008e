"""The command `reports`: reports that stations have sent in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .api import STORE_S, asks_server
from .escape import as_json
from .options import CP, MAX_LIMIT
from .output import lists, show_facts, show_table, shown, shows, when

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .api import Api

EXPORTED = (
    "number", "action", "request_id", "state", "parts", "missing", "size_bytes", "begun_at", "last_at",
)  # fmt: skip
COLUMNS = ("number", "action", "request", "state", "parts", "missing", "bytes", "begun", "last part")


def find_reports(
    api: Api, charge_point: str, *, action: str | None, request_id: int | None
) -> dict[str, Any]:
    """List the reports of a charge point, newest first."""
    query = {"action": action} if action else {}
    if request_id is not None:
        query["request_id"] = str(request_id)
    path = ("charge-points", charge_point, "reports")
    return api.whole("reports", *path, cursor="before", limit=str(MAX_LIMIT), **query)


def show_reports(told: Mapping[str, Any]) -> None:
    """Print reports as a table."""
    lines = [
        (
            row["number"],
            row["action"],
            row["request_id"],
            row["state"],
            row["parts"],
            ", ".join(map(str, row["missing"])),
            row["size_bytes"],
            when(row["begun_at"]),
            when(row["last_at"]),
        )
        for row in told["reports"]
    ]
    show_table(COLUMNS, lines, "no report is known")


def show_report(told: Mapping[str, Any]) -> None:
    """Print a report: its facts, and a line for the contents of each part."""
    names = [name for name in told if name != "parts"]
    facts = [(name.replace("_", " "), value) for name, value in zip(names, shown(told, names), strict=True)]
    show_facts(
        [(name, ", ".join(map(str, value)) if isinstance(value, list) else value) for name, value in facts]
    )
    lines = [(one["seq_no"], when(one["received_at"]), as_json(one["payload"])) for one in told["parts"]]
    show_table(("part", "received", "contents"), lines, "no part")


def show_forgotten(told: Mapping[str, Any]) -> None:
    """Print that a report is gone."""
    click.echo(f"report {told['number']} of {told['charge_point']} is forgotten")


@click.group()
def reports() -> None:
    """Show the reports that charge points have sent in parts."""


@reports.command("list")
@CP
@click.option("--action", help="Those of this action only, such as NotifyReport.")
@click.option("--request-id", type=int, help="Those of this requestId only.")
@lists(show_reports, "reports", EXPORTED)
@asks_server
def list_reports(api: Api, *, charge_point: str, action: str | None, request_id: int | None) -> Any:
    """List the reports of CP, newest first."""
    return find_reports(api, charge_point, action=action, request_id=request_id)


@reports.command("show")
@CP
@click.argument("number", type=int)
@shows(show_report)
@asks_server
def show_one(api: Api, *, charge_point: str, number: int) -> Any:
    """Show report NUMBER of CP with its contents."""
    return api.get("charge-points", charge_point, "reports", str(number))


@reports.command("forget")
@CP
@click.argument("number", type=int)
@shows(show_forgotten)
@asks_server
def forget(api: Api, *, charge_point: str, number: int) -> Any:
    """Delete report NUMBER of CP for good."""
    return api.change("DELETE", "charge-points", charge_point, "reports", str(number), timeout_s=STORE_S)
