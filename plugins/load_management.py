"""Load management: the bundled plugin that shares the limit of a site among its charge points.

Off unless the settings name it, with the scope "cluster". Each charge point has a limit of its own, set by the verb
`limit`. Whatever charge points may draw is reserved for them: what they have accepted last, what they were sent and
have not answered yet, and all that they can draw as long as nothing is known.

The one rule: nobody is given more before somebody else has accepted less, so that the sum of what all may draw is
never above the limit.
"""

from __future__ import annotations

import datetime as dt
import logging
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

import click
import msgspec

from .. import (
    Api,
    Booted,
    ChargePointOffline,
    ChargePointOnline,
    CommandEnded,
    MeterValuesReceived,
    Plugin,
    ResourceRefused,
    ResourceRequest,
    StatusChanged,
    TicketError,
    TicketState,
    TransactionEnded,
    TransactionFilter,
    TransactionStarted,
    TransactionUpdated,
    VerbRefused,
    asks_server,
    on,
    resource,
    setting,
    show_table,
    shows,
)
from .load_allocation import Claim, allocate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .. import Ticket, Transaction

logger = logging.getLogger(__name__)

SOURCE = "load management"
PHASES, TOTAL = ("L1", "L2", "L3"), "sum"
WANTS = frozenset({"Charging", "SuspendedEVSE"})
"""States of a connector, or of charging, in which a vehicle takes current, or would."""
FULL = frozenset({"SuspendedEV", "EVConnected", "Idle"})
"""States in which a vehicle takes nothing, and may want some again."""
IN_DOUBT = frozenset({TicketState.TIMED_OUT, TicketState.OUTCOME_UNKNOWN})
"""Final states of a limit that may be in force."""
STATION_MAXIMUM = frozenset({"ChargePointMaxProfile", "ChargingStationMaxProfile"})
OPEN_LIMIT = 10_000
"""Open transactions that are taken up at the start."""
CHECK_S = 15.0
"""Seconds between two plans, if nothing happens."""
NOTHING = 10
"""Tenths of an ampere that no vehicle charges with."""
SPARE = 20
"""Tenths of an ampere that a vehicle is given above what it takes, so that it shows when it wants more."""
LOOKS = 3
"""Readings in a row by which a vehicle is known to take less than it may."""
OLD = dt.timedelta(minutes=5)
"""Age of a reading that says nothing of now."""
Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
DAYS: tuple[Day, ...] = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Time of the day with a limit of its own; one that ends before it begins goes over midnight."""

    begin: str = setting(
        "00:00", "Begin, in the time zone of the site.", pattern=CLOCK, wanted='a time as "22:00"'
    )
    end: str = setting("00:00", "End, which is no part of it.", pattern=CLOCK, wanted='a time as "06:00"')
    days: tuple[Day, ...] = setting((), "Days on which it begins; empty means all.")
    limit_a: float = setting(0.0, "Amperes of each phase; 0: that of the site.", least=0)
    limit_w: float = setting(0.0, "Watts of all phases together; 0: those of the site.", least=0)

    def holds(self, at: dt.datetime) -> bool:
        """Return whether it holds at a local time."""
        now, begin, end = f"{at:%H:%M}", self.begin, self.end
        over = begin >= end
        day = DAYS[(at - dt.timedelta(days=1) if over and now < begin else at).weekday()]
        inside = (now >= begin or now < end) if over else begin <= now < end
        return inside and (not self.days or day in self.days)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Connection of some charge points of a site."""

    charge_points: tuple[str, ...] = setting((), 'Charge points, as "DE-*".')
    phases: str = setting(
        "123",
        "Phases of the site that its first, second and third are connected to.",
        pattern="[123]|123|231|312|132|213|321",
        wanted='"1", "2", "3", "123", "231", ...',
    )
    max_a: float = setting(32.0, "Amperes of each phase that it can draw.", above=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Priority:
    """Weight of some tags."""

    tags: tuple[str, ...] = setting((), "Tags, or groups (parent tags).")
    weight: int = setting(1, "Shares and turns beside the 1 of others.", least=1, most=1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Site: a limit, and the charge points that share it."""

    name: str = setting("", "Name.", pattern=r"[A-Za-z0-9_.-]{1,100}", wanted="letters, digits, - _ .")
    charge_points: tuple[str, ...] = setting((), 'Charge points, as "DE-*".')
    limit_a: float = setting(0.0, "Amperes of each phase; 0: no such limit.", least=0)
    limit_w: float = setting(0.0, "Watts of all phases together; 0: no such limit.", least=0)
    schedule: tuple[Period, ...] = setting((), "Times with other limits; the first that holds counts.")
    zone: str = setting("UTC", "Time zone of the schedule, as Europe/Berlin.")
    meter: bool = setting(False, "Whether a meter reports what the site draws; the limit is of both.")  # noqa: FBT003
    meter_stale_s: float = setting(60.0, "Seconds after which a reading of it counts no more.", above=0)
    meter_silent_a: float = setting(
        0.0, "Amperes of each phase for charging while the meter is silent.", least=0
    )
    volts: float = setting(230.0, "Voltage between a phase and neutral.", above=0)
    least_a: float = setting(6.0, "Amperes below which no vehicle charges.", above=0)
    safe_a: float = setting(0.0, "Amperes that are kept for each, also while it is silent and idle.", least=0)
    turn_min: float = setting(15.0, "Minutes of a turn, where the limit does not carry all.", above=0)
    retry_s: float = setting(60.0, "Seconds after which one that refused is asked again.", above=0)
    wiring: tuple[Wiring, ...] = setting((), "Connections; the first that names a charge point counts.")
    priorities: tuple[Priority, ...] = setting((), "Weights of tags; the first that names one counts.")

    def has(self, charge_point_id: str) -> bool:
        """Return whether a charge point belongs to it."""
        return any(fnmatchcase(charge_point_id, one) for one in self.charge_points)

    def connection(self, charge_point_id: str) -> Wiring:
        """Return how a charge point is connected."""
        for one in self.wiring:
            if any(fnmatchcase(charge_point_id, pattern) for pattern in one.charge_points):
                return one
        return Wiring()

    def limits(self, at: dt.datetime) -> dict[str, int]:
        """Return the capacities that hold at a time, by its settings alone."""
        local = at.astimezone(ZoneInfo(self.zone))
        period = next((one for one in self.schedule if one.holds(local)), Period())
        amps, watts = period.limit_a or self.limit_a, period.limit_w or self.limit_w
        found = dict.fromkeys(PHASES, _tenths(amps)) if amps else {}
        return found | ({TOTAL: _tenths(watts / self.volts)} if watts else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSettings:
    """Settings of load management."""

    sites: tuple[Site, ...] = setting((), "Sites.")

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield what no setting shows alone."""
        if not self.sites:
            yield "sites", "missing: without one there is nothing to share"
        names: set[str] = set()
        for number, site in enumerate(self.sites):
            at = f"sites.{number}"
            if not site.name:
                yield f"{at}.name", "missing"
            elif site.name in names:
                yield f"{at}.name", f'"{site.name}" is the name of another one already'
            names.add(site.name)
            if not site.charge_points:
                yield f"{at}.charge_points", "missing"
            if not site.limit_a and not site.limit_w:
                yield f"{at}.limit_a", "missing: a site has a limit_a, a limit_w or both"
            if site.meter and not site.limit_a:
                yield f"{at}.meter", "needs limit_a"
            try:
                ZoneInfo(site.zone)
            except (ValueError, OSError, LookupError):
                yield f"{at}.zone", f'there is no time zone "{site.zone}"'


def _tenths(amps: float) -> int:
    return int(amps * 10 + 1e-6)


class _Car:
    """EVSE where a transaction goes on, or a vehicle charges without one."""

    __slots__ = ("id_tag", "idle_looks", "register", "status", "transaction_id", "weight")

    def __init__(self) -> None:
        self.transaction_id: int | None = None
        self.id_tag = ""
        self.weight = 1
        self.status = ""
        self.idle_looks = 0
        self.register: tuple[dt.datetime, float] | None = None

    @property
    def there(self) -> bool:
        return self.transaction_id is not None or self.status in WANTS or self.status == "SuspendedEV"

    @property
    def asleep(self) -> bool:
        return self.status in FULL or self.idle_looks >= LOOKS


class _Member:
    """Charge point of a site: what it may draw, what it draws, and who charges there. Tenths of an ampere."""

    def __init__(self, id_: str, site: Site) -> None:
        wiring = site.connection(id_)
        self.id = id_
        self.phases = tuple(f"L{digit}" for digit in wiring.phases)
        self.most = _tenths(wiring.max_a)
        self.accepted: int | None = None  # None: nobody knows
        self.accepted_at: dt.datetime | None = None
        self.doubt = 0  # may be in force instead
        self.excess = 0  # drawn against the limit
        self.confirmed = False  # set since the process, or the charge point, has started
        self.ticket: Ticket[Any] | None = None
        self.asked = 0
        self.target = 0
        self.silent = False
        self.refused_until: dt.datetime | None = None
        self.trouble = ""
        self.cars: dict[int, _Car] = {}
        self.drawn: dict[int, tuple[dt.datetime, dict[str, int]]] = {}  # of each EVSE, by phase
        self.draw: dict[str, int] = {}  # metered last, by phase of the site
        self.useful = self.most
        self.looks_below = 0
        self.told_of = False  # an alert was raised
        self.turn_since: dt.datetime | None = None
        self.waits_since: dt.datetime | None = None

    @property
    def possible(self) -> int:
        """Current that it may draw, whatever becomes of the command that is on its way."""
        known = self.most if self.accepted is None else self.accepted
        return max(known, self.doubt, self.excess, self.asked if self.ticket is not None else 0)

    def note_drawn(self, evse: int, reading: tuple[dt.datetime, dict[str, int]] | None) -> None:
        """Note the last reading of an EVSE; None if nothing is drawn there any more."""
        if reading is None:
            self.drawn.pop(evse, None)
        else:
            self.drawn[evse] = reading
        self.draw = {}
        for _, by_phase in self.drawn.values():
            for phase, tenths in by_phase.items():
                self.draw[phase] = self.draw.get(phase, 0) + tenths

    @property
    def present(self) -> list[_Car]:
        return [car for car in self.cars.values() if car.there]

    def uses(self, *, of_cars: bool) -> dict[str, int]:
        """Return what a tenth of an ampere takes; `of_cars`: of the phases that its vehicles are known to use."""
        phases = self.phases
        if of_cars and any(self.draw.values()):
            known = [phase for phase in phases if self.draw.get(phase, 0) >= NOTHING]
            phases = tuple(known) or phases
        return dict.fromkeys(phases, 1) | {TOTAL: len(phases)}


class _Shared:
    """Site that runs: its members, and its meter."""

    def __init__(self, settings: Site) -> None:
        self.settings = settings
        self.members: dict[str, _Member] = {}
        self.metered: tuple[dt.datetime, dict[str, int]] | None = None

    def capacities(self, now: dt.datetime) -> dict[str, int]:
        """Return what charge points may draw together now."""
        own, found = self.settings, self.settings.limits(now)
        if not own.meter:
            return found
        if self.metered is None or (now - self.metered[0]).total_seconds() > own.meter_stale_s:
            silent = _tenths(own.meter_silent_a)
            return found | {phase: min(found.get(phase, silent), silent) for phase in PHASES}
        for phase in PHASES:
            charging = sum(member.draw.get(phase, 0) for member in self.members.values())
            others = max(self.metered[1].get(phase, 0) - charging, 0)
            found[phase] = max(found[phase] - others, 0)
        return found

    def reserved(self) -> dict[str, int]:
        """Return what all may draw."""
        found: dict[str, int] = {}
        for member in self.members.values():
            for one, uses in member.uses(of_cars=not member.silent and bool(member.present)).items():
                found[one] = found.get(one, 0) + uses * member.possible
        return found


class Meter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Reading of a site's meter: amperes of each phase that are drawn, charge points included."""

    L1: float = 0.0
    L2: float = 0.0
    L3: float = 0.0


class LoadManagement(Plugin):
    """Shares the limits of sites."""

    settings_class = LoadSettings

    def __init__(self, settings: LoadSettings) -> None:
        super().__init__()
        self._sites = [_Shared(site) for site in settings.sites]
        self._by_id: dict[str, tuple[_Shared, _Member] | None] = {}
        self._planned = False

    def on_start(self) -> None:
        """Take up what the store knows: who belongs to a site, what was accepted, and who charges."""
        after = ""
        while page := self.system.store.registered_ids(after, 1000):
            for charge_point_id in page:
                self._member(charge_point_id)
            after = page[-1]
        for one in self.system.store.transactions(TransactionFilter(open_only=True), limit=OPEN_LIMIT):
            self._begin(one)
        self._plan_soon()
        self.call_later(CHECK_S, self._check)

    # -- What happens ----------------------------------------------------------------------------

    @on(ChargePointOnline)
    def online(self, event: ChargePointOnline) -> None:
        """Set the limit of a charge point that has come."""
        self._seen(event.charge_point_id)

    @on(Booted)
    def booted(self, event: Booted) -> None:
        """Set the limit of a charge point again: it may have lost it."""
        self._seen(event.charge_point_id)

    def _seen(self, charge_point_id: str) -> None:
        found = self._member(charge_point_id)
        if found is not None:
            member = found[1]
            member.silent = member.confirmed = False
            member.refused_until = None
            self._plan_soon()

    @on(ChargePointOffline)
    def offline(self, event: ChargePointOffline) -> None:
        """Hold what a charge point may draw, until it is back."""
        found = self._member(event.charge_point_id)
        if found is not None:
            site, member = found
            member.silent, member.confirmed = True, False
            member.refused_until = self.now() + dt.timedelta(seconds=site.settings.retry_s)
            self._plan_soon()

    @on(StatusChanged)
    def status_changed(self, event: StatusChanged) -> None:
        """Note who wants to charge."""
        found = self._member(event.charge_point_id)
        if found is None or not event.evse:
            return
        car = found[1].cars.setdefault(event.evse, _Car())
        car.status, car.idle_looks = event.status, 0
        if not car.there:
            self._gone(found[1], event.evse)
        self._plan_soon()

    @on(TransactionStarted)
    def started(self, event: TransactionStarted) -> None:
        """Note who charges."""
        known = self.system.store.transaction(event.transaction.id)
        if known is None or known.open:
            self._begin(event.transaction)
            self._plan_soon()

    @on(TransactionEnded)
    def ended(self, event: TransactionEnded) -> None:
        """Note that somebody charges no more."""
        found = self._member(event.charge_point_id)
        for evse, car in list(found[1].cars.items()) if found is not None else ():
            if found is not None and car.transaction_id == event.transaction.id:
                car.transaction_id, car.status = None, ""
                self._gone(found[1], evse)
                self._plan_soon()

    @on(TransactionUpdated)
    def updated(self, event: TransactionUpdated) -> None:
        """Note how much flows, by power or by the register."""
        found = self._member(event.charge_point_id)
        car = found[1].cars.get(event.evse) if found is not None else None
        if found is None or car is None:
            return
        site, member = found
        if event.charging_state:
            woken = car.asleep and event.charging_state in WANTS
            car.status = event.charging_state
            car.idle_looks = 0 if woken else car.idle_looks
            self._plan_soon()
        watts, before = event.power_w, car.register
        if event.register_wh is not None:
            car.register = event.at, event.register_wh
            if watts is None and before is not None and event.at > before[0]:
                hours = (event.at - before[0]).total_seconds() / 3600
                watts = (event.register_wh - before[1]) / hours
        told = member.drawn.get(event.evse)
        if watts is None or (told is not None and told[0] == event.at):
            return
        since = event.at if event.power_w is not None or before is None else before[0]
        phases = [phase for phase in member.phases if told is not None and told[1].get(phase, 0) >= NOTHING]
        phases = phases or list(member.phases)
        amps = max(watts, 0.0) / (site.settings.volts * len(phases))
        self._drawn(found, event.evse, dict.fromkeys(phases, _tenths(amps)), event.at, since)

    @on(MeterValuesReceived)
    def metered(self, event: MeterValuesReceived) -> None:
        """Note how much flows, by the current of each phase if it is told."""
        found = self._member(event.charge_point_id)
        if found is None or not event.evse:
            return
        amps = _currents(event.meter_values, event.at)
        by_phase = {
            phase: _tenths(amps.get(f"L{number}", amps.get("", 0.0)))
            for number, phase in enumerate(found[1].phases, 1)
        }
        if amps:
            self._drawn(found, event.evse, by_phase, event.at, event.at)

    @on(CommandEnded)
    def command_ended(self, event: CommandEnded) -> None:
        """Go on when a limit was accepted, or was not."""
        found = self._by_id.get(event.charge_point_id)
        if found is not None and found[1].ticket is not None and found[1].ticket.id == event.ticket_id:
            self._plan_soon()

    # -- Facts -----------------------------------------------------------------------------------

    def _member(self, charge_point_id: str) -> tuple[_Shared, _Member] | None:
        """Return the site and the member that a charge point is; None if it is of no site."""
        if charge_point_id in self._by_id or not charge_point_id:
            return self._by_id.get(charge_point_id)
        site = next((one for one in self._sites if one.settings.has(charge_point_id)), None)
        found = None
        if site is not None:
            member = site.members[charge_point_id] = _Member(charge_point_id, site.settings)
            member.accepted = self._accepted_before(member, site.settings)
            found = site, member
        self._by_id[charge_point_id] = found
        return found

    def _accepted_before(self, member: _Member, site: Site) -> int | None:
        """Return the limit that a charge point has accepted from an earlier process, or from a person."""
        for profile in self.system.store.collections.profiles.of(member.id):
            if profile.purpose in STATION_MAXIMUM and not profile.source:
                schedule: Any = profile.data.get("chargingSchedule")
                schedule = schedule[0] if isinstance(schedule, list) and schedule else schedule
                try:
                    (period,) = schedule["chargingSchedulePeriod"]
                    amount = float(period["limit"])
                    watts = schedule["chargingRateUnit"] == "W"
                except (KeyError, TypeError, ValueError):
                    return None
                amps = amount / (site.volts * len(member.phases)) if watts else amount
                return min(int(amps * 10 + 0.999), member.most)
        return None

    def _begin(self, transaction: Transaction) -> None:
        found = self._member(transaction.charge_point_id)
        if found is None:
            return
        evse = transaction.connector_id if transaction.evse_id is None else transaction.evse_id
        car = found[1].cars.setdefault(evse, _Car())
        if car.transaction_id == transaction.id:
            return
        car.transaction_id, car.id_tag, car.register = transaction.id, transaction.id_tag, None
        car.status = "" if car.status in FULL else car.status
        tags = {transaction.id_tag.lower()}
        tag = self.system.store.collections.tag_of(transaction.id_tag, transaction.id_type)
        if tag is not None and tag.parent:
            tags.add(tag.parent.lower())
        wanted = (
            one.weight for one in found[0].settings.priorities if tags & {word.lower() for word in one.tags}
        )
        car.weight = next(wanted, 1)
        found[1].useful = found[1].most

    @staticmethod
    def _gone(member: _Member, evse: int) -> None:
        member.note_drawn(evse, None)
        member.useful, member.looks_below = member.most, 0

    def _drawn(
        self,
        found: tuple[_Shared, _Member],
        evse: int,
        by_phase: dict[str, int],
        at: dt.datetime,
        since: dt.datetime,
    ) -> None:
        """Note a reading, and what follows: who wants less or more, who is full, who does not obey.

        `since` is the begin of the time that it is of; one in which the limit was another proves nothing.
        """
        member = found[1]
        member.note_drawn(evse, (at, by_phase))
        car = member.cars.setdefault(evse, _Car())
        most, allowed = max(member.draw.values(), default=0), member.accepted
        steady = member.accepted_at is not None and member.accepted_at < since and member.ticket is None
        if not steady or allowed is None:
            return
        least = _tenths(found[0].settings.least_a)
        own = max(by_phase.values(), default=0)
        before = member.useful, car.asleep
        car.idle_looks = car.idle_looks + 1 if own < NOTHING and allowed >= least else 0
        if own >= NOTHING and car.status in FULL:
            car.status = "Charging"
        if most < allowed - SPARE:
            member.looks_below += 1
            if member.looks_below >= LOOKS:
                member.useful = min(max(-(-most // 10) * 10 + SPARE, least), member.most)
        else:
            member.looks_below = 0
            if most >= allowed - NOTHING:
                member.useful = member.most
        if most > max(allowed, member.doubt) + NOTHING:
            member.excess = most
            member.confirmed = False
            self._tell_of(member, f"draws {most / 10:g} A of {allowed / 10:g} A")
        elif member.excess:
            member.excess, member.told_of, member.trouble = 0, False, ""
        if before != (member.useful, car.asleep) or not member.confirmed or found[0].settings.meter:
            self._plan_soon()

    def _tell_of(self, member: _Member, text: str) -> None:
        member.trouble = text
        if not member.told_of:
            member.told_of = True
            self.system.raise_alert(member.id, severity=4, source=SOURCE, subject="limit not kept", text=text)

    # -- Plans -----------------------------------------------------------------------------------

    def _plan_soon(self) -> None:
        if not self._planned:
            self._planned = True
            self.call_later(0.0, self._plan)

    def _check(self) -> None:
        self.call_later(CHECK_S, self._check)
        self._plan_soon()

    def _plan(self) -> None:
        """Compare what everybody may draw with what it should, and send limits: less first."""
        self._planned = False
        now = self.now()
        for site in self._sites:
            for member in site.members.values():
                self._settle(member, site.settings, now)
            capacities = site.capacities(now)
            # A watt limit alone says nothing of phases, and the other way round.
            claims = [
                msgspec.structs.replace(
                    claim, uses={one: uses for one, uses in claim.uses.items() if one in capacities}
                )
                for claim in (self._claim(member, site.settings, now) for member in site.members.values())
            ]
            shares = allocate(capacities, claims)
            self._take_turns(site, shares, now)
            self._send_all(site, capacities, shares, now)

    def _claim(self, member: _Member, own: Site, now: dt.datetime) -> Claim:
        cars, least = member.present, _tenths(own.least_a)
        waits = (
            member.silent
            or member.excess
            or (member.refused_until is not None and now < member.refused_until)
        )
        held = member.possible if waits else None
        weight = max((car.weight for car in cars), default=1)
        turn_s = own.turn_min * 60 * weight
        awake = [car for car in cars if not car.asleep]
        needed = min(least * max(len(awake), 1), member.most) if cars else 0
        return Claim(
            id=member.id,
            uses=member.uses(of_cars=held is None and bool(cars)),
            least=needed,
            most=max(member.useful, needed) if cars else 0,
            kept=min(_tenths(own.safe_a), member.most),
            held=held,
            weight=weight * max(len(awake), 1),
            in_turn=member.turn_since is not None and (now - member.turn_since).total_seconds() < turn_s,
            waited_s=0.0 if member.waits_since is None else (now - member.waits_since).total_seconds(),
            asleep=bool(cars) and not awake,
        )

    def _take_turns(self, site: _Shared, shares: Mapping[str, int], now: dt.datetime) -> None:
        own = site.settings
        for member in site.members.values():
            cars = member.present
            if not cars:
                member.turn_since = member.waits_since = None
            elif shares[member.id] >= _tenths(own.least_a):
                turn_s = own.turn_min * 60 * max(car.weight for car in cars)
                since, member.waits_since = member.turn_since, None
                if since is None or (now - since).total_seconds() >= turn_s:
                    member.turn_since = now
            else:
                member.turn_since, member.waits_since = None, member.waits_since or now

    def _send_all(
        self, site: _Shared, capacities: Mapping[str, int], shares: Mapping[str, int], now: dt.datetime
    ) -> None:
        raised: list[_Member] = []
        for member in site.members.values():
            member.target = shares[member.id]
            refused = member.refused_until is not None and now < member.refused_until
            if member.ticket is not None or refused:
                continue
            known = member.possible
            if member.excess and not member.confirmed:
                self._send(member, site.settings, member.accepted or 0, now)
            elif member.target < known or (member.target == known and not member.confirmed):
                self._send(member, site.settings, member.target, now)
            elif member.target > known:
                raised.append(member)
        raised = self._may_be_raised(site, raised, now)
        # Whatever is on its way may still be refused: only what is free by now is given.
        reserved = site.reserved() if raised else {}
        for member in sorted(raised, key=lambda one: (one.accepted or 0, one.id)):
            uses = member.uses(of_cars=bool(member.present))
            free = min(
                ((capacities[one] - reserved.get(one, 0)) // uses[one] for one in uses if one in capacities),
                default=0,
            )
            least = _tenths(site.settings.least_a)
            amount = min(member.target, member.possible + max(free, 0))
            worth = amount - member.possible >= NOTHING or (amount >= least > member.possible)
            if not member.confirmed or (amount < member.target and amount < least):
                worth = False
            if worth or not member.confirmed:
                before = member.possible
                self._send(member, site.settings, amount if worth else before, now)
                for one in uses:
                    reserved[one] = reserved.get(one, 0) + uses[one] * (member.possible - before)

    @staticmethod
    def _may_be_raised(site: _Shared, raised: list[_Member], now: dt.datetime) -> list[_Member]:
        """Return those that may be raised, or asked to confirm: no one is raised before all have confirmed.

        An earlier process may have sent what nobody has stored.
        """
        for one in site.members.values():
            refused = one.refused_until is not None and now < one.refused_until
            if not one.confirmed and not one.silent and not refused:
                return [member for member in raised if not member.confirmed]
        return raised

    def _send(self, member: _Member, own: Site, tenths: int, now: dt.datetime) -> None:
        try:
            member.ticket = self.system.limit(
                member.id, amps=tenths / 10, phases=len(member.phases), timeout_s=10.0, expires_in_s=10.0
            )
        except VerbRefused as error:
            self._refuse(member, own, now, str(error))
            return
        member.asked = tenths
        self._settle(member, own, now)

    def _settle(self, member: _Member, own: Site, now: dt.datetime) -> None:
        """Take the outcome of the limit that was sent, if there is one."""
        ticket = member.ticket
        if ticket is None or not ticket.settled:
            return
        member.ticket = None
        status = ""
        try:
            status = str(getattr(ticket.result(0), "status", ""))
        except TicketError as error:
            member.trouble = str(error)
        if status == "Accepted":
            if member.accepted != member.asked:
                member.accepted, member.accepted_at, member.looks_below = member.asked, now, 0
            member.accepted_at = member.accepted_at or now
            member.doubt, member.confirmed, member.refused_until, member.silent = 0, True, None, False
            if not member.told_of:
                member.trouble = ""
            return
        if ticket.state in IN_DOUBT:
            member.doubt = max(member.doubt, member.asked)
        elif ticket.state is TicketState.NEVER_SENT:
            member.silent = True
        if not member.confirmed and not member.silent:
            # It has started again, and may have lost its limit.
            member.accepted = None
        self._refuse(member, own, now, f"limit: {status}" if status else member.trouble)

    def _refuse(self, member: _Member, own: Site, now: dt.datetime, text: str) -> None:
        member.refused_until = now + dt.timedelta(seconds=own.retry_s)
        member.trouble = text
        logger.info("charge point %s: %s; it is asked again in %g s", member.id, text, own.retry_s)
        if member.silent:
            return
        self._plan_soon()

    # -- Over HTTP -------------------------------------------------------------------------------

    @resource("GET", "sites")
    def sites(self, _request: ResourceRequest) -> dict[str, Any]:
        """Show what each site may draw, and each charge point may draw and draws."""
        now = self.now()
        return {"sites": [self._view(site, now) for site in self._sites]}

    @resource("PUT", "sites/{name}/meter", scope="command")
    def meter(self, request: ResourceRequest) -> dict[str, Any]:
        """Take a reading of a site's meter."""
        site = next((one for one in self._sites if one.settings.name == request.path["name"]), None)
        if site is None or not site.settings.meter:
            raise ResourceRefused(
                404, "Unknown site", f"there is no site {request.path['name']} with a meter"
            )
        told: Meter = request.json(Meter)
        now = self.now()
        site.metered = now, {phase: _tenths(max(getattr(told, phase), 0.0)) for phase in PHASES}
        self._plan_soon()
        return self._view(site, now)

    def _view(self, site: _Shared, now: dt.datetime) -> dict[str, Any]:
        members = sorted(site.members.values(), key=lambda one: one.id)
        capacities = site.capacities(now)
        drawn = {phase: sum(one.draw.get(phase, 0) for one in members) / 10 for phase in PHASES}
        return {
            "name": site.settings.name,
            "limit_a": {one: tenths / 10 for one, tenths in capacities.items()},
            "reserved_a": {one: tenths / 10 for one, tenths in site.reserved().items() if one in capacities},
            "drawn_a": drawn,
            "charge_points": [
                {
                    "id": one.id,
                    "state": _state(one),
                    "allowed_a": None if one.accepted is None else one.accepted / 10,
                    "possible_a": one.possible / 10,
                    "target_a": one.target / 10,
                    "drawn_a": {phase: tenths / 10 for phase, tenths in one.draw.items()},
                    "phases": list(one.phases),
                    "vehicles": len(one.present),
                    "weight": max((car.weight for car in one.present), default=1),
                    "trouble": one.trouble,
                }
                for one in members
            ],
        }


def _state(member: _Member) -> str:
    if member.silent:
        return "silent"
    if member.refused_until is not None:
        return "refused"
    if not member.present:
        return "idle"
    if all(car.asleep for car in member.present):
        return "full"
    return "charging" if member.turn_since is not None else "waiting"


def _currents(meter_values: list[Any], at: dt.datetime) -> dict[str, float]:
    """Return the currents of the last meter values by phase, "" for those of none; those of long ago are left out."""
    for one in reversed(meter_values):
        try:
            age = at - dt.datetime.fromisoformat(one["timestamp"])
            samples = one["sampledValue"]
        except (KeyError, TypeError, ValueError):
            continue
        if abs(age) > OLD or not isinstance(samples, list):
            continue
        found: dict[str, float] = {}
        for sample in samples:
            try:
                if sample.get("measurand") == "Current.Import":
                    found[sample.get("phase", "")] = float(sample["value"])
            except (AttributeError, KeyError, TypeError, ValueError):
                continue
        if found:
            return found
    return {}


# -- Commands --------------------------------------------------------------------------------


def _show(told: Mapping[str, Any]) -> None:
    for site in told["sites"]:
        limit = ", ".join(f"{one} {amps:g} A" for one, amps in site["limit_a"].items())
        drawn = ", ".join(f"{one} {amps:g} A" for one, amps in site["drawn_a"].items())
        click.echo(f"{site['name']}: limit {limit}; drawn {drawn}")
        rows = [
            (
                one["id"],
                one["state"],
                "?" if one["allowed_a"] is None else f"{one['allowed_a']:g}",
                f"{one['target_a']:g}",
                f"{max(one['drawn_a'].values(), default=0):g}",
                "".join(phase[1] for phase in one["phases"]),
                one["weight"],
                one["trouble"],
            )
            for one in site["charge_points"]
        ]
        show_table(
            ("charge point", "state", "allowed", "target", "drawn", "phases", "weight", ""),
            rows,
            "no charge points",
        )


@click.command()
@click.option(
    "--plugin", default="load-management", show_default=True, help="Name of the plugin in the settings."
)
@shows(_show)
@asks_server
def command(api: Api, plugin: str) -> Any:
    """Show what the charge points of each site may draw, and draw."""
    return api.get("plugins", plugin, "sites")
