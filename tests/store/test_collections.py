"""Collections: a record is found by its key and by its charge point, and is durable when the receipt says so."""

import datetime as dt

import msgspec
import pytest

from chargehand import StoreError
from chargehand.store.collections import Collection, Collections, tag_key
from chargehand.store.records import (
    ChargingProfile,
    DisplayMessage,
    Monitor,
    NetworkProfile,
    Reservation,
    Tag,
)
from chargehand.store.store import Receipt

NOW = dt.datetime(2026, 11, 24, tzinfo=dt.UTC)


def reservation(number=1, charge_point_id="CP1", **facts):
    return Reservation(
        id=number,
        charge_point_id=charge_point_id,
        connector_id=1,
        id_tag="T1",
        expiry=NOW,
        accepted_at=NOW,
        **facts,
    )


@pytest.fixture
def kept():
    return []


@pytest.fixture
def books(kept):
    def keep(*change):
        kept.append(change)
        return Receipt(done=True)

    return Collections(keep)


def test_what_was_put_in_is_found_by_its_key_and_its_charge_point(books):
    first, second, other = reservation(1), reservation(2), reservation(1, "CP2")
    for one in (first, second, other):
        books.reservations.put(one)
    assert books.reservations.get("1/CP1") == first
    assert books.reservations.of("CP1") == [first, second]
    assert list(books.reservations) == [first, second, other]
    assert len(books.reservations) == 3
    assert books.reservations.of("CP3") == []


def test_a_record_takes_the_place_of_the_one_with_its_key(books):
    books.reservations.put(reservation())
    books.reservations.put(reservation(state="used"))
    assert [one.state for one in books.reservations.of("CP1")] == ["used"]
    books.tags.put(Tag(id_tag="AbC"))
    books.tags.put(Tag(id_tag="aBc", status="Blocked"))
    assert [tag.status for tag in books.tags] == ["Blocked"]


def test_what_was_removed_is_gone_and_removing_it_again_is_no_error(books):
    books.reservations.put(reservation())
    for _ in range(2):
        books.reservations.remove("1/CP1")
        assert books.reservations.get("1/CP1") is None
        assert books.reservations.of("CP1") == []


def test_every_change_is_kept_under_the_collections_name(books, kept):
    books.tags.put(Tag(id_tag="T1"))
    books.tags.remove("t1")
    (name, key, data), removal = kept
    assert (name, key, msgspec.json.decode(data, type=Tag)) == ("tags", "t1", Tag(id_tag="T1"))
    assert removal == ("tags", "t1", None)


def test_what_was_kept_is_loaded(books, kept):
    books.reservations.put(reservation())
    again = Collections(lambda *_: pytest.fail("loading keeps nothing"))
    again.reservations.load((key, data) for _, key, data in kept)
    assert again.reservations.of("CP1") == [reservation()]


def test_what_is_refused_at_once_is_not_entered():
    refusal = StoreError("planted")
    book = Collection("tags", Tag, lambda tag: tag.id_tag, lambda *_: Receipt(done=True, error=refusal))
    assert book.put(Tag(id_tag="T1")).error is refusal
    assert book.get("T1") is None


def test_a_change_during_a_walk_does_not_disturb_it(books):
    books.tags.put(Tag(id_tag="T1"))
    for tag in books.tags:
        books.tags.remove(tag.id_tag.lower())
    assert len(books.tags) == 0


def test_the_tag_of_a_token_is_that_of_its_type_or_of_any():
    collections = Collections(lambda *_: Receipt(done=True))
    find = collections.tag_of
    assert find("T1") is None
    any_, card = Tag(id_tag="T1"), Tag(id_tag="t1", id_type="ISO14443")
    collections.tags.put(any_)
    assert (find("t1"), find("t1", "eMAID")) == (any_, any_)
    collections.tags.put(card)
    assert (find("T1", "ISO14443"), find("T1", "eMAID"), find("T1")) == (card, any_, any_)
    collections.tags.remove(tag_key("T1"))
    assert (find("T1", "ISO14443"), find("T1", "eMAID"), find("T1")) == (card, None, card)


def test_settings_of_stations_are_found_again_when_a_store_is_opened_again(opened):
    at = {"charge_point_id": "CP1", "accepted_at": NOW}
    monitor = Monitor(monitor_id=7, variable="A.B", kind="Delta", value=1.5, severity=0, ours=True, **at)
    message = DisplayMessage(message_id=3, text="Hello", priority="InFront", data={"id": 3}, **at)
    network = NetworkProfile(slot=1, data={"securityProfile": 2}, **at)
    limit = ChargingProfile(id=5, connector_id=0, stack_level=0, purpose="X", **at)
    other = msgspec.structs.replace(limit, source="EMS")
    books = opened().collections
    books.monitors.put(monitor)
    books.display_messages.put(message)
    books.network_profiles.put(network)
    books.profiles.put(limit)
    books.profiles.put(other).wait(60)
    again = opened().collections
    assert again.monitors.of("CP1") == [monitor]
    assert again.display_messages.of("CP1") == [message]
    assert again.network_profiles.of("CP1") == [network]
    assert sorted(again.profiles.of("CP1"), key=lambda one: one.source) == [limit, other]
