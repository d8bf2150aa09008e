"""Records as CSV and JSON: the output can be read back, and is written as it arrives."""

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st

from chargehand.cli.output import export


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
