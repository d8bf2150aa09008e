"""Measures what an embedding host that is not patched gets: asks of its threads, handlers that block, and what is left.

    make embedding
    make embedding ARGS="--cycles 1000"

Status 1 if a bound is broken: 2 ms for the p99 of an ask at 1,000 a second from a native thread, 50 ms for the worst
wait of other charge points while a handler blocks for 3 seconds, and while all threads of a plugin are stuck; nothing
left by `--cycles` systems that start and stop with blocking plugins and threads of the host.
"""

import argparse
import gc
import logging
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

import gevent
from greenlet import greenlet

from chargehand import (
    Call,
    CentralSystem,
    DeadlineSettings,
    Plugin,
    Settings,
    SupervisionSettings,
    passive,
    v16,
)
from chargehand.simulator import CallFailed, ChargePoint

ASKS = 5_000
RATE = 1_000
OTHERS = 8
BLOCKS_S = 3.0
STUCK_S = 6.0
ACCEPTED = {"idTagInfo": {"status": "Accepted"}}


class Tags(Plugin):
    """Blocks for some tags, in a native thread."""

    def on_receive(self, message: Any) -> Any:
        return message

    @passive(v16.Authorize, blocking=True)
    def authorize(self, call: Call[v16.Authorize]) -> Any:
        if call.request.id_tag == "block":
            time.sleep(BLOCKS_S)
        elif call.request.id_tag == "stick":
            time.sleep(STUCK_S)
        return ACCEPTED


def settings(deadline_s: float = 30.0) -> Settings:
    supervision = SupervisionSettings(shutdown_s=0.5, failing_charge_points=1000)
    return Settings(
        port=0, supervision=supervision, deadlines=DeadlineSettings(actions={"Authorize": deadline_s})
    )


def connect(system: CentralSystem, identity: str) -> ChargePoint:
    return ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp/", identity)


def asks() -> bool:
    took: list[float] = []
    told: list[float] = []

    def ask(ref: Any) -> None:
        due = time.perf_counter()
        for number in range(ASKS):
            due += 1 / RATE
            time.sleep(max(0.0, due - time.perf_counter()))
            began = time.perf_counter()
            ref.tell(number)
            told.append(time.perf_counter() - began)
            ref.ask(number, timeout=5)
            took.append(time.perf_counter() - began)

    with CentralSystem(settings(), plugins=[Tags.spec()]) as system:
        host = threading.Thread(target=ask, args=(system.ref("Tags"),))
        began = time.perf_counter()
        host.start()
        while host.is_alive():
            gevent.sleep(0.05)
        rate = ASKS / (time.perf_counter() - began)
    took.sort()
    told.sort()
    at = int(ASKS * 0.99)
    print(
        f"tell and ask from a native thread, {rate:,.0f}/s: tell p99 {told[at] * 1e3:.3f} ms, "
        f"tell and ask p50 {took[ASKS // 2] * 1e3:.3f}, p99 {took[at] * 1e3:.3f}, worst {took[-1] * 1e3:.2f} ms"
    )
    return took[at] < 0.002


class Watched:
    """Charge points that send Heartbeats at their pace, and the worst wait of any."""

    def __init__(self, system: CentralSystem) -> None:
        self.charge_points = [connect(system, f"OTHER{number}") for number in range(OTHERS)]
        self.worst_s = 0.0
        self.calls = 0
        self._ends = False

    def _drive(self, charge_point: ChargePoint) -> None:
        with charge_point:
            while not self._ends:
                began = time.perf_counter()
                charge_point.send(v16.Heartbeat())
                self.worst_s = max(self.worst_s, time.perf_counter() - began)
                self.calls += 1
                gevent.sleep(0.02)

    def __enter__(self) -> Self:
        self._driven = [gevent.spawn(self._drive, one) for one in self.charge_points]
        gevent.sleep(0.5)
        self.worst_s, self.calls = 0.0, 0  # without their handshakes
        return self

    def __exit__(self, *_: object) -> None:
        self._ends = True
        gevent.joinall(self._driven)


def authorize(charge_point: ChargePoint, tag: str) -> str:
    try:
        return str(charge_point.send(v16.Authorize(id_tag=tag)).id_tag_info.status)
    except CallFailed:
        return "fallback"


def blocks() -> bool:
    with (
        CentralSystem(settings(), plugins=[Tags.spec()]) as system,
        connect(system, "CP1") as charge_point,
        Watched(system) as others,
    ):
        began = time.perf_counter()
        status = authorize(charge_point, "block")
        took_s = time.perf_counter() - began
    print(
        f"a handler that blocks for {took_s:.1f} s ({status}): worst wait of {others.calls} calls of others "
        f"{others.worst_s * 1e3:.1f} ms"
    )
    return others.worst_s < 0.05 and status == "Accepted"


def sticks() -> bool:
    with CentralSystem(settings(deadline_s=1.0), plugins=[Tags.spec(threads=8)]) as system:
        stuck = [connect(system, f"CP{number}") for number in range(9)]
        for one in stuck:
            one.__enter__()
        try:
            with Watched(system) as others:
                answers = [gevent.spawn(authorize, one, "stick") for one in stuck]
                gevent.joinall(answers)
                quarantined = [row["plugin"] for row in system.quarantined()]
                began = time.perf_counter()
                authorize(stuck[8], "T1")
                fallback_s = time.perf_counter() - began
                gevent.sleep(1.0)
            abandoned = system.counters.counts.get("thread_abandoned", 0)
        finally:
            for one in stuck:
                one.__exit__(None, None, None)
    print(
        f"{abandoned} stuck threads: quarantined {quarantined}, the next call had its fallback after "
        f"{fallback_s * 1e3:.1f} ms, worst wait of {others.calls} calls of others {others.worst_s * 1e3:.1f} ms"
    )
    return quarantined == ["Tags"] and abandoned == 8 and fallback_s < 0.05 and others.worst_s < 0.05


def left() -> dict[str, int]:
    gc.collect()
    living = [one for one in gc.get_objects() if isinstance(one, greenlet) and not one.dead]
    return {
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "greenlets": len(living),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
    }


def cycle() -> None:
    with CentralSystem(settings(), plugins=[Tags.spec(blocking=True, threads=3)]) as system:
        with connect(system, "CP1") as charge_point:
            assert authorize(charge_point, "T1") == "Accepted"
        asked: list[Any] = []
        hosts = [
            threading.Thread(target=lambda: asked.append(system.ref("Tags").ask(1, timeout=5)))
            for _ in range(3)
        ]
        for host in hosts:
            host.start()
        while any(host.is_alive() for host in hosts):
            gevent.sleep(0.001)
        assert asked == [1, 1, 1]


def cycles(number: int) -> bool:
    for _ in range(5):
        cycle()
    before = left()
    began = time.perf_counter()
    for _ in range(number):
        cycle()
    gevent.sleep(0.5)
    after = left()
    print(f"{number} starts and stops in {time.perf_counter() - began:.0f} s: before {before}, after {after}")
    return all(after[what] <= before[what] for what in before)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cycles", type=int, default=100, help="starts and stops")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    held = [asks(), blocks(), sticks(), cycles(given.cycles)]
    print("all bounds hold" if all(held) else "a bound is broken")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
