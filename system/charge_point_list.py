"""List of charge points: one row for each, with what an operator looks for, found by a filter and read page by page.

The one rule: a page costs a walk over what is in memory and at most a few queries, however many charge points there
are; nothing of it is on the way of a message.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import gevent
import msgspec

from ..protocol.actions import BootFacts
from ..protocol.energy import latest_power_w
from ..protocol.errors import Refused
from ..protocol.events import EventFacts, StatusChanged
from ..protocol.payload import encode, lenient
from ..protocol.versions import version_named
from ..remote.cluster.coordinator import CoordinatorUnavailable
from .charge_point_filter import BOOT, alike, registered

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from ..actors.runtime.timers import Clock
    from ..actors.session.cell import ChargePointCell
    from ..actors.session.directory import Directory
    from ..protocol.actions import Action, Version
    from ..protocol.message import Message
    from ..remote.cluster.cluster import Cluster
    from ..store.records import MeterReading, StoredRegistration, Told
    from ..store.store import Store

AT_A_TIME = 200
"""Charge points looked at before other greenlets have their turn, and asked the store for with one query."""
NEVER = dt.datetime.fromtimestamp(0, dt.UTC)
POWER = "power_w"
"""Member of a row that needs a query of its own."""


class ConnectorRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Last status of a connector; connector 0 of EVSE 0 is the whole charge point. Words are those of its version."""

    evse: int
    connector: int
    status: str
    error: str = ""
    since: dt.datetime | None = None
    """Time of the status by the charge point's clock; None if it told none."""
    info: str = ""


class ChargePointRow(msgspec.Struct, frozen=True, kw_only=True):
    """Charge point in a list."""

    id: str
    name: str = ""
    """Part of the path template that is called `{name}`."""
    version: str | None = None
    """Version of OCPP of its last connection, or registration."""
    connected: bool = False
    connected_at: dt.datetime | None = None
    disconnected_at: dt.datetime | None = None
    peer: str = ""
    secure: bool = False
    registration: str | None = None
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    serial_numbers: list[str] = []
    connectors: list[ConnectorRow] = []
    power_w: float | None = None
    """Power of its open transactions by their latest readings; None if they tell none."""
    flags: list[str] = []
    """Codes of what is odd: `deviations`, `ignored`, `paused`, `breaker_open`."""
    heard_at: dt.datetime | None = None
    """Time of its last message, as far as it is known."""
    node: str = ""
    """Process of the cluster that has its session; empty for none."""
    worker: int | None = None
    """Number of that process among the worker processes of its machine."""


FIELDS = tuple(field.name for field in msgspec.structs.fields(ChargePointRow))
FLAGS = ("deviations", "ignored", "paused", "breaker_open")


class ChargePointQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Choice of charge points for a list. What is empty or None chooses all; texts mind no case, but `id` does.

    Patterns are those of a shell: `*` is any text, `?` any character, `[ab]` one of these.
    """

    stored: bool = False
    """True to include those that only the store knows."""
    connected: bool | None = None
    status: frozenset[str] = frozenset()
    """Statuses, in lower case: one of its connectors has one of these."""
    id: str = ""
    ids: frozenset[str] = frozenset()
    """Exact ids."""
    vendor: str = ""
    model: str = ""
    firmware: str = ""
    firmware_below: str = ""
    """Firmware that is newer than that of each chosen one; numbers in it are compared as numbers."""
    version: frozenset[str] = frozenset()
    registration: str = ""
    flag: frozenset[str] = frozenset()
    silent_s: float | None = None
    """Seconds for which no message has come, or more."""
    node: str = ""
    worker: int | None = None
    q: str = ""
    """Text that id, name, vendor, model, firmware or a serial number contains."""


class ChargePointPage(NamedTuple):
    """Page of a list, in the order of ids, and whether there are further rows."""

    rows: list[ChargePointRow]
    more: bool


class _Known:
    """Charge point whose facts are read as far as a filter and a row need them; this one only the store knows."""

    connected = False
    name = peer = ""
    secure = False
    connected_at: float | None = None
    disconnected_at: float | None = None
    node = ""
    worker: int | None = None

    def __init__(
        self,
        id_: str,
        versions: Mapping[str, Version],
        registration: StoredRegistration | None = None,
        told: Sequence[Told] = (),
    ) -> None:
        self.id = id_
        self._versions = versions
        self._registered = registration
        self._told = told

    @property
    def version(self) -> str | None:
        return self._registered.version or None if self._registered is not None else None

    @property
    def registration(self) -> str | None:
        return self._registered.status if self._registered is not None else None

    @cached_property
    def flags(self) -> Sequence[str]:
        return ()

    @cached_property
    def heard_at(self) -> float | None:
        return max((one.received_at.timestamp() for one in self._told), default=None)

    @cached_property
    def boot(self) -> BootFacts:
        for one in self._told:
            version = version_named(self._versions, one.version)
            if one.item == BOOT and version is not None:
                return version.boot_facts(one.payload)
        return BootFacts()

    @cached_property
    def connectors(self) -> list[ConnectorRow]:
        return connectors_of(read_again(self._told, self._versions))

    def row(self, power_w: float | None = None) -> ChargePointRow:
        boot = self.boot
        return ChargePointRow(
            id=self.id,
            name=self.name,
            version=self.version,
            connected=self.connected,
            connected_at=_moment(self.connected_at),
            disconnected_at=_moment(self.disconnected_at),
            peer=self.peer,
            secure=self.secure,
            registration=self.registration,
            vendor=boot.vendor,
            model=boot.model,
            firmware=boot.firmware,
            serial_numbers=list(boot.serial_numbers),
            connectors=self.connectors,
            power_w=power_w,
            flags=list(self.flags),
            heard_at=_moment(self.heard_at),
            node=self.node,
            worker=self.worker,
        )


class _Seen(_Known):
    """Charge point with a session in this process."""

    def __init__(
        self, cell: ChargePointCell, versions: Mapping[str, Version], broken: Collection[str], where: _Here
    ) -> None:
        super().__init__(cell.charge_point.id, versions)
        facts = self._facts = cell.charge_point
        self._cell = cell
        self._broken = broken
        self._where = where
        self.name = facts.name
        self.connected = facts.connected
        self.peer, self.secure = facts.peer, facts.secure
        self.connected_at, self.disconnected_at = facts.connected_at, facts.disconnected_at
        if self.connected:
            self.node, self.worker = where.node, where.worker

    @property
    def version(self) -> str | None:
        return self._facts.version

    @property
    def registration(self) -> str | None:
        told = self._facts.registration
        return None if told is None else str(told)

    @cached_property
    def heard_at(self) -> float | None:
        recorder, clock = self._cell.recorder, self._where.clock
        at = None if recorder is None else recorder.last_in()
        if at is not None:
            return clock.time() - (clock.monotonic() - at)
        return self.connected_at or self.disconnected_at

    @cached_property
    def boot(self) -> BootFacts:
        told = self._facts.boot
        if told is None:
            return BootFacts()
        version = version_named(self._versions, told.__action__.version)  # type: ignore[attr-defined]
        return BootFacts() if version is None else version.boot_facts(encode(told))

    @cached_property
    def connectors(self) -> list[ConnectorRow]:
        return connectors_of(self._facts.connectors.values())

    @cached_property
    def flags(self) -> Sequence[str]:
        connection = self._cell.connection
        found = (
            bool(self._facts.deviations),
            bool(self._facts.ignored),
            connection is not None and bool(connection.paused),
            self.id in self._broken,
        )
        return [flag for flag, is_so in zip(FLAGS, found, strict=True) if is_so]


class _Here(NamedTuple):
    """Process as a row names it, and its clock."""

    node: str
    worker: int | None
    clock: Clock


class ChargePointList:
    """List of the charge points of this process and of the store. `broken` gives pairs with an open circuit breaker."""

    def __init__(
        self,
        directory: Directory,
        store: Store,
        versions: Mapping[str, Version],
        *,
        cluster: Cluster | None,
        worker: int | None,
        clock: Clock,
        broken: Callable[[], Iterable[tuple[str, str]]],
        naive_zone: dt.tzinfo | None = dt.UTC,
    ) -> None:
        self._directory = directory
        self._store = store
        self._versions = versions
        self._cluster = cluster
        self._broken = broken
        self._naive_zone = naive_zone
        self._here = _Here("" if cluster is None else cluster.node, worker, clock)

    def page(
        self, wanted: ChargePointQuery, *, after: str = "", limit: int, fields: Collection[str] = FIELDS
    ) -> ChargePointPage:
        """Return the charge points behind an id that a query chooses. Switches greenlets.

        `power_w` is read only if it is among `fields`. Raises `StoreError`.
        """
        found = list(islice(self._chosen(wanted, after), limit + 1))
        powers = self._powers(found[:limit]) if POWER in fields else {}
        rows = []
        for number, one in enumerate(found[:limit], 1):
            rows.append(one.row(powers.get(one.id)))
            if number % AT_A_TIME == 0:
                gevent.sleep(0)
        return ChargePointPage(rows, len(found) > limit)

    def _chosen(self, wanted: ChargePointQuery, after: str) -> Iterator[_Known]:
        chosen = _Choice(wanted, self._here.clock.time())
        ids = sorted(id_ for id_ in self._ids(wanted) if id_ > after)
        broken = {charge_point for charge_point, _ in self._broken()}
        for place in range(0, len(ids), AT_A_TIME):
            for known in self._looked_at(ids[place : place + AT_A_TIME], broken):
                if chosen.matches(known):
                    yield known
            gevent.sleep(0)

    def _looked_at(self, ids: Sequence[str], broken: Collection[str]) -> Iterator[_Known]:
        cells = {id_: self._directory.find(id_) for id_ in ids}
        unknown = [id_ for id_, cell in cells.items() if cell is None]
        told = self._store.told_by(unknown) if unknown else {}
        registered_ = self._store.find_registrations(unknown) if unknown else {}
        for id_, cell in cells.items():
            if cell is not None:
                yield _Seen(cell, self._versions, broken, self._here)
            else:
                yield _Known(id_, self._versions, registered_.get(id_), told.get(id_, ()))

    def _ids(self, wanted: ChargePointQuery) -> set[str]:
        """Return the ids among which is chosen: those that another process of the cluster holds are its own."""
        cells = {cell.charge_point.id: cell.charge_point.connected for cell in self._directory}
        ids = {id_ for id_, connected in cells.items() if wanted.connected in (None, connected)}
        if wanted.stored and not wanted.connected:
            collections = self._store.collections
            held = (*collections.credentials, *collections.security_profiles)
            stored = {*registered(self._store), *(one.charge_point_id for one in held)}
            ids |= stored - cells.keys()
        if wanted.ids:
            ids &= wanted.ids
        if any(not cells.get(id_) for id_ in ids):
            ids -= {id_ for id_ in self._held_elsewhere() if not cells.get(id_)}
        return ids

    def _held_elsewhere(self) -> set[str]:
        if self._cluster is None:
            return set()
        try:
            held = self._cluster.charge_points()
        except CoordinatorUnavailable:
            return set()
        return {id_ for id_, node in held.items() if node != self._here.node}

    def _powers(self, known: Sequence[_Known]) -> dict[str, float]:
        """Return the power of the charge points of a page that tell one."""
        opened = {
            transaction.id: one.id
            for one in known
            if one.connected
            for transaction in self._store.open_transactions(one.id, limit=AT_A_TIME)
        }
        powers: dict[str, float] = {}
        numbers = list(opened)
        for place in range(0, len(numbers), AT_A_TIME):
            for reading in self._store.last_readings(numbers[place : place + AT_A_TIME]):
                charge_point = opened.get(reading.transaction_id or 0)
                power_w = self._power_w(reading) if charge_point == reading.charge_point_id else None
                if power_w is not None:
                    powers[reading.charge_point_id] = powers.get(reading.charge_point_id, 0) + power_w
        return powers

    def _power_w(self, reading: MeterReading) -> float | None:
        version = version_named(self._versions, reading.version)
        return (
            None
            if version is None
            else latest_power_w(version.samples(reading.values, self._naive_zone).samples)
        )


class _Choice:
    """Choice of a query at a time."""

    def __init__(self, wanted: ChargePointQuery, now: float) -> None:
        self._wanted = wanted
        self._boots = bool(wanted.vendor or wanted.model or wanted.firmware or wanted.firmware_below)
        self._below = firmware_order(wanted.firmware_below)
        self._heard_before = None if wanted.silent_s is None else now - wanted.silent_s
        self._text = wanted.q.casefold()

    def matches(self, known: _Known) -> bool:
        """Return whether the query chooses this one; what costs least is looked at first."""
        wanted = self._wanted
        return (
            (wanted.connected is None or known.connected is wanted.connected)
            and (not wanted.id or alike(known.id, wanted.id, exact=True))
            and (not wanted.node or known.node == wanted.node)
            and (wanted.worker is None or known.worker == wanted.worker)
            and (not wanted.version or known.version in wanted.version)
            and (not wanted.registration or alike(known.registration or "", wanted.registration))
            and (self._heard_before is None or (known.heard_at or 0.0) <= self._heard_before)
            and (not wanted.flag or not wanted.flag.isdisjoint(known.flags))
            and (not wanted.status or any(one.status.casefold() in wanted.status for one in known.connectors))
            and (not self._boots or self._boot_matches(known.boot))
            and (not self._text or self._is_in(known))
        )

    def _boot_matches(self, boot: BootFacts) -> bool:
        wanted = self._wanted
        return (
            alike(boot.vendor, wanted.vendor)
            and alike(boot.model, wanted.model)
            and alike(boot.firmware, wanted.firmware)
            and (
                not wanted.firmware_below
                or (bool(boot.firmware) and firmware_order(boot.firmware) < self._below)
            )
        )

    def _is_in(self, known: _Known) -> bool:
        boot = known.boot
        texts = (known.id, known.name, boot.vendor, boot.model, boot.firmware, *boot.serial_numbers)
        return any(self._text in text.casefold() for text in texts)


_PART = re.compile(r"[0-9]+|[^\W\d_]+")
_NUMBER = re.compile(r"[0-9]")


def firmware_order(firmware: str) -> tuple[tuple[int, int, str], ...]:
    """Return the sort key of a version of firmware: 1.9 is before 1.10, 1.4rc2 before 1.4.

    Letters in front of the first digit are left out.
    """
    number = _NUMBER.search(firmware)
    parts = _PART.findall(firmware[number.start() :] if number is not None else firmware)
    # Letters come before the end, which comes before another number.
    order = [(2, int(part), "") if part.isdecimal() else (0, 0, part.casefold()) for part in parts]
    return (*order, (1, 0, ""))


def read_again(told: Iterable[Told], versions: Mapping[str, Version]) -> Iterator[Message]:
    """Yield stored messages as far as they can be read."""
    for one in told:
        version = version_named(versions, one.version)
        action = version.actions.get(one.action) if version is not None else None
        if action is not None:
            with contextlib.suppress(Refused):
                yield lenient(action.request, one.payload, received_at=one.received_at)[0]


def connectors_of(messages: Iterable[Message]) -> list[ConnectorRow]:
    """Return the statuses that messages tell, in the same members for all versions, by EVSE and connector."""
    found = []
    for message in messages:
        action: Action = message.__action__  # type: ignore[attr-defined]
        make = action.events.get(StatusChanged)
        told = None if make is None else make(EventFacts("", NEVER, message, b"", None))
        if isinstance(told, StatusChanged):
            since: Any = getattr(message, "timestamp", None)
            found.append(
                ConnectorRow(
                    evse=told.evse,
                    connector=told.connector,
                    status=told.status,
                    error=told.error_code,
                    since=_utc(since) if isinstance(since, dt.datetime) else None,
                    info=told.info,
                )
            )
    return sorted(found, key=lambda one: (one.evse, one.connector))


def _utc(at: dt.datetime) -> dt.datetime:
    """Return a time in UTC; the first and the last hours that there are keep their zone."""
    with contextlib.suppress(OverflowError):
        return at.astimezone(dt.UTC)
    return at


def _moment(seconds: float | None) -> dt.datetime | None:
    return None if seconds is None else dt.datetime.fromtimestamp(round(seconds, 3), dt.UTC)
