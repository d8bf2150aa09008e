"""Smallest valid payload of every action that a charge point sends in OCPP 1.6, and its fallback answer."""

from typing import Any

TIME = "2026-01-01T00:00:00Z"
START = {"connectorId": 1, "idTag": "T1", "meterStart": 100, "timestamp": TIME}
STOP = {"transactionId": 1, "meterStop": 200, "timestamp": TIME}
METER_VALUES = {"connectorId": 1, "meterValue": [{"timestamp": TIME, "sampledValue": [{"value": "1"}]}]}

PASSIVE: dict[str, dict[str, Any]] = {
    "Authorize": {"idTag": "T1"},
    "BootNotification": {"chargePointVendor": "V", "chargePointModel": "M"},
    "DataTransfer": {"vendorId": "V"},
    "DiagnosticsStatusNotification": {"status": "Idle"},
    "FirmwareStatusNotification": {"status": "Idle"},
    "Heartbeat": {},
    "LogStatusNotification": {"status": "Idle"},
    "MeterValues": METER_VALUES,
    "SecurityEventNotification": {"type": "E", "timestamp": TIME},
    "SignCertificate": {"csr": "C"},
    "SignedFirmwareStatusNotification": {"status": "Idle"},
    "StartTransaction": START,
    "StatusNotification": {"connectorId": 1, "errorCode": "NoError", "status": "Available"},
    "StopTransaction": STOP,
}

STAND_INS: dict[str, Any] = {
    "Authorize": "InternalError",
    "BootNotification": "InternalError",
    "DataTransfer": "InternalError",
    "DiagnosticsStatusNotification": {},
    "FirmwareStatusNotification": {},
    "Heartbeat": {"currentTime": TIME},
    "LogStatusNotification": {},
    "MeterValues": {},
    "SecurityEventNotification": {},
    "SignCertificate": "InternalError",
    "SignedFirmwareStatusNotification": {},
    "StartTransaction": {"idTagInfo": {"status": "Accepted"}, "transactionId": 1},
    "StatusNotification": {},
    "StopTransaction": {},
}

TRANSACTION_MESSAGES = ("StartTransaction", "StopTransaction", "MeterValues")
