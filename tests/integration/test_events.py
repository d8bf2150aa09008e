"""Durable events over kills of the real server: each comes at least once, in order, and again only with its id."""

import contextlib
import itertools
import json
import os
import signal
import sqlite3
import threading
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from .conftest import StartServer
from .process import until
from .rawsocket import EndedError, RawSocket
from .server import Server
from .test_workers import workers_of

PLUGIN = """
import json
import os

from chargehand import Plugin, TransactionCorrected, TransactionEnded, TransactionStarted, on


class Billing(Plugin):
    def __init__(self, path):
        super().__init__()
        self.path = path
        self.failed = set()

    @on(TransactionStarted, TransactionEnded, TransactionCorrected)
    def take(self, event):
        if event.id.endswith("7") and event.id not in self.failed:
            self.failed.add(event.id)
            raise ValueError("planted")
        line = [type(event).__name__, event.id, event.charge_point_id, event.transaction.id]
        with open(f"{self.path}.{os.getpid()}", "a") as file:
            file.write(json.dumps(line) + "\\n")
"""

KILLS = 4
ACKNOWLEDGED = 25
"""Answered messages between two kills."""
CHARGE_POINTS = 6


class Driver:
    """A charge point that starts and stops transactions for as long as its server lives."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.numbers = itertools.count(1)
        self.answered = 0
        self.open: int | None = None
        self.stopping = False

    def drive(self, url: str) -> None:
        """Go on until the connection ends; a stop that was not answered is sent again on the next one."""
        try:
            with RawSocket.open(url + self.name) as raw:
                while not self.stopping:
                    self._transaction(raw)
        except (EndedError, OSError, AssertionError):
            return

    def _transaction(self, raw: RawSocket) -> None:
        if self.open is None:
            start = {
                "connectorId": 1,
                "idTag": "T1",
                "meterStart": next(self.numbers),
                "timestamp": "2026-01-01T00:00:00Z",
            }
            self.open = raw.call("StartTransaction", start)[2]["transactionId"]
            self.answered += 1
        stop = {"transactionId": self.open, "meterStop": 10_000, "timestamp": "2026-01-01T01:00:00Z"}
        raw.call("StopTransaction", stop)
        self.answered += 1
        self.open = None


def drive_and_kill(server: Server, drivers: list[Driver]) -> None:
    before = sum(one.answered for one in drivers)
    threads = [threading.Thread(target=one.drive, args=(server.ws,), daemon=True) for one in drivers]
    for thread in threads:
        thread.start()
    until(lambda: sum(one.answered for one in drivers) >= before + ACKNOWLEDGED, "nothing was answered")
    kill(server)
    for thread in threads:
        thread.join(60)


def kill_workers(server: Server, drivers: list[Driver]) -> None:
    """Kill one worker process after the other, while the others go on."""
    for number in (1, 2):
        before = sum(one.answered for one in drivers)
        threads = [threading.Thread(target=one.drive, args=(server.ws,), daemon=True) for one in drivers]
        for thread in threads:
            thread.start()
        until(
            lambda before=before: sum(one.answered for one in drivers) >= before + ACKNOWLEDGED,
            "no answer",
            30,
        )
        pid = workers_of(server)[number]["pid"]
        os.kill(pid, signal.SIGKILL)
        for one in drivers:
            one.stopping = True
        for thread in threads:
            thread.join(60)
        for one in drivers:
            one.stopping = False
        until(lambda number=number, pid=pid: is_back(server, number, pid), "the worker is not back")


def is_back(server: Server, number: int, pid: int) -> bool:
    with contextlib.suppress(OSError):
        row = workers_of(server)[number]
        return row["state"] == "running" and row["pid"] != pid
    return False


def kill(server: Server) -> None:
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(60)


def delivered(path: Path) -> list[list[list[Any]]]:
    """Return the events that each life has delivered, in order of the lives."""
    files = sorted(path.parent.glob(f"{path.name}.*"), key=lambda file: file.stat().st_ctime)
    return [[json.loads(line) for line in file.read_text().splitlines() if line] for file in files]


def stored(server: Server) -> dict[int, tuple[str, bool]]:
    """Return charge point and end of all transactions that are durable."""
    with closing(sqlite3.connect(server.data / "chargehand.sqlite", timeout=60)) as connection:
        found = connection.execute("SELECT id, charge_point, stop_received_at FROM transactions").fetchall()
    return {number: (charge_point, stopped is not None) for number, charge_point, stopped in found}


def expected(server: Server) -> set[tuple[str, int]]:
    events = set()
    for number, (_, ended) in stored(server).items():
        events.add(("TransactionStarted", number))
        if ended:
            events.add(("TransactionEnded", number))
    return events


def judge(lives: list[list[list[Any]]], wanted: set[tuple[str, int]]) -> None:
    """Check that nothing is missing, that what comes again has its id, and that each charge point's order holds."""
    ids: dict[tuple[str, int], str] = {}
    order: dict[str, list[str]] = defaultdict(list)
    for life in lives:
        of_life: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for kind, id_, charge_point, number in life:
            assert ids.setdefault((kind, number), id_) == id_, "an event came again with another id"
            if id_ not in order[charge_point]:
                order[charge_point].append(id_)
            of_life[charge_point].append((kind, number))
        for one in of_life.values():
            starts = [number for kind, number in one if kind == "TransactionStarted"]
            assert starts == sorted(starts), "starts of one charge point came out of order"
            for number in starts:
                if ("TransactionEnded", number) in one:
                    assert one.index(("TransactionStarted", number)) < one.index(("TransactionEnded", number))
    assert wanted - set(ids) == set(), "events are missing"
    assert all(kind != "TransactionCorrected" for kind, _ in ids)


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_no_event_is_lost_however_often_the_server_is_killed(
    workers: str, start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "billing.py").write_text(PLUGIN)
    path = tmp_path / "delivered"
    config = (
        f'plugins = [{{class = "billing:Billing", arguments = {{path = "{path}"}}}}]\n'
        "[supervision]\nredelivery_delay_s = 0.05\n"
    )
    options = ("--store", "sqlite", "--workers", workers)
    drivers = [Driver(f"CP{number}") for number in range(CHARGE_POINTS)]
    server = start_server(*options, config=config, python_path=tmp_path)
    if workers != "1":
        kill_workers(server, drivers)
    for _ in range(KILLS):
        drive_and_kill(server, drivers)
        server = start_server(*options, config=config, python_path=tmp_path, data=server.data)

    def all_there() -> bool:
        taken = {(kind, number) for life in delivered(path) for kind, _, _, number in life}
        return expected(server) <= taken

    until(all_there, "events are missing")
    assert len(expected(server)) >= KILLS * ACKNOWLEDGED
    judge(delivered(path), expected(server))
    assert server.ask("GET", "/api/v1/spool").json["dead_events"] == []
