"""Fields of log records: what a line is about, beside its text.

A record has them as `extra={"fields": {...}}`, which costs nothing but a small dict where lines are rare; nothing here
is called for a line that is not written.
"""

from __future__ import annotations

from typing import Any

CONTEXT = ("charge_point", "version", "connection", "ticket", "plugin")
"""Names of the fields that say what a line is about, in the order in which people are shown them."""


def about(**fields: Any) -> dict[str, Any]:
    """Return the `extra` of a record with fields; those that are empty are left out."""
    return {"fields": {name: value for name, value in fields.items() if value not in ("", None)}}
