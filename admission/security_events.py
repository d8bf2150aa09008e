"""Security events of the central system itself: wrong passwords, refused handshakes, rate limits.

The one rule: whatever strangers do, what is stored is bounded: of one charge point and type one event a minute, which
says how many there were. What names no known charge point is of no charge point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..protocol.text import shortened
from ..store.events import OWN_SECURITY
from ..store.records import Event

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from ..store.store import Store

WRONG_CREDENTIALS = "WrongCredentials"
UNKNOWN_CHARGE_POINT = "UnknownChargePoint"
CONNECTS_TOO_OFTEN = "ConnectsTooOften"
HANDSHAKE_REFUSED = "HandshakeRefused"
TLS_HANDSHAKE_FAILED = "TlsHandshakeFailed"
WRONG_TOKEN = "WrongToken"  # noqa: S105 - a name

OF_STATUS = {401: WRONG_CREDENTIALS, 404: UNKNOWN_CHARGE_POINT, 429: CONNECTS_TOO_OFTEN, 503: ""}
"""Types of refused handshakes by their status, empty for none; of any other status it is `HANDSHAKE_REFUSED`."""

INFO_CHARS = 500
"""Characters of an event's information that are kept."""
WINDOW_S = 60.0
"""Seconds in which events of one charge point and type are one."""


@dataclass(slots=True)
class _Sum:
    """Events of one charge point and type: when one was stored, and what came since then."""

    stored_at: float
    count: int = 0
    info: str = ""
    peer: str = ""
    identity: str = ""


class SecurityEvents:
    """Security events of ours, as they are stored. For the hub's thread; `knows` says if a charge point is known."""

    def __init__(
        self,
        store: Store,
        *,
        now: Callable[[], dt.datetime],
        monotonic: Callable[[], float],
        knows: Callable[[str], bool],
    ) -> None:
        self._store = store
        self._now = now
        self._monotonic = monotonic
        self._knows = knows
        self._sums: dict[tuple[str, str], _Sum] = {}

    def note(self, type_: str, info: str, *, identity: str = "", peer: str = "") -> None:
        """Store an event: at once if none of its charge point and type was stored within a minute, else later."""
        charge_point_id = identity if identity and self._knows(identity) else ""
        key, now = (charge_point_id, type_), self._monotonic()
        found = self._sums.get(key)
        if found is None:
            found = self._sums[key] = _Sum(now - WINDOW_S)
        found.count += 1
        found.info, found.peer, found.identity = info[:INFO_CHARS], peer, shortened(identity)
        if now - found.stored_at >= WINDOW_S:
            self._put(key, found, now)

    def sweep(self) -> None:
        """Store what has come since, and forget what is over."""
        now = self._monotonic()
        for key, found in list(self._sums.items()):
            if now - found.stored_at < WINDOW_S:
                continue
            if found.count:
                self._put(key, found, now)
            else:
                del self._sums[key]

    def _put(self, key: tuple[str, str], found: _Sum, now: float) -> None:
        charge_point_id, type_ = key
        data = {"type": type_, "info": found.info, "count": found.count, "peer": found.peer}
        if found.identity != shortened(charge_point_id):
            data["identity"] = found.identity
        found.stored_at, found.count = now, 0
        self._store.add_event(
            Event(charge_point_id=charge_point_id, kind=OWN_SECURITY, received_at=self._now(), data=data)
        )
