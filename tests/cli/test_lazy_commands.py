"""The commands that are loaded when they are used."""

import click
import pytest

from chargehand.cli.main import COMMANDS, main


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_listed_command_is_there_under_its_name(name):
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.hidden is not bool(COMMANDS[name][1])
    assert command.name == name


def test_a_command_that_is_not_there_is_none():
    assert main.get_command(click.Context(main), "call") is None
