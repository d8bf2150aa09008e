"""Records as CSV and JSON: the output can be read back, and is written as it arrives."""

import csv
import io
import json
import time

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand.cli.failures import CommandMisused
from chargehand.cli.output import TIMES, aware, export, moment, when


def written(rows, columns=("a", "b"), **how):
    pieces = []
    export(rows, columns, pieces.append, **how)
    return "".join(pieces)


def test_csv_has_a_line_of_names_and_a_line_a_row():
    rows = [{"a": 1, "b": None, "c": 3}, {"a": True, "b": ["x", "y, z"]}]
    assert written(rows, json=False) == 'a,b\n1,\ntrue,"x; y, z"\n'
    assert written([], json=False) == "a,b\n"


def test_a_control_character_moves_no_cursor_in_csv_and_is_whole_in_json():
    rows = [{"a": "\x1b[2J\n", "b": "ü"}]
    assert written(rows, json=False) == "a,b\n\\x1b[2J\\n,ü\n"
    assert json.loads(written(rows, json=True)) == rows


def test_json_is_a_list_with_an_object_a_line():
    assert written([{"a": 1}, {"a": 2}], json=True) == '[\n{"a": 1},\n{"a": 2}\n]\n'
    assert written([], json=True) == "[]\n"


def test_rows_are_written_as_they_come():
    pieces = []

    def rows():
        yield {"a": 1, "b": 2}
        assert pieces
        yield {"a": 3, "b": 4}

    for how in (True, False):
        pieces.clear()
        export(rows(), ("a", "b"), pieces.append, json=how)


def test_a_formula_is_guarded_in_csv_unless_it_is_raw_and_numbers_stay_numbers():
    rows = [{"a": "=HYPERLINK(A1)", "b": -5}, {"a": ["@x", "y"], "b": "-2.5"}]
    assert written(rows, json=False) == "a,b\n'=HYPERLINK(A1),-5\n'@x; y,-2.5\n"
    assert written(rows, json=False, raw=True) == "a,b\n=HYPERLINK(A1),-5\n@x; y,-2.5\n"
    assert json.loads(written(rows, json=True)) == rows


texts = st.text(st.characters(blacklist_categories=["C", "Zl", "Zp"]))


@given(st.lists(st.fixed_dictionaries({"a": texts, "b": texts})))
def test_what_was_written_is_read_again(rows):
    assert list(csv.DictReader(io.StringIO(written(rows, json=False, raw=True), newline=""))) == rows
    assert json.loads(written(rows, json=True)) == rows


# Times


@pytest.fixture
def in_kolkata(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.delenv("TZ")
    time.tzset()


@pytest.mark.usefixtures("in_kolkata")
@pytest.mark.parametrize(
    ("times", "written", "read", "day"),
    [
        ("local", "2026-05-04 18:04:56+05:30", "2026-05-04T14:00:00+05:30", "2026-05-04T00:00:00+05:30"),
        ("utc", "2026-05-04 12:34:56Z", "2026-05-04T14:00:00+00:00", "2026-05-04"),
    ],
)
def test_a_time_is_shown_and_read_in_the_same_zone(times, written, read, day):
    with click.Context(click.Command("x")) as context:
        context.meta[TIMES] = times
        assert when("2026-05-04T12:34:56.789Z") == written
        assert aware("2026-05-04T14:00") == read
        assert aware("2026-05-04T14:00+02:00") == "2026-05-04T14:00:00+02:00"
        assert moment("2026-05-04") == day
        assert (when(None), when("soon"), moment("soon")) == ("", "soon", "soon")
        with pytest.raises(CommandMisused):
            aware("soon")
