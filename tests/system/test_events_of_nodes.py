"""Durable events of several systems on one store: each delivers its own, and one of them what an ended one has left."""

import datetime as dt
import json
import tempfile
from pathlib import Path

import msgspec
import pytest

from chargehand import CentralSystem, Settings
from chargehand.actors.runtime import threads
from chargehand.store.postgres import PostgresStore
from chargehand.store.rows import Kind
from chargehand.store.shared import REMOVALS_KEPT_S
from chargehand.store.sqlite import SqliteFile
from chargehand.store.store_server import StoreServer
from chargehand.store.worker_socket import WorkerStore
from chargehand.system import event_consumers
from chargehand.system.assessment import limits_of
from chargehand.system.durable_events import EventNotDelivered
from chargehand.web.event_views import dead_event
from tests.hub import settle, until
from tests.remote.recording_listener import RecordingListener
from tests.remote.registry_harness import LeaseRegistry

from .test_event_consumers import QUICK, Billing, both, transaction

SETTINGS = Settings(port=0, supervision=QUICK)


class Nodes:
    """Systems by name over one exchange, each with a store of its own on one database."""

    def __init__(self, open_store):
        self.open_store = open_store
        self.exchange = LeaseRegistry()
        self.systems, self.stores, self.faults = {}, {}, {}
        self.taken = []
        self.plugin = lambda name: Billing.spec(self.taken, self.faults[name], name="billing")

    def start(self, name):
        store = self.stores[name] = self.open_store(name)
        self.faults[name] = []
        system = self.systems[name] = CentralSystem(
            SETTINGS,
            plugins=[self.plugin(name)],
            store=store,
            coordinator=self.exchange.board(name),
        )
        system.start()
        return system

    def stop(self, name):
        self.systems.pop(name).stop()
        self.stores.pop(name).close()

    def end(self):
        for name in list(self.systems):
            self.stop(name)

    def lives(self, name, number, charge_point_id="CP1", ago_s=0):
        """Store a transaction, received some time ago: what is redelivered is stored late."""
        store, now = self.stores[name], dt.datetime.now(dt.UTC) - dt.timedelta(seconds=ago_s)
        start = msgspec.structs.replace(transaction(number, charge_point_id), start_received_at=now)
        store.start_transaction(start)
        stop = msgspec.structs.replace(start, meter_stop=300, stopped_at=now, stop_received_at=now)
        store.stop_transaction(stop).wait(60)

    @property
    def numbers(self):
        return [(kind, number) for kind, number, _ in self.taken]


@pytest.fixture(params=["workers", "postgres"])
def nodes(request, monkeypatch):
    monkeypatch.setattr(event_consumers, "ADOPT_S", 0.05)
    monkeypatch.setattr(event_consumers, "STORE_S", 0.02)
    monkeypatch.setattr(event_consumers, "ELSEWHERE_S", 0.02)
    if request.param == "postgres":
        url = request.getfixturevalue("postgres").url
        made = Nodes(lambda name: PostgresStore.open(url, threads, origin=name))
        yield made
        made.end()
        return
    with tempfile.TemporaryDirectory() as folder:
        path, file = str(Path(folder) / "socket"), str(Path(folder) / "file")
        server = StoreServer(
            path,
            lambda: SqliteFile(file, removals_kept_s=REMOVALS_KEPT_S),
            threads,
            failed=lambda error: None,
        )
        server.start()
        made = Nodes(lambda name: WorkerStore.open(path, threads, origin=name))
        yield made
        made.end()
        server.stop()


def test_each_node_delivers_what_it_has_stored_once(nodes):
    nodes.start("a")
    nodes.start("b")
    nodes.lives("a", 1, "CP1")
    nodes.lives("b", 2, "CP2")
    until(lambda: len(nodes.taken) == 4)
    settle()
    assert sorted(nodes.numbers) == sorted(both(1, 2))


def test_what_an_ended_node_has_left_is_delivered_by_one_other(nodes):
    for name in "abc":
        nodes.start(name)
    nodes.lives("a", 1)
    until(lambda: len(nodes.taken) == 2)
    nodes.faults["a"] += [ValueError("it fails")] * 1000
    nodes.lives("a", 2)
    nodes.lives("a", 3, "CP3")
    nodes.stop("a")
    until(lambda: len(nodes.taken) == 6)
    settle()
    assert [one for one in nodes.numbers if one[1] != 3] == both(1, 2)
    assert [one for one in nodes.numbers if one[1] == 3] == both(3)
    owners = {position.owner for position in nodes.stores["b"].event_log.positions("billing").values()}
    assert "a" not in owners


def test_events_of_a_charge_point_that_moves_wait_for_those_of_the_node_before(nodes):
    nodes.start("a")
    b = nodes.start("b")
    nodes.faults["a"] += [ValueError("it fails")] * 5
    nodes.lives("a", 1)
    b._parts.durable_events.moved("CP1", here=True)
    nodes.lives("b", 2)
    nodes.lives("b", 3, "CP3")
    until(lambda: len(nodes.taken) == 6)
    assert [one for one in nodes.numbers if one[1] != 3] == both(1, 2)


def test_events_of_a_charge_point_wait_until_those_of_an_ended_node_were_taken_over(nodes):
    nodes.start("a")
    b = nodes.start("b")
    nodes.faults["a"] += [ValueError("it fails")] * 1000
    nodes.lives("a", 1)
    b._parts.durable_events.moved("CP1", here=True)
    nodes.lives("b", 2)
    settle()
    assert nodes.taken == []
    nodes.stop("a")
    until(lambda: len(nodes.taken) == 4)
    assert nodes.numbers == both(1, 2)


def test_a_node_that_was_taken_for_ended_goes_on_with_its_own_events(nodes):
    nodes.start("a")
    nodes.start("b")
    board = nodes.exchange.boards["a"]
    nodes.faults["a"] += [ValueError("it fails")] * 1000
    nodes.lives("a", 1)
    nodes.exchange.die("a")
    until(lambda: len(nodes.taken) == 2)
    nodes.faults["a"].clear()
    nodes.exchange.boards["a"] = board
    log = nodes.stores["a"].event_log
    until(lambda: log.positions("billing")[log.number].owner == "a")
    nodes.lives("a", 2)
    until(lambda: ("TransactionEnded", 2) in nodes.numbers)
    until(lambda: log.positions("billing")[log.number].number == log.last)


def test_events_of_a_charge_point_wait_for_a_node_that_is_still_starting(nodes):
    b = nodes.start("b")
    nodes.stores["a"] = nodes.open_store("a")
    nodes.exchange.board("a").start(RecordingListener())
    nodes.lives("a", 1)
    b._parts.durable_events.moved("CP1", here=True)
    nodes.lives("b", 2)
    settle()
    assert nodes.taken == []
    nodes.stores.pop("a").close()
    nodes.exchange.die("a")
    until(lambda: len(nodes.taken) == 4)
    assert nodes.numbers == both(1, 2)


def test_events_that_were_taken_over_wait_for_older_ones_at_another_node(nodes):
    for name in "abcd":
        nodes.start(name)
        nodes.faults[name] += [ValueError("it fails")] * 1000
    nodes.lives("a", 1)
    nodes.lives("b", 2)
    logs = {name: store.event_log for name, store in nodes.stores.items()}
    numbers = logs["a"].number, logs["b"].number
    for name, number in zip("cd", numbers, strict=True):
        logs[name].adopt("billing", number, "ab"[numbers.index(number)])
    nodes.stop("a")
    nodes.stop("b")
    nodes.faults["d"].clear()
    settle()
    settle()
    assert nodes.taken == []
    nodes.faults["c"].clear()
    until(lambda: len(nodes.taken) == 4)
    assert nodes.numbers == both(1, 2)


def test_nodes_with_late_events_of_each_others_charge_points_do_not_wait_forever(nodes):
    for name in "ab":
        nodes.start(name)
        nodes.faults[name] += [ValueError("it fails")] * 1000
    nodes.lives("a", 1, "CP1", ago_s=5)
    nodes.lives("b", 2, "CP2", ago_s=5)
    nodes.lives("a", 3, "CP2", ago_s=9)
    nodes.lives("b", 4, "CP1", ago_s=10)
    for name in "ab":
        nodes.faults[name].clear()
    until(lambda: len(nodes.taken) == 8)
    assert [one for one in nodes.numbers if one[1] in (1, 4)] == both(1, 4)
    assert [one for one in nodes.numbers if one[1] in (2, 3)] == both(2, 3)


def test_late_events_of_a_charge_point_that_moves_come_as_they_were_stored(nodes):
    for name in "ab":
        nodes.start(name)
        nodes.faults[name] += [ValueError("it fails")] * 1000
    nodes.lives("b", 1)
    nodes.lives("b", 2, ago_s=10)
    nodes.lives("a", 3, ago_s=5)
    for name in "ab":
        nodes.faults[name].clear()
    until(lambda: len(nodes.taken) == 6)
    assert nodes.numbers == both(1, 2, 3)


def test_more_events_than_are_read_at_once_wait_for_those_that_are_taken_over(nodes, monkeypatch):
    monkeypatch.setattr(event_consumers, "WINDOW", 4)
    for name in "ab":
        nodes.start(name)
    nodes.faults["a"] += [ValueError("it fails")] * 1000
    for number in range(1, 5):
        nodes.lives("a", number)
    for number in range(5, 9):
        nodes.lives("b", number)
    settle()
    assert nodes.taken == []
    nodes.stop("a")
    until(lambda: len(nodes.taken) == 16)
    assert nodes.numbers == both(*range(1, 9))


def test_other_charge_points_do_not_wait_while_many_events_wait_for_another_node(nodes, monkeypatch):
    monkeypatch.setattr(event_consumers, "WINDOW", 4)
    for name in "ab":
        nodes.start(name)
        nodes.faults[name] += [ValueError("it fails")] * 1000
    nodes.lives("a", 1, "CP1")
    nodes.lives("b", 2, "CP2")
    for number in range(3, 7):
        nodes.lives("a", number, "CP2")
        nodes.lives("b", number + 10, "CP1")
    for name in "ab":
        nodes.faults[name].clear()
    until(lambda: len(nodes.taken) == 20)
    assert [one for one in nodes.numbers if one[1] in (1, *range(13, 17))] == both(1, *range(13, 17))
    assert [one for one in nodes.numbers if one[1] in range(2, 7)] == both(*range(2, 7))


def test_events_wait_for_what_another_node_has_stored_of_a_charge_point_here(nodes, monkeypatch):
    monkeypatch.setattr(event_consumers, "CERTAIN_S", -1.0)
    nodes.start("a")
    b = nodes.start("b")
    b._parts.durable_events.moved("CP1", here=True)
    nodes.lives("b", 1)
    until(lambda: len(nodes.taken) == 2)
    nodes.faults["a"] += [ValueError("it fails")] * 1000
    nodes.lives("a", 2)  # by hand
    until(lambda: len(nodes.faults["a"]) < 998)
    nodes.lives("b", 3)
    settle()
    assert nodes.numbers == both(1)
    nodes.faults["a"].clear()
    until(lambda: len(nodes.taken) == 6)
    assert nodes.numbers == both(1, 2, 3)


def test_an_event_that_only_a_newer_node_knows_is_left_for_that_as_a_dead_letter(nodes):
    nodes.start("a")
    nodes.faults["a"] += [ValueError("it fails")] * 1000
    b = nodes.start("b")
    nodes.lives("a", 1)
    log = nodes.stores["a"].event_log
    log._take()
    data = '{"type":"Foreseen","charge_point_id":"CP1","of":{"a":1}}'
    log.appended(log._writer.append(Kind.LOG, log._row("CP1", "Foreseen", None, data))).wait(60)
    nodes.lives("a", 2)
    nodes.stop("a")
    until(lambda: len(nodes.taken) == 4)
    assert nodes.numbers == both(1, 2)
    kept = nodes.stores["b"].event_log
    until(kept.dead_letters)
    (letter,) = kept.dead_letters()
    assert (letter.consumer, letter.event, letter.kind, letter.data) == ("billing", "a:3", "Foreseen", data)
    assert "a newer chargehand has logged it" in letter.why
    with pytest.raises(EventNotDelivered, match="knows no event Foreseen"):
        b.retry_event(letter.number)
    assert dead_event(letter, limits_of(SETTINGS.back_office)).event == json.loads(data)
    assert [one.kind for one in kept.dead_letters()] == ["Foreseen"]
