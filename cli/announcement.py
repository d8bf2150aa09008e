"""What `serve` tells of itself: its settings, where it listens, that it is ready."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from ..config.rendering import redacted
from .addresses import bound, reachable

if TYPE_CHECKING:
    from ..config.settings import Settings
    from .addresses import Ports
    from .data_folder import DataFolder

logger = logging.getLogger(__name__)


def introduce(settings: Settings) -> None:
    """Before it starts: the settings, without their secrets."""
    click.echo(redacted(settings))
    if not settings.auth.credentials and not settings.auth.required:
        logger.warning("no credentials are set: any charge point is let in")


def announce(settings: Settings, ports: Ports, folder: DataFolder) -> None:
    """When it serves, for people and for programs. Raises OSError."""
    for scheme, url in bound(settings, ports).items():
        click.echo(f"{scheme:<6} {url}")
    if settings.http.enabled and not (settings.http.open or settings.http.token):
        click.echo(f"token  {folder.path / 'token'}")
    folder.write_run(reachable(settings, ports))
    click.echo("ready")
