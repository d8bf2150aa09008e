"""Security events of the central system: what strangers do is bounded, and nothing is lost of the counts."""

import datetime as dt

import pytest

from chargehand.admission.security_events import WRONG_CREDENTIALS, SecurityEvents
from chargehand.store.memory import MemoryStore

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class Clock:
    """Clock that is moved by hand."""

    def __init__(self):
        self.seconds = 1000.0

    def monotonic(self):
        return self.seconds

    def now(self):
        return NOW


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def events(store, clock):
    return SecurityEvents(store, now=clock.now, monotonic=clock.monotonic, knows={"CP1", "CP2"}.__contains__)


def stored(store):
    """Return what is stored, the oldest first."""
    return [
        (one.charge_point_id, one.data["type"], one.data["count"])
        for one in reversed(store.events(kind="own_security", limit=1000))
    ]


def test_the_first_event_is_stored_at_once_and_the_next_ones_as_one_a_minute_later(events, store, clock):
    for _ in range(100):
        events.note(WRONG_CREDENTIALS, "wrong credentials", identity="CP1", peer="192.0.2.1:1")
    assert stored(store) == [("CP1", WRONG_CREDENTIALS, 1)]
    events.sweep()
    assert stored(store) == [("CP1", WRONG_CREDENTIALS, 1)]
    clock.seconds += 60
    events.sweep()
    assert stored(store) == [("CP1", WRONG_CREDENTIALS, 1), ("CP1", WRONG_CREDENTIALS, 99)]
    clock.seconds += 60
    events.sweep()
    events.note(WRONG_CREDENTIALS, "again", identity="CP1")
    assert stored(store)[2:] == [("CP1", WRONG_CREDENTIALS, 1)]


def test_an_event_after_a_minute_has_the_number_of_those_before(events, store, clock):
    for _ in range(3):
        events.note(WRONG_CREDENTIALS, "wrong credentials", identity="CP1")
    clock.seconds += 60
    events.note(WRONG_CREDENTIALS, "wrong credentials", identity="CP1")
    assert stored(store) == [("CP1", WRONG_CREDENTIALS, 1), ("CP1", WRONG_CREDENTIALS, 3)]


def test_however_many_names_strangers_use_they_are_one_event_a_minute(events, store, clock):
    for number in range(10_000):
        events.note(WRONG_CREDENTIALS, "wrong credentials", identity=f"STRANGER{number}", peer="192.0.2.1:1")
    assert stored(store) == [("", WRONG_CREDENTIALS, 1)]
    assert len(events._sums) == 1
    clock.seconds += 60
    events.sweep()
    (last, _) = store.events(kind="own_security")
    assert (last.data["count"], last.data["identity"]) == (9_999, "STRANGER9999")
    clock.seconds += 60
    events.sweep()
    assert events._sums == {}


def test_each_charge_point_and_each_type_has_events_of_its_own(events, store):
    for identity in ("CP1", "CP2"):
        for type_ in (WRONG_CREDENTIALS, "HandshakeRefused"):
            events.note(type_, "", identity=identity)
    assert len(stored(store)) == 4


def test_of_a_long_identity_and_text_the_beginning_is_stored(events, store):
    events.note(WRONG_CREDENTIALS, "y" * 9000, identity="x" * 4000, peer="192.0.2.1:1")
    (event,) = store.events(kind="own_security")
    assert event.data["identity"] == f"{'x' * 100}... (4000 characters)"
    assert event.data["info"] == "y" * 500
