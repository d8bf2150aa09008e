"""Levels of log lines over HTTP: set for a time, listed, removed."""

import datetime as dt
import json

import pytest

PATH = "/api/v1/log-levels"


def put(client, body, charge_point="CP1"):
    reply = client.simulate_put(f"{PATH}/{charge_point}", body=json.dumps(body))
    return reply.status_code, reply.json


def test_a_level_is_set_for_an_hour_listed_and_removed(client, system):
    status, told = put(client, {"level": "DEBUG"})
    assert (status, told["charge_point"], told["level"], told["by"]) == (200, "CP1", "DEBUG", "server")
    left = dt.datetime.fromisoformat(told["until"]) - dt.datetime.now(dt.UTC)
    assert dt.timedelta(minutes=59) < left <= dt.timedelta(hours=1)
    assert client.simulate_get(PATH).json["log_levels"] == [told]
    assert system.log_levels.numbers() == {"CP1": 10}
    assert client.simulate_delete(f"{PATH}/CP1").json == told
    assert client.simulate_get(PATH).json["log_levels"] == []
    assert client.simulate_delete(f"{PATH}/CP1").status_code == 404


@pytest.mark.parametrize(
    ("body", "until"),
    [({"for_s": 0}, None), ({"until": "2099-01-01T02:00:00+02:00"}, "2099-01-01T00:00:00")],
)
def test_it_may_have_no_end_or_a_time(client, body, until):
    status, told = put(client, {"level": "ERROR", **body})
    assert status == 200
    assert told["until"] is until or told["until"].startswith(until)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"level": "LOUD"},
        {"level": "DEBUG", "for_s": -1},
        {"level": "DEBUG", "until": "2026-01-01"},
        {"level": "DEBUG", "until": "2020-01-01T00:00:00Z"},
        {"level": "DEBUG", "until": "2099-01-01T00:00:00Z", "for_s": 5},
    ],
)
def test_what_cannot_be_is_refused(client, body):
    assert put(client, body)[0] == 422
