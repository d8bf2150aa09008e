"""`chargehand logs`: its requests, and what it refuses."""

import json

import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

pytestmark = pytest.mark.usefixtures("_clean_environment")

ROW = {"charge_point": "CP1", "level": "DEBUG", "until": "2026-05-04T12:00:00Z", "by": "server"}


@pytest.fixture
def logs(stub):
    stub.body = {
        "log_levels": [ROW, ROW | {"charge_point": "CP2", "until": None}],
        "more": False,
        "next": None,
    }
    return lambda *arguments: CliRunner().invoke(main, ["logs", *arguments, "--url", stub.url])


def bodies(stub):
    return [(target, json.loads(body) if body else None) for target, _, body in stub.requests]


def test_levels_are_listed(stub, logs):
    lines = logs().stdout.splitlines()
    assert lines[2].split() == ["CP1", "DEBUG", "2026-05-04", "12:00:00Z", "server"]
    assert "without end" in lines[3]
    assert bodies(stub) == [("/api/v1/log-levels?limit=10000", None)]


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ((), {}),
        (("--for", "10m"), {"for_s": 600}),
        (("--no-end",), {"for_s": 0}),
        (("--until", "2026-12-01T14:00"), {"until": "2026-12-01T14:00:00+00:00"}),
    ],
)
def test_a_level_is_set_for_a_time(stub, logs, options, body):
    assert logs("CP/1", "CP2", "--level", "debug", *options).exit_code == 0
    assert bodies(stub)[:2] == [
        ("/api/v1/log-levels/CP%2F1", {"level": "DEBUG", **body}),
        ("/api/v1/log-levels/CP2", {"level": "DEBUG", **body}),
    ]


def test_the_level_of_all_others_is_given_back(stub, logs):
    assert logs("CP1", "--level", "default").exit_code == 0
    assert bodies(stub)[0] == ("/api/v1/log-levels/CP1", None)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("CP1",), "no level is given"),
        (("--level", "debug"), "logs CP --level debug"),
        (("CP1", "--level", "debug", "--for", "1h", "--no-end"), "give one of them"),
        (("CP1", "--level", "debug", "--until", "soon"), "is no time"),
        (("CP1", "--level", "loud"), "loud"),
    ],
)
def test_what_cannot_be_is_status_2_and_nothing_is_asked(stub, logs, arguments, text):
    done = logs(*arguments)
    assert (done.exit_code, text in done.stderr) == (2, True)
    assert stub.requests == []
