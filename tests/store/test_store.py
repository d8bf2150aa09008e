"""A receipt reports its result once, to everybody who asked before or after."""

import gevent
import pytest

from chargehand import Receipt, StoreError

from ..hub import settle


def test_a_receipt_that_is_settled_calls_back_at_once():
    heard = []
    Receipt(done=True).then(heard.append)
    Receipt(done=True, error=StoreError("no")).then(heard.append)
    assert heard[0] is None
    assert isinstance(heard[1], StoreError)


def test_a_receipt_calls_back_when_it_is_settled_and_once():
    receipt, heard = Receipt(), []
    receipt.then(heard.append)
    receipt.then(heard.append)
    assert heard == []
    receipt.settle()
    receipt.settle(StoreError("too late"))
    assert heard == [None, None]
    assert receipt.error is None


def test_a_wait_for_a_receipt_lets_the_others_run():
    receipt, order = Receipt(), []
    waiting = gevent.spawn(lambda: (receipt.wait(60), order.append("durable")))
    settle()
    order.append("the others")
    receipt.settle()
    waiting.join(60)
    assert order == ["the others", "durable"]


def test_a_wait_for_what_cannot_be_kept_raises_the_error():
    receipt = Receipt()
    gevent.spawn(receipt.settle, StoreError("the disk is full"))
    with pytest.raises(StoreError, match="the disk is full"):
        receipt.wait(60)
    with pytest.raises(StoreError, match="the disk is full"):
        receipt.wait()


def test_a_wait_that_is_too_short_is_a_timeout():
    with pytest.raises(TimeoutError, match=r"not stored within 0\.001 s"):
        Receipt().wait(0.001)
