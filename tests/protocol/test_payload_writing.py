"""Payloads that chargehand writes: their form, and the refusal of invalid ones."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from chargehand.protocol import v16
from chargehand.protocol.errors import InvalidPayload
from chargehand.protocol.message import Message
from chargehand.protocol.payload import build, encode, typed

from .payloads import dump

NOON = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)


def test_a_message_is_written_in_the_order_of_its_declaration_without_what_is_absent():
    info = v16.IdTagInfo(status=v16.AuthorizationStatus.ACCEPTED, expiry_date=NOON)
    response = v16.StartTransactionResponse(transaction_id=77, id_tag_info=info)
    expected = b'{"idTagInfo":{"expiryDate":"2026-11-22T12:00:00Z","status":"Accepted"},"transactionId":77}'
    assert build(v16.StartTransactionResponse, response) == expected
    assert encode(response) == expected


def test_a_mapping_is_written_like_its_message():
    mapping = {"transactionId": 77, "idTagInfo": {"status": "Accepted", "expiryDate": NOON}}
    expected = b'{"idTagInfo":{"expiryDate":"2026-11-22T12:00:00Z","status":"Accepted"},"transactionId":77}'
    assert build(v16.StartTransactionResponse, mapping) == expected


@pytest.mark.parametrize(
    ("time", "written"),
    [
        (NOON.replace(microsecond=999_999), "2026-11-22T12:00:00Z"),
        (NOON.astimezone(dt.timezone(dt.timedelta(hours=5.5))), "2026-11-22T12:00:00Z"),
        (dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))), "0001-01-01T00:00:00+01:00"),
    ],
)
def test_times_are_written_in_whole_utc_seconds(time: dt.datetime, written: str):
    message = v16.HeartbeatResponse(current_time=time)
    assert build(v16.HeartbeatResponse, message) == dump({"currentTime": written})
    assert encode(message) == dump({"currentTime": written})


def test_times_are_whole_however_deep_they_are():
    odd = NOON.replace(microsecond=5)
    sample = v16.SampledValue(value="1")
    message = v16.MeterValues(
        connector_id=0, meter_value=(v16.MeterValue(timestamp=odd, sampled_value=(sample,)),)
    )
    assert b'"timestamp":"2026-11-22T12:00:00Z"' in encode(message)


def test_numbers_are_written_as_they_are():
    period = v16.ChargingSchedulePeriod(start_period=0, limit=Decimal("16.1"))
    assert encode(period) == b'{"startPeriod":0,"limit":16.1}'
    assert build(v16.ChargingSchedulePeriod, {"startPeriod": 0, "limit": 16.1}) == encode(period)


def test_an_empty_message_is_written_as_two_brackets():
    assert build(v16.Heartbeat, v16.Heartbeat()) == b"{}"
    assert build(v16.Heartbeat, {}) == b"{}"
    assert encode(v16.Heartbeat()) == b"{}"


def test_a_mapping_may_hold_messages_and_a_message_a_mapping():
    info = v16.IdTagInfo(status=v16.AuthorizationStatus.INVALID)
    inside: Any = {"status": "Invalid"}
    expected = b'{"idTagInfo":{"status":"Invalid"}}'
    assert build(v16.AuthorizeResponse, {"idTagInfo": info}) == expected
    assert build(v16.AuthorizeResponse, v16.AuthorizeResponse(id_tag_info=inside)) == expected


def invalid(kind: type[Message], value: Any) -> list[str]:
    with pytest.raises(InvalidPayload) as caught:
        build(kind, value)
    assert caught.value.message == kind.__name__
    return [str(violation) for violation in caught.value.violations]


def test_what_breaks_the_contract_is_not_written_and_every_violation_is_told():
    wrong = v16.StartTransactionResponse(id_tag_info={"parentIdTag": "x" * 21}, transaction_id="7")  # type: ignore[arg-type]
    assert invalid(v16.StartTransactionResponse, wrong) == [
        "idTagInfo.parentIdTag is longer than 20 characters",
        "idTagInfo.status is required",
        "transactionId is not an integer",
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"currentTime": dt.datetime(2026, 1, 1)}, "currentTime has no time zone"),  # noqa: DTZ001
        ({"currentTime": None}, "currentTime is null"),
        ({"currentTime": float("nan")}, "currentTime is null"),
        ({"currentTime": Decimal("NaN")}, "payload is not readable JSON"),
        ({"current_time": NOON}, "currentTime is required"),
        ({}, "currentTime is required"),
        (v16.ResetResponse(status=v16.ResetStatus.ACCEPTED), "payload is a ResetResponse, not a HeartbeatResponse"),
        (None, "payload is a NoneType"),
        ("{}"[:1], "payload is not readable JSON"),
        ({"currentTime": object()}, "payload cannot be written as JSON"),
        ({"currentTime": "\ud800"}, "payload cannot be written as JSON"),
        ({"currentTime": 10**5000}, "payload cannot be written as JSON"),
        ({(1, 2): 3}, "payload cannot be written as JSON"),
    ],
)  # fmt: skip
def test_nonsense_of_ours_is_an_invalid_payload(value: object, expected: str):
    assert invalid(v16.HeartbeatResponse, value)[0].startswith(expected)


def test_a_mapping_that_holds_itself_is_an_invalid_payload():
    loop: dict[str, Any] = {}
    loop["currentTime"] = loop
    assert invalid(v16.HeartbeatResponse, loop)[0].startswith("payload cannot be written as JSON")


@pytest.mark.parametrize(
    "value",
    [
        v16.ChangeConfiguration(key="HeartbeatInterval", value="60"),
        {"key": "HeartbeatInterval", "value": "60"},
        '{"key":"HeartbeatInterval","value":"60"}',
        b'{"key":"HeartbeatInterval","value":"60"}',
    ],
)
def test_a_message_is_made_of_a_message_a_mapping_or_json(value: Any):
    expected = v16.ChangeConfiguration(key="HeartbeatInterval", value="60")
    assert typed(v16.ChangeConfiguration, value) == expected


def test_json_of_ours_is_read_strictly():
    with pytest.raises(InvalidPayload, match="ChangeConfiguration: value is not a string"):
        typed(v16.ChangeConfiguration, '{"key":"HeartbeatInterval","value":60}')
    with pytest.raises(InvalidPayload, match="is not readable JSON"):
        typed(v16.ChangeConfiguration, b"\xff")
    with pytest.raises(InvalidPayload, match="cannot be written as JSON"):
        typed(v16.ChangeConfiguration, "\ud800")
