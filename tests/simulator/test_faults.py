import pytest
from gevent.event import Event

from chargehand import CentralSystem, ChargePointOffline, OutcomeUnknown, SessionSettings, Settings, v16
from chargehand.simulator import Backoff, ChargePoint, Disconnected, Kind, NoAnswer, silent

QUICK = Backoff(least_s=0.001, most_s=0.01)


def test_a_cut_connection_ends_without_a_close_frame(booted, system):
    booted.faults.cut()
    booted.wait_offline()
    assert booted.record.wait(lambda entry: entry.kind is Kind.CLOSED).data.startswith(b"1006 ")
    with pytest.raises(Disconnected):
        booted.faults.cut()


def test_a_command_on_a_connection_that_is_cut_has_an_unknown_outcome(booted, system):
    booted.answers["ClearCache"] = silent
    ticket = system.send("CP1", v16.ClearCache())
    booted.record.wait_for_call("ClearCache", kind=Kind.RECEIVED)
    booted.faults.cut()
    with pytest.raises(OutcomeUnknown):
        ticket.result(60)


def test_a_half_open_charge_point_neither_answers_nor_hears(booted, system):
    booted.faults.go_half_open()
    ticket = system.send("CP1", v16.ClearCache(), timeout_s=10)
    with pytest.raises(NoAnswer):
        booted.send(v16.Heartbeat(), timeout_s=0.01)
    assert ticket.open
    assert booted.online
    booted.faults.recover()
    assert ticket.result().status == "Accepted"
    assert booted.send(v16.Heartbeat())


def test_a_half_open_charge_point_is_found_by_the_pings_of_the_central_system():
    settings = Settings(port=0, sessions=SessionSettings(ping_interval_s=0.05))
    offline = Event()
    with (
        CentralSystem(settings) as system,
        ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp", "CP1") as charge_point,
    ):
        system.subscribe(ChargePointOffline, lambda _: offline.set())
        charge_point.faults.go_half_open()
        assert offline.wait(60)
        assert charge_point.online


def test_an_abandoned_connection_is_taken_over(booted, system):
    booted.faults.abandon()
    assert booted.connection.connections == 2
    assert booted.send(v16.Heartbeat())
    assert system.send("CP1", v16.ClearCache()).result().status == "Accepted"
    assert system.charge_point("CP1").online


def test_two_charge_points_with_one_id_take_over_from_one_another(make, system):
    first, second = make(reconnect=QUICK), make()
    first.connect()
    first.boot()
    second.connect()
    first.wait_offline()
    closed = first.record.wait(lambda entry: entry.kind is Kind.CLOSED)
    assert closed.data.startswith(b"1008 ")
    second.wait_offline()


def test_what_breaks_the_rules_of_websocket_is_closed(booted):
    booted.faults.send_raw(b"\x81\x01a")  # not masked
    booted.wait_offline()
    assert booted.record.wait(lambda entry: entry.kind is Kind.CLOSED).data.startswith(b"1002 ")


def test_any_text_can_be_sent(booted):
    booted.faults.send_text('[2,"x","Authorize",{"idTag":')
    answer = booted.record.wait_for_answer("x")
    assert answer.frame.code == "FormationViolation"
    booted.faults.send_text(b"pong")
    assert booted.send(v16.Heartbeat())


def test_a_message_that_is_sent_twice_is_answered_twice(booted):
    unique_id = booted.faults.send_twice(v16.Heartbeat())
    first = booted.record.wait_for_answer(unique_id)
    assert booted.record.wait_for_answer(unique_id, after=first.number)
    assert booted.send(v16.Heartbeat())
    assert booted.ignored == {"answer to nothing": 2}


def test_a_start_that_is_sent_twice_starts_one_transaction(booted, system):
    request = v16.StartTransaction(
        connector_id=1, id_tag="TAG1", meter_start=0, timestamp=booted.send(v16.Heartbeat()).current_time
    )
    unique_id = booted.faults.send_twice(request, "mine")
    assert unique_id == "mine"
    first = booted.record.wait_for_answer("mine")
    second = booted.record.wait_for_answer("mine", after=first.number)
    assert first.payload == second.payload
