import datetime as dt

import pytest

from chargehand import v16
from chargehand.protocol.session import Registration
from chargehand.simulator.boot_sequence import RETRY_S, BootSequence
from chargehand.simulator.configuration import Configuration
from chargehand.simulator.errors import NoAnswer

REQUEST = v16.BootNotification(charge_point_vendor="Acme", charge_point_model="One")


NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def answer(status, interval):
    return v16.BootNotificationResponse(
        status=v16.RegistrationStatus(status), current_time=NOW, interval=interval
    )


@pytest.fixture
def accepted():
    return []


@pytest.fixture
def boot_sequence(backend, jobs, accepted):
    backend.answers["Heartbeat"] = v16.HeartbeatResponse(current_time=NOW)
    return BootSequence(
        REQUEST, v16.Heartbeat(), backend, Configuration(), jobs, lambda: accepted.append(True)
    )


def test_an_accepted_charge_point_beats_at_the_interval_it_was_given(
    boot_sequence, backend, clock, settle, accepted
):
    backend.answers["BootNotification"] = answer("Accepted", 30)
    boot_sequence.boot()
    assert accepted == [True]
    assert boot_sequence.accepted.is_set()
    clock.advance(29, settle)
    assert backend.names() == ["BootNotification"]
    clock.advance(61, settle)
    assert backend.names() == ["BootNotification", *["Heartbeat"] * 3]


def test_an_interval_of_0_leaves_its_own(boot_sequence, backend, clock, settle):
    backend.answers["BootNotification"] = answer("Accepted", 0)
    boot_sequence.boot()
    clock.advance(300, settle)
    assert backend.names() == ["BootNotification", "Heartbeat"]


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
def test_one_that_is_not_accepted_boots_again_after_the_interval(
    boot_sequence, backend, clock, settle, accepted, status
):
    backend.answers["BootNotification"] = [answer(status, 20), answer("Accepted", 60)]
    boot_sequence.boot()
    assert boot_sequence.status == status
    clock.advance(19, settle)
    assert backend.names() == ["BootNotification"]
    assert accepted == []
    clock.advance(1, settle)
    assert backend.names() == ["BootNotification", "BootNotification"]
    assert boot_sequence.status is Registration.ACCEPTED
    assert accepted == [True]


def test_a_boot_that_is_not_answered_is_tried_again(boot_sequence, backend, clock, settle):
    backend.answers["BootNotification"] = [NoAnswer("late"), answer("Accepted", 60)]
    with pytest.raises(NoAnswer):
        boot_sequence.boot()
    clock.advance(RETRY_S, settle)
    assert boot_sequence.status is Registration.ACCEPTED


def test_a_boot_of_somebody_else_s_takes_the_place_of_the_retry(boot_sequence, backend, clock, settle):
    backend.answers["BootNotification"] = [answer("Pending", 20), answer("Accepted", 600)]
    boot_sequence.boot()
    boot_sequence.boot()
    clock.advance(60, settle)
    assert backend.names() == ["BootNotification", "BootNotification"]


def test_no_heart_beats_without_a_connection(boot_sequence, backend, clock, settle):
    backend.answers["BootNotification"] = answer("Accepted", 10)
    boot_sequence.boot()
    backend.client = None
    clock.advance(35, settle)
    backend.client = backend
    clock.advance(5, settle)
    assert backend.names() == ["BootNotification", "Heartbeat"]


def test_a_boot_is_due_on_a_new_connection_until_one_was_accepted(boot_sequence, backend):
    assert not boot_sequence.reconnected()
    backend.answers["BootNotification"] = [answer("Pending", 20), answer("Accepted", 600)]
    boot_sequence.boot()
    assert boot_sequence.reconnected()
    boot_sequence.boot()
    assert not boot_sequence.reconnected()
    boot_sequence.forget()
    boot_sequence.want()
    assert boot_sequence.reconnected()


def test_nothing_is_sent_any_more_after_a_stop(boot_sequence, backend, clock, settle):
    backend.answers["BootNotification"] = answer("Accepted", 10)
    boot_sequence.boot()
    boot_sequence.stop()
    clock.advance(100, settle)
    assert backend.names() == ["BootNotification"]
