"""`chargehand charge-points`: who is connected to a running server, who is known, and what each has told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .escape import as_json
from .tables import show_facts, show_table, when

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .api import Api

COLUMNS = ("charge point", "peer", "since", "registration")
EXPORTED = (
    "id", "name", "connected", "peer", "secure", "connected_at", "disconnected_at", "registration",
)  # fmt: skip
FACTS = ("id", "name", "version", "registration", "has_password", "deviations", "ignored")
EVENTS = 20
"""How many of the last events are shown."""


def find_charge_points(api: Api, *, all_: bool) -> list[dict[str, Any]]:
    """Those that are connected, or all that the server and its store know."""
    query = {"stored": "1"} if all_ else {}
    return [row for row in api.get("charge-points", **query)["charge_points"] if all_ or row["connected"]]


def found(api: Api, charge_point: str) -> dict[str, Any]:
    """All that is known of one: its facts, its last `events` and its `open_transactions`."""
    facts = api.get("charge-points", charge_point)
    events = api.get("charge-points", charge_point, "events", limit=str(EVENTS))
    open_ = api.get("transactions", charge_point=charge_point, open="1")
    return facts | {"events": events["events"], "open_transactions": open_["transactions"]}


def enter(api: Api, charge_point: str, *, registration: str | None, password: str | None) -> dict[str, Any]:
    """Enter one before it comes, or set the password of any; how it is known then. Raises `CommandFailed`."""
    path = ("charge-points", charge_point)
    if password is not None:
        api.change("PUT", *path, "password", body=json.dumps({"password": password}))
        if registration is None and api.get(*path)["connected"]:
            return api.get(*path)
    entry = {"registration": registration} if registration is not None else {}
    return api.change("PUT", *path, body=json.dumps(entry))


def forget(api: Api, charge_point: str) -> None:
    """Forget one that is away. Raises `CommandFailed`."""
    api.change("DELETE", "charge-points", charge_point)


def show_charge_points(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print them as a table."""
    lines = [(row["id"], _peer(row), _since(row), row["registration"]) for row in rows]
    show_table(COLUMNS, lines, "no charge point is connected")


def show_charge_point(row: Mapping[str, Any]) -> None:
    """Print one with all that is known of it."""
    from .tickets import show_tickets_of  # noqa: PLC0415
    from .transactions import show_transactions  # noqa: PLC0415

    facts = [(name.replace("_", " "), _fact(row[name])) for name in FACTS if row[name] not in ("", {})]
    facts[1:1] = [("peer", _peer(row)), ("since", _since(row))]
    facts += sorted((row["boot"] or {}).items())
    show_facts(facts)
    connectors = [
        (
            one.get("connectorId"),
            one.get("status"),
            one.get("errorCode"),
            when(one.get("timestamp")),
            one.get("info"),
        )
        for one in row["connectors"]
    ]
    show_table(("connector", "status", "error", "at", "info"), connectors, "no connector is known")
    show_tickets_of(row["open_tickets"])
    events = [(when(one["received_at"]), one["kind"], as_json(one["data"])) for one in row["events"]]
    show_table(("received", "event", "what it said"), events, "no event is known")
    if row["open_transactions"]:
        show_transactions(row["open_transactions"])


def _fact(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else as_json(value)


def _peer(row: Mapping[str, Any]) -> str:
    if not row["connected"]:
        return "away"
    return f"{row['peer']} (TLS)" if row["secure"] else str(row["peer"])


def _since(row: Mapping[str, Any]) -> str:
    """When it came, or left."""
    return when(row["connected_at"] if row["connected"] else row["disconnected_at"])
