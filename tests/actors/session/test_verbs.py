"""Verbs: a session makes commands of them in the version that its charge point speaks."""

import datetime as dt

import pytest

from chargehand import CommandSender, VerbRefused, v16, verbs
from chargehand.actors.session.tickets import NeverSent
from chargehand.protocol.session import Registration, SessionRules
from chargehand.protocol.versions import VERSIONS
from chargehand.remote.cluster.ticket_records import record_of, ticket_of
from chargehand.testing import Stage
from tests import ocpp00

OTHER = ocpp00.Version.gather(
    "0.0",
    "ocpp0.0",
    [ocpp00],
    {},
    verbs={verbs.Unlock: lambda verb, _facts: ocpp00.Open(door=verb.evse)},
)


@pytest.fixture
def stage():
    with Stage(more_rules={OTHER.subprotocol: SessionRules(version=OTHER)}) as stage:
        yield stage


@pytest.fixture
def accepted(stage):
    return stage.connect("CP1", registration=Registration.ACCEPTED)


def test_a_verb_goes_out_as_a_message_of_the_charge_points_version(stage, accepted):
    ticket = stage.unlock("CP1", evse=2)
    stage.settle()
    ((_, number, action, payload),) = accepted.take()
    assert (action, payload) == ("UnlockConnector", {"connectorId": 2})
    accepted.send([3, number, {"status": "Unlocked"}])
    assert ticket.result() == v16.UnlockConnectorResponse(status=v16.UnlockStatus.UNLOCKED)


def test_a_waiting_verb_takes_the_version_that_its_charge_point_comes_back_with(stage, accepted):
    accepted.hang_up()
    ticket = stage.unlock("CP1", evse=3, when_offline="queue")
    other = stage.connect("CP1", subprotocol="ocpp0.0")
    assert [frame[2:] for frame in other.take()] == [["Open", {"door": 3}]]
    assert (ticket.version, ticket.action) == ("0.0", "Open")


def test_a_verb_that_the_other_version_cannot_say_is_never_sent(stage, accepted):
    accepted.hang_up()
    ticket = stage.reset("CP1", when_offline="queue")
    stage.connect("CP1", subprotocol="ocpp0.0")
    with pytest.raises(NeverSent, match=r"OCPP 0.0 has no message for reset"):
        ticket.result(timeout_s=0)


def test_a_limit_has_the_unit_that_the_configuration_told(stage, accepted):
    stage.get_configuration("CP1")
    stage.settle()
    ((_, number, _action, _payload),) = accepted.take()
    key = {"key": "ChargingScheduleAllowedChargingRateUnit", "readonly": True, "value": "Current"}
    accepted.send([3, number, {"configurationKey": [key]}])
    stage.limit("CP1", watts=11_040, phases=3)
    stage.settle()
    ((_, _, action, payload),) = accepted.take()
    assert action == "SetChargingProfile"
    schedule = payload["csChargingProfiles"]["chargingSchedule"]
    assert schedule["chargingRateUnit"] == "A"
    assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 16.0, "numberPhases": 3}]


def test_a_verb_that_cannot_be_said_is_refused_at_once(stage, accepted):
    with pytest.raises(VerbRefused, match="evse must be at least 1"):
        stage.unlock("CP1", evse=0)


def test_the_record_of_a_ticket_keeps_its_verb(stage, accepted):
    ticket = stage.reserve("CP1", "T", dt.datetime(2026, 12, 1, tzinfo=dt.UTC), evse=1)
    again = ticket_of(record_of(ticket, "queued"), VERSIONS)
    assert again is not None
    assert again.verb == ticket.verb
    assert again.request == ticket.request


def test_the_record_of_a_verb_is_read_where_its_version_is_not_known(stage, accepted):
    record = record_of(stage.unlock("CP1"), "queued")
    again = ticket_of(record, {OTHER.subprotocol: OTHER})
    assert again is not None
    assert again.request == ocpp00.Open(door=1)


def test_a_charging_transaction_is_stopped_and_limited_where_it_charges(stage, accepted):
    class Charging:
        id, charge_point_id, connector_id = 7, "CP1", 2

    assert stage.stop_charging(Charging()).request == v16.RemoteStopTransaction(transaction_id=7)
    limit = stage.limit("CP1", amps=8, transaction=Charging()).request
    assert (limit.connector_id, limit.cs_charging_profiles.transaction_id) == (2, 7)


def test_a_transaction_that_cannot_be_looked_up_is_an_error(stage):
    with pytest.raises(LookupError, match="pass the record of 7"):
        stage.stop_charging(7)


def test_a_sender_must_say_how_it_sends():
    with pytest.raises(TypeError, match="_send"):
        CommandSender()
