"""All 26 active commands over HTTP, answered by a charge point that shares no code with chargehand."""

from typing import Any

import pytest

from .conftest import StartClient
from .server import Server

CHARGING_PROFILE = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Absolute",
    "chargingSchedule": {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.1, "numberPhases": 3}],
        "minChargingRate": 6.5,
    },
}
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
HASH = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb", "serialNumber": "01"}
ACCEPTED = {"status": "Accepted"}

# Action, request, what `client.py` answers to it.
COMMANDS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("CancelReservation", {"reservationId": 5}, ACCEPTED),
    ("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}, {"status": "Scheduled"}),
    ("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}, {"status": "RebootRequired"}),
    ("ClearCache", {}, ACCEPTED),
    ("ClearChargingProfile", {"id": 3, "stackLevel": 1}, {"status": "Unknown"}),
    (
        "DataTransfer",
        {"vendorId": "acme", "messageId": "m", "data": "über ⚡"},
        {"status": "Accepted", "data": "über ⚡"},
    ),
    (
        "GetConfiguration",
        {"key": ["HeartbeatInterval", "Nonsense"]},
        {
            "configurationKey": [{"key": "HeartbeatInterval", "readonly": False, "value": "300"}],
            "unknownKey": ["Nonsense"],
        },
    ),
    (
        "GetDiagnostics",
        {"location": "ftp://example.com/up", "retries": 2, "startTime": "2026-01-01T00:00:00Z"},
        {"fileName": "diagnostics.log"},
    ),
    ("GetLocalListVersion", {}, {"listVersion": 7}),
    (
        "RemoteStartTransaction",
        {
            "idTag": "TAG1",
            "connectorId": 1,
            "chargingProfile": {**CHARGING_PROFILE, "chargingProfilePurpose": "TxProfile"},
        },
        ACCEPTED,
    ),
    ("RemoteStopTransaction", {"transactionId": 17}, ACCEPTED),
    (
        "ReserveNow",
        {"connectorId": 1, "expiryDate": "2030-01-01T00:00:00Z", "idTag": "TAG1", "reservationId": 5},
        {"status": "Occupied"},
    ),
    ("Reset", {"type": "Soft"}, ACCEPTED),
    (
        "SendLocalList",
        {
            "listVersion": 8,
            "updateType": "Full",
            "localAuthorizationList": [
                {"idTag": "TAG1", "idTagInfo": {"status": "Accepted", "parentIdTag": "P"}}
            ],
        },
        ACCEPTED,
    ),
    ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": CHARGING_PROFILE}, ACCEPTED),
    ("TriggerMessage", {"requestedMessage": "MeterValues", "connectorId": 1}, {"status": "NotImplemented"}),
    ("UnlockConnector", {"connectorId": 1}, {"status": "Unlocked"}),
    ("UpdateFirmware", {"location": "https://example.com/f", "retrieveDate": "2026-01-01T00:00:00Z"}, {}),
    ("CertificateSigned", {"certificateChain": CERTIFICATE}, ACCEPTED),
    ("DeleteCertificate", {"certificateHashData": HASH}, {"status": "NotFound"}),
    ("ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}, ACCEPTED),
    (
        "GetInstalledCertificateIds",
        {"certificateType": "CentralSystemRootCertificate"},
        {"status": "Accepted", "certificateHashData": [HASH]},
    ),
    (
        "GetLog",
        {"log": {"remoteLocation": "ftp://example.com/up"}, "logType": "SecurityLog", "requestId": 1},
        {"status": "Accepted", "filename": "security.log"},
    ),
    (
        "InstallCertificate",
        {"certificateType": "ManufacturerRootCertificate", "certificate": CERTIFICATE},
        ACCEPTED,
    ),
    (
        "SignedUpdateFirmware",
        {
            "requestId": 2,
            "firmware": {
                "location": "https://example.com/f",
                "retrieveDateTime": "2026-01-01T00:00:00Z",
                "signingCertificate": CERTIFICATE,
                "signature": "c2ln",
            },
        },
        ACCEPTED,
    ),
]
COMPOSITE = ("GetCompositeSchedule", {"connectorId": 1, "duration": 600, "chargingRateUnit": "A"})


def names(payload: Any) -> set[str]:
    """Return all member names in a payload as `ocpp` hands them to its handlers: without case and underscores."""
    if isinstance(payload, dict):
        return {key.replace("_", "").lower() for key in payload} | {
            name for value in payload.values() for name in names(value)
        }
    if isinstance(payload, list):
        return {name for value in payload for name in names(value)}
    return set()


def test_all_26_active_commands_are_answered_over_http(server: Server, start_client: StartClient) -> None:
    client = start_client(server.ws + "CP1", "commands")
    client.wait_for("ready")
    for action, payload, response in COMMANDS:
        reply = server.command("CP1", action, payload)
        assert reply.status == 200, (action, reply)
        assert reply.json["state"] == "answered", (action, reply)
        assert reply.json["response"] == response, (action, reply)
        received = client.wait_for("command")
        assert received["action"] == action
        assert names(received["payload"]) == names(payload), (action, received)

    action, payload = COMPOSITE
    reply = server.command("CP1", action, payload)
    assert reply.status == 200, reply
    assert reply.json["response"]["chargingSchedule"] == {
        "duration": 600,
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.1, "numberPhases": 3}],
    }
    assert client.wait_for("command")["action"] == action
    assert len(client.of("command")) == 26

    client.tell_to_end()
    client.wait_for("done")
    assert client.exit_status() == 0


@pytest.mark.parametrize("action", [*(row[0] for row in COMMANDS if row[1]), COMPOSITE[0]])
def test_a_command_with_a_member_too_many_is_refused_before_it_is_sent(server: Server, action: str) -> None:
    payload = {**{row[0]: row[1] for row in COMMANDS}, COMPOSITE[0]: COMPOSITE[1]}[action]
    reply = server.command("CP1", action, {**payload, "colour": "red"})
    assert reply.status == 422, reply
    assert "colour" in reply.text
