"""Facts that a charge point told one process are shown by the next one: while it is away, and when it comes back."""

import contextlib

import msgspec
import pytest

from chargehand import Settings, v16
from chargehand.actors.runtime import threads
from chargehand.simulator.client import Client
from chargehand.store.sqlite import SqliteStore
from chargehand.web.charge_point_views import stored_facts

from ..hub import until
from ..in_process import system_with

BOOT = b'[2,"b","BootNotification",{"chargePointVendor":"V","chargePointModel":"M","firmwareVersion":"9.9"}]'
HEARTBEAT = b'[2,"h","Heartbeat",{}]'


def status(connector_id, state=b"Available"):
    text = b'[2,"s","StatusNotification",{"connectorId":%d,"errorCode":"NoError","status":"%b"}]'
    return text % (connector_id, state)


@pytest.fixture
def open_store(tmp_path):
    stores = []

    def open_():
        stores.append(SqliteStore.open(str(tmp_path / "store.sqlite"), threads))
        return stores[-1]

    yield open_
    for store in stores:
        store.close()


@contextlib.contextmanager
def served(open_store, *frames):
    """Serve one charge point that sends these frames, each after the answer to the previous one."""
    store = open_store()
    with system_with(settings=Settings(port=0), store=store) as system:
        client = Client.connect(f"ws://127.0.0.1:{system.port}/ocpp/CP1", subprotocols=["ocpp1.6"])
        for frame in frames:
            client.send_text(frame)
            client.receive()
        yield system
        client.close()
    store.close()


def test_boot_facts_and_connectors_are_known_again_without_a_boot(open_store):
    with served(open_store, BOOT, status(0), status(1), status(2), status(1, b"Charging")):
        pass
    with served(open_store, HEARTBEAT) as system:
        until(lambda: system.charge_point("CP1").boot is not None)
        known = system.charge_point("CP1")
        assert known.boot.firmware_version == "9.9"
        assert sorted(known.connectors) == [0, 1, 2]
        assert known.connectors[1].status is v16.ChargePointStatus.CHARGING


def test_what_was_told_before_is_shown_of_one_that_is_away(open_store):
    with served(open_store, BOOT, status(0), status(10), status(2)):
        pass
    store = open_store()
    shown = stored_facts("CP1", store.registration("CP1"), store.told("CP1"))
    encoded = msgspec.json.decode(msgspec.json.encode({"boot": shown.boot, "connectors": shown.connectors}))
    assert encoded["boot"]["firmwareVersion"] == "9.9"
    assert [one["connectorId"] for one in encoded["connectors"]] == [0, 2, 10]
    assert [(one.evse, one.connector) for one in shown.statuses] == [(0, 0), (2, 1), (10, 1)]
