"""`make month`: a simulated month of a fleet at two nodes, Redis and PostgreSQL, with faults, kills and backups.

    python bench/month.py [--stations 300] [--days 30] [--speed 5000] [--profile home] [--share 0.2] [--seed 1]
        [--config FILE] [--disturb 6] [--rest 240]

Simulated time goes as fast as `--speed`, and as the machine holds. In the first half of it a node is killed, both are
upgraded one after the other to a version to come (`future_version`), Redis is killed, PostgreSQL restarted, and a node
killed again; backups (pg_dump) are made all the time, transactions are listed at both nodes, and readings and events
are exported and deleted after three minutes. Settings of FILE are added to those of the nodes.

In the end the energy of every session, by the meter of its charge point, must be that of the store to the Wh, unless
its charge point tells another one: in the list of one node, in the view of each transaction at the other one, and in
the column of the table. That is looked at while retention goes on, and again when it has deleted all readings, for
which it has `--rest` seconds. The exit status is 1 if a session is lost, is stored twice, or has another energy.

Memory and open files of the nodes are sampled. Their growth per hour of real time is a median of slopes (`slope`) over
the second half of the simulated time, when nothing is killed, without the first five minutes of a process.
"""

import contextlib
import json
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from statistics import median
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
WARM_UP_S = 300.0
LEAST_SAMPLES = 24
AWAY_S = 2.0
BACKUP_S, PRUNE_S, PASS_S = 60.0, 20.0, 600.0
LOOK_S, LOOK_WAIT_S = 10.0, 60.0
PAGE, SPOOLED = 1000, 10_000
SETTLED_S = 180.0
MIB = 1 << 20
PAGE_BYTES = 4096
HALF = 0.5
STEP, STEP_S = 0.03, 10.0
"""Share of the simulated time that may go by in so many seconds while something is disturbed."""
FAULTS_SHOWN = 20


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Return the growth of a value per unit of time: the median of the slopes between samples half of them apart.

    A step, a peak or a trough changes it less than a straight line through all samples.
    """
    apart = len(samples) // 2
    pairs = zip(samples, samples[apart:], strict=False)
    return median((after - before) / (later - sooner) for (sooner, before), (later, after) in pairs)


@dataclass
class Life:
    """Samples of one process of a node: seconds since the run began, resident MiB, open files."""

    node: str
    pid: int
    samples: list[tuple[float, float, int]] = field(default_factory=list)

    def growth(self, since: float) -> tuple[float, float, float] | None:
        """Return MiB and open files per hour from a time on, and the minutes looked at; None for too few samples."""
        begins = max(since, self.samples[0][0] + WARM_UP_S)
        late = [(at / 3600, memory, files) for at, memory, files in self.samples if at >= begins]
        if len(late) < LEAST_SAMPLES:
            return None
        return (
            slope([(at, memory) for at, memory, _ in late]),
            slope([(at, files) for at, _, files in late]),
            (late[-1][0] - late[0][0]) * 60,
        )


class Watcher:
    """Samples of all processes of the nodes, taken from time to time."""

    def __init__(self, deployment: Deployment) -> None:
        self.lives: dict[int, Life] = {}
        self._deployment = deployment
        self._begun = time.monotonic()
        self.over = float("inf")
        """Time at which the fleet is done: what comes then is no load."""

    def run(self) -> None:
        """Sample until killed, or the fleet is done."""
        while self.now < self.over:
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


@dataclass
class Looks:
    """Lists of the newest transactions, at one node after the other: each derives what was not derived yet."""

    deployment: Deployment
    made: int = 0

    def run(self) -> None:
        """Look until killed; a node may be away."""
        while True:
            gevent.sleep(LOOK_S)
            with contextlib.suppress(OSError, ValueError):
                get(self.deployment, f"transactions?limit={PAGE}", node=self.made % 2, wait_s=LOOK_WAIT_S)
            self.made += 1


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


def get(deployment: Deployment, path: str, *, node: int = 0, wait_s: float = SETTLED_S * 2) -> Any:
    """GET from the HTTP API of a node."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{deployment.http[node]}/api/v1/{path}",
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    with urllib.request.urlopen(request, timeout=wait_s) as answer:
        return json.load(answer)


def listed(deployment: Deployment) -> Iterator[dict[str, Any]]:
    """Yield all transactions of the store, as the HTTP API of node 1 lists them."""
    before = ""
    while True:
        told = get(deployment, f"transactions?limit={PAGE}{before}")
        yield from told["transactions"]
        if not told["more"]:
            return
        before = f"&before={told['next']}"


@dataclass
class Comparison:
    """Comparison of the sessions of a fleet with what is stored of them."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    energies: dict[int, tuple[Session, float]] = field(default_factory=dict)
    """Energy that a transaction must have, with its session."""

    def match(self, sessions: Sequence[Session], transactions: Sequence[dict[str, Any]]) -> None:
        """Find the transaction of each session; each transaction is that of one session at most."""
        by_name: dict[tuple[str, object], dict[str, Any]] = {}
        alike: dict[tuple[str, str, int], list[dict[str, Any]]] = {}
        for one in transactions:
            name = one["transaction_id"] if one["version"] == "1.6" else one["remote_id"]
            if by_name.setdefault((one["charge_point"], name), one) is not one:
                self.faults.append(f"stored twice: {one}")
            alike.setdefault((one["charge_point"], one["id_tag"], one["meter_start"]), []).append(one)
        taken: set[int] = set()
        # Those whose start was answered have a name; the rest is found by what a charge point told of it.
        for session in sorted(sessions, key=lambda one: one.transaction is None):
            if session.transaction is not None:
                named = by_name.get((session.charge_point, session.transaction))
                candidates = [] if named is None else [named]
            else:
                candidates = alike.get((session.charge_point, session.tag, session.meter_start), [])
            one = next((one for one in candidates if one["transaction_id"] not in taken), None)
            if one is None:
                self.counts["lost"] += 1
                self.faults.append(f"lost: {session}; of other sessions: {candidates}")
                continue
            taken.add(one["transaction_id"])
            if session.energy != "exact":
                told = one["energy_wh"] is not None and float(one["energy_wh"]) == session.energy_wh
                name = "told otherwise, and yet the same" if told else f"{session.energy}, not compared"
                self.counts[name] += 1
                continue
            self.energies[one["transaction_id"]] = session, float(session.energy_wh)
            if one["open"]:
                self.faults.append(f"open: {session} is stored as {one}")
        self.counts["transactions in the store"] = len(transactions)
        self.counts["transactions of no session"] = len(transactions) - len(taken)

    def check(self, where: str, energies: dict[int, Any]) -> None:
        """Compare the energy of each session with that of its transaction somewhere."""
        for number, (session, energy_wh) in self.energies.items():
            found = energies.get(number)
            if found is None or float(found) != energy_wh:
                self.counts[f"wrong energy {where}"] += 1
                self.faults.append(f"energy {where} of transaction {number} is {found}: {session}")
            else:
                self.counts[f"energy equal to the Wh {where}"] += 1


COLUMN = "SELECT id, CASE WHEN assessed = 1 THEN energy_wh END FROM chargehand.transactions"
DELETED = "SELECT count(*) FROM chargehand.transactions WHERE readings_deleted = 1"
READINGS = "SELECT count(*) FROM chargehand.readings"
DELETABLE = (
    "SELECT count(*) FROM chargehand.readings AS reading JOIN chargehand.transactions AS one "
    "ON one.id = reading.transaction_id WHERE one.stop_received_at IS NOT NULL"
)


def compare(deployment: Deployment, database: str, sessions: Sequence[Session]) -> Comparison:
    """Compare the sessions with the list at one node, the views at the other one, and the table."""
    comparison = Comparison()
    transactions = list(listed(deployment))
    comparison.match(sessions, transactions)
    comparison.check("in the list", {one["transaction_id"]: one["energy_wh"] for one in transactions})
    views = {number: get(deployment, f"transactions/{number}", node=1) for number in comparison.energies}
    comparison.check("in its view", {number: view["energy_wh"] for number, view in views.items()})
    with psycopg.connect(database) as server:
        comparison.check("in the table", dict(server.execute(COLUMN).fetchall()))
        ((comparison.counts["transactions whose readings were deleted"],),) = server.execute(
            DELETED
        ).fetchall()
        ((comparison.counts["readings in the store"],),) = server.execute(READINGS).fetchall()
    return comparison


def rest(database: str, rest_s: float) -> None:
    """Wait until retention has deleted the readings of all that has ended, or the time is up."""
    ends_at = time.monotonic() + rest_s
    with psycopg.connect(database, autocommit=True) as server:
        while time.monotonic() < ends_at and server.execute(DELETABLE).fetchall() != [(0,)]:
            gevent.sleep(1.0)


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
@click.option("--rest", "rest_s", default=240.0, show_default=True, help="Seconds for retention at the end.")
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
    rest_s: float,
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
        looks = Looks(deployment)
        beside = [gevent.spawn(one.run) for one in (watcher, backups, pruning, looks)]
        disturbing = gevent.spawn(disturb, fleet, deployment, database, most)
        following = gevent.spawn(follow, fleet, watcher)
        summary = fleet.run()
        watcher.over = watcher.now
        disturbing.join()
        spool = spool_at_rest(deployment)
        CONSOLE.print(f"{watcher.now:.0f} s: the energy of {len(sessions)} sessions is compared")
        found = [compare(deployment, database.url, sessions)]
        if rest_s:
            rest(database.url, rest_s)
            CONSOLE.print(f"{watcher.now:.0f} s: and again")
            found.append(compare(deployment, database.url, sessions))
        fallen = [one for one in beside if one.dead and not one.successful()]
        gevent.killall(beside)
        exported = sum(1 for _ in folder.glob("data*/exports/**/*.csv*"))
    well_behaved = {member.identity for member in fleet.members if not member.misbehaviour}
    faults = [fault for one in found for fault in one.faults]
    faults += [f"waits in the spool: {one}" for one in spool["waiting"]]
    faults += [f"dead letter: {one}" for one in spool["dead_letters"] if one["charge_point"] in well_behaved]
    if summary["undelivered"]:
        faults.append(f"{summary['undelivered']} messages were not delivered")
    faults += [f"what runs beside has failed: {one.exception!r}" for one in fallen]
    if not disturbing.successful():
        faults.append(f"a disturbance failed: {disturbing.exception!r}")
    kept = {
        **{f"{kind} deleted by age": number for kind, number in pruning.deleted.items()},
        "passes of retention": pruning.passes,
        "passes that were refused": pruning.refused,
        "files of exported records": exported,
        "lists looked at meanwhile": looks.made,
        **found[0].counts,
        **({f"{name}, after that": number for name, number in found[-1].counts.items()} if rest_s else {}),
    }
    print_figures(summary, kept, spool, backups, deployment.balancer)
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
    heads = (
        "node",
        "process",
        "from s",
        "to s",
        "MiB",
        "most",
        "files",
        "most",
        "MiB/h",
        "files/h",
        "over min",
    )
    table = Table(*heads)
    for life in watcher.lives.values():
        times, memory, files = zip(*life.samples, strict=True)
        growth = life.growth(half)
        slopes = (
            [""] * 3 if growth is None else [f"{growth[0]:+.1f}", f"{growth[1]:+.1f}", f"{growth[2]:.0f}"]
        )
        table.add_row(
            *(life.node, str(life.pid), f"{times[0]:.0f}", f"{times[-1]:.0f}"),
            *(f"{memory[-1]:.1f}", f"{max(memory):.1f}", str(files[-1]), str(max(files)), *slopes),
        )
    CONSOLE.print(table)


if __name__ == "__main__":
    main()
