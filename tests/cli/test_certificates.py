"""`chargehand certificates`: its requests, and its output for the answers."""

import json

import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

INSTALLED = {
    "charge_point": "CP1",
    "use": "central_system",
    "serial_number": "1f",
    "hash_algorithm": "SHA256",
    "issuer_name_hash": "aa",
    "issuer_key_hash": "bb",
    "noted_at": "2026-01-01T00:00:00Z",
    "certain": True,
}


@pytest.fixture
def run(stub, _clean_environment):
    def run(*arguments):
        return CliRunner().invoke(main, [*arguments, "--url", stub.url])

    return run


def test_installed_certificates_are_a_table_or_json(stub, run):
    stub.body = {"installed_certificates": [INSTALLED], "more": False}
    head, _, line = run("certificates", "list").stdout.splitlines()
    assert head.split()[:3] == ["charge_point", "use", "serial_number"]
    assert line.split()[:3] == ["CP1", "central_system", "1f"]
    assert stub.requests[-1][0] == "/api/v1/installed-certificates?limit=10000"
    assert json.loads(run("certificates", "list", "--charge-point", "CP 1", "--json").stdout) == stub.body
    assert stub.requests[-1][0] == "/api/v1/installed-certificates?limit=10000&charge_point=CP+1"
