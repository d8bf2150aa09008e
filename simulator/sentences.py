"""Sentences about the calls of a charge point of OCPP 1.6 and their answers, for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Payload = Mapping[str, Any]
"""Payload of a frame, as JSON."""


def _booted(request: Payload, response: Payload) -> str:
    who = f"{request['chargePointVendor']} {request['chargePointModel']}"
    return f"{who}: {response['status']}, a heartbeat every {response['interval']} s"


def _status(request: Payload, _: Payload) -> str:
    number = request["connectorId"]
    who = f"connector {number}" if number else "the charge point"
    return f"{who} is {request['status']}"


def _authorized(request: Payload, response: Payload) -> str:
    return f"{request['idTag']}: {response['idTagInfo']['status']}"


def _started(request: Payload, response: Payload) -> str:
    what = f"transaction {response['transactionId']} on connector {request['connectorId']}"
    return f"{what} for {request['idTag']}: {response['idTagInfo']['status']}"


def _metered(request: Payload, _: Payload) -> str:
    reading = request["meterValue"][-1]["sampledValue"][-1]
    return f"connector {request['connectorId']} is at {reading['value']} {reading.get('unit', 'Wh')}"


def _stopped(request: Payload, _: Payload) -> str:
    reason = request.get("reason", "Local")
    return f"transaction {request['transactionId']} at {request['meterStop']} Wh: {reason}"


def _beaten(_: Payload, response: Payload) -> str:
    return f"it is {response['currentTime']}"


SENTENCES: dict[str, Callable[[Payload, Payload], str]] = {
    "Authorize": _authorized,
    "BootNotification": _booted,
    "Heartbeat": _beaten,
    "MeterValues": _metered,
    "StartTransaction": _started,
    "StatusNotification": _status,
    "StopTransaction": _stopped,
}
"""Sentence makers by action; they raise LookupError or TypeError for a payload that breaks its contract."""
