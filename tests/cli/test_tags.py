"""`chargehand tags`: the files that it reads and writes, and its output for the answers of the server."""

import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from chargehand.cli.failures import CommandMisused
from chargehand.cli.main import main
from chargehand.cli.tags import COLUMNS, as_csv, read

T1 = {"id_tag": "T1", "status": "Accepted", "expiry": None, "parent": ""}
T2 = {"id_tag": "T2", "status": "Blocked", "expiry": "2030-01-01T00:00:00+00:00", "parent": "FLEET"}


@pytest.fixture
def tags(stub, _clean_environment):
    """Run one of the commands."""

    def run(*arguments, text=None):
        return CliRunner().invoke(main, ["tags", *arguments, "--url", stub.url], input=text)

    return run


# Files


def test_csv_has_a_line_of_names_and_what_is_empty_is_left_out():
    rows, places = read("\ufeffid_tag,status,expiry,parent\nT1,,,\nT2,Blocked,2030-01-01T00:00:00Z,FLEET\n")
    assert rows == [
        {"id_tag": "T1"},
        {"id_tag": "T2", "status": "Blocked", "expiry": "2030-01-01T00:00:00Z", "parent": "FLEET"},
    ]
    assert places == ["line 2", "line 3"]


@pytest.mark.parametrize("text", ["id_tag;status\r\nT1;Blocked\r\n", "ID_Tag\t Status\nT1\tBlocked\n"])
def test_csv_may_have_semicolons_or_tabs_and_names_in_any_case(text):
    assert read(text) == ([{"id_tag": "T1", "status": "Blocked"}], ["line 2"])


def test_json_is_a_list_of_objects_bare_or_as_the_api_has_it():
    for text in (json.dumps([T1, T2]), json.dumps({"tags": [T1, T2]})):
        assert read(text) == ([T1, T2], ["tag 1", "tag 2"])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "line of names"),
        ("tag\nT1\n", "line of names"),
        ("id_tag,colour\nT1,red\n", "line of names"),
        ("id_tag,id_tag\nT1,T2\n", "line of names"),
        ("id_tag,status\nT1\n", "line 2"),
        ("id_tag\nT1,T2\n", "line 2"),
        ('id_tag\n"T1\n', "line"),
        ("[1]", "list of objects"),
        ('{"tags": 1}', "list of objects"),
        ("[", "no JSON"),
    ],
)
def test_what_cannot_be_read_is_one_clear_sentence(text, what):
    with pytest.raises(CommandMisused, match=what):
        read(text)


names = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n\0"), min_size=1, max_size=20
)


@given(st.lists(st.fixed_dictionaries({"id_tag": names, "status": st.just("Blocked"), "parent": names})))
def test_what_was_written_as_csv_is_read_again(tags):
    assert read(as_csv(tags))[0] == tags


@given(st.text())
def test_no_text_does_more_than_fail_with_a_sentence(text):
    try:
        rows, places = read(text)
    except CommandMisused:
        return
    assert len(rows) == len(places)


def test_an_export_guards_formulas_and_an_import_reads_them_as_they_were():
    tag = T1 | {"id_tag": "=1+1", "parent": "-5"}
    assert as_csv([tag]).splitlines()[1] == "'=1+1,Accepted,,-5"
    assert as_csv([tag], raw=True).splitlines()[1] == "=1+1,Accepted,,-5"
    assert read(as_csv([tag]))[0] == [{"id_tag": "=1+1", "status": "Accepted", "parent": "-5"}]


# Commands


def test_tags_are_a_table_in_their_order(stub, tags):
    stub.body = {"tags": [T2, T1]}
    head, _, *lines = tags("list").stdout.splitlines()
    assert head.split() == list(COLUMNS)
    assert [line.split()[0] for line in lines] == ["T1", "T2"]
    assert json.loads(tags("list", "--json").stdout) == [T1, T2]


def test_an_export_can_be_imported(stub, tags):
    stub.body = {"tags": [T1, T2]}
    assert read(tags("export").stdout)[0][1] == T2
    assert read(tags("export", "--json").stdout)[0] == [T1, T2]


def test_a_refusal_is_told_and_the_status_is_not_0(stub, tags):
    stub.status = 404
    stub.body = {"title": "Unknown tag", "description": "T9 is not known here"}
    done = tags("show", "T9")
    assert done.exit_code == 1
    assert "T9 is not known here" in done.stderr


def test_an_import_names_the_lines_that_are_wrong(stub, tags):
    stub.status = 422
    stub.body = {
        "title": "Invalid tags",
        "description": "1 of 2 are wrong",
        "rows": [{"row": 2, "text": "Expected `str` of length <= 20"}],
    }
    done = tags("import", "-", text="id_tag\nT1\nxxxxxxxxxxxxxxxxxxxxxxxxx\n")
    assert done.exit_code == 1
    assert "line 3: Expected `str` of length <= 20" in done.stderr
    assert "nothing was entered" in done.stderr


def test_a_file_that_is_not_utf_8_is_refused_with_a_sentence(tags, tmp_path):
    file = tmp_path / "tags.csv"
    file.write_bytes("id_tag\nT1Ä\n".encode("latin-1"))
    done = tags("import", str(file))
    assert done.exit_code == 2
    assert "the file is not UTF-8" in done.stderr


def test_a_tag_twice_in_one_file_is_refused_with_both_lines(stub, tags):
    stub.body = {"checked": 3}
    done = tags("import", "-", text="id_tag,status\nT1,Accepted\nT2,Blocked\nt1,Blocked\n")
    assert done.exit_code == 1
    assert "nothing was entered:\n  line 4: id_tag: t1 is in line 2, too\n" in done.stderr
    stub.status = 422
    stub.body = {
        "title": "Invalid tags",
        "description": "",
        "rows": [{"row": 2, "text": "id_tag: t1 is in row 1, too"}],
    }
    done = tags("import", "-", text="id_tag\nT1\nt1\n")
    assert done.stderr.splitlines()[1:-1] == ["  line 3: id_tag: t1 is in line 2, too"]
