"""Flight recorder of one charge point: the last frames and events, within a bound in bytes.

Writing is one `+=`, which nothing can interrupt; secrets are redacted when rows are read, not when they are written.
"""

from __future__ import annotations

import json
import re
from typing import Any

ROW_BYTES = 120
"""Estimated size of a row without its data, in bytes."""

ITEMS = 3
"""Items of a row: time, kind, data."""

SECRET = "***"  # noqa: S105 - the opposite of one

# Secrets that must not leave the process: keys of charge points, and settings that may hold one. A frame may be cut in
# the middle of one. No input may take long.
_KEY = rb'"key"\s*:\s*"(?i:AuthorizationKey|[^"]{0,50}password[^"]{0,50})"'
_SECRET_VALUE = re.compile(
    rb"("
    + _KEY
    + rb'\s*(?:,\s*"readonly"\s*:\s*(?:true|false)\s*)?,\s*"value"\s*:\s*")(?:[^"\\]|\\.)*("|\\?\Z)'
)
_SHOWN = re.compile(  # the repr of a message in an exception's text: everything after it is dropped
    rb"""(\bkey=\\*['"](?i:AuthorizationKey|[^'"]{0,50}password[^'"]{0,50})\\*['"], value=).*""", re.DOTALL
)
_VALUE_FIRST = re.compile(rb'("value"\s*:\s*")(?:[^"\\]|\\.)*("\s*,[^{}]*' + _KEY + rb")")
_CREDENTIALS_IN_URL = re.compile(rb'(\b[A-Za-z][A-Za-z0-9+.-]{0,19}:(?:\\?/){2}[^/"@:\s]*:)[^/?#"\s]*(@)')


class Recorder:
    """Flight recorder of a session. `limit_bytes` bounds data and rows together.

    `registration` is that of the charge point before the first row: None if it was not known.
    """

    __slots__ = ("_bytes", "_limit", "_rows", "registration")

    def __init__(self, limit_bytes: int, registration: str | None = None) -> None:
        self.registration = registration
        self._limit = limit_bytes
        # Flat, three items a row: a tuple per row, or the blocks of a deque, would cost more than most frames. Made
        # with the first row.
        self._rows: list[Any] | None = None
        self._bytes = 0

    def note(self, at: float, kind: str, data: bytes) -> None:
        """Add a row. `kind` is "in", "out" (the session's own), "answer" (a plugin's) or the name of an event."""
        rows = self._rows
        if rows is None:
            rows = self._rows = []
        rows += (at, kind, data)
        self._bytes += len(data) + ROW_BYTES
        if self._bytes > self._limit:
            self._trim(rows)

    def _trim(self, rows: list[Any]) -> None:
        # Down to three quarters, so that it is not done for every row.
        size, most = self._bytes, self._limit * 3 // 4
        gone, last = 0, len(rows) - ITEMS
        while size > most and gone < last:
            data = rows[gone + 2]
            size -= len(data) + ROW_BYTES
            if rows[gone + 1] == "registration":
                self.registration = data.decode()
            gone += ITEMS
        del rows[:gone]
        if size > self._limit:  # a single row that is too long: its beginning is kept
            rows[-1] = rows[-1][: max(0, self._limit - ROW_BYTES)]
            size = len(rows[-1]) + ROW_BYTES
        self._bytes = size

    @property
    def size_bytes(self) -> int:
        """Estimated bytes of the rows."""
        return self._bytes

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows, oldest first, redacted: `at` in seconds of the monotonic clock, `kind`, `data` as text."""
        items = iter(self._rows or ())
        return [
            {"at": round(at, 6), "kind": kind, "data": redact(data).decode("utf-8", "replace")}
            for at, kind, data in zip(items, items, items, strict=True)
        ]

    def dump(self, head: dict[str, Any]) -> str:
        """Return all rows as lines of JSON after a header line, as `chargehand replay` reads them."""
        head = {**head, "registration": self.registration}
        return "\n".join(json.dumps(row, ensure_ascii=False) for row in [head, *self.rows()]) + "\n"


def redact(data: bytes) -> bytes:
    """Return a frame without its secrets: values of AuthorizationKey and of passwords, credentials in URLs."""
    data = _SECRET_VALUE.sub(rb"\1" + SECRET.encode() + rb"\2", data)
    data = _SHOWN.sub(rb"\1" + SECRET.encode(), data)
    data = _VALUE_FIRST.sub(rb"\1" + SECRET.encode() + rb"\2", data)
    return _CREDENTIALS_IN_URL.sub(rb"\1" + SECRET.encode() + rb"\2", data)
