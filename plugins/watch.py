"""Watch: the bundled plugin that raises alerts about what no message tells.

Off unless the settings name it. It watches for charge points that are away for long, connectors that stay faulted,
transactions in which no energy flows, and clocks that are wrong. Each finding is an alert when it begins, `AlertRaised`
with the source "watch", and one with the severity 8 and `over` in its data when it is over.

The one rule: it only listens. What comes twice or late changes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import msgspec

from .. import (
    Api,
    ChargePointOffline,
    ChargePointOnline,
    MeterValuesReceived,
    Plugin,
    ResourceRequest,
    StatusChanged,
    TransactionEnded,
    TransactionFilter,
    TransactionStarted,
    TransactionUpdated,
    asks_server,
    on,
    resource,
    setting,
    show_table,
    shows,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .. import Transaction

SILENT, FAULTED, NO_ENERGY, CLOCK = "silent", "faulted", "no energy", "clock"
"""Subjects of the alerts."""
SOURCE = "watch"
OVER = 8
"""Severity of what is over: it informs."""
FAULT = "Faulted"
FULL = frozenset({"SuspendedEV", "Finishing"})
"""States of a connector, or of charging, in which no energy is wanted."""
AHEAD_AND_BEHIND = 5
"""Times of messages that a judgement of a clock needs: what was queued comes late, and is no proof."""
OPEN_LIMIT = 10_000
"""Open transactions that are taken up at the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """Settings of the watch; 0 seconds turns a check off."""

    silent_s: float = setting(3600.0, "Seconds that a charge point may be away.", least=0)
    faulted_s: float = setting(1800.0, "Seconds that a connector may be faulted.", least=0)
    no_energy_s: float = setting(
        3600.0, "Seconds of a transaction without energy, while the car wants some.", least=0
    )
    clock_s: float = setting(300.0, "Seconds by which a charge point's clock may be wrong.", least=0)
    check_s: float = setting(30.0, "Seconds between two looks.", least=1)
    severity: int = setting(4, "Severity of the alerts, from 0, danger, to 9, debugging.", least=0, most=9)


class Finding(msgspec.Struct, frozen=True):
    """Finding that goes on: what is wrong, of which part, and since when."""

    charge_point: str
    subject: str
    part: str
    since: dt.datetime
    text: str


class _Charging:
    """Transaction that is watched: when its register rose last."""

    __slots__ = ("charge_point_id", "evse", "full", "register_wh", "rose_at", "told")

    def __init__(self, charge_point_id: str, evse: int, at: dt.datetime, register_wh: float | None) -> None:
        self.charge_point_id = charge_point_id
        self.evse = evse
        self.rose_at = at
        self.register_wh = register_wh
        self.full = False
        self.told = False  # a figure has come


class Watch(Plugin):
    """Watches for what is silent, faulted, without energy or out of time."""

    settings_class = WatchSettings

    def __init__(self, settings: WatchSettings) -> None:
        super().__init__()
        self._own = settings
        self._away: dict[str, dt.datetime] = {}
        self._faulted: dict[tuple[str, str], dt.datetime] = {}
        self._charging: dict[int, _Charging] = {}
        self._lags: dict[str, deque[float]] = {}
        self._found: dict[tuple[str, str, str], Finding] = {}

    def on_start(self) -> None:
        """Take up what the store knows, and look from now on."""
        now = self.now()
        for charge_point_id in self.system.store.registrations():
            known = self.system.charge_point(charge_point_id)
            if known is None or not known.connected:
                self._away[charge_point_id] = now
            else:
                self._look_at_connectors(charge_point_id)
        wanted = TransactionFilter(open_only=True)
        for one in self.system.store.transactions(wanted, limit=OPEN_LIMIT):
            self._watch_transaction(one, now)
        self.call_later(self._own.check_s, self._look)

    # -- What happens ----------------------------------------------------------------------------

    @on(ChargePointOnline)
    def online(self, event: ChargePointOnline) -> None:
        """Note that a charge point is there."""
        self._away.pop(event.charge_point_id, None)
        self._end(event.charge_point_id, SILENT, "")
        self._look_at_connectors(event.charge_point_id)

    @on(ChargePointOffline)
    def offline(self, event: ChargePointOffline) -> None:
        """Note since when a charge point is away."""
        self._away.setdefault(event.charge_point_id, event.at)

    @on(StatusChanged)
    def status_changed(self, event: StatusChanged) -> None:
        """Note since when a connector is faulted, and that a car wants no more energy."""
        self._note_status(event.charge_point_id, f"{event.evse}/{event.connector}", event.status, event.at)
        for one in self._of_connector(event.charge_point_id, event.evse):
            one.full = event.status in FULL

    @on(TransactionStarted)
    def started(self, event: TransactionStarted) -> None:
        """Watch a transaction."""
        if event.transaction.open:
            self._watch_transaction(event.transaction, event.at)

    @on(TransactionUpdated)
    def updated(self, event: TransactionUpdated) -> None:
        """Note whether energy flows."""
        one = self._charging.get(event.transaction_id)
        if one is None or one.charge_point_id != event.charge_point_id:
            return
        if event.charging_state:
            one.full = event.charging_state in FULL
        if event.register_wh is None and event.power_w is None:
            return
        before_wh, register_wh = one.register_wh, event.register_wh
        rose = bool(event.power_w) or (
            register_wh is not None and before_wh is not None and register_wh > before_wh
        )
        one.told = True
        if register_wh is not None:
            one.register_wh = register_wh
        if rose:
            one.rose_at = event.at
            self._end(one.charge_point_id, NO_ENERGY, str(event.transaction_id))

    @on(TransactionEnded)
    def ended(self, event: TransactionEnded) -> None:
        """Watch a transaction no more."""
        self._charging.pop(event.transaction.id, None)
        self._end(event.charge_point_id, NO_ENERGY, str(event.transaction.id))

    @on(MeterValuesReceived)
    def metered(self, event: MeterValuesReceived) -> None:
        """Compare the clock of a charge point with ours, by its last values."""
        times = list(_times(event.meter_values))
        if not times or not self._own.clock_s:
            return
        lags = self._lags.setdefault(event.charge_point_id, deque(maxlen=AHEAD_AND_BEHIND))
        lags.append((event.at - max(times)).total_seconds())
        self._judge_clock(event.charge_point_id, lags)

    # -- What is seen ----------------------------------------------------------------------------

    def _look(self) -> None:
        now, own = self.now(), self._own
        for charge_point_id, since in list(self._away.items()):
            if _is_over(since, now, own.silent_s):
                self._begin(charge_point_id, SILENT, "", since, f"away since {_text(since)}")
        for (charge_point_id, part), since in list(self._faulted.items()):
            if _is_over(since, now, own.faulted_s):
                self._begin(charge_point_id, FAULTED, part, since, f"connector {part} since {_text(since)}")
        for id_, one in list(self._charging.items()):
            if not one.full and _is_over(one.rose_at, now, own.no_energy_s):
                what = "no energy" if one.told else "no meter values"
                text = f"transaction {id_}: {what} since {_text(one.rose_at)}"
                self._begin(one.charge_point_id, NO_ENERGY, str(id_), one.rose_at, text)
        self.call_later(own.check_s, self._look)

    def _judge_clock(self, charge_point_id: str, lags: deque[float]) -> None:
        limit_s = self._own.clock_s
        # What was measured cannot come before it was; late is what was queued, unless everything is.
        ahead_s, behind_s = -min(lags), min(lags)
        full = len(lags) == lags.maxlen
        if ahead_s > limit_s:
            text = f"its clock is {ahead_s:.0f} s ahead"
        elif full and behind_s > limit_s:
            text = f"its clock is {behind_s:.0f} s behind"
        else:
            if full:
                self._end(charge_point_id, CLOCK, "")
            return
        self._begin(charge_point_id, CLOCK, "", self.now(), text)

    def _watch_transaction(self, transaction: Transaction, at: dt.datetime) -> None:
        if transaction.id not in self._charging:
            evse = transaction.connector_id if transaction.evse_id is None else transaction.evse_id
            self._charging[transaction.id] = _Charging(
                transaction.charge_point_id, evse, at, transaction.meter_start
            )

    def _of_connector(self, charge_point_id: str, evse: int) -> Iterator[_Charging]:
        for one in self._charging.values():
            if one.charge_point_id == charge_point_id and one.evse == evse:
                yield one

    def _look_at_connectors(self, charge_point_id: str) -> None:
        """Take up the statuses that a charge point has told before, also to an earlier process."""
        known = self.system.charge_point(charge_point_id)
        for place, told in known.connectors.items() if known is not None else ():
            message: Any = told
            status = getattr(message, "status", None) or getattr(message, "connector_status", "")
            part = place if isinstance(place, str) else f"{place}/{min(place, 1)}"
            self._note_status(charge_point_id, part, str(status), self.now())

    def _note_status(self, charge_point_id: str, part: str, status: str, at: dt.datetime) -> None:
        if status == FAULT:
            self._faulted.setdefault((charge_point_id, part), at)
        elif self._faulted.pop((charge_point_id, part), None) is not None:
            self._end(charge_point_id, FAULTED, part)

    # -- Findings --------------------------------------------------------------------------------

    def _begin(self, charge_point_id: str, subject: str, part: str, since: dt.datetime, text: str) -> None:
        key = (charge_point_id, subject, part)
        if key not in self._found:
            self._found[key] = Finding(charge_point_id, subject, part, since, text)
            self._alert(self._found[key], self._own.severity, text, over=False)

    def _end(self, charge_point_id: str, subject: str, part: str) -> None:
        found = self._found.pop((charge_point_id, subject, part), None)
        if found is not None:
            self._alert(found, OVER, f"over: {found.text}", over=True)

    def _alert(self, found: Finding, severity: int, text: str, *, over: bool) -> None:
        self.system.raise_alert(
            found.charge_point,
            severity=severity,
            source=SOURCE,
            subject=found.subject,
            text=text,
            data={"part": found.part, "since": _text(found.since), "over": over},
        )

    @resource("GET", "findings")
    def findings(self, _request: ResourceRequest) -> dict[str, Any]:
        """List what goes on, the oldest first."""
        return {"findings": sorted(self._found.values(), key=lambda one: one.since)}


def _is_over(since: dt.datetime, now: dt.datetime, limit_s: float) -> bool:
    return limit_s > 0 and (now - since).total_seconds() >= limit_s


def _text(at: dt.datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def _times(meter_values: Iterable[Any]) -> Iterator[dt.datetime]:
    """Yield the times of meter values that can be read; one without a zone proves nothing."""
    for one in meter_values:
        text = one.get("timestamp") if isinstance(one, dict) else None
        try:
            at = dt.datetime.fromisoformat(text) if isinstance(text, str) else None
        except ValueError:
            continue
        if at is not None and at.tzinfo is not None:
            yield at


# -- Commands --------------------------------------------------------------------------------


def _show(told: Mapping[str, Any]) -> None:
    rows = [(one["charge_point"], one["subject"], one["since"], one["text"]) for one in told["findings"]]
    show_table(("charge point", "subject", "since", "text"), rows, "nothing is wrong")


@click.command()
@click.option("--plugin", default="watch", show_default=True, help="Name of the plugin in the settings.")
@shows(_show)
@asks_server
def command(api: Api, plugin: str) -> Any:
    """Show what is silent, faulted, without energy or out of time."""
    return api.get("plugins", plugin, "findings")
