"""Actions of OCPP 2.0.1, and the smallest payloads that its schemas accept, from the schemas of PyPI `ocpp` alone.

Rule: it imports nothing of chargehand, so that a mistake of chargehand is not made twice.
"""

import json
from importlib.resources import files
from typing import Any

SCHEMAS = files("ocpp.v201") / "schemas"
SENT = (
    "BootNotification", "Authorize", "ClearedChargingLimit", "DataTransfer", "FirmwareStatusNotification",
    "Get15118EVCertificate", "GetCertificateStatus", "Heartbeat", "LogStatusNotification", "MeterValues",
    "NotifyChargingLimit", "NotifyCustomerInformation", "NotifyDisplayMessages", "NotifyEVChargingNeeds",
    "NotifyEVChargingSchedule", "NotifyEvent", "NotifyMonitoringReport", "NotifyReport",
    "PublishFirmwareStatusNotification", "ReportChargingProfiles", "ReservationStatusUpdate",
    "SecurityEventNotification", "SignCertificate", "StatusNotification", "TransactionEvent",
)  # fmt: skip
"""Actions of stations."""
COMMANDS = sorted(
    {one.name.removesuffix("Request.json") for one in SCHEMAS.iterdir() if one.name.endswith("Request.json")}
    - {*SENT}
    | {"DataTransfer"}
)
"""Actions of the central system, in alphabetical order."""
TIME = "2026-05-04T12:00:00Z"


def smallest_payload(name: str) -> dict[str, Any]:
    """Return the smallest payload of a message, as `ResetRequest`."""
    text = (SCHEMAS / f"{name}.json").read_text("utf-8-sig")
    schema = json.loads(text)
    payload: dict[str, Any] = _smallest(schema, schema.get("definitions", {}))
    if name == "SetChargingProfileRequest":  # the first purpose is one that a central system must not set
        payload["chargingProfile"]["chargingProfilePurpose"] = "TxDefaultProfile"
    return payload


def _smallest(schema: Any, definitions: Any) -> Any:
    if "$ref" in schema:
        return _smallest(definitions[schema["$ref"].rsplit("/")[-1]], definitions)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            members = schema.get("properties", {})
            return {name: _smallest(members[name], definitions) for name in schema.get("required", ())}
        case "array":
            return [_smallest(schema["items"], definitions)] * schema.get("minItems", 0)
        case "string":
            return TIME if schema.get("format") == "date-time" else "x"
        case "boolean":
            return False
    return 1
