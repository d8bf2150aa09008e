"""Scenarios: one for each question, with its contestants.

Rule: a turn is one fresh server on its core and one load on the other; compared figures come from the same rounds. A
turn computes only its own figures; `compare.py` makes medians of them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from contestants import (
    ECHO,
    GREENLET,
    GREENLET_PLUGIN,
    GREENLET_TLS,
    NODE_PEER,
    PEER,
    REACTOR,
    REACTOR_PLUGIN,
    REACTOR_POSTGRES,
    REACTOR_REMOTE,
    REACTOR_SQLITE,
    REACTOR_TLS,
    TWO_WORKERS,
    Contestant,
    Running,
    running,
)
from load import GRACE_S, Figures, Generator, LoadFailedError, call, open_files
from machine import cores, cpu_s

IDLE_S = 5.0  # before memory is read: timers of the start have ended, buffers are freed
GROWTH_IDLE_S = 3.0
PROBES = 50
WATCHERS = 20
WATCHERS_PACE = 400.0
PROBE_PACE = 250.0  # calls/s of all probes: a stall over 4 ms delays at least one
QUIET_S = 1.0
DROP_TIMEOUT_S = 60.0
AT_ONCE = 1_000_000.0  # new connections per second: all that the kernel takes
REMOTE_MIX = "meter=0,heartbeat=50,status=50,start=0,stop=0"  # what the plugin in the plugin hosts answers
WORKERS_S = 1.0  # the second worker process may be ready later


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Size of a run: rounds, seconds and connections."""

    rounds: int
    seconds: float
    warmup: float
    connections: int
    more: int = 1_000
    many: int
    growth: tuple[int, ...]
    paced: tuple[int, float] = (1_000, 8_000.0)
    busy: tuple[int, float] = (100, 4_000.0)
    storm_rate: float
    reconnects: int = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Scenario for one question. `turn` is given a running server; `rounds` is the maximum number of turns.

    `references` are those of its contestants that the others are compared with, by calls per second.
    """

    name: str
    kind: str
    title: str
    who: tuple[str, ...]
    turn: Callable[[Running], Figures]
    rounds: int
    references: tuple[str, ...] = ()

    def measure(self, contestant: Contestant) -> Figures:
        """Start a contestant, put it under load, and end it."""
        with running(contestant, cores()[0]) as server:
            return self.turn(server)


OURS = (REACTOR, GREENLET)
SECURE = (REACTOR_TLS, GREENLET_TLS)
OTHERS = (PEER, NODE_PEER, ECHO)
KINDS = (
    *("throughput", "throughput-many", "throughput-2.0.1", "remote", "workers", "plugins"),
    *("memory", "memory-2.0.1", "pace", "busy", "storm", "growth", "connects", "resumes", "reconnects"),
)
STANDARD_KINDS = ("throughput", "throughput-many", "throughput-2.0.1", "remote", "workers", "memory")
"""Scenarios of a run without `--scenario` and `--all`."""


def scenarios(plan: Plan) -> list[Scenario]:
    """Return all scenarios with the sizes of a plan."""
    many, (paced, paced_rate), (busy, busy_rate) = plan.many, plan.paced, plan.busy
    rows = [
        Scenario(
            name="throughput",
            kind="throughput",
            title=f"as fast as they can, {plan.connections} connections",
            who=(*OURS, *SECURE, REACTOR_SQLITE, REACTOR_POSTGRES, *OTHERS),
            turn=lambda server: throughput(server, plan),
            rounds=plan.rounds,
            references=(*OTHERS, REACTOR),
        ),
        Scenario(
            name="throughput-many",
            kind="throughput",
            title=f"as fast as they can, {plan.more:,} connections",
            who=(*OURS, REACTOR_TLS, REACTOR_SQLITE, PEER, ECHO),
            turn=lambda server: throughput(server, plan, connections=plan.more),
            rounds=plan.rounds,
            references=(PEER, ECHO, REACTOR),
        ),
        Scenario(
            name="throughput-2.0.1",
            kind="throughput",
            title=f"OCPP 2.0.1, as fast as they can, {plan.connections} connections",
            who=(*OURS, REACTOR_SQLITE, PEER),
            turn=lambda server: throughput(server, plan, ocpp="2.0.1"),
            rounds=plan.rounds,
            references=(PEER, REACTOR),
        ),
        Scenario(
            name="remote",
            kind="throughput",
            title=f"Heartbeat and StatusNotification for a plugin, {plan.connections} connections",
            who=(REACTOR_PLUGIN, REACTOR_REMOTE),
            turn=lambda server: throughput(server, plan, mix=REMOTE_MIX),
            rounds=plan.rounds,
            references=(REACTOR_PLUGIN,),
        ),
        Scenario(
            name="workers",
            kind="throughput",
            title=f"more than one process, {plan.connections} connections",
            who=(REACTOR_SQLITE, TWO_WORKERS),
            turn=lambda server: throughput(server, plan),
            rounds=plan.rounds,
            references=(REACTOR_SQLITE,),
        ),
        Scenario(
            name="plugins",
            kind="throughput",
            title=f"with a user's plugin, {plan.connections} connections",
            who=(*OURS, REACTOR_PLUGIN, GREENLET_PLUGIN),
            turn=lambda server: throughput(server, plan),
            rounds=plan.rounds,
            references=(REACTOR,),
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
            who=(*OURS, *SECURE, *OTHERS),
            turn=lambda server: memory(server, plan),
            rounds=1,
        ),
        Scenario(
            name="memory-2.0.1",
            kind="memory",
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
            who=(*OURS, REACTOR_TLS),
            turn=lambda server, connections=connections: growth(server, plan, connections),
            rounds=1,
        )
        for connections in plan.growth
    ]
    rows += [
        Scenario(
            name="connects",
            kind="connects",
            title=f"{plan.reconnects:,} charge points connect at once and boot, full handshakes",
            who=(*OURS, *SECURE),
            turn=lambda server: connects(server, plan),
            rounds=plan.rounds,
        ),
        Scenario(
            name="resumes",
            kind="connects",
            title=f"{plan.reconnects:,} charge points connect at once and boot, handshakes that resume a session",
            who=SECURE,
            turn=lambda server: connects(server, plan, resume=True),
            rounds=plan.rounds,
        ),
        Scenario(
            name="reconnects",
            kind="reconnects",
            title=f"{plan.reconnects:,} charge points are lost and come back at once; {WATCHERS} others call",
            who=(*OURS, *SECURE),
            turn=lambda server: reconnects(server, plan),
            rounds=plan.rounds,
        ),
    ]
    return rows


def throughput(
    server: Running, plan: Plan, *, ocpp: str = "1.6", connections: int = 0, mix: str = ""
) -> Figures:
    """Measure a closed loop: one CALL outstanding on every connection."""
    if server.contestant.name == TWO_WORKERS:
        time.sleep(WORKERS_S)
    return call(
        server,
        cores()[1],
        connections=connections or plan.connections,
        seconds=plan.seconds,
        warmup=plan.warmup,
        ocpp=ocpp,
        mix=mix,
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


def connects(server: Running, plan: Plan, *, resume: bool = False) -> Figures:
    """Measure connections per second and the CPU time of each, from the TCP handshake to the answered Boot."""
    warm(server)
    before = cpu_s(*server.pids())
    options = {"connections": plan.reconnects, "seconds": 1, "rate": AT_ONCE, "idle": None}
    with Generator(server, cores()[1], **options, **resuming(resume=resume)) as load:
        seconds = load.connected(2 * GRACE_S)
        used = cpu_s(*server.pids()) - before
        load.finish()
    return {"connects_per_s": plan.reconnects / seconds, "cpu_ms": 1000 * used / plan.reconnects}


def resuming(*, resume: bool) -> dict[str, None]:
    """Return the option of the generator that resumes a session of TLS."""
    return {"resume": None} if resume else {}


def reconnects(server: Running, plan: Plan) -> Figures:
    """Measure the latency of a few live charge points while many are lost, and while they come back all at once."""
    core = cores()[1]
    warm(server)
    crowd = {"first": WATCHERS, "connections": plan.reconnects, "seconds": 600, "idle": None}
    with Generator(
        server, core, connections=WATCHERS, seconds=600, warmup=0.1, pace=WATCHERS_PACE
    ) as watchers:
        watchers.connected(GRACE_S)
        before = open_files(server)
        with Generator(server, core, **crowd, rate=server.contestant.rate) as first:
            first.connected(2 * GRACE_S)
            time.sleep(QUIET_S)
            between(watchers)
            time.sleep(QUIET_S)
            quiet = between(watchers)
            began = time.monotonic()
            first.end_now()
            dropped(server, before, began)
            first.finish()
        dropping = between(watchers)
        with Generator(server, core, **crowd, rate=AT_ONCE) as second:
            connect_s = second.connected(2 * GRACE_S)
            connecting = between(watchers)
            second.end_now()
            second.finish()
        watchers.end_now()
        watchers.finish()
    return {
        "connect_s": connect_s,
        "quiet_p99_ms": quiet["p99_ms"],
        "drop_p99_ms": dropping["p99_ms"],
        "connect_p50_ms": connecting["p50_ms"],
        "connect_p99_ms": connecting["p99_ms"],
        "connect_max_ms": connecting["max_ms"],
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
