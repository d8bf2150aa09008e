"""`chargehand cluster`: the nodes as a table."""

import json

import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

PICTURE = {
    "node": "a-1", "lease": True, "nodes": ["a-1", "b-2"], "forwarded_commands": 3, "hosted_commands": 4, "claimed": 5,
}  # fmt: skip


@pytest.fixture
def cluster(stub, _clean_environment):
    def run(*arguments):
        return CliRunner().invoke(main, ["cluster", *arguments, "--url", stub.url])

    return run


def test_the_nodes_are_listed(stub, cluster):
    stub.body = PICTURE
    shown = cluster().stdout
    assert "held" in shown
    assert [line.strip() for line in shown.splitlines()[-2:]] == ["a-1", "b-2"]
    assert json.loads(cluster("--json").stdout) == PICTURE


def test_a_lost_lease_is_told(stub, cluster):
    stub.body = PICTURE | {"lease": False}
    assert "lost: it sends no command" in cluster().stdout


def test_who_holds_which_is_listed(stub, cluster):
    stub.body = PICTURE | {"charge_points": {"CP2": "b-2", "CP1": "a-1"}}
    assert [line.split() for line in cluster("--charge-points").stdout.splitlines()[-2:]] == [
        ["CP1", "a-1"],
        ["CP2", "b-2"],
    ]


def test_one_process_by_itself_has_none(stub, cluster):
    stub.status = 404
    stub.body = {"title": "No cluster", "description": "this is one process by itself"}
    done = cluster()
    assert (done.exit_code, "one process by itself" in done.stderr) == (1, True)
