"""`chargehand quarantine`: what it makes of what the server says."""

import json

import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

pytestmark = pytest.mark.usefixtures("_clean_environment")

WHOLE = {
    "name": "back-office",
    "state": "running",
    "restarts": 0,
    "last_crash": "",
    "quarantined": False,
    "spool": 0,
}
BAD = WHOLE | {
    "name": "Tags",
    "state": "quarantined",
    "restarts": 4,
    "last_crash": "OSError('[/]\n')",
    "quarantined": True,
    "spool": 12,
}


@pytest.fixture
def quarantine(stub):
    """Run one of the commands."""

    def run(*arguments):
        done = CliRunner().invoke(main, ["quarantine", *arguments, "--url", stub.url])
        assert (done.exit_code, done.stderr) == (0, "")
        return done.stdout

    return run


def test_the_plugins_in_quarantine_are_a_table(stub, quarantine):
    stub.body = {"plugins": [WHOLE, BAD]}
    head, _, *lines = quarantine("list").splitlines()
    assert head.split("  ")[0].strip() == "plugin"
    assert [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines] == [
        ["Tags", "4", "12", "OSError('[/]\\n')"]
    ]


def test_that_there_is_none_is_said(stub, quarantine):
    stub.body = {"plugins": [WHOLE]}
    assert quarantine("list") == "no plugin is in quarantine\n"


def test_programs_get_the_rows_as_they_came(stub, quarantine):
    stub.body = {"plugins": [WHOLE, BAD]}
    assert json.loads(quarantine("list", "--json")) == [BAD]


def test_release_says_how_the_plugin_stands_then(stub, quarantine):
    stub.body = BAD | {"state": "starting"}
    assert quarantine("release", "Tags") == "Tags was released and is starting\n"
    assert stub.requests[0][0] == "/api/v1/plugins/Tags/release"
