"""Several processes with one database: each store knows the records that the others have stored."""

import datetime as dt
from decimal import Decimal

import gevent
import msgspec
import pytest

from chargehand import Cost, StopFigures, StoreError, Tag, take_stop
from chargehand.store.records import LocalList
from chargehand.store.rows import Kind, row

from ..hub import until
from .transactions import NOW, START, stopped, transaction

LIMIT_S = 60


@pytest.fixture
def open_(shared):
    stores = []

    def open_():
        stores.append(shared.open())
        return stores[-1]

    yield open_
    for store in stores:
        store.close()


@pytest.fixture
def one(open_):
    return open_()


@pytest.fixture
def other(open_):
    return open_()


def kept(receipt):
    receipt.wait(LIMIT_S)


def spool_start(store, number):
    kept(
        store.spool(
            version="1.6",
            charge_point_id="CP1", action="StartTransaction", unique_id="1", payload=b"{}", transaction_id=number,
            received_at=NOW, why="a reason",
        )
    )  # fmt: skip


def numbers(transactions):
    return [one.id for one in transactions]


# Collections


def test_a_change_of_another_process_is_known_when_it_is_asked_for(one, other):
    kept(one.collections.tags.put(Tag(id_tag="T1")))
    kept(other.follow_now())
    assert other.collections.tags.get("t1") is not None
    kept(one.collections.tags.remove("t1"))
    looks = [other.follow_now() for _ in range(3)]
    for look in looks:
        kept(look)
    assert other.collections.tags.get("t1") is None


# Numbers


def test_no_two_give_the_same_number(open_):
    stores = [open_() for _ in range(3)]

    def take(store):
        given = []
        for _ in range(25_000):
            given.append(store.allot_transaction_id("CP1", None))
            if len(given) % 5000 == 1:
                kept(store.register("CP1", "Accepted"))  # so that the next block can come
        return given

    taking = [gevent.spawn(take, store) for store in stores]
    gevent.joinall(taking, timeout=LIMIT_S, raise_error=True)
    given = [number for one in taking for number in one.get()]
    assert len(set(given)) == 75_000
    assert min(given) == 1


def test_one_that_is_started_again_and_again_uses_up_few(open_):
    for _ in range(5):
        open_().close()
    assert open_().allot_transaction_id("CP1", None) == 5001


def test_numbers_that_were_brought_in_by_hand_are_not_given_again(one, other, open_):
    kept(one.start_transaction(transaction(1_000_000)))
    assert open_().allot_transaction_id("CP1", None) > 1_000_000


# A charge point that goes from one to the other


def test_a_start_that_was_kept_by_one_has_its_number_at_the_other(one, other):
    number = one.allot_transaction_id("CP1", START)
    kept(one.start_transaction(transaction(number)))
    kept(other.refresh("CP1"))
    assert other.allot_transaction_id("CP1", START) == number
    assert numbers(other.open_transactions("CP1")) == [number]


def test_a_start_that_was_spooled_by_one_has_its_number_at_the_other(one, other):
    number = one.allot_transaction_id("CP1", START)
    spool_start(one, number)
    kept(other.refresh("CP1"))
    assert other.allot_transaction_id("CP1", START) == number


def test_a_number_that_one_acknowledged_wins_over_one_the_other_had_in_mind(one, other):
    other.allot_transaction_id("CP1", START)
    number = one.allot_transaction_id("CP1", START)
    kept(one.start_transaction(transaction(number)))
    kept(other.refresh("CP1"))
    assert other.allot_transaction_id("CP1", START) == number


def test_a_transaction_stopped_elsewhere_is_open_no_more_and_its_start_is_forgotten(one, other):
    number = one.allot_transaction_id("CP1", START)
    kept(one.start_transaction(transaction(number)))
    kept(other.refresh("CP1"))
    kept(other.stop_transaction(stopped(number)))
    assert numbers(one.open_transactions("CP1")) == [number]
    kept(one.refresh("CP1"))
    assert one.open_transactions("CP1") == []
    assert not one.transaction(number).open
    assert one.allot_transaction_id("CP1", START) != number


def test_a_start_that_the_other_process_has_redelivered_is_known_at_once(one, other):
    """Else its stop, redelivered here a moment later, would seem to belong to no transaction."""
    number = one.allot_transaction_id("CP1", START)
    spool_start(one, number)
    assert one.transaction(number) is None
    kept(other.start_transaction(transaction(number)))  # redelivered there out of the spool
    assert one.transaction(number) == transaction(number)
    assert one.owner_of(number) == "CP1"
    kept(other.stop_transaction(stopped(number)))
    assert one.transaction(number) == stopped(number)


@pytest.mark.parametrize("spooled_here", [True, False])
def test_the_start_of_one_that_was_started_and_stopped_elsewhere_is_forgotten(one, other, spooled_here):
    number = one.allot_transaction_id("CP1", START)
    spool_start(one if spooled_here else other, number)
    kept(one.refresh("CP1"))
    assert one.allot_transaction_id("CP1", START) == number
    kept(other.start_transaction(transaction(number)))
    kept(other.stop_transaction(stopped(number)))
    kept(other.unspool([record.number for record in other.spooled()]))
    kept(one.refresh("CP1"))
    assert one.transaction(number) == stopped(number)
    assert one.allot_transaction_id("CP1", START) != number
    assert one._spooled == {}


def test_a_start_that_could_not_be_stored_is_not_open_after_a_refresh(one):
    number = one.allot_transaction_id("CP1", START)
    refused = one.start_transaction(transaction(number, version=None))  # no row may lack it
    assert not succeeds(refused)
    kept(one.start_transaction(transaction(number + 1, "CP2")))
    assert numbers(one.open_transactions("CP1")) == [number]
    assert one.charging_with_tag("T1", besides=number + 1) is not None
    for charge_point_id in ("CP1", "CP2"):
        kept(one.refresh(charge_point_id))
    assert one.open_transactions("CP1") == []
    assert one.charging_with_tag("T1", besides=number + 1) is None
    assert numbers(one.open_transactions("CP2")) == [number + 1]
    kept(one.start_transaction(transaction(one.allot_transaction_id("CP1", START))))
    assert numbers(one.open_transactions("CP1")) == [number]


def test_a_transaction_that_its_station_has_named_has_one_number_whoever_was_first(one, other):
    named = {"remote_id": "tx-1", "id_tag": ""}
    for store, number in ((one, 7), (other, 8)):
        assert store.remote_transaction("CP1", "tx-1") is None, number
    kept(one.start_transaction(transaction(7, **named)))
    assert not succeeds(other.start_transaction(transaction(8, **named)))
    assert other.remote_transaction("CP1", "tx-1").id == 7
    assert other.open_transactions("CP1") == []
    kept(one.start_transaction(transaction(7, **named)))
    kept(other.start_transaction(transaction(7, **named)))
    assert numbers(other.open_transactions("CP1")) == [7]


def test_a_start_that_is_handed_over_before_a_refresh_is_open_after_it(one):
    receipt = one.start_transaction(transaction(7))
    refreshed = one.refresh("CP1")
    again = one.start_transaction(transaction(7))
    for each in (receipt, refreshed, again):
        kept(each)
        assert numbers(one.open_transactions("CP1")) == [7]


def test_registrations_at_the_other_process_are_found_without_a_refresh(one, other):
    kept(one.register("CP1", "Accepted"))
    assert other.registration("CP1") is None
    assert other.registered_ids() == ["CP1"]
    assert other.find_registration("CP1").status == "Accepted"


def test_a_stop_of_what_the_other_has_started_is_kept_without_a_refresh(one, other):
    kept(one.start_transaction(transaction(7)))
    kept(other.stop_transaction(stopped(7)))
    assert not other.transaction(7).open


def test_a_stop_of_what_has_ended_elsewhere_otherwise_is_kept_when_it_comes_again(one, other):
    kept(one.start_transaction(transaction(7)))
    kept(other.stop_transaction(stopped(7)))
    stop = StopFigures(received_at=NOW, meter_stop=300, stopped_at=NOW, reason="", id_tag="")
    assert not succeeds(take_stop(one, one.open_transaction(7), stop))
    kept(take_stop(one, one.transaction(7), stop))
    found = one.transaction(7)
    assert (found.meter_stop, found.other_stops) == (200, (stop,))


def test_a_transaction_that_went_on_and_ended_elsewhere_is_shown_as_it_is(one, other):
    kept(one.start_transaction(transaction(7)))
    kept(other.refresh("CP1"))
    minute = dt.timedelta(minutes=1)
    kept(one.transaction_over("CP1", 1, NOW + minute, "StatusNotification Available"))
    other.every_second()
    until(lambda: other.transaction(7).orphaned)
    kept(other.transaction_alive(7, NOW + 2 * minute))
    assert not one.transaction(7).orphaned
    kept(other.stop_transaction(stopped(7)))
    assert not one.transaction(7).open


@pytest.mark.parametrize("correction", [False, True])
def test_a_cost_of_a_transaction_that_has_ended_elsewhere_is_kept(one, other, correction):
    kept(one.start_transaction(transaction(7)))
    kept(other.refresh("CP1"))
    kept(one.stop_transaction(stopped(7)))
    assert numbers(other.open_transactions("CP1")) == [7]
    cost = Cost(amount=Decimal(1), currency="EUR", tariff="day", at=NOW, by="", parts=())
    kept(other.price_transaction(7, (cost,), correction=correction))
    assert one.transaction(7).costs == other.transaction(7).costs == (cost,)
    logged = other.event_log.read(other.event_log.number, 0, 10)
    assert [one.kind for one in logged] == ["TransactionCorrected"] * correction


def test_flags_of_both_are_there(one, other):
    kept(one.start_transaction(transaction(7)))
    kept(other.refresh("CP1"))
    kept(one.flag_transaction(7, "from one"))
    other.flag_transaction(7, "from the other")
    kept(other.refresh("CP1"))
    kept(one.refresh("CP1"))
    kept(one.flag_transaction(7, "more"))
    assert set(one.transaction(7).flags) >= {"from the other", "more"}


def test_a_registration_that_the_other_has_kept_is_known(one, other):
    kept(one.register("CP1", "Pending"))
    kept(other.refresh("CP1"))
    assert other.registration("CP1").status == "Pending"
    kept(other.register("CP1", "Accepted"))
    kept(one.refresh("CP1"))
    assert one.registration("CP1").status == "Accepted"


def test_what_of_ours_is_on_its_way_is_newer_than_what_a_refresh_reads(one, other):
    """All records are handed over before the thread has read anything, or after that: the result is the same."""
    kept(one.start_transaction(transaction(7)))
    kept(one.register("CP1", "Pending"))
    kept(one.collections.tags.put(Tag(id_tag="T1")))
    refreshed = [one.refresh("CP1")]
    receipts = [
        one.stop_transaction(stopped(7)),
        one.register("CP1", "Accepted"),
        one.collections.tags.put(Tag(id_tag="T1", status="Blocked")),
        one.start_transaction(transaction(8)),
    ]
    refreshed.append(one.refresh("CP1"))
    for receipt in (*refreshed, *receipts):
        kept(receipt)
        assert numbers(one.open_transactions("CP1")) == [8]
        assert one.registration("CP1").status == "Accepted"
        assert one.collections.tags.get("t1").status == "Blocked"


def test_what_was_read_before_ours_was_written_does_not_undo_it(one):
    """The same by hand: the result of a refresh arrives while the store's own record is being written."""
    kept(one.start_transaction(transaction(7)))
    receipts = [
        one.stop_transaction(stopped(7)),
        one.register("CP1", "Accepted"),
        one.collections.tags.put(Tag(id_tag="T1", status="Blocked")),
    ]
    older = [("tags", "t1", msgspec.json.encode(Tag(id_tag="T1")).decode(), 1)]
    one._take_charge_point("CP1", [transaction(7)], {7: 0}, [("Pending",)], [], older)
    one._take_changes([], whole=True)
    assert one.open_transactions("CP1") == []
    assert one.registration("CP1").status == "Accepted"
    assert one.collections.tags.get("t1").status == "Blocked"
    for receipt in receipts:
        kept(receipt)
    assert one._ours == {}


def test_a_refresh_that_cannot_be_read_says_so(one, shared):
    shared.stop("immediate")
    try:
        with pytest.raises(StoreError, match=r"could not be read|cannot be reached|does not answer"):
            kept(one.refresh("CP1"))
    finally:
        shared.start()
    until(lambda: succeeds(one.refresh("CP1")), "it did not recover")


def succeeds(receipt):
    try:
        kept(receipt)
    except StoreError:
        return False
    return True


# Collections


def test_a_change_of_a_collection_soon_reaches_the_other_process(one, other):
    one.collections.tags.put(Tag(id_tag="T2"))
    one.collections.local_lists.put(LocalList(charge_point_id="CP1", version=3, changed_at=NOW))
    kept(one.collections.tags.put(Tag(id_tag="T1", status="Blocked")))
    until(lambda: other.collections.tags.get("t1") is not None, "it did not come")
    assert [found.version for found in other.collections.local_lists.of("CP1")] == [3]
    kept(other.collections.tags.remove("t1"))
    kept(other.collections.local_lists.remove("CP1"))
    until(lambda: one.collections.tags.get("t1") is None, "it did not go")
    assert one.collections.local_lists.of("CP1") == []
    assert (
        [tag.id_tag for tag in one.collections.tags]
        == [tag.id_tag for tag in other.collections.tags]
        == ["T2"]
    )


def test_a_refresh_brings_the_collections_at_once(one, other):
    kept(one.collections.tags.put(Tag(id_tag="T1")))
    kept(other.refresh("CP1"))
    assert other.collections.tags.get("t1") == Tag(id_tag="T1")


def test_a_removal_is_forgotten_after_a_day_and_whoever_was_away_longer_reads_all(one, other, shared):
    kept(one.collections.tags.put(Tag(id_tag="T1")))
    kept(other.refresh("CP1"))
    other._timer.stop()  # it is away
    kept(one.collections.tags.remove("t1"))
    shared.age_removals()
    one._whole = True
    until(lambda: shared.books_kept() == 0, "it was not purged")
    assert other.collections.tags.get("t1") is not None
    other._seen_at -= 24 * 3600
    other._follow()
    until(lambda: other.collections.tags.get("t1") is None, "it did not go")


def test_a_change_that_could_not_be_kept_is_taken_back(one):
    refused = one._own(("tags", "t1"), one._writer.append(Kind.COLLECTION, row("tags", None, "{}")))
    one.collections.tags.follow("t1", msgspec.json.encode(Tag(id_tag="T1")))
    assert not succeeds(refused)
    until(lambda: one.collections.tags.get("t1") is None, "it stayed")


def test_changes_are_seen_in_the_order_of_their_numbers_however_many_write(open_):
    stores = [open_() for _ in range(3)]
    for count in range(30):
        for number, store in enumerate(stores):
            store.collections.tags.put(Tag(id_tag=f"T{number}-{count}"))
            store.collections.tags.put(Tag(id_tag="same", parent=f"{number} {count}"))
            gevent.sleep(0)
    for store in stores:
        kept(store.refresh("CP1"))
    for store in stores:
        kept(store.refresh("CP1"))
        assert len(store.collections.tags) == 91
    assert len({store.collections.tags.get("same").parent for store in stores}) == 1


def test_a_transaction_that_is_released_is_read_again_by_the_other(one, other):
    kept(one.start_transaction(transaction(7)))
    kept(other.refresh("CP1"))
    released = other.release_transaction(7)
    assert other.open_transaction(7) is None
    assert other.transaction(7).open
    kept(released)
    assert one.open_transaction(7) is None
    kept(other.stop_transaction(stopped(7)))
    assert not one.transaction(7).open


# Events that another process has to deliver


def test_a_process_that_enters_a_consumer_later_is_waited_for(one, other):
    one.event_log.register("bills")
    kept(other.start_transaction(transaction(7)))
    (logged,) = one.event_log.read(other.event_log.number, 0, 9)
    found = one.event_log.elsewhere("bills")
    assert found.oldest == {"CP1": logged.logged_at}
    assert found.looked_at > logged.logged_at
    other.event_log.register("bills")
    assert one.event_log.elsewhere("bills").oldest == {"CP1": logged.logged_at}
    kept(other.event_log.advance("bills", other.event_log.number, other.event_log.last))
    assert one.event_log.elsewhere("bills").oldest == {}


def test_the_times_of_the_log_do_not_go_back_as_those_of_its_records_do(one, other):
    begun_at = dt.datetime.now(dt.UTC)
    for number, after_s in ((7, 9), (8, 1)):
        start = msgspec.structs.replace(
            transaction(number), start_received_at=NOW + dt.timedelta(seconds=after_s)
        )
        kept(one.start_transaction(start))
        kept(one.stop_transaction(msgspec.structs.replace(stopped(number), stop_received_at=NOW)))
    times = [logged.logged_at for logged in other.event_log.read(one.event_log.number, 0, 9)]
    assert len(times) == 4
    assert begun_at <= times[0]
    assert times == sorted(times)


def test_an_origin_that_is_ours_by_the_database_alone_is_still_waited_for(one, other):
    one.event_log.register("bills")
    other.event_log.register("bills")
    kept(other.start_transaction(transaction(7)))
    number = other.event_log.number
    (logged,) = one.event_log.read(number, 0, 9)
    # The database ended while it was adopted: it is stored, and nobody was told.
    assert one.event_log.adopt("bills", number, other.event_log.origin) is not None
    assert one.event_log.elsewhere("bills").oldest == {"CP1": logged.logged_at}
    assert one.event_log.elsewhere("bills", [number]).oldest == {}
