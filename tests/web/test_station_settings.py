"""Monitors, messages of displays and network profiles over HTTP."""

import datetime as dt

import pytest

from chargehand import DisplayMessage, Monitor, NetworkProfile

NOW = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
AT = "2026-11-28T12:00:00Z"


@pytest.fixture
def collections(system):
    return system.store.collections


def test_monitors_are_listed_the_newest_first(client, collections):
    for number, charge_point in enumerate(("CP1", "CP2", "CP1")):
        collections.monitors.put(
            Monitor(
                monitor_id=number,
                charge_point_id=charge_point,
                variable="A.B",
                kind="Delta",
                value=1.5,
                severity=4,
                accepted_at=NOW + number * HOUR,
                ours=True,
            )
        )

    def shown(**query):
        answer = client.simulate_get("/api/v1/monitors", params=query).json
        return [row["monitor_id"] for row in answer["monitors"]], answer["more"]

    assert shown() == ([2, 1, 0], False)
    assert shown(charge_point="CP1") == ([2, 0], False)
    assert shown(limit=1) == ([2], True)
    assert shown(charge_point="CP9") == ([], False)
    assert client.simulate_get("/api/v1/monitors").json["monitors"][2] == {
        "monitor_id": 0,
        "charge_point": "CP1",
        "variable": "A.B",
        "kind": "Delta",
        "value": 1.5,
        "severity": 4,
        "transaction_only": False,
        "ours": True,
        "accepted_at": AT,
    }


def test_messages_of_displays_and_network_profiles_are_listed(client, collections):
    data = {"id": 3}
    collections.display_messages.put(
        DisplayMessage(
            message_id=3, charge_point_id="CP1", text="x", priority="InFront", accepted_at=NOW, data=data
        )
    )
    collections.network_profiles.put(
        NetworkProfile(slot=1, charge_point_id="CP1", accepted_at=NOW, data={"securityProfile": 2})
    )
    (message,) = client.simulate_get("/api/v1/display-messages").json["display_messages"]
    assert message == {
        "message_id": 3,
        "charge_point": "CP1",
        "text": "x",
        "priority": "InFront",
        "state": "",
        "transaction_id": None,
        "accepted_at": AT,
        "data": data,
    }
    (profile,) = client.simulate_get("/api/v1/network-profiles").json["network_profiles"]
    assert profile == {
        "slot": 1,
        "charge_point": "CP1",
        "accepted_at": AT,
        "data": {"securityProfile": 2},
    }
