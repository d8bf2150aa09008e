"""Vendor, model and serial numbers in the payload of a BootNotification as it was sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand import v16


def test_vendor_and_model_are_read():
    payload = b'{"chargePointVendor": "Acme", "chargePointModel": "One", "iccid": 5}'
    assert v16.VERSION.boot_facts(payload) == ("Acme", "One", (), "")


def test_both_serial_numbers_of_a_charge_point_are_read():
    payload = b'{"chargePointSerialNumber": "SN1", "chargeBoxSerialNumber": "BOX1"}'
    assert v16.VERSION.boot_facts(payload).serial_numbers == ("SN1", "BOX1")
    assert v16.VERSION.boot_facts(b'{"chargePointSerialNumber": ""}').serial_numbers == ()


@pytest.mark.parametrize("payload", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"chargePointVendor": 5}'])
def test_what_cannot_be_read_has_no_facts(payload):
    assert v16.VERSION.boot_facts(payload) == ("", "", (), "")


@given(
    st.dictionaries(
        st.sampled_from(["chargePointVendor", "chargePointModel", "chargePointSerialNumber", "x"]),
        st.none() | st.text() | st.integers(),
    )
)
def test_facts_are_texts_whatever_was_sent(payload):
    facts = v16.VERSION.boot_facts(json.dumps(payload).encode())
    assert all(isinstance(fact, str) for fact in (facts.vendor, facts.model, *facts.serial_numbers))


@given(st.binary())
def test_any_bytes_have_facts(payload):
    assert len(v16.VERSION.boot_facts(payload)) == 4
