"""Passwords and keys as people write them."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand import AuthSettings, ConfigError, Settings
from chargehand.config.checks import checked
from chargehand.config.keys import InvalidKey, read_key


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("secret", b"secret"),
        ("schlüssel", "schlüssel".encode()),
        ("hex:00ff0A", b"\x00\xff\x0a"),
        ("base64:AP8K", b"\x00\xff\x0a"),
        ("base64:AP8=", b"\x00\xff"),
        ("text:hex:00ff", b"hex:00ff"),
        ("text:text:", b"text:"),
        ("HEX:00", b"HEX:00"),
        ("00112233445566778899aabbccddeeff00112233", b"00112233445566778899aabbccddeeff00112233"),
        (" padded ", b" padded "),
    ],
)
def test_a_key_is_its_text_or_the_bytes_behind_a_prefix(text, key):
    assert read_key(text) == key


@pytest.mark.parametrize(
    "text",
    ["", "hex:", "hex:0", "hex:xx", "hex:00 ff", "hex: 00", "base64:", "base64:AP8", "base64:A P8=", "text:"],
)
def test_a_text_that_writes_out_no_key_is_refused(text):
    with pytest.raises(InvalidKey):
        read_key(text)


def test_a_refused_key_is_not_shown():
    for text in ("hex:5ecret", "base64:5ecret!", "5ecret\ud800"):
        with pytest.raises(InvalidKey) as refused:
            read_key(text)
        assert "5ecret" not in str(refused.value)


@given(st.binary(min_size=1, max_size=64))
def test_any_bytes_can_be_written_both_ways(key):
    assert read_key(f"hex:{key.hex()}") == key
    assert read_key(f"base64:{base64.b64encode(key).decode()}") == key


def test_a_wrong_key_in_the_settings_is_a_fault_that_names_its_charge_point():
    with pytest.raises(ConfigError, match=r"auth\.credentials\.CP1: behind hex: must be pairs"):
        checked(Settings(auth=AuthSettings(credentials={"CP1": "hex:0x00", "CP2": "hex:00"})))
