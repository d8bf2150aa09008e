"""`chargehand quarantine`: the plugins that are told of nothing until they are released."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .api import OK, why
from .failures import CommandFailed
from .tables import show_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .api import Api

COLUMNS = ("plugin", "restarts", "messages that wait", "last crash")


def quarantined(api: Api) -> list[dict[str, Any]]:
    """Those in quarantine, as the API shows them."""
    return [row for row in api.get("plugins")["plugins"] if row["quarantined"]]


def release(api: Api, plugin: str) -> dict[str, Any]:
    """Let one out; how it stands then. Raises `CommandFailed`."""
    reply = api.ask("POST", "plugins", plugin, "release")
    if reply.status != OK:
        raise CommandFailed(why(reply.status, reply.json))
    return reply.json


def show_plugins(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print them as a table."""
    lines = [(row["name"], row["restarts"], row["spool"], row["last_crash"]) for row in rows]
    show_table(COLUMNS, lines, "no plugin is in quarantine")
