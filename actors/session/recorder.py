"""Flight recorder of one charge point: the last frames and events, within a bound in bytes.

Writing is one `+=`, which nothing can interrupt; secrets are redacted when rows are read, not when they are written.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cell import ChargePointCell

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
# The same in the words of later versions: variables, whose names are in an object beside the value, and passwords and
# keys of networks.
_TEXT = rb'(?:[^"\\]|\\.)*'
_ATTRIBUTE = re.compile(rb'("attributeValue"\s*:\s*")(' + _TEXT + rb')("|\\?\Z)')
_NEXT_ITEM = re.compile(rb"\}\s*,\s*\{")  # an object inside an item has its name before it
_PASSWORD_NAME = re.compile(rb'"name"\s*:\s*"[^"]{0,50}(?i:password)[^"]{0,50}"')
_ATTRIBUTE_SHOWN = b"attribute_value="
_NETWORK_PASSWORD = re.compile(rb'("(?:apnPassword|password)"\s*:\s*")' + _TEXT + rb'("|\\?\Z)')
_NETWORK_KEY = re.compile(rb'("password"\s*:\s*"\*\*\*"\s*,\s*"key"\s*:\s*")' + _TEXT + rb'("|\\?\Z)')
_SIM_PIN = re.compile(rb'("simPin"\s*:\s*)-?[0-9]{1,20}')
_CUSTOMER_NAME = re.compile(rb'("customerIdentifier"\s*:\s*")' + _TEXT + rb'("|\\?\Z)')
_CREDENTIALS_IN_URL = re.compile(rb'(\b[A-Za-z][A-Za-z0-9+.-]{0,19}:(?:\\?/){2}[^/"@:\s]*:)[^/?#"\s]*(@)')

# What is reported of a person: every text of the message but the time.
_CUSTOMER = b"NotifyCustomerInformation"
_TEXT_OR_NAME = re.compile(rb'("(?:[^"\\]|\\.)*(?:"|\\?\Z))(\s*:)?')
_TIME_NAME = b'"generatedAt"'


class Recorder:
    """Flight recorder of a session. `limit_bytes` bounds data and rows together; about its last half is always there.

    `registration` is that of the charge point before the first row: None if it was not known.
    """

    __slots__ = ("_bytes", "_limit", "_older", "_room", "_rows", "registration")

    def __init__(self, limit_bytes: int, registration: str | None = None) -> None:
        self.registration = registration
        self._limit = limit_bytes
        # Flat, three items a row: a tuple per row, or the blocks of a deque, would cost more than most frames. Made
        # with the first row. Older rows are dropped together, when the newer ones have no room: row by row costs more.
        self._rows: list[Any] | None = None
        self._older: list[Any] | None = None
        self._bytes = 0  # of the newer rows
        self._room = _half(limit_bytes)  # for these

    def note(self, at: float, kind: str, data: bytes) -> None:
        """Add a row. `kind` is "in", "out" (the session's own), "answer" (a plugin's) or the name of an event."""
        size = self._bytes + len(data) + ROW_BYTES
        if size > self._room:
            self._turn_over(at, kind, data)
            return
        rows = self._rows
        if rows is None:
            rows = self._rows = []
        rows += (at, kind, data)
        self._bytes = size

    def _turn_over(self, at: float, kind: str, data: bytes) -> None:
        """Drop the older rows for a new one; of a single one that is too long the beginning is kept."""
        data = data[: max(0, self._limit - ROW_BYTES)]
        size, older_size = len(data) + ROW_BYTES, self._bytes
        self._leave(self._older)
        self._older = self._rows
        if older_size + size > self._limit:
            self._leave(self._older)
            self._older, older_size = None, 0
        self._rows, self._bytes = [at, kind, data], size
        self._room = min(_half(self._limit), self._limit - older_size)

    def _leave(self, rows: list[Any] | None) -> None:
        if rows is None:
            return
        kinds = rows[1::ITEMS]
        if "registration" in kinds:
            place = len(kinds) - 1 - kinds[::-1].index("registration")
            told: bytes = rows[place * ITEMS + 2]
            self.registration = told.decode()

    @property
    def size_bytes(self) -> int:
        """Estimated bytes of the rows."""
        rows = (self._older or []) + (self._rows or [])
        return sum(len(data) + ROW_BYTES for data in rows[2::ITEMS])

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows, oldest first, redacted: `at` in seconds of the monotonic clock, `kind`, `data` as text."""
        items = iter((self._older or []) + (self._rows or []))
        return [
            {"at": round(at, 6), "kind": kind, "data": redact(data).decode("utf-8", "replace")}
            for at, kind, data in zip(items, items, items, strict=True)
        ]

    def since(self, after: float) -> tuple[list[dict[str, Any]], bool]:
        """Return the rows after a time, as `rows` does, and whether some before them may have been dropped.

        `at` is not rounded here: that of the last row is the `after` of the next call.
        """
        rows = (self._older or []) + (self._rows or [])
        place = len(rows)
        while place and rows[place - ITEMS] > after:
            place -= ITEMS
        items = iter(rows[place:])
        found = [
            {"at": at, "kind": kind, "data": redact(data).decode("utf-8", "replace")}
            for at, kind, data in zip(items, items, items, strict=True)
        ]
        return found, place == 0 and self._older is not None

    def last_in(self) -> float | None:
        """Return when the last message came, by the monotonic clock; None if no row is left of it."""
        for rows in (self._rows, self._older):
            if rows is not None:
                for place in range(len(rows) - ITEMS, -1, -ITEMS):
                    if rows[place + 1] == "in":
                        at: float = rows[place]
                        return at
        return None

    def rate(self, since: float, now: float) -> float:
        """Return how many messages came in a second since a time, as far as the rows reach back."""
        count, first = 0, now
        for rows in (self._rows or [], self._older or []):
            for place in range(len(rows) - ITEMS, -1, -ITEMS):
                at = rows[place]
                if at < since:
                    return count / (now - since)
                first = at
                count += rows[place + 1] == "in"
        return count / (now - since) if self._older is None else count / max(now - first, 1e-3)

    def dump(self, head: dict[str, Any]) -> str:
        """Return all rows as lines of JSON after a header line, as `chargehand replay` reads them."""
        head = {**head, "registration": self.registration}
        return "\n".join(json.dumps(row, ensure_ascii=False) for row in [head, *self.rows()]) + "\n"


def recording_of(cell: ChargePointCell) -> str:
    """Return the recording of a charge point, as `chargehand replay` reads it, without its secrets."""
    context = cell.context
    rules, clock = context.rules, context.clock
    head = {
        "charge_point": cell.charge_point.id,
        "version": cell.charge_point.version,
        "policy": "strict" if rules.strict else "lenient",
        "accept_unbooted": rules.accept_unbooted,
        "answer_transactions_unregistered": rules.answer_transactions_unregistered,
        "fallback_id_tag_status": context.id_tag_status,
        "time": clock.time(),
        "monotonic": clock.monotonic(),
    }
    return (cell.recorder or Recorder(0)).dump(head)


@lru_cache(maxsize=4)
def _half(size_bytes: int) -> int:
    """Halve a size; all recorders have the one object."""
    return size_bytes // 2


def redact(data: bytes) -> bytes:
    """Return a frame without its secrets: values of AuthorizationKey and of passwords, credentials in URLs."""
    data = _SECRET_VALUE.sub(rb"\1" + SECRET.encode() + rb"\2", data)
    data = _SHOWN.sub(rb"\1" + SECRET.encode(), data)
    data = _VALUE_FIRST.sub(rb"\1" + SECRET.encode() + rb"\2", data)
    if b"attribute" in data:
        data = _without_passwords(data)
        head, shown, tail = data.partition(_ATTRIBUTE_SHOWN)
        if b"password" in tail.lower():
            data = head + shown + SECRET.encode()
    if b"assword" in data:
        data = _NETWORK_PASSWORD.sub(rb"\1" + SECRET.encode() + rb"\2", data)
        data = _NETWORK_KEY.sub(rb"\1" + SECRET.encode() + rb"\2", data)
    if b"simPin" in data:
        data = _SIM_PIN.sub(rb"\g<1>0", data)
    if b"customerIdentifier" in data:
        data = _CUSTOMER_NAME.sub(rb"\1" + SECRET.encode() + rb"\2", data)
    if _CUSTOMER in data:
        data = _without_customer(data)
    return _CREDENTIALS_IN_URL.sub(rb"\1" + SECRET.encode() + rb"\2", data)


def _without_customer(data: bytes) -> bytes:
    """Return a frame without the texts of a customer report: what stands behind its name, if that is no JSON."""
    head, name, tail = data.partition(_CUSTOMER + b'"')
    if not name:
        head, name, _ = data.partition(_CUSTOMER)
        return head + name + SECRET.encode()
    member = b""

    def shown(found: re.Match[bytes]) -> bytes:
        nonlocal member
        if found[2] is not None:
            member = found[1]
            return found[0]
        return found[0] if member == _TIME_NAME else b'"' + SECRET.encode() + b'"'

    return head + name + _TEXT_OR_NAME.sub(shown, tail)


def _without_passwords(data: bytes) -> bytes:
    """Return a frame without the values of variables that are passwords, or may be where the frame was cut."""
    pieces = _ATTRIBUTE.split(data)
    for place in range(2, len(pieces), 4):
        before = _NEXT_ITEM.split(pieces[place - 2])[-1]
        after = _NEXT_ITEM.split(pieces[place + 2])[0]
        cut = place + 3 == len(pieces) and not data.rstrip().endswith(b"]")
        if cut or _PASSWORD_NAME.search(before) or _PASSWORD_NAME.search(after):
            pieces[place] = SECRET.encode()
    return b"".join(pieces)
