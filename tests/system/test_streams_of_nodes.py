"""Streams of events of several systems on one store: each has the events of all."""

import datetime as dt

import pytest

from chargehand import NodeJoined, NodeLeft, StatusChanged, TransactionEnded, TransactionStarted
from chargehand.remote.cluster import cluster as cluster_module
from chargehand.remote.cluster import live_events
from chargehand.system import event_stream
from tests.hub import until

from .test_events_of_nodes import nodes  # noqa: F401 - a fixture


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(cluster_module, "LOOK_S", 0.05)
    monkeypatch.setattr(live_events, "RENEW_S", 0.05)
    monkeypatch.setattr(event_stream, "LOOK_S", 0.05)


def status(number):
    now = dt.datetime.now(dt.UTC)
    return StatusChanged(at=now, charge_point_id=f"CP{number}", evse=1, connector=1, status="Available")


def test_a_stream_has_the_live_events_of_other_nodes_while_it_is_open(nodes):  # noqa: F811
    a, b = nodes.start("a"), nodes.start("b")
    stream = a.event_stream([StatusChanged])
    until(lambda: b._parts.router.listeners.get(StatusChanged))
    for number in (1, 2):
        b._parts.router.publish(status(number))
    assert [stream.next(10)[1].charge_point_id for _ in range(2)] == ["CP1", "CP2"]
    a._parts.router.publish(status(3))
    assert stream.next(10)[1].charge_point_id == "CP3"
    assert stream.next(0.1) is None  # what a node is told by another one does not come back
    stream.close()
    until(lambda: not b._parts.router.listeners.get(StatusChanged))


def test_a_node_that_joins_tells_its_events_to_the_streams_that_are_open(nodes):  # noqa: F811
    a = nodes.start("a")
    stream = a.event_stream([StatusChanged])
    b = nodes.start("b")
    until(lambda: b._parts.router.listeners.get(StatusChanged))
    b._parts.router.publish(status(1))
    assert stream.next(10)[1].charge_point_id == "CP1"


def test_a_node_that_dies_is_told_nothing_more(nodes):  # noqa: F811
    a, b = nodes.start("a"), nodes.start("b")
    a.event_stream([StatusChanged])
    until(lambda: b._parts.router.listeners.get(StatusChanged))
    nodes.exchange.die("a")
    until(lambda: not b._parts.router.listeners.get(StatusChanged))


def test_a_stream_has_the_durable_events_of_all_nodes_and_goes_on_at_another_one(nodes):  # noqa: F811
    a, b = nodes.start("a"), nodes.start("b")
    kinds = [TransactionStarted, TransactionEnded]
    stream = a.event_stream(kinds)
    nodes.lives("b", 1)
    nodes.lives("a", 2, "CP2")
    found = [stream.next(10) for _ in range(4)]
    assert sorted((type(event).__name__, event.transaction.id) for _, event in found) == [
        ("TransactionEnded", 1), ("TransactionEnded", 2), ("TransactionStarted", 1), ("TransactionStarted", 2),
    ]  # fmt: skip
    stream.close()
    nodes.lives("b", 3)
    again = b.event_stream(kinds, after=found[1][0])
    read = [again.next(10)[1].id for _ in range(4)]
    assert read[:2] == [event.id for _, event in found[2:]]
    assert len(set(read)) == 4


def test_nodes_that_join_and_leave_are_events(nodes):  # noqa: F811
    heard = []
    a = nodes.start("a")
    a.subscribe((NodeJoined, NodeLeft), lambda event: heard.append((type(event), event.node)))
    until(lambda: a.cluster._known is not None)
    nodes.start("b")
    until(lambda: heard == [(NodeJoined, "b")])
    nodes.exchange.die("b")
    until(lambda: heard == [(NodeJoined, "b"), (NodeLeft, "b")])
