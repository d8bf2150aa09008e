"""Reports with odd contents: each is answered, and stored in every kind of store that needs no server."""

import json

import pytest

from chargehand import CentralSystem, Settings
from chargehand.simulator.client import Client
from chargehand.web.variables import variable
from chargehand.web.views import encode

TIME = "2026-01-01T00:00:00Z"
BOOT = {"reason": "PowerUp", "chargingStation": {"model": "One", "vendorName": "Acme"}}


def report(component=None, variable=None, attributes=None, **more):
    data = {
        "component": component or {"name": "C"},
        "variable": variable or {"name": "V"},
        "variableAttribute": attributes if attributes is not None else [{"value": "1"}],
        **more,
    }
    return {"requestId": 7, "generatedAt": TIME, "seqNo": 0, "reportData": [data]}


HALF = "\ud800"
PAYLOADS = {
    "a large EVSE": report({"name": "C", "evse": {"id": 2**70, "connectorId": -(2**70)}}),
    "large numbers": {**report(), "requestId": 2**70, "seqNo": 2**70},
    "negative numbers": {**report(), "requestId": -1, "seqNo": -1},
    "halves and NUL": report(
        {"name": f"C{HALF}\0", "instance": HALF},
        {"name": f"V\0{HALF}", "instance": "\0"},
        [{"value": f"{HALF}\0"}],
    ),
    "brackets": report({"name": "a[b].c/d"}, {"name": "[]/."}),
    "empty names": report({"name": ""}, {"name": ""}),
    "no attributes": report(attributes=[]),
    "many attributes": report(
        attributes=[{"type": kind, "value": kind} for kind in ("Actual", "Target", "x", "Actual")]
    ),
    "a wrong attribute": report(
        attributes=[{"type": "Wrong", "value": 5, "mutability": 7, "persistent": "yes"}]
    ),
    "odd limits": report(
        variableCharacteristics={"dataType": "what", "minLimit": 1e300, "maxLimit": -1e-300, "unit": HALF}
    ),
    "text for limits": report(variableCharacteristics={"minLimit": "5", "supportsMonitoring": "true"}),
    "no data": {"requestId": 7, "generatedAt": TIME, "seqNo": 0},
    "odd data": {
        "requestId": 7,
        "generatedAt": TIME,
        "seqNo": 0,
        "reportData": [{}, 5, None, {"component": "C"}],
    },
    "a long value": report(attributes=[{"value": "x" * 5000}]),
    "own data": report({"name": "C", "customData": {"vendorId": "V", "a": [1.50, None]}}),
}


@pytest.fixture(params=["memory", "sqlite"])
def system(request, tmp_path):
    with CentralSystem(Settings(port=0, store=request.param, data=str(tmp_path))) as running:
        yield running


def answers(system, *payloads):
    """Send reports; return their answers, by number."""
    station = Client.connect(f"ws://127.0.0.1:{system.port}/ocpp/CP1", subprotocols=["ocpp2.0.1"])
    found = {}
    try:
        station.send_text(json.dumps([2, "boot", "BootNotification", BOOT]).encode())
        for number, payload in enumerate(payloads):
            station.send_text(json.dumps([2, str(number), "NotifyReport", payload]).encode())
        while len(found) < len(payloads) + 1:
            for message in station.receive():
                kind, unique_id, *rest = json.loads(message)
                found[unique_id] = [kind, *rest]
    finally:
        station.close()
    return [found[str(number)] for number in range(len(payloads))]


def test_odd_reports_are_answered_and_stored(system):
    found = dict(zip(PAYLOADS, answers(system, *PAYLOADS.values()), strict=True))
    assert {name: answer for name, answer in found.items() if answer != [3, {}]} == {}
    assert system.reports.of("CP1")
    shown = [encode(variable(one)) for one in system.variables.of("CP1")]
    assert len(shown) >= 7
    counts = system.counters.counts
    assert (counts.get("handler_failed", 0), counts.get("fallback", 0)) == (0, 0)
