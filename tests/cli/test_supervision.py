"""Commands about the supervision tree, the plugins and the nodes: their output for the answers of the server."""

import json

import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

pytestmark = pytest.mark.usefixtures("_clean_environment")


def child(name, state="running", **more):
    facts = {"id": name, "state": state, "restart": "permanent", "restarts": 0, "inbox": 0, "last_crash": ""}
    return facts | more


CRASHED = {"id": "CP1", "state": "waiting", "restarts": 2, "inbox": 3, "last_crash": "KeyError('[/x]\x1b')"}
GIVEN_UP = {
    "id": "CP2",
    "state": "given up",
    "restarts": 3,
    "last_crash": "KeyError()",
    "time": "2026-01-01T00:00:00Z",
}
VIEW = {
    "id": "root",
    "strategy": "rest_for_one",
    "children": [
        child(
            "plugins",
            strategy="one_for_one",
            children=[child("Tags", "quarantined", last_crash="ValueError()"), child("back-office")],
        ),
        child("sessions", sessions=7, connected=5, crashed=[CRASHED], given_up=[GIVEN_UP]),
    ],
}


@pytest.fixture
def tree(stub):
    """Print the tree of a view."""

    def run(view, *options):
        stub.body = view
        done = CliRunner().invoke(main, ["tree", "--url", stub.url, *options])
        assert (done.exit_code, done.stderr) == (0, "")
        return done.stdout

    return run


def test_every_child_has_its_line_below_its_supervisor(tree):
    assert [line.rstrip() for line in tree(VIEW).splitlines()] == [
        "root  rest_for_one",
        "├── plugins  running  one_for_one",
        "│   ├── Tags  quarantined  last crash: ValueError()",
        "│   └── back-office  running",
        "└── sessions  running  7 known, 5 connected",
        "    ├── CP1  waiting  restarts: 2  inbox: 3  last crash: KeyError('[/x]\\x1b')",
        "    └── CP2  given up  restarts: 3  at 2026-01-01 00:00:00Z  last crash: KeyError()",
    ]


def test_a_server_in_which_nothing_runs_has_a_tree_too(tree):
    assert tree({}).strip() == "nothing runs"


def test_programs_get_it_as_it_came(tree):
    assert json.loads(tree(VIEW, "--json")) == VIEW


def test_of_several_workers_the_list_stands_below_and_says_which_was_asked(tree):
    rows = [
        {"worker": 1, "pid": 41, "state": "running", "restarts": 0, "last_exit": "", "here": False},
        {"worker": 2, "pid": None, "state": "waiting", "restarts": 3, "last_exit": "SIGKILL", "here": True},
    ]
    lines = tree(VIEW | {"workers": rows}).splitlines()
    first = lines.index("workers")
    assert lines[0].startswith("root")
    assert [line.strip("├└─│ ") for line in lines[first + 1 :]] == [
        "1  running  process 41",
        "2  waiting  restarts: 3  has answered  last exit: SIGKILL",
    ]


# chargehand quarantine: what it makes of what the server says


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


# chargehand cluster: the nodes as a table


NODES = {
    "node": "a-1", "version": "0.2.0", "lease": True, "nodes": ["a-1", "b-2"], "forwarded_commands": 3,
    "hosted_commands": 4, "claimed": 5, "members": [
        {"node": "a-1", "version": "0.2.0", "lease": True, "claimed": 5},
        {"node": "b-2", "version": None, "lease": None, "claimed": None},
    ],
}  # fmt: skip


@pytest.fixture
def cluster(stub, _clean_environment):
    def run(*arguments):
        return CliRunner().invoke(main, ["cluster", *arguments, "--url", stub.url])

    return run


def test_the_nodes_are_listed(stub, cluster):
    stub.body = NODES
    shown = cluster().stdout
    assert "held" in shown
    assert [line.split() for line in shown.splitlines()[-2:]] == [
        ["a-1", "0.2.0", "held", "5"],
        ["b-2", "unknown", "no", "answer"],
    ]
    assert json.loads(cluster("--json").stdout) == NODES


def test_a_lost_lease_is_told(stub, cluster):
    stub.body = NODES | {"lease": False}
    assert "lost: it sends no command" in cluster().stdout


def test_who_holds_which_is_listed(stub, cluster):
    stub.body = NODES | {"charge_points": {"CP2": "b-2", "CP1": "a-1"}}
    assert [line.split() for line in cluster("--charge-points").stdout.splitlines()[-2:]] == [
        ["CP1", "a-1"],
        ["CP2", "b-2"],
    ]


def test_one_process_by_itself_has_none(stub, cluster):
    stub.status = 404
    stub.body = {"title": "No cluster", "description": "this is one process by itself"}
    done = cluster()
    assert (done.exit_code, "one process by itself" in done.stderr) == (1, True)
