"""Sentences about the calls of a station of OCPP 2.0.1."""

import pytest

from chargehand.simulator.v201.sentences import SENTENCES

EVENT = {
    "eventType": "Updated",
    "seqNo": 2,
    "triggerReason": "MeterValuePeriodic",
    "transactionInfo": {"transactionId": "t", "chargingState": "Charging"},
    "meterValue": [{"sampledValue": [{"value": 12}]}],
}


@pytest.mark.parametrize(
    ("action", "request_", "response", "sentence"),
    [
        (
            "BootNotification",
            {"reason": "PowerUp", "chargingStation": {"vendorName": "A", "model": "B"}},
            {"status": "Pending", "interval": 9},
            "A B, PowerUp: Pending, a heartbeat every 9 s",
        ),
        (
            "StatusNotification",
            {"evseId": 1, "connectorId": 2, "connectorStatus": "Occupied"},
            {},
            "connector 2 of EVSE 1 is Occupied",
        ),
        (
            "Authorize",
            {"idToken": {"idToken": "T1"}},
            {"idTokenInfo": {"status": "Blocked"}},
            "T1: Blocked",
        ),
        ("TransactionEvent", EVENT, {}, "Updated 2 of transaction t, MeterValuePeriodic, Charging, 12 Wh"),
        (
            "TransactionEvent",
            {
                **EVENT,
                "eventType": "Ended",
                "idToken": {"idToken": "T1"},
                "transactionInfo": {"transactionId": "t", "stoppedReason": "Remote"},
            },
            {"idTokenInfo": {"status": "Accepted"}},
            "Ended 2 of transaction t, MeterValuePeriodic, Remote, 12 Wh, T1 is Accepted",
        ),
        (
            "MeterValues",
            {
                "evseId": 1,
                "meterValue": [{"sampledValue": [{"value": 12.5, "unitOfMeasure": {"unit": "kWh"}}]}],
            },
            {},
            "EVSE 1 is at 12.5 kWh",
        ),
        ("Heartbeat", {}, {"currentTime": "2026-01-01T00:00:00Z"}, "it is 2026-01-01T00:00:00Z"),
    ],
)
def test_a_call_of_ocpp_201_and_its_answer_are_one_sentence(action, request_, response, sentence):
    assert SENTENCES[action](request_, response) == sentence
