"""Plugins by name: those of installed packages, which declare an entry point, and any class that can be imported.

    [project.entry-points."chargehand.plugins"]
    shop = "chargehand_shop:Shop"

The one rule: nothing of a package is imported before its name is used.
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import TYPE_CHECKING, Any, NamedTuple

from ..actors.plugin.plugin import Plugin, PluginSpec
from ..config.errors import ChargehandError, ConfigError
from ..config.rendering import shown
from ..config.schema import nearest, read_section
from ..config.settings import PluginSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

PLUGINS = "chargehand.plugins"
"""Group of the entry points of plugins: a name, and the class as "package.module:Class"."""
_RESERVED = ("arguments", "blocking", "class", "concurrency", "scope", "settings", "threads")
"""Keys of `[plugins.NAME]` that are not the plugin's own."""


class PluginNotFound(ChargehandError, ValueError):
    """A plugin that the settings name cannot be loaded."""


class InstalledPlugin(NamedTuple):
    """Plugin of an installed package: its name, its class as "package.module:Class", its package and the version."""

    name: str
    class_name: str
    package: str
    version: str


def installed_plugins() -> dict[str, InstalledPlugin]:
    """Find the plugins of installed packages by their names; nothing is imported."""
    found: dict[str, InstalledPlugin] = {}
    for point in entry_points(group=PLUGINS):
        package = point.dist
        facts = ("", "") if package is None else (package.name, package.version)
        found.setdefault(point.name, InstalledPlugin(point.name, point.value, *facts))
    return found


def facts_of(spec: PluginSpec) -> dict[str, Any]:
    """Return facts of a plugin for people: its class, the version of its package, and its settings without secrets."""
    plugin = spec.plugin
    own = spec.args[0] if plugin.settings_class is not None and spec.args else None
    return {
        "class": f"{plugin.__module__}:{plugin.__qualname__}",
        "version": _version_of(plugin.__module__.partition(".")[0]),
        "settings": None if own is None else shown(own),
    }


@cache
def _version_of(package: str) -> str:
    """Return the version of the distribution of a package; empty for a module that was not installed."""
    with suppress(PackageNotFoundError):
        return version(package)
    found = [
        one.version
        for one in installed_plugins().values()
        if one.class_name.startswith((f"{package}.", f"{package}:"))
    ]
    return found[0] if found else ""


def load_plugin(settings: PluginSettings) -> PluginSpec:
    """Load a plugin that the settings name.

    Raises `PluginNotFound` with the reason, and `ConfigError` with all faults of its own settings.
    """
    plugin = load_class(_path_of(settings.class_name))
    name = settings.name or settings.class_name.rpartition(":")[2]
    own = own_settings(plugin, name, settings)
    spec: PluginSpec = plugin.spec(
        concurrency=settings.concurrency,
        name=name,
        scope=settings.scope,
        blocking=settings.blocking,
        threads=settings.threads,
        **settings.arguments,
    )
    return spec if own is None else replace(spec, args=(own, *spec.args))


def check_plugins(plugins: Iterable[PluginSettings]) -> list[object | None]:
    """Check the own settings of all plugins, and return them, None for a plugin that has none.

    Raises `ConfigError` with the faults of all plugins.
    """
    found: list[object | None] = []
    errors: list[str] = []
    for settings in plugins:
        name = settings.name or settings.class_name.rpartition(":")[2]
        try:
            found.append(own_settings(load_class(_path_of(settings.class_name)), name, settings))
        except ConfigError as error:
            errors += error.errors
        except PluginNotFound as error:
            errors.append(f"plugins.{name}: {error}")
    if errors:
        raise ConfigError(errors)
    return found


def own_settings(plugin: type[Plugin], name: str, settings: PluginSettings) -> object | None:
    """Make the own settings of a plugin, an instance of its `settings_class`; None if it has no such class.

    Raises `ConfigError` with all faults.
    """
    kind, given = plugin.settings_class, settings.settings
    if kind is None:
        known = ", ".join(_RESERVED)
        errors: list[str] = []
        for key in given:
            near = nearest(key, list(_RESERVED))
            hint = (
                f'did you mean "{near}"?'
                if near
                else f"the plugin has no settings of its own; there are {known}"
            )
            errors.append(f"plugins.{name}.{key}: unknown; {hint}")
        if errors:
            raise ConfigError(errors)
        return None
    made: object | None
    made, faults = read_section(kind, given, also=_RESERVED)
    if made is not None:
        check = getattr(made, "conflicts", None)
        faults = [((key,), text) for key, text in check()] if check is not None else []
    if faults or made is None:
        raise ConfigError(f"{'.'.join(('plugins', name, *path))}: {text}" for path, text in faults)
    return made


def _path_of(class_name: str) -> str:
    """Return the path of a class that is named by its path, or by the name of an installed plugin."""
    if ":" in class_name:
        return class_name
    installed = installed_plugins()
    if class_name in installed:
        return installed[class_name].class_name
    near = nearest(class_name, list(installed))
    hint = f'did you mean "{near}"?' if near else f"there are: {', '.join(sorted(installed)) or 'none'}"
    raise PluginNotFound(f"no plugin {class_name} is installed; {hint}")


def load_class(path: str) -> Any:
    """Import the plugin class of "package.module:Class". Raises `PluginNotFound` with the reason."""
    module_name, _, class_name = path.partition(":")
    try:
        plugin: Any = importlib.import_module(module_name)
        for part in class_name.split("."):
            plugin = getattr(plugin, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise PluginNotFound(f"plugin {path}: {error}") from error
    if not (isinstance(plugin, type) and issubclass(plugin, Plugin)):
        raise PluginNotFound(f"plugin {path}: it is not a class derived from Plugin")
    return plugin
