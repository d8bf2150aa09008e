"""Live events: to subscribers of the embedding application, and to plugins with `@on`."""

import json

import gevent
import pytest

from chargehand import (
    AuthorizationRequested,
    CentralSystem,
    ChargePointOffline,
    ChargePointOnline,
    MeterValuesReceived,
    Plugin,
    Settings,
    StatusChanged,
    TransactionUpdated,
    on,
)
from chargehand.plugins.back_office import BackOffice
from chargehand.protocol.events import LIVE
from chargehand.simulator.client import Client
from chargehand.store.memory import MemoryStore
from tests.hub import until

STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}
VALUES = {
    "connectorId": 1,
    "transactionId": 7,
    "meterValue": [
        {
            "timestamp": "2026-01-01T00:00:00Z",
            "sampledValue": [
                {"value": "1.5", "unit": "kWh"},
                {"value": "7.2", "unit": "kW", "measurand": "Power.Active.Import"},
            ],
        }
    ],
}


class Listening(Plugin):
    """Notes every event."""

    def __init__(self, heard):
        super().__init__()
        self._heard = heard

    @on(*LIVE)
    def hear(self, event):
        self._heard.append(event)


@pytest.fixture
def heard():
    return []


@pytest.fixture
def system(heard):
    store = MemoryStore()
    plugins = [Listening.spec(heard), BackOffice.spec(store)]
    with CentralSystem(Settings(port=0), plugins=plugins, store=store) as system:
        yield system


@pytest.fixture
def charge_point(system):
    client = Client.connect(f"ws://127.0.0.1:{system.port}/ocpp/CP1", subprotocols=("ocpp1.6",))
    yield client
    client.cut()


def call(charge_point, action, payload):
    charge_point.send_text(json.dumps([2, action, action, payload]).encode())
    return json.loads(charge_point.receive()[0])


def kinds(events):
    return [type(event).__name__ for event in events]


def test_a_plugin_hears_of_what_a_charge_point_does_in_order(system, charge_point, heard):
    call(charge_point, "StatusNotification", STATUS)
    call(charge_point, "Authorize", {"idTag": "T1"})
    call(charge_point, "MeterValues", VALUES)
    charge_point.cut()
    until(lambda: len(heard) == 6)
    assert kinds(heard) == [
        "ChargePointOnline",
        "StatusChanged",
        "AuthorizationRequested",
        "MeterValuesReceived",
        "TransactionUpdated",
        "ChargePointOffline",
    ]
    assert {event.charge_point_id for event in heard} == {"CP1"}


def test_an_event_says_what_a_reader_needs(system, charge_point, heard):
    call(charge_point, "StatusNotification", STATUS)
    call(charge_point, "Authorize", {"idTag": "T1"})
    call(charge_point, "MeterValues", VALUES)
    until(lambda: len(heard) == 5)
    online, status, authorization, values, progress = heard
    assert (online.version, online.secure) == ("1.6", False)
    assert (status.evse, status.connector, status.status, status.error_code) == (1, 1, "Charging", "NoError")
    assert (authorization.id_tag, authorization.verdict) == ("T1", "Accepted")
    assert values.meter_values == VALUES["meterValue"]
    assert (progress.transaction_id, progress.register_wh, progress.power_w) == (7, 1500.0, 7200.0)


def test_a_callback_is_called_with_the_events_that_it_asked_for(system, charge_point):
    seen = []
    subscription = system.subscribe([StatusChanged, AuthorizationRequested], seen.append)
    call(charge_point, "StatusNotification", STATUS)
    call(charge_point, "MeterValues", VALUES)
    call(charge_point, "Authorize", {"idTag": "T1"})
    until(lambda: len(seen) == 2)
    assert kinds(seen) == ["StatusChanged", "AuthorizationRequested"]
    subscription.close()
    call(charge_point, "StatusNotification", STATUS)
    assert len(seen) == 2


def test_a_callback_that_fails_is_called_again_for_the_next_event(system, charge_point, caplog):
    seen = []

    def fail(event):
        seen.append(event)
        raise RuntimeError("no")

    system.subscribe(StatusChanged, fail)
    for _ in range(2):
        call(charge_point, "StatusNotification", STATUS)
    until(lambda: len(seen) == 2)
    assert "A subscriber failed" in caplog.text


def test_what_a_subscriber_does_not_keep_up_with_is_dropped_and_counted(system, charge_point):
    subscription = system.subscribe(StatusChanged, queue_limit=2)
    for _ in range(5):
        call(charge_point, "StatusNotification", STATUS)
    until(lambda: subscription.dropped == 3)
    assert kinds([subscription.next(0), subscription.next(0)]) == ["StatusChanged"] * 2
    assert subscription.next(0) is None
    assert system.counters.counts["event_dropped"] == 3


def test_a_subscription_may_be_to_one_charge_point(system, charge_point):
    other = system.subscribe(StatusChanged, charge_point_id="CP2")
    call(charge_point, "StatusNotification", STATUS)
    assert other.next(0) is None


def test_an_iteration_ends_when_its_subscription_is_closed(system, charge_point):
    subscription = system.subscribe(ChargePointOffline)
    reader = gevent.spawn(list, subscription)
    charge_point.cut()
    until(lambda: not system.charge_point("CP1").online)
    subscription.close()
    assert kinds(reader.get(timeout=60)) == ["ChargePointOffline"]


def test_every_subscription_ends_with_the_system():
    with CentralSystem(Settings(port=0)) as system:
        subscription = system.subscribe(ChargePointOnline)
        reader = gevent.spawn(list, subscription)
    assert reader.get(timeout=60) == []
    assert subscription.closed
    with pytest.raises(RuntimeError, match="not running"):
        system.subscribe(ChargePointOnline)


def test_nothing_listens_when_nobody_has_subscribed():
    with CentralSystem(Settings(port=0)) as system:
        assert not system._parts.router.watched
        subscription = system.subscribe(MeterValuesReceived)
        assert system._parts.router.watched
        subscription.close()
        assert not system._parts.router.watched


def test_only_events_can_be_listened_to():
    with pytest.raises(TypeError, match="not a kind of event"):
        on(str)
    assert TransactionUpdated in LIVE
