"""Commands of installed plugins: entry points of the group `chargehand.commands`, each a command of click.

As in `main.py`, nothing is imported here that makes a socket or a lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

COMMANDS = "chargehand.commands"


def plugin_commands() -> dict[str, EntryPoint]:
    """Find the commands of installed plugins by their names; nothing of them is imported."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - it imports sockets, and is rarely needed

    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=COMMANDS):
        found.setdefault(point.name, point)
    return found


def load_command(point: EntryPoint) -> click.Command:
    """Import the command of a plugin. Raises `CommandFailed`."""
    from .failures import CommandFailed  # noqa: PLC0415 - as above

    try:
        command: Any = point.load()
    except Exception as error:  # importing a module may raise anything
        raise CommandFailed(
            f"the command {point.name} ({point.value}) cannot be loaded: {type(error).__name__}: {error}",
            "correct or remove the package of the plugin",
        ) from error
    if not isinstance(command, click.Command):
        raise CommandFailed(
            f"the command {point.name} ({point.value}) is no command of click",
            "correct or remove the package of the plugin",
        )
    return command


def package_of(point: EntryPoint) -> str:
    """Return the package and the version of an entry point, for people."""
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else ""
