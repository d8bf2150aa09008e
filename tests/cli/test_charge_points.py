"""`chargehand charge-points`: its output for the answers of the server."""

import csv
import io
import json
import time
from urllib.parse import parse_qsl, urlsplit

import pytest
from click.testing import CliRunner

from chargehand.cli import charge_point_choice
from chargehand.cli import charge_points as charge_points_module
from chargehand.cli.main import main

pytestmark = pytest.mark.usefixtures("_clean_environment")

HERE = {
    "id": "CP1",
    "name": "",
    "connected": True,
    "peer": "192.0.2.1:5000",
    "secure": True,
    "connected_at": "2026-05-04T12:34:56.789Z",
    "disconnected_at": None,
    "registration": "Accepted",
    "version": "1.6",
    "vendor": "Acme",
    "model": "X1",
    "firmware": "1.10",
    "serial_numbers": ["S1"],
    "connectors": [
        {"evse": 0, "connector": 0, "status": "Available", "error": "", "since": None, "info": ""},
        {"evse": 1, "connector": 1, "status": "Available", "error": "NoError", "since": None, "info": ""},
        {"evse": 2, "connector": 1, "status": "Faulted", "error": "GroundFailure", "since": None, "info": ""},
    ],
    "power_w": 3680.5,
    "flags": ["deviations"],
    "heard_at": "2026-05-04T12:40:00Z",
    "node": "",
    "worker": None,
}
AWAY = HERE | {
    "id": "[bold]\x1b",
    "connected": False,
    "secure": False,
    "connected_at": None,
    "disconnected_at": "2026-05-03T00:00:00Z",
    "registration": None,
    "version": None,
    "connectors": [],
    "flags": [],
    "heard_at": None,
}


@pytest.fixture
def listed(stub):
    """Print a list of charge points."""

    def run(rows, *options):
        stub.body = {"charge_points": rows, "more": False, "next": None, "unanswered": []}
        done = CliRunner().invoke(main, ["charge-points", "--url", stub.url, *options])
        assert (done.exit_code, done.stderr) == (0, "")
        return done.stdout

    return run


def cells(line):
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_the_connected_ones_are_a_table(listed):
    head, _, *lines = listed([HERE]).splitlines()
    assert [word for word in cells(head) if word in charge_points_module.COLUMNS] == cells(head)
    shown = " ".join(lines[0].split())
    assert shown.startswith(
        "CP1 Faulted (GroundFailure) 2; Available 1 Acme X1 1.10 1.6 192.0.2.1:5000 (TLS) "
    )
    assert shown.endswith("2026-05-04 12:34:56Z 2026-05-04 12:40:00Z Accepted deviations")


def test_with_all_those_that_are_away_are_there_too(listed):
    lines = listed([HERE, AWAY], "--all").splitlines()
    assert cells(lines[3])[0] == "[bold]\\x1b"
    assert cells(lines[3])[-2:] == ["away", "2026-05-03 00:00:00Z"]


def test_a_filter_is_a_parameter_of_the_one_request(stub, listed):
    listed(
        [HERE], "--status", "faulted", "--status", "Unavailable", "--firmware-below", "1.4", "--silent", "10m",
        "--model", "X*", "--version", "1.6", "--flag", "paused", "--search", "a b", "--worker", "2", "--limit", "7",
    )  # fmt: skip
    ((target, _, _),) = stub.requests
    query = dict(parse_qsl(urlsplit(target).query))
    assert query.pop("fields").split(",") == sorted({*charge_points_module.EXPORTED} - {"power_w"})
    assert query == {
        "connected": "1", "status": "faulted,Unavailable", "firmware_below": "1.4", "silent_s": "600", "model": "X*",
        "version": "1.6", "flag": "paused", "q": "a b", "worker": "2", "limit": "7",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "query"), [(("--all",), {"stored": "1"}), (("--away",), {"connected": "0", "stored": "1"})]
)
def test_those_that_are_away_are_asked_for(stub, listed, options, query):
    listed([AWAY], *options)
    asked = dict(parse_qsl(urlsplit(stub.requests[0][0]).query))
    assert {name: asked[name] for name in ("connected", "stored") if name in asked} == query


def test_a_duration_has_a_unit(charge_points):
    for text, seconds in (("90", "90"), ("1.5m", "90"), ("2h", "7200"), ("1d", "86400")):
        assert charge_point_choice.seconds(text) == seconds
    for text in ("0", "-1", "1w", "soon"):
        assert "no duration like" in charge_points("list", f"--silent={text}").stderr


def test_processes_that_did_not_answer_are_named(stub, charge_points):
    stub.body = {"charge_points": [], "more": False, "next": None, "unanswered": ["n2"]}
    done = charge_points("list")
    assert (done.exit_code, "no answer from n2" in done.stderr) == (0, True)


def test_connectors_are_a_text_in_csv(listed):
    (row,) = csv.DictReader(io.StringIO(listed([HERE], "--csv")))
    assert (row["connectors"], row["serial_numbers"]) == ("Faulted (GroundFailure) 2; Available 1", "S1")


def test_times_are_shown_in_the_local_zone_with_its_offset(listed, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        assert "2026-05-04 18:04:56+05:30" in listed([HERE], "--times", "local")
        assert "2026-05-04 12:34:56Z" in listed([HERE])
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


def test_a_long_id_is_shown_whole(listed):
    assert "x" * 120 in listed([HERE | {"id": "x" * 120}])


def test_that_there_is_none_is_said(listed):
    assert listed([]) == "no charge point is as asked for\n"


def test_programs_get_the_rows_as_they_came(listed):
    assert json.loads(listed([HERE, AWAY], "--json", "--all")) == [HERE, AWAY]


# The commands of the group


FACTS = HERE | {
    "version": "1.6",
    "boot": {"chargePointVendor": "Acme"},
    "connectors": [{"connectorId": 1, "status": "Available", "errorCode": "NoError"}],
    "statuses": [
        {"evse": 1, "connector": 1, "status": "Available", "error_code": "NoError", "info": "", "at": None}
    ],
    "deviations": {"a.b": 2},
    "ignored": {},
    "open_tickets": [{"ticket": "ab-1", "action": "Reset", "state": "sent"}],
    "has_password": True,
}
EVENT = {"kind": "status", "received_at": "2026-05-04T12:00:00Z", "data": {"status": "Faulted"}}


@pytest.fixture
def charge_points(stub):
    """Run one of the commands."""

    def run(*arguments, text=None):
        return CliRunner().invoke(main, ["charge-points", *arguments, "--url", stub.url], input=text)

    return run


def test_list_is_what_the_bare_command_does(stub, charge_points):
    stub.body = {"charge_points": [HERE, AWAY]}
    assert charge_points("list").stdout == charge_points().stdout
    assert charge_points("list", "--all").stdout == charge_points("--all").stdout
    assert stub.requests[0][0] == stub.requests[1][0]
    assert charge_points("lost").exit_code == 2
    assert "remove" in CliRunner().invoke(main, ["charge-points", "--help"]).stdout


def test_one_is_shown_with_its_events_and_what_it_charges(stub, charge_points):
    stub.body = FACTS | {"events": [EVENT], "transactions": [], "more": False, "next": None}
    done = charge_points("show", "a/b")
    assert [target.partition("?")[0] for target, _, _ in stub.requests] == [
        "/api/v1/charge-points/a%2Fb",
        "/api/v1/charge-points/a%2Fb/events",
        "/api/v1/transactions",
    ]
    for text in ("192.0.2.1:5000 (TLS)", "Acme", "Available", "ab-1", '{"status": "Faulted"}', '{"a.b": 2}'):
        assert text in done.stdout
    told = json.loads(charge_points("show", "a/b", "--json").stdout)
    assert (told["events"], told["open_transactions"]) == ([EVENT], [])


def test_an_export_is_csv_or_json(stub, charge_points):
    stub.body = {"charge_points": [HERE, AWAY]}
    lines = charge_points("export").stdout.splitlines()
    assert lines[0].startswith("id,name,connected")
    assert lines[1].startswith("CP1,,true,")
    assert json.loads(charge_points("export", "--json").stdout) == [HERE, AWAY]


def bodies(stub):
    return [(target, json.loads(body)) for target, _, body in stub.requests if body]


def test_one_is_entered(stub, charge_points):
    stub.body = FACTS | {"has_password": False, "registration": "Pending", "connected": False}
    done = charge_points("add", "CP1", "--registration", "Pending")
    assert (done.exit_code, done.stdout) == (0, "CP1 is Pending\n")
    assert bodies(stub) == [("/api/v1/charge-points/CP1", {"registration": "Pending"})]


@pytest.mark.parametrize(("options", "text"), [(("--password", "sü"), None), (("--password-stdin",), "sü\n")])
def test_a_password_is_set_before_anything_else(stub, charge_points, options, text):
    stub.body = FACTS | {"connected": False}
    done = charge_points("add", "CP1", *options, text=text)
    assert done.stdout == "CP1 is Accepted and has a password\n"
    assert bodies(stub) == [
        ("/api/v1/charge-points/CP1/password", {"password": "sü"}),
        ("/api/v1/charge-points/CP1", {}),
    ]


def test_digits_that_may_be_meant_as_bytes_are_taken_as_text_and_pointed_out(stub, charge_points):
    stub.body = FACTS
    done = charge_points("add", "CP1", "--password", "00ff" * 10)
    assert bodies(stub)[0][1] == {"password": "00ff" * 10}
    assert "behind hex:" in done.stderr
    assert "hex:" not in charge_points("add", "CP1", "--password", "hex:" + "00ff" * 10).stderr


def test_a_password_alone_is_set_for_one_that_is_connected_too(stub, charge_points):
    stub.body = FACTS
    assert charge_points("add", "CP1", "--password", "secret").exit_code == 0
    assert [target for target, _ in bodies(stub)] == ["/api/v1/charge-points/CP1/password"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--password", "x", "--password-stdin"), "x"),
        (("--password-stdin",), b"\xff"),
        (("--registration", "x"), ""),
    ],
)
def test_what_cannot_be_is_status_2_and_nothing_is_asked(stub, charge_points, options, text):
    assert charge_points("add", "CP1", *options, text=text).exit_code == 2
    assert stub.requests == []


def test_one_is_forgotten_and_a_refusal_is_status_1(stub, charge_points):
    stub.body = FACTS
    assert charge_points("remove", "CP1").stdout == "CP1 is forgotten\n"
    stub.status, stub.body = 409, {"title": "Connected", "description": "CP1 is connected"}
    done = charge_points("remove", "CP1")
    assert (done.exit_code, "CP1 is connected" in done.stderr) == (1, True)


def test_readings_without_a_transaction_are_a_table_or_what_http_answers(stub, charge_points):
    reading = {
        "charge_point": "a/b", "connector_id": 0, "transaction_id": None, "received_at": "2026-05-04T12:00:00Z",
        "values": [{"timestamp": "2026-05-04T13:59:00+02:00", "sampledValue": [{"value": "7654321", "unit": "Wh"}]}],
        "payload": {}, "flags": ["odd"],
    }  # fmt: skip
    stub.body = {"meter_readings": [reading], "more": True, "next": "2026-05-04T12:00:00+00:00_3"}
    done = charge_points(
        "readings", "a/b", "--connector", "0", "--all", "--since", "2026-05-04", "--limit", "1"
    )
    path = "/api/v1/charge-points/a%2Fb/meter-readings?connector=0&since=2026-05-04&limit=1&all=1"
    assert stub.requests[-1][0] == path
    for text in (
        "2026-05-04 12:00:00Z",
        "2026-05-04 11:59:00Z",
        "7654321 Wh",
        "odd",
        "--before 2026-05-04T12:00:00+",
    ):
        assert text in done.stdout
    told = charge_points("readings", "a/b", "--before", "2026-05-04T12:00:00+00:00_3", "--json").stdout
    assert json.loads(told) == stub.body
    assert "before=2026-05-04T12%3A00%3A00%2B00%3A00_3" in stub.requests[-1][0]


def test_a_least_security_profile_is_set(stub, charge_points):
    stub.body = FACTS | {"security_profile": 2}
    done = charge_points("set", "CP1", "--security-profile", "2")
    assert (done.exit_code, done.stdout) == (0, "CP1 has the least security profile 2\n")
    assert bodies(stub) == [("/api/v1/charge-points/CP1", {"security_profile": 2})]
    assert charge_points("set", "CP1", "--security-profile", "4").exit_code == 2


def test_the_certificate_and_an_accepted_profile_are_shown(stub, charge_points):
    certificate = {"subject": "CN=CP1", "not_after": "2027-01-01T00:00:00+00:00"}
    stub.body = FACTS | {
        "security_profile": 2,
        "new_security_profile": 3,
        "tls": {"certificate": certificate},
        "events": [],
        "transactions": [],
        "more": False,
        "next": None,
    }
    shown = charge_points("show", "CP1").stdout
    assert "CN=CP1, until 2027-01-01 00:00:00Z" in shown
    assert "accepted security profile, not used yet" in shown
