"""Run of the chaos test: a system, a fleet under load, commands and attacks; then a pause, and the evidence.

Rule: the run comes to an end in every case, and returns its evidence.
"""

import gc
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gevent
from attacks import Attacks
from checks import Evidence
from commander import Commander
from fleet import Fleet
from inside import Inside
from mischief import Meters, Tags
from plants import plant
from truth import Truth
from watch import Presence, Restarts, Uncaught

from chargehand import CentralSystem, ChargePointOffline, ChargePointOnline, Settings
from chargehand.config.sessions import DeadlineSettings, SessionSettings
from chargehand.config.settings import SupervisionSettings

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from leftovers import Snapshot

DEADLINE_S = 1.0
BACKOFF_MAX_S = 0.5
RESET_S = 2.0
HANG_S = 0.5
HANG_LIMIT_S = HANG_S + 1.0
"""Seconds in which a hanging session must be at work again: the limit of a hang, and one second to restart."""

LEFT_S = 2.0
SEND_TIMEOUT_S = 1.0
MISSING_S = DEADLINE_S + HANG_LIMIT_S + BACKOFF_MAX_S + 1.0
"""Seconds after which an answer is missing: the deadline, a hang, a delayed restart, and a tolerance."""

LOOK_S = 0.25
REST_S = 15.0
TICKETS_S = 5.0
CALLS_PAUSE_S = 0.15
LEAST_RATE = 3.0  # attacks a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Options of the command line."""

    seed: int
    seconds: float
    charge_points: int
    transport: str
    chance: float  # probability that a plugin's handler fails
    plant: str
    ocpp: str  # version of the charge points, or "mixed"
    patience: float  # factor of all times within which something must happen
    ping_interval: float


def settings(plan: Plan) -> Settings:
    """Return settings with short times, so that much can happen in a short run."""
    transport = "reactor" if plan.transport == "reactor" else "greenlet"
    return Settings(
        port=0,
        transport=transport,  # type: ignore[arg-type]
        deadlines=DeadlineSettings(default_s=DEADLINE_S),
        sessions=SessionSettings(
            reconnect_rate=0,  # connections are cut by the attacks alone
            ping_interval_s=plan.ping_interval,
            close_timeout_s=0.3,
            send_timeout_s=SEND_TIMEOUT_S * plan.patience,
            queue_limit=20,
            close_spread_s=0.5,
        ),
        supervision=SupervisionSettings(
            intensity=3,
            period_s=2.0,
            backoff_min_s=0.05,
            backoff_max_s=BACKOFF_MAX_S,
            backoff_reset_s=RESET_S,
            failure_window_s=2.0,
            trial_call_s=0.5,
            quarantine_s=0.5,
            redelivery_delay_s=0.1,
            redelivery_delay_max_s=0.5,
            hang_s=HANG_S * plan.patience,
            watchdog_s=0.5 * plan.patience,
        ),
    )


class Run:
    """Run of a plan. `log` is called with lines of progress."""

    def __init__(self, plan: Plan, log: Callable[[str], None]) -> None:
        self.plan = plan
        self.counts: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self.fates: dict[str, int] = {}
        self._log = log
        self._truth = Truth()
        self._restarts = Restarts(RESET_S)
        self._presence = Presence()
        self._unsettled: list[str] = []

    def run(self) -> Evidence:
        """Make the run; return when nothing of it runs any more."""
        gevent.get_hub().threadpool.apply(int)
        gc.collect()
        before = Snapshot()
        with Uncaught() as uncaught:
            evidence = self._run()
            evidence.left = before.left_behind(LEFT_S * self.plan.patience)
        evidence.uncaught = uncaught.errors
        return evidence

    def _run(self) -> Evidence:
        plan, truth = self.plan, self._truth
        system = CentralSystem(
            settings(plan),
            plugins=[kind.spec(truth, plan.seed, plan.chance) for kind in (Tags, Meters)],
        )
        system.counters = self._restarts
        system.start()
        system.subscribe((ChargePointOnline, ChargePointOffline), self._presence.note, queue_limit=1_000_000)
        fleet = Fleet(
            f"ws://127.0.0.1:{system.port}/ocpp",
            plan.charge_points,
            plan.seed,
            CALLS_PAUSE_S,
            plan.ocpp,
            plan.patience,
        )
        commander = Commander(system, fleet, plan.seed, rate=plan.charge_points * 1.5)
        inside = Inside(system, HANG_LIMIT_S * plan.patience)
        attacks = Attacks(
            system,
            inside,
            fleet,
            truth,
            self._presence.last,
            seed=plan.seed,
            rate=max(plan.charge_points / 10, LEAST_RATE),
            ping_interval_s=plan.ping_interval,
            patience=plan.patience,
            reset_s=RESET_S,
        )
        try:
            self._play(fleet, commander, attacks, inside)
            self._rest(system, fleet, commander, attacks, inside)
            spooled = inside.spooled()
            open_tickets = len(system.open_tickets())
        finally:
            fleet.close()
            system.stop()
        self.counts = self._restarts.counts
        self.done = dict(attacks.done)
        self.fates = truth.fates
        return Evidence(
            fleet=fleet,
            commander=commander,
            attacks=attacks,
            truth=truth,
            restarts=self._restarts,
            ping_interval_s=plan.ping_interval,
            hang_limit_s=HANG_LIMIT_S * plan.patience,
            patience=plan.patience,
            hung=inside.hung,
            spooled=spooled,
            unsettled=self._unsettled,
            uncaught=[],
            open_tickets=open_tickets,
            left=[],
        )

    def _play(self, fleet: Fleet, commander: Commander, attacks: Attacks, inside: Inside) -> None:
        fleet.begin()
        self._log(f"{len(fleet.members)} charge points are there, {len(fleet.untouched)} of them left alone")
        commander.begin()
        attacks.begin()
        ends_at = time.monotonic() + self.plan.seconds
        if self.plan.plant:
            gevent.sleep(self.plan.seconds / 4)
            plant(self.plan.plant, inside, fleet, commander, self.plan.patience)
            self._log(f"planted: {self.plan.plant}")
        while time.monotonic() < ends_at:
            gevent.sleep(LOOK_S)
            for member in fleet:
                member.tally.look(MISSING_S * self.plan.patience)

    def _rest(
        self, system: CentralSystem, fleet: Fleet, commander: Commander, attacks: Attacks, inside: Inside
    ) -> None:
        """Stop attacks, load and commands in turn, and wait until no work is left."""
        self._log("the attacks end")
        attacks.end()
        self._log("everything has healed")
        for row in system.quarantined():
            system.release(row["plugin"])
        commander.end()
        commander.wait(TICKETS_S * self.plan.patience)
        self._log("the commands have ended")
        fleet.end_load()
        self._log("the load has ended")
        ends_at = time.monotonic() + REST_S * self.plan.patience
        while (left := list(unsettled(system, fleet, inside))) and time.monotonic() < ends_at:
            for row in system.quarantined():
                system.release(row["plugin"])
            gevent.sleep(0.02)
            for member in fleet:
                member.tally.look(MISSING_S * self.plan.patience)
        self._unsettled = left


def unsettled(system: CentralSystem, fleet: Fleet, inside: Inside) -> Iterator[str]:
    """List everything that has not come to rest although no attack is going on any more."""
    for member in fleet:
        facts = system.charge_point(member.identity)
        if not member.charge_point.online or facts is None or not facts.online:
            yield f"{member.identity} is not connected"
        if member.tally.waiting:
            yield f"{member.identity} waits for {member.tally.waiting} answers"
    if inside.waiting_in_spool():
        yield f"{inside.waiting_in_spool()} messages wait in the spool"
    if inside.open_calls():
        yield f"{inside.open_calls()} calls are with plugins"
    for row in system.quarantined():
        yield f"{row['plugin']} is quarantined"
