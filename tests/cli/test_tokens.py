"""`chargehand tokens`: what it asks of the server, and its output."""

import datetime as dt
import json

import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

NEW = {"name": "ops", "scope": "command", "expires_at": None, "token": "chargehand_abc"}


@pytest.fixture
def tokens(stub, _clean_environment):
    """Run one of the commands."""

    def run(*arguments):
        return CliRunner().invoke(main, ["tokens", *arguments, "--url", stub.url])

    return run


def test_a_new_token_is_printed_alone_so_that_a_script_can_take_it(tokens, stub):
    stub.body = NEW
    result = tokens("add", "ops", "--scope", "command")
    assert (result.exit_code, result.output) == (0, "chargehand_abc\n")
    target, _, body = stub.requests[0]
    assert target == "/api/v1/tokens"
    assert json.loads(body) == {"name": "ops", "scope": "command", "expires_at": None}


def test_days_become_the_time_of_the_expiry(tokens, stub):
    stub.body = NEW
    tokens("add", "ops", "--days", "1.5")
    expires = dt.datetime.fromisoformat(json.loads(stub.requests[0][2])["expires_at"])
    ahead = expires - dt.datetime.now(dt.UTC)
    assert dt.timedelta(hours=35) < ahead <= dt.timedelta(hours=36)


def test_days_and_a_time_are_not_taken_together(tokens, stub):
    result = tokens("add", "ops", "--days", "1", "--expires", "2030-01-01")
    assert result.exit_code == 2
    assert stub.requests == []


def test_the_list_says_who_made_each_token_and_which_have_expired(tokens, stub):
    row = {"name": "ops", "scope": "read", "created_at": "2026-01-01T00:00:00Z", "created_by": "server"}
    stub.body = {
        "tokens": [row | {"expires_at": None, "expired": False}, row | {"expires_at": "x", "expired": True}]
    }
    result = tokens("list")
    assert "2026-01-01 00:00:00Z" in result.output
    assert result.output.count("expired") == 1
    stub.body = {"tokens": []}
    assert "only the token of the server" in tokens("list").output


def test_a_token_is_revoked_by_its_name(tokens, stub):
    assert tokens("revoke", "a b").output == "a b is revoked\n"
    assert stub.requests[0][0] == "/api/v1/tokens/a%20b"


def test_a_refusal_of_the_server_is_told(tokens, stub):
    stub.status, stub.body = 409, {"title": "There already", "description": "there is a token ops"}
    result = tokens("add", "ops")
    assert result.exit_code == 1
    assert "there is a token ops" in result.output
