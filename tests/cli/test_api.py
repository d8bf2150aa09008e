"""The HTTP client of the commands; the rest of its tests are with `chargehand send`."""

import json

import pytest
from click.testing import CliRunner

from chargehand import HttpSettings, Settings
from chargehand.cli.api import Api
from chargehand.cli.failures import CommandFailed
from chargehand.cli.main import main

pytestmark = pytest.mark.usefixtures("_clean_environment")

COMMANDS = {
    ("tree",): "/api/v1/supervision",
    ("charge-points",): "/api/v1/charge-points",
    ("quarantine", "list"): "/api/v1/plugins",
    ("quarantine", "release", "a/b ü"): "/api/v1/plugins/a%2Fb%20%C3%BC/release",
    ("recording", "a/b ü"): "/api/v1/charge-points/a%2Fb%20%C3%BC/recording",
}
BODY = {"charge_points": [], "plugins": [], "state": "running", "id": "root"}


def run(*arguments):
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize(("command", "target"), COMMANDS.items())
def test_every_command_finds_the_server_of_the_data_folder(stub, tmp_path, command, target):
    stub.body = BODY
    stub.serve(tmp_path / "elsewhere")
    done = run(*command, "--data", "elsewhere")
    assert (done.exit_code, done.stderr) == (0, "")
    assert [(asked.partition("?")[0], *rest) for asked, *rest in stub.requests] == [
        (target, "Bearer made", b"")
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_a_url_and_a_token(stub, command):
    stub.body = BODY
    assert run(*command, "--url", f"{stub.url}/behind", "--token", "mine").exit_code == 0
    ((target, token, _),) = stub.requests
    assert target.startswith("/behind/api/v1/")
    assert token == "Bearer mine"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("status", "body", "wanted"),
    [
        (401, {"title": "Unauthorized", "description": "no"}, "another token"),
        (404, {"title": "Unknown", "description": "there is none"}, "Unknown: there is none"),
        (503, {"title": "Stopping", "description": "it stops"}, "it stops"),
        (500, b"<html>", "not chargehand"),
        (404, b"[]", "not chargehand"),
    ],
)
def test_every_command_says_clearly_what_went_wrong(stub, command, status, body, wanted):
    stub.status, stub.body = status, body
    done = run(*command, "--url", stub.url)
    assert (done.exit_code, done.stdout) == (1, "")
    assert wanted in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert "\n  next: " in done.stderr


def test_bytes_that_are_no_text_come_from_something_else(stub):
    stub.body = b"\xff"
    assert "not chargehand" in run("recording", "CP1", "--url", stub.url).stderr


def test_without_http_there_is_nothing_to_ask():
    with pytest.raises(CommandFailed, match="turned off"):
        Api.of(Settings(http=HttpSettings(enabled=False)))


def test_an_answer_is_an_object_whatever_the_status(stub):
    stub.status, stub.body = 409, {"a": "ü"}
    reply = Api(stub.url, "").ask("POST", "x", query={"q": "1 2"}, body=json.dumps({"b": 1}))
    assert (reply.status, reply.json) == (409, {"a": "ü"})
    assert stub.requests == [("/api/v1/x?q=1+2", None, b'{"b": 1}')]


def test_a_list_is_read_to_its_last_page(stub, monkeypatch):
    pages = [
        {"tags": [1, 2], "more": True, "next": "b"},
        {"tags": [3], "more": True, "next": "c"},
        {"tags": [4], "more": False, "next": None},
    ]
    asked = []
    monkeypatch.setattr(Api, "get", lambda _, *path, **query: asked.append(query) or pages[len(asked) - 1])
    told = Api(stub.url, "").whole("tags", "tags", cursor="after", limit="2")
    assert told == {"tags": [1, 2, 3, 4], "more": False, "next": None}
    assert asked == [{"limit": "2"}, {"limit": "2", "after": "b"}, {"limit": "2", "after": "c"}]
