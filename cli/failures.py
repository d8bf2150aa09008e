"""Reasons why a command ends early: a clear text for people, and the exit status."""

from __future__ import annotations

from typing import IO, Any

import click

from ..protocol.text import escaped

FAILED = 1
"""Exit status of a failure: a port in use, a charge point that does not answer."""
MISUSED = 2
"""Exit status for wrong settings, plugins or options; click uses the same."""
NEXT_OF_STORE = (
    "look at it with `chargehand check-store`; start with a backup of it, or with another --store or --data"
)
"""Next step when a store cannot be opened."""


class CommandFailed(click.ClickException):
    """Raised to end the program; its text goes to standard error, and under it `hint`: what to do next."""

    exit_code = FAILED

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text)
        self.hint = hint

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it."""
        lines = [*f"chargehand: {self.format_message()}".split("\n"), f"  next: {self.hint}"]
        click.echo("\n".join(map(escaped, lines)), file=file, err=file is None)


class CommandMisused(CommandFailed):
    """Raised to end the program because of wrong input."""

    exit_code = MISUSED
