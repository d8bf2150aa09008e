"""Cells of CSV: text that a spreadsheet would execute gets an apostrophe in front, and is read back without it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand.protocol.cells import guarded, unguarded


@pytest.mark.parametrize(
    "text",
    [
        "=A1",
        "+1+1",
        "-2+3",
        "@SUM(A1)",
        "\t=A1",
        "\r=A1",
        "\uff1dA1",
        "\uff0b1+1",
        "\uff0d1-1",
        "\uff20x",
        "\u22121\u22121",
        " =A1",
        "\u00a0=A1",
        "-",
    ],
)
def test_what_a_spreadsheet_would_run_begins_with_an_apostrophe(text):
    assert guarded(text) == f"'{text}"


def test_a_formula_behind_a_semicolon_is_guarded_too():
    assert guarded("odd; =A1;@x") == "odd;' =A1;'@x"


@pytest.mark.parametrize("text", ["", "A1", "-5", "+31612345678", "12.5", "-0.25", "a=b", "x; 5", "'quoted'"])
def test_numbers_and_other_texts_stay_as_they_are(text):
    assert guarded(text) == text


@given(st.text(st.sampled_from("=+-@';\t\r 1a\uff1d") | st.characters()))
def test_text_is_read_back_as_it_was(text):
    assert unguarded(guarded(text)) == text
