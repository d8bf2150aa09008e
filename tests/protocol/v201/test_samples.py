"""Samples of stored payloads of OCPP 2.0.1."""

import datetime as dt
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand import v201
from chargehand.protocol.energy import Quantity

TIME = "2026-05-04T12:00:00Z"
AT = dt.datetime(2026, 5, 4, 12, 0, tzinfo=dt.UTC)


def samples_of(*sampled):
    told = {"seqNo": 1, "meterValue": [{"timestamp": TIME, "sampledValue": list(sampled)}]}
    return v201.VERSION.samples(json.dumps(told).encode())


def test_values_are_in_the_base_unit_whatever_unit_and_multiplier_they_have():
    told = samples_of(
        {"value": 1500},
        {"value": 1.5, "unitOfMeasure": {"unit": "kWh"}},
        {"value": 15, "unitOfMeasure": {"multiplier": 2}},
        {"value": 0.0015, "unitOfMeasure": {"unit": "kWh", "multiplier": 3}},
        {"value": 7.2, "measurand": "Power.Active.Import", "unitOfMeasure": {"unit": "kW"}, "phase": "L1"},
        {"value": 230, "measurand": "Voltage", "unitOfMeasure": {"unit": "V"}},
        {"value": 1, "context": "Transaction.End", "location": "Inlet", "signedMeterValue": {}},
    )
    assert told.unusable == ()
    assert [one[1:] for one in told.samples] == [
        (Quantity.REGISTER, 1500, "", "", "Outlet"),
        (Quantity.REGISTER, 1500, "", "", "Outlet"),
        (Quantity.REGISTER, 1500, "", "", "Outlet"),
        (Quantity.REGISTER, 1500, "", "", "Outlet"),
        (Quantity.POWER, 7200, "L1", "", "Outlet"),
        (Quantity.REGISTER, Decimal(1), "", "Transaction.End", "Inlet"),
    ]
    assert {one.at for one in told.samples} == {AT}


@pytest.mark.parametrize(
    "sampled",
    [5, {}, {"value": "much"}, {"value": 1, "unitOfMeasure": {"unit": "V"}},
     {"value": 1, "unitOfMeasure": {"multiplier": "2"}}, {"value": 1, "unitOfMeasure": {"multiplier": 99}}],
)  # fmt: skip
def test_a_sample_that_cannot_be_used_is_named_with_its_reason(sampled):
    told = samples_of(sampled, {"value": 2})
    assert [one.value for one in told.samples] == [2]
    assert [one.path for one in told.unusable] == ["meterValue[0].sampledValue[0]"]


def test_an_event_without_meter_values_has_no_samples():
    assert v201.VERSION.samples(b'{"seqNo":1}') == ((), ())
    assert v201.VERSION.meter_values(b'{"seqNo":1}') == b"[]"
    assert v201.VERSION.meter_values(b'{"meterValue":[{"a":1.50}]}') == b'[{"a":1.50}]'


@given(st.binary())
def test_any_bytes_have_samples(payload):
    v201.VERSION.samples(payload)
