"""The command `transactions`: transactions, their flags, and dead letters."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from .api import STORE_S, asks_server
from .completion import charge_points_like
from .escape import as_json
from .options import BEFORE, BY, JSON, LIMIT, MAX_LIMIT, RAW
from .output import export, lists, moment, show_facts, show_next, show_table, shows, when

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from .api import Api

PAGE = 5000
"""Transactions that are asked for at a time."""

COLUMNS = (
    "transaction_id", "charge point", "connector", "tag", "started", "stopped", "received", "Wh", "verdict", "flags",
)  # fmt: skip
EXPORTED = (
    "transaction_id", "charge_point", "connector_id", "id_tag", "open", "verdict", "reservation_id", "meter_start",
    "started_at", "start_received_at", "meter_stop", "stopped_at", "stop_received_at", "stop_reason", "stop_id_tag",
    "energy_wh", "energy_source", "supported_energy_wh", "cost", "currency", "tariff", "closed_by", "note", "version",
    "remote_id", "evse_id", "charging_state", "id_type", "flags",
)  # fmt: skip
LETTERS = ("number", "charge_point", "action", "transaction_id", "received_at", "why", "payload")
DERIVED = ("first_reading", "last_reading", "peak_w", "duration_s")
"""Facts of one transaction that lists do not have."""
DOUBTFUL = " ?"
"""Mark behind a time of the charge point's clock that cannot be true."""


def query_of(**options: Any) -> dict[str, str]:
    """Return the given options of a command as parameters of the API."""
    given = {name: "1" if value is True else str(value) for name, value in options.items() if value}
    return given | {name: moment(given[name]) for name in ("since", "until") if name in given}


def read_transactions(api: Api, narrowed: Mapping[str, str], limit: int) -> dict[str, Any]:
    """Read one page as the API shows it; one that came short is filled from the next."""
    told: dict[str, Any] = api.get("transactions", **narrowed, limit=str(limit))
    rows = told["transactions"]
    while told["more"] and len(rows) < limit:
        told = api.get("transactions", **{**narrowed, "before": told["next"]}, limit=str(limit - len(rows)))
        rows += told["transactions"]
    return told | {"transactions": rows}


def pages(api: Api, narrowed: Mapping[str, str], page: int = PAGE) -> Iterator[dict[str, Any]]:
    """Yield all transactions page by page, newest first, without those that start meanwhile."""
    before: dict[str, str] = {}
    while True:
        told = api.get("transactions", **narrowed, **before, limit=str(page))
        yield from told["transactions"]
        if not told["more"]:
            return
        before = {"before": told["next"]}


def show_transactions(told: Mapping[str, Any]) -> None:
    """Print a page of transactions as a table, and where the next one begins."""
    show_rows(told["transactions"])
    show_next(told)


def show_rows(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print transactions as a table: started and stopped by the charge point's clock, received (its start) by ours."""
    lines = [
        (
            row["transaction_id"],
            row["charge_point"],
            row["connector_id"],
            row["id_tag"],
            _own_time(row, "started_at"),
            _own_time(row, "stopped_at") or _state(row),
            when(row["start_received_at"]),
            row["energy_wh"],
            row["verdict"],
            "; ".join(flag["text"] for flag in row["flags"]),
        )
        for row in rows
    ]
    show_table(COLUMNS, lines, "no transaction is as asked for")


def _own_time(row: Mapping[str, Any], name: str) -> str:
    """Show a time of the charge point's clock, marked if it cannot be true."""
    return when(row[name]) + (DOUBTFUL if name in row["doubtful_times"] else "")


def _state(row: Mapping[str, Any]) -> str:
    if not row["open"]:
        return "closed"
    return "orphaned" if row["orphaned"] else "charges"


def show_transaction(row: Mapping[str, Any]) -> None:
    """Print one with its meter readings and its dead letters."""
    facts = [(name.replace("_", " "), _fact(row, name)) for name in (*EXPORTED, *DERIVED)]
    facts += [("other stop", as_json(other)) for other in row["other_stops"]]
    facts += [("cost before", as_json(cost)) for cost in row["costs"][:-1]]
    show_facts(facts)
    _show_readings(row["meter_readings"])
    if row["more_readings"]:
        show_facts([("", f"only the first {len(row['meter_readings'])} messages are shown")])
    if row["connector_readings"]:
        show_facts([("", "readings of its connector meanwhile that name no transaction:")])
        _show_readings(row["connector_readings"])
    if row["dead_letters"]:
        show_dead_letters(row["dead_letters"])


def _fact(row: Mapping[str, Any], name: str) -> Any:
    value = row[name]
    if name in ("started_at", "stopped_at"):
        return _own_time(row, name)
    if name in ("start_received_at", "stop_received_at"):
        return when(value)
    if isinstance(value, list):
        return "; ".join(flag["text"] for flag in value)
    return f"{value['wh']} Wh at {when(value['at'])}" if isinstance(value, dict) else value


def show_readings(told: Mapping[str, Any]) -> None:
    """Print a page of meter readings, and where the next one begins."""
    _show_readings(told["meter_readings"])
    show_next(told)


def _show_readings(readings: Iterable[Mapping[str, Any]]) -> None:
    lines = [line for reading in readings for line in _readings(reading)]
    show_table(
        ("received", "taken", "connector", "transaction", "values", "flags"), lines, "no meter readings"
    )


def _readings(reading: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Yield the lines of one message, which a charge point made: it may look like anything."""
    values = reading["values"] if isinstance(reading["values"], list) else [reading["values"]]
    for value in values or [reading["payload"]]:
        taken, samples = (
            (value.get("timestamp"), value.get("sampledValue")) if isinstance(value, dict) else ("", value)
        )
        shown = ", ".join(map(_sample, samples)) if isinstance(samples, list) else as_json(samples)
        yield (
            when(reading["received_at"]),
            when(taken),
            reading["connector_id"],
            reading["transaction_id"],
            shown,
            "; ".join(reading["flags"]),
        )


def _sample(sample: Any) -> str:
    if not isinstance(sample, dict):
        return as_json(sample)
    names = ("context", "location", "measurand", "phase", "value", "unit")
    return " ".join(str(sample[name]) for name in names if name in sample) or as_json(sample)


def read_dead_letters(api: Api, *, after: int, limit: int) -> dict[str, Any]:
    """Read a page of dead letters, oldest first, as the API shows it."""
    told = api.get("spool", after=str(after), limit=str(limit))
    return {name: told[name] for name in ("dead_letters", "more", "next")}


def show_page_of_dead_letters(told: Mapping[str, Any]) -> None:
    """Print a page of dead letters, and where the next one begins."""
    show_dead_letters(told["dead_letters"])
    show_next(told)


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


def narrows(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that choose transactions."""
    for option in (
        click.option(
            "--until", metavar="TIME", help="Only transactions started before this time or day (see --times)."
        ),
        click.option(
            "--since",
            metavar="TIME",
            help="Only transactions started at or after this time or day (see --times; server clock).",
        ),
        click.option(
            "--orphans",
            is_flag=True,
            help="Only orphaned transactions: open, although their charge point has shown that they ended.",
        ),
        click.option("--doubtful", "flagged", is_flag=True, help="Only transactions with any flag."),
        click.option("--open", "open", is_flag=True, help="Only transactions without a StopTransaction."),
        click.option("--tag", "id_tag", metavar="TAG", help="Only transactions started with this tag."),
        click.option("--connector", type=click.IntRange(1), help="Only transactions of this connector."),
        click.option(
            "--charge-point",
            metavar="CP",
            shell_complete=charge_points_like,
            help="Only transactions of this charge point.",
        ),
    ):
        command = option(command)
    return command


@click.group()
def transactions() -> None:
    """Show, export and close transactions."""


@transactions.command("list")
@narrows
@BEFORE
@LIMIT
@lists(show_transactions, "transactions", EXPORTED)
@asks_server
def list_transactions(api: Api, *, limit: int, **narrowed: Any) -> Any:
    """List transactions, the newest first by receipt of their start; times with ? cannot be true."""
    return read_transactions(api, query_of(**narrowed), limit)


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


@transactions.command("close")
@click.argument("transaction_id", metavar="ID")
@click.option("--reason", help="Reason of its end; default: ClosedByHand.")
@click.option(
    "--meter-stop", metavar="WH", type=int, help="Meter value at its end; default: by its readings."
)
@click.option("--stopped-at", metavar="TIME", help="Time of its end (see --times); default: now.")
@click.option("--note", help="Text that is kept with it.")
@BY
@shows(lambda row: show_rows([row]))
@asks_server
def close_transaction(api: Api, *, transaction_id: str, **given: Any) -> Any:
    """Close the transaction ID by hand; a stop that comes all the same stands beside it, flagged."""
    body = {name: value for name, value in given.items() if value is not None}
    if "stopped_at" in body:
        body["stopped_at"] = moment(body["stopped_at"])
    return api.change(
        "POST", "transactions", transaction_id, "close", body=json.dumps(body), timeout_s=STORE_S
    )


@transactions.command("export")
@narrows
@JSON
@RAW
@asks_server
def export_transactions(api: Api, *, raw: bool, **options: Any) -> None:
    """Print all transactions as CSV, or as JSON, the newest first.

    They are asked for page by page, so there may be any number. The exit status says whether it is complete.
    """
    as_list = options.pop("json")
    write = sys.stdout.write
    export(pages(api, query_of(**options)), EXPORTED, write, json=as_list, raw=raw)


@transactions.command("dead-letters")
@click.option(
    "--after", type=click.IntRange(0), default=0, help="Only dead letters with a number above this one."
)
@LIMIT
@lists(show_page_of_dead_letters, "dead_letters", LETTERS)
@asks_server
def dead_letters(api: Api, *, after: int, limit: int) -> Any:
    """List the dead letters, oldest first: acknowledged messages that need a person, with the reason."""
    return read_dead_letters(api, after=after, limit=limit)
