"""Fleet of simulated charge points: each has its plan, and some have oddities of real ones.

The one rule: what a session took is read from the meter of its charge point, and told to nobody before it is over.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event
from gevent.lock import Semaphore
from gevent.pool import Group

from ...protocol.handshake import HandshakeError
from ..connection import Backoff
from ..errors import CallFailed, NotPossible
from ..message_log import Kind
from ..models import MODELS
from .pace import Pace
from .profiles import DAY_S, PROFILES, Plan

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Sequence

    from ..models import AnyTransaction
    from .profiles import Profile, Visit

MIXED = "mixed"
CONNECTING = 20
"""Charge points that connect at the same time."""
ARRIVING_S = 600
"""Simulated seconds within which all of them come."""
DRAIN_S = 60.0
"""Real seconds at the end in which what is queued may be delivered."""
LAST_S, LAST_SHARE = 3600, 0.05
"""Simulated seconds at the end, or share of the whole time, in which no vehicle comes."""
RECONNECT = Backoff(0.5, 10.0)
METERS_WH = 200_000, 20_000_000
"""Energy that a meter has counted before, at least and at most."""
ACCEPTED = "Accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Charging session that is over. `energy` is "exact", or "told" or "unknown" if its charge point says otherwise."""

    charge_point: str
    ocpp: str
    place: int
    """Connector, or EVSE."""
    transaction: int | str | None
    """Number or text that it has in messages; None if its start was never answered."""
    tag: str
    started_at: dt.datetime
    stopped_at: dt.datetime
    meter_start: int
    energy_wh: int
    energy: str


class Member:
    """Charge point of a fleet, with its oddities and its plans."""

    def __init__(
        self, fleet: Fleet, identity: str, ocpp: str, misbehaviour: Sequence[str], **options: Any
    ) -> None:
        profile = fleet.profile
        self.identity = identity
        self.ocpp = ocpp
        self.misbehaviour = tuple(misbehaviour)
        self._fleet = fleet
        self._open: list[AnyTransaction] = []
        self.charge_point, self.oddness = MODELS[ocpp].make(
            fleet.url,
            identity,
            profile.places,
            profile.interval_s,
            misbehaviour,
            reconnect=RECONNECT,
            record_limit=0,
            timers=fleet.pace.timers,
            **options,
        )
        if ocpp != next(iter(MODELS)):
            self.charge_point.model.set("AuthCtrlr.OfflineTxForUnknownIdEnabled", "true")  # type: ignore[union-attr]
        charging = self.charge_point.charging
        for place in getattr(charging, "connectors", None) or charging.evses:  # type: ignore[union-attr]
            place.meter_wh = random.Random(f"{identity} {place.id}").randrange(*METERS_WH)  # noqa: S311
        charging.journal = self._open.append
        before = self.charge_point.record.tap
        count = fleet.count

        def tap(kind: Kind, data: bytes) -> None:
            count(kind, data)
            if before is not None:
                before(kind, data)

        self.charge_point.record.tap = tap

    def live(self, plans: Iterable[Iterable[Visit]], arrives_at: float) -> None:
        """Connect, boot, and have vehicles come until it is killed."""
        self._fleet.pace.sleep_until(arrives_at)
        self._come()
        group = Group()
        try:
            for place, plan in enumerate(plans, 1):
                group.spawn(self._live, place, plan)
            group.join(raise_error=True)
        finally:
            group.kill()

    def _come(self) -> None:
        charge_point = self.charge_point
        for wait_s in RECONNECT.waits(random.Random(self.identity)):  # noqa: S311 - jitter
            try:
                with self._fleet.connecting:
                    charge_point.connect()
                    charge_point.boot()
            except (CallFailed, OSError, HandshakeError):
                if charge_point.online or charge_point.connection.connections:
                    break  # it goes on by itself
                self._fleet.failed["connect"] += 1
                gevent.sleep(wait_s)
            else:
                break

    def _live(self, place: int, plan: Iterable[Visit]) -> None:
        for visit in plan:
            if visit.at > self._fleet.last_at:
                return
            if visit.at < self._fleet.all_there_at:
                visit.vehicle.take(self._fleet.all_there_at)  # it has come, and charged, before
                if visit.leaves_at <= self._fleet.all_there_at or visit.vehicle.full:
                    continue
            self._fleet.pace.sleep_until(max(visit.at, self._fleet.all_there_at))
            try:
                self._visit(place, visit)
            except (CallFailed, NotPossible) as error:
                self._fleet.failed[type(error).__name__] += 1
            self._leave(place)

    def _visit(self, place: int, visit: Visit) -> None:
        charge_point, pace, vehicle = self.charge_point, self._fleet.pace, visit.vehicle
        charge_point.plug_in(place, vehicle=vehicle)
        if charge_point.authorize(visit.tag).status != ACCEPTED:
            self._fleet.refused += 1
            return
        transaction = charge_point.start(visit.tag, place)
        while not vehicle.full and transaction.running and pace.now < visit.leaves_at:
            pace.sleep_until(min(pace.now + self._fleet.profile.interval_s, visit.leaves_at))
        if transaction.running and pace.now < visit.leaves_at:
            charge_point.suspend(place)
        pace.sleep_until(visit.leaves_at)
        if transaction.running:
            charge_point.charging.read_all()
            charge_point.stop(place)

    def _leave(self, place: int) -> None:
        with contextlib.suppress(CallFailed, NotPossible):
            if self.charge_point.has_vehicle(place):
                self.charge_point.unplug(place)
        self.settle()

    @property
    def charging(self) -> int:
        """Number of its sessions that go on."""
        return sum(one.running for one in self._open)

    def settle(self, *, last: bool = False) -> None:
        """Hand over the sessions that are over; those that were not delivered yet only as the `last` ones."""
        if not last and (self.charge_point.backlog or not self._open):
            return
        over, self._open[:] = self._open[:], [one for one in self._open if one.running]
        for one in over:
            if one.stopped_at is not None and one.meter_stop is not None:
                token = getattr(one, "token", None)
                self._fleet.over(
                    Session(
                        charge_point=self.identity,
                        ocpp=self.ocpp,
                        place=getattr(one, "evse_id", None) or one.connector_id,
                        transaction=one.transaction_id,
                        tag=one.id_tag if token is None else token.id_token,  # type: ignore[union-attr]
                        started_at=one.started_at,
                        stopped_at=one.stopped_at,
                        meter_start=one.meter_start,
                        energy_wh=one.meter_stop - one.meter_start,
                        energy=self._fleet.energy_of(self),
                    )
                )

    def finish(self, deadline: float) -> None:
        """Stop what goes on, deliver what is queued until a deadline in real time, and close."""
        charge_point = self.charge_point
        self.oddness.over = True
        charge_point.charging.read_all()
        with gevent.Timeout.start_new(max(deadline - time.monotonic(), 0.1)) as late:
            try:
                charge_point.charging.stop_all()
                while not charge_point.backlog.empty.wait(1.0):
                    gevent.spawn(charge_point.charging.tell_all)
            except gevent.Timeout as raised:
                if raised is not late:
                    raise
        self._fleet.undelivered += len(charge_point.backlog)
        self.settle(last=True)
        charge_point.close()


class Fleet:
    """Fleet at `url` for `days` of simulated time, which end now: no clock of a charge point is ever ahead.

    `ocpp` is a version or "mixed"; a share of the charge points misbehaves, each in one of the ways of `misbehaviour`
    that its version has. `on_session` is called with each session that is over, `options` are those of a
    `ChargePoint`; `password_of` returns the password of an identity. Time stands still for `patience_s` of real time
    until a message is answered. One seed gives the same sessions with the same energy again, unless the central system
    has them ended, refused or limited otherwise.
    """

    def __init__(
        self,
        url: str,
        *,
        stations: int = 10,
        profile: str = "home",
        ocpp: str = MIXED,
        speed: float = 60.0,
        days: float = 1.0,
        seed: int = 1,
        prefix: str = "SIM",
        misbehaviour: Iterable[str] = (),
        share: float = 0.2,
        start: float | None = None,
        patience_s: float = 5.0,
        on_session: Callable[[Session], object] | None = None,
        password_of: Callable[[str], str | bytes | None] | None = None,
        **options: Any,
    ) -> None:
        self.url = url
        self.profile: Profile = PROFILES[profile]
        self.connecting = Semaphore(CONNECTING)
        self.failed: Counter[str] = Counter()
        self.refused = 0
        self.undelivered = 0
        self.sessions = 0
        self.energy_wh = 0
        self.messages: Counter[str] = Counter()
        self._on_session = on_session
        self._patience_s = patience_s
        self._over = Event()
        self._begun, self._real_s, self._simulated_s = time.monotonic(), 0.0, 0.0
        start = time.time() - days * DAY_S * (1 - 1 / speed) if start is None else start
        self.start = int(start)
        self.end = self.start + days * DAY_S
        self.last_at = self.end - min(LAST_S, LAST_SHARE * days * DAY_S)
        self.all_there_at = self.start + ARRIVING_S
        self.pace = Pace(self.start, speed, self._is_held)
        dice = random.Random(seed)  # noqa: S311 - a plan is no secret
        versions = tuple(MODELS) if ocpp == MIXED else (ocpp,)
        self.members: list[Member] = []
        self._plans: list[tuple[float, list[Plan]]] = []
        named = tuple(misbehaviour)
        turns: Counter[str] = Counter()
        for number in range(1, stations + 1):
            version = versions[number % len(versions)]
            odd = [name for name in named if name in MODELS[version].misbehaviours]
            misbehaves = bool(odd) and dice.random() < share
            shown = [odd[turns[version] % len(odd)]] if misbehaves else []
            turns[version] += misbehaves
            identity = f"{prefix}-{number:04}"
            own = {} if password_of is None else {"password": password_of(identity)}
            self.members.append(Member(self, identity, version, shown, **own, **options))
            plans = [
                Plan(
                    self.profile,
                    f"{seed} {number} {place}",
                    self.start - DAY_S,
                    own=f"{identity}-{place}",
                    strangers=stations * 5,
                )
                for place in range(1, self.profile.places + 1)
            ]
            self._plans.append((self.start + dice.uniform(0, ARRIVING_S), plans))

    def run(self) -> dict[str, Any]:
        """Run until the days are over, or `stop` is called; return the summary."""
        self._begun = time.monotonic()
        living = Group()
        try:
            for member, (arrives_at, plans) in zip(self.members, self._plans, strict=True):
                living.spawn(member.live, plans, arrives_at)
            self.pace.run(self.end, self._over)
        finally:
            living.kill()
            self._finish()
        return self.summary()

    def stop(self) -> None:
        """Have `run` end soon."""
        self._over.set()

    def _finish(self) -> None:
        self._real_s = time.monotonic() - self._begun
        self._simulated_s = self.pace.now - self.start
        deadline = time.monotonic() + DRAIN_S
        finishing = Group()
        for member in self.members:
            finishing.spawn(member.finish, deadline)
        # Time goes on: what is to be tried again is due only then.
        over = Event()
        ticking = gevent.spawn(self.pace.run, float("inf"), over)
        finishing.join()
        over.set()
        ticking.join()

    def _is_held(self) -> bool:
        """Tell if a charge point waits for an answer or a connection, unless it has done so for long."""
        since = time.monotonic() - self._patience_s
        cores = (member.charge_point.core for member in self.members)
        return any(max(one.conversation.waits_since, one.connection.dials_since) > since for one in cores)

    # -- Facts -----------------------------------------------------------------------------------

    def count(self, kind: Kind, data: bytes) -> None:
        """Count a message, or what has become of a connection."""
        if kind is Kind.SENT:
            self.messages["sent"] += 1
        elif kind is Kind.RECEIVED:
            self.messages[
                "answered" if data[:2] == b"[3" else "refused" if data[:2] == b"[4" else "commands"
            ] += 1
        elif kind is Kind.REFUSED:
            self.messages["connections_refused"] += 1

    def over(self, session: Session) -> None:
        """Count a session that is over."""
        self.sessions += 1
        self.energy_wh += session.energy_wh
        if self._on_session is not None:
            self._on_session(session)

    def energy_of(self, member: Member) -> str:
        """Tell if the central system can know the energy of this charge point: see `Oddity`."""
        known = MODELS[member.ocpp].misbehaviours
        return next((known[name] for name in member.misbehaviour if known[name] != "exact"), "exact")

    @property
    def online(self) -> int:
        """Number of charge points with a connection."""
        return sum(member.charge_point.online for member in self.members)

    @property
    def charging(self) -> int:
        """Number of sessions that go on."""
        return sum(member.charging for member in self.members)

    def summary(self) -> dict[str, Any]:
        """Return all figures. Energy is that of the charge points' own meters."""
        shown: Counter[str] = Counter()
        for member in self.members:
            for name, times in member.oddness.shown.items():
                shown[name] += times
            for name in member.misbehaviour:
                shown.setdefault(name, 0)
        return {
            "stations": len(self.members),
            "sessions": self.sessions,
            "energy_wh": self.energy_wh,
            "messages": self.messages["sent"],
            "commands": self.messages["commands"],
            "refused_messages": self.messages["refused"],
            "refused_tags": self.refused,
            "refused_connections": self.messages["connections_refused"] + self.failed["connect"],
            "reconnects": sum(max(0, one.charge_point.connection.connections - 1) for one in self.members),
            "failed": dict(self.failed - Counter(connect=self.failed["connect"])),
            "undelivered": self.undelivered,
            "simulated_s": round(self._simulated_s),
            "real_s": round(self._real_s, 1),
            "held_s": round(self.pace.held_s, 1),
            "misbehaviour": dict(shown),
        }
