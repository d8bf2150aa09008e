"""Notes of the plugins in the server that is killed, and the checks of them."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from checks import Row, opened
from fleet import Log
from inside import CRASHES, READY


class Delivery(NamedTuple):
    """Event as it was handled, at a time in ns; `id_` is its id."""

    at: int
    kind: str
    id_: str
    charge_point: str
    number: int


class Consumer:
    """Plugins of `inside.py` in the server, their settings, and what they have noted.

    With `crashes` they crash plugins and sessions, too. `redis_url` is that of several nodes.
    """

    def __init__(self, folder: Path, redis_url: str = "", *, crashes: bool = False) -> None:
        self._notes = folder / "delivered"
        self._notes.mkdir()
        self._crashes = folder / "crashes"
        self._crashes.mkdir()
        self.path = Path(__file__).parent
        self.config = folder / "killtest.toml"
        noted = f'{{folder = "{self._notes}", fails = {str(crashes).lower()}}}'
        plugins = [f'{{class = "inside:Noted", arguments = {noted}}}']
        if crashes:
            plugins.append(f'{{class = "inside:Crasher", arguments = {{folder = "{self._crashes}"}}}}')
        redis = f'[redis]\nurl = "{redis_url}"\n' if redis_url else ""
        self.config.write_text(f"plugins = [{', '.join(plugins)}]\n{redis}")

    def is_ready(self, pid: int) -> bool:
        """Return whether a process can be told to crash something."""
        return (self._crashes / f"{READY}{pid}").exists()

    def crashes(self) -> Counter[str]:
        """Count the crashes of plugins and of sessions."""
        files = self._crashes.glob(f"{CRASHES}*")
        return Counter(line for file in files for line in file.read_text().splitlines())

    def noted(self) -> list[Delivery]:
        """Return all deliveries, in the order of their times."""
        lines = [
            line for file in self._notes.iterdir() for line in file.read_text().splitlines(keepends=True)
        ]
        # A line without an end is one that the process was killed at.
        return sorted(Delivery(*json.loads(line)) for line in lines if line.endswith("\n"))


def expected(where: str) -> set[Row]:
    """Return kinds and transactions of the events that must have come."""
    with opened(where) as file:
        rows = file.execute("SELECT id, stop_received_at FROM transactions").fetchall()
    started = {("TransactionStarted", number) for number, _ in rows}
    return started | {("TransactionEnded", number) for number, stopped in rows if stopped is not None}


def missing(consumer: Consumer, wanted: set[Row]) -> set[Row]:
    """Return kinds and transactions of the events that have not come yet."""
    return wanted - {(one.kind, one.number) for one in consumer.noted()}


def faults_of(noted: list[Delivery], wanted: set[Row]) -> Iterator[str]:
    """List lost events, those that came again with another id, and charge points whose order is broken."""
    for kind, number in sorted(wanted - {(one.kind, one.number) for one in noted}):
        yield f"the {kind} of transaction {number} was never delivered"
    ids: dict[Row, str] = {}
    last: dict[Row, int] = {}
    started: set[int] = set()
    for one in noted:
        known = ids.setdefault((one.kind, one.number), one.id_)
        if known != one.id_:
            yield f"the {one.kind} of transaction {one.number} came as {known} and as {one.id_}"
        elif one.kind == "TransactionStarted":
            started.add(one.number)
        elif one.number not in started:
            yield f"the end of transaction {one.number} came before its start"
    seen: set[str] = set()
    for one in noted:
        if one.id_ in seen:
            continue
        seen.add(one.id_)
        origin, _, number = one.id_.rpartition(":")
        if last.get((origin, one.charge_point), 0) > int(number):
            yield f"event {one.id_} of {one.charge_point} came late"
        last[origin, one.charge_point] = int(number)


def out_of_order(noted: list[Delivery], log: Log) -> Iterator[str]:
    """List events of 1.6 that came after one of a later transaction of their charge point, wherever each was stored."""
    turns = {number: at for (_, at, _), given in log.starts.items() for number, _ in given}
    last: dict[str, tuple[str, bool]] = {}
    seen: set[Row] = set()
    for one in noted:
        if (one.kind, one.number) in seen or one.number not in turns:
            continue
        seen.add((one.kind, one.number))
        turn = turns[one.number], one.kind == "TransactionEnded"
        if last.get(one.charge_point, turn) > turn:
            yield f"the {one.kind} of transaction {one.number} of {one.charge_point} came after later ones"
        last[one.charge_point] = turn
