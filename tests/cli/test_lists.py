"""Every command of the tree: a list can be had as JSON and CSV, and what is no list is named here."""

import csv
import io
import json

import click
import pytest
from click.testing import CliRunner

from chargehand.cli.main import main

pytestmark = pytest.mark.usefixtures("_clean_environment")

NO_LISTS_IN = {
    "backup": "",
    "bulk": "cancel follow show",
    "ca": "init revoke show",
    "certificates": "delete",
    "charge-points": "add approve reject remove set show",
    "check-config": "",
    "check-store": "",
    "cluster": "",
    "completion": "",
    "import-steve": "",
    "keys": "import rotate",
    "new-plugin": "",
    "plugin-host": "",
    "prune-store": "",
    "show-store": "",
    "quarantine": "release",
    "recording": "",
    "replay": "",
    "reports": "forget show",
    "restore": "",
    "send": "",
    "serve": "",
    "serve-worker": "",
    "simulate": "",
    "spool": "forget forget-event reattach retry retry-event",
    "stress": "",
    "tags": "add import push remove show",
    "tail": "",
    "tickets": "cancel show",
    "tls": "reload",
    "tokens": "add revoke",
    "top": "",
    "transactions": "close show",
    "tree": "",
    "upgrade-store": "",
    "variables": "forget get refresh set",
}
"""Commands that do not list, by their group; one that is no group stands alone."""
NO_LISTS = {
    f"{group} {name}" if name else group for group, names in NO_LISTS_IN.items() for name in names.split(" ")
}


def leaves(command=main, path=()):
    """Yield every command of the tree with its path."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in {*command.list_commands(context), *getattr(command, "hidden_commands", ())}:
            below = command.get_command(context, name)
            if below is not None:
                yield from leaves(below, (*path, name))
    else:
        yield " ".join(path), command


ALL = {path: command for path, command in leaves() if not path.startswith("do ")}


def options_of(command):
    return {option for parameter in command.params for option in parameter.opts}


def test_the_commands_that_are_named_as_no_lists_are_there():
    assert set(ALL) >= NO_LISTS
    assert not [path for path in NO_LISTS if path.endswith((" list", " export"))]


@pytest.mark.parametrize("path", sorted(ALL.keys() - NO_LISTS))
def test_every_command_that_lists_has_json_and_csv(path):
    wanted = {"--json", "--raw"} if path.endswith(" export") else {"--json", "--csv", "--raw"}
    assert options_of(ALL[path]) >= wanted


def test_json_and_csv_together_are_refused():
    done = CliRunner().invoke(main, ["tags", "list", "--json", "--csv"])
    assert done.exit_code == 2
    assert "give one of them" in done.stderr


def test_a_list_as_csv_has_its_names_also_without_rows(stub):
    stub.body = {"tags": []}
    done = CliRunner().invoke(main, ["tags", "list", "--csv", "--url", stub.url])
    assert done.stdout == "id_tag,status,expiry,parent,id_type,language,message\n"


def test_csv_says_on_standard_error_that_there_are_more_rows(stub):
    row = {"number": 3, "charge_point": "CP1", "payload": {"a": 1}}
    stub.body = {"dead_letters": [row], "more": True, "next": 3}
    done = CliRunner().invoke(main, ["transactions", "dead-letters", "--csv", "--url", stub.url])
    assert "there are more: --after 3" in done.stderr
    (found,) = csv.DictReader(io.StringIO(done.stdout))
    assert (found["number"], json.loads(found["payload"])) == ("3", {"a": 1})
