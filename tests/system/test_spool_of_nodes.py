"""Spooled messages among several nodes: each charge point's are redelivered by one of them."""

import pytest

from chargehand import CentralSystem, Settings
from chargehand.testing import ManualClock
from tests.hub import settle
from tests.remote.registry_harness import LeaseRegistry


@pytest.fixture
def nodes():
    exchange = LeaseRegistry()
    systems = [
        CentralSystem(Settings(port=0), clock=ManualClock(), coordinator=exchange.board(name))
        for name in ("a", "b")
    ]
    for system in systems:
        system.start()
        system._clock.drive(system._parts.timers)
    yield exchange, *systems
    for system in systems:
        system.stop()


def redelivered(system, *charge_point_ids):
    return sorted(system._parts.membership.redelivered_here(charge_point_ids))


def test_the_first_node_redelivers_for_charge_points_that_no_node_has(nodes):
    exchange, a, b = nodes
    exchange.boards["b"].claim("CP2")
    assert redelivered(a, "CP1") == ["CP1"]
    assert redelivered(a, "CP2") == []
    assert redelivered(a, "CP1", "CP2", "CP3") == ["CP1", "CP3"]
    assert redelivered(b, "CP1") == []
    assert redelivered(b, "CP1", "CP3") == []


def test_a_node_that_cannot_ask_redelivers_for_its_own_charge_points_only(nodes):
    exchange, a, _ = nodes
    exchange.boards["a"].cut()
    assert redelivered(a, "CP1") == []
    assert redelivered(a, "CP1", "CP3") == []


def test_a_charge_point_that_connects_starts_the_redelivery_of_its_messages(nodes):
    _, a, _ = nodes
    a._parts.spool.put_behind("CP1")  # as its handshake did
    a._parts.membership.attached("CP1")
    settle()
    a._clock.advance(a.settings.supervision.redelivery_delay_s, settle)
    settle()
    assert not a._parts.spool.is_behind("CP1", None)
