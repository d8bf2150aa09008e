"""Life of a command: one on the wire, the rest in a queue, and exactly one final state for each ticket."""

import gevent
import pytest

from chargehand import (
    CommandRefused,
    CommandTimedOut,
    ErrorCode,
    InvalidResponse,
    NeverSent,
    Plugin,
    TicketState,
    on_outcome,
    v16,
)
from chargehand.protocol.session import SessionRules
from chargehand.testing import Stage

from ..recording_plugin import RecordingPlugin
from .exchanges import VERSION, taken, version

# Sending and its answer


def test_a_call_goes_out_with_an_id_and_its_answer_is_the_result(stage, charge_point):
    ticket = version(stage)
    (call,) = charge_point.take()
    assert call[0] == 2
    assert call[2:] == ["GetLocalListVersion", {}]
    assert 0 < len(call[1]) <= 36
    assert ticket.state is TicketState.SENT
    assert ticket.sent_at == stage.clock.time()
    charge_point.answer(call, VERSION)
    assert ticket.result() == v16.GetLocalListVersionResponse(list_version=3)
    assert ticket.ended_at == stage.clock.time()


def test_no_two_calls_have_the_same_id(stage, charge_point):
    ids = set()
    for _ in range(50):
        version(stage)
        (call,) = charge_point.take()
        ids.add(call[1])
        charge_point.answer(call, VERSION)
    assert len(ids) == 50


def test_a_refusal_is_told_with_its_code_text_and_details(stage, charge_point):
    ticket = version(stage)
    (call,) = charge_point.take()
    charge_point.send([4, call[1], "OccurenceConstraintViolation", "why", {"a": 1}])
    with pytest.raises(CommandRefused, match="why"):
        ticket.result()
    assert ticket.code is ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION
    assert ticket.details == {"a": 1}


@pytest.mark.parametrize(
    "frame", [["GenericError"], ["GenericError", "text"], [5, None, []], ["No such code", "", {}]]
)
def test_a_refusal_may_be_short_or_odd(stage, charge_point, frame):
    ticket = version(stage)
    (call,) = charge_point.take()
    charge_point.send([4, call[1], *frame])
    assert ticket.state is TicketState.REFUSED


def test_an_answer_that_breaks_the_contract_is_an_invalid_response(stage, charge_point):
    ticket = version(stage)
    (call,) = charge_point.take()
    charge_point.answer(call, {"listVersion": {}})
    assert ticket.state is TicketState.REFUSED
    with pytest.raises(InvalidResponse, match="the answer is invalid"):
        ticket.result()
    assert [deviation.path for deviation in ticket.deviations] == ["listVersion"]
    assert charge_point.take() == []  # an answer is never answered


def test_an_answer_that_can_be_mended_is_mended_and_its_deviations_are_told(stage, charge_point):
    ticket = version(stage)
    (call,) = charge_point.take()
    charge_point.answer(call, {"listVersion": "3", "extra": 1})
    assert ticket.result().list_version == 3
    assert {deviation.path for deviation in ticket.deviations} == {"listVersion", "extra"}


def test_under_the_strict_policy_it_is_not_mended(way):
    with Stage(RecordingPlugin.spec(way, []), rules=SessionRules(version=v16.VERSION, strict=True)) as stage:
        charge_point = stage.connect("CP1")
        ticket = version(stage)
        charge_point.answer(charge_point.take()[0], {"listVersion": "3"})
        with pytest.raises(InvalidResponse):
            ticket.result()


@pytest.mark.parametrize("kind", [3, 4])
def test_an_answer_to_nothing_is_ignored(stage, charge_point, kind):
    charge_point.send([kind, "never sent", {}])
    ticket = version(stage)
    (call,) = charge_point.take()
    charge_point.send([kind, "another id", {}])
    assert ticket.state is TicketState.SENT
    charge_point.answer(call, VERSION)
    charge_point.answer(call, VERSION)  # twice
    assert charge_point.take() == []
    assert sum(stage.cells["CP1"].charge_point.ignored.values()) == 3


# One on the wire


def test_there_is_one_call_on_the_wire_and_the_next_goes_when_it_is_answered(stage, charge_point):
    tickets = [version(stage) for _ in range(3)]
    for number in range(3):
        assert [ticket.state for ticket in tickets[number:]] == ["sent"] + ["queued"] * (2 - number)
        (call,) = charge_point.take()
        charge_point.answer(call, {"listVersion": number})
    assert [ticket.result().list_version for ticket in tickets] == [0, 1, 2]


@pytest.mark.parametrize("end", ["refuse", "time out"])
def test_the_next_goes_too_when_it_was_refused_or_timed_out(stage, charge_point, end):
    first, second = version(stage, timeout_s=5), version(stage)
    (call,) = charge_point.take()
    if end == "refuse":
        charge_point.refuse(call)
    else:
        stage.advance(5)
    assert not first.open
    assert second.state is TicketState.SENT
    assert len(charge_point.take()) == 1


def test_what_somebody_waits_for_goes_before_the_rest_each_in_its_order(stage, charge_point):
    for request in (
        v16.GetLocalListVersion(),
        v16.ClearCache(),
        v16.UnlockConnector(connector_id=1),
        v16.GetConfiguration(),
        v16.RemoteStopTransaction(transaction_id=1),
        v16.Reset(type="Soft"),
    ):
        stage.send("CP1", request)
    stage.settle()
    order = []
    while calls := charge_point.take():
        order.append(calls[0][2])
        charge_point.refuse(calls[0])
    assert order == [
        "GetLocalListVersion",  # was on its way already
        "UnlockConnector",
        "RemoteStopTransaction",
        "Reset",
        "ClearCache",
        "GetConfiguration",
    ]


def test_a_queue_that_is_full_takes_no_more(way):
    with Stage(
        RecordingPlugin.spec(way, []), rules=SessionRules(version=v16.VERSION, queue_limit=3)
    ) as stage:
        charge_point = stage.connect("CP1")
        tickets = [version(stage) for _ in range(5)]
        assert [ticket.state for ticket in tickets] == ["sent", "queued", "queued", "queued", "never_sent"]
        with pytest.raises(NeverSent, match="3 commands wait already"):
            tickets[4].result()
        charge_point.answer(charge_point.take()[0], VERSION)
        assert version(stage).state is TicketState.QUEUED


def test_a_full_queue_takes_commands_that_are_waited_for_or_supersede_a_queued_one(way):
    rules = SessionRules(version=v16.VERSION, queue_limit=2, queue_reserve=1)
    with Stage(RecordingPlugin.spec(way, []), rules=rules) as stage:
        stage.connect("CP1")

        def call(request):
            ticket = stage.send("CP1", request)
            stage.settle()
            return ticket

        call(v16.ClearCache())
        old = call(v16.ChangeConfiguration(key="HeartbeatInterval", value="1"))
        version(stage)
        assert version(stage).state is TicketState.NEVER_SENT
        new = call(v16.ChangeConfiguration(key="HeartbeatInterval", value="2"))
        assert (old.state, new.state) == ("superseded", "queued")
        assert call(v16.RemoteStopTransaction(transaction_id=1)).state is TicketState.QUEUED
        assert call(v16.RemoteStopTransaction(transaction_id=2)).state is TicketState.NEVER_SENT


def test_a_call_that_has_waited_elsewhere_has_so_much_less_time(stage):
    charge_point = stage.connect("CP1")
    version(stage)  # on the wire, never answered: the others wait
    ticket = stage.send("CP1", v16.ClearCache(), expires_in_s=10.0)
    ticket.created_at -= 6.0
    stage.settle()
    stage.advance(4.5)
    assert ticket.state is TicketState.EXPIRED
    late = stage.send("CP1", v16.ClearCache(), expires_in_s=10.0)
    late.created_at -= 11.0
    stage.settle()
    assert late.state is TicketState.EXPIRED
    assert taken(charge_point) == ["GetLocalListVersion"]


def test_a_newer_call_with_the_same_meaning_supersedes_one_that_waits(stage, charge_point):
    def change(value):
        ticket = stage.send("CP1", v16.ChangeConfiguration(key="HeartbeatInterval", value=value))
        stage.settle()
        return ticket

    first, second, third = change("1"), change("2"), change("3")
    assert (first.state, second.state, third.state) == ("sent", "superseded", "queued")
    assert second.reason == f"by {third.id}"


# Time


def test_a_call_that_is_not_answered_in_time_has_timed_out(stage, charge_point):
    ticket = version(stage, timeout_s=5)
    stage.advance(4.9)
    assert ticket.state is TicketState.SENT
    stage.advance(0.1)
    with pytest.raises(CommandTimedOut, match="no answer within 5 s"):
        ticket.result()


def test_the_time_of_a_call_runs_from_when_it_is_sent(stage, charge_point):
    version(stage, timeout_s=5)
    second = version(stage, timeout_s=5)
    stage.advance(5)
    assert second.state is TicketState.SENT
    stage.advance(4.9)
    assert second.open
    stage.advance(0.1)
    assert second.state is TicketState.TIMED_OUT


def test_a_late_answer_is_noted_on_its_own_ticket_and_changes_no_other(stage, charge_point):
    first, second = version(stage, timeout_s=5), version(stage, timeout_s=60)
    (call,) = charge_point.take()
    stage.advance(5)
    charge_point.answer(call, {"listVersion": 99})
    assert first.state is TicketState.TIMED_OUT
    assert first.late_answer == v16.GetLocalListVersionResponse(list_version=99)
    assert second.state is TicketState.SENT
    charge_point.answer(charge_point.take()[0], VERSION)
    assert second.result().list_version == 3
    assert stage.counts["late_result"] == 1


def test_a_late_refusal_is_noted_too(stage, charge_point):
    ticket = version(stage, timeout_s=5)
    (call,) = charge_point.take()
    stage.advance(5)
    charge_point.refuse(call, "NotSupported")
    assert ticket.state is TicketState.TIMED_OUT
    assert ticket.late_answer is ErrorCode.NOT_SUPPORTED


def test_a_late_answer_over_the_next_connection_is_matched_to_nothing(stage, charge_point):
    ticket = version(stage, timeout_s=5)
    (call,) = charge_point.take()
    stage.advance(5)
    charge_point.hang_up()
    again = stage.connect("CP1")
    again.answer(call, VERSION)
    assert ticket.late_answer is None


def test_fifty_calls_that_time_out_at_once_end_all(stage):
    tickets = []
    for number in range(50):
        stage.connect(f"CP{number}")
        tickets.append(stage.send(f"CP{number}", v16.GetLocalListVersion(), timeout_s=5))
    stage.settle()
    stage.advance(5)
    assert {ticket.state for ticket in tickets} == {TicketState.TIMED_OUT}


def test_a_call_may_expire_while_it_waits(stage, charge_point):
    version(stage, timeout_s=60)
    waiting = version(stage, expires_in_s=10)
    stage.advance(9.9)
    assert waiting.state is TicketState.QUEUED
    stage.advance(0.1)
    assert waiting.state is TicketState.EXPIRED
    charge_point.answer(charge_point.take()[0], VERSION)
    assert charge_point.take() == []


def test_a_call_that_was_sent_does_not_expire(stage, charge_point):
    ticket = version(stage, expires_in_s=1, timeout_s=60)
    stage.advance(10)
    assert ticket.state is TicketState.SENT


# Cancelling


def test_a_call_that_waits_can_be_cancelled(stage, charge_point):
    version(stage)
    waiting = version(stage)
    waiting.cancel()
    stage.settle()
    assert waiting.state is TicketState.CANCELLED
    charge_point.answer(charge_point.take()[0], VERSION)
    assert charge_point.take() == []


def test_a_call_on_the_wire_cannot(stage, charge_point):
    ticket = version(stage)
    ticket.cancel()
    stage.settle()
    assert ticket.state is TicketState.SENT
    charge_point.answer(charge_point.take()[0], VERSION)
    assert ticket.result().list_version == 3


def test_a_call_that_was_cancelled_before_the_session_heard_of_it_is_not_sent(stage, charge_point):
    first = version(stage)
    second = stage.send("CP1", v16.GetLocalListVersion())
    second.cancel()
    stage.settle()
    assert (first.state, second.state) == ("sent", "cancelled")


# Telling how it ended


def test_every_end_is_told_to_whoever_wants_to_know():
    heard = []

    class Listening(Plugin):
        @on_outcome()
        def ended(self, ticket):
            heard.append((ticket.id, ticket.state.value))

    with Stage(Listening) as stage:
        charge_point = stage.connect("CP1")
        answered, refused = version(stage), version(stage)
        charge_point.answer(charge_point.take()[0], VERSION)
        charge_point.refuse(charge_point.take()[0])
        timed_out, cancelled = version(stage, timeout_s=1), version(stage)
        cancelled.cancel()
        stage.advance(1)
        unknown, never_sent = version(stage), version(stage)
        charge_point.hang_up()
        absent = version(stage)
        tickets = [answered, refused, cancelled, timed_out, unknown, never_sent, absent]
    assert heard == [(ticket.id, ticket.state.value) for ticket in tickets]
    assert [state for _, state in heard] == [
        *("answered", "refused", "cancelled", "timed_out", "outcome_unknown", "never_sent", "never_sent")
    ]


def test_whoever_waits_in_a_greenlet_is_woken(stage, charge_point):
    ticket = version(stage)
    waiting = gevent.spawn(ticket.result)
    stage.settle()
    charge_point.answer(charge_point.take()[0], VERSION)
    waiting.join(60)
    assert waiting.value.list_version == 3
