"""Bounds of the lease registry's memory; the rest is tested in test_coordinators.py and test_split_brain.py."""

from chargehand.remote.cluster.coordinator import DRIFT_S
from chargehand.remote.cluster.lease_registry import LeaseRegistry
from chargehand.testing import ManualClock


def exchange_of(clock):
    fences = []
    return LeaseRegistry(clock, lambda *fence: fences.append(fence), 5.0), fences


def test_epochs_are_higher_than_any_that_a_node_has_seen():
    clock = ManualClock()
    exchange, _ = exchange_of(clock)
    exchange.renew("a", 0, {})
    first = exchange.claim("a", "CP1", 0).epoch
    far = 2**52
    assert exchange.claim("a", "CP1", far).epoch == far + 1
    exchange.renew("a", far + 10, {})
    clock.set_time(0.0)
    assert exchange.claim("a", "CP1", first).epoch == far + 11


def test_epochs_rise_over_a_coordinator_server_that_has_forgotten_all():
    clock = ManualClock()
    epochs = []
    for _ in range(3):
        exchange, _ = exchange_of(clock)
        exchange.renew("a", 0, {})
        epochs += [exchange.claim("a", "CP1", 0).epoch for _ in range(3)]
        clock.advance(0.1)
    assert epochs == sorted(set(epochs))


def test_nothing_is_kept_of_a_node_that_has_ended():
    clock = ManualClock()
    exchange, fences = exchange_of(clock)
    for number in range(100):
        node = f"node{number}"
        exchange.renew(node, 0, {})
        exchange.claim(node, "CP1", 0)
        exchange.claim(node, "CP2", 0)
        exchange.end(node)
    clock.advance(5.0 + DRIFT_S)
    exchange.renew("a", 0, {})
    kept = (exchange._held, exchange._holders, exchange._fences, exchange._doubts, exchange._ends)
    assert [len(one) for one in kept] == [0, 0, 1, 0, 1]
    assert fences == []  # each had ended before the next claimed


def test_fences_are_one_for_each_charge_point_however_often_it_is_claimed():
    exchange, fences = exchange_of(ManualClock())
    exchange.renew("a", 0, {})
    exchange.renew("b", 0, {})
    for _ in range(50):
        exchange.claim("a", "CP1", 0)
        last = exchange.claim("b", "CP1", 0).epoch
    assert len(fences) == 99
    assert exchange.renew("a", 0, {}).fences == {"CP1": last}
    assert exchange.renew("a", 0, {"CP1": last - 1}).fences == {"CP1": last}
    assert exchange.renew("a", 0, {"CP1": last}).fences == {}
