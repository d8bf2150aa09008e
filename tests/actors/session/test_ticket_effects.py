"""Tickets that wait for the effect of their command, and the session's reports to them."""

import threading

import gevent
import pytest

from chargehand import CommandRefused, CommandTimedOut, TicketState, v16
from chargehand.actors.session.messages import SendCommand
from chargehand.actors.session.tickets import Ticket, TicketRegistry
from chargehand.protocol.effects import Effect
from chargehand.testing import Stage

from ...hub import settle, until
from ..messages_of_v16 import PASSIVE, START
from ..recording_plugin import RecordingPlugin

ACCEPTED = {"status": "Accepted"}
CONF = {"currentTime": "2026-01-01T00:00:00Z"}
EFFECT_S = 100.0
TIMEOUT_S = 30.0


def make(request=None, **options):
    request = request or v16.Reset(type="Soft")
    settings = {"timeout_s": TIMEOUT_S, "created_at": 1.0, "effect_timeout_s": EFFECT_S, **options}
    return Ticket("t-1", "CP1", type(request).__action__.name, request, b"{}", **settings)


# The ticket alone


def test_a_ticket_without_an_effect_has_none():
    ticket = make(effect_timeout_s=None)
    assert ticket.effect is None
    ticket.end(TicketState.ANSWERED, 2.0)
    assert ticket.settled


def test_an_answer_does_not_settle_a_ticket_whose_effect_is_awaited():
    ticket = make()
    assert ticket.effect is Effect.PENDING
    ticket.end(TicketState.ANSWERED, 2.0)
    assert not ticket.open
    assert not ticket.settled
    assert ticket.wait(0) is False
    ticket.end_effect(Effect.DONE)
    assert ticket.wait(0) is True


@pytest.mark.parametrize("state", ["timed_out", "outcome_unknown"])
def test_what_the_charge_point_may_have_done_all_the_same_is_still_awaited(state):
    ticket = make()
    ticket.end(TicketState(state), 2.0)
    assert (ticket.open, ticket.settled, ticket.effect) == (False, False, Effect.PENDING)
    ticket.end_effect(Effect.DONE)
    assert (ticket.state, ticket.settled) == (state, True)


@pytest.mark.parametrize("state", ["expired", "superseded", "cancelled", "never_sent"])
def test_what_was_not_sent_has_no_effect(state):
    ticket = make()
    ticket.end(TicketState(state), 2.0)
    assert ticket.effect is Effect.NO_EFFECT
    assert ticket.settled


def test_what_is_refused_is_declined():
    ticket = make()
    ticket.end(TicketState.REFUSED, 2.0)
    assert ticket.effect is Effect.DECLINED
    assert ticket.settled


def test_what_is_left_to_the_next_process_has_had_no_effect_in_this_one():
    ticket = make()
    ticket.detach(2.0, "the central system stops")
    assert ticket.effect is Effect.NO_EFFECT
    assert ticket.settled


def test_the_first_effect_is_the_only_one():
    ticket = make()
    ticket.end(TicketState.ANSWERED, 2.0)
    for effect in (Effect.DECLINED, Effect.DONE, Effect.NO_EFFECT):
        ticket.end_effect(effect)
        assert ticket.effect is Effect.DECLINED


def test_a_ticket_without_an_effect_never_gets_one():
    ticket = make(effect_timeout_s=None)
    ticket.end_effect(Effect.DONE)
    assert ticket.effect is None


@pytest.mark.parametrize("native", [False, True], ids=["greenlet", "native thread"])
def test_whoever_waits_is_woken_by_the_effect_and_not_by_the_answer(native):
    ticket = make()
    woken = []
    waiter = threading.Thread(target=lambda: woken.append(ticket.wait(60))) if native else None
    if waiter is not None:
        waiter.start()
        until(lambda: ticket._waiters)
    else:
        gevent.spawn(lambda: woken.append(ticket.wait(60)))
    settle()
    ticket.response = v16.ResetResponse(status="Accepted")
    ticket.end(TicketState.ANSWERED, 2.0)
    settle()
    assert woken == []
    ticket.end_effect(Effect.DONE)
    until(lambda: woken)
    assert woken == [True]
    if waiter is not None:
        waiter.join()
    assert ticket.result().status == "Accepted"


def test_an_answered_ticket_whose_effect_is_awaited_is_not_forgotten():
    registry = TicketRegistry("t", keep=2)
    ticket = make()
    ticket.id = registry.new_id()
    registry.add(ticket)
    ticket.end(TicketState.ANSWERED, 2.0)
    for _ in range(10):
        other = make(effect_timeout_s=None)
        other.id = registry.new_id()
        other.end(TicketState.ANSWERED, 2.0)
        registry.add(other)
    assert registry.find(ticket.id) is ticket


# On a session


class EffectHarness:
    """Charge point on a stage, and commands to it whose effect is awaited."""

    def __init__(self):
        self.stage = Stage(RecordingPlugin.spec([lambda: self.answer], []))
        self.answer = {}

    def __enter__(self):
        self.stage.start()
        self.charge_point = self.stage.connect("CP1")
        return self

    def __exit__(self, *_):
        self.stage.stop()

    @property
    def cell(self):
        return self.stage.cells["CP1"]

    def call(self, request, **options):
        """Send a command; return its ticket, which is on the wire, and its frame."""
        ticket = make(request, **options)
        self.cell.tell(SendCommand(ticket))
        self.stage.settle()
        return ticket, next((one for one in self.charge_point.take() if one[0] == 2), None)

    def boots(self):
        self.answer = {**CONF, "status": "Accepted", "interval": 300}
        self.charge_point.call("BootNotification", PASSIVE["BootNotification"])


@pytest.fixture
def harness():
    with EffectHarness() as harness:
        yield harness


def test_the_effect_comes_after_the_answer(harness):
    ticket, frame = harness.call(v16.Reset(type="Soft"))
    harness.charge_point.answer(frame, ACCEPTED)
    assert (ticket.state, ticket.effect) == (TicketState.ANSWERED, Effect.PENDING)
    harness.boots()
    assert ticket.effect is Effect.DONE
    assert harness.cell.commands.expectations is None


def test_the_effect_may_come_before_the_answer(harness):
    ticket, frame = harness.call(v16.RemoteStartTransaction(id_tag="T1"))
    harness.answer = {"idTagInfo": {"status": "Accepted"}, "transactionId": 1}
    harness.charge_point.call("StartTransaction", START)
    assert ticket.effect is Effect.PENDING
    harness.charge_point.answer(frame, ACCEPTED)
    assert ticket.effect is Effect.DONE


def test_what_came_before_it_was_sent_is_no_effect(harness):
    harness.boots()
    ticket, frame = harness.call(v16.Reset(type="Soft"))
    harness.charge_point.answer(frame, ACCEPTED)
    assert ticket.effect is Effect.PENDING


def test_a_promise_that_is_not_kept_in_time_had_no_effect(harness):
    ticket, frame = harness.call(v16.Reset(type="Soft"))
    harness.stage.advance(20)
    harness.charge_point.answer(frame, ACCEPTED)
    harness.stage.advance(EFFECT_S - 0.01)  # from the answer on
    assert ticket.effect is Effect.PENDING
    harness.stage.advance(0.01)
    assert ticket.effect is Effect.NO_EFFECT
    assert ticket.result().status == "Accepted"
    harness.boots()
    assert ticket.effect is Effect.NO_EFFECT


def test_an_answer_that_promises_nothing_declines(harness):
    ticket, frame = harness.call(v16.Reset(type="Soft"))
    harness.charge_point.answer(frame, {"status": "Rejected"})
    assert ticket.effect is Effect.DECLINED
    assert ticket.result().status == "Rejected"
    assert harness.cell.commands.expectations is None


def test_a_refused_call_is_declined(harness):
    refused, frame = harness.call(v16.Reset(type="Soft"))
    harness.charge_point.refuse(frame)
    with pytest.raises(CommandRefused):
        refused.result(0)
    harness.boots()
    assert refused.effect is Effect.DECLINED
    assert harness.cell.commands.expectations is None
    assert harness.stage.counts["effect_declined"] == 1


def test_a_call_that_timed_out_may_have_been_carried_out(harness):
    """A missing answer does not tell if the charge point carries the command out; its boot does."""
    late, _ = harness.call(v16.Reset(type="Soft"))
    harness.stage.advance(TIMEOUT_S)
    assert (late.state, late.effect) == (TicketState.TIMED_OUT, Effect.PENDING)
    harness.stage.advance(EFFECT_S - 1)  # from the time-out on
    harness.boots()
    assert (late.state, late.effect) == (TicketState.TIMED_OUT, Effect.DONE)
    with pytest.raises(CommandTimedOut):
        late.result(0)
    assert harness.cell.commands.expectations is None


def test_a_call_that_timed_out_and_of_which_nothing_is_seen_had_no_effect(harness):
    late, frame = harness.call(v16.Reset(type="Soft"))
    harness.stage.advance(TIMEOUT_S + EFFECT_S - 1)
    harness.charge_point.answer(frame, ACCEPTED)  # too late to win time
    assert late.late_answer.status == "Accepted"
    assert late.effect is Effect.PENDING
    harness.stage.advance(1)
    assert late.effect is Effect.NO_EFFECT
    assert harness.stage.counts["effect_no_effect"] == 1


@pytest.mark.parametrize("how", ["rejected", "refused"])
def test_a_late_answer_may_still_decline(harness, how):
    late, frame = harness.call(v16.Reset(type="Soft"))
    harness.stage.advance(TIMEOUT_S)
    if how == "rejected":
        harness.charge_point.answer(frame, {"status": "Rejected"})
    else:
        harness.charge_point.refuse(frame)
    assert (late.state, late.effect) == (TicketState.TIMED_OUT, Effect.DECLINED)


def test_a_boot_after_the_socket_died_is_the_effect_of_a_reset(harness):
    """A hard reset often cuts the connection before the answer is sent."""
    ticket, _ = harness.call(v16.Reset(type="Hard"))
    harness.charge_point.hang_up()
    assert (ticket.state, ticket.effect) == (TicketState.OUTCOME_UNKNOWN, Effect.PENDING)
    harness.stage.advance(EFFECT_S - 1)
    harness.charge_point = harness.stage.connect("CP1")
    harness.boots()
    assert (ticket.state, ticket.effect) == (TicketState.OUTCOME_UNKNOWN, Effect.DONE)
    assert harness.stage.counts["effect_done"] == 1


def test_a_takeover_leaves_the_effect_to_come(harness):
    ticket, _ = harness.call(v16.Reset(type="Hard"))
    harness.charge_point = harness.stage.connect("CP1")
    assert (ticket.state, ticket.effect) == (TicketState.OUTCOME_UNKNOWN, Effect.PENDING)
    harness.boots()
    assert ticket.effect is Effect.DONE


def test_without_a_boot_the_reset_whose_socket_died_had_no_effect(harness):
    ticket, _ = harness.call(v16.Reset(type="Hard"))
    harness.charge_point.hang_up()
    harness.stage.advance(EFFECT_S)
    assert ticket.effect is Effect.NO_EFFECT
    assert ticket.settled


def test_one_transaction_is_the_effect_of_one_remote_start(harness):
    tickets = []
    for _ in range(2):
        ticket, frame = harness.call(v16.RemoteStartTransaction(id_tag="T1"))
        harness.charge_point.answer(frame, ACCEPTED)
        tickets.append(ticket)
    harness.answer = {"idTagInfo": {"status": "Accepted"}, "transactionId": 1}
    harness.charge_point.call("StartTransaction", START)
    assert [ticket.effect for ticket in tickets] == [Effect.DONE, Effect.PENDING]


@pytest.mark.parametrize(
    "time", ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", None, "soon"]
)
def test_a_start_is_the_effect_whatever_the_charge_point_s_clock_says(harness, time):
    ticket, frame = harness.call(v16.RemoteStartTransaction(id_tag="T1"))
    harness.charge_point.answer(frame, ACCEPTED)
    harness.answer = {"idTagInfo": {"status": "Accepted"}, "transactionId": 1}
    harness.charge_point.call("StartTransaction", START | {"timestamp": time})
    assert ticket.effect is Effect.DONE


def test_a_call_held_since_before_the_command_went_out_is_not_its_effect(harness):
    harness.answer = {"idTagInfo": {"status": "Accepted"}, "transactionId": 1}
    ticket, frame = harness.call(v16.RemoteStartTransaction(id_tag="T1"))
    harness.charge_point.answer(frame, ACCEPTED)
    (expectation,) = harness.cell.commands.expectations
    expectation.sent_at = harness.stage.clock.monotonic() + 1
    harness.charge_point.call("StartTransaction", START)
    assert ticket.effect is Effect.PENDING


def test_an_effect_is_awaited_over_a_new_connection(harness):
    ticket, frame = harness.call(v16.Reset(type="Hard"))
    harness.charge_point.answer(frame, ACCEPTED)
    harness.charge_point.hang_up()
    harness.stage.advance(20)
    assert ticket.effect is Effect.PENDING
    harness.charge_point = harness.stage.connect("CP1")
    harness.boots()
    assert ticket.effect is Effect.DONE


def test_its_time_runs_out_while_nobody_is_connected(harness):
    ticket, frame = harness.call(v16.Reset(type="Hard"))
    harness.charge_point.answer(frame, ACCEPTED)
    harness.charge_point.hang_up()
    harness.stage.advance(EFFECT_S)
    assert ticket.effect is Effect.NO_EFFECT


def test_one_message_may_be_the_effect_of_several_calls(harness):
    tickets = []
    for _ in range(3):
        ticket, frame = harness.call(v16.TriggerMessage(requested_message="BootNotification"))
        harness.charge_point.answer(frame, ACCEPTED)
        tickets.append(ticket)
    harness.boots()
    assert [ticket.effect for ticket in tickets] == [Effect.DONE] * 3


def test_a_message_that_its_plugin_could_not_handle_was_sent_all_the_same(harness):
    ticket, frame = harness.call(v16.RemoteStartTransaction(id_tag="T1"))
    harness.charge_point.answer(frame, ACCEPTED)
    harness.answer = {"nonsense": 1}
    harness.charge_point.call("StartTransaction", START)
    assert ticket.effect is Effect.DONE


def test_the_end_of_the_session_ends_the_wait(harness):
    ticket, frame = harness.call(v16.Reset(type="Soft"))
    harness.charge_point.answer(frame, ACCEPTED)
    harness.cell.kill()
    harness.cell.end()
    assert ticket.effect is Effect.NO_EFFECT
    assert ticket.settled
