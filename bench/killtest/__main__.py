"""`make killtest`: the server is killed again and again, and no acknowledged message may be lost.

    python bench/killtest [--messages 100000] [--kills 100] [--charge-points 50] [--seed 1] [--plant FAULT …]
        [--store sqlite|postgresql|postgresql://…] [--store-kills 0] [--workers 1] [--nodes 1]
        [--ocpp 1.6|2.0.1] [--crashes 100] [--keep FOLDER]

With `postgresql` the run starts a database server of its own, which it can kill too. With several worker processes it
kills one of them, or, one time in four, their parent. The exit status is 1 if a record is lost or stored twice, or a
transaction id was allotted twice. A plugin consumes the events of transactions: each must be delivered, in order for
each charge point, and again only with the same id.

Several nodes share PostgreSQL and a Redis of this run. Charge points move between them, some while their old connection
is open. One node is killed at a time, and the last of them, late in the run, for good.

With `--ocpp 2.0.1` the messages are TransactionEvents, some of them in another order, marked `offline` when they come
again, or missing; each acknowledged one must be in the store once, and the server must tell the energy of each
transaction.

Besides that `--crashes` plugins and sessions crash alone, while their process goes on: the back office and the plugin
that consumes events are killed with the handlers that run, a session fails at a CALL or at a message of nobody's. That
plugin also fails at one event in 200, before it has noted it or after that.

With `--keep` the logs of the servers and of the database, each sending with its answer, and the tables stay in a new
folder: a fault can be looked for there.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import gevent
from checks import PLANTS, TOLD, Kept, Row, check, dump, plant
from delivered import Consumer, expected, faults_of, missing, out_of_order
from fleet import FLEETS, Log
from gevent import subprocess as gevent_subprocess
from inside import OF_PLUGIN, OF_SESSION

from chargehand.tests.ports import free_port
from chargehand.tests.postgres_process import NoPostgres, PostgresProcess
from chargehand.tests.remote.redis_process import REDIS, RedisProcess

FILE = "chargehand.sqlite"
READY_S = 180.0
STOP_S = 120.0
ANSWER_S = 60.0
ALIVE_S = (0.2, 2.0)
FAULTS_SHOWN = 20
EVENTS_S = 120.0
"""Seconds without progress after which the spool counts as not emptied, or the last events as not delivered."""
CRASH_LOOK_S = 0.02
WORKER_KILLED = 0.75
NODE_DIES = 0.75
"""Share of the kills after which the last node is killed for good."""
PAGE = 1000
"""Transactions that are asked for at a time."""
NO_BUDGET = {"CHARGEHAND_SUPERVISION__INTENSITY": "100000", "CHARGEHAND_SUPERVISION__BACKOFF_MAX_S": "1"}


class Server:
    """Server process, killed and started again on the same port and data."""

    def __init__(
        self, data: Path, port: int, store: str, workers: int, chance: random.Random, consumer: Consumer
    ) -> None:
        self._workers = workers
        self._chance = chance
        self.workers_killed = 0
        self._command = [
            *(sys.executable, "-m", "chargehand", "serve", "--store", store, "--transport", "reactor"),
            *("--data", str(data), "--port", str(port), "--http-port", "0", "--workers", str(workers)),
            *("--config", str(consumer.config)),
        ]
        self._environment = os.environ | NO_BUDGET | {"PYTHONPATH": str(consumer.path)}
        self._consumer = consumer
        self._log = data.parent / "server.log"
        self._data = data
        self._port = port
        self.url = f"ws://127.0.0.1:{port}/ocpp/"
        self.slowest_start_s = 0.0
        self.process: gevent_subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and wait until it accepts connections."""
        begun = time.monotonic()
        with self._log.open("ab") as log:
            self.process = gevent_subprocess.Popen(
                self._command, stdout=log, stderr=subprocess.STDOUT, env=self._environment
            )
        while True:
            with contextlib.suppress(OSError), gevent.socket.create_connection(("127.0.0.1", self._port)):
                break
            if self.process.poll() is not None or time.monotonic() - begun > READY_S:
                raise SystemExit(f"the server did not start:\n{self._log.read_text()[-2000:]}")
            gevent.sleep(0.01)
        self.slowest_start_s = max(self.slowest_start_s, time.monotonic() - begun)

    def kill(self) -> None:
        """Kill the server with SIGKILL, or one of its worker processes, which the server starts again."""
        if self.process is None:
            return
        workers = children(self.process.pid)
        if workers and self._chance.random() < WORKER_KILLED:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._chance.choice(workers), signal.SIGKILL)
            self.workers_killed += 1
            return
        self.process.kill()
        self.process.wait()
        self.start()

    def crash(self, what: signal.Signals, chance: random.Random) -> bool:
        """Have the server, or one of its worker processes, crash a plugin or a session; false if it cannot now."""
        if self.process is None:
            return False
        ready = [
            pid for pid in (self.process.pid, *children(self.process.pid)) if self._consumer.is_ready(pid)
        ]
        if not ready:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(ready), what)
        return True

    def start_again(self) -> None:
        """Start the server again if it has ended: one whose worker is killed while it starts gives up."""
        if self.process is not None and self.process.poll() is not None:
            self.start()

    def end(self) -> None:
        """Kill the server for good."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """Stop the server as an operator does."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(STOP_S)

    def energies(self) -> dict[tuple[str, str], Any]:
        """Start the server once more, and ask it over HTTP for the energy of each transaction of 2.0.1."""
        self.start()
        assert self.process is not None
        while True:
            with contextlib.suppress(OSError, ValueError):
                run = json.loads((self._data / "run.json").read_text())
                if run["pid"] == self.process.pid:
                    break
            gevent.sleep(0.01)
        token = (self._data / "token").read_text().strip()
        found, path = {}, f"/api/v1/transactions?limit={PAGE}"
        with contextlib.closing(HTTPConnection(urlsplit(run["http"]).netloc, timeout=ANSWER_S)) as connection:
            following: str | None = ""
            while following is not None:
                before = f"&before={following}" if following else ""
                connection.request("GET", path + before, headers={"Authorization": f"Bearer {token}"})
                page = json.load(connection.getresponse())
                following = page["next"]
                for one in page["transactions"]:
                    found[one["charge_point"], one["remote_id"]] = one["energy_wh"]
        self.stop()
        return found


class Servers:
    """Nodes of the run; mostly one. One of them is killed at a time, and the last one, late in the run, for good."""

    def __init__(self, nodes: list[Server], kills: int, chance: random.Random) -> None:
        self._nodes = nodes
        self._chance = chance
        self._last_of = int(kills * NODE_DIES) if len(nodes) > 1 else -1
        self.urls = [node.url for node in nodes]
        self._crash_chance = random.Random(chance.random())
        self.killed = 0
        self.died = 0
        self.emptied_s = 0.0
        """Seconds after the last message until the spool was empty, and the last event delivered."""

    @property
    def workers_killed(self) -> int:
        """Number of kills of a single worker."""
        return sum(node.workers_killed for node in self._nodes)

    @property
    def slowest_start_s(self) -> float:
        """Seconds that the slowest start took."""
        return max(node.slowest_start_s for node in self._nodes)

    def start(self) -> None:
        """Start all nodes."""
        for node in self._nodes:
            node.start()

    def kill(self) -> None:
        """Kill one of the nodes, which is started again; or the last one for good."""
        if self.killed == self._last_of:
            self._nodes[-1].end()
            self.died += 1
        else:
            self._chance.choice([node for node in self._nodes if node.process is not None]).kill()
        self.killed += 1

    def crash_now_and_then(self, crashes: int, done: Callable[[], float]) -> None:
        """Have nodes crash plugins and sessions, spread over the run: `done` returns which part of it is over."""
        chance, crashed = self._crash_chance, 0
        while crashed < crashes:
            if done() > crashed / crashes:
                node = chance.choice(self._nodes)
                crashed += node.crash(chance.choice((OF_PLUGIN, OF_SESSION)), chance)
            gevent.sleep(CRASH_LOOK_S)

    def start_again(self) -> None:
        """Start nodes again that have ended, except the one that was killed for good."""
        for node in self._nodes:
            node.start_again()

    def stop(self) -> None:
        """Stop all nodes in order."""
        for node in self._nodes:
            node.stop()

    def end(self) -> None:
        """Kill all nodes for good."""
        for node in self._nodes:
            node.end()

    def energies(self) -> dict[tuple[str, str], Any]:
        """Start a node once more, and ask it for the energies of the transactions of 2.0.1."""
        return self._nodes[0].energies()


def children(parent: int) -> list[int]:
    """List the child processes of a process."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and fields[0] != "Z":
                found.append(int(path.parent.name))
    return found


class Database:
    """Database process, if this run started it."""

    def __init__(self, process: PostgresProcess | None, kills: int) -> None:
        self._process = process
        self.kills = kills if process is not None else 0
        self.killed = 0

    def kill(self) -> None:
        """Kill the database with SIGKILL, and start it again a little later."""
        if self._process is not None:
            pool = gevent.get_hub().threadpool
            pool.apply(self._process.stop, ("immediate",))
            gevent.sleep(ALIVE_S[0])
            pool.apply(self._process.start)
            self.killed += 1


def run(
    data: Path,
    store: str,
    where: str,
    database: Database,
    messages: int,
    kills: int,
    charge_points: int,
    seed: int,
    workers: int,
    nodes: int,
    ocpp: str,
    consumer: Consumer,
    crashes: int,
    journal: Path | None,
    stack: contextlib.ExitStack,
) -> tuple[Log, Servers, set[Row]]:
    """Let the fleet send, and kill the server.

    Returns the log of acknowledgements, the servers, and the events that must have come.
    """
    chance = random.Random(seed)
    log = Log(journal.open("w") if journal is not None else None)
    made = [
        Server(data / str(number), free_port(), store, workers, chance, consumer)
        for number in range(1, nodes)
    ]
    server = Servers([Server(data, free_port(), store, workers, chance, consumer), *made], kills, chance)
    stack.callback(server.end)  # whatever happens, none of them is left
    server.start()
    share = -(-messages // charge_points)
    fleet = [
        gevent.spawn(FLEETS[ocpp](f"CP{number}", server.urls, log, share, seed).run)
        for number in range(charge_points)
    ]
    crashing = gevent.spawn(server.crash_now_and_then, crashes, lambda: log.confirmed / messages)
    # The kills are spread over the whole run: the next one is due when its part of the messages is acknowledged.
    while not all(one.ready() for one in fleet):
        gevent.sleep(0.02)
        server.start_again()
        if server.killed < kills and log.confirmed >= messages * server.killed // kills:
            gevent.sleep(chance.uniform(*ALIVE_S))
            server.kill()
        # The database is killed between two kills of the server, which must go on when it is back.
        due = (2 * database.killed + 1) * messages // (2 * max(database.kills, 1))
        if database.killed < database.kills and log.confirmed >= due:
            database.kill()
    crashing.kill()
    while server.killed < kills:
        gevent.sleep(chance.uniform(0, ALIVE_S[0]))
        server.kill()
    while database.killed < database.kills:
        database.kill()
    sent_at = time.monotonic()
    wanted = waited_for(where, consumer, server)
    server.emptied_s = time.monotonic() - sent_at
    server.stop()
    for one in fleet:
        one.get()
    return log, server, wanted


def waited_for(where: str, consumer: Consumer, server: Servers) -> set[Row]:
    """Wait until the spool is empty and the last event was delivered, while that goes on; return all that must come."""
    wanted, left = expected(where), 0
    waits_until = time.monotonic() + EVENTS_S
    while time.monotonic() < waits_until:
        # As long as the spool is not empty there are more events to come, of which the last wait for the next life.
        before, left = left, len(Kept(where).spool)
        if not left:
            wanted = expected(where)
            left = len(missing(consumer, wanted))
            if not left:
                break
        if left != before:
            waits_until = time.monotonic() + EVENTS_S
        server.start_again()
        gevent.sleep(1.0)
    return wanted


@click.command()
@click.option("--messages", default=100_000, show_default=True, help="Messages to be acknowledged.")
@click.option("--kills", default=100, show_default=True, help="How often the server is killed.")
@click.option("--charge-points", default=50, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--plant",
    "plants",
    multiple=True,
    type=click.Choice(list(PLANTS)),
    help="A fault that must be found; repeatable, each is looked for alone.",
)
@click.option(
    "--store", default="sqlite", show_default=True, help="sqlite, postgresql, or a URL of an empty database."
)
@click.option("--store-kills", default=0, show_default=True, help="How often our own PostgreSQL is killed.")
@click.option("--workers", default=1, show_default=True, help="Processes that serve, of each node.")
@click.option("--nodes", default=1, show_default=True, help="Nodes over Redis; several need PostgreSQL.")
@click.option(
    "--ocpp", default="1.6", show_default=True, type=click.Choice(list(FLEETS)), help="Version of OCPP."
)
@click.option(
    "--crashes", default=100, show_default=True, help="How often a plugin or a session crashes alone."
)
@click.option(
    "--keep",
    type=click.Path(exists=False, path_type=Path),
    help="A new folder for logs, sendings and tables, to look for faults in.",
)
def main(  # noqa: C901 - the whole run, in its order
    messages: int,
    kills: int,
    charge_points: int,
    seed: int,
    plants: tuple[str, ...],
    store: str,
    store_kills: int,
    workers: int,
    nodes: int,
    ocpp: str,
    crashes: int,
    keep: Path | None,
) -> None:
    """Run, print the counts and the faults."""
    with contextlib.ExitStack() as stack:
        if keep is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
        else:
            keep.mkdir(parents=True)
            folder = str(keep.absolute())
        data = Path(folder) / "data"
        data.mkdir()
        process, where, redis_url = None, store, ""
        if nodes > 1:
            if store == "sqlite" or REDIS is None:
                raise click.ClickException("several nodes need --store postgresql, and redis-server")
            redis = RedisProcess(Path(folder))
            redis.start()
            stack.callback(redis.kill)
            redis_url = redis.url
        if store == "sqlite":
            where = str(data / FILE)
        elif store == "postgresql":
            try:
                process = stack.enter_context(PostgresProcess(fsync=True))
            except NoPostgres as error:
                raise click.ClickException(str(error)) from error
            store = where = process.url
        begun = time.monotonic()
        database = Database(process, store_kills)
        consumer = Consumer(Path(folder), redis_url, crashes=crashes > 0)
        journal = None if keep is None else keep / "sendings"
        settings = (
            database,
            messages,
            kills,
            charge_points,
            seed,
            workers,
            nodes,
            ocpp,
            consumer,
            crashes,
            journal,
        )
        log, server, wanted = run(data, store, where, *settings, stack)
        noted = consumer.noted()
        told = server.energies() if log.energies else {}
        counts, faults = check(log, where, told)
        planted = found_with(plants, log, where, told, server)
        faults += faults_of(noted, wanted)
        faults += out_of_order(noted, log)
        if keep is not None:
            dump(where, keep)
            if process is not None:
                shutil.copy(process.folder / "log", keep / "postgresql.log")
        crashed = consumer.crashes()
    took_s = time.monotonic() - begun
    rows = {
        "messages acknowledged": log.confirmed,
        "CALLs sent": log.sent,
        **counts,
        "events delivered": len({one.id_ for one in noted}),
        "of them again": len(noted) - len({one.id_ for one in noted}),
        "kills": server.killed,
        "of them of a worker": server.workers_killed,
        "of them of a node for good": server.died,
        "kills of the database": database.killed,
        "crashes of a plugin": crashed["plugin"],
        "crashes of a session": crashed["session"],
        "slowest start, s": round(server.slowest_start_s, 2),
        "spool empty after, s": round(server.emptied_s, 1),
        "messages/s": round(log.confirmed / took_s),
        "seconds": round(took_s, 1),
        "faults": len(faults),
    }
    for name, value in rows.items():
        click.echo(f"{name:28} {value}")
    show(faults)
    for name, lines in planted.items():
        click.echo(f"with {name}")
        show(lines)
    sys.exit(any([faults, *planted.values()]))


def found_with(
    plants: tuple[str, ...], log: Log, where: str, told: dict[tuple[str, str], Any], server: Servers
) -> dict[str, list[str]]:
    """Plant one fault after the other, and return what is found with each of them alone, and not without it."""
    without, found = set(check(log, where, told)[1]), {}
    for one in sorted(plants, key=TOLD.__contains__):  # those stay, so they are the last
        if one in TOLD:
            plant(where, one)
            lines = check(log, where, server.energies())[1]
        else:
            lines = check(log, where, told, one)[1]
        found[one] = [line for line in lines if line not in without]
    return found


def show(faults: list[str]) -> None:
    """Print the first of the faults."""
    for one in faults[:FAULTS_SHOWN]:
        click.echo(f"FAULT {one}")


if __name__ == "__main__":
    main()
