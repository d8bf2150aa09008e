"""A ticket ends exactly once, and wakes everybody who waits for it, in any thread."""

import threading

import gevent
import pytest

from chargehand.actors.session.tickets import (
    OPEN,
    CommandCancelled,
    CommandExpired,
    CommandRefused,
    CommandSuperseded,
    CommandTimedOut,
    InvalidResponse,
    NeverSent,
    OutcomeUnknown,
    Ticket,
    TicketError,
    TicketRegistry,
    TicketState,
)
from chargehand.protocol import v16

from ...hub import settle, until

FINAL = [state for state in TicketState if state not in OPEN]
ERRORS = {
    TicketState.REFUSED: CommandRefused,
    TicketState.TIMED_OUT: CommandTimedOut,
    TicketState.EXPIRED: CommandExpired,
    TicketState.SUPERSEDED: CommandSuperseded,
    TicketState.CANCELLED: CommandCancelled,
    TicketState.NEVER_SENT: NeverSent,
    TicketState.OUTCOME_UNKNOWN: OutcomeUnknown,
    TicketState.ANSWERED: InvalidResponse,
}
RESPONSE = v16.ClearCacheResponse(status=v16.ClearCacheStatus.ACCEPTED)


def make(id_="t-1", **options):
    return Ticket(id_, "CP1", "ClearCache", v16.ClearCache(), b"{}", timeout_s=30, created_at=1.0, **options)


def answered(ticket):
    ticket.response = RESPONSE
    return ticket.end(TicketState.ANSWERED, 2.0)


def in_thread(function, *arguments):
    """Run a function in a native thread, which is joined by letting the hub run."""
    outcome = []

    def run():
        try:
            outcome.append(function(*arguments))
        except TicketError as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def result():
        until(lambda: not thread.is_alive())
        thread.join()
        return outcome[0]

    return result


# States


def test_a_new_ticket_is_open_and_waits():
    ticket = make()
    assert ticket.open
    assert ticket.state is TicketState.QUEUED
    assert (ticket.sent_at, ticket.ended_at) == (None, None)


@pytest.mark.parametrize("first", FINAL)
@pytest.mark.parametrize("second", FINAL)
def test_the_first_end_is_the_only_one(first, second):
    ticket = make()
    assert ticket.end(first, 2.0, "the first") is True
    assert ticket.end(second, 3.0, "the second") is False
    assert (ticket.state, ticket.ended_at, ticket.reason) == (first, 2.0, "the first")


@pytest.mark.parametrize("final", FINAL)
def test_nothing_reopens_a_ticket(final):
    ticket = make()
    ticket.end(final, 2.0)
    ticket.waits(held=True)
    ticket.sent(3.0)
    assert ticket.state is final
    assert ticket.sent_at is None


def test_an_open_ticket_says_what_it_waits_for():
    ticket = make()
    ticket.waits(held=True)
    assert ticket.state is TicketState.HELD
    ticket.waits(held=False)
    assert ticket.state is TicketState.QUEUED
    ticket.sent(1.5)
    assert (ticket.state, ticket.sent_at) == (TicketState.SENT, 1.5)


def test_a_late_answer_changes_no_state():
    ticket = make()
    ticket.end(TicketState.TIMED_OUT, 2.0)
    ticket.late_answer = RESPONSE
    assert ticket.state is TicketState.TIMED_OUT
    with pytest.raises(CommandTimedOut):
        ticket.result()


# Results


def test_the_result_of_an_answered_call_is_its_response():
    ticket = make()
    answered(ticket)
    assert ticket.result() is RESPONSE


@pytest.mark.parametrize("state", FINAL)
def test_every_other_end_has_its_own_error_that_knows_the_ticket(state):
    ticket = make()
    ticket.end(state, 2.0, "a reason")
    with pytest.raises(ERRORS[state]) as caught:
        ticket.result()
    assert isinstance(caught.value, TicketError)
    assert caught.value.ticket is ticket
    assert str(caught.value) == f"ClearCache to CP1: {state.replace('_', ' ')} (a reason)"


def test_an_error_without_a_reason_says_what_is_known():
    ticket = make()
    ticket.end(TicketState.CANCELLED, 2.0)
    assert str(CommandCancelled(ticket)) == "ClearCache to CP1: cancelled"


def test_a_result_that_does_not_come_in_time_is_a_timeout():
    with pytest.raises(TimeoutError, match="ClearCache to CP1 is queued"):
        make().result(timeout_s=0.001)


# Waiting


def test_a_wait_for_a_ticket_that_has_ended_returns_at_once():
    ticket = make()
    answered(ticket)
    assert ticket.wait() is True
    assert ticket.wait(0) is True


def test_a_wait_that_is_too_short_is_false_and_leaves_nothing_behind():
    ticket = make()
    assert ticket.wait(0) is False
    assert ticket.wait(0.001) is False
    assert in_thread(ticket.wait, 0.001)() is False
    assert ticket._waiters == []


def test_a_waiting_greenlet_lets_the_others_run():
    ticket = make()
    waiting = [gevent.spawn(ticket.result) for _ in range(2)]
    settle()
    assert not any(one.ready() for one in waiting)
    answered(ticket)
    gevent.joinall(waiting, timeout=60, raise_error=True)
    assert [one.value for one in waiting] == [RESPONSE, RESPONSE]


def test_a_native_thread_waits_without_a_hub_of_its_own():
    ticket = make()
    result = in_thread(ticket.result)
    until(lambda: ticket._waiters)
    answered(ticket)
    assert result() is RESPONSE


def test_a_native_thread_hears_of_an_error_too():
    ticket = make()
    result = in_thread(ticket.result, 5)
    until(lambda: ticket._waiters)
    ticket.end(TicketState.OUTCOME_UNKNOWN, 2.0)
    assert isinstance(result(), OutcomeUnknown)


def test_greenlets_and_native_threads_wait_for_the_same_ticket():
    ticket = make()
    results = [in_thread(ticket.result) for _ in range(3)]
    greenlets = [gevent.spawn(ticket.result) for _ in range(3)]
    until(lambda: len(ticket._waiters) == 6)
    answered(ticket)
    gevent.joinall(greenlets, timeout=60, raise_error=True)
    assert [result() for result in results] == [RESPONSE] * 3


def test_a_ticket_that_ends_while_native_threads_begin_to_wait_is_never_missed():
    for _ in range(200):
        ticket = make()
        results = [in_thread(ticket.wait, 5) for _ in range(2)]
        answered(ticket)
        assert [result() for result in results] == [True, True]


def test_a_greenlet_of_another_hub_waits_without_stopping_its_hub():
    ticket = make()

    def wait_beside_another():
        turns = []
        other = gevent.spawn(lambda: [turns.append(gevent.sleep(0)) for _ in range(3)])
        waited = ticket.wait(0.05)
        other.join(60)
        gevent.get_hub().destroy(destroy_loop=True)
        return waited, len(turns)

    assert in_thread(wait_beside_another)() == (False, 3)


# Cancelling


def test_a_cancel_asks_whoever_can_do_it():
    asked = []
    ticket = make(cancel=asked.append)
    ticket.cancel()
    assert asked == [ticket]
    assert ticket.open


def test_a_cancel_of_a_ticket_that_has_ended_is_nothing():
    ticket = make(cancel=lambda _: pytest.fail("it has ended"))
    answered(ticket)
    ticket.cancel()
    make().cancel()  # nor can anybody be asked here


# The registry


def registry_of(count, keep=10):
    registry = TicketRegistry("run", keep=keep)
    tickets = [make(registry.new_id()) for _ in range(count)]
    for ticket in tickets:
        registry.add(ticket)
    return registry, tickets


def test_ids_are_never_given_twice():
    registry = TicketRegistry("run", keep=10)
    assert len({registry.new_id() for _ in range(100)}) == 100
    assert registry.new_id().startswith("run-")


def test_a_ticket_is_found_by_its_id():
    registry, (ticket,) = registry_of(1)
    assert registry.find(ticket.id) is ticket
    assert registry.find("run-999") is None


def test_ended_tickets_over_the_bound_are_forgotten_the_oldest_first():
    registry, tickets = TicketRegistry("run", keep=10), []
    for _ in range(25):
        tickets.append(make(registry.new_id()))
        registry.add(tickets[-1])
        answered(tickets[-1])
    assert [registry.find(ticket.id) for ticket in tickets] == [None] * 15 + tickets[15:]


def test_open_tickets_are_never_forgotten():
    registry, tickets = registry_of(50)
    assert set(registry.open_tickets()) == set(tickets)
    for ticket in tickets:
        assert registry.find(ticket.id) is ticket


def test_a_registry_that_grew_by_open_tickets_shrinks_again():
    registry, tickets = registry_of(100)
    for ticket in tickets:
        answered(ticket)
    for _ in range(200):
        ticket = make(registry.new_id())
        registry.add(ticket)
        answered(ticket)
    assert len(registry._tickets) == 10
