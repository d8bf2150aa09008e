"""Search for transactions, page by page, in every store; and charge points that were removed."""

import datetime as dt
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargehand import Cursor, MemoryStore, Transaction, TransactionFilter
from chargehand.actors.runtime import threads
from chargehand.store import memory, search
from chargehand.store.sqlite import SqliteStore
from chargehand.testing import StubStore

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LIMIT_S = 60
STORES = ["memory", "stub", "sqlite"]


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    if request.param == "sqlite":
        made = SqliteStore.open(str(tmp_path / "store.sqlite"), threads)
    else:
        made = {"memory": MemoryStore, "stub": StubStore}[request.param]()
    yield made
    made.close()


def transaction(number, **more):
    given = {
        "id": number, "charge_point_id": "CP1", "connector_id": 1, "id_tag": "T1", "meter_start": 100,
        "started_at": NOW, "start_received_at": NOW + dt.timedelta(minutes=number),
    }  # fmt: skip
    return Transaction(**(given | more))


def kept(store, *transactions):
    for one in transactions:
        receipt = store.start_transaction(one)
    receipt.wait(LIMIT_S)


def ids(found):
    return [one.id for one in found]


def test_a_page_begins_behind_the_place_that_it_is_given(store):
    kept(store, *(transaction(number) for number in (3, 1, 2, 5)))
    assert ids(store.transactions()) == [5, 3, 2, 1]
    first = store.transactions(limit=2)
    assert ids(first) == [5, 3]
    assert ids(store.transactions(before=Cursor(first[-1].start_received_at, 3), limit=2)) == [2, 1]
    assert ids(store.transactions(before=Cursor(NOW + dt.timedelta(minutes=4), 9))) == [3, 2, 1]
    assert ids(store.transactions(before=Cursor(NOW, 0))) == []


def over(store, number, *, at, connector_id=1, charge_point_id="CP1"):
    at = NOW + dt.timedelta(minutes=at)
    store.transaction_over(charge_point_id, connector_id, at, "BootNotification", number).wait(LIMIT_S)


def test_the_flagged_ones_are_found_and_of_them_the_orphans(store):
    kept(
        store,
        transaction(1),
        transaction(2, flags=("the meter ran backwards",), connector_id=2),
        transaction(3, flags=("the meter ran backwards",), connector_id=3),
        transaction(4, connector_id=3),
        transaction(5, flags=('idTag is ,"orphan: a text that a charge point chose',), connector_id=4),
    )
    over(store, None, at=4.5, connector_id=3)
    assert ids(store.transactions(TransactionFilter(flagged_only=True))) == [5, 4, 3, 2]
    assert ids(store.transactions(TransactionFilter(orphans_only=True))) == [4, 3]
    store.transaction_alive(3, NOW + dt.timedelta(minutes=5)).wait(LIMIT_S)
    assert ids(store.transactions(TransactionFilter(orphans_only=True))) == [4]
    over(store, None, at=6, connector_id=None)
    assert ids(store.transactions(TransactionFilter(orphans_only=True))) == [5, 4, 3, 2, 1]
    assert store.transaction(1).over == "BootNotification"
    assert store.transactions(limit=1)[0] == store.transaction(5)


def test_since_is_in_it_and_until_is_not_whatever_the_fraction(store):
    moments = [NOW, NOW + dt.timedelta(microseconds=1), NOW + dt.timedelta(seconds=1)]
    kept(store, *(transaction(number, start_received_at=at) for number, at in enumerate(moments, 1)))
    assert ids(store.transactions(TransactionFilter(since=moments[1]))) == [3, 2]
    assert ids(store.transactions(TransactionFilter(until=moments[1]))) == [1]
    assert ids(store.transactions(TransactionFilter(since=moments[0], until=moments[2]))) == [2, 1]
    elsewhere = moments[2].astimezone(dt.timezone(dt.timedelta(hours=-5)))
    assert ids(store.transactions(TransactionFilter(since=elsewhere))) == [3]


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 2), st.integers(1, 2), st.sampled_from(((), ("odd",)))),
        max_size=12,
    ),
    facts=st.lists(
        st.tuples(st.integers(1, 2), st.sampled_from((None, 1, 2)), st.integers(0, 13)), max_size=4
    ),
    alive=st.lists(st.tuples(st.integers(1, 12), st.integers(0, 13)), max_size=3),
    flagged=st.booleans(),
    orphans=st.booleans(),
    charge_point=st.sampled_from(("", "CP1", "CP2")),
    since=st.none() | st.integers(0, 13),
    limit=st.integers(1, 4),
    window=st.integers(1, 4),
    seed=st.randoms(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_of_equal_and_other_times_put_together_are_what_was_asked_for(
    tmp_path_factory,
    monkeypatch,
    rows,
    facts,
    alive,
    flagged,
    orphans,
    charge_point,
    since,
    limit,
    window,
    seed,
):
    monkeypatch.setattr(search, "WINDOW", window)
    monkeypatch.setattr(memory, "AT_A_TIME", window)
    minutes = itertools.accumulate(gap for gap, *_ in rows)
    all_ = [
        transaction(
            number,
            charge_point_id=f"CP{whose}",
            connector_id=connector,
            flags=flags,
            start_received_at=NOW + dt.timedelta(minutes=minute),
        )
        for number, (minute, (_, whose, connector, flags)) in enumerate(zip(minutes, rows, strict=True), 1)
    ]
    seed.shuffle(all_)
    at = None if since is None else NOW + dt.timedelta(minutes=since)
    path = tmp_path_factory.mktemp("pages") / "store.sqlite"
    answers = []
    for store in (MemoryStore(), SqliteStore.open(str(path), threads)):
        try:
            for one in all_:
                store.start_transaction(one)
            for whose, connector, minute in facts:
                over(store, None, at=minute, connector_id=connector, charge_point_id=f"CP{whose}")
            for number, minute in alive:
                store.transaction_alive(number, NOW + dt.timedelta(minutes=minute)).wait(LIMIT_S)
            found, before = [], None
            chosen = TransactionFilter(
                charge_point_id=charge_point, flagged_only=flagged, orphans_only=orphans, since=at
            )
            while page := store.transactions(chosen, before=before, limit=limit):
                assert len(page) <= limit
                found += page
                before = Cursor.parse(str(Cursor(page[-1].start_received_at, page[-1].id)))
            known = [store.transaction(one.id) for one in all_]
            wanted = [one for one in known if chosen.matches(one)]
            assert found == sorted(wanted, key=lambda one: (one.start_received_at, one.id), reverse=True)
            answers.append(found)
        finally:
            store.close()
    assert answers[0] == answers[1]


def test_dead_letters_are_paged_by_number(store):
    for number in range(5):
        store.spool(
            version="1.6",
            charge_point_id="CP1", action="StopTransaction", unique_id=str(number), payload=b"{}",
            transaction_id=None, received_at=NOW, why="unknown", redeliver=False,
        ).wait(LIMIT_S)  # fmt: skip
    first = store.dead_letters(limit=2)
    assert [one.unique_id for one in store.dead_letters(after=first[-1].number)] == ["2", "3", "4"]


def test_registered_charge_points_are_listed_page_by_page(store):
    names = ["CP1", "a/b ü", "CP2", "zz"]
    for name in names:
        store.register(name, "Accepted").wait(LIMIT_S)
    first = store.registered_ids(limit=3)
    rest = store.registered_ids(after=first[-1], limit=3)
    assert sorted([*first, *rest]) == sorted(names)
    assert store.registered_ids(after=rest[-1]) in ([], ())
    assert store.find_registration("CP1").status == "Accepted"
    assert store.find_registration("nobody") is None


def test_a_charge_point_that_was_forgotten_has_no_registration_until_it_boots_again(store):
    store.register("CP1", "Accepted")
    store.register("CP2", "Accepted")
    store.forget("CP1").wait(LIMIT_S)
    store.forget("NEVER").wait(LIMIT_S)
    assert dict(store.registrations()) == {"CP2": ("Accepted", "")}
    assert store.registration("CP1") is None
    store.register("CP1", "Pending").wait(LIMIT_S)
    assert store.registration("CP1").status == "Pending"


@pytest.mark.parametrize("again", [False, True])
def test_what_was_forgotten_is_so_after_a_restart_and_the_last_word_counts(tmp_path, again):
    path = str(tmp_path / "store.sqlite")
    store = SqliteStore.open(path, threads)
    receipts = [store.register("CP1", "Accepted"), store.register("CP2", "Accepted"), store.forget("CP1")]
    if again:  # all in one batch
        receipts.append(store.register("CP1", "Rejected"))
    for receipt in receipts:
        receipt.wait(LIMIT_S)
    rows = store._ask("SELECT id FROM charge_points ORDER BY id")
    store.close()
    store = SqliteStore.open(path, threads)
    assert store.registration("CP1") == (("Rejected", "") if again else None)
    assert [id_ for (id_,) in rows] == (["CP1", "CP2"] if again else ["CP2"])
    store.close()
