"""Stored events are bounded: a charge point that sends many costs its own old ones, and a large one is cut."""

import datetime as dt

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand import Event, MemoryStore, StoreError
from chargehand.actors.runtime import threads
from chargehand.store import durable
from chargehand.store.event_bounds import CUT, EventBounds, cut
from chargehand.store.postgres import PostgresStore
from chargehand.store.sqlite import SqliteStore

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LIMIT_S = 60


def event(number, charge_point_id="CP1", **data):
    return Event(charge_point_id=charge_point_id, kind="k", received_at=NOW, data={"number": number, **data})


@pytest.fixture
def counted():
    return []


@pytest.fixture(params=["memory", "sqlite", "workers", "postgres"])
def store(request, tmp_path, counted):
    """Store that keeps 20 events of each charge point, and checks the bound after each."""
    bounds = EventBounds(20, 1000, lambda name, whose: counted.append((name, whose)))
    if request.param == "memory":
        made = MemoryStore(bounds=bounds)
    elif request.param == "sqlite":
        made = SqliteStore.open(str(tmp_path / "store.sqlite"), threads, bounds=bounds)
    elif request.param == "workers":
        made = request.getfixturevalue("writing").open()
        made._bounds = bounds
    else:
        made = PostgresStore.open(request.getfixturevalue("postgres").url, threads, bounds=bounds)
    yield made
    made.close()


def test_of_too_many_events_of_a_charge_point_the_oldest_go_and_are_counted(store, counted, monkeypatch):
    monkeypatch.setattr(durable, "LOOK_EVERY", 1e-9)
    store.add_event(event(0, "CP2"))
    for number in range(100):
        receipt = store.add_event(event(number))
    receipt.wait(LIMIT_S)
    kept = [one.data["number"] for one in store.events(charge_point_id="CP1", limit=200)]
    assert kept == list(range(99, 99 - len(kept), -1))
    assert 20 <= len(kept) <= 22
    assert len(store.events(charge_point_id="CP2")) == 1
    store.add_event(event(100)).wait(LIMIT_S)  # the counts come back with the next
    store.events()
    dropped = 101 - len(store.events(charge_point_id="CP1", limit=200))
    assert counted == [("stored_event_dropped", "CP1")] * dropped


def test_a_large_event_is_cut_where_it_is_long_and_says_so(store, counted):
    store.add_event(event(1, vendor="V", text="x" * 5000, more={"a": ["y" * 5000]})).wait(LIMIT_S)
    (found,) = store.events()
    assert (found.data["number"], found.data["vendor"]) == (1, "V")
    assert found.data["text"] == "x" * len(found.data["text"])
    assert found.data["more"].startswith('{"a":["yyy')
    assert found.data[CUT] == {"text": 5002, "more": 5010}
    assert len(msgspec.json.encode(found.data)) < 1100
    assert counted == [("stored_event_cut", "CP1")]


def test_an_event_with_lone_surrogates_and_nul_is_found_as_it_was(store):
    data = {"number": 1, "text": "a\ud800b\0c"}
    store.add_event(event(**data)).wait(LIMIT_S)
    (found,) = store.events()
    assert found.data == data


names = st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(names, inner),
    max_leaves=20,
)


@given(data=st.dictionaries(names, values), size_bytes=st.integers(10, 200))
def test_what_is_cut_is_never_much_larger_than_it_may_be(data, size_bytes):
    assert len(msgspec.json.encode(cut(data, size_bytes))) <= 8 * size_bytes + 100


def test_while_the_disk_is_nearly_full_history_is_refused_and_the_rest_is_stored(store, counted):
    if isinstance(store, MemoryStore):
        pytest.skip("memory has no disk")
    store.hold_events("the disk is nearly full")
    with pytest.raises(StoreError, match="not stored: the disk is nearly full"):
        store.add_event(event(1)).wait(LIMIT_S)
    assert counted == [("stored_event_refused", "CP1")]
    for kind in ("by_hand", "sign_certificate", "security"):
        store.add_event(msgspec.structs.replace(event(2), kind=kind)).wait(LIMIT_S)
    store.hold_events("")
    store.add_event(event(3)).wait(LIMIT_S)
    assert sorted(one.data["number"] for one in store.events()) == [2, 2, 2, 3]
