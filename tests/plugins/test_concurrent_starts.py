"""Limit of one transaction at a time for a tag, if set: with repeated, simultaneous and unfinished transactions."""

import datetime as dt
import json

import pytest

from chargehand import Tag
from chargehand.actors.runtime import threads
from chargehand.plugins.back_office import BackOffice
from chargehand.store.sqlite import SqliteStore
from chargehand.testing import Stage, StubStore

from ..actors.messages_of_v16 import START, STOP

LIMIT_S = 60.0


@pytest.fixture
def stage():
    store = StubStore(tags=[Tag(id_tag="B1", status="Blocked")])
    with Stage(BackOffice.spec(store, concurrent_transactions=False), store=store) as stage:
        yield stage


@pytest.fixture
def start(stage):
    """Start a transaction; return its number and its verdict."""

    def start(charge_point="CP1", connector_id=1, id_tag="T1", hour=0):
        at = f"2026-01-01T{hour:02}:00:00Z"
        connection = stage.connect(charge_point)
        answer = connection.call(
            "StartTransaction", {**START, "connectorId": connector_id, "idTag": id_tag, "timestamp": at}
        )[2]
        return answer["transactionId"], answer["idTagInfo"]["status"]

    return start


def stop(stage, number, charge_point="CP1"):
    stage.connect(charge_point).call("StopTransaction", {**STOP, "transactionId": number})


def test_the_same_tag_elsewhere_is_concurrent_and_has_its_number_all_the_same(stage, start):
    first, _ = start("CP1")
    second, verdict = start("CP2", id_tag="t1")
    assert verdict == "ConcurrentTx"
    assert second != first
    assert stage.store.transaction(second).verdict == "ConcurrentTx"


def test_the_same_start_sent_again_has_the_same_answer_whatever_started_since(start):
    first = start("CP1")
    assert start("CP2")[1] == "ConcurrentTx"
    assert start("CP1") == first == (1, "Accepted")


def test_after_its_stop_the_tag_may_charge_again(stage, start):
    number, _ = start("CP1")
    stop(stage, number)
    assert start("CP2")[1] == "Accepted"


def test_what_was_concurrent_makes_nothing_concurrent(stage, start):
    number, _ = start("CP1")
    assert start("CP2")[1] == "ConcurrentTx"
    stop(stage, number)
    assert start("CP3")[1] == "Accepted"


def test_a_start_on_the_same_connector_shows_that_the_one_before_is_over(stage, start):
    first, _ = start("CP1", 1, hour=0)
    assert start("CP1", 1, hour=1)[1] == "Accepted"
    assert stage.store.transaction(first).orphaned
    assert start("CP1", 2, hour=2)[1] == "ConcurrentTx"


@pytest.mark.parametrize("again", ["B1", "b1"])
def test_a_tag_that_is_blocked_is_blocked_and_stored_with_that(stage, start, again):
    start("CP1", id_tag="B1")
    number, verdict = start("CP2", id_tag=again)
    assert verdict == stage.store.transaction(number).verdict == "Blocked"


def test_of_two_starts_at_once_one_is_concurrent_with_a_store_that_reads_from_disk(tmp_path):
    store = SqliteStore.open(str(tmp_path / "store.sqlite"), threads)
    try:
        with Stage(BackOffice.spec(store, concurrent_transactions=False), store=store) as stage:
            connections = [stage.connect(f"CP{number}") for number in range(8)]
            for connection in connections:
                frame = json.dumps([2, "1", "StartTransaction", START]).encode()
                connection.receiver.deliver(connection, frame)  # all before any is looked at
            stage.wait_for(lambda: all(connection.frames for connection in connections), LIMIT_S)
            verdicts = [connection.sent()[0][2]["idTagInfo"]["status"] for connection in connections]
            assert sorted(verdicts) == ["Accepted", *["ConcurrentTx"] * 7]
    finally:
        store.close()


# Parent tags at the stop


@pytest.mark.parametrize(
    ("stopped_with", "flags"),
    [
        ("T1", ()),
        ("t1", ()),
        ("T2", ()),
        (None, ()),
        ("T3", ("it was stopped with T3, whose parent is not the same",)),
        ("T4", ("it was stopped with T4, whose parent is not the same",)),
        ("T9", ("it was stopped with T9, whose parent is not the same",)),
    ],
)
def test_a_stop_with_another_tag_is_doubtful_unless_the_parent_is_the_same(stopped_with, flags):
    tags = [
        Tag(id_tag="T1", parent="FLEET"), Tag(id_tag="T2", parent="Fleet"), Tag(id_tag="T3"),
        Tag(id_tag="T4", parent="OTHER"),
    ]  # fmt: skip
    store = StubStore(tags=tags)
    with Stage(BackOffice.spec(store), store=store) as stage:
        charge_point = stage.connect("CP1")
        charge_point.call("StartTransaction", START)
        payload = {key: value for key, value in STOP.items() if key != "idTag"} | {"transactionId": 1}
        if stopped_with is not None:
            payload["idTag"] = stopped_with
        answer = charge_point.call("StopTransaction", payload)[2]
        if stopped_with is not None:
            assert answer["idTagInfo"]["status"] == "Accepted"
        assert store.transaction(1).flags == flags
        assert not store.transaction(1).open


def test_a_tag_that_has_expired_starts_with_that_verdict_and_can_stop():
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    store = StubStore(tags=[Tag(id_tag="T1", expiry=past)])
    with Stage(BackOffice.spec(store), store=store) as stage:
        charge_point = stage.connect("CP1")
        answer = charge_point.call("StartTransaction", START)[2]
        assert (answer["transactionId"], answer["idTagInfo"]["status"]) == (1, "Expired")
        assert store.transaction(1).verdict == "Expired"
        charge_point.call("StopTransaction", {**STOP, "transactionId": 1})
        assert not store.transaction(1).open
