"""What a fallback acknowledged, and the back office hears of later; and what is durable when it answers."""

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


class Office:
    """A back office on a stage. While it is `away` fallbacks answer; `replay` hands it what they acknowledged."""

    def __init__(self, **options):
        self.store = StubStore()
        self.stage = Stage(BackOffice.spec(self.store, **options), store=self.store)
        self.stage.start()
        (self.cell,) = self.stage.plugins
        self.charge_point = self.stage.connect("CP1")

    def away(self, *calls):
        """Let these calls come while it is in quarantine; return their answers."""
        self.cell.quarantined = True
        answers = [self.charge_point.call(action, payload)[2] for action, payload in calls]
        self.cell.quarantined = False
        return answers

    def call(self, action, payload):
        kind, _, answer = self.charge_point.call(action, payload)
        assert kind == 3
        return answer

    def replay(self):
        """Hand it everything in the spool, as the replayer does; return what its handlers answered."""
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
    offices = []

    def make(**options):
        offices.append(Office(**options))
        return offices[-1]

    yield make
    for office in offices:
        office.stage.stop()


@pytest.fixture
def office(make):
    return make()


def test_a_replayed_start_is_kept_under_its_number_and_flagged(office):
    (told,) = office.away(("StartTransaction", START))
    received_at = office.store.spooled()[0].received_at
    office.stage.advance(600)
    (answer,) = office.replay()
    assert answer.transaction_id == told["transactionId"]
    kept = office.store.transaction(answer.transaction_id)
    assert (kept.open, kept.charge_point_id, kept.flags) == (True, "CP1", (REPLAYED,))
    assert kept.start_received_at == received_at


def test_a_replayed_start_keeps_the_verdict_that_the_charge_point_was_told(office):
    office.store.collections.tags.put(Tag(id_tag="T1", status="Blocked"))
    (told,) = office.away(("StartTransaction", START))
    assert told["idTagInfo"] == {"status": "Accepted"}
    office.replay()
    kept = office.store.transaction(told["transactionId"])
    assert (kept.verdict, kept.flags) == ("Accepted", (REPLAYED, "its id tag was Blocked"))
    assert office.call("StartTransaction", START) == told  # sent again, its answer was lost


def test_what_stand_ins_tell_of_a_tag_is_a_setting(make):
    office = make(fallback_id_tag_status="Invalid")
    (told,) = office.away(("StartTransaction", START))
    office.replay()
    kept = office.store.transaction(told["transactionId"])
    assert (kept.verdict, kept.flags) == ("Invalid", (REPLAYED, "its id tag was Accepted"))


def test_a_start_and_its_stop_can_be_replayed_together(office):
    office.away(("StartTransaction", START), ("StopTransaction", STOP))
    office.replay()
    kept = office.store.transaction(1)
    assert (kept.open, kept.meter_stop) == (False, 200)
    assert kept.flags == (REPLAYED, "StopTransaction was acknowledged by a fallback")


def test_what_is_replayed_twice_is_kept_once(office):
    office.away(("StartTransaction", START), ("MeterValues", METER_VALUES), ("StopTransaction", STOP))
    office.replay()
    before = office.store.transaction(1)
    office.stage.advance(10)
    office.replay()
    assert office.store.transactions() == [before]
    assert len(office.store.meter_readings(None)) == 1


def test_a_replayed_stop_of_what_nobody_knows_is_kept_aside(office):
    office.away(("StopTransaction", {**STOP, "transactionId": 77}))
    office.replay()
    assert [json.loads(message.payload)["transactionId"] for message in office.store.dead_letters()] == [77]


def test_a_replay_that_the_store_cannot_keep_has_failed(office):
    office.away(("StartTransaction", START))
    office.store.fail()
    (outcome,) = office.replay()
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, StoreError)


@pytest.mark.parametrize(("action", "payload"), [("StartTransaction", START), ("StopTransaction", STOP)])
def test_one_that_comes_again_is_answered_only_when_the_first_is_durable(office, action, payload):
    if action == "StopTransaction":
        office.call("StartTransaction", START)
    office.store.hold()
    assert office.charge_point.call(action, payload) is None
    office.charge_point.hang_up()
    office.charge_point = office.stage.connect("CP1")
    assert office.charge_point.call(action, payload, "again") is None
    office.stage.settle()
    assert office.charge_point.take() == []
    office.store.settle()  # the first; the second goes to the store only now
    office.stage.settle()
    office.store.settle()
    office.stage.settle()
    assert [frame[:2] for frame in office.charge_point.take()] == [[3, "again"]]


def test_a_start_whose_first_could_not_be_stored_is_not_answered_from_memory(office):
    office.store.hold()
    assert office.charge_point.call("StartTransaction", START) is None
    office.store.settle(StoreError("the disk is full"))
    office.store.fail()
    office.stage.settle()
    assert office.charge_point.call("StartTransaction", START, "again") is None
    office.stage.settle()
    assert office.charge_point.take() == []
