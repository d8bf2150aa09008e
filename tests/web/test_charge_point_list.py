"""`GET /api/v1/charge-points`: its parameters, its members, its pages."""

import pytest

PATH = "/api/v1/charge-points"


@pytest.fixture
def three(charge_point):
    for id_ in ("A+1", "B", "C"):
        charge_point(id_)


def get(client, **params):
    return client.simulate_get(PATH, params={name: str(value) for name, value in params.items()})


@pytest.mark.usefixtures("three")
def test_pages_follow_one_another_by_the_cursor(client):
    found, after = [], ""
    while after is not None:
        page = get(client, limit=1, **({"after": after} if after else {})).json
        found += [row["id"] for row in page["charge_points"]]
        after = page["next"]
        assert page["more"] is (after is not None)
    assert found == ["A+1", "B", "C"]


@pytest.mark.usefixtures("three")
def test_only_the_wanted_members_are_told(client):
    assert get(client, fields="connected,model", id="B").json["charge_points"] == [
        {"id": "B", "connected": True, "model": ""}
    ]
    assert [row["id"] for row in get(client, ids="C,B,X", fields="id").json["charge_points"]] == ["B", "C"]
    (row,) = get(client, id="B").json["charge_points"]
    assert {"version", "connectors", "power_w", "flags", "node", "worker", "heard_at"} <= row.keys()


@pytest.mark.usefixtures("three")
def test_the_connected_the_silent_and_the_odd_ones_are_found(client, system):
    assert len(get(client, connected="true").json["charge_points"]) == 3
    assert get(client, connected="false").json["charge_points"] == []
    assert get(client, silent_s=86400).json["charge_points"] == []
    system.charge_point("C").deviations = {"x": 1}
    assert [row["id"] for row in get(client, flag="deviations").json["charge_points"]] == ["C"]


@pytest.mark.parametrize(
    "params",
    [
        {"fields": "colour"},
        {"flag": "odd"},
        {"connected": "maybe"},
        {"silent_s": 0},
        {"worker": "x"},
        {"limit": 0},
    ],
)
def test_a_parameter_that_is_wrong_is_refused(client, params):
    assert get(client, **params).status_code == 400
