"""Sentences about the calls of a station of OCPP 2.0.1 and their answers, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..sentences import Payload


def _booted(request: Payload, response: Payload) -> str:
    hardware = request["chargingStation"]
    who = f"{hardware['vendorName']} {hardware['model']}"
    return f"{who}, {request['reason']}: {response['status']}, a heartbeat every {response['interval']} s"


def _status(request: Payload, _: Payload) -> str:
    return f"connector {request['connectorId']} of EVSE {request['evseId']} is {request['connectorStatus']}"


def _authorized(request: Payload, response: Payload) -> str:
    return f"{request['idToken']['idToken']}: {response['idTokenInfo']['status']}"


def _happened(request: Payload, response: Payload) -> str:
    info = request["transactionInfo"]
    parts = [f"{request['eventType']} {request['seqNo']} of transaction {info['transactionId']}"]
    parts.append(request["triggerReason"])
    if request["eventType"] == "Ended":
        parts.append(info.get("stoppedReason", "Local"))
    elif "chargingState" in info:
        parts.append(info["chargingState"])
    if "meterValue" in request:
        parts.append(_reading(request))
    if "idTokenInfo" in response:
        parts.append(f"{request['idToken']['idToken']} is {response['idTokenInfo']['status']}")
    return ", ".join(parts)


def _reading(request: Payload) -> str:
    reading = request["meterValue"][-1]["sampledValue"][-1]
    return f"{reading['value']} {reading.get('unitOfMeasure', {}).get('unit', 'Wh')}"


def _metered(request: Payload, _: Payload) -> str:
    return f"EVSE {request['evseId']} is at {_reading(request)}"


def _beaten(_: Payload, response: Payload) -> str:
    return f"it is {response['currentTime']}"


SENTENCES: dict[str, Callable[[Payload, Payload], str]] = {
    "Authorize": _authorized,
    "BootNotification": _booted,
    "Heartbeat": _beaten,
    "MeterValues": _metered,
    "StatusNotification": _status,
    "TransactionEvent": _happened,
}
"""Sentence makers by action; they raise LookupError or TypeError for a payload that breaks its contract."""
