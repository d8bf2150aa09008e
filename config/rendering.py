"""Settings as text: the example file, the tables in the documentation, and the print at start.

One rule: everything is made from the declarations in `settings`, nothing is said twice. Never shows a secret.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import datetime
from typing import Any, Literal, cast, get_args, get_origin, get_type_hints

from .load import PROGRAM_DEFAULTS
from .schema import plain, range_of
from .sessions import TagSettings
from .setting import key_of, rules_of
from .settings import PluginSettings, Settings

_SECRET = "***"  # noqa: S105 - what stands in the place of one
_SECRET_WORDS = re.compile(
    r"passw|secret|token|credential|api_?key|(^|[^a-z])key($|[^a-z])|dsn|url", re.IGNORECASE
)

_EXAMPLE_HEAD = """\
# Settings of chargehand. Every setting is here with its default: remove the # in front of those that you change.
#
# A setting may also come from the environment, as CHARGEHAND_PORT or CHARGEHAND_SECTION__KEY (lists and
# tables as JSON), and some from the command line. The command line wins over the environment, and that over
# this file. CHARGEHAND_CONFIG names the file when --config does not. Files and folders are relative to where
# the program is started.
"""

_TABLES_HEAD = """\
# Settings

A setting comes from a TOML file (`chargehand serve --config FILE`, or `CHARGEHAND_CONFIG`), from the
environment and from the command line, in rising order. Every fault in every source is reported at once, with
its source. The file `config/example.toml` of the package has all settings as a start.

In the environment `port` is `CHARGEHAND_PORT`, and `port` of `[http]` is `CHARGEHAND_HTTP__PORT`; a list or a
table is written as JSON. In Python the same names are attributes:
`Settings(port=0, http=HttpSettings(enabled=True))`. Files and folders are relative to where the program is
started.
"""


def example() -> str:
    """`config/example.toml`: every setting with its documentation and the program's default, as a comment."""
    return "\n".join([_EXAMPLE_HEAD, *_example_lines(Settings, ""), ""])


def _example_lines(section: type, name: str) -> Iterator[str]:
    for entry, hint in _entries(section):
        if is_dataclass(hint):
            continue
        default = PROGRAM_DEFAULTS.get(f"{name}{key_of(entry)}", _default(entry))
        yield f"# {_sentence(entry, hint)}"
        if rules_of(entry).sample:
            yield f"# Example: {key_of(entry)} = {rules_of(entry).sample}"
        yield f"#{key_of(entry)} = {toml(default)}"
        yield ""
    for entry, hint in _entries(section):
        if is_dataclass(hint):
            yield f"# {rules_of(entry).doc}"
            yield f"[{key_of(entry)}]"
            yield ""
            yield from _example_lines(cast("type", hint), f"{key_of(entry)}.")


def tables() -> str:
    """`docs/settings.md`: every setting, in one table for each section."""
    lines = [_TABLES_HEAD, "## Top level", "", *_table(Settings)]
    for entry, hint in _entries(Settings):
        if is_dataclass(hint):
            name = key_of(entry)
            lines += _chapter(f"`[{name}]`", rules_of(entry).doc, cast("type", hint), name)
    for title, section in (("A plugin's table", PluginSettings), ("A tag's table", TagSettings)):
        lines += _chapter(title, section.__doc__ or "", section)
    return "\n".join([*lines, ""])


def _chapter(title: str, doc: str, section: type, name: str = "") -> list[str]:
    return ["", f"## {title}", "", doc, "", *_table(section, name)]


def _table(section: type, name: str = "") -> Iterator[str]:
    yield "| key | default | meaning |"
    yield "|---|---|---|"
    for entry, hint in _entries(section):
        if is_dataclass(hint):
            continue
        key = key_of(entry)
        default = _code(_default(entry))
        if f"{name}.{key}" in PROGRAM_DEFAULTS:
            default += f", in the program {_code(PROGRAM_DEFAULTS[f'{name}.{key}'])}"
        yield f"| `{key}` | {default} | {_sentence(entry, hint)} |"


def _code(value: object) -> str:
    return "none" if value is None else "required" if value is MISSING else f"`{toml(value)}`"


def redacted(settings: Settings, own: Sequence[object | None] = ()) -> str:
    """Settings as TOML with `***` for passwords, tokens, and plugin arguments whose name sounds like one.

    `own` has the own settings of each plugin, None for one that has none; then each plugin has a table.
    """
    data = _hidden(settings)
    if own:
        rows: list[dict[str, Any]] = data.pop("plugins")
        for row, settings_of_plugin in zip(rows, own, strict=True):
            name = row.pop("name") or row["class"].rpartition(":")[2]
            more = {} if settings_of_plugin is None else shown(settings_of_plugin)
            del row["settings"]
            # A key of the same name is one of the table itself.
            same = {key: more.pop(key) for key in list(more) if key in row}
            data[f"plugins.{_key(name)}"] = row | more | ({"settings": same} if same else {})
    lines = [f"{key} = {toml(value)}" for key, value in data.items() if not isinstance(value, Mapping)]
    for name, section in data.items():
        if isinstance(section, Mapping):
            lines += ["", f"[{name}]", *(f"{key} = {toml(value)}" for key, value in section.items())]
    return "\n".join([*lines, ""])


def shown(settings: object) -> dict[str, Any]:
    """Return the own settings of a plugin as a dict, keyed as in a file, with `***` for secrets."""
    return _hidden(settings)


def _hidden(section: object) -> dict[str, Any]:
    data = plain(section)
    for entry in fields(cast("Any", section)):
        key, value = key_of(entry), getattr(section, entry.name)
        if rules_of(entry).secret or (not rules_of(entry).doc and _SECRET_WORDS.search(key)):
            data[key] = dict.fromkeys(value, _SECRET) if isinstance(value, Mapping) else value and _SECRET
        elif rules_of(entry).url:
            data[key] = without_password(value)
        elif is_dataclass(value):
            data[key] = _hidden(value)
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            data[key] = [_hidden(one) for one in value]
        elif isinstance(section, PluginSettings) and key in {"arguments", "settings"}:
            data[key] = _hidden_arguments(value)
    return data


def without_password(url: str) -> str:
    """Return a URL without its password; any other text is unchanged."""
    url = re.sub(r"(?<=://)([^:/@?#]*):.*@", r"\1:***@", url)
    return re.sub(r"(?i)([?&][^=&]*(?:password|secret)[^=&]*=)[^&]*", r"\1***", url)


def _hidden_arguments(value: Any, name: str = "") -> Any:
    if _SECRET_WORDS.search(name):
        return _SECRET
    if isinstance(value, Mapping):
        return {key: _hidden_arguments(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden_arguments(item) for item in value]
    return value


def toml(value: Any) -> str:
    """Write a value as TOML, tables inline. A value that TOML does not know is written as text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, Mapping):
        pairs = [f"{_key(key)} = {toml(item)}" for key, item in value.items() if item is not None]
        return f"{{{', '.join(pairs)}}}"
    # JSON's text is TOML's, but for DEL.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else toml(key)


def _entries(section: type) -> Iterator[tuple[Field[Any], Any]]:
    hints = get_type_hints(section)
    return ((entry, hints[entry.name]) for entry in fields(section))


def _default(entry: Field[Any]) -> Any:
    return entry.default if entry.default_factory is MISSING else entry.default_factory()


def _sentence(entry: Field[Any], hint: Any) -> str:
    """Return the documentation of a setting, with the facts of its type."""
    doc, choices, bounds = rules_of(entry).doc, get_args(hint), range_of(rules_of(entry))
    if get_origin(hint) is Literal and len(choices) > 1:
        return f"{doc} One of {', '.join(map(toml, choices))}."
    if hint in (int, float) and bounds:
        return f"{doc} {bounds.capitalize()}."
    return doc
