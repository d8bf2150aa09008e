"""Payloads under the lenient policy: stand-ins for members that cannot be used."""

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand.protocol import v16
from chargehand.protocol.errors import Refused
from chargehand.protocol.payload import lenient, strict

RECEIVED = dt.datetime(2026, 5, 6, 7, 8, 9, tzinfo=dt.UTC)
START = {"connectorId": 1, "idTag": "T1", "meterStart": 5, "timestamp": "2026-05-06T07:00:00Z"}
STOP = {"meterStop": 9, "timestamp": "2026-05-06T07:00:00Z", "transactionId": 77}
MISSING = ...
"""Stand-in for a member that is left out."""
UNREADABLE = [MISSING, None, "", "no time", 1700000000, 1.5, True, {}, [], "2026-02-31T00:00:00Z"]


def dump(value):
    return json.dumps({key: one for key, one in value.items() if one is not MISSING}).encode()


def read(kind, payload, **how):
    return lenient(kind, dump(payload), received_at=RECEIVED, **how)


@pytest.mark.parametrize("time", UNREADABLE, ids=repr)
@pytest.mark.parametrize(("kind", "sound"), [(v16.StartTransaction, START), (v16.StopTransaction, STOP)])
def test_the_time_of_receipt_stands_in_for_one_that_cannot_be_read(kind, sound, time):
    message, (deviation,) = read(kind, sound | {"timestamp": time})
    assert message.timestamp == RECEIVED
    assert deviation.path == "timestamp"
    assert deviation.stood_in
    assert deviation.text.endswith("; the time of receipt stands in")
    assert deviation.value == ("" if time is MISSING else json.dumps(time))


@pytest.mark.parametrize("time", UNREADABLE, ids=repr)
def test_without_a_time_of_receipt_and_under_the_strict_policy_it_is_refused(time):
    payload = dump(START | {"timestamp": time})
    with pytest.raises(Refused):
        lenient(v16.StartTransaction, payload)
    with pytest.raises(Refused):
        strict(v16.StartTransaction, payload)


def test_a_message_that_is_unsound_elsewhere_is_still_refused():
    with pytest.raises(Refused) as caught:
        read(v16.StopTransaction, STOP | {"timestamp": "", "meterStop": {}})
    assert [one.path for one in caught.value.violations] == ["meterStop"]


def key(payload, received_at):
    message, deviations = lenient(v16.StartTransaction, dump(payload), received_at=received_at)
    return v16.StartTransaction.__action__.allots(message, deviations)


@given(st.sampled_from(UNREADABLE), st.datetimes(timezones=st.just(dt.UTC)))
def test_a_start_that_comes_again_has_its_key_again(time, later):
    payload = START | {"timestamp": time}
    assert key(payload, RECEIVED) == key(payload, later)


def test_starts_whose_times_cannot_be_read_differ_by_what_was_sent():
    keys = {key(START | {"timestamp": time}, RECEIVED) for time in UNREADABLE}
    assert len(keys) == len(UNREADABLE)


def test_a_time_that_can_be_read_is_in_the_key_as_a_time():
    assert key(START, RECEIVED)[2] == key(START | {"timestamp": "20260506T070000Z"}, RECEIVED)[2]
    assert v16.StartTransaction.__action__.allots(None, ()) is None


@pytest.mark.parametrize(
    ("zone", "hour"), [(dt.UTC, 7), (dt.timezone(dt.timedelta(hours=2)), 5), (None, None)], ids=str
)
def test_a_time_without_a_zone_is_in_that_of_the_setting(zone, hour):
    message, (deviation, *_) = read(
        v16.StartTransaction, START | {"timestamp": "2026-05-06 07:00"}, naive_zone=zone
    )
    assert "has no time zone" in deviation.text
    if hour is None:
        assert message.timestamp == RECEIVED
        assert deviation.stood_in
    else:
        assert message.timestamp == dt.datetime(2026, 5, 6, hour, tzinfo=dt.UTC)


def test_a_time_without_a_zone_that_is_refused_costs_an_optional_member():
    status = {
        "connectorId": 1,
        "errorCode": "NoError",
        "status": "Available",
        "timestamp": "2026-05-06T07:00",
    }
    assert read(v16.StatusNotification, status, naive_zone=None)[0].timestamp is None


def test_an_odd_time_is_told_and_means_what_it_says():
    message, deviations = read(v16.StopTransaction, STOP | {"timestamp": "20260506 07:00:00 "})
    assert message.timestamp == dt.datetime(2026, 5, 6, 7, tzinfo=dt.UTC)
    assert [one.text for one in deviations] == ["has blanks around it", "has no time zone"]


@pytest.mark.parametrize("error", [MISSING, None, 7, {}, "NoSuchError", ""], ids=repr)
def test_a_status_is_told_whatever_its_error_code_is(error):
    status = {"connectorId": 2, "status": "Charging", "errorCode": error}
    message, (deviation, *_) = read(v16.StatusNotification, status)
    assert (message.connector_id, message.status) == (2, "Charging")
    assert message.error_code == ("7" if error == 7 else error if isinstance(error, str) else "")
    assert deviation.path == "errorCode"


def test_a_status_notification_without_a_status_is_refused():
    with pytest.raises(Refused):
        read(v16.StatusNotification, {"connectorId": 2, "errorCode": "NoError"})


def test_a_boot_notification_without_a_vendor_and_a_model_is_read():
    message, deviations = read(v16.BootNotification, {"chargePointModel": None})
    assert message == v16.BootNotification(charge_point_vendor="", charge_point_model="")
    assert {one.path for one in deviations} == {"chargePointVendor", "chargePointModel"}


def test_a_security_event_is_kept_without_a_readable_time():
    message, _ = read(v16.SecurityEventNotification, {"type": "SettingSystemTime", "timestamp": "?"})
    assert message.timestamp == RECEIVED


@pytest.mark.parametrize("kind", [v16.DataTransfer, v16.DataTransferResponse])
@pytest.mark.parametrize("data", [{"a": [1, None]}, [1], 7, True, ""], ids=repr)
def test_data_of_a_vendor_is_any_json_and_kept_as_it_is(kind, data):
    message, deviations = read(kind, {"vendorId": "V", "status": "Accepted", "data": data})
    assert message.data == data
    assert ("data" in {one.path for one in deviations}) is not isinstance(data, str)
    with pytest.raises(Refused):
        strict(kind, dump({"vendorId": "V", "status": "Accepted", "data": {}}))


@pytest.mark.parametrize("kind", [v16.Heartbeat, v16.UpdateFirmwareResponse, v16.ClearCache])
def test_null_is_a_payload_without_members(kind):
    assert strict(kind, b"null") == kind()
    assert lenient(kind, b" null ") == (kind(), ())


@pytest.mark.parametrize("kind", [v16.MeterValues, v16.Authorize, v16.ClearCacheResponse])
def test_null_is_refused_as_an_empty_object_is_where_members_are_required(kind):
    for policy in (strict, lenient):
        refusals = []
        for payload in (b"null", b"{}"):
            with pytest.raises(Refused) as caught:
                policy(kind, payload)
            refusals.append(caught.value.violations)
        assert refusals[0] == refusals[1]


def test_a_schedule_is_read_without_the_periods_that_make_no_sense():
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": "16"}, {}]}
    message, deviations = read(
        v16.GetCompositeScheduleResponse, {"status": "Accepted", "chargingSchedule": schedule}
    )
    assert [one.limit for one in message.charging_schedule.charging_schedule_period] == [16]
    assert len(deviations) == 3
