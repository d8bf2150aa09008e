"""Completion in a shell: the scripts, and what the program offers when a shell asks it."""

import os
import shutil
import subprocess
import sys

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from chargehand.cli.main import main

pytestmark = pytest.mark.usefixtures("_clean_environment")


def completed(*words):
    """Return what is offered for the last word."""
    *before, incomplete = words
    shell = BashComplete(main, {}, "chargehand", "_CHARGEHAND_COMPLETE")
    return [item.value for item in shell.get_completions(before, incomplete)]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_the_program(shell):
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert f"_CHARGEHAND_COMPLETE={shell}_complete" in done.stdout
    binary = shutil.which(shell)
    if binary is not None:
        subprocess.run([binary, "-n"], input=done.stdout, text=True, check=True, capture_output=True)


def test_commands_subcommands_and_options_are_offered():
    assert completed("charge") == ["charge-points"]
    assert "serve-worker" not in completed("serve")
    assert completed("tags", "l") == completed("charge-points", "l") == ["list"]
    assert (
        completed("charge-points", "--stat") == completed("charge-points", "--all", "--stat") == ["--status"]
    )
    assert "--firmware-below" in completed("charge-points", "list", "--firm")
    assert completed("completion", "z") == ["zsh"]
    assert "unlock" in completed("do", "unl")


def test_ids_of_charge_points_are_offered(stub):
    stub.body = {"charge_points": [{"id": "DE-1"}, {"id": "DE-2"}]}
    assert completed("charge-points", "show", "--url", stub.url, "DE") == ["DE-1", "DE-2"]
    assert stub.requests[-1][0].startswith("/api/v1/charge-points?stored=1&id=DE%2A&")
    completed("recording", "--url", stub.url, "[a]*")
    assert "id=%5B%5B%5Da%5D%5B%2A%5D%2A" in stub.requests[-1][0]


def test_without_a_server_no_ids_are_offered(stub):
    stub.status, stub.body = 401, {"title": "Unauthorized", "description": "no"}
    assert completed("charge-points", "show", "--url", stub.url, "DE") == []
    assert completed("charge-points", "show", "--url", "http://127.0.0.1:1", "DE") == []


def test_bash_completes_a_command(tmp_path):
    program = tmp_path / "chargehand"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m chargehand "$@"\n')
    program.chmod(0o755)
    script = CliRunner().invoke(main, ["completion", "bash"]).stdout
    asks = "COMP_WORDS=(chargehand charge-points li); COMP_CWORD=2; _chargehand_completion chargehand li charge-points"
    done = subprocess.run(
        ["bash", "-c", f'{script}\n{asks}\necho "${{COMPREPLY[@]}}"'],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "list\n", done.stderr
