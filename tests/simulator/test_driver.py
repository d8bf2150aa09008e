"""The driver at a simulated charge point of a real central system."""

import pytest

from chargehand import BackOfficeSettings, CentralSystem, Settings, v16
from chargehand.simulator import ChargePoint, Kind, NotPossible

from .conftest import url_of


def test_a_whole_session(system):
    with ChargePoint(url_of(system), "CP1", vendor="Acme", model="One") as charge_point:
        transaction = charge_point.charge("TAG1", readings=3, wh=200)
        known = system.charge_point("CP1")
        assert known.boot.charge_point_vendor == "Acme"
        assert {id_: str(told.status) for id_, told in known.connectors.items()} == {
            0: "Available",
            1: "Available",
            2: "Available",
        }
    stored = system.store.transaction(transaction.id)
    assert (stored.id_tag, stored.meter_start, stored.meter_stop, stored.stop_reason) == (
        "TAG1",
        0,
        600,
        "Local",
    )
    assert len(charge_point.record.calls("MeterValues")) == 3


def test_a_tag_that_may_not_charge_does_not():
    settings = Settings(port=0, back_office=BackOfficeSettings(accept_all_tags=False))
    with CentralSystem(settings) as system, ChargePoint(url_of(system), "CP1") as charge_point:
        assert charge_point.charge("TAG1") is None
        assert charge_point.record.calls("StartTransaction") == []
        assert charge_point.connectors[1].status == "Available"


def test_the_driver_can_do_only_what_is_possible(booted):
    with pytest.raises(NotPossible):
        booted.start("TAG1")
    with pytest.raises(NotPossible):
        booted.plug_in(3)


def test_a_connector_breaks_down_and_is_repaired(booted, system):
    booted.break_down(2, v16.ChargePointErrorCode.GROUND_FAILURE)
    assert system.charge_point("CP1").connectors[2].error_code == "GroundFailure"
    booted.break_down(2, v16.ChargePointErrorCode.NO_ERROR)
    booted.break_down(0)
    connectors = system.charge_point("CP1").connectors
    assert (connectors[2].status, connectors[0].status) == ("Available", "Faulted")


def test_a_charging_vehicle_suspends_and_resumes(booted):
    booted.plug_in()
    booted.start("TAG1")
    booted.suspend()
    booted.suspend(by_vehicle=False)
    booted.resume()
    told = [entry.payload["status"] for entry in booted.record.calls("StatusNotification")]
    assert told[-3:] == ["SuspendedEV", "SuspendedEVSE", "Charging"]


def test_a_charge_point_can_be_used_again_after_its_end(make, system):
    charge_point = make()
    for _ in range(2):
        with charge_point:
            assert charge_point.send(v16.Heartbeat()).current_time
        assert not charge_point.online
        charge_point.close()
    assert [entry.data for entry in charge_point.record if entry.kind is Kind.CLOSED] == [b"1000 "] * 2


def test_a_second_connect_is_refused(booted):
    with pytest.raises(RuntimeError):
        booted.connect()
    assert booted.online
