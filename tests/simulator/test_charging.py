import datetime as dt

import gevent
import pytest

from chargehand import v16
from chargehand.simulator.charging import Charging
from chargehand.simulator.configuration import Configuration
from chargehand.simulator.connectors import Connectors
from chargehand.simulator.errors import CallDeclined, Disconnected, NotPossible

ACCEPTED = v16.IdTagInfo(status=v16.AuthorizationStatus.ACCEPTED)
BLOCKED = v16.IdTagInfo(status=v16.AuthorizationStatus.BLOCKED)
REFUSED = CallDeclined("InternalError", "", {})


@pytest.fixture
def configuration():
    return Configuration({"TransactionMessageRetryInterval": "10"})


@pytest.fixture
def charging(backend, jobs, configuration):
    backend.answers["Authorize"] = v16.AuthorizeResponse(id_tag_info=ACCEPTED)
    backend.answers["StartTransaction"] = v16.StartTransactionResponse(id_tag_info=ACCEPTED, transaction_id=7)
    return Charging(
        Connectors(2),
        configuration,
        jobs,
        backend.send,
        lambda: backend.client is not None,
        auto_plug=True,
    )


def told(backend, connector_id=1):
    return [
        str(request.status)
        for request in backend.requests
        if isinstance(request, v16.StatusNotification) and request.connector_id == connector_id
    ]


def sent(backend, kind):
    return [request for request in backend.requests if isinstance(request, kind)]


# -- A visit -------------------------------------------------------------------------------------


def test_a_visit_is_told_message_by_message(charging, backend):
    charging.plug_in(1)
    charging.start("TAG1", 1)
    charging.meter(1, 500)
    charging.stop(1, v16.Reason.LOCAL, "TAG1")
    charging.unplug(1)
    assert backend.names() == [
        "StatusNotification",
        "StartTransaction",
        "StatusNotification",
        "MeterValues",
        "StopTransaction",
        "StatusNotification",
        "StatusNotification",
    ]
    assert told(backend) == ["Preparing", "Charging", "Finishing", "Available"]


def test_the_messages_of_a_transaction_carry_its_number_and_its_meter(charging, backend):
    charging.plug_in(1)
    charging.start("TAG1", 1)
    charging.meter(1, 500)
    stopped = charging.stop(1, v16.Reason.REMOTE)
    (values,), (stop,) = sent(backend, v16.MeterValues), sent(backend, v16.StopTransaction)
    assert values.transaction_id == stop.transaction_id == 7
    assert values.meter_value[0].sampled_value[0].value == "500"
    assert (stop.meter_stop, stop.reason, stop.id_tag) == (500, v16.Reason.REMOTE, None)
    assert not stopped.running


def test_a_second_transaction_starts_where_the_meter_is(charging, backend):
    for _ in range(2):
        charging.plug_in(1)
        charging.start("TAG1", 1)
        charging.meter(1, 500)
        charging.unplug(1)
    assert [start.meter_start for start in sent(backend, v16.StartTransaction)] == [0, 500]


def test_a_status_is_told_once(charging, backend):
    charging.plug_in(1)
    charging.tell(charging.connectors[1])
    assert told(backend) == ["Preparing"]


def test_meter_values_without_a_transaction_have_no_number(charging, backend):
    charging.meter(0, 10)
    (values,) = sent(backend, v16.MeterValues)
    assert (values.connector_id, values.transaction_id) == (0, None)


@pytest.mark.parametrize(
    ("flag", "statuses"), [("true", ["Charging", "Available"]), ("false", ["Charging", "SuspendedEV"])]
)
def test_unplugging_ends_a_transaction_or_suspends_it(charging, backend, configuration, flag, statuses):
    configuration.set("StopTransactionOnEVSideDisconnect", flag)
    charging.plug_in(1)
    charging.start("TAG1", 1)
    charging.unplug(1)
    assert told(backend)[1:] == statuses
    assert [stop.reason for stop in sent(backend, v16.StopTransaction)] == (
        [v16.Reason.EV_DISCONNECTED] if flag == "true" else []
    )


def test_what_is_not_charging_cannot_be_stopped_or_suspended(charging):
    with pytest.raises(NotPossible):
        charging.stop(1, v16.Reason.LOCAL)
    with pytest.raises(NotPossible):
        charging.suspend(1, v16.ChargePointStatus.SUSPENDED_EV)


def test_a_transaction_is_suspended_and_resumed(charging, backend):
    charging.plug_in(1)
    charging.start("TAG1", 1)
    charging.suspend(1, v16.ChargePointStatus.SUSPENDED_EVSE)
    charging.suspend(1, None)
    assert told(backend)[1:] == ["Charging", "SuspendedEVSE", "Charging"]
    with pytest.raises(NotPossible):
        charging.suspend(1, v16.ChargePointStatus.AVAILABLE)


# -- Whether a tag may charge --------------------------------------------------------------------


def test_the_central_system_decides_and_is_remembered(charging, backend):
    backend.answers["Authorize"] = v16.AuthorizeResponse(id_tag_info=BLOCKED)
    assert charging.authorize("TAG1").status == "Blocked"
    backend.client = None
    assert charging.authorize("TAG1").status == "Blocked"


def test_a_connection_lost_while_asking_leaves_it_to_the_lists(charging, backend):
    backend.answers["Authorize"] = Disconnected("lost")
    assert charging.authorize("TAG1").status == "Accepted"


def test_with_pre_authorization_a_known_tag_is_not_asked_for(charging, backend, configuration):
    configuration.set("LocalPreAuthorize", "true")
    charging.authorize("TAG1")
    charging.authorize("TAG1")
    assert backend.names() == ["Authorize"]


@pytest.mark.parametrize(
    ("flag", "statuses", "reasons"),
    [("true", ["Charging", "Finishing"], ["DeAuthorized"]), ("false", ["Charging", "SuspendedEVSE"], [])],
)
def test_a_transaction_of_a_refused_tag_does_not_go_on(
    charging, backend, configuration, settle, flag, statuses, reasons
):
    configuration.set("StopTransactionOnInvalidId", flag)
    backend.answers["StartTransaction"] = v16.StartTransactionResponse(id_tag_info=BLOCKED, transaction_id=7)
    charging.plug_in(1)
    transaction = charging.start("TAG1", 1)
    settle()
    assert transaction.verdict == "Blocked"
    assert [str(stop.reason) for stop in sent(backend, v16.StopTransaction)] == reasons
    assert told(backend)[-1] == statuses[-1]


# -- Remote starts -------------------------------------------------------------------------------


def test_a_remote_start_brings_its_vehicle(charging, backend):
    charging.start_remotely("TAG1", 1, None)
    assert told(backend) == ["Preparing", "Charging"]
    assert "Authorize" not in backend.names()


def test_a_remote_start_asks_for_the_tag_if_it_is_to(charging, backend, configuration):
    configuration.set("AuthorizeRemoteTxRequests", "true")
    backend.answers["Authorize"] = v16.AuthorizeResponse(id_tag_info=BLOCKED)
    charging.start_remotely("TAG1", 1, None)
    assert backend.names() == ["Authorize"]


def test_a_tag_waits_for_its_vehicle(charging, backend):
    charging.auto_plug = False
    charging.start_remotely("TAG1", 1, None)
    assert told(backend) == ["Preparing"]
    charging.plug_in(1)
    assert told(backend) == ["Preparing", "Charging"]


def test_a_tag_waits_no_longer_than_it_may(charging, backend, clock, settle):
    charging.auto_plug = False
    charging.start_remotely("TAG1", 1, None)
    clock.advance(60, settle)
    assert told(backend) == ["Preparing", "Available"]
    charging.plug_in(1)
    assert "StartTransaction" not in backend.names()


# -- Offline -------------------------------------------------------------------------------------


def test_what_happens_offline_is_told_later_in_order_with_its_own_times(charging, backend, clock):
    backend.client = None
    charging.plug_in(1)
    transaction = charging.start("TAG1", 1)
    clock.advance(60)
    charging.meter(1, 500)
    clock.advance(60)
    charging.stop(1, v16.Reason.LOCAL, "TAG1")
    clock.advance(3600)
    assert (transaction.id, len(charging.backlog)) == (None, 3)

    backend.client = backend
    charging.tell_all()
    assert [name for name in backend.names() if name != "StatusNotification"] == [
        "StartTransaction",
        "MeterValues",
        "StopTransaction",
    ]
    (start,), (values,), (stop,) = (
        sent(backend, kind) for kind in (v16.StartTransaction, v16.MeterValues, v16.StopTransaction)
    )
    begin = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    minute = dt.timedelta(minutes=1)
    assert (start.timestamp, values.meter_value[0].timestamp, stop.timestamp) == (
        begin,
        begin + minute,
        begin + 2 * minute,
    )
    assert (transaction.id, values.transaction_id, stop.transaction_id) == (7, 7, 7)
    assert told(backend) == ["Finishing"]


def test_only_what_the_central_system_does_not_know_is_told(charging, backend):
    charging.tell_all()
    charging.tell_all()
    assert [request.connector_id for request in sent(backend, v16.StatusNotification)] == [0, 1, 2]


def test_a_status_whose_telling_was_interrupted_is_told_again(charging, backend):
    backend.answers["StatusNotification"] = [Disconnected("lost"), None, None, None, None]
    charging.plug_in(1)
    assert told(backend) == ["Preparing"]
    charging.tell_all()
    assert told(backend) == ["Preparing", "Preparing"]


def test_a_refused_start_is_tried_again_until_its_attempts_are_used_up(charging, backend, clock, settle):
    backend.answers["StartTransaction"] = REFUSED
    charging.plug_in(1)
    starting = gevent.spawn(charging.start, "TAG1", 1)
    gevent.idle()
    assert len(sent(backend, v16.StartTransaction)) == 1
    clock.advance(9, settle)
    assert len(sent(backend, v16.StartTransaction)) == 1
    clock.advance(21, settle)
    with gevent.Timeout(60), pytest.raises(CallDeclined):
        starting.get()
    assert len(sent(backend, v16.StartTransaction)) == 3
    charging.stop(1, v16.Reason.LOCAL)
    assert sent(backend, v16.StopTransaction)[0].transaction_id == -1


def test_nobody_waits_for_an_attempt_that_is_not_due(charging, backend, clock):
    backend.answers["StartTransaction"] = REFUSED
    charging.plug_in(1)
    starting = gevent.spawn(charging.start, "TAG1", 1)
    gevent.idle()
    backend.client = None  # lost: what the line calls is `put_off`
    charging.backlog.put_off()
    with gevent.Timeout(60):
        assert starting.get().id is None


def test_a_break_of_power_is_told_of_later(charging, backend):
    charging.plug_in(1)
    charging.start("TAG1", 1)
    charging.break_off_all(v16.Reason.HARD_RESET)
    assert "StopTransaction" not in backend.names()
    charging.tell_all()
    (stop,) = sent(backend, v16.StopTransaction)
    assert stop.reason is v16.Reason.HARD_RESET


def test_meter_values_are_sent_by_themselves_if_they_are_to(charging, backend, configuration, clock, settle):
    configuration.set("MeterValueSampleInterval", "60")
    charging.plug_in(2)
    charging.start("TAG1", 2)
    charging.metering.restart()
    clock.advance(150, settle)
    values = sent(backend, v16.MeterValues)
    assert [value.meter_value[0].sampled_value[0].value for value in values] == ["183", "366"]
