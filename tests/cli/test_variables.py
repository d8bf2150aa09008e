"""`chargehand variables`: its requests, and its output for the answers."""

import json

import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

VARIABLE = {
    "name": "1/0/C.One[x]",
    "component": "C",
    "component_instance": "",
    "evse": 1,
    "connector": None,
    "variable": "One",
    "instance": "x",
    "attribute": "Actual",
    "value": "5",
    "mutability": "ReadWrite",
    "persistent": True,
    "constant": False,
    "unit": "s",
    "data_type": "integer",
    "min_limit": "1",
    "max_limit": "9",
    "values_list": "",
    "supports_monitoring": True,
    "monitor_ids": [3, 4],
    "updated_at": "2026-01-01T00:00:00Z",
}
RESULT = {"name": "C.One", "attribute": "Actual", "status": "Accepted", "value": "5", "reason": ""}
ROOT = "/api/v1/charge-points/CP1/variables"


@pytest.fixture
def run(stub, _clean_environment):
    def run(*arguments):
        return CliRunner().invoke(main, ["variables", *arguments, "--url", stub.url])

    return run


def test_a_charge_point_in_a_commands_place_has_its_variables_listed(stub, run):
    stub.body = {"variables": [VARIABLE], "more": False}
    for arguments in (["CP1"], ["list", "CP1"]):
        *_, line = run(*arguments).stdout.splitlines()
        assert line.split() == [
            "1/0/C.One[x]",
            "5",
            "s",
            "ReadWrite",
            "integer",
            "1..9",
            "2026-01-01",
            "00:00:00Z",
        ]
        assert stub.requests[-1][0] == ROOT
    run("CP1", "--search", "one", "--attribute", "target")
    assert stub.requests[-1][0] == f"{ROOT}?search=one&attribute=Target"


def test_variables_are_exported_as_csv_or_json(stub, run):
    stub.body = {"variables": [VARIABLE | {"value": "=1"}], "more": False}
    head, line = run("export", "CP1").stdout.splitlines()
    assert head.startswith("name,component,")
    assert line.startswith("1/0/C.One[x],C,,1,,One,x,Actual,'=1,ReadWrite,true,false,s,")
    assert json.loads(run("export", "CP1", "--json").stdout) == stub.body["variables"]


def test_variables_are_read(stub, run):
    stub.body = {
        "results": [RESULT, RESULT | {"name": "X.Y", "status": "", "value": None, "reason": "never"}]
    }
    lines = run("get", "CP1", "C.One", "X.Y").stdout.splitlines()
    assert [line.split() for line in lines[-2:]] == [["C.One", "Accepted", "5"], ["X.Y", "-", "never"]]
    path, body = stub.requests[-1][0], stub.requests[-1][-1]
    assert path == f"{ROOT}/get?timeout=30"
    assert json.loads(body) == {"names": ["C.One", "X.Y"], "attribute": "Actual"}


def test_variables_are_set_and_a_refusal_is_status_one(stub, run):
    stub.body = {"results": [RESULT]}
    done = run("set", "CP1", "C.One=5", "C.Two=a=b")
    assert done.exit_code == 0
    assert json.loads(stub.requests[-1][-1]) == {
        "values": {"C.One": "5", "C.Two": "a=b"},
        "attribute": "Actual",
    }
    stub.body = {"results": [RESULT | {"status": "Rejected"}]}
    assert run("set", "CP1", "C.One=5", "--json").exit_code == 1
    assert run("set", "CP1", "C.One").exit_code == 2


def test_results_of_a_station_that_does_not_answer_are_shown(stub, run):
    stub.status = 409
    failed = RESULT | {"status": "", "value": None, "reason": "GetVariables is never_sent"}
    stub.body = {"title": "No result", "description": "x", "results": [failed]}
    assert "never_sent" in run("get", "CP1", "C.One").stdout
    stub.body = {"title": "Not supported", "description": "OCPP 1.6 has no variables"}
    done = run("get", "CP1", "C.One")
    assert (done.exit_code, "has no variables" in done.stderr) == (1, True)


def test_a_refresh_tells_of_its_report(stub, run):
    report = {"number": 17, "state": "partial", "parts": 4, "missing": [2]}
    stub.body = {"report": report, "command": {"state": "answered"}}
    shown = run("refresh", "CP1", "--extent", "summary").stdout
    assert [line.split() for line in shown.splitlines()][1:] == [
        ["state", "partial"],
        ["parts", "4"],
        ["missing", "2"],
    ]
    assert stub.requests[-1][0] == f"{ROOT}/refresh?extent=summary&timeout=30&effect_timeout=120"
    stub.body = {"report": None, "command": {"state": "answered"}}
    assert "none has come" in run("refresh", "CP1").stdout


def test_differences_are_a_table(stub, run):
    one = {"name": "C.One", "attribute": "Actual", "value": "5", "other": None, "here": True, "there": False}
    stub.body = {"differences": [one, one | {"there": True}]}
    lines = run("compare", "CP1", "CP 2").stdout.splitlines()
    assert [line.split()[1:] for line in lines[-2:]] == [["5", "(not", "there)"], ["5", "(no", "value)"]]
    assert stub.requests[-1][0] == f"{ROOT}/compare?other=CP+2"


def test_variables_are_forgotten(stub, run):
    stub.body = {"forgotten": 3}
    assert run("forget", "CP1").stdout == "3 variables of CP1 are forgotten\n"
