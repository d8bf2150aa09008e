"""Scenarios: one for each question, with its contestants.

Rule: a turn is one fresh server on its core and one load on the other; compared figures come from the same rounds. A
turn computes only its own figures; `compare.py` makes medians of them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from contestants import (
    CONTESTANTS,
    ECHO,
    GREENLET,
    GREENLET_PLUGIN,
    NODE_PEER,
    PEER,
    REACTOR,
    REACTOR_PLUGIN,
    REACTOR_SQLITE,
    Contestant,
    Running,
    running,
)
from load import GRACE_S, Figures, Generator, LoadFailedError, call, open_files
from machine import cores

IDLE_S = 5.0  # before memory is read: timers of the start have ended, buffers are freed
GROWTH_IDLE_S = 3.0
PROBES = 50
PROBE_PACE = 250.0  # calls/s of all probes: a stall over 4 ms delays at least one
QUIET_S = 1.0
DROP_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Size of a run: rounds, seconds and connections."""

    rounds: int
    seconds: float
    warmup: float
    connections: int
    many: int
    growth: tuple[int, ...]
    paced: tuple[int, float] = (1_000, 8_000.0)
    busy: tuple[int, float] = (100, 4_000.0)
    storm_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Scenario for one question. `turn` is given a running server; `rounds` is the maximum number of turns."""

    name: str
    kind: str
    title: str
    who: tuple[str, ...]
    turn: Callable[[Running], Figures]
    rounds: int

    def measure(self, contestant: Contestant) -> Figures:
        """Start a contestant, put it under load, and end it."""
        with running(contestant, cores()[0]) as server:
            return self.turn(server)


OURS = (REACTOR, GREENLET)
EVERYBODY = tuple(row.name for row in CONTESTANTS)
WITHOUT_PLUGINS = tuple(
    name for name in EVERYBODY if name not in (REACTOR_PLUGIN, GREENLET_PLUGIN, REACTOR_SQLITE)
)
KINDS = ("throughput", "throughput-2.0.1", "memory", "memory-2.0.1", "pace", "busy", "storm", "growth")


def scenarios(plan: Plan) -> list[Scenario]:
    """Return all scenarios with the sizes of a plan."""
    many, (paced, paced_rate), (busy, busy_rate) = plan.many, plan.paced, plan.busy
    rows = [
        Scenario(
            name="throughput",
            kind="throughput",
            title=f"as fast as they can, {plan.connections} connections",
            who=EVERYBODY,
            turn=lambda server: throughput(server, plan),
            rounds=plan.rounds,
        ),
        Scenario(
            name="throughput-2.0.1",
            kind="throughput-2.0.1",
            title=f"OCPP 2.0.1, as fast as they can, {plan.connections} connections",
            who=(*OURS, REACTOR_SQLITE, PEER),
            turn=lambda server: throughput(server, plan, "2.0.1"),
            rounds=plan.rounds,
        ),
        Scenario(
            name="pace",
            kind="pace",
            title=f"{paced:,} connections at {paced_rate:,.0f} calls/s in all",
            who=(*OURS, REACTOR_SQLITE, NODE_PEER, ECHO),  # the other peer cannot keep this pace on one core
            turn=lambda server: pace(server, plan),
            rounds=plan.rounds,
        ),
        Scenario(
            name="busy",
            kind="busy",
            title=f"{many:,} idle connections, {busy} more at {busy_rate:,.0f} calls/s in all",
            who=OURS,
            turn=lambda server: busy_among_idle(server, plan),
            rounds=plan.rounds,
        ),
        Scenario(
            name="storm",
            kind="storm",
            title=f"{many:,} connections made and booted, then dropped at once; {PROBES} others watch",
            who=OURS,
            turn=lambda server: storm(server, plan),
            rounds=plan.rounds,
        ),
        Scenario(
            name="memory",
            kind="memory",
            title=f"{many:,} idle connections, booted",
            who=WITHOUT_PLUGINS,
            turn=lambda server: memory(server, plan),
            rounds=1,
        ),
        Scenario(
            name="memory-2.0.1",
            kind="memory-2.0.1",
            title=f"{many:,} idle connections of OCPP 2.0.1, booted",
            who=(*OURS, PEER),
            turn=lambda server: memory(server, plan, "2.0.1"),
            rounds=1,
        ),
    ]
    rows += [
        Scenario(
            name=f"growth {connections}",
            kind="growth",
            title=f"{connections:,} connections, held idle and then as fast as they can",
            who=OURS,
            turn=lambda server, connections=connections: growth(server, plan, connections),
            rounds=1,
        )
        for connections in plan.growth
    ]
    return rows


def throughput(server: Running, plan: Plan, ocpp: str = "1.6") -> Figures:
    """Measure a closed loop: one CALL outstanding on every connection."""
    return call(
        server,
        cores()[1],
        connections=plan.connections,
        seconds=plan.seconds,
        warmup=plan.warmup,
        ocpp=ocpp,
    )


def pace(server: Running, plan: Plan) -> Figures:
    """Measure latency, counted from the time at which a call was due."""
    connections, rate = plan.paced
    return call(
        server, cores()[1], connections=connections, seconds=plan.seconds, warmup=plan.warmup, pace=rate
    )


def busy_among_idle(server: Running, plan: Plan) -> Figures:
    """Measure the latency of a few connections among many idle ones."""
    connections, rate = plan.busy
    core = cores()[1]
    with Generator(
        server,
        core,
        first=connections,
        connections=plan.many,
        seconds=600,
        rate=server.contestant.rate,
        idle=None,
    ) as idle:
        idle.connected(2 * GRACE_S)
        figures = call(
            server, core, connections=connections, seconds=plan.seconds, warmup=plan.warmup, pace=rate
        )
        idle.end_now()
        idle.finish()
    return figures


def warm(server: Running, ocpp: str = "1.6") -> None:
    """Connect and disconnect a few charge points, so that one-time allocations do not count for a connection."""
    call(server, cores()[1], connections=10, seconds=1, warmup=0, ocpp=ocpp)


def memory(server: Running, plan: Plan, ocpp: str = "1.6") -> Figures:
    """Measure resident memory per connection."""
    warm(server, ocpp)
    rate = server.contestant.rate
    options = {"connections": plan.many, "seconds": IDLE_S, "rate": rate, "idle": None, "ocpp": ocpp}
    with Generator(server, cores()[1], **options) as load:
        load.connected(2 * GRACE_S)
        kib = load.kib(IDLE_S + GRACE_S)
        load.finish()
    return {"kib": kib}


def growth(server: Running, plan: Plan, connections: int) -> Figures:
    """Measure memory and CPU at a number of connections."""
    warm(server)
    return call(
        server,
        cores()[1],
        connections=connections,
        seconds=plan.seconds,
        warmup=plan.warmup,
        hold=GROWTH_IDLE_S,
    )


def storm(server: Running, plan: Plan) -> Figures:
    """Measure the seconds to connect and to disconnect many, and the longest answer time of a probe meanwhile."""
    core = cores()[1]
    warm(server)
    with Generator(server, core, connections=PROBES, seconds=600, warmup=0.1, pace=PROBE_PACE) as probe:
        probe.connected(GRACE_S)
        time.sleep(QUIET_S)
        quiet = between(probe)
        before = open_files(server)
        with Generator(
            server, core, first=PROBES, connections=plan.many, seconds=600, rate=plan.storm_rate, idle=None
        ) as crowd:
            connect_s = crowd.connected(2 * GRACE_S)
            time.sleep(QUIET_S)  # a late answer still counts
            connecting = between(probe)
            began = time.monotonic()
            crowd.end_now()
            drop_s = dropped(server, before, began)
            crowd.finish()
        time.sleep(QUIET_S)
        dropping = between(probe)
        probe.end_now()
        probe.finish()
    return {
        "connect_s": connect_s,
        "drop_s": drop_s,
        "quiet_stall_ms": quiet["max_ms"],
        "connect_stall_ms": connecting["max_ms"],
        "drop_stall_ms": dropping["max_ms"],
    }


def between(probe: Generator) -> Figures:
    """Return the probe's figures since the last time."""
    probe.print_now()
    return probe.figures(GRACE_S)


def dropped(server: Running, before: int, began: float) -> float:
    """Return the seconds until the server has closed all sockets; raises LoadFailedError if it does not."""
    while open_files(server) > before:
        if time.monotonic() - began > DROP_TIMEOUT_S:
            raise LoadFailedError(
                f"{open_files(server) - before} sockets still open after {DROP_TIMEOUT_S:.0f} s"
            )
        time.sleep(0.02)
    return time.monotonic() - began
