"""Reading the settings again: the sources are those of the start, and one that has a fault changes nothing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..config.errors import ConfigError
from ..system.plugin_packages import check_plugins
from .configuration import unusable
from .failures import CommandMisused

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config.reload import Reload
    from ..config.settings import Settings

logger = logging.getLogger(__name__)


def read_again(read: Callable[[], Settings]) -> Settings | None:
    """Return what `read` does; None for settings that cannot be used, whose faults are logged."""
    try:
        settings = read()
        _check(settings)
    except CommandMisused as error:
        logger.error("the settings before stay in use: %s", " ".join(str(error).split()))  # noqa: TRY400 - the faults are the message
        return None
    return settings


def _check(settings: Settings) -> None:
    """Check the own settings of plugins. Raises `CommandMisused`."""
    try:
        check_plugins(settings.plugins)
    except ConfigError as error:
        raise unusable(error) from error


def log_reload(reload: Reload) -> None:
    """Log the names of settings that have changed, never their values."""
    if reload.changed:
        logger.info("settings were read again, and have changed: %s", ", ".join(reload.changed))
    else:
        logger.info("settings were read again; none that counts at once has changed")
    if reload.waiting:
        logger.warning("changed in the file, but count only after a restart: %s", ", ".join(reload.waiting))
