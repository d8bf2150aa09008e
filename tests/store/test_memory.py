"""Behaviour required of every store, tested on all of them. `STORES` has a factory of each."""

import msgspec
import pytest

from chargehand import Event, MemoryStore, MeterReading, StoreError, Tag, TransactionFilter
from chargehand.actors.runtime import threads
from chargehand.store.postgres import PostgresStore
from chargehand.store.sqlite import SqliteStore
from chargehand.testing import StubStore

from .transactions import LATER, NOW, START, stopped, transaction

STORES = {
    "memory": lambda _: MemoryStore(),
    "stub": lambda _: StubStore(),
    "sqlite": lambda ask: SqliteStore.open(str(ask("tmp_path") / "store.sqlite"), threads),
    "postgres": lambda ask: PostgresStore.open(ask("postgres").url, threads),
}


@pytest.fixture(params=STORES)
def store(request):
    store = STORES[request.param](request.getfixturevalue)
    yield store
    store.close()


def kept(receipt):
    """Wait until the record is durable."""
    receipt.wait(60)


# Open transactions, and what is doubtful about them


def test_the_open_transactions_of_a_charge_point_are_known_at_once(store):
    for number, charge_point_id in ((1, "CP1"), (2, "CP2"), (3, "CP1")):
        store.start_transaction(transaction(number, charge_point_id))
    assert [one.id for one in store.open_transactions("CP1")] == [1, 3]
    store.stop_transaction(stopped(1))
    assert [one.id for one in store.open_transactions("CP1")] == [3]
    assert store.open_transactions("CP9") == []


def test_the_open_transactions_of_a_tag_are_known_at_once_whatever_its_spelling(store):
    for number, id_tag in ((1, "T1"), (2, "T2"), (3, "t1")):
        store.start_transaction(transaction(number, id_tag=id_tag))
    assert [one.id for one in store.open_with_tag("CP1", "t1")] == [3, 1]
    assert [one.id for one in store.open_with_tag("CP1", "T1", limit=1)] == [3]
    kept(store.stop_transaction(stopped(3)))
    assert [one.id for one in store.open_with_tag("CP1", "T1")] == [1]
    assert store.open_with_tag("CP1", "T9") == store.open_with_tag("CP2", "T1") == []


def test_a_start_of_a_transaction_that_has_ended_does_not_open_it_again(store):
    store.start_transaction(transaction(1))
    store.stop_transaction(stopped(1))
    kept(store.start_transaction(store.transaction(1)))
    assert store.open_with_tag("CP1", "T1") == store.open_transactions("CP1") == []


def test_an_open_transaction_is_flagged_once(store):
    store.start_transaction(transaction(1))
    for _ in range(2):
        kept(store.flag_transaction(1, "orphaned"))
    kept(store.flag_transaction(1, "suspect"))
    assert store.transaction(1).flags == store.open_transactions("CP1")[0].flags == ("orphaned", "suspect")


def test_what_is_not_open_is_not_flagged(store):
    store.start_transaction(transaction(1))
    kept(store.stop_transaction(stopped(1)))
    kept(store.flag_transaction(1, "orphaned"))
    kept(store.flag_transaction(2, "orphaned"))
    assert store.transaction(1).flags == ()
    assert store.transaction(2) is None


# Numbers of transactions


def test_numbers_are_positive_and_no_two_are_the_same(store):
    numbers = [store.allot_transaction_id("CP1", None) for _ in range(100)]
    assert len(set(numbers)) == 100
    assert all(0 < number < 2**31 for number in numbers)


def test_the_same_start_has_the_same_number_for_as_long_as_its_transaction_is_open(store):
    number = store.allot_transaction_id("CP1", START)
    assert store.allot_transaction_id("CP1", START) == number
    kept(store.start_transaction(transaction(number)))
    assert store.allot_transaction_id("CP1", START) == number
    kept(store.stop_transaction(stopped(number)))
    assert store.allot_transaction_id("CP1", START) != number  # a clock that is dead repeats itself


@pytest.mark.parametrize(
    "other", [(2, "T1", NOW, 100), (1, "T2", NOW, 100), (1, "T1", LATER, 100), (1, "T1", NOW, 101)]
)
def test_another_start_has_another_number(store, other):
    assert store.allot_transaction_id("CP1", START) != store.allot_transaction_id("CP1", other)


def test_the_same_start_of_another_charge_point_has_another_number(store):
    assert store.allot_transaction_id("CP1", START) != store.allot_transaction_id("CP2", START)


def test_a_start_that_could_not_be_read_has_a_new_number_each_time(store):
    assert store.allot_transaction_id("CP1", None) != store.allot_transaction_id("CP1", None)


# Transactions


def test_a_transaction_is_open_until_it_is_stopped(store):
    kept(store.start_transaction(transaction(7)))
    assert store.transaction(7).open
    kept(store.stop_transaction(stopped(7)))
    assert not store.transaction(7).open
    assert store.transaction(7).meter_stop == 200


def test_a_transaction_that_is_not_known_is_none(store):
    assert store.transaction(7) is None


def test_a_start_that_comes_again_changes_nothing(store):
    kept(store.start_transaction(transaction(7)))
    kept(store.start_transaction(transaction(7, id_tag="another")))
    assert store.transaction(7).id_tag == "T1"


def test_of_two_stops_that_come_together_the_first_counts(store):
    kept(store.start_transaction(transaction(7)))
    first = store.stop_transaction(stopped(7, stop_reason="first"))
    with pytest.raises(StoreError, match="other figures"):
        kept(store.stop_transaction(stopped(7, stop_reason="second")))
    kept(first)
    assert store.transaction(7).stop_reason == "first"


def test_a_number_that_no_transaction_can_have_is_none(store):
    assert store.transaction(2**70) is None
    assert list(store.meter_readings(2**70)) == []


def test_a_stop_of_what_never_started_is_refused_and_starts_nothing(store):
    kept(store.start_transaction(transaction(8)))
    others = store.stop_transaction(stopped(8))
    with pytest.raises(StoreError, match=r"no such transaction.*7"):
        kept(store.stop_transaction(stopped(7)))
    kept(others)
    assert store.transaction(7) is None
    assert not store.transaction(8).open


@pytest.mark.parametrize(
    "other",
    [{"meter_stop": 201}, {"stopped_at": None}, {"stop_reason": "Remote"}, {"stop_id_tag": "T2"}],
    ids=str,
)
def test_an_end_with_other_figures_than_the_one_that_counts_is_refused(store, other):
    end = msgspec.structs.replace(stopped(7), stop_reason="Local", stop_id_tag="T1")
    kept(store.start_transaction(transaction(7)))
    kept(store.stop_transaction(end))
    kept(store.stop_transaction(end))
    with pytest.raises(StoreError, match=r"ended with other figures.*7"):
        kept(store.stop_transaction(msgspec.structs.replace(end, **other)))
    kept(store.stop_transaction(store.transaction(7)))
    assert store.transaction(7) == end


def test_transactions_are_listed_the_newest_first_and_can_be_chosen(store):
    for number, charge_point_id, id_tag in (
        (1, "CP1", "T1"),
        (2, "CP2", "t1"),
        (3, "CP1", "T2"),
        (4, "CP1", "T1"),
    ):
        kept(store.start_transaction(transaction(number, charge_point_id, id_tag)))
    kept(store.stop_transaction(stopped(4)))

    def numbers(limit=100, before=None, **conditions):
        return [
            found.id
            for found in store.transactions(TransactionFilter(**conditions), before=before, limit=limit)
        ]

    assert numbers() == [4, 3, 2, 1]
    assert numbers(limit=2) == [4, 3]
    assert numbers(charge_point_id="CP1") == [4, 3, 1]
    assert numbers(id_tag="T1") == [4, 2, 1]
    assert numbers(open_only=True) == [3, 2, 1]
    assert numbers(id_tag="T1", open_only=True) == [2, 1]
    assert numbers(id_tag="T1", open_only=True, charge_point_id="CP2") == [2]
    assert numbers(id_tag="nobody's") == []


# Meter values


def reading(number, values, charge_point_id="CP1", connector_id=1):
    return MeterReading(
        charge_point_id=charge_point_id,
        connector_id=connector_id,
        transaction_id=number,
        received_at=NOW,
        values=values,
    )


def test_meter_values_are_listed_in_the_order_in_which_they_came(store):
    for number, values in ((7, b"[1]"), (8, b"[2]"), (7, b"[3]")):
        kept(store.add_meter_reading(reading(number, values)))
    assert [found.values for found in store.meter_readings(7)] == [b"[1]", b"[3]"]
    assert [found.values for found in store.meter_readings(7, limit=1)] == [b"[1]"]
    assert list(store.meter_readings(9)) == []


def test_exactly_the_same_ones_are_kept_once(store):
    for _ in range(3):
        kept(store.add_meter_reading(reading(7, b"[1]")))
    assert len(store.meter_readings(7)) == 1


def test_those_of_another_charge_point_or_connector_are_others(store):
    kept(store.add_meter_reading(reading(7, b"[1]")))
    kept(store.add_meter_reading(reading(7, b"[1]", charge_point_id="CP2")))
    kept(store.add_meter_reading(reading(7, b"[1]", connector_id=2)))
    assert len(store.meter_readings(7)) == 3


# Charge points


def test_a_registration_is_what_the_last_boot_was_answered(store):
    assert store.registration("CP1") is None
    kept(store.register("CP1", "Pending"))
    kept(store.register("CP1", "Accepted"))
    assert store.registration("CP1").status == "Accepted"


def test_a_refresh_where_nobody_else_writes_changes_nothing(store):
    kept(store.register("CP1", "Accepted"))
    kept(store.start_transaction(transaction(7)))
    kept(store.collections.tags.put(Tag(id_tag="T1")))
    kept(store.refresh("CP1"))
    kept(store.refresh("CP2"))
    assert store.registration("CP1").status == "Accepted"
    assert [one.id for one in store.open_transactions("CP1")] == [7]
    assert store.collections.tags.get("t1") == Tag(id_tag="T1")
    assert store.registration("CP2") is None


def test_events_are_listed_the_newest_first_and_can_be_chosen(store):
    for charge_point_id, kind in (("CP1", "boot"), ("CP2", "boot"), ("CP1", "status")):
        kept(
            store.add_event(Event(charge_point_id=charge_point_id, kind=kind, received_at=NOW, data={"a": 1}))
        )

    def found(**choice):
        return [(event.charge_point_id, event.kind) for event in store.events(**choice)]

    assert found() == [("CP1", "status"), ("CP2", "boot"), ("CP1", "boot")]
    assert found(charge_point_id="CP1") == [("CP1", "status"), ("CP1", "boot")]
    assert found(kind="boot", limit=1) == [("CP2", "boot")]
    assert store.events()[0].data == {"a": 1}


# Tags


def test_tags_are_compared_without_case(store):
    kept(store.collections.tags.put(Tag(id_tag="AbC", status="Blocked", parent="P", expiry=NOW)))
    assert store.collections.tags.get("abc") == Tag(id_tag="AbC", status="Blocked", parent="P", expiry=NOW)
    kept(store.collections.tags.put(Tag(id_tag="abc")))
    assert store.collections.tags.get("abc").status == "Accepted"
    assert store.collections.tags.get("other") is None


# Spool


def spool(store, charge_point_id="CP1", unique_id="1", **more):
    kept(
        store.spool(
            version="1.6",
            charge_point_id=charge_point_id,
            action="StopTransaction",
            unique_id=unique_id,
            payload=b"{}",
            transaction_id=7,
            received_at=NOW,
            why="a reason",
            **more,
        )
    )


def test_what_is_spooled_waits_the_oldest_first_until_it_is_taken_out(store):
    for unique_id in ("a", "b", "c"):
        spool(store, unique_id=unique_id)
    records = store.spooled()
    assert [record.unique_id for record in records] == ["a", "b", "c"]
    assert (records[0].transaction_id, records[0].payload, records[0].why) == (7, b"{}", "a reason")
    kept(store.unspool([records[0].number, records[2].number]))
    assert [record.unique_id for record in store.spooled()] == ["b"]


def test_the_spool_of_one_charge_point_is_its_own(store):
    spool(store, "CP1", "a")
    spool(store, "CP2", "b")
    spool(store, "CP1", "c")
    assert [record.unique_id for record in store.spooled(charge_point_id="CP1")] == ["a", "c"]
    assert [record.unique_id for record in store.spooled(charge_point_id="CP1", limit=1)] == ["a"]
    assert sorted(store.spooled_charge_points()) == ["CP1", "CP2"]
    kept(store.unspool([record.number for record in store.spooled(charge_point_id="CP2")]))
    assert list(store.spooled_charge_points()) == ["CP1"]


def test_a_dead_letter_waits_no_more_and_is_not_lost(store):
    spool(store, unique_id="a")
    (record,) = store.spooled()
    kept(store.dead_letter(record.number, "it failed five times"))
    assert list(store.spooled()) == []
    assert [(dead_letters.unique_id, dead_letters.why) for dead_letters in store.dead_letters()] == [
        ("a", "it failed five times")
    ]


def test_what_is_brought_back_waits_in_its_old_place(store):
    for unique_id in "abcd":
        spool(store, "CP1", unique_id)
    a, _, c, _ = store.spooled()
    for record in (a, c):
        kept(store.dead_letter(record.number, "it failed"))
    kept(store.requeue([c.number, a.number, a.number, 10_000]))
    assert [record.unique_id for record in store.spooled()] == ["a", "b", "c", "d"]
    assert [record.unique_id for record in store.spooled(charge_point_id="CP1")] == ["a", "b", "c", "d"]
    assert list(store.dead_letters()) == []
    kept(store.dead_letter(a.number, "again"))
    assert [record.why for record in store.dead_letters()] == ["again"]


def test_the_spool_has_a_charge_point_again_when_something_is_brought_back(store):
    spool(store, "CP1", "a")
    (record,) = store.spooled()
    kept(store.dead_letter(record.number, "it failed"))
    assert list(store.spooled_charge_points()) == []
    kept(store.requeue([record.number]))
    assert list(store.spooled_charge_points()) == ["CP1"]


def test_a_handler_that_makes_a_dead_letter_of_a_redelivered_message_keeps_it(store):
    """Redelivery takes out what waits, not what its handler has made of it."""
    spool(store, unique_id="a")
    spool(store, unique_id="b")
    record, _ = store.spooled()
    spool(store, unique_id="a", redeliver=False)
    kept(store.unspool([record.number]))
    assert [record.unique_id for record in store.spooled()] == ["b"]
    assert [(record.unique_id, record.why) for record in store.dead_letters()] == [("a", "a reason")]


def test_a_dead_letter_is_taken_out_as_one_only(store):
    spool(store, unique_id="a")
    (record,) = store.spooled()
    kept(store.dead_letter(record.number, "it failed"))
    kept(store.unspool([record.number]))
    assert [record.unique_id for record in store.dead_letters()] == ["a"]
    kept(store.forget_dead_letters([record.number]))
    assert list(store.dead_letters()) == []


def test_a_message_that_cannot_be_redelivered_is_a_dead_letter_at_once(store):
    spool(store, unique_id="a", redeliver=False)
    assert list(store.spooled()) == []
    assert [record.unique_id for record in store.dead_letters()] == ["a"]


def test_taking_out_what_is_not_there_is_nothing(store):
    kept(store.unspool([1, 2, 3]))
    kept(store.dead_letter(1, "nothing"))
