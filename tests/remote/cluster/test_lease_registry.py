"""Bounds of the lease registry's memory; the rest is tested in test_coordinators.py and test_split_brain.py."""

from chargehand.remote.cluster.coordinator import DRIFT_S
from chargehand.remote.cluster.lease_registry import LeaseRegistry
from chargehand.testing import ManualClock


def registry_of(clock):
    fences = []
    return LeaseRegistry(clock, lambda *fence: fences.append(fence), 5.0), fences


def test_epochs_are_higher_than_any_that_a_node_has_seen():
    clock = ManualClock()
    registry, _ = registry_of(clock)
    registry.renew("a", 0, {})
    first = registry.claim("a", "CP1", 0).epoch
    far = 2**52
    assert registry.claim("a", "CP1", far).epoch == far + 1
    registry.renew("a", far + 10, {})
    clock.set_time(0.0)
    assert registry.claim("a", "CP1", first).epoch == far + 11


def test_epochs_rise_over_a_coordinator_server_that_has_forgotten_all():
    clock = ManualClock()
    epochs = []
    for _ in range(3):
        registry, _ = registry_of(clock)
        registry.renew("a", 0, {})
        epochs += [registry.claim("a", "CP1", 0).epoch for _ in range(3)]
        clock.advance(0.1)
    assert epochs == sorted(set(epochs))


def test_nothing_is_kept_of_a_node_that_has_ended():
    clock = ManualClock()
    registry, fences = registry_of(clock)
    for number in range(100):
        node = f"node{number}"
        registry.renew(node, 0, {})
        registry.claim(node, "CP1", 0)
        registry.claim(node, "CP2", 0)
        registry.end(node)
    clock.advance(5.0 + DRIFT_S)
    registry.renew("a", 0, {})
    kept = (registry._held, registry._holders, registry._fences, registry._doubts, registry._ends)
    assert [len(one) for one in kept] == [0, 0, 1, 0, 1]
    assert fences == []  # each had ended before the next claimed


def test_fences_are_one_for_each_charge_point_however_often_it_is_claimed():
    registry, fences = registry_of(ManualClock())
    registry.renew("a", 0, {})
    registry.renew("b", 0, {})
    for _ in range(50):
        registry.claim("a", "CP1", 0)
        last = registry.claim("b", "CP1", 0).epoch
    assert len(fences) == 99
    assert registry.renew("a", 0, {}).fences == {"CP1": last}
    assert registry.renew("a", 0, {"CP1": last - 1}).fences == {"CP1": last}
    assert registry.renew("a", 0, {"CP1": last}).fences == {}
