"""`chargehand transactions`: what was charged, what is doubtful about it, and what belongs to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .escape import as_json
from .tables import show_facts, show_table, when

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

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
    """All of them, the newest first: asked for page by page. One that starts meanwhile is not among them."""
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
            "; ".join(row["flags"]),
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
    return "; ".join(value) if isinstance(value, list) else value


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


def dead_letter(api: Api, *, after: int, limit: int) -> list[dict[str, Any]]:
    """The messages that were acknowledged and belong to nothing, the oldest first."""
    rows: list[dict[str, Any]] = api.get("spool", after=str(after), limit=str(limit))["dead_letters"]
    return rows


def show_set_aside(rows: Iterable[Mapping[str, Any]]) -> None:
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
    show_table(
        ("number", "charge point", "action", "received", "why", "payload"), lines, "nothing was set aside"
    )
