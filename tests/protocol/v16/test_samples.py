"""Samples of stored payloads: all that were sent are read, and unreadable parts are reported, whatever the bytes."""

import datetime as dt
import json
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chargehand.protocol import v16
from chargehand.protocol.energy import Quantity

TIME = "2026-05-04T12:00:00Z"
AT = dt.datetime(2026, 5, 4, 12, 0, tzinfo=dt.UTC)


def samples_of(told):
    return v16.VERSION.samples(told if isinstance(told, bytes) else json.dumps(told).encode())


def element(*sampled, timestamp=TIME):
    return {"timestamp": timestamp, "sampledValue": list(sampled)}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda elements: {"connectorId": 1, "transactionId": 7, "meterValue": elements},
        lambda elements: {"meterStop": 1, "transactionId": 7, "transactionData": elements},
        lambda elements: elements,
    ],
)
def test_meter_values_transaction_data_and_the_list_alone_are_read(wrap):
    told = samples_of(wrap([element({"value": "1.5", "unit": "kWh"}), element({"value": "1600"})]))
    assert told.unusable == ()
    assert [(one.at, one.quantity, one.value) for one in told.samples] == [
        (AT, Quantity.REGISTER, 1500),
        (AT, Quantity.REGISTER, 1600),
    ]


def test_members_of_a_sample_are_read_and_other_measurands_left_out():
    told = samples_of(
        [
            element(
                {"value": "7.2", "unit": "kW", "measurand": "Power.Active.Import", "phase": "L1"},
                {"value": "30", "measurand": "Energy.Active.Import.Interval", "location": "Inlet"},
                {"value": "230", "measurand": "Voltage", "unit": "V"},
                {"value": "signature", "format": "SignedData"},
                {"value": "99", "context": "Transaction.End"},
            )
        ]
    )
    assert told.unusable == ()
    assert [one[1:] for one in told.samples] == [
        (Quantity.POWER, 7200, "L1", "", "Outlet"),
        (Quantity.INTERVAL, 30, "", "", "Inlet"),
        (Quantity.REGISTER, 99, "", "Transaction.End", "Outlet"),
    ]


def test_parts_that_cannot_be_used_are_named_with_their_reason():
    told = samples_of(
        {
            "meterValue": [
                element({"value": "1"}),
                {"sampledValue": [{"value": "2"}]},
                element({"value": "3"}, timestamp="yesterday"),
                5,
                element({"value": "many"}, {"value": "4"}, {"value": "5", "unit": "A"}, 6),
                {"timestamp": TIME},
                {"timestamp": TIME, "sampledValue": "7"},
            ]
        }
    )
    assert [one.value for one in told.samples] == [1, 4]
    assert [tuple(one) for one in told.unusable] == [
        (1, "meterValue[1]", "has no readable timestamp"),
        (2, "meterValue[2]", "has no readable timestamp"),
        (3, "meterValue[3]", "is not an object"),
        (4, "meterValue[4].sampledValue[0]", "its value is no number"),
        (4, "meterValue[4].sampledValue[2]", "its unit 'A' is no unit of Wh"),
        (4, "meterValue[4].sampledValue[3]", "is not an object"),
        (5, "meterValue[5]", "has no sampledValue"),
        (6, "meterValue[6]", "has a sampledValue that is not a list"),
    ]


@pytest.mark.parametrize("payload", [b"", b"{", b"[" * 5000, b"null", b'{"meterValue": 5}', b"\x00"])
def test_payloads_without_meter_values_give_no_samples(payload):
    assert samples_of(payload).samples == ()


def test_a_lone_surrogate_and_bytes_that_are_no_utf_8_spoil_nothing_beside_them():
    payload = b'{"x": "\\ud800", "y": "\xff", "meterValue": [{"timestamp": "%b", "sampledValue": [{"value": "%b"}]}]}'
    (one,) = samples_of(payload % (TIME.encode(), b"12.5")).samples
    assert one.value == Decimal("12.5")


def test_numbers_of_json_are_read_exactly():
    payload = b'[{"timestamp": "%b", "sampledValue": [{"value": 604.213}, {"value": 5}]}]' % TIME.encode()
    assert [one.value for one in samples_of(payload).samples] == [Decimal("604.213"), 5]


@pytest.mark.parametrize(
    ("payload", "listed"),
    [
        (b'{"connectorId": 1, "meterValue": [ {"a":1.50} ]}', b'[ {"a":1.50} ]'),
        (b'{"transactionId": 1, "transactionData": [1]}', b"[1]"),
        (b'{"meterValue": null, "transactionData": [1]}', b"[1]"),
        (b' [{"timestamp": "x"}]', b'[{"timestamp": "x"}]'),
        (b'{"meterValue": 5}', b"5"),
        (b"{}", b"[]"),
        (b"no JSON", b"[]"),
        (b'{"meterValue": ["\xff"]}', b"[]"),
    ],
)
def test_the_list_of_meter_values_is_given_as_it_was_sent(payload, listed):
    assert v16.VERSION.meter_values(payload) == listed


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(TIME),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                (
                    "meterValue",
                    "transactionData",
                    "timestamp",
                    "sampledValue",
                    "value",
                    "unit",
                    "measurand",
                    "phase",
                )
            ),
            inner,
        )
    ),
    max_leaves=30,
)


@given(json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=64))
@example(b'[{"timestamp":"0001-01-01T00:00:00+14:00","sampledValue":[{"value":"1"}]}]')
@example(b'[{"timestamp":"2026-05-04T12:00:00","sampledValue":[{"value":1e400}, {"value":[]}]}]')
def test_reading_samples_never_raises(payload):
    told = samples_of(payload)
    assert all(one.at.tzinfo is dt.UTC for one in told.samples)
