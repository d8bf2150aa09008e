"""A registration outlives the connection and the process, and begins when its BootNotification is answered."""

import pytest

from chargehand import Plugin, passive, v16
from chargehand.testing import Stage

BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


class BootSequence(Plugin):
    """Answers BootNotification as the test sets."""

    def __init__(self, status):
        super().__init__()
        self._status = status

    @passive(v16.BootNotification)
    def boot(self, _):
        return {"status": self._status[0], "currentTime": "2026-01-01T00:00:00Z", "interval": 300}

    @passive(v16.Heartbeat)
    def heartbeat(self, _):
        return {"currentTime": "2026-01-01T00:00:00Z"}


@pytest.fixture
def status():
    return ["Accepted"]


@pytest.fixture
def stage(store, status):
    with Stage(BootSequence.spec(status), store=store) as stage:
        yield stage


@pytest.mark.parametrize("answer", ["Accepted", "Pending", "Rejected"])
def test_it_is_answered_only_when_it_is_stored(charge_point, stage, store, status, answer):
    status[0] = answer
    store.hold()
    assert charge_point.call("BootNotification", BOOT) is None
    assert len(store.pending) == 1
    assert stage.cells["CP1"].charge_point.registration is None
    store.settle()
    stage.settle()
    (frame,) = charge_point.take()
    assert frame[2]["status"] == answer == stage.cells["CP1"].charge_point.registration


def test_no_fallback_answers_while_the_store_takes_its_time(charge_point, stage, store):
    store.hold()
    charge_point.call("BootNotification", BOOT)
    stage.advance(1000)
    assert charge_point.take() == []
    assert stage.counts["fallback"] == 0
    store.settle()
    stage.settle()
    assert len(charge_point.take()) == 1


def test_a_store_that_fails_means_no_answer_and_a_paused_reader_until_it_works(charge_point, stage, store):
    store.fail()
    assert charge_point.call("BootNotification", BOOT) is None
    assert charge_point.paused
    charge_point.send([2, "later", "Heartbeat", {}])
    stage.advance(100)
    assert charge_point.take() == []
    assert stage.counts["registration_failed"] > 1
    store.work()
    stage.advance(2)
    assert not charge_point.paused
    assert [frame[1] for frame in charge_point.take()] == ["1", "later"]
    assert store.registration("CP1").status == "Accepted"


def test_a_socket_that_dies_meanwhile_leaves_nothing_to_answer(charge_point, stage, store):
    store.fail()
    charge_point.call("BootNotification", BOOT)
    charge_point.hang_up()
    stage.settle()
    store.work()
    again = stage.connect("CP1")
    stage.advance(5)
    assert again.take() == []
    assert again.call("BootNotification", BOOT)[2]["status"] == "Accepted"
