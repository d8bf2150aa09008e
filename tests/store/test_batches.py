"""Rows of a batch are few statements, with the same result as one after the other."""

import datetime as dt
import itertools

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargehand import (
    Event,
    MemoryStore,
    MeterReading,
    StopFigures,
    StoreError,
    Tag,
    Transaction,
    TransactionFilter,
)
from chargehand.store.rows import ESCAPED, Kind, row

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LIMIT_S = 60  # a disk that others are using may take seconds
ODD = ["a\ud800b", "a\0b", "Ünïcode", "⚡"]


def transaction(number, id_tag="T1", start_received_at=NOW, **facts):
    return Transaction(
        id=number,
        charge_point_id=f"CP{number % 2}",
        connector_id=1,
        id_tag=id_tag,
        meter_start=number,
        started_at=NOW,
        start_received_at=start_received_at,
        **facts,
    )


def stopped(number):
    return transaction(number, meter_stop=200, stopped_at=NOW, stop_received_at=NOW, stop_reason="Local")


def test_a_row_that_is_refused_fails_alone(opened):
    store = opened()
    before, refused, after = (
        store._writer.append(Kind.REGISTER, row(name, "Accepted", "1.6")) for name in ("CP1", None, "CP2")
    )
    before.wait(LIMIT_S)
    after.wait(LIMIT_S)
    with pytest.raises(StoreError, match="refused a row") as refusal:
        refused.wait(LIMIT_S)
    assert not refusal.value.passing  # it will never be kept
    assert set(opened().registrations()) == {"CP1", "CP2"}


@pytest.mark.parametrize("place", [0, 299, 599])
def test_a_row_that_is_refused_among_many_fails_alone_and_the_others_are_kept_once(opened, place):
    store = opened()
    receipts = [
        store._writer.append(
            Kind.EVENT, row("CP1" if number != place else None, "status", str(number), str(number))
        )
        for number in range(600)
    ]
    with pytest.raises(StoreError, match="refused a row"):
        receipts[place].wait(LIMIT_S)
    for receipt in receipts[:place] + receipts[place + 1 :]:
        receipt.wait(LIMIT_S)
    kept = [int(data) for (data,) in store._ask("SELECT data FROM events ORDER BY number")]
    assert sorted(kept) == [number for number in range(600) if number != place]


@pytest.mark.parametrize("odd", ODD)
def test_a_transaction_with_an_odd_text_is_kept_and_flagged_if_it_was_escaped(opened, odd):
    store = opened()
    store.start_transaction(transaction(1, id_tag=odd)).wait(LIMIT_S)
    kept = opened().transaction(1)
    escaped = not odd.isprintable() or "\ud800" in odd
    assert (kept.id_tag == odd) is not escaped
    assert (ESCAPED in kept.flags) is escaped


def test_a_meter_beyond_64_bits_is_kept_whole_and_flagged(opened):
    store = opened()
    store.start_transaction(
        Transaction(
            id=1,
            charge_point_id="CP1",
            connector_id=1,
            id_tag="T1",
            meter_start=2**70,
            started_at=NOW,
            start_received_at=NOW,
        )
    ).wait(LIMIT_S)
    assert opened().transaction(1).meter_start == 2**70
    assert ESCAPED in opened().transaction(1).flags


@pytest.mark.parametrize("odd", ODD)
def test_every_other_record_takes_an_odd_text_too(opened, odd):
    store = opened()
    receipts = [
        store.register(odd, "Accepted"),
        store.collections.tags.put(Tag(id_tag="T1", parent=odd.replace("\ud800", ""))),
        store.add_event(Event(charge_point_id=odd, kind=odd, received_at=NOW)),
        store.spool(
            version="1.6",
            charge_point_id=odd,
            action="StartTransaction",
            unique_id=odd,
            payload=b"{}",
            transaction_id=1,
            received_at=NOW,
            why=odd,
        ),
    ]
    for receipt in receipts:
        receipt.wait(LIMIT_S)
    store = opened()
    assert len(store.events()) == len(store.spooled()) == len(store.registrations()) == 1


def test_an_entry_and_its_removal_keep_their_order(opened):
    store = opened()
    for status in ("Accepted", "Blocked"):
        store.collections.tags.put(Tag(id_tag="T1", status=status))
    store.collections.tags.put(Tag(id_tag="T2"))
    store.collections.tags.remove("t2")
    store.collections.tags.remove("t3")
    store.collections.tags.put(Tag(id_tag="T3")).wait(LIMIT_S)
    assert {tag.id_tag: tag.status for tag in opened().collections.tags} == {
        "T1": "Blocked",
        "T3": "Accepted",
    }


def stop(store, number):
    """Stop a transaction as the back office does, with only the facts that it knows."""
    return store.stop_transaction(stopped(number)) if store.transaction(number) is not None else None


def read(store, number):
    return store.add_meter_reading(
        MeterReading(
            charge_point_id="CP1", connector_id=1, transaction_id=number, received_at=NOW, values=b"[]"
        )
    )


def at(count):
    return NOW + dt.timedelta(seconds=count)


def amend(store, number, count):
    """Amend a transaction as the back office does, with only the facts that it knows."""
    if store.transaction(number) is None:
        return None
    figures = StopFigures(received_at=at(count), meter_stop=count, id_tag="\0", reason="\ud800")
    more = {"other_stops": (figures,)} if count % 2 else {"note": f"note {count}"}
    return store.amend_transaction(number, flags=(f"amended {count}",), **more)


def assess(store, number, count):
    return store.assess_transaction(
        number, energy_wh=count / 2, energy_source="registers", supported_energy_wh=None, findings=("odd",)
    )


STEPS = {
    "start": lambda store, number, count: store.start_transaction(
        transaction(number, start_received_at=at(count))
    ),
    "stop": lambda store, number, _: stop(store, number),
    "flag": lambda store, number, count: store.flag_transaction(number, f"flag {count}"),
    "amend": amend,
    "assess": assess,
    "over": lambda store, number, count: store.transaction_over(
        "CP1", 1 if number % 2 else None, at(count), f"reason {count}", number if number > 2 else None
    ),
    "alive": lambda store, number, count: store.transaction_alive(number, at(count)),
    "reading": lambda store, number, _: read(store, number),
    "register": lambda store, number, count: store.register(f"CP{number}", str(count)),
    "tag": lambda store, number, count: store.collections.tags.put(
        Tag(id_tag=f"T{number}", parent=str(count))
    ),
    "remove": lambda store, number, _: store.collections.tags.remove(f"t{number}"),
    "dead letter": lambda store, number, count: spool(store, number, count, redeliver=False),
    "spool": lambda store, number, count: spool(store, number, count, redeliver=True),
    "forget": lambda store, number, _: forget(store, number),
    "wait": lambda store, number, _: store.register(f"CP{number}", "waited").wait(LIMIT_S),
}


def spool(store, number, count, *, redeliver):
    return store.spool(
        version="1.6", charge_point_id="CP1", action="MeterValues", unique_id=str(count), payload=b"\0\xff",
        transaction_id=number, received_at=at(count), why="a reason", redeliver=redeliver,
    )  # fmt: skip


def forget(store, number):
    return store.forget_dead_letters([one.number for one in store.transaction_dead_letters(number)])


operations = st.lists(st.tuples(st.sampled_from(list(STEPS)), st.integers(1, 4)), max_size=30)


def apply(store, steps):
    receipts = [STEPS[step](store, number, count) for count, (step, number) in enumerate(steps)]
    for receipt in receipts:
        if receipt is not None:
            receipt.wait(LIMIT_S)


def contents(store):
    known = store.transactions()
    readings = store.readings_of("CP1", without_transaction=False)
    return (
        [stored_escaped(one) for one in known],
        [one.id for name in ("CP0", "CP1") for one in store.open_transactions(name)],
        [one.id for one in store.open_on_connector("CP1", 1, limit=2)],
        [one.id for one in store.open_with_tag("CP1", "t1", limit=3)],
        getattr(store.charging_with_tag("T1", besides=1), "id", None),
        [one.id for one in store.transactions(TransactionFilter(flagged_only=True))],
        [one.id for one in store.transactions(TransactionFilter(orphans_only=True))],
        [len(store.meter_readings(number)) for number in range(1, 5)],
        {one.transaction_id for one in readings},
        {one.transaction_id for one in store.readings_of("CP1")},
        dict(store.registrations()),
        sorted(store.collections.tags, key=lambda tag: tag.id_tag),
        [(one.unique_id, one.payload, one.transaction_id) for one in store.spooled()],
        [(one.unique_id, one.payload, one.transaction_id) for one in store.dead_letters()],
    )


def stored_escaped(one):
    """Return a transaction as every store has it: databases escape texts that they cannot hold."""
    stops = [msgspec.structs.replace(figures, id_tag="", reason="") for figures in one.other_stops]
    return msgspec.structs.replace(one, other_stops=tuple(stops))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=operations)
def test_whatever_comes_together_ends_as_it_does_in_memory(empty_store, steps):
    memory = MemoryStore()
    apply(memory, steps)
    open_ = empty_store()
    for look in range(2):
        store = open_()
        try:
            if look == 0:
                apply(store, steps)
            assert contents(store) == contents(memory)
        finally:
            store.close()


def test_no_number_is_given_twice_whatever_was_stored_meanwhile(opened):
    seen = set()
    for _ in range(3):
        store = opened()
        for number in itertools.islice(iter(lambda s=store: s.allot_transaction_id("CP1", None), None), 600):
            assert number not in seen
            seen.add(number)
        store.start_transaction(transaction(max(seen))).wait(LIMIT_S)
