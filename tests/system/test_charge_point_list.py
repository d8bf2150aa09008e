"""Rows of charge points: chosen by a filter, page by page, with the same facts whether they are here or only stored."""

import contextlib
import datetime as dt

import pytest

from chargehand import Settings
from chargehand.actors.runtime import threads
from chargehand.protocol.energy import Quantity, Sample, latest_power_w
from chargehand.simulator.client import Client
from chargehand.store.sqlite import SqliteStore
from chargehand.system.charge_point_list import ChargePointQuery, firmware_order

from ..in_process import system_with

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
START = b'{"connectorId":1,"idTag":"T1","meterStart":0,"timestamp":"2026-01-01T00:00:00Z"}'


def boot(model, firmware):
    return (
        b'[2,"b","BootNotification",{"chargePointVendor":"V","chargePointModel":"%b","firmwareVersion":"%b"}]'
        % (
            model,
            firmware,
        )
    )


def status(state, error=b"NoError"):
    return (
        b'[2,"s","StatusNotification",{"connectorId":1,"errorCode":"%b","status":"%b","timestamp":"2026-01-01T01:00:00+01:00"}]'
        % (error, state)
    )


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
def serving(store, **frames):
    """Serve charge points of these names, each of which has sent its frames."""
    with system_with(settings=Settings(port=0), store=store) as system, contextlib.ExitStack() as clients:
        for id_, sent in frames.items():
            client = Client.connect(f"ws://127.0.0.1:{system.port}/ocpp/{id_}", subprotocols=["ocpp1.6"])
            clients.callback(client.close)
            for frame in sent:
                client.send_text(frame)
                client.receive()
        yield system


FLEET = {
    "CP1": (boot(b"Mini", b"1.9.0"), status(b"Faulted", b"GroundFailure")),
    "CP2": (boot(b"Maxi", b"1.10.0"), status(b"Available")),
    "CP3": (boot(b"Maxi", b"v1.10.0-rc2"), status(b"Charging")),
}


def ids(system, **wanted):
    return [row.id for row in system.charge_point_list.page(ChargePointQuery(**wanted), limit=100).rows]


def test_rows_are_chosen_by_status_model_firmware_and_text(open_store):
    with serving(open_store(), **FLEET) as system:
        assert ids(system) == ["CP1", "CP2", "CP3"]
        assert ids(system, status=frozenset({"faulted"})) == ["CP1"]
        assert ids(system, status=frozenset({"faulted", "charging"})) == ["CP1", "CP3"]
        assert ids(system, model="max*") == ["CP2", "CP3"]
        assert ids(system, firmware_below="1.10.0") == ["CP1", "CP3"]
        assert ids(system, firmware="1.1?.*") == ["CP2"]
        assert ids(system, q="RC2") == ["CP3"]
        assert ids(system, id="CP[12]", vendor="v") == ["CP1", "CP2"]
        assert ids(system, ids=frozenset({"CP1", "CP3", "CP9"})) == ["CP1", "CP3"]
        assert ids(system, version=frozenset({"2.0.1"})) == []
        assert ids(system, silent_s=3600.0) == []
        assert ids(system, silent_s=1e-9) == ["CP1", "CP2", "CP3"]
        assert ids(system, connected=False) == []
        assert ids(system, worker=1) == []


def test_a_row_has_what_the_charge_point_has_told(open_store):
    with serving(open_store(), **FLEET) as system:
        (row,) = system.charge_point_list.page(ChargePointQuery(id="CP1"), limit=1).rows
        assert (row.vendor, row.model, row.firmware, row.version) == ("V", "Mini", "1.9.0", "1.6")
        (connector,) = row.connectors
        assert (connector.status, connector.error, connector.since) == ("Faulted", "GroundFailure", NOW)
        assert row.heard_at is not None
        assert row.heard_at >= row.connected_at


def test_a_page_ends_with_its_limit_and_goes_on_behind_an_id(open_store):
    with serving(open_store(), **FLEET) as system:
        page = system.charge_point_list.page(ChargePointQuery(), limit=2)
        assert ([row.id for row in page.rows], page.more) == (["CP1", "CP2"], True)
        page = system.charge_point_list.page(ChargePointQuery(), after="CP2", limit=2)
        assert ([row.id for row in page.rows], page.more) == (["CP3"], False)


def test_one_that_only_the_store_knows_is_found_by_the_same_facts(open_store):
    with serving(open_store(), **FLEET):
        pass
    with serving(open_store(), CP2=FLEET["CP2"]) as system:
        assert ids(system) == ["CP2"]
        assert ids(system, stored=True, status=frozenset({"faulted"}), model="mini") == ["CP1"]
        assert ids(system, stored=True, connected=False) == ["CP1", "CP3"]
        rows = {
            row.id: row for row in system.charge_point_list.page(ChargePointQuery(stored=True), limit=9).rows
        }
        assert (rows["CP1"].registration, rows["CP1"].firmware) == ("Accepted", "1.9.0")
        assert rows["CP1"].heard_at is not None


def test_the_power_is_that_of_the_last_reading_of_its_open_transaction(open_store):
    def reading(power_w, second):
        sampled = b'{"value":"%d","measurand":"Power.Active.Import","unit":"W"}' % power_w
        values = b'[{"timestamp":"2026-01-01T00:00:%02dZ","sampledValue":[%b]}]' % (second, sampled)
        return b'[2,"m%d","MeterValues",{"connectorId":1,"transactionId":1,"meterValue":%b}]' % (
            second,
            values,
        )

    frames = (boot(b"M", b"1"), b'[2,"t","StartTransaction",%b]' % START, reading(7000, 1), reading(3500, 2))
    with serving(open_store(), CP1=frames) as system:
        assert system.store.open_transactions("CP1")[0].id == 1
        (row,) = system.charge_point_list.page(ChargePointQuery(), limit=9).rows
        assert row.power_w == 3500
        (row,) = system.charge_point_list.page(ChargePointQuery(), limit=9, fields=("id",)).rows
        assert row.power_w is None


def test_the_power_of_a_moment_is_that_of_its_phases_together():
    def sample(value, phase="", seconds=0):
        return Sample(NOW + dt.timedelta(seconds=seconds), Quantity.POWER, value, phase)

    assert latest_power_w([sample(1, "L1", 5), sample(2, "L2", 5), sample(9, "", 0)]) == 3
    assert latest_power_w([]) is None


def test_versions_of_firmware_are_in_the_order_of_their_numbers():
    wanted = ["1.2", "1.9.0", "1.10.0-rc1", "V1.10.0", "1.10.0.1", "FW-2"]
    assert sorted(set(wanted), key=firmware_order) == wanted
    assert firmware_order("stable") == firmware_order("Stable")
