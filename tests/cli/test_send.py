"""`chargehand send`, against a stub of the HTTP API: its address, its requests, and its output for the answers."""

import json

import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

from ..ports import free_port

pytestmark = pytest.mark.usefixtures("_clean_environment")

RESPONSE = {"status": "Akzeptiért"}
ANSWERED = {"ticket": "1-1", "state": "answered", "response": RESPONSE}


@pytest.fixture(autouse=True)
def _answered(stub):
    stub.body = ANSWERED


def call(*arguments):
    return CliRunner().invoke(main, ["send", *arguments])


def test_the_server_of_the_data_folder_is_found_with_its_token(stub, tmp_path):
    stub.serve(tmp_path / "chargehand-data")
    done = call("a/b ü", "Reset", '{"type": "Soft"}')
    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout) == RESPONSE
    assert "Akzeptiért" in done.stdout
    path = "/api/v1/charge-points/a%2Fb%20%C3%BC/commands/Reset?timeout=30"
    assert stub.requests == [(path, "Bearer made", b'{"type": "Soft"}')]


def test_deviations_of_the_answer_are_said_beside_the_response(stub):
    row = {
        "path": "configurationKey[1].readonly",
        "code": "TypeConstraintViolation",
        "text": "is required",
        "value": "",
    }
    stub.body = ANSWERED | {"deviations": [row]}
    done = call("CP1", "GetConfiguration", "--url", stub.url)
    assert (done.exit_code, json.loads(done.stdout)) == (0, RESPONSE)
    assert done.stderr == "deviation: configurationKey[1].readonly is required\n"


@pytest.mark.parametrize("how", ["option", "environment", "file"])
def test_the_data_folder_may_be_named(stub, tmp_path, monkeypatch, how):
    stub.serve(tmp_path / "elsewhere")
    options = ["--data", "elsewhere"] if how == "option" else []
    if how == "environment":
        monkeypatch.setenv("CHARGEHAND_DATA", "elsewhere")
    if how == "file":
        (tmp_path / "c.toml").write_text('data = "elsewhere"')
        options = ["--config", "c.toml"]
    assert call("CP1", "ClearCache", *options).exit_code == 0
    assert stub.requests[0][1:] == ("Bearer made", b"{}")


def test_what_the_options_say_wins(stub, tmp_path):
    (tmp_path / "chargehand-data").mkdir()
    (tmp_path / "chargehand-data" / "run.json").write_text('{"http": "http://127.0.0.1:9"}')
    done = call("CP1", "ClearCache", "--url", f"{stub.url}/behind/", "--token", "mine", "--timeout", "1.5")
    assert done.exit_code == 0
    path = "/behind/api/v1/charge-points/CP1/commands/ClearCache?timeout=1.5"
    assert stub.requests == [(path, "Bearer mine", b"{}")]


def test_without_a_running_server_the_settings_say_where_it_should_be(stub, monkeypatch):
    monkeypatch.setenv("CHARGEHAND_HTTP__PORT", str(stub.server.server_port))
    monkeypatch.setenv("CHARGEHAND_HTTP__TOKEN", "wörd")
    assert call("CP1", "ClearCache").exit_code == 0
    assert stub.requests[0][1] == "Bearer wörd".encode().decode("latin-1")


def test_without_a_token_none_is_sent(stub):
    assert call("CP1", "ClearCache", "--url", stub.url).exit_code == 0
    assert stub.requests[0][1] is None


def test_no_proxy_of_the_environment_comes_in_between(stub, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert call("CP1", "ClearCache", "--url", stub.url).exit_code == 0


@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (202, {"ticket": "1-7", "state": "sent"}, ["sent and not answered yet", "1-7"]),
        (401, {"title": "Unauthorized", "description": "no"}, ["token"]),
        (404, {"title": "Not connected", "description": "it is away", "state": "never_sent"}, ["CP1", "it is away"]),
        (
            409,
            {"title": "t", "error": {"code": "NotSupported", "description": "no cache", "details": {"a": "ü"}}},
            ["CP1", "NotSupported", "no cache", '{"a": "ü"}'],
        ),
        (
            502,
            {"title": "t", "error": {"code": "FormationViolation", "description": "the answer is invalid: frame is"
             " not readable JSON", "details": {"answer": "[3,"}}},
            ["was answered, but the answer is invalid", '{"answer": "[3,"}'],
        ),
        (
            422,
            {"title": "Invalid payload", "violations": [
                {"path": "type", "code": "PropertyConstraintViolation", "text": "is wrong", "value": ""},
                {"path": "", "code": "TypeConstraintViolation", "text": "is odd", "value": ""},
            ]},
            ["type: is wrong (PropertyConstraintViolation)", "payload: is odd"],
        ),
        (504, {"title": "Sent, but not answered in time", "description": "no answer within 1 s"}, ["within 1 s"]),
        (200, b"<html>", ["not chargehand"]),
        (500, b"[]", ["not chargehand"]),
        (200, b"", ["not chargehand"]),
    ],
)  # fmt: skip
def test_every_other_end_is_a_clear_text_and_status_one(stub, status, body, wanted):
    stub.status, stub.body = status, body
    done = call("CP1", "Reset", "--url", stub.url)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("chargehand: ")
    for text in wanted:
        assert text in done.stderr


def test_no_server_at_all_is_one_clear_line():
    url = f"http://127.0.0.1:{free_port()}"
    done = call("CP1", "Reset", "--url", url)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"chargehand: no answer from a server at {url}: Connection refused\n")


def test_an_address_that_only_the_settings_name_is_said_to_be_theirs(tmp_path):
    port = free_port()
    (tmp_path / "c.toml").write_text(f"[http]\nport = {port}\n")
    done = call("CP1", "Reset", "--config", str(tmp_path / "c.toml"), "--data", str(tmp_path / "data"))
    assert done.exit_code == 1
    assert f":{port}: Connection refused (the address in the settings: no server runs in" in done.stderr
    assert str(tmp_path / "data") in done.stderr


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://x", "http://[", "http://x:port"])
def test_a_url_that_is_none_is_status_two(url):
    done = call("CP1", "Reset", "--url", url)
    assert done.exit_code == 2
    assert url in done.stderr


# Until the effect


def test_the_effect_is_waited_for_when_that_is_asked(stub):
    stub.body = ANSWERED | {"effect": "done"}
    done = call("CP1", "Reset", "--until-effect", "--effect-timeout", "2.5", "--url", stub.url)
    assert (done.exit_code, done.stderr) == (0, "")
    assert json.loads(done.stdout) == RESPONSE
    path = "/api/v1/charge-points/CP1/commands/Reset?timeout=30&until_effect=1&effect_timeout=2.5"
    assert stub.requests[0][0] == path


@pytest.mark.parametrize(
    ("status", "effect", "wanted"),
    [
        (200, "declined", "will not be done"),
        (200, "no_effect", "nothing came of it"),
        (202, "pending", "its effect is still to come; its ticket is 1-1"),
    ],
)
def test_without_its_effect_a_command_is_printed_and_is_status_one(stub, status, effect, wanted):
    stub.status, stub.body = status, ANSWERED | {"effect": effect}
    done = call("CP1", "Reset", "--until-effect", "--url", stub.url)
    assert done.exit_code == 1
    assert json.loads(done.stdout) == RESPONSE
    assert wanted in done.stderr


@pytest.mark.parametrize(
    ("effect", "wanted"), [("done", "come to pass all the same"), ("pending", "still to be seen")]
)
def test_a_command_that_was_not_answered_says_whether_it_was_carried_out(stub, effect, wanted):
    stub.status, stub.body = (
        504,
        {"title": "Sent, but not answered in time", "ticket": "1-1", "effect": effect},
    )
    done = call("CP1", "Reset", "--until-effect", "--url", stub.url)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "not answered in time" in done.stderr
    assert wanted in done.stderr


def test_what_a_charge_point_says_moves_no_cursor(stub):
    stub.status = 409
    error = {"code": "GenericError", "description": "\x1b[2Jgone\nchargehand: fine", "details": {}}
    stub.body = {"title": "t", "error": error}
    done = call("CP1", "Reset", "--url", stub.url)
    assert "\x1b" not in done.stderr
    assert "\\x1b[2Jgone" in done.stderr
