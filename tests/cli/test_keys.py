"""`chargehand keys`, against a stub of the HTTP API: passwords out of a file, all of which are right or none is set."""

import json

import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

pytestmark = pytest.mark.usefixtures("_clean_environment")

SECRET = "a password of its own"


@pytest.fixture
def run(stub):
    def run(text):
        given = text.encode() if isinstance(text, str) else text
        return CliRunner().invoke(main, ["keys", "import", "-", "--url", stub.url], input=given)

    return run


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_each_line_is_the_password_of_a_charge_point(run, stub, delimiter):
    lines = ["charge_point,password", f"CP1,{SECRET}", "", "a/b,hex:00112233445566778899aabbccddeeff"]
    done = run("\ufeff" + "\r\n".join(lines).replace(",", delimiter))
    assert (done.exit_code, done.stdout) == (0, "2 passwords set\n")
    assert [(path, json.loads(body)["password"]) for path, _, body in stub.requests] == [
        ("/api/v1/charge-points/CP1/password", SECRET),
        ("/api/v1/charge-points/a%2Fb/password", "hex:00112233445566778899aabbccddeeff"),
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (f"CP1,{SECRET}\n", "begins with the line charge_point,password"),
        ("", "begins with the line charge_point,password"),
        (f"charge_point,password\nCP1,{SECRET}\nCP1,{SECRET}\n", "line 3: CP1 is in an earlier line, too"),
        (f"charge_point,password\nCP1,{SECRET},x\n", "line 2: it has 3 fields, not 2"),
        (f"charge_point,password\nCP1,{SECRET}\nCP2,\n", "line 3: a password has at least one byte"),
        (f"charge_point,password\n,{SECRET}\n", "line 2: it names no charge point"),
        ("charge_point,password\nCP1,hex:123\n", "line 2: "),
        (f"charge_point,password\nCP\x01,{SECRET}\n", "line 2: an identity has no control"),
        (f'charge_point,password\nCP1,"{SECRET}\n', "line 2: "),
        (b"charge_point,password\nCP1,\xff\xff\n", "not UTF-8"),
    ],
)
def test_with_a_wrong_line_no_password_is_set_and_none_is_shown(run, stub, text, fault):
    done = run(text)
    assert done.exit_code == 2
    assert fault in done.output
    assert SECRET not in done.output
    assert stub.requests == []


def test_a_refusal_of_the_server_says_how_many_are_set(run, stub):
    stub.status, stub.body = 422, {"title": "Invalid identity", "description": "it is too long"}
    done = run(f"charge_point,password\nCP1,{SECRET}\n")
    assert done.exit_code == 1
    assert "0 of 1 passwords are set; CP1: " in done.stderr
    assert SECRET not in done.output
