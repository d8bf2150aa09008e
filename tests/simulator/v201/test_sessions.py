"""Whole sessions of a station of OCPP 2.0.1 with a central system that speaks both versions."""

import pytest

from chargehand import v201
from chargehand.protocol.session import Registration
from chargehand.simulator import ChargePoint, NotPossible
from chargehand.simulator.errors import CallDeclined
from chargehand.simulator.v201 import Station

from ..conftest import url_of

Trigger, Event, State = v201.TriggerReason, v201.TransactionEventType, v201.ChargingState


def kinds(office):
    return [(one.event_type, one.trigger_reason, one.seq_no) for one in office.events]


def reading(event):
    sample = event.meter_value[0].sampled_value[0]
    return sample.context, int(sample.value)


def test_a_session_is_told_by_numbered_events(booted, office):
    transaction = booted.charge("T1", wh=500)
    assert kinds(office) == [
        (Event.STARTED, Trigger.AUTHORIZED, 0),
        (Event.UPDATED, Trigger.CHARGING_STATE_CHANGED, 1),
        (Event.UPDATED, Trigger.METER_VALUE_PERIODIC, 2),
        (Event.ENDED, Trigger.STOP_AUTHORIZED, 3),
    ]
    assert {one.transaction_info.transaction_id for one in office.events} == {transaction.id}
    assert reading(office.events[0]) == ("Transaction.Begin", 250_000)
    assert reading(office.events[-1]) == ("Transaction.End", 250_500)
    assert [one.id_token is not None for one in office.events] == [True, False, False, True]
    assert office.events[-1].transaction_info.stopped_reason == "Local"


def test_a_boot_is_followed_by_the_status_of_each_connector(make, office):
    with make(evses=2, connectors=2) as station:
        assert station.ready
    told = [(one.evse_id, one.connector_id, str(one.connector_status)) for one in office.seen[1:]]
    assert told == [(e, c, "Available") for e in (1, 2) for c in (1, 2)]
    assert office.seen[0].reason == "PowerUp"


def test_a_transaction_may_begin_with_the_cable_and_end_with_it(make, office):
    points = {"TxCtrlr.TxStartPoint": "EVConnected", "TxCtrlr.TxStopPoint": "EVConnected"}
    with make(variables=points) as station:
        station.charge("T1")
    assert [one[:2] for one in kinds(office)] == [
        (Event.STARTED, Trigger.CABLE_PLUGGED_IN),
        (Event.UPDATED, Trigger.AUTHORIZED),
        (Event.UPDATED, Trigger.CHARGING_STATE_CHANGED),
        (Event.UPDATED, Trigger.METER_VALUE_PERIODIC),
        (Event.UPDATED, Trigger.STOP_AUTHORIZED),
        (Event.ENDED, Trigger.EV_DEPARTED),
    ]
    assert office.events[-1].transaction_info.stopped_reason == "Local"


def test_events_of_an_offline_station_wait_and_are_marked(booted, office):
    booted.plug_in()
    booted.close()
    booted.model.set("AuthCtrlr.OfflineTxForUnknownIdEnabled", "true")
    assert booted.authorize("T9").status == "Accepted"
    booted.start("T9")
    booted.meter(700)
    booted.stop()
    assert len(booted.backlog) == 4
    booted.connect()
    booted.backlog.empty.wait(60)
    assert [one.offline for one in office.events] == [True] * 4
    assert [one.seq_no for one in office.events] == [0, 1, 2, 3]


def test_an_event_that_was_not_answered_is_sent_again_with_a_new_id(booted, office, until):
    booted.plug_in()
    booted.model.set("OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]", "0")
    sent = []
    real = booted.charging._dispatcher._send

    def losing(request):
        sent.append(request)
        if len(sent) == 1:
            real(request)
            raise CallDeclined("InternalError", "lost on its way", {})
        return real(request)

    booted.charging._dispatcher._send = losing
    booted.start("T1")
    first, second = booted.record.calls("TransactionEvent")[:2]
    assert first.payload == second.payload
    assert first.unique_id != second.unique_id


def test_a_refused_token_ends_the_transaction(booted, office, until):
    booted.plug_in()
    office.status = "Blocked"
    transaction = booted.start("T1")
    until(lambda: not transaction.running)
    assert (transaction.verdict, transaction.reason) == ("Blocked", "DeAuthorized")
    until(lambda: kinds(office)[-1][:2] == (Event.ENDED, Trigger.DEAUTHORIZED))


def test_only_the_token_or_one_of_its_group_stops_a_transaction(booted):
    booted.plug_in()
    booted.start("T1")
    with pytest.raises(NotPossible):
        booted.stop(token="T2")
    group = v201.IdToken(id_token="G", type="Central")
    authorization = booted.charging.authorization
    booted.evses[1].transaction.group = group
    token = v201.IdToken(id_token="T2", type="ISO14443")
    authorization.remember(token, v201.IdTokenInfo(status="Accepted", group_id_token=group))
    assert booted.stop(token="T2").reason == "Local"


def test_a_suspended_transaction_says_so_and_goes_on(booted, office):
    booted.plug_in()
    booted.start("T1")
    booted.suspend()
    booted.resume()
    assert [str(one.transaction_info.charging_state) for one in office.events[-2:]] == [
        "SuspendedEV",
        "Charging",
    ]


def test_a_pending_station_sends_what_it_is_asked_for_and_nothing_else(make, office, system, until):
    office.registration = "Pending"
    station = make()
    station.connect()
    station.boot()
    station.plug_in()
    ticket = system.send(
        "CP1", v201.GetBaseReport(request_id=v201.ALLOTTED, report_base="FullInventory"), timeout_s=10
    )
    assert ticket.result().status == "Accepted"
    until(lambda: any(not part.tbc for part in office.of(v201.NotifyReport)))
    assert {type(one).__name__ for one in office.seen} == {"BootNotification", "NotifyReport"}
    office.registration = "Accepted"
    station.boot()
    assert station.registration is Registration.ACCEPTED


def test_both_versions_are_served_beside_each_other(system, booted, make):
    with ChargePoint(url_of(system), "OLD") as old:
        assert old.online
        assert booted.online
        assert system.charge_point("OLD").version == "1.6"
        assert system.charge_point("CP1").version == "2.0.1"


def test_a_station_that_is_closed_leaves_no_job(system):
    station = Station(url_of(system), "CP2")
    with station:
        station.plug_in()
        station.start("T1")
    assert len(station.core.jobs) == 0
