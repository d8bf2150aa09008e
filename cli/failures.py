"""Reasons why a command ends early: a clear text for people, and the exit status."""

from __future__ import annotations

from typing import IO, Any

import click

from ..protocol.text import escaped

FAILED = 1
"""Exit status of a failure: a port in use, a charge point that does not answer."""
MISUSED = 2
"""Exit status for wrong settings, plugins or options; click uses the same."""


class CommandFailed(click.ClickException):
    """Raised to end the program; its text goes to standard error."""

    exit_code = FAILED

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it."""
        text = "\n".join(escaped(line) for line in self.format_message().split("\n"))
        click.echo(f"chargehand: {text}", file=file, err=file is None)


class CommandMisused(CommandFailed):
    """Raised to end the program because of wrong input."""

    exit_code = MISUSED
