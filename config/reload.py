"""Settings that may change while a system runs, and the settings that it has after a change.

One rule: a setting is in `RELOADED` only if whoever uses it takes the new value without a restart of anything.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from .setting import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .settings import PluginSettings, Settings

RELOADED = frozenset(
    {
        "auth.credentials",
        "auth.failed_logins",
        "auth.failed_logins_per_address",
        "auth.failed_logins_per_id",
        "auth.unknown_per_day",
        "back_office.tags",
        "http.cors_origins",
        "http.failed_logins",
        "http.login_s",
        "http.logins",
        "http.token",
        "log.level",
        "log.levels",
        "log.repeat_lines",
        "log.repeat_s",
        "resources.disk_stop_bytes",
        "sessions.address_burst",
        "sessions.address_rate",
        "sessions.admission_burst",
        "sessions.admission_rate",
        "sessions.bytes_burst",
        "sessions.bytes_per_s",
        "sessions.connections_per_address",
        "sessions.handshake_timeout_s",
        "sessions.max_connections",
        "sessions.max_message_bytes",
        "sessions.max_outbox_bytes",
        "sessions.messages_burst",
        "sessions.messages_per_s",
        "sessions.ping_interval_s",
        "sessions.reconnect_burst",
        "sessions.reconnect_rate",
        "sessions.send_timeout_s",
        "sessions.silent_handshakes",
    }
)
"""Settings, as `section.key`, that take effect at a reload; those of `sessions` for connections that come later.

So do the settings and arguments of each of `plugins`, unless something else of that plugin has changed too.
"""


@dataclass(frozen=True, slots=True)
class Reload:
    """Settings after a reload: `changed` are the names of those that count now, `waiting` of those at a restart."""

    settings: Settings
    changed: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


def reloaded(old: Settings, new: Settings) -> Reload:
    """Return the old settings with what may change in them, and the names of all that differ."""
    plugins = [after or before for before, after in _plugin_pairs(old, new)]
    waiting = _plugins_that_wait(old, new)
    # A token that was made at the start is not in the settings: without one in the new settings the old one stays.
    kept = {"http.token"} if not new.http.token else set()
    new = replace(new, plugins=tuple(plugins))
    differing = [name for name, (before, after) in _pairs(old, new) if before != after]
    changed = [name for name in differing if name in (RELOADED | {"plugins"}) - kept]
    return Reload(
        with_values(old, new, changed),
        tuple(changed),
        (*(name for name in differing if name not in changed), *waiting),
    )


def renewed_plugins(old: Settings, new: Settings) -> list[PluginSettings]:
    """Return the plugins that go on with other settings or arguments."""
    return [after for before, after in _plugin_pairs(old, new) if after not in (None, before)]


def _plugin_pairs(old: Settings, new: Settings) -> list[tuple[PluginSettings, PluginSettings | None]]:
    """Return each plugin before, with what may count of it now; None where nothing may."""
    named = {_name(plugin): plugin for plugin in new.plugins}
    found: list[tuple[PluginSettings, PluginSettings | None]] = []
    for before in old.plugins:
        after = named.get(_name(before))
        same = after is not None and not _changed_otherwise(before, after)
        found.append((before, after if same else None))
    return found


def _plugins_that_wait(old: Settings, new: Settings) -> list[str]:
    """Name the plugins that need a restart, and why."""
    before = {_name(plugin): plugin for plugin in old.plugins}
    after = {_name(plugin): plugin for plugin in new.plugins}
    found = [f"plugins.{name} (new)" for name in after if name not in before]
    for name, plugin in before.items():
        if name not in after:
            found.append(f"plugins.{name} (gone)")
        elif keys := _changed_otherwise(plugin, after[name]):
            found.append(f"plugins.{name} ({', '.join(keys)})")
    order = [name for name in after if name in before]
    if not found and order != list(before):
        found.append("plugins (their order)")
    return found


def _changed_otherwise(before: PluginSettings, after: PluginSettings) -> list[str]:
    """Return the keys that differ, and count only when the plugin is made."""
    return [
        key_of(entry)
        for entry in fields(before)
        if entry.name not in ("settings", "arguments")
        and getattr(before, entry.name) != getattr(after, entry.name)
    ]


def _name(plugin: PluginSettings) -> str:
    return plugin.name or plugin.class_name.rpartition(":")[2]


def with_values(old: Settings, new: Settings, names: Iterable[str]) -> Settings:
    """Return settings in which these have the new values."""
    changed: dict[str, Any] = {}
    for name in names:
        section, _, key = name.partition(".")
        value = getattr(new, section)
        if key:
            value = replace(changed.get(section, getattr(old, section)), **{key: getattr(value, key)})
        changed[section] = value
    return replace(old, **changed)


def _pairs(old: Any, new: Any, prefix: str = "") -> list[tuple[str, tuple[Any, Any]]]:
    found: list[tuple[str, tuple[Any, Any]]] = []
    for entry in fields(old):
        name, values = prefix + key_of(entry), (getattr(old, entry.name), getattr(new, entry.name))
        if not prefix and is_dataclass(values[0]):
            found += _pairs(*values, prefix=f"{name}.")
        else:
            found.append((name, values))
    return found
