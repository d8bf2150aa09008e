"""Plugins of the scope "cluster": one instance among several systems, with the events of all."""

import pytest

from chargehand import (
    Plugin,
    StatusChanged,
    TransactionEnded,
    TransactionStarted,
    on,
    on_outcome,
    passive,
    v16,
)
from chargehand.remote.cluster import live_events
from chargehand.supervisor.plugins import RenewPlugin
from chargehand.system import cluster_plugins, event_consumers
from tests.hub import settle, until

from .test_event_consumers import both, systems  # noqa: F401 - a fixture
from .test_events_of_nodes import nodes  # noqa: F401 - a fixture
from .test_streams_of_nodes import status


class Central(Plugin):
    """Notes where it runs, and what it is told."""

    def __init__(self, node, running, taken):
        super().__init__()
        self.node, self.running, self.taken = node, running, taken

    def on_start(self):
        self.running.append(self.node)

    def on_stop(self):
        self.running.remove(self.node)

    @on(TransactionStarted, TransactionEnded)
    def take(self, event):
        self.taken.append((type(event).__name__, event.transaction.id, event.id))

    @on(StatusChanged)
    def hear(self, event):
        self.taken.append((self.node, event.charge_point_id))


@pytest.fixture
def cluster(nodes, monkeypatch):  # noqa: F811
    monkeypatch.setattr(cluster_plugins, "TAKE_S", 0.02)
    monkeypatch.setattr(event_consumers, "EVERYWHERE_S", 0.02)
    monkeypatch.setattr(live_events, "RENEW_S", 0.05)
    nodes.running = []
    nodes.plugin = lambda name: Central.spec(
        name, nodes.running, nodes.taken, name="central", scope="cluster"
    )
    return nodes


def test_one_instance_gets_the_events_of_all_nodes_in_order(cluster):
    cluster.start("a")
    cluster.start("b")
    until(lambda: cluster.running)
    cluster.lives("a", 1)
    cluster.lives("b", 2, "CP2")
    until(lambda: len(cluster.taken) == 4)
    settle()
    assert len(cluster.running) == 1
    assert sorted(cluster.numbers) == sorted(both(1, 2))
    assert cluster.numbers.index(("TransactionStarted", 2)) < cluster.numbers.index(("TransactionEnded", 2))


def test_it_gets_what_any_node_has_stored_since_its_start_has_begun(cluster):
    class Early(Central):
        def on_start(self):
            cluster.lives("a", 1)
            cluster.lives("b", 2, "CP2")
            super().on_start()

    other = cluster.stores["a"] = cluster.open_store("a")  # of a node that is no matter else
    cluster.plugin = lambda name: Early.spec(
        name, cluster.running, cluster.taken, name="early", scope="cluster"
    )
    cluster.start("b")
    until(lambda: len(cluster.taken) == 4)
    assert sorted(cluster.numbers) == sorted(both(1, 2))
    other.close()


@pytest.mark.parametrize("dies", [True, False])
def test_it_moves_when_its_node_ends_and_goes_on_where_it_was(cluster, dies):
    for name in "ab":
        cluster.start(name)
    until(lambda: cluster.running)
    (first,) = cluster.running
    other = "b" if first == "a" else "a"
    cluster.lives(first, 1)
    cluster.lives(other, 2, "CP2")
    until(lambda: len(cluster.taken) == 4)
    settle()
    if dies:
        cluster.exchange.die(first)
    cluster.lives(first, 3)
    cluster.stop(first)
    until(lambda: cluster.running == [other])
    cluster.lives(other, 4, "CP2")
    until(lambda: set(both(1, 2, 3, 4)) <= set(cluster.numbers))


def test_events_of_a_charge_point_that_moves_come_in_the_order_of_their_times(cluster):
    cluster.start("a")
    cluster.start("b")
    until(lambda: cluster.running)
    for number, name in enumerate("abab", 1):
        cluster.lives(name, number)
    until(lambda: len(cluster.taken) == 8)
    assert cluster.numbers == both(1, 2, 3, 4)


def test_it_stops_where_the_lease_was_lost_and_runs_at_the_other_node(cluster):
    for name in "ab":
        cluster.start(name)
    until(lambda: cluster.running)
    (first,) = cluster.running
    other = "b" if first == "a" else "a"
    board = cluster.exchange.boards[first]
    board.away, board.held = True, False
    cluster.exchange.die(first)
    cluster.systems[first].cluster.lease_changed(held=False)
    until(lambda: cluster.running == [other])
    cluster.exchange.boards[first] = board
    board.away, board.held = False, True
    settle()
    assert cluster.running == [other]


def test_it_hears_the_live_events_of_all_nodes(cluster):
    both_nodes = [cluster.start("a"), cluster.start("b")]
    until(lambda: all(system._parts.router.listeners.get(StatusChanged) for system in both_nodes))
    (node,) = cluster.running
    for number, system in enumerate(both_nodes):
        system._parts.router.publish(status(number))
    until(lambda: len(cluster.taken) == 2)
    assert sorted(cluster.taken) == [(node, "CP0"), (node, "CP1")]


def renew(system, name, cluster):
    spec = Central.spec(name, cluster.running, cluster.taken, name="central", scope="cluster")
    system._parts.tree.cells["cluster-plugins"].tell(RenewPlugin(spec))


def test_other_arguments_count_where_it_runs_and_where_it_runs_later(cluster):
    for name in "ab":
        cluster.start(name)
    until(lambda: cluster.running)
    (first,) = cluster.running
    other = "b" if first == "a" else "a"
    for name in "ab":
        renew(cluster.systems[name], f"new {name}", cluster)
    until(lambda: cluster.running == [f"new {first}"])
    cluster.lives(other, 1)
    until(lambda: cluster.numbers == both(1))
    cluster.stop(first)
    until(lambda: cluster.running == [f"new {other}"])
    cluster.lives(other, 2, "CP2")
    until(lambda: set(cluster.numbers) == {*both(1, 2)})


def test_without_other_processes_it_runs_like_any_other(systems):  # noqa: F811
    running, taken = [], []
    systems.start(Central.spec("here", running, taken, scope="cluster"))
    assert running == ["here"]
    systems.lives(1)
    until(lambda: len(taken) == 2)


class Answering(Plugin):
    @passive(v16.Authorize)
    def authorize(self, call):
        return {}


class Greeting(Plugin):
    @on_outcome()
    def greet(self, ticket):
        pass


@pytest.mark.parametrize(("plugin", "named"), [(Answering, "passive"), (Greeting, "outcome")])
def test_a_plugin_with_other_handlers_than_of_events_is_refused(plugin, named):
    with pytest.raises(ValueError, match=f"handlers of events .* only, not {named}"):
        plugin.spec(scope="cluster")
