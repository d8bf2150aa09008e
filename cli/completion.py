"""The command `completion`: a script that completes commands, options and ids of charge points in a shell.

The shell runs `chargehand` for each completion, with `_CHARGEHAND_COMPLETE` set: click answers, and no command runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from .failures import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM = "chargehand"
VARIABLE = "_CHARGEHAND_COMPLETE"
SHELLS = ("bash", "zsh", "fish")
ANSWER_S = 2.0
"""Seconds that a server has to tell the ids of charge points, while somebody waits at the keyboard."""
MOST = 100
"""Ids that are offered at most."""


def charge_points_like(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the id of a charge point, as the server knows them; without a server there is nothing to offer."""
    from .api import Api  # noqa: PLC0415 - only here: most completions ask no server
    from .configuration import read_settings  # noqa: PLC0415

    given: Mapping[str, Any] = context.params
    try:
        api = Api.of(
            read_settings(given.get("config"), {"data": given.get("data")}, stores=False),
            url=given.get("url"),
            token=given.get("token"),
        )
        pattern = "".join(f"[{char}]" if char in "*?[" else char for char in incomplete)
        query = {"stored": "1", "id": f"{pattern}*", "fields": "id", "limit": str(MOST)}
        rows = api.ask("GET", "charge-points", query=query, timeout_s=ANSWER_S).json.get("charge_points", [])
    except CommandFailed:
        return []
    return [CompletionItem(row["id"]) for row in rows]


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    r"""Print the script that completes commands in SHELL.

    \b
    bash: put eval "$(chargehand completion bash)" into ~/.bashrc
    zsh:  put eval "$(chargehand completion zsh)" into ~/.zshrc, behind compinit
    fish: chargehand completion fish > ~/.config/fish/completions/chargehand.fish
    """
    kind: Any = get_completion_class(shell)
    script = kind(context.find_root().command, {}, PROGRAM, VARIABLE)
    # Not `source()`: that of bash runs bash to learn its version.
    click.echo(script.source_template % script.source_vars())
