"""`chargehand tags push`: the local list of a charge point, brought in step with the tags of a running server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .api import OK, why
from .failures import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .api import Api

PUSH_S = 600.0
"""Seconds that all parts of a list may take together."""


def push(api: Api, charge_point: str, *, full: bool, clear_cache: bool, timeout_s: float) -> list[str]:
    """Have a server do it; what it has done, line by line. Raises `CommandFailed`."""
    query = {"full": str(int(full)), "clear_cache": str(int(clear_cache)), "timeout": f"{timeout_s:g}"}
    path = ("charge-points", charge_point, "local-list")
    reply = api.ask("POST", *path, query=query, timeout_s=PUSH_S)
    if reply.status != OK:
        raise CommandFailed(why(reply.status, reply.json, charge_point))
    return _told(charge_point, reply.json)


def _told(charge_point: str, update: Mapping[str, Any]) -> list[str]:
    kind, entries, version = update["update_type"], update["entries"], update["version"]
    if kind is None:
        lines = [f"{charge_point} has version {version}: nothing to do"]
    else:
        what = {"Full": "all tags", "Differential": "changes"}[kind]
        lines = [f"{charge_point} has version {version}: {entries} sent, {what}"]
        if len(update["tickets"]) > 1:
            lines.append(f"it took {len(update['tickets'])} messages")
    if update["left_out"]:
        lines.append(f"{update['left_out']} tags are too long for any list")
    if update["clear_cache"] is not None:
        lines.append("its cache is cleared")
    return lines
