"""Security events of the system and of charge points: stored, listed, streamed; critical ones raise alerts."""

import datetime as dt

import pytest

from chargehand import (
    AlertRaised,
    AuthSettings,
    SecurityEventReceived,
    SessionSettings,
    Settings,
    v16,
    v201,
)
from chargehand.simulator import HandshakeRefused
from chargehand.simulator.v201 import Station

from ..hub import until
from ..in_process import QUICK, connect, system_with

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def served(**options):
    return system_with(settings=Settings(port=0, supervision=QUICK, **options))


def fails(system, identity="CP1", **options):
    with pytest.raises(HandshakeRefused), connect(system, identity, **options):
        pass


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_a_wrong_password_and_an_unknown_charge_point_are_stored_and_told(store, tmp_path):
    seen = []
    auth = AuthSettings(credentials={"CP1": "a password"})
    with served(auth=auth, store=store, data=str(tmp_path)) as system:
        system.subscribe(SecurityEventReceived, seen.append)
        fails(system, password=b"a wrong one")
        fails(system, "STRANGER", password=b"a password")
        until(lambda: len(seen) == 2)
        assert [(one.charge_point_id, one.type, one.source) for one in seen] == [
            ("CP1", "WrongCredentials", "central_system"),
            ("", "UnknownChargePoint", "central_system"),
        ]
        assert seen[0].info == "wrong credentials"
        assert seen[1].data["identity"] == "STRANGER"
        assert "a wrong one" not in repr(seen)
        assert len(system.store.events(kind="own_security")) == 2


def test_a_charge_point_that_connects_too_often_is_stored_once_a_minute():
    sessions = SessionSettings(reconnect_rate=0.001, reconnect_burst=1, close_timeout_s=0.1)
    with served(sessions=sessions) as system:
        with connect(system, "CP1"):
            pass
        for _ in range(5):
            fails(system)
        (event,) = system.store.events(kind="own_security")
        assert (event.charge_point_id, event.data["type"]) == ("CP1", "ConnectsTooOften")


def critical(type_, client):
    if client == "1.6":
        return v16.SecurityEventNotification(type=type_, timestamp=NOW, tech_info="the lid")
    return v201.SecurityEventNotification(type=type_, timestamp=NOW, tech_info="the lid")


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_a_critical_event_of_a_charge_point_raises_an_alert_and_another_does_not(version):
    alerts, events = [], []
    with served() as system:
        system.subscribe(AlertRaised, alerts.append)
        system.subscribe(SecurityEventReceived, events.append)
        url = f"ws://127.0.0.1:{system.port}/ocpp/"
        with connect(system) if version == "1.6" else Station(url, "CP1") as charge_point:
            for type_ in ("InvalidMessages", "TamperDetectionActivated"):
                charge_point.send(critical(type_, version))
        until(lambda: len(events) == 2)
        until(lambda: alerts)
        (alert,) = alerts
        assert (alert.charge_point_id, alert.subject, alert.source) == (
            "CP1",
            "TamperDetectionActivated",
            "security_event",
        )
        assert (alert.severity, alert.text) == (2, "the lid")
        assert {one.source for one in events} == {"charge_point"}


def test_every_critical_type_of_2_0_1_has_a_severity_and_those_of_1_6_are_among_them():
    severities = v201.CRITICAL_SECURITY_EVENTS
    assert v16.CRITICAL_SECURITY_EVENTS.items() <= severities.items()
    assert all(0 <= severity <= 9 for severity in severities.values())
