"""Payloads: both policies for received messages."""

import datetime as dt
from typing import Annotated

import msgspec
import pytest

from chargehand.protocol import v16
from chargehand.protocol.errors import Deviation, ErrorCode, Refused
from chargehand.protocol.message import AtLeast, Message
from chargehand.protocol.payload import lenient, strict

from .payloads import SAMPLE, START, dump, meter

NOON = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)
STOP = {"meterStop": 9, "timestamp": "2026-11-22T12:00:00Z", "transactionId": 77}


def refusal(kind: type[Message], payload: object) -> str:
    with pytest.raises(Refused) as caught:
        strict(kind, payload if isinstance(payload, bytes) else dump(payload))
    return f"{caught.value.code}: {caught.value}"


# -- Strict ------------------------------------------------------------------------------


def test_strict_reads_a_payload():
    message = strict(v16.StartTransaction, dump(START))
    assert message == v16.StartTransaction(connector_id=1, id_tag="T1", meter_start=5, timestamp=NOON)


def test_strict_reads_what_only_the_contract_takes():
    message = strict(v16.StartTransaction, dump(START | {"timestamp": "2026-11-22T12:00Z"}))
    assert message.timestamp == NOON


def test_strict_reads_a_raw_payload():
    _, raw = msgspec.json.decode(b'[2,{"idTag":"T1"}]', type=tuple[int, msgspec.Raw])
    assert strict(v16.Authorize, raw) == v16.Authorize(id_tag="T1")


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (meter() | {"connectorId": True}, "TypeConstraintViolation: connectorId is not an integer"),
        (meter() | {"connectorId": -1}, "PropertyConstraintViolation: connectorId is too small"),
        (meter() | {"transactionId": 1.0}, "TypeConstraintViolation: transactionId is not an integer"),
        (meter() | {"transactionId": None}, "TypeConstraintViolation: transactionId is null"),
        (meter() | {"more": 1}, "FormationViolation: more is not a member of this object"),
        (meter() | {"_schema": 1}, "FormationViolation: _schema is not a member of this object"),
        (meter() | {"": 1}, "FormationViolation: payload is not a member of this object"),
        (meter() | {"meterValue": []}, "OccurrenceConstraintViolation: meterValue has too few items"),
        (meter() | {"meterValue": {}}, "TypeConstraintViolation: meterValue is not a list"),
        (
            meter(SAMPLE, SAMPLE, SAMPLE | {"unit": "Furlong"}),
            "PropertyConstraintViolation: meterValue[0].sampledValue[2].unit is not a known UnitOfMeasure",
        ),
        (
            meter({"unit": "V"}),
            "OccurrenceConstraintViolation: meterValue[0].sampledValue[0].value is required",
        ),
        (
            meter(SAMPLE | {"_schema": {}}),
            "FormationViolation: meterValue[0].sampledValue[0]._schema is not a member of this object",
        ),
        (meter([]), "TypeConstraintViolation: meterValue[0].sampledValue[0] is not an object"),
        ({}, "OccurrenceConstraintViolation: connectorId is required"),
        ([], "TypeConstraintViolation: payload is not an object"),
        (None, "OccurrenceConstraintViolation: connectorId is required"),
        (b'{"connectorId"}', "FormationViolation: payload is not readable JSON"),
        (b"", "FormationViolation: payload is not readable JSON"),
    ],
)
def test_strict_refuses_every_deviation(payload: object, expected: str):
    assert refusal(v16.MeterValues, payload) == expected


def test_a_refusal_tells_every_violation_in_the_order_of_the_declaration():
    payload = meter(SAMPLE | {"unit": "Furlong", "more": 1}) | {"zz": [1], "transactionId": "x", "aa": {}}
    del payload["connectorId"]
    with pytest.raises(Refused) as caught:
        strict(v16.MeterValues, dump(payload))
    assert [(found.path, found.value) for found in caught.value.violations] == [
        ("connectorId", ""),
        ("transactionId", '"x"'),
        ("meterValue[0].sampledValue[0].unit", '"Furlong"'),
        ("meterValue[0].sampledValue[0].more", "1"),
        ("zz", "[1]"),
        ("aa", "{}"),
    ]
    assert caught.value.code is ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION


def test_a_member_that_comes_twice_counts_as_it_came_last():
    assert strict(v16.Authorize, b'{"idTag":"T1","idTag":"T2"}').id_tag == "T2"
    assert strict(v16.Authorize, b'{"idTag":1,"idTag":"T2"}').id_tag == "T2"
    assert refusal(v16.Authorize, b'{"idTag":"T1","idTag":1}').startswith("TypeConstraintViolation")


# -- Lenient -----------------------------------------------------------------------------


def paths(deviations: tuple[Deviation, ...]) -> list[str]:
    return [deviation.path for deviation in deviations]


def test_lenient_reads_a_clean_payload_without_deviations():
    assert lenient(v16.StartTransaction, dump(START)) == (strict(v16.StartTransaction, dump(START)), ())


def test_lenient_mends_what_it_can_and_tells_what_was_sent():
    payload = START | {"idTag": 12.5, "reservationId": None, "extra": [1], "timestamp": "2026-11-22T12:00:00"}
    message, deviations = lenient(v16.StartTransaction, dump(payload))
    assert message == v16.StartTransaction(connector_id=1, id_tag="12.5", meter_start=5, timestamp=NOON)
    assert deviations == (
        Deviation("idTag", ErrorCode.TYPE_CONSTRAINT_VIOLATION, "is not a string", "12.5"),
        Deviation("reservationId", ErrorCode.TYPE_CONSTRAINT_VIOLATION, "is null", "null"),
        Deviation(
            "timestamp", ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, "has no time zone", '"2026-11-22T12:00:00"'
        ),
        Deviation(
            "extra", ErrorCode.FORMATION_VIOLATION, "is not a member of this object", "[1]"
        ),
    )  # fmt: skip


def test_a_boot_notification_is_never_refused_for_its_texts():
    boot = {
        "chargePointVendor": "",
        "chargePointModel": "M" * 30,
        "chargePointSerialNumber": "S" * 34,
        "iccid": 8931,
        "imsi": None,
        "vendorExtra": {"a": 1},
    }
    message, deviations = lenient(v16.BootNotification, dump(boot))
    assert message == v16.BootNotification(
        charge_point_vendor="",
        charge_point_model="M" * 30,
        charge_point_serial_number="S" * 34,
        iccid="8931",
    )
    assert paths(deviations) == [
        "chargePointModel", "chargePointSerialNumber", "iccid", "imsi", "vendorExtra",
    ]  # fmt: skip
    assert deviations[-1].value == '{"a":1}'


def test_an_unknown_value_of_an_enumeration_is_kept_as_plain_text():
    status = {"connectorId": 1, "errorCode": "Odd", "status": "Charging", "info": "x" * 80}
    message, deviations = lenient(v16.StatusNotification, dump(status))
    assert (message.error_code, message.info) == ("Odd", "x" * 80)
    assert type(message.error_code) is str
    assert message.status is v16.ChargePointStatus.CHARGING
    assert paths(deviations) == ["errorCode", "info"]


def test_a_number_out_of_range_is_kept():
    message, deviations = lenient(v16.StartTransaction, dump(START | {"connectorId": 0, "meterStart": -5}))
    assert (message.connector_id, message.meter_start) == (0, -5)
    assert paths(deviations) == ["connectorId"]


def test_a_meter_reading_with_a_fraction_loses_it():
    message, deviations = lenient(v16.StartTransaction, dump(START | {"meterStart": 1234.9}))
    assert message.meter_start == 1234
    assert (deviations[0].path, deviations[0].value) == ("meterStart", "1234.9")


def test_numbers_for_sample_values_are_taken_as_their_text():
    message, deviations = lenient(v16.MeterValues, dump(meter({"value": 230.50}, {"value": 7})))
    assert [sample.value for sample in message.meter_value[0].sampled_value] == ["230.5", "7"]
    assert paths(deviations) == ["meterValue[0].sampledValue[0].value", "meterValue[0].sampledValue[1].value"]


@pytest.mark.parametrize(
    "hopeless",
    [
        {"value": ""},
        {},
        {"value": None},
        {"value": {}},
        {"unit": "V"},
        [],
        None,
        1,
        {"value": "1", "unit": []},
    ],
)
def test_a_hopeless_sample_is_left_out_and_the_rest_is_read(hopeless: object):
    message, deviations = lenient(v16.MeterValues, dump(meter(SAMPLE, hopeless, SAMPLE | {"value": 1})))
    assert [sample.value for sample in message.meter_value[0].sampled_value] == ["230.1", "1"]
    assert deviations[0].path.startswith("meterValue[0].sampledValue[1]")
    assert deviations[-1].path == "meterValue[0].sampledValue[2].value"


def test_a_sample_is_left_out_once_however_many_things_are_wrong_with_it():
    sample = {"value": "", "unit": [], "more": 1, "phase": "L9"}
    message, deviations = lenient(v16.MeterValues, dump(meter(SAMPLE, sample)))
    assert len(message.meter_value[0].sampled_value) == 1
    assert [path.rsplit(".")[-1] for path in paths(deviations)] == ["value", "phase", "unit", "more"]


def test_a_meter_value_with_nothing_but_hopeless_samples_stays():
    message, deviations = lenient(v16.MeterValues, dump(meter({"value": ""})))
    assert message.meter_value == (v16.MeterValue(timestamp=NOON, sampled_value=()),)
    assert paths(deviations) == ["meterValue[0].sampledValue[0].value", "meterValue[0].sampledValue"]


def test_a_meter_value_without_a_time_is_left_out():
    payload = meter()
    payload["meterValue"].insert(0, payload["meterValue"][0] | {"timestamp": "0"})
    message, deviations = lenient(v16.MeterValues, dump(payload))
    assert len(message.meter_value) == 1
    assert deviations == (
        Deviation(
            "meterValue[0].timestamp",
            ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
            "is not an ISO 8601 date and time",
            '"0"',
        ),
    )


def test_an_empty_list_of_meter_values_is_kept():
    message, deviations = lenient(v16.MeterValues, dump(meter() | {"meterValue": []}))
    assert message.meter_value == ()
    assert paths(deviations) == ["meterValue"]


def test_a_stop_transaction_survives_its_transaction_data():
    data = [{"timestamp": "0", "sampledValue": []}, {"sampledValue": {}}, 7]
    message, deviations = lenient(v16.StopTransaction, dump(STOP | {"transactionData": data, "idTag": None}))
    assert message == v16.StopTransaction(
        meter_stop=9, timestamp=NOON, transaction_id=77, transaction_data=()
    )
    assert len(deviations) == 5


def test_a_schedule_start_of_zero_is_left_out():
    message, deviations = lenient(
        v16.GetCompositeScheduleResponse, b'{"status":"Accepted","scheduleStart":"0"}'
    )
    assert message == v16.GetCompositeScheduleResponse(status=v16.GetCompositeScheduleStatus.ACCEPTED)
    assert paths(deviations) == ["scheduleStart"]


def test_a_configuration_keeps_each_key_whatever_its_value_and_readonly_are():
    keys = [{"key": "A", "readonly": "true", "value": 60}, {"key": "B"}, {"key": "C", "readonly": 1}]
    keys += [{"key": "D", "readonly": "maybe", "value": None}, {"key": "E", "readonly": False, "value": True}]
    message, deviations = lenient(v16.GetConfigurationResponse, dump({"configurationKey": keys}))
    assert message.configuration_key == (
        v16.KeyValue(key="A", readonly=True, value="60"),
        v16.KeyValue(key="B", readonly=None),
        v16.KeyValue(key="C", readonly=True),
        v16.KeyValue(key="D", readonly=None),
        v16.KeyValue(key="E", readonly=False, value="true"),
    )
    assert len(deviations) == 7


def test_an_unknown_member_may_be_called_what_marshmallow_calls_the_object():
    info = {"status": "Accepted", "_schema": 1}
    message, deviations = lenient(v16.StopTransactionResponse, dump({"idTagInfo": info, "_schema": [1]}))
    assert message == v16.StopTransactionResponse(
        id_tag_info=v16.IdTagInfo(status=v16.AuthorizationStatus.ACCEPTED)
    )
    assert paths(deviations) == ["idTagInfo._schema", "_schema"]


def test_a_list_too_short_is_kept_and_its_items_are_mended():
    class Pair(Message):
        infos: Annotated[tuple[v16.IdTagInfo, ...], AtLeast(2)]

    message, deviations = lenient(Pair, b'{"infos":[{"status":"Odd","parentIdTag":7}]}')
    assert [info.parent_id_tag for info in message.infos] == ["7"]
    assert paths(deviations) == ["infos", "infos[0].parentIdTag", "infos[0].status"]


@pytest.mark.parametrize("wrong", [{}, [], {"a": 1}, [None]])
@pytest.mark.parametrize("name", ["idTag", "reason", "transactionData"])
def test_an_optional_member_of_a_stop_with_the_wrong_shape_is_left_out(name, wrong):
    if name == "transactionData" and isinstance(wrong, list):
        wrong = {"timestamp": "2026-11-22T12:00:00Z"}
    message, deviations = lenient(v16.StopTransaction, dump(STOP | {name: wrong}))
    assert message == lenient(v16.StopTransaction, dump(STOP))[0]
    assert [one.path for one in deviations] == [name]
    with pytest.raises(Refused):
        strict(v16.StopTransaction, dump(STOP | {name: wrong}))


@pytest.mark.parametrize("number", [7.5, "7.5", "7.01"])
def test_half_a_transaction_number_names_no_transaction(number):
    stop, _ = lenient(v16.StopTransaction, dump(STOP | {"transactionId": number}))
    assert stop.transaction_id == -1
    element = {"timestamp": "2026-11-22T12:00:00Z", "sampledValue": [{"value": "1"}]}
    readings = {"connectorId": 1, "transactionId": number, "meterValue": [element]}
    assert lenient(v16.MeterValues, dump(readings))[0].transaction_id is None


@pytest.mark.parametrize("number", [7.0, "7", "7.0", "+7"])
def test_a_whole_transaction_number_is_read_however_it_is_written(number):
    assert lenient(v16.StopTransaction, dump(STOP | {"transactionId": number}))[0].transaction_id == 7


@pytest.mark.parametrize(
    ("payload", "path", "code"),
    [
        (START | {"idTag": None}, "idTag", ErrorCode.TYPE_CONSTRAINT_VIOLATION),
        (START | {"connectorId": "one"}, "connectorId", ErrorCode.TYPE_CONSTRAINT_VIOLATION),
        (START | {"timestamp": "0"}, "timestamp", ErrorCode.PROPERTY_CONSTRAINT_VIOLATION),
        (START | {"meterStart": {}}, "meterStart", ErrorCode.TYPE_CONSTRAINT_VIOLATION),
        ({"_schema": 1}, "connectorId", ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION),
        ([], "", ErrorCode.TYPE_CONSTRAINT_VIOLATION),
        ("x", "", ErrorCode.TYPE_CONSTRAINT_VIOLATION),
    ],
)
def test_lenient_refuses_what_is_hopeless(payload: object, path: str, code: ErrorCode):
    with pytest.raises(Refused) as caught:
        lenient(v16.StartTransaction, dump(payload))
    assert (caught.value.path, caught.value.code) == (path, code)


def test_a_refusal_by_lenient_tells_only_what_cannot_be_mended():
    with pytest.raises(Refused) as caught:
        lenient(v16.StartTransaction, dump({"connectorId": 1, "idTag": 1, "meterStart": [], "more": 1}))
    assert paths(caught.value.violations) == ["meterStart", "timestamp"]


def test_a_deviation_keeps_a_bounded_value_and_path():
    _, deviations = lenient(v16.Authorize, dump({"idTag": "x" * 5000, "y" * 5000: ["z" * 5000]}))
    assert [len(deviation.value) for deviation in deviations] == [500, 500]
    assert len(deviations[1].path) == 200
