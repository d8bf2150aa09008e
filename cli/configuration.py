"""The settings of a command, from its file, the environment and its options, and the command `check-config`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from ..config.errors import ConfigError
from ..config.load import PROGRAM_DEFAULTS, load
from ..config.rendering import redacted
from .failures import CommandMisused
from .options import CONFIG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.settings import Settings


def read_settings(
    config: str | None,
    overrides: Mapping[str, object] | None = None,
    *,
    serves: bool = False,
    stores: bool = True,
) -> Settings:
    """Read them; `overrides` map `section.key` to a value, None is not given. Raises `CommandMisused`.

    With `serves`, settings that would let strangers in by accident are refused too. A command that opens no store says
    so (`stores`): what `serve` has on its command line may be missing then.
    """
    try:
        return load(
            config, overrides=overrides, program_defaults=PROGRAM_DEFAULTS, serves=serves, stores=stores
        )
    except ConfigError as error:
        raise unusable(error) from error


def unusable(error: ConfigError) -> CommandMisused:
    """Describe settings that cannot be used."""
    text = "\n  ".join(["these settings cannot be used:", *error.errors])
    return CommandMisused(text, "correct them, then try `chargehand check-config`")


def find_plugins_here() -> None:
    """Let plugins be imported from the current folder."""
    if os.getcwd() not in sys.path:  # noqa: PTH109 - text, as sys.path has it
        sys.path.insert(0, os.getcwd())  # noqa: PTH109


@click.command()
@CONFIG
def check_config(config: str | None) -> None:
    """Show the settings that `serve` would use, or all their faults."""
    from ..system.plugin_packages import check_plugins  # noqa: PLC0415 - needed with plugins only

    settings = read_settings(config, serves=True)
    find_plugins_here()
    try:
        own = check_plugins(settings.plugins)
    except ConfigError as error:
        raise unusable(error) from error
    click.echo(redacted(settings, own), nl=False)
