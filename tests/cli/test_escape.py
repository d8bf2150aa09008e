"""Text of strangers on a terminal."""

import json

import pytest

from chargehand.cli.escape import as_json, escaped_json
from chargehand.protocol.text import escaped

ODD = [
    "\x1b",
    "\n",
    "\r",
    "\x07",
    "\x7f",
    "\x85",
    "\x9b",
    "\u2028",
    "\u2029",
    "\ud800",
    "\u202e",
    "\u200b",
    "\ufeff",
    "\U000e0041",
]


@pytest.mark.parametrize("character", ODD)
def test_no_control_character_is_printed_as_it_is(character):
    text = escaped(f"a{character}ü")
    assert character not in text
    assert text.startswith("a\\")
    assert text.endswith("ü")
    text.encode()


@pytest.mark.parametrize("character", ODD)
def test_json_is_readable_and_means_the_same_without_them(character):
    value = {f"a{character}": [f"ü{character}", 1.5, None]}
    for text in (
        as_json(value),
        as_json(value, indent=2),
        escaped_json(json.dumps(value, ensure_ascii=False)),
    ):
        assert character not in text.replace("\n", "")
        assert "ü" in text
        assert json.loads(text) == value
        text.encode()
