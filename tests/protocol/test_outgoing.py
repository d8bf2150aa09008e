"""At most one call on the wire, the rest in a queue by priority and age."""

import pytest

from chargehand.protocol import v16
from chargehand.protocol.outgoing import INFINITY, CommandQueue, Outgoing
from chargehand.protocol.payload import build


def call(name="GetLocalListVersion", owner=None, expires_at=INFINITY, **members):
    action = v16.VERSION.actions[name]
    request = action.request(**members)
    return Outgoing(owner or object(), action, request, build(action.request, request), 30.0, expires_at)


def urgent(owner=None):
    return call("RemoteStopTransaction", owner, transaction_id=1)


@pytest.fixture
def queue():
    return CommandQueue()


def anything(_action):
    return True


def test_the_oldest_goes_first_and_is_on_the_wire(queue):
    first, second = call(), call()
    queue.add(first)
    queue.add(second)
    assert queue.next(anything, 0.0) is first
    assert queue.on_wire is first
    assert len(queue) == 1


def test_an_empty_queue_has_nothing_to_send(queue):
    assert queue.next(anything, 0.0) is None
    assert queue.on_wire is None


def test_what_somebody_waits_for_goes_before_the_rest_and_behind_its_like(queue):
    calls = [call(), urgent(), call(), urgent()]
    for one in calls:
        queue.add(one)
    assert queue.waiting == [calls[1], calls[3], calls[0], calls[2]]


def test_these_commands_and_no_others_are_urgent():
    assert {row.name for row in v16.VERSION.actions.values() if row.urgent} == {
        "CancelReservation",
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "Reset",
        "UnlockConnector",
    }


def test_what_may_not_go_now_is_passed_over_and_keeps_its_place(queue):
    held, free = urgent(), call()
    queue.add(held)
    queue.add(free)
    assert queue.next(lambda action: action.name != "RemoteStopTransaction", 0.0) is free
    assert queue.waiting == [held]


def test_what_is_too_late_is_not_sent(queue):
    queue.add(call(expires_at=10.0))
    later = call(expires_at=20.0)
    queue.add(later)
    assert queue.first(anything, 10.0) is later
    assert queue.next(anything, 10.0) is later
    assert queue.first(anything, 10.0) is None


def test_the_wire_is_free_when_its_call_was_taken_off(queue):
    queue.add(call())
    sent = queue.next(anything, 0.0)
    assert queue.take_off_wire() is sent
    assert queue.take_off_wire() is None


def test_a_call_that_waits_can_be_taken_out_by_its_owner(queue):
    owner = object()
    queue.add(call())
    queue.add(call(owner=owner))
    assert queue.remove(owner).owner is owner
    assert queue.remove(owner) is None
    assert len(queue) == 1


def test_a_call_on_the_wire_cannot_be_taken_out(queue):
    owner = object()
    queue.add(call(owner=owner))
    queue.next(anything, 0.0)
    assert queue.remove(owner) is None


def test_it_knows_whose_calls_it_holds(queue):
    on_wire, waits = object(), object()
    queue.add(call(owner=on_wire))
    queue.add(call(owner=waits))
    queue.next(anything, 0.0)
    assert queue.holds(on_wire)
    assert queue.holds(waits)
    assert not queue.holds(object())


def test_those_that_waited_too_long_are_taken_out(queue):
    calls = [call(expires_at=10), call(), call(expires_at=20), call(expires_at=5)]
    for one in calls:
        queue.add(one)
    assert queue.expired(4) == []
    assert queue.expired(10) == [calls[0], calls[3]]
    assert queue.waiting == [calls[1], calls[2]]


def test_it_knows_when_the_next_of_them_is_over(queue):
    assert queue.due() == INFINITY
    queue.add(call())
    assert queue.due() == INFINITY
    queue.add(call(expires_at=20))
    assert queue.due() == 20
    queue.next(anything, 0.0).due = 15
    assert queue.due() == 15


def test_clearing_returns_what_waited(queue):
    calls = [call(), call()]
    for one in calls:
        queue.add(one)
    assert queue.clear() == calls
    assert len(queue) == 0


def change(key, value, owner=None):
    return call("ChangeConfiguration", owner, key=key, value=value)


def test_a_newer_call_of_the_same_meaning_takes_the_older_ones_out(queue):
    older = [change("A", "1"), change("B", "1"), change("a", "2")]
    for one in older:
        queue.add(one)
    newer = change("A", "3")
    queue.add(newer)
    assert queue.supersede(newer) == [older[0], older[2]]
    assert queue.waiting == [older[1], newer]


def test_calls_that_all_count_supersede_nothing(queue):
    queue.add(urgent())
    newer = urgent()
    queue.add(newer)
    assert queue.supersede(newer) == []
    assert len(queue) == 2
