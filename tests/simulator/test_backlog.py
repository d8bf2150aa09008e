import gevent
import pytest

from chargehand import v16
from chargehand.simulator.backlog import Backlog, Delivery
from chargehand.simulator.errors import CallDeclined, Disconnected, NoAnswer

REFUSED = CallDeclined("InternalError", "", {})


def message(word):
    return Delivery(lambda: v16.DataTransfer(vendor_id=word))


@pytest.fixture
def backlog():
    return Backlog(attempts=lambda: 3, retry_s=lambda: 10.0)


def sender(sent, *outcomes):
    left = list(outcomes)

    def send(request):
        sent.append(request.vendor_id)
        outcome = left.pop(0) if left else f"answer to {request.vendor_id}"
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return send


def test_messages_are_delivered_in_order(backlog):
    sent = []
    deliveries = [backlog.add(message(word)) for word in "abc"]
    assert backlog.deliver(sender(sent)) is None
    assert sent == ["a", "b", "c"]
    assert [delivery.wait() for delivery in deliveries] == [f"answer to {word}" for word in "abc"]


def test_a_message_overtakes_those_of_its_transaction_even_one_under_way(backlog):
    class Owner:
        id = "t"

    mine, sent = Owner(), []

    def made(word, owner):
        return Delivery(lambda: v16.DataTransfer(vendor_id=word), owner=owner)

    for word, owner in (("a", None), ("b", mine), ("c", mine)):
        backlog.add(made(word, owner))

    def send(request):
        sent.append(request.vendor_id)
        if request.vendor_id == "b":
            backlog.overtake(made("d", mine))
        return request

    assert backlog.has_of("t")
    assert backlog.deliver(send) is None
    assert sent == ["a", "b", "d", "c"]
    assert not backlog.has_of("t")


def test_a_refused_message_is_tried_again_before_those_behind_it(backlog):
    sent = []
    backlog.add(message("a"))
    backlog.add(message("b"))
    send = sender(sent, REFUSED, NoAnswer())
    assert backlog.deliver(send) == 10.0
    assert backlog.deliver(send) == 20.0
    assert backlog.deliver(send) is None
    assert sent == ["a", "a", "a", "b"]


def test_a_message_is_thrown_away_after_its_attempts(backlog):
    sent = []
    lost = backlog.add(message("a"))
    kept = backlog.add(message("b"))
    send = sender(sent, REFUSED, REFUSED, REFUSED)
    assert [backlog.deliver(send) for _ in range(3)] == [10.0, 20.0, None]
    assert list(backlog.thrown_away) == [lost]
    assert kept.done
    with pytest.raises(CallDeclined):
        lost.wait()


def test_a_lost_connection_costs_no_attempt_and_no_message(backlog):
    sent = []
    backlog.add(message("a"))
    backlog.add(message("b"))
    for _ in range(5):
        with pytest.raises(Disconnected):
            backlog.deliver(sender(sent, Disconnected()))
    assert len(backlog) == 2
    assert not backlog.empty.is_set()
    assert backlog.deliver(sender(sent)) is None
    assert sent[-2:] == ["a", "b"]
    assert backlog.empty.is_set()


def test_those_who_wait_are_let_go_when_it_will_take_long(backlog):
    delivery = backlog.add(message("a"))
    waiting = gevent.spawn(delivery.wait)
    backlog.put_off()
    with gevent.Timeout(60):
        assert waiting.get() is None
    assert not delivery.done


def test_what_is_done_with_an_answer_is_done_before_the_next_message(backlog):
    order = []
    backlog.add(Delivery(lambda: v16.DataTransfer(vendor_id="a"), lambda _: order.append("answer to a")))
    backlog.add(message("b"))
    backlog.deliver(lambda request: order.append(f"send {request.vendor_id}") or "yes")
    assert order == ["send a", "answer to a", "send b"]


def test_at_least_one_attempt_is_made():
    backlog = Backlog(attempts=lambda: 0, retry_s=lambda: 10.0)
    backlog.add(message("a"))
    assert backlog.deliver(sender([], REFUSED)) is None
    assert len(backlog.thrown_away) == 1
