"""Numbers of calls and commands, as metrics tell them."""

import gevent

from chargehand import OcppError, v16
from chargehand.protocol.versions import VERSIONS, version_named


def calls_of(stage, action):
    return stage.context.meter.calls[version_named(VERSIONS, "1.6").actions[action]]


def test_an_answer_of_a_handler_is_counted_with_its_times(stage, charge_point):
    charge_point.call("Heartbeat")
    calls = calls_of(stage, "Heartbeat")
    assert (calls.answered, calls.refused, calls.fallback, calls.rejected) == (1, 0, 0, 0)
    assert calls.answers.counts[0] == calls.handlers.counts[0] == 1
    assert calls_of(stage, "Authorize").answered == 0


def test_a_slow_answer_is_counted_where_its_time_belongs(stage, charge_point, way):
    done = gevent.event.Event()

    def slow():
        done.wait()
        return {"currentTime": "2026-01-01T00:00:00Z"}

    way[0] = slow
    charge_point.send([2, "1", "Heartbeat", {}])
    stage.settle()
    stage.advance(3)
    done.set()
    stage.settle()
    calls = calls_of(stage, "Heartbeat")
    assert sum(calls.answers.counts) == 1
    assert calls.answers.sum >= 3


def test_a_refusal_of_a_handler_and_a_fallback_are_different_outcomes(stage, charge_point, way):
    def refuse():
        raise OcppError("GenericError", "no")

    def fail():
        raise ValueError("a fault")

    way[0] = refuse
    charge_point.call("DataTransfer", {"vendorId": "x"})
    way[0] = fail
    charge_point.call("DataTransfer", {"vendorId": "x"})
    calls = calls_of(stage, "DataTransfer")
    assert (calls.answered, calls.refused, calls.fallback) == (0, 1, 1)
    assert sum(calls.answers.counts) == 2
    assert sum(calls.handlers.counts) == 0


def test_a_call_that_no_handler_sees_is_rejected(stage, charge_point):
    charge_point.call("Authorize", {})
    assert calls_of(stage, "Authorize").rejected == 1


def test_names_that_no_version_has_are_counted_together(stage, charge_point):
    for number in range(20):
        charge_point.call(f"Invented{number}")
    assert stage.context.meter.unknown_calls == {"1.6": 20}
    assert all(not calls.rejected for calls in stage.context.meter.calls.values())


def test_a_call_whose_connection_is_lost_is_unanswered(stage, charge_point, way):
    never = gevent.event.Event()
    way[0] = never.wait
    charge_point.send([2, "1", "Heartbeat", {}])
    stage.settle()
    charge_point.hang_up()
    stage.settle()
    assert calls_of(stage, "Heartbeat").unanswered == 1
    never.set()


def test_deviations_are_counted_by_version_and_code(stage, charge_point):
    charge_point.call("Authorize", {"idTag": "T1", "more": 1})
    assert sum(stage.context.meter.deviations.values()) == 1
    assert {version for version, _ in stage.context.meter.deviations} == {"1.6"}


def test_a_command_is_counted_by_its_final_state_and_its_time(stage, charge_point):
    ticket = stage.send("CP1", v16.ClearCache())
    stage.settle()
    stage.advance(2)
    (sent,) = charge_point.take()
    charge_point.send([3, sent[1], {"status": "Accepted"}])
    stage.settle()
    assert ticket.state == "answered"
    stage.send("away", v16.ClearCache())
    meter = stage.context.meter
    assert meter.commands["1.6", "ClearCache", "answered"] == 1
    assert meter.command_times["1.6", "ClearCache"].sum >= 2
