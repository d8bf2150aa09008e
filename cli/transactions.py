"""The command `transactions`: transactions, their flags, and dead letters."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from .api import asks_server
from .escape import as_json
from .options import JSON
from .output import export, show_facts, show_table, shows, when

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from .api import Api

PAGE = 5000
"""Transactions that are asked for at a time."""

COLUMNS = ("id", "charge point", "connector", "tag", "started", "stopped", "Wh", "verdict", "flags")
EXPORTED = (
    "transaction_id", "charge_point", "connector_id", "id_tag", "open", "verdict", "reservation_id", "meter_start",
    "started_at", "start_received_at", "meter_stop", "stopped_at", "stop_received_at", "stop_reason", "stop_id_tag",
    "flags",
)  # fmt: skip


def query_of(**options: Any) -> dict[str, str]:
    """The options of a command as the API's parameters; what is not given is left out."""
    return {name: "1" if value is True else str(value) for name, value in options.items() if value}


def listed(api: Api, narrowed: Mapping[str, str], limit: int) -> list[dict[str, Any]]:
    """The newest ones."""
    rows: list[dict[str, Any]] = api.get("transactions", **narrowed, limit=str(limit))["transactions"]
    return rows


def pages(api: Api, narrowed: Mapping[str, str], page: int = PAGE) -> Iterator[dict[str, Any]]:
    """Yield all transactions page by page, newest first, without those that start meanwhile."""
    before: dict[str, str] = {}
    while True:
        rows = api.get("transactions", **narrowed, **before, limit=str(page))["transactions"]
        yield from rows
        if len(rows) < page:
            return
        before = {"before": str(rows[-1]["transaction_id"])}


def show_transactions(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print them as a table; times are those of receipt."""
    lines = [
        (
            row["transaction_id"],
            row["charge_point"],
            row["connector_id"],
            row["id_tag"],
            when(row["start_received_at"]),
            when(row["stop_received_at"]) or "charges",
            None if row["meter_stop"] is None else row["meter_stop"] - row["meter_start"],
            row["verdict"],
            "; ".join(flag["text"] for flag in row["flags"]),
        )
        for row in rows
    ]
    show_table(COLUMNS, lines, "no transaction is as asked for")


def show_transaction(row: Mapping[str, Any]) -> None:
    """Print one with its meter readings."""
    show_facts([(name.replace("_", " "), _fact(row[name])) for name in EXPORTED])
    lines = [line for reading in row["meter_readings"] for line in _readings(reading)]
    show_table(("received", "taken", "connector", "values"), lines, "no meter readings")
    if row["more_readings"]:
        show_facts([("", f"only the first {len(row['meter_readings'])} messages are shown")])


def _fact(value: Any) -> Any:
    return "; ".join(flag["text"] for flag in value) if isinstance(value, list) else value


def _readings(reading: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """The lines of one message, which a charge point made: it may look like anything."""
    values = reading["values"] if isinstance(reading["values"], list) else [reading["values"]]
    for value in values:
        taken, samples = (
            (value.get("timestamp"), value.get("sampledValue")) if isinstance(value, dict) else ("", value)
        )
        shown = ", ".join(map(_sample, samples)) if isinstance(samples, list) else as_json(samples)
        yield when(reading["received_at"]), when(taken), reading["connector_id"], shown


def _sample(sample: Any) -> str:
    if not isinstance(sample, dict):
        return as_json(sample)
    names = ("measurand", "phase", "value", "unit")
    return " ".join(str(sample[name]) for name in names if name in sample) or as_json(sample)


def read_dead_letters(api: Api, *, after: int, limit: int) -> list[dict[str, Any]]:
    """List the dead letters, oldest first."""
    rows: list[dict[str, Any]] = api.get("spool", after=str(after), limit=str(limit))["dead_letters"]
    return rows


def show_dead_letters(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print them as a table."""
    lines = [
        (
            row["number"],
            row["charge_point"],
            row["action"],
            when(row["received_at"]),
            row["why"],
            as_json(row["payload"]),
        )
        for row in rows
    ]
    show_table(("number", "charge point", "action", "received", "why", "payload"), lines, "no dead letter")


MAX_LIMIT = 10_000


def narrows(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say which transactions are meant."""
    for option in (
        click.option(
            "--until", metavar="TIME", help="Only transactions started before this UTC time or day."
        ),
        click.option(
            "--since",
            metavar="TIME",
            help="Only transactions started at or after this UTC time or day (server clock).",
        ),
        click.option(
            "--orphans",
            is_flag=True,
            help="Only orphaned transactions: open, although their charge point has shown that they ended.",
        ),
        click.option("--doubtful", "flagged", is_flag=True, help="Only transactions with any flag."),
        click.option("--open", "open", is_flag=True, help="Only transactions without a StopTransaction."),
        click.option("--tag", "id_tag", metavar="TAG", help="Only transactions started with this tag."),
        click.option("--charge-point", metavar="CP", help="Only transactions of this charge point."),
    ):
        command = option(command)
    return command


@click.group()
def transactions() -> None:
    """Show and export transactions."""


@transactions.command("list")
@narrows
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    default=100,
    show_default=True,
    help="Maximum number of rows.",
)
@shows(show_transactions)
@asks_server
def list_transactions(api: Api, *, limit: int, **narrowed: Any) -> Any:
    """List transactions, the newest first."""
    return listed(api, query_of(**narrowed), limit)


@transactions.command("show")
@click.argument("transaction_id", metavar="ID")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    default=1000,
    show_default=True,
    help="Maximum number of readings.",
)
@shows(show_transaction)
@asks_server
def show_one(api: Api, *, transaction_id: str, limit: int) -> Any:
    """Show one transaction with its meter readings."""
    return api.get("transactions", transaction_id, limit=str(limit))


@transactions.command("export")
@narrows
@JSON
@asks_server
def export_transactions(api: Api, *, json: bool, **narrowed: Any) -> None:
    """Print all transactions as CSV, or as JSON, the newest first.

    They are asked for page by page, so there may be any number. The exit status says whether it is complete.
    """
    write = sys.stdout.write
    export(pages(api, query_of(**narrowed)), EXPORTED, write, json=json)


@transactions.command("dead-letters")
@click.option(
    "--after", type=click.IntRange(0), default=0, help="Only dead letters with a number above this one."
)
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    default=100,
    show_default=True,
    help="Maximum number of rows.",
)
@shows(show_dead_letters)
@asks_server
def dead_letters(api: Api, *, after: int, limit: int) -> Any:
    """List the dead letters, oldest first: acknowledged messages that need a person, with the reason."""
    return read_dead_letters(api, after=after, limit=limit)
