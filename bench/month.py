"""`make month`: a simulated month of a fleet at two nodes, Redis and PostgreSQL, with faults, kills and backups.

    python bench/month.py [--stations 300] [--days 30] [--speed 5000] [--profile home] [--share 0.2] [--seed 1]
        [--config FILE] [--disturb 6]

Simulated time goes as fast as `--speed`, and as the machine holds. In the first half of it a node is killed, both are
upgraded one after the other to a version to come (`future_version`), Redis is killed, PostgreSQL restarted, and a node
killed again; backups (pg_dump) are made all the time, and readings and events are exported and deleted after three
minutes. Settings of FILE are added to those of the nodes. In the end the energy of every session, by the meter of its
charge point, must be in the store to the Wh, unless its charge point tells another one.
Memory and open files of the nodes are sampled; their growth per hour of real time is that of the second half, when
nothing is killed. The exit status is 1 if a session is lost, or has another energy.
"""

import contextlib
import json
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from statistics import linear_regression
from typing import Any

import click
import gevent
import psycopg
from gevent import subprocess
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent / "nodes"))
from deployment import TOKEN, Deployment, NotHere

from chargehand.simulator.fleet import PROFILES, Fleet, Session
from chargehand.simulator.models import MODELS
from chargehand.tests.postgres_process import NoPostgres, PostgresProcess, find_programs

CONSOLE = Console(width=None if sys.stdout.isatty() else 120)
# Records are kept for three minutes of real time: most readings are deleted before the end.
CONFIG = """
[redis]
url = "{redis}"
secret = "{secret}"
[http]
token = "{token}"
[back_office]
heartbeat_interval_s = 3600
[log]
level = "WARNING"
[retention]
readings_days = 0.00209
status_days = 0.00209
events_days = 0.00209
"""
SAMPLE_S = 5.0
AWAY_S = 2.0
BACKUP_S, PRUNE_S, PASS_S = 60.0, 20.0, 600.0
PAGE, SPOOLED = 1000, 10_000
SETTLED_S = 180.0
MIB = 1 << 20
PAGE_BYTES = 4096
HALF = 0.5
STEP, STEP_S = 0.03, 10.0
"""Share of the simulated time that may go by in so many seconds while something is disturbed."""
FAULTS_SHOWN = 20


@dataclass
class Life:
    """Samples of one process of a node: seconds since the run began, resident MiB, open files."""

    node: str
    pid: int
    samples: list[tuple[float, float, int]] = field(default_factory=list)

    def growth(self, since: float) -> tuple[float, float] | None:
        """Return MiB and open files per hour from a time on; None for too few samples."""
        late = [one for one in self.samples if one[0] >= since]
        if len(late) < 10:
            return None
        times = [one[0] / 3600 for one in late]
        return tuple(linear_regression(times, [float(one[place]) for one in late]).slope for place in (1, 2))  # type: ignore[return-value]


class Watcher:
    """Samples of all processes of the nodes, taken from time to time."""

    def __init__(self, deployment: Deployment) -> None:
        self.lives: dict[int, Life] = {}
        self._deployment = deployment
        self._begun = time.monotonic()

    def run(self) -> None:
        """Sample until killed."""
        while True:
            for node in self._deployment.nodes:
                with contextlib.suppress(OSError, AttributeError):
                    self._sample(node.name, node.pid)
            gevent.sleep(SAMPLE_S)

    def _sample(self, name: str, pid: int) -> None:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        if pages:
            life = self.lives.setdefault(pid, Life(name, pid))
            life.samples.append((self.now, pages * PAGE_BYTES / MIB, files))

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._begun


@dataclass
class Backups:
    """Backups of the database, one after the other."""

    url: str
    folder: Path
    made: int = 0
    failed: int = 0
    size_bytes: int = 0

    def run(self) -> None:
        """Make backups until killed."""
        program = find_programs() / "pg_dump"
        while program.exists():
            gevent.sleep(BACKUP_S)
            file = self.folder / "backup.dump"
            done = subprocess.run(
                [str(program), "-Fc", "-f", str(file), self.url],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
            if done.returncode:
                self.failed += 1
            else:
                self.made += 1
                self.size_bytes = file.stat().st_size


@dataclass
class Pruning:
    """Passes of retention at a node, one after the other."""

    deployment: Deployment
    passes: int = 0
    refused: int = 0
    deleted: Counter[str] = field(default_factory=Counter)

    def run(self) -> None:
        """Make passes until killed; a node may be away, or the other one may be at it."""
        while True:
            gevent.sleep(PRUNE_S)
            try:
                status, answer = self.deployment.post(0, "store/prune", {}, PASS_S)
            except (OSError, ValueError, IndexError):
                continue
            self.passes += status == HTTPStatus.OK
            self.refused += status != HTTPStatus.OK
            self.deleted.update(answer.get("deleted", {}))


def disturbances(
    deployment: Deployment, database: PostgresProcess
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what is done in the first half, in order."""

    def kill(process: Any) -> None:
        process.kill()
        gevent.sleep(AWAY_S)
        process.start()

    def restart_database() -> None:
        database.stop()
        database.start()

    def upgrade(process: Any) -> None:
        process.stop()
        process.start_with(sys.executable, "future_version")

    first, second = deployment.nodes
    yield "node 1 is killed", lambda: kill(first)
    yield "node 2 is upgraded", lambda: upgrade(second)
    yield "Redis is killed", lambda: kill(deployment.redis)
    yield "node 1 is upgraded", lambda: upgrade(first)
    yield "PostgreSQL is restarted", restart_database
    yield "node 2 is killed", lambda: kill(second)


def disturb(fleet: Fleet, deployment: Deployment, database: PostgresProcess, most: int) -> None:
    """Do so many of them, evenly over the first half of the simulated time."""
    found = list(disturbances(deployment, database))[:most]
    slow = (fleet.end - fleet.start) * STEP / STEP_S
    for number, (name, do) in enumerate(found, 1):
        at = HALF * number / (len(found) + 1)
        while share(fleet) < at:
            gevent.sleep(0.1)
        CONSOLE.print(f"{share(fleet):.0%}: {name}")
        # A short run would be over before the process is there again.
        speed, fleet.pace.speed = fleet.pace.speed, min(fleet.pace.speed, slow)
        do()
        fleet.pace.speed = speed


def share(fleet: Fleet) -> float:
    """Return the share of the simulated time that is over."""
    return (fleet.pace.now - fleet.start) / (fleet.end - fleet.start)


# -- What is in the store ------------------------------------------------------------------------------


def get(deployment: Deployment, path: str) -> Any:
    """GET from the HTTP API of node 1."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{deployment.http[0]}/api/v1/{path}", headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=SETTLED_S * 2) as answer:
        return json.load(answer)


def stored(deployment: Deployment) -> Iterator[dict[str, Any]]:
    """Yield all transactions of the store, as the HTTP API has them."""
    before = ""
    while True:
        told = get(deployment, f"transactions?limit={PAGE}{before}")
        yield from told["transactions"]
        if not told["more"]:
            return
        before = f"&before={told['next']}"


def compare(sessions: list[Session], transactions: list[dict[str, Any]]) -> tuple[Counter[str], list[str]]:
    """Compare the sessions with what is stored; return counts, and faults."""
    counts: Counter[str] = Counter()
    faults: list[str] = []
    by_name: dict[tuple[str, object], dict[str, Any]] = {}
    for one in transactions:
        name = one["transaction_id"] if one["version"] == "1.6" else one["remote_id"]
        by_name[one["charge_point"], name] = one
        by_name.setdefault((one["charge_point"], (one["id_tag"], one["meter_start"])), one)
    for session in sessions:
        name = (session.charge_point, session.transaction or (session.tag, session.meter_start))
        one = by_name.get(name)
        if one is None:
            counts["lost"] += 1
            faults.append(f"lost: {session}")
        elif session.energy != "exact":
            told = one["energy_wh"] is not None and float(one["energy_wh"]) == session.energy_wh
            counts["told otherwise, and yet the same" if told else f"{session.energy}, not compared"] += 1
        elif one["open"] or one["energy_wh"] is None or float(one["energy_wh"]) != session.energy_wh:
            counts["wrong energy"] += 1
            faults.append(f"energy: {session} is stored as {one}")
        else:
            counts["energy equal to the Wh"] += 1
    counts["transactions in the store"] = len(transactions)
    return counts, faults


def spool_at_rest(deployment: Deployment) -> dict[str, Any]:
    """Wait until nothing waits in the spool, or the time is up; return it."""
    ends_at = time.monotonic() + SETTLED_S
    while True:
        spool: dict[str, Any] = get(deployment, f"spool?limit={SPOOLED}")
        if not spool["waiting"] or time.monotonic() > ends_at:
            return spool
        gevent.sleep(0.5)


@click.command()
@click.option("--stations", default=300, show_default=True)
@click.option("--days", default=30.0, show_default=True)
@click.option("--speed", default=5000.0, show_default=True)
@click.option("--profile", type=click.Choice(list(PROFILES)), default="home", show_default=True)
@click.option("--share", "share_", default=0.2, show_default=True, help="Share of stations that misbehave.")
@click.option("--seed", default=1, show_default=True)
@click.option("--config", type=click.Path(exists=True), help="Settings that are added to those of the nodes.")
@click.option("--disturb", "most", default=6, show_default=True, help="Number of disturbances, at most 6.")
def main(
    *,
    stations: int,
    days: float,
    speed: float,
    profile: str,
    share_: float,
    seed: int,
    config: str | None,
    most: int,
) -> None:
    """Make the run and print its figures."""
    names = sorted({name for model in MODELS.values() for name in model.misbehaviours})
    sessions: list[Session] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="month-")))
        added = "" if config is None else Path(config).read_text().replace("{", "{{").replace("}", "}}")
        try:
            database = stack.enter_context(PostgresProcess(fsync=True))
            deployment = stack.enter_context(
                Deployment(folder, database.url, config=CONFIG + added, plugin_hosts=0)
            )
        except (NoPostgres, NotHere) as error:
            raise click.ClickException(str(error)) from error
        fleet = Fleet(
            deployment.addresses[0].rstrip("/"),
            stations=stations,
            profile=profile,
            days=days,
            speed=speed,
            seed=seed,
            misbehaviour=names,
            share=share_,
            on_session=sessions.append,
        )
        for number, member in enumerate(fleet.members):
            # Without a balancer a half of each version is at each node.
            address = deployment.addresses[number // 2 % len(deployment.addresses)]
            member.charge_point.url = member.charge_point.url.replace(deployment.addresses[0], address)
        watcher, backups, pruning = Watcher(deployment), Backups(database.url, folder), Pruning(deployment)
        beside = [gevent.spawn(one.run) for one in (watcher, backups, pruning)]
        disturbing = gevent.spawn(disturb, fleet, deployment, database, most)
        following = gevent.spawn(follow, fleet, watcher)
        summary = fleet.run()
        disturbing.join()
        gevent.killall(beside)
        spool = spool_at_rest(deployment)
        counts, faults = compare(sessions, list(stored(deployment)))
        with psycopg.connect(database.url) as server:
            ((readings,),) = server.execute("SELECT count(*) FROM chargehand.readings").fetchall()
        exported = sum(1 for _ in folder.glob("data*/exports/**/*.csv*"))
    well_behaved = {member.identity for member in fleet.members if not member.misbehaviour}
    faults += [f"waits in the spool: {one}" for one in spool["waiting"]]
    faults += [f"dead letter: {one}" for one in spool["dead_letters"] if one["charge_point"] in well_behaved]
    if summary["undelivered"]:
        faults.append(f"{summary['undelivered']} messages were not delivered")
    if not disturbing.successful():
        faults.append(f"a disturbance failed: {disturbing.exception!r}")
    kept = {
        **{f"{kind} deleted by age": number for kind, number in pruning.deleted.items()},
        "passes of retention": pruning.passes,
        "passes that were refused": pruning.refused,
        "readings in the store": readings,
        "files of exported records": exported,
    }
    print_figures(summary, kept | counts, spool, backups, deployment.balancer)
    print_lives(watcher, following.get(timeout=SETTLED_S))
    CONSOLE.print(f"faults: {len(faults)}")
    for fault in faults[:FAULTS_SHOWN]:
        CONSOLE.print(f"FAULT {fault}", style="red", markup=False, highlight=False)
    sys.exit(bool(faults))


def follow(fleet: Fleet, watcher: Watcher) -> float:
    """Print each tenth of the simulated time; return the real time at which a half of it was over."""
    half = 0.0
    for tenth in range(1, 10):
        while share(fleet) < tenth / 10:
            gevent.sleep(0.1)
        CONSOLE.print(f"{watcher.now:.0f} s: {tenth}0%, {fleet.sessions} sessions, {fleet.online} online")
        half = watcher.now if tenth / 10 == HALF else half
    return half


def print_figures(
    summary: dict[str, Any], counts: dict[str, int], spool: dict[str, Any], backups: Backups, balancer: str
) -> None:
    """Print what was done, and what of it is in the store."""
    shown = summary["misbehaviour"]
    figures = {
        **{name: value for name, value in summary.items() if not isinstance(value, dict)},
        **{f"failed: {name}": value for name, value in summary["failed"].items()},
        "times as fast": round(summary["simulated_s"] / max(summary["real_s"], 1)),
        "messages per s": round(summary["messages"] / max(summary["real_s"], 1)),
        "faults shown": sum(shown.values()),
        "kinds of faults shown": sum(1 for times in shown.values() if times),
        "address": balancer,
        "dead letters": len(spool["dead_letters"]),
        "backups": f"{backups.made} ({backups.size_bytes / MIB:.1f} MiB), {backups.failed} failed",
        "lost": 0,
        **counts,
    }
    table = Table("what", "figure")
    for what, figure in figures.items():
        table.add_row(what, f"{figure:,}" if isinstance(figure, int | float) else str(figure))
    CONSOLE.print(table)


def print_lives(watcher: Watcher, half: float) -> None:
    """Print memory and open files of each process of a node."""
    table = Table("node", "process", "from s", "to s", "MiB", "most", "files", "most", "MiB/h", "files/h")
    for life in watcher.lives.values():
        times, memory, files = zip(*life.samples, strict=True)
        growth = life.growth(half)
        slopes = ["", ""] if growth is None else [f"{growth[0]:+.1f}", f"{growth[1]:+.1f}"]
        table.add_row(
            *(life.node, str(life.pid), f"{times[0]:.0f}", f"{times[-1]:.0f}"),
            *(f"{memory[-1]:.1f}", f"{max(memory):.1f}", str(files[-1]), str(max(files)), *slopes),
        )
    CONSOLE.print(table)


if __name__ == "__main__":
    main()
