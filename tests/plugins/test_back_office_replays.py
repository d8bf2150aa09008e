"""Redelivery of acknowledged messages to the back office, and durability before an answer."""

import json

import pytest

from chargehand import StoreError, Tag
from chargehand.actors.plugin.detached_call import RedeliveredCall
from chargehand.actors.runtime.failure import Failure
from chargehand.actors.session.charge_point import ChargePoint
from chargehand.plugins.back_office import BackOffice
from chargehand.protocol import v16
from chargehand.protocol.payload import lenient
from chargehand.protocol.session import INFINITY, Incoming
from chargehand.testing import Stage, StubStore

from ..actors.messages_of_v16 import METER_VALUES, START, STOP

REPLAYED = "StartTransaction was acknowledged by a fallback"


class BackOfficeHarness:
    """Back office on a stage. While it is `away` fallbacks answer; `replay` redelivers the spool."""

    def __init__(self, **options):
        self.store = StubStore()
        self.stage = Stage(BackOffice.spec(self.store, **options), store=self.store)
        self.stage.start()
        (self.cell,) = self.stage.plugins
        self.charge_point = self.stage.connect("CP1")

    def away(self, *calls):
        """Send calls while the back office is in quarantine; return their answers."""
        self.cell.quarantined = True
        answers = [self.charge_point.call(action, payload)[2] for action, payload in calls]
        self.cell.quarantined = False
        return answers

    def call(self, action, payload):
        kind, _, answer = self.charge_point.call(action, payload)
        assert kind == 3
        return answer

    def replay(self):
        """Redeliver everything in the spool; return the answers of the handlers."""
        outcomes = []
        for record in self.store.spooled():
            action = v16.VERSION.actions[record.action]
            request, deviations = lenient(action.request, record.payload)
            incoming = Incoming(record.unique_id, action, request, record.payload, deviations, 0.0, INFINITY)
            facts = ChargePoint(record.charge_point_id)
            self.cell.tell(
                RedeliveredCall(facts, incoming, record, self.cell, lambda _, out: outcomes.append(out))
            )
            self.stage.settle()
        return outcomes


@pytest.fixture
def make():
    harnesses = []

    def make(**options):
        harnesses.append(BackOfficeHarness(**options))
        return harnesses[-1]

    yield make
    for harness in harnesses:
        harness.stage.stop()


@pytest.fixture
def harness(make):
    return make()


def test_a_redelivered_start_is_kept_under_its_number_and_flagged(harness):
    (told,) = harness.away(("StartTransaction", START))
    received_at = harness.store.spooled()[0].received_at
    harness.stage.advance(600)
    (answer,) = harness.replay()
    assert answer.transaction_id == told["transactionId"]
    kept = harness.store.transaction(answer.transaction_id)
    assert (kept.open, kept.charge_point_id, kept.flags) == (True, "CP1", (REPLAYED,))
    assert kept.start_received_at == received_at


def test_a_redelivered_start_keeps_the_verdict_that_the_charge_point_was_told(harness):
    harness.store.collections.tags.put(Tag(id_tag="T1", status="Blocked"))
    (told,) = harness.away(("StartTransaction", START))
    assert told["idTagInfo"] == {"status": "Accepted"}
    harness.replay()
    kept = harness.store.transaction(told["transactionId"])
    assert (kept.verdict, kept.flags) == ("Accepted", (REPLAYED, "its id tag was Blocked"))
    assert harness.call("StartTransaction", START) == told  # sent again, its answer was lost


def test_what_fallbacks_tell_of_a_tag_is_a_setting(make):
    harness = make(fallback_id_tag_status="Invalid")
    (told,) = harness.away(("StartTransaction", START))
    harness.replay()
    kept = harness.store.transaction(told["transactionId"])
    assert (kept.verdict, kept.flags) == ("Invalid", (REPLAYED, "its id tag was Accepted"))


def test_a_start_and_its_stop_can_be_redelivered_together(harness):
    harness.away(("StartTransaction", START), ("StopTransaction", STOP))
    harness.replay()
    kept = harness.store.transaction(1)
    assert (kept.open, kept.meter_stop) == (False, 200)
    assert kept.flags == (REPLAYED, "StopTransaction was acknowledged by a fallback")


def test_a_message_that_is_redelivered_twice_is_kept_once(harness):
    harness.away(("StartTransaction", START), ("MeterValues", METER_VALUES), ("StopTransaction", STOP))
    harness.replay()
    before = harness.store.transaction(1)
    harness.stage.advance(10)
    harness.replay()
    assert harness.store.transactions() == [before]
    assert len(harness.store.readings_of("CP1")) == 1


def test_a_redelivered_stop_of_an_unknown_transaction_is_a_dead_letter(harness):
    harness.away(("StopTransaction", {**STOP, "transactionId": 77}))
    harness.replay()
    assert [json.loads(message.payload)["transactionId"] for message in harness.store.dead_letters()] == [77]


def test_a_redelivery_that_the_store_cannot_keep_has_failed(harness):
    harness.away(("StartTransaction", START))
    harness.store.fail()
    (outcome,) = harness.replay()
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, StoreError)


@pytest.mark.parametrize(("action", "payload"), [("StartTransaction", START), ("StopTransaction", STOP)])
def test_one_that_comes_again_is_answered_only_when_the_first_is_durable(harness, action, payload):
    if action == "StopTransaction":
        harness.call("StartTransaction", START)
    harness.store.hold()
    assert harness.charge_point.call(action, payload) is None
    harness.charge_point.hang_up()
    harness.charge_point = harness.stage.connect("CP1")
    assert harness.charge_point.call(action, payload, "again") is None
    harness.stage.settle()
    assert harness.charge_point.take() == []
    harness.store.settle()  # the first; the second goes to the store only now
    harness.stage.settle()
    harness.store.settle()
    harness.stage.settle()
    assert [frame[:2] for frame in harness.charge_point.take()] == [[3, "again"]]


def test_a_start_whose_first_could_not_be_stored_is_not_answered_from_memory(harness):
    harness.store.hold()
    assert harness.charge_point.call("StartTransaction", START) is None
    harness.store.settle(StoreError("the disk is full"))
    harness.store.fail()
    harness.stage.settle()
    assert harness.charge_point.call("StartTransaction", START, "again") is None
    harness.stage.settle()
    assert harness.charge_point.take() == []
