"""What `chargehand spool` asks the server, and what it shows of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .api import OK, why
from .failures import CommandFailed
from .tables import show_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .api import Api

COLUMNS = ("number", "place", "charge point", "action", "transaction", "received", "why")
MOST = "10000"
"""Of each kind; the API shows no more at once."""
ANSWER_S = 40.0
"""Seconds: the store of the server has 30 to keep what is brought back."""


def listed(api: Api) -> list[dict[str, Any]]:
    """What is in the spool, each with its place: "waiting" or "set aside"."""
    told = api.get("spool", limit=MOST)
    waiting = [row | {"place": "waiting"} for row in told["waiting"]]
    return waiting + [row | {"place": "set aside"} for row in told["dead_letters"]]


def retry(api: Api, number: int | None) -> list[int]:
    """Bring one message back, or all; the numbers of what came back. Raises `CommandFailed`."""
    path = ("spool", "retry") if number is None else ("spool", str(number), "retry")
    reply = api.ask("POST", *path, timeout_s=ANSWER_S)
    if reply.status != OK:
        raise CommandFailed(why(reply.status, reply.json))
    retried: list[int] = reply.json["retried"]
    return retried


def show_spool(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print them as a table."""
    lines = [
        (
            row["number"],
            row["place"],
            row["charge_point"],
            row["action"],
            row["transaction_id"],
            row["received_at"],
            row["why"],
        )
        for row in rows
    ]
    show_table(COLUMNS, lines, "the spool is empty")
