"""Settings from a TOML file, the environment and the command line, in rising order.

One rule: a setting is replaced as a whole by the next source, and every fault of every source is reported at
once, with the source. Never prints, never looks up a name, never opens anything but the one file.
"""

import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_origin, get_type_hints

from .checks import check_exposure, conflicts
from .errors import ConfigError
from .schema import Fault, nearest, read
from .setting import key_of
from .settings import Settings

PREFIX = "CHARGEHAND_"
FILE_VARIABLE = "CHARGEHAND_CONFIG"

PROGRAM_DEFAULTS: Mapping[str, object] = {
    "http.enabled": True,
    "store": "sqlite",
    "supervision.watchdog_stderr": True,
    "supervision.stop_timeout_s": 4.0,
}
"""Defaults of the program that differ from those of the library."""

_FLAGS = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, object] | None = None,
    program_defaults: Mapping[str, object] | None = None,
    serves: bool = False,
    stores: bool = True,
) -> Settings:
    """Read the settings; raises `ConfigError` with all faults.

    With `serves`, an unprotected exposure is a fault too. Without `stores` a store that the processes cannot share is
    none: for who opens no store, as the rest may be on the command line of who does.

    `path` names the TOML file; without it `CHARGEHAND_CONFIG` does, and without that no file is read.
    `overrides` (the command line) and `program_defaults` map `section.key` to a value; None is not given.
    Variables are named `CHARGEHAND_PORT` or `CHARGEHAND_SECTION__KEY`; a list or a table is written as JSON.
    """
    file = path or environ.get(FILE_VARIABLE)
    layers = _Layers()
    layers.add_flat(program_defaults or {}, "")
    if file:
        layers.add(_read_file(Path(file)), f"in {file}")
    layers.add_environment(environ)
    layers.add_flat(overrides or {}, "on the command line")
    return layers.settings(serves=serves, stores=stores)


def settings_names() -> dict[str, Any]:
    """List every setting as `section.key`, with its type, in order of declaration."""
    names: dict[str, Any] = {}
    for name, hint in _hints(Settings):
        if is_dataclass(hint):
            names |= {f"{name}.{key}": inner for key, inner in _hints(hint)}
        else:
            names[name] = hint
    return names


def _hints(section: Any) -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(section)
    return ((key_of(entry), hints[entry.name]) for entry in fields(section))


_SECTIONS = frozenset(name for name, hint in _hints(Settings) if is_dataclass(hint))


def _read_file(path: Path) -> dict[str, Any]:
    try:
        # An editor's byte order mark is no part of the document.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 at byte {error.start}"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: not TOML: {error}"]) from error


class _Layers:
    """The sources laid over one another, and which source each setting came from."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.origins: dict[str, str] = {}
        self.errors: list[str] = []

    def put(self, name: str, value: object, origin: str) -> None:
        section, _, key = name.rpartition(".")
        table = self.data.setdefault(section, {}) if section else self.data
        if not isinstance(table, dict):
            # The file has a plain value where the table should be; that fault is reported already.
            return
        table[key] = value
        self.origins[name] = origin

    def add(self, data: Mapping[str, Any], origin: str) -> None:
        for name, value in data.items():
            if name in _SECTIONS and isinstance(value, Mapping):
                for key, inner in value.items():
                    self.put(f"{name}.{key}", inner, origin)
            else:
                self.data[name] = value
                self.origins[name] = origin

    def add_flat(self, values: Mapping[str, object], origin: str) -> None:
        for name, value in values.items():
            if value is not None:
                self.put(name, value, origin)

    def add_environment(self, environ: Mapping[str, str]) -> None:
        known = {variable_of(name): (name, hint) for name, hint in settings_names().items()}
        for variable in sorted(environ):
            if not variable.startswith(PREFIX) or variable == FILE_VARIABLE:
                continue
            if variable not in known:
                near = nearest(variable, [*known, FILE_VARIABLE])
                self.errors.append(f"{variable}: unknown{f'; did you mean {near}?' if near else ''}")
                continue
            name, hint = known[variable]
            try:
                value = _from_text(environ[variable], hint)
            except ValueError:
                self.errors.append(f"{name}: must be JSON (from {variable})")
            else:
                self.put(name, value, f"from {variable}")

    def settings(self, *, serves: bool, stores: bool) -> Settings:
        settings, faults = read(self.data)
        if faults:
            # The rest is checked as if each faulty setting had its default, so that one run tells everything.
            settings, _ = read(_without(self.data, faults))
        faulty = {".".join(path[:depth]) for path, _ in faults for depth in (1, 2)}
        if settings:
            faults += [
                fault
                for fault, others in conflicts(settings, stores=stores)
                if not faulty.intersection({".".join(fault[0]), *others})
            ]
        self.errors += [self._line(path, text) for path, text in faults]
        if settings and serves and not faulty.intersection({"host", "open", "auth", "auth.credentials"}):
            try:
                check_exposure(settings)
            except ConfigError as error:
                self.errors += error.errors
        if self.errors or settings is None:
            raise ConfigError(self.errors)
        return settings

    def _line(self, path: tuple[str, ...], text: str) -> str:
        origin = self.origins.get(".".join(path[:2])) or self.origins.get(path[0])
        return f"{'.'.join(path)}: {text}{f' ({origin})' if origin else ''}"


def variable_of(name: str) -> str:
    """Return the environment variable of a setting: `http.port` is `CHARGEHAND_HTTP__PORT`."""
    return PREFIX + name.replace(".", "__").upper()


def _from_text(text: str, hint: Any) -> object:
    """Convert an environment variable's text for a setting of this type; a wrong text is left to the schema."""
    if hint is str or get_origin(hint) is Literal:
        return text
    if hint is bool:
        return _FLAGS.get(text.strip().casefold(), text)
    if hint in (int, float):
        try:
            return int(text) if hint is int else float(text)
        except ValueError:
            return text
    return json.loads(text)


def _without(data: Mapping[str, Any], faults: list[Fault]) -> dict[str, Any]:
    """Return the data without the faulty settings, each left out as a whole."""
    left = deepcopy(dict(data))
    for path, _ in faults:
        top = left.get(path[0])
        if len(path) > 1 and path[0] in _SECTIONS and isinstance(top, dict):
            top.pop(path[1], None)
        else:
            left.pop(path[0], None)
    return left
