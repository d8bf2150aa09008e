"""`chargehand tree`: what it makes of what the server says."""

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
PICTURE = {
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
    """Print the tree of a picture."""

    def run(picture, *options):
        stub.body = picture
        done = CliRunner().invoke(main, ["tree", "--url", stub.url, *options])
        assert (done.exit_code, done.stderr) == (0, "")
        return done.stdout

    return run


def test_every_child_has_its_line_below_its_supervisor(tree):
    assert [line.rstrip() for line in tree(PICTURE).splitlines()] == [
        "root  rest_for_one",
        "├── plugins  running  one_for_one",
        "│   ├── Tags  quarantined  last crash: ValueError()",
        "│   └── back-office  running",
        "└── sessions  running  7 known, 5 connected",
        "    ├── CP1  waiting  restarts: 2  inbox: 3  last crash: KeyError('[/x]\\x1b')",
        "    └── CP2  given up  restarts: 3  at 2026-01-01T00:00:00Z  last crash: KeyError()",
    ]


def test_a_server_in_which_nothing_runs_has_a_tree_too(tree):
    assert tree({}).strip() == "nothing runs"


def test_programs_get_it_as_it_came(tree):
    assert json.loads(tree(PICTURE, "--json")) == PICTURE


def test_of_several_workers_the_list_stands_below_and_says_which_was_asked(tree):
    rows = [
        {"worker": 1, "pid": 41, "state": "running", "restarts": 0, "last_exit": "", "here": False},
        {"worker": 2, "pid": None, "state": "waiting", "restarts": 3, "last_exit": "SIGKILL", "here": True},
    ]
    lines = tree(PICTURE | {"workers": rows}).splitlines()
    first = lines.index("workers")
    assert lines[0].startswith("root")
    assert [line.strip("├└─│ ") for line in lines[first + 1 :]] == [
        "1  running  process 41",
        "2  waiting  restarts: 3  the tree above  last exit: SIGKILL",
    ]
