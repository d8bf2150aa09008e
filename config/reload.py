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

So do `plugins`, if nothing but the settings and arguments of plugins of one process has changed.
"""


@dataclass(frozen=True, slots=True)
class Reload:
    """Settings after a reload: `changed` are the names of those that count now, `waiting` of those at a restart."""

    settings: Settings
    changed: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


def reloaded(old: Settings, new: Settings) -> Reload:
    """Return the old settings with what may change in them, and the names of all that differ."""
    allowed = RELOADED | {"plugins"} if renewed_plugins(old, new) else RELOADED
    differing = [name for name, (before, after) in _pairs(old, new) if before != after]
    # A token that was made at the start is not in the settings: without one in the new settings the old one stays.
    kept = {"http.token"} if not new.http.token else set()
    changed = [name for name in differing if name in allowed - kept]
    return Reload(
        with_values(old, new, changed),
        tuple(changed),
        tuple(name for name in differing if name not in changed),
    )


def renewed_plugins(old: Settings, new: Settings) -> list[PluginSettings]:
    """Return the plugins that go on with other settings; none if anything else of the plugins has changed."""
    if len(old.plugins) != len(new.plugins):
        return []
    pairs = [pair for pair in zip(old.plugins, new.plugins, strict=True) if pair[0] != pair[1]]
    same = all(
        replace(before, settings=after.settings, arguments=after.arguments) == after
        and after.scope == "process"
        for before, after in pairs
    )
    return [after for _, after in pairs] if same else []


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
