"""Why a command ends early: a clear text for people, and the exit status."""

from __future__ import annotations

from typing import IO, Any

import click

from .escape import escaped

FAILED = 1
"""Something was not as it has to be: a port in use, a charge point that does not answer."""
MISUSED = 2
"""What the command was given is wrong: settings, plugins, options. click's status for that, too."""


class CommandFailed(click.ClickException):
    """Raised to end the program; its text goes to standard error."""

    exit_code = FAILED

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it."""
        text = "\n".join(escaped(line) for line in self.format_message().split("\n"))
        click.echo(f"chargehand: {text}", file=file, err=file is None)


class CommandMisused(CommandFailed):
    """The same, when what it was given is wrong."""

    exit_code = MISUSED
