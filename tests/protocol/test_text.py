"""Invisible characters, and text in which they are shown."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand.protocol.text import INVISIBLE, escaped


def test_every_control_formatting_and_separating_character_is_invisible():
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    missed = [
        f"U+{number:04X}"
        for number in range(sys.maxunicode + 1)
        if unicodedata.category(chr(number)) in hidden and not INVISIBLE.match(chr(number))
    ]
    assert missed == []


def test_no_letter_digit_mark_sign_or_blank_in_use_is_invisible():
    fillers = {0x115F, 0x1160, 0x3164, 0xFFA0}
    taken = [
        number
        for number in range(sys.maxunicode + 1)
        if unicodedata.category(chr(number))[0] in "LNPS" and INVISIBLE.match(chr(number))
    ]
    assert set(taken) == fillers
    assert not INVISIBLE.search(" \u00a0\u0301\u3000")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("CP 1 ü ⚡ 充电", "CP 1 ü ⚡ 充电"),
        ("a\nb\x1b[2J", "a\\nb\\x1b[2J"),
        ("admin\u202e1PC", "admin\\u202e1PC"),
        ("C\u200bP", "C\\u200bP"),
        ("\U000e0041", "\\U000e0041"),
        ("\ud800", "\\ud800"),
    ],
)
def test_invisible_characters_are_shown_as_python_writes_them(text, shown):
    assert escaped(text) == shown


@given(st.text(st.characters(codec=None)))
def test_escaped_text_is_one_printable_line(text):
    shown = escaped(text)
    assert not INVISIBLE.search(shown)
    assert len(shown.splitlines()) <= 1
    shown.encode()
