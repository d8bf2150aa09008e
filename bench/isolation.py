"""`make isolation`: latency of other charge points when 50 commands time out at once, and when a plugin hangs for one.

    python bench/isolation.py [--charge-points 100] [--seconds 5] [--bound-ms 100]

The server is a process of its own; this process plays the charge points and measures the untouched ones: each sends
an Authorize from time to time and waits for its answer. Rule: the same charge points call at the same pace in every
phase; only the trouble of the others differs. The exit status is 1 if nobody was answered while the trouble of
another was going on, and with `--bound-ms` if a p99 is over that.
"""

import gc
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import quantiles

import click
import gevent
from gevent.pool import Group
from gevent.subprocess import PIPE, Popen
from rich.console import Console
from rich.table import Table
from station import PACE_S, Station

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
from chargehand.cli.program import tune_collector

SILENT = 50  # charge points that answer no command
TIMEOUT_S = 1.0  # of those commands, and the deadline of the handler that hangs
FAIL_APART_S = 0.005  # between two failures
LEAST_S = 0.05  # of a command that is sent late
OVERLAP_S = 120.0  # longest wait for a call that was made and answered meanwhile
APART_S = 0.01  # between those commands; all of them are out well before the first is over
CLOSE_S = 60.0
HANG, RAISE, NONSENSE = "HANG", "RAISE", "NONSENSE"
CONSOLE = Console(width=None if sys.stdout.isatty() else 120)


class Tags(Plugin):
    """Accepts every tag, but hangs, raises or returns nonsense for some."""

    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]) -> dict[str, object]:
        """Answer, hang, raise or return nonsense, by the tag."""
        if call.request.id_tag == HANG:
            gevent.sleep(3600)
        if call.request.id_tag == RAISE:
            raise ValueError("as it was told to")
        if call.request.id_tag == NONSENSE:
            return {"idTagInfo": 17}
        return {"idTagInfo": {"status": "Accepted"}}


def serve() -> None:
    """Run the server: print its port, and for every line of input send commands to all silent charge points at once."""
    logging.getLogger("chargehand").setLevel(logging.CRITICAL)  # each missed deadline is a log line
    settings = Settings(
        port=0,
        deadlines=DeadlineSettings(default_s=TIMEOUT_S),
        # The circuit breaker would open after three failures; here the handler must go on failing.
        supervision=SupervisionSettings(handler_failures=10**6),
    )
    with CentralSystem(settings, plugins=[Tags]) as system:
        tune_collector()  # as `chargehand serve` does; a full collection takes 30 ms
        print(system.port, flush=True)
        lines = gevent.get_hub().threadpool
        while lines.apply(sys.stdin.readline):
            # Sent one after the other, so that only their timeouts coincide.
            due, tickets = time.monotonic() + TIMEOUT_S, []
            for number in range(SILENT):
                left_s = max(due - time.monotonic(), LEAST_S)
                tickets.append(system.send(f"SILENT-{number}", v16.ClearCache(), timeout_s=left_s))
                gevent.sleep(APART_S)
            for ticket in tickets:
                ticket.wait()
            print(json.dumps([ticket.state for ticket in tickets]), flush=True)


class Testbed:
    """Server process and all charge points."""

    def __init__(self, charge_points: int) -> None:
        self._process = Popen([sys.executable, __file__, "--serve"], stdin=PIPE, stdout=PIPE, text=True)
        port = int(self._process.stdout.readline())
        self.untouched = [Station.connect(port, f"CP{number}") for number in range(charge_points)]
        self.silent = [Station.connect(port, f"SILENT-{number}") for number in range(SILENT)]
        self.bad = Station.connect(port, "BAD")
        self.meanwhile = 0  # calls of the untouched that began and ended during one trouble of another
        self._troubles = 0  # that have begun or ended
        self._until = 0.0

    def phase(
        self, seconds: float, trouble: Callable[[], None] | None, *, lasts: bool = False
    ) -> list[float]:
        """Run the untouched charge points for some seconds of trouble; return their latencies in seconds.

        The phase of a trouble that `lasts` is longer if no call was made and answered during it.
        """
        for station in self.untouched:
            station.latencies.clear()
        self.meanwhile, self._until = 0, time.monotonic() + seconds
        group = Group()
        for number, station in enumerate(self.untouched):
            group.spawn(self._pace, station, PACE_S * number / len(self.untouched), lasts=lasts)
        troubled = gevent.spawn(self._go_on, trouble, lasts=lasts) if trouble is not None else None
        group.join(raise_error=True)
        if troubled is not None:
            troubled.get()
        return [latency for station in self.untouched for latency in station.latencies]

    def _going(self, *, lasts: bool) -> bool:
        now = time.monotonic()
        return now < self._until or (lasts and not self.meanwhile and now < self._until + OVERLAP_S)

    def _pace(self, station: Station, after_s: float, *, lasts: bool) -> None:
        """Send Authorizes at the pace, at least one."""
        gevent.sleep(after_s)
        going = True
        while going:
            at = self._troubles
            if b'"Accepted"' not in station.authorize("TAG"):
                raise RuntimeError("an untouched charge point got a wrong answer")
            # An odd number is that of a trouble that is going on.
            self.meanwhile += at % 2 == 1 and at == self._troubles
            gevent.sleep(PACE_S)
            going = self._going(lasts=lasts)

    def _go_on(self, trouble: Callable[[], None], *, lasts: bool) -> None:
        while self._going(lasts=lasts):
            self._troubles += 1
            trouble()
            self._troubles += 1
            gevent.sleep(FAIL_APART_S)

    def time_out(self) -> None:
        """Have 50 commands time out at the same moment."""
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        states = json.loads(self._process.stdout.readline())
        if states != ["timed_out"] * SILENT:
            raise RuntimeError(f"the commands should all have timed out: {states}")

    def fail(self, tag: str) -> None:
        """Have the plugin fail for one charge point."""
        if b"InternalError" not in self.bad.authorize(tag):
            raise RuntimeError("the handler that fails was not stood in for")

    def close(self) -> None:
        """Close the connections and end the server."""
        for station in (*self.untouched, *self.silent, self.bad):
            station.client.cut(reset=False)
        self._process.stdin.close()
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


@click.command()
@click.option("--serve", "serves", is_flag=True, hidden=True)
@click.option("--charge-points", default=100, show_default=True, help="Untouched charge points.")
@click.option("--seconds", default=5.0, show_default=True, help="Length of each phase.")
@click.option("--bound-ms", default=0.0, help="Fail if a p99 is over this; 0 only prints.")
def main(*, serves: bool, charge_points: int, seconds: float, bound_ms: float) -> None:
    """Print p50 and p99 of the untouched charge points, before and during the trouble of others."""
    if serves:
        serve()
        return
    gc.disable()  # a pause of this process would count as a delay of the server
    testbed = Testbed(charge_points)
    table = Table("while", "calls", "of them meanwhile", "p50 ms", "p99 ms", "worst ms")
    over = []
    try:
        testbed.phase(min(seconds, 1.0), None)  # warm up
        for what, trouble, lasts in (
            ("all is quiet", None, False),
            (f"{SILENT} commands time out at once, each second", testbed.time_out, True),
            ("all is quiet", None, False),
            ("a plugin hangs for one charge point", partial(testbed.fail, HANG), True),
            ("a plugin raises for one charge point, all the time", partial(testbed.fail, RAISE), False),
            (
                "a plugin talks nonsense to one charge point, all the time",
                partial(testbed.fail, NONSENSE),
                False,
            ),
            ("all is quiet", None, False),
        ):
            latencies = testbed.phase(seconds, trouble, lasts=lasts)
            percentiles = quantiles(latencies, n=100)
            figures = [1000 * one for one in (percentiles[49], percentiles[98], max(latencies))]
            meanwhile = str(testbed.meanwhile) if lasts else ""
            table.add_row(what, str(len(latencies)), meanwhile, *(f"{one:.2f}" for one in figures))
            if lasts and not testbed.meanwhile:
                over.append(f"nobody was answered while {what}")
            if bound_ms and figures[1] > bound_ms:
                over.append(f"p99 while {what}: {figures[1]:.2f} ms")
    finally:
        testbed.close()
    CONSOLE.print(table)
    for line in over:
        CONSOLE.print(line, style="red")
    sys.exit(bool(over))


if __name__ == "__main__":
    main()
