"""Vital signs: what does not answer is told of, and nobody waits for it."""

from types import SimpleNamespace

import pytest

from chargehand.actors.runtime.timers import Timers
from chargehand.store.meter import StoreFigures
from chargehand.store.store import StoreError
from chargehand.system.vitals import FREE_BYTES, LATE_FOR_S, STORE_S, Vitals
from chargehand.testing import ManualClock


class SlowStore:
    """Store whose answers the test gives."""

    def __init__(self):
        self.asked = []
        self.counts = []

    def probe(self, then):
        self.asked.append(then)

    def count(self, then):
        self.counts.append(then)

    def answer(self, error=None):
        self.asked.pop()(error)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def timers(clock):
    return Timers(clock)


@pytest.fixture
def store():
    return SlowStore()


@pytest.fixture
def vitals(store, timers):
    vitals = Vitals(store, timers, None, "")
    vitals.start()
    return vitals


@pytest.fixture
def advance(clock, timers):
    def advance(seconds, step=0.25):
        for _ in range(round(seconds / step)):
            clock.advance(step)
            timers.run_due()

    return advance


def check(vitals, name):
    return next(one for one in vitals.checks() if one.name == name)


def test_a_store_that_has_not_answered_yet_is_not_ok(vitals, store):
    assert not check(vitals, "store").ok
    store.answer()
    assert check(vitals, "store") == ("store", True, "")


def test_a_store_that_hangs_is_not_ok_within_five_seconds_and_is_again(vitals, store, advance):
    store.answer()
    advance(STORE_S)
    assert check(vitals, "store").ok
    advance(2)
    assert not check(vitals, "store").ok
    assert "has not answered for" in check(vitals, "store").reason
    assert len(store.asked) == 1, "it is not asked again meanwhile"
    store.answer()
    assert check(vitals, "store").ok


def test_a_failed_probe_gives_its_reason_and_the_next_one_ends_it(vitals, store, advance):
    store.answer(StoreError("the disk is full"))
    assert check(vitals, "store") == ("store", False, "the disk is full")
    advance(1)
    store.answer()
    assert check(vitals, "store").ok


def test_a_late_hub_is_not_ok_for_a_while(vitals, clock, timers, advance):
    assert check(vitals, "hub").ok
    clock.advance(3)
    timers.run_due()
    assert not check(vitals, "hub").ok
    assert vitals.lag.sum == pytest.approx(2.75)
    advance(LATE_FOR_S)
    assert check(vitals, "hub").ok


def test_records_are_counted_now_and_then_and_never_twice_at_once(vitals, store, advance):
    assert vitals.figures is None
    advance(30)
    assert len(store.counts) == 1
    store.counts.pop()(StoreFigures(1, 2, 3, 4))
    assert vitals.figures == (1, 2, 3, 4)
    advance(11)
    store.counts.pop()(None)
    assert vitals.figures == (1, 2, 3, 4), "a count that failed changes nothing"


def test_a_disk_with_little_room_is_not_ok(store, timers, tmp_path, monkeypatch):
    vitals = Vitals(store, timers, None, str(tmp_path))
    assert check(vitals, "disk").ok
    full = SimpleNamespace(f_bavail=FREE_BYTES // 4096 - 1, f_frsize=4096)
    monkeypatch.setattr("os.statvfs", lambda _: full)
    assert not check(vitals, "disk").ok
    assert "bytes are free" in check(vitals, "disk").reason


def test_a_folder_that_is_gone_is_not_ok(store, timers, tmp_path):
    assert not check(Vitals(store, timers, None, str(tmp_path / "gone")), "disk").ok


def test_a_coordinator_without_a_connection_and_a_lost_lease_are_named(store, timers):
    coordinator = SimpleNamespace(trouble="", held=True)
    vitals = Vitals(store, timers, SimpleNamespace(coordinator=coordinator), "")
    assert check(vitals, "coordinator").ok
    assert check(vitals, "lease").ok
    coordinator.trouble, coordinator.held = "refused", False
    assert check(vitals, "coordinator") == ("coordinator", False, "refused")
    assert not check(vitals, "lease").ok


def test_nothing_is_looked_at_after_the_stop(vitals, store, advance):
    store.answer()
    vitals.stop()
    advance(10)
    assert store.asked == []
