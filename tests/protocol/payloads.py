"""Payloads that the tests of the payload reader and writer share."""

import json
from typing import Any

SAMPLE = {
    "value": "230.1",
    "context": "Sample.Periodic",
    "measurand": "Voltage",
    "phase": "L1-N",
    "unit": "V",
}
START = {"connectorId": 1, "idTag": "T1", "meterStart": 5, "timestamp": "2026-11-22T12:00:00Z"}


def meter(*samples: object) -> Any:
    """Make a MeterValues with the samples, or with three of the usual ones."""
    value = {"timestamp": "2026-11-22T12:00:00Z", "sampledValue": list(samples or [SAMPLE] * 3)}
    return {"connectorId": 1, "transactionId": 77, "meterValue": [value]}


def dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
