"""Reload: settings that may change while the system runs are handed to whoever uses them.

One rule: connections and sessions go on. Only a plugin whose own settings have changed is started again, with its
messages waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..config.reload import Reload, reloaded, renewed_plugins
from ..store.factory import tags_of
from ..supervisor.plugins import RenewPlugin
from .plugin_packages import load_plugin

if TYPE_CHECKING:
    from ..config.settings import Settings
    from .parts import Parts


def apply_settings(parts: Parts, old: Settings, new: Settings, *, enters_tags: bool) -> Reload:
    """Let new settings count; return which do, and which wait for a restart.

    `enters_tags`: this process enters the tags of the settings into the store, as it did at the start. Raises
    `ConfigError` and `PluginNotFound` for plugins that cannot be used, and nothing has changed.
    """
    reload = reloaded(old, new)
    settings, changed = reload.settings, set(reload.changed)
    # First, as it may raise.
    renewed = list(map(load_plugin, renewed_plugins(old, new))) if "plugins" in changed else []
    parts.tree.take(settings)
    parts.intake.take(settings.sessions)
    parts.gatekeeper.take(settings)
    parts.admission.credentials.take(settings.auth.credentials, required=settings.auth.required)
    parts.watermarks.take(settings.resources)
    parts.context.log_limit.take(settings.log.repeat_s, settings.log.repeat_lines)
    if enters_tags and "back_office.tags" in changed:
        before = tags_of(old)
        for tag in tags_of(settings):
            if tag not in before:
                parts.store.collections.tags.put(tag)
    for spec in renewed:
        runs_once = spec.scope == "cluster" and "cluster-plugins" in parts.tree.cells
        parts.tree.cells["cluster-plugins" if runs_once else "plugins"].tell(RenewPlugin(spec))
    return reload
