"""Variables over HTTP: stored, searched, compared, exported, read, set and refreshed."""

import csv
import datetime as dt
import io

import pytest

from chargehand import Monitor, VariableName
from chargehand.protocol.device_model import ToldVariable, VariableAccess, VariableCharacteristics
from chargehand.simulator.v201 import Station

from ..hub import until

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ROOT = "/api/v1/charge-points"
TIMEOUT = "TxCtrlr.EVConnectionTimeOut"


@pytest.fixture
def put(system):
    def put(charge_point_id="CP1", **values):
        told = [
            ToldVariable(
                name=VariableName("C", name, evse=1),
                value=value,
                has_value=True,
                access=VariableAccess(mutability="ReadWrite", persistent=True),
                characteristics=VariableCharacteristics(data_type="string", values_list="a,b"),
            )
            for name, value in values.items()
        ]
        system.store.variables.put(charge_point_id, told, NOW, limit=100)

    return put


@pytest.fixture
def station(system):
    with Station(f"ws://127.0.0.1:{system.port}/ocpp", "CP1") as station:
        until(lambda: station.ready, "it is accepted")
        yield station


def test_a_variable_is_shown_with_all_that_was_told(client, put):
    put(One="1")
    assert client.simulate_get(f"{ROOT}/CP1/variables").json == {
        "variables": [
            {
                "name": "1/0/C.One",
                "component": "C",
                "component_instance": "",
                "evse": 1,
                "connector": None,
                "variable": "One",
                "instance": "",
                "attribute": "Actual",
                "value": "1",
                "mutability": "ReadWrite",
                "persistent": True,
                "constant": False,
                "unit": "",
                "data_type": "string",
                "min_limit": "",
                "max_limit": "",
                "values_list": "a,b",
                "supports_monitoring": False,
                "monitor_ids": [],
                "updated_at": "2026-01-01T00:00:00Z",
            }
        ],
        "more": False,
        "next": None,
    }


def test_a_variable_has_the_numbers_of_its_monitors(client, system, put):
    put(One="1", Two="2")
    for number, name in ((7, "1/0/c.ONE"), (8, "1/0/C.One"), (9, "1/0/C.Three")):
        monitor = Monitor(
            monitor_id=number,
            charge_point_id="CP1",
            variable=name,
            kind="Delta",
            value=1.0,
            severity=5,
            accepted_at=NOW,
        )
        system.store.collections.monitors.put(monitor)
    found = client.simulate_get(f"{ROOT}/CP1/variables").json["variables"]
    assert [one["monitor_ids"] for one in found] == [[7, 8], []]
    exported = client.simulate_get(f"{ROOT}/CP1/variables/export", params={"format": "csv"})
    assert next(csv.DictReader(io.StringIO(exported.text)))["monitor_ids"] == "7; 8"


def test_variables_are_searched_limited_and_forgotten(client, put):
    put(One="1", Two="2", Twelve="12")

    def names(**query):
        told = client.simulate_get(f"{ROOT}/CP1/variables", params=query).json
        return [one["variable"] for one in told["variables"]], told["more"]

    assert names(search="TW") == (["Twelve", "Two"], False)
    assert names(limit="1") == (["One"], True)
    assert names(attribute="Actual", search="c.one") == (["One"], False)
    assert client.simulate_delete(f"{ROOT}/CP1/variables").json["forgotten"] == 3
    assert client.simulate_get(f"{ROOT}/CP1/variables").status_code == 404


def test_variables_are_exported_as_json_and_as_csv_without_formulas(client, put):
    put(One="=1+1", Two='a,"b"\n')
    rows = client.simulate_get(f"{ROOT}/CP1/variables/export").json
    assert [row["value"] for row in rows] == ["=1+1", 'a,"b"\n']
    reply = client.simulate_get(f"{ROOT}/CP1/variables/export", params={"format": "csv", "search": "c."})
    assert reply.headers["content-type"].startswith("text/csv")
    first, second = csv.DictReader(io.StringIO(reply.text))
    assert (first["name"], first["value"], first["persistent"], first["evse"]) == (
        "1/0/C.One",
        "'=1+1",
        "true",
        "1",
    )
    assert second["value"] == 'a,"b"\\n'


def test_two_charge_points_are_compared(client, put):
    put("CP1", Same="1", Differs="1", Mine="x")
    put("CP2", Same="1", Differs="2")
    reply = client.simulate_get(f"{ROOT}/CP1/variables/compare", params={"other": "CP2"})
    found = [(one["name"], one["value"], one["other"], one["there"]) for one in reply.json["differences"]]
    assert found == [("1/0/C.Differs", "1", "2", True), ("1/0/C.Mine", "x", None, False)]
    assert client.simulate_get(f"{ROOT}/CP1/variables/compare").status_code == 400
    assert client.simulate_get(f"{ROOT}/CP1/variables/compare", params={"other": "CP9"}).status_code == 404


@pytest.mark.usefixtures("station")
def test_variables_of_a_station_are_refreshed_read_and_set(client):
    told = client.simulate_post(f"{ROOT}/CP1/variables/refresh", params={"timeout": "5"}).json
    assert (told["report"]["state"], told["command"]["effect"]) == ("complete", "done")
    assert len(client.simulate_get(f"{ROOT}/CP1/variables").json["variables"]) > 70
    body = {"names": ["ConnectionTimeOut", "X.Y"]}
    results = client.simulate_post(f"{ROOT}/CP1/variables/get", json=body).json["results"]
    assert results == [
        {"name": TIMEOUT, "attribute": "Actual", "status": "Accepted", "value": "60", "reason": ""},
        {"name": "X.Y", "attribute": "Actual", "status": "UnknownComponent", "value": None, "reason": ""},
    ]
    changed = client.simulate_post(f"{ROOT}/CP1/variables", json={"values": {TIMEOUT: "90"}}).json
    assert changed["results"][0]["status"] == "Accepted"


@pytest.mark.usefixtures("station")
@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("variables", {"values": {}}, 422),
        ("variables", {"values": {"nothing": "1"}}, 422),
        ("variables", {"values": {TIMEOUT: "x" * 1001}}, 422),
        ("variables", {"values": {TIMEOUT: 1}}, 422),
        ("variables", {"names": ["X.Y"]}, 422),
        ("variables/get", {"names": []}, 422),
        ("variables/get", {"names": ["X.Y"], "attribute": "Nothing"}, 422),
    ],
)
def test_what_no_station_can_take_is_a_problem(client, path, body, status):
    assert client.simulate_post(f"{ROOT}/CP1/{path}", json=body).status_code == status


def test_a_charge_point_that_is_away_gives_no_result(client, system):
    with Station(f"ws://127.0.0.1:{system.port}/ocpp", "CP1") as station:
        until(lambda: station.ready, "it is accepted")
    until(lambda: not system.charge_point("CP1").connected, "it is away")
    reply = client.simulate_post(f"{ROOT}/CP1/variables/get", json={"names": [TIMEOUT]})
    assert (reply.status_code, reply.json["title"]) == (409, "No result")
    assert reply.json["results"][0]["status"] == ""
    assert client.simulate_post(f"{ROOT}/CP1/variables/refresh").status_code == 404


def test_a_charge_point_that_was_never_here_is_not_known(client):
    for path, body in (("get", {"names": [TIMEOUT]}), ("refresh", None)):
        assert client.simulate_post(f"{ROOT}/CP9/variables/{path}", json=body).status_code == 404


def test_a_charge_point_of_1_6_has_no_variables(client, charge_point):
    charge_point("CP16")
    reply = client.simulate_post(f"{ROOT}/CP16/variables/get", json={"names": [TIMEOUT]})
    assert (reply.status_code, reply.json["title"]) == (409, "Not supported")
    assert client.simulate_get(f"{ROOT}/CP16/variables").json == {
        "variables": [],
        "more": False,
        "next": None,
    }
