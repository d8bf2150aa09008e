"""`make attacks`: latency of well-behaved charge points, memory and descriptors while somebody attacks the server.

    python bench/attacks.py [--seconds 5] [--good 20] [--transport reactor] [--bound-ms 20] [--p99-ms 100] [junk ...]
    python bench/attacks.py mutations --frames 125000 --version 2.0.1 --compression on --seed 1

Each attack has a fresh server (`chargehand serve`, SQLite) in a process of its own; the attacker is a third process.
The attacks are in `floods.py`, `trials.py`, `mutations.py` and `lying_redis.py`. The good charge points call at a pace
before, during and after.

The exit status is 1 if the server has ended, has logged a traceback, or takes no new connection afterwards, or if an
attack has seen what must not be; with `--bound-ms` if the p99 of the good ones moves by more, with `--p99-ms` if it is
above that, and if memory grows by more than `--growth-mib` in the second half of the mutations.
"""

import contextlib
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlsplit

import click
import gevent
import lying_redis
import mutations
from flood import resident_kib, serving
from floods import FLOODS, flood
from gevent.pool import Group
from gevent.subprocess import DEVNULL, PIPE, Popen
from rich.console import Console
from rich.table import Table
from station import ANSWER_S, PACE_S, Station
from trials import TRIALS, VICTIM, Target, Trial, basic, more_files, status_of

from chargehand import ChargehandError

CONSOLE = Console(width=None if sys.stdout.isatty() else 170)
LYING, MUTATIONS = "lying-redis", "mutations"
NAMES = (*FLOODS, *TRIALS, LYING, MUTATIONS)
VERSIONS = ("1.6", "2.0.1")
RECOVERY_S = 120.0
"""Seconds after an attack within which the server must be well again."""
LEAST_CALLS = 2
"""Calls of each good charge point in each phase, however long they take."""
RECONNECTS = "[sessions]\nreconnect_rate = 0\n"
"""Settings of the server of mutations: a connection that is broken comes back at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of all attacks."""

    good: int
    seconds: float
    transport: str
    bound_ms: float
    p99_ms: float
    growth_mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """Attack by name, with the facts of a trial, and the plan of mutations if it is one of those."""

    name: str
    kind: str
    trial: Trial
    plan: dict[str, object] = field(default_factory=dict)

    def settings(self, good: int) -> str:
        """Write the settings of the server as TOML."""
        if not self.trial.password:
            return self.trial.config
        names = [VICTIM, *(f"GOOD{number}" for number in range(good))]
        lines = [f'{name} = "{self.trial.password}"' for name in names]
        return "\n".join((self.trial.config, "[auth.credentials]", *lines, ""))


@dataclass(slots=True)
class Seen:
    """Latencies of good charge points in ms (p50, p99, longest), what the server used, and what was wrong."""

    phases: dict[str, list[float]] = field(default_factory=dict)
    used: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    later_growth_mib: float = 0.0
    faults: list[str] = field(default_factory=list)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid: int) -> int:
    """Count the open file descriptors of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def in_ms(latencies: list[float]) -> list[float]:
    """Return p50, p99 and maximum in ms of latencies in seconds."""
    percentiles = quantiles(latencies, n=100)
    return [1000 * one for one in (percentiles[49], percentiles[98], max(latencies))]


class Good:
    """Good charge points that call at a pace while they are watched."""

    def __init__(self, port: int, number: int, password: str) -> None:
        self.stations = []
        for one in range(number):
            headers = {"Authorization": basic(f"GOOD{one}", password)} if password else {}
            self.stations.append(Station.connect(port, f"GOOD{one}", headers))

    def watch(self, work: Callable[[], object]) -> list[float]:
        """Call at a pace until the work has returned; return p50, p99 and longest in ms."""
        running, group = True, Group()

        def pace(station: Station, after_s: float) -> None:
            station.latencies.clear()
            gevent.sleep(after_s)
            while running or len(station.latencies) < LEAST_CALLS:
                if b'"Accepted"' not in station.authorize("TAG"):
                    raise RuntimeError("a good charge point got a wrong answer")
                gevent.sleep(PACE_S)

        for number, station in enumerate(self.stations):
            group.spawn(pace, station, PACE_S * number / len(self.stations))
        try:
            work()
        finally:
            running = False
            group.join(2 * ANSWER_S, raise_error=True)
            group.kill()
        return in_ms([latency for station in self.stations for latency in station.latencies])

    def leave(self) -> None:
        """End their connections."""
        for station in self.stations:
            station.client.cut(reset=False)


class Gauge:
    """Memory and file descriptors of a process, looked at twice a second."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.kib = [resident_kib(pid, "VmRSS")]
        self.descriptors = 0
        self._running = gevent.spawn(self._look)

    def _look(self) -> None:
        while True:
            with contextlib.suppress(OSError, IndexError):
                self.kib.append(resident_kib(self._pid, "VmRSS"))
                self.descriptors = max(self.descriptors, descriptors(self._pid))
            gevent.sleep(0.5)

    def stop(self) -> None:
        """Look no more."""
        self._running.kill()

    def later_growth_mib(self) -> float:
        """Return by how much the last tenth is above the tenth in the middle."""
        tenth, middle = max(1, len(self.kib) // 10), len(self.kib) // 2
        return (median(self.kib[-tenth:]) - median(self.kib[middle : middle + tenth])) / 1024


def usage(pid: int, there: Path) -> dict[str, float]:
    """Return what a server has in use."""
    disk = size_of(there / "data")
    return {
        "MiB": resident_kib(pid, "VmRSS") / 1024,
        "fds": descriptors(pid),
        "disk MiB": disk / 1024 / 1024,
        "log KiB": (size_of(there) - disk) / 1024,
        "CPU s": cpu_s(pid),
    }


def wait_for_health(data: Path) -> None:
    """Wait until the server says that it is well again. Raises RuntimeError."""
    port = urlsplit(json.loads((data / "run.json").read_text())["http"]).port or 0
    ends_at, request = (
        time.monotonic() + RECOVERY_S,
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    while (status := status_of(port, request)) != HTTPStatus.OK:
        if time.monotonic() > ends_at:
            raise RuntimeError(f"/healthz is {status} for {RECOVERY_S:g} s after the attack")
        gevent.sleep(0.2)


def run_attacker(attack: Attack, port: int, data: Path, seconds: float) -> dict[str, float]:
    """Run an attack in a process of its own; return its figures."""
    run = json.loads((data / "run.json").read_text())
    token = (data / "token").read_text().strip()
    target = Target(port=port, http_port=urlsplit(run["http"]).port or 0, token=token, seconds=seconds)
    command = [sys.executable, __file__, "--attack", attack.kind, "--target", json.dumps(asdict(target))]
    process = Popen(
        [*command, "--plan", json.dumps(attack.plan | {"port": port})], stdin=DEVNULL, stdout=PIPE
    )
    try:
        if attack.kind in FLOODS:
            gevent.sleep(seconds)
            return {}
        output, _ = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"the attacker {attack.name} failed: {output.decode(errors='replace')}")
        return dict(json.loads(output))
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def attack_once(attack: str, target: Target, plan: dict[str, object]) -> None:
    """Attack, in the attacker's process, and print the figures."""
    more_files()
    if attack in FLOODS:
        flood(attack, target.port)
    elif attack == MUTATIONS:
        print(json.dumps(asdict(mutations.run(mutations.Plan(**plan)))))  # type: ignore[arg-type]
    else:
        print(json.dumps(TRIALS[attack].attack(target)))


def measure(attack: Attack, options: Options) -> Seen:
    """Run one attack against a fresh server."""
    seen, password = Seen(), attack.trial.password
    with tempfile.TemporaryDirectory(prefix="attack-") as folder, contextlib.ExitStack() as undo:
        there = Path(folder)
        file = there / "attack.toml"
        file.write_text(attack.settings(options.good))
        liar = undo.enter_context(lying_redis.liar(there)) if attack.kind == LYING else None
        more = ["--config", str(file), "--transport", options.transport]
        more += [
            "--store",
            "sqlite" if liar is None else "memory",
        ]  # nodes share their store, or promise nothing
        if liar is not None:
            more += ["--redis", liar.url]
        try:
            with serving(there, *more) as (port, pid):
                good = Good(port, options.good, password)
                good.watch(lambda: gevent.sleep(1.0))  # warm up
                seen.phases["before"] = good.watch(lambda: gevent.sleep(options.seconds))
                before, gauge, begun = usage(pid, there), Gauge(pid), time.monotonic()

                def work() -> None:
                    if liar is None:
                        seen.figures |= run_attacker(attack, port, there / "data", options.seconds)
                    else:
                        seen.figures |= liar.lie(options.seconds)

                try:
                    seen.phases["during"] = good.watch(work)
                finally:
                    gauge.stop()
                busy = time.monotonic() - begun
                cpu = cpu_s(pid) - before["CPU s"]
                seen.phases["after"] = good.watch(lambda: gevent.sleep(options.seconds))
                after = usage(pid, there)
                wait_for_health(there / "data")
                Good(port, 1, password).leave()
                good.leave()
        except (OSError, RuntimeError, ValueError, ChargehandError, gevent.Timeout) as error:
            seen.faults.append(f"{type(error).__name__}: {error}")
        else:
            seen.used = {name: after[name] - before[name] for name in after}
            seen.used |= {
                "peak MiB": max(gauge.kib) / 1024 - before["MiB"],
                "peak fds": max(0, gauge.descriptors - before["fds"]),
                "CPU %": 100 * cpu / busy,
            }
            seen.later_growth_mib = gauge.later_growth_mib()
        output = (there / "output").read_text(errors="replace")
    judge(attack, seen, output, options)
    return seen


def judge(attack: Attack, seen: Seen, output: str, options: Options) -> None:
    """Note what was wrong."""
    seen.figures["errors in the log"] = output.count(" ERROR ")
    if "Traceback (most recent call last)" in output:
        at = output.index("Traceback (most recent call last)")
        seen.faults.append(f"a traceback in the log: {output[max(0, at - 300) : at + 3000]}")
    if not seen.used:
        seen.faults.append(f"the end of the server's log: {output[-2000:]}")
        return
    seen.faults += attack.trial.wrong(seen.figures)
    (_, p99, _), (_, quiet, _) = seen.phases["during"], seen.phases["before"]
    if options.bound_ms and p99 - quiet > options.bound_ms:
        seen.faults.append(f"p99 moves by {p99 - quiet:.1f} ms")
    if options.p99_ms and p99 > options.p99_ms:
        seen.faults.append(f"p99 is {p99:.1f} ms")
    if attack.kind == MUTATIONS:
        seen.figures["MiB of the second half"] = round(seen.later_growth_mib, 1)
    if attack.kind == MUTATIONS and seen.later_growth_mib > options.growth_mib:
        seen.faults.append(f"memory grows by {seen.later_growth_mib:.1f} MiB in the second half")


def attacks(
    names: tuple[str, ...], versions: tuple[str, ...], compression: str, plan: dict[str, object]
) -> Iterator[Attack]:
    """List the attacks of some names: mutations once for each version, with and without compression."""
    for name in names:
        if name != MUTATIONS:
            yield Attack(name=name, kind=name, trial=TRIALS.get(name, Trial()))
            continue
        for version in versions:
            for deflate in {"on": (True,), "off": (False,), "both": (False, True)}[compression]:
                yield Attack(
                    name=f"{name} {version}{' deflate' if deflate else ''}",
                    kind=name,
                    trial=Trial(config=RECONNECTS),
                    plan=plan | {"subprotocol": f"ocpp{version}", "compression": deflate},
                )


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES))
@click.option("--good", default=20, show_default=True, help="Good charge points.")
@click.option("--seconds", default=5.0, show_default=True, help="Length of each phase.")
@click.option("--transport", default="reactor", show_default=True)
@click.option("--bound-ms", default=0.0, help="Fail if a p99 moves by more than this; 0 only prints.")
@click.option("--p99-ms", default=0.0, help="Fail if a p99 during an attack is above this; 0 only prints.")
@click.option(
    "--growth-mib", default=8.0, show_default=True, help="Most growth in the second half of mutations."
)
@click.option("--frames", default=20_000, show_default=True, help="Mutated frames of each kind.")
@click.option(
    "--version", "versions", multiple=True, type=click.Choice(VERSIONS), default=VERSIONS, show_default=True
)
@click.option("--compression", default="both", type=click.Choice(("on", "off", "both")), show_default=True)
@click.option("--seed", default=18, show_default=True, help="Seed of the mutations.")
@click.option(
    "--radamsa/--no-radamsa", default=True, show_default=True, help="A share by pyradamsa, if installed."
)
@click.option("--attack", default="", hidden=True)
@click.option("--target", default="", hidden=True)
@click.option("--plan", default="", hidden=True)
def main(**given: Any) -> None:
    """Print p50, p99 and longest of the good charge points, and the growth of memory, descriptors, disk and log."""
    if given["attack"]:
        attack_once(given["attack"], Target(**json.loads(given["target"])), json.loads(given["plan"]))
        return
    gc.disable()  # a pause of this process would count as a delay of the server
    options = Options(**{name: given[name] for name in Options.__slots__})
    plan = {name: given[name] for name in ("frames", "seed", "radamsa")}
    table = Table(
        *("attack", "before p50/p99/longest ms", "during", "after", "MiB (peak)", "fds (peak)"),
        *("disk MiB", "log KiB", "CPU %", "seen"),
    )
    faults = []
    for attack in attacks(given["names"] or NAMES, given["versions"], given["compression"], plan):
        why = lying_redis.missing() if attack.kind == LYING else ""
        if why:
            table.add_row(attack.name, why)
            continue
        seen = measure(attack, options)
        faults += [f"{attack.name}: {fault}" for fault in seen.faults]
        table.add_row(attack.name, *shown(seen))
    CONSOLE.print(table)
    for fault in faults:
        CONSOLE.print(fault, style="red", markup=False)
    sys.exit(bool(faults))


def shown(seen: Seen) -> list[str]:
    """Write the cells of a row."""
    if not seen.used:
        return ["it did not hold"]
    phases = [
        " / ".join(f"{one:.1f}" for one in seen.phases[phase]) for phase in ("before", "during", "after")
    ]
    used = seen.used
    figures = ", ".join(f"{name} {figure:,g}" for name, figure in seen.figures.items() if figure)
    return [
        *phases,
        f"{used['MiB']:.1f} ({used['peak MiB']:.1f})",
        f"{used['fds']:.0f} ({used['peak fds']:.0f})",
        f"{used['disk MiB']:.1f}",
        f"{used['log KiB']:.1f}",
        f"{used['CPU %']:.0f}",
        figures,
    ]


if __name__ == "__main__":
    main()
