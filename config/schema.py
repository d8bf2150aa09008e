"""Marshmallow schemas made from the settings classes: a nested dict becomes `Settings`, or a list of faults.

One rule: nothing is converted that a reader would not expect; a whole number passes where a number is due,
and that is all. Every fault is reported, not the first one only. Never reads a file or the environment.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import cache
from math import isfinite
from typing import Any, ClassVar, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from marshmallow import EXCLUDE, Schema, ValidationError, post_load, validates_schema
from marshmallow.fields import Field

from .setting import SettingRules, key_of, rules_of
from .settings import Settings

T = TypeVar("T")

Path = tuple[str, ...]
Fault = tuple[Path, str]


def read(data: Mapping[str, Any]) -> tuple[Settings | None, list[Fault]]:
    """Turn a nested dict, keyed as in a file, into settings. Without settings there is at least one fault.

    A fault is the path of the setting (`("http", "port")`) and what is wrong with it.
    """
    return read_section(Settings, data)


def read_section(
    section: type[T], data: Mapping[str, Any], also: Iterable[str] = ()
) -> tuple[T | None, list[Fault]]:
    """Turn a dict into the settings of any frozen dataclass, as `read` does.

    `also` are words that an unknown key may be meant for, too.
    """
    schema = schema_of(cast("type", section))()
    known = [str(field.data_key) for field in schema.fields.values()]
    faults: list[Fault] = []
    if also:
        faults = [((key,), _unknown(key, [*known, *also])) for key in data if key not in known]
        data = {key: value for key, value in data.items() if key in known}
    try:
        made = cast("T", schema.load(data))
    except ValidationError as error:
        return None, [*faults, *_faults(error.messages_dict, ())]
    return (None if faults else made), faults


def plain(settings: object) -> dict[str, Any]:
    """Settings as a nested dict, keyed as in a file."""
    return {key_of(entry): _plain(getattr(settings, entry.name)) for entry in fields(cast("Any", settings))}


def _plain(value: object) -> Any:
    if is_dataclass(value):
        return plain(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def nearest(word: str, known: list[str]) -> str:
    """Return the word of `known` that was probably meant, or an empty string. Case does not count."""
    folded = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), folded, n=1)
    return folded[found[0]] if found else ""


@cache
def schema_of(section: type) -> type[Schema]:
    """Return the schema of one settings class."""
    hints = get_type_hints(section)
    declared: dict[str, Field[Any]] = {}
    for entry in fields(section):
        required = entry.default is MISSING and entry.default_factory is MISSING
        made = _field(hints[entry.name], rules_of(entry), required=required)
        made.data_key = key_of(entry)
        declared[entry.name] = made
    return cast(
        "type[Schema]",
        type(f"{section.__name__}Schema", (_Section,), {**declared, "section": section}),
    )


class _Section(Schema):
    """A table of a file. Unknown keys are faults with a did-you-mean, beside the faults of known ones."""

    section: ClassVar[type]

    class Meta:
        unknown = EXCLUDE

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def refuse_unknown_keys(self, _: object, original: Mapping[str, Any], **__: object) -> None:
        known = [str(field.data_key) for field in self.fields.values()]
        unknown = [str(key) for key in original if key not in known]
        if unknown:
            raise ValidationError({key: [_unknown(key, known)] for key in unknown})

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> object:
        return self.section(**data)


def _unknown(key: str, known: list[str]) -> str:
    if near := nearest(key, known):
        return f'unknown; did you mean "{near}"?'
    # The usual slip in TOML: a key below the wrong [table].
    for place in _places(key):
        return f"unknown here; did you mean {place}?"
    return "unknown"


def _places(key: str) -> Iterator[str]:
    for entry in fields(Settings):
        section = get_type_hints(Settings)[entry.name]
        if entry.name == key:
            yield f'"{key}" above the first [table]'
        if is_dataclass(section) and any(key_of(inner) == key for inner in fields(section)):
            yield f'"{key}" in [{entry.name}]'


def _faults(messages: Mapping[Any, Any], path: Path) -> Iterator[Fault]:
    for key, found in messages.items():
        if isinstance(found, Mapping):
            yield from _faults(found, (*path, str(key)))
        else:
            yield from (((*path, str(key)), str(text)) for text in found)


class _Value(Field[Any]):
    """A field whose value has one exact type; the text of its refusal says what would be right."""

    def __init__(self, rules: SettingRules, *, required: bool) -> None:
        super().__init__(
            required=required, error_messages={"required": "missing", "null": "must not be null"}
        )
        self.rules = rules

    def refusal(self, wanted: str, value: object) -> ValidationError:
        hidden = self.rules.secret or (self.rules.url and not re.fullmatch(r"\w+", str(value)))
        shown = "" if hidden else f", not {_shown(value)}"
        return ValidationError(f"must be {wanted}{shown}")


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    return (
        "a table"
        if isinstance(value, Mapping)
        else "a list"
        if isinstance(value, list | tuple)
        else repr(value)
    )


class _Text(_Value):
    def _deserialize(self, value: object, *_: object, **__: object) -> str:
        if not isinstance(value, str):
            raise self.refusal("text", value)
        if self.rules.pattern and not re.fullmatch(self.rules.pattern, value):
            raise self.refusal(self.rules.wanted, value)
        return value


class _Flag(_Value):
    def _deserialize(self, value: object, *_: object, **__: object) -> bool:
        if not isinstance(value, bool):
            raise self.refusal("true or false", value)
        return value


class _Number(_Value):
    whole = False

    def _deserialize(self, value: object, *_: object, **__: object) -> float:
        rules = self.rules
        right = isinstance(value, int if self.whole else int | float) and not isinstance(value, bool)
        number = cast("float", value)
        if (
            not right
            or not isfinite(number)
            or (rules.least is not None and number < rules.least)
            or (rules.above is not None and number <= rules.above)
            or (rules.most is not None and number > rules.most)
        ):
            kind = "a whole number" if self.whole else "a number"
            raise self.refusal(", ".join(filter(None, (kind, range_of(rules)))), value)
        return number if self.whole else float(number)


class _Whole(_Number):
    whole = True


def range_of(rules: SettingRules) -> str:
    """Return the range of a number in words; empty without one."""
    if rules.least is not None and rules.most is not None:
        return f"from {rules.least:g} to {rules.most:g}"
    if rules.least is not None:
        return f"at least {rules.least:g}"
    return f"above {rules.above:g}" if rules.above is not None else ""


class _Choice(_Value):
    def __init__(self, choices: tuple[str, ...], rules: SettingRules, *, required: bool) -> None:
        super().__init__(rules, required=required)
        self.choices = choices

    def _deserialize(self, value: object, *_: object, **__: object) -> str:
        if value not in self.choices:
            wanted = " or ".join(f'"{choice}"' for choice in self.choices)
            near = (
                nearest(value, list(self.choices)) if isinstance(value, str) and len(self.choices) > 1 else ""
            )
            refusal = self.refusal(wanted, value)
            raise ValidationError(f'{refusal.messages[0]}; did you mean "{near}"?') if near else refusal
        return value


class _Moment(_Value):
    """A date and time with its offset: TOML's own type, or its ISO 8601 text (from the environment)."""

    def __init__(self, rules: SettingRules, *, required: bool) -> None:
        super().__init__(rules, required=required)
        self.allow_none = True

    def _deserialize(self, value: object, *_: object, **__: object) -> datetime:
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        except ValueError:
            moment = None
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            raise self.refusal('a date and time with its offset, like "2030-01-01T00:00:00Z"', value)
        return moment


class _Anything(_Value):
    def _deserialize(self, value: object, *_: object, **__: object) -> object:
        return value


class _Table(_Value):
    """A settings class inside another. With `rules.short`, a bare string stands for a table with that key."""

    def __init__(self, section: type, rules: SettingRules, *, required: bool) -> None:
        super().__init__(rules, required=required)
        self.schema = schema_of(section)()

    def _deserialize(self, value: object, *_: object, **__: object) -> object:
        if self.rules.short and isinstance(value, str):
            # The fault of a bare string belongs to the string itself, not to the key that it stands for.
            try:
                return self.schema.load({self.rules.short: value})
            except ValidationError as error:
                raise ValidationError(error.messages_dict[self.rules.short]) from None
        if not isinstance(value, Mapping):
            raise self.refusal("a table", value)
        return self.schema.load(value)


class _Entries(_Value):
    """A list, or a table whose keys are the user's: every item is checked by the same field."""

    def __init__(self, item: Field[Any], rules: SettingRules, *, required: bool) -> None:
        super().__init__(rules, required=required)
        self.item = item

    def each(self, pairs: Iterator[tuple[Any, Any]]) -> dict[Any, Any]:
        done: dict[Any, Any] = {}
        faults: dict[Any, Any] = {}
        for key, value in pairs:
            try:
                done[key] = self.item.deserialize(value)
            except ValidationError as error:
                faults[key] = error.messages
        if faults:
            raise ValidationError(faults)
        return done


class _Rows(_Entries):
    def _deserialize(self, value: object, *_: object, **__: object) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise self.refusal("a list", value)
        return tuple(self.each(iter(enumerate(value))).values())


class _Keyed(_Rows):
    """A list of tables, or a table of them, in which each has its name as key.

    There the keys that the tables do not have belong to their `settings`: those of a plugin.
    """

    def _deserialize(self, value: object, *_: object, **__: object) -> tuple[Any, ...]:
        if isinstance(value, Mapping):
            return tuple(self.each((name, self._row(name, table)) for name, table in value.items()).values())
        return super()._deserialize(value)

    def _row(self, name: str, table: object) -> object:
        keyed, short = self.rules.keyed, self.rules.short
        if isinstance(table, str):
            return {keyed: name, short: table}
        if not isinstance(table, Mapping):
            return table
        schema: Any = cast("_Table", self.item).schema
        known = {field.data_key for field in schema.fields.values()} - {keyed}
        row = {short: name, **{key: item for key, item in table.items() if key in known}, keyed: name}
        given = row.get("settings", {})
        own = {key: item for key, item in table.items() if key not in known}
        return row | {"settings": {**own, **given}} if isinstance(given, Mapping) else row


class _Lookup(_Entries):
    def _deserialize(self, value: object, *_: object, **__: object) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise self.refusal("a table", value)
        return self.each(iter(value.items()))


def _field(hint: Any, rules: SettingRules, *, required: bool = False) -> Field[Any]:
    simple = {str: _Text, bool: _Flag, int: _Whole, float: _Number, datetime | None: _Moment, Any: _Anything}
    if hint in simple:
        return simple[hint](rules, required=required)
    if is_dataclass(hint):
        return _Table(cast("type", hint), rules, required=required)
    if get_origin(hint) is Literal:
        return _Choice(get_args(hint), rules, required=required)
    if get_origin(hint) is tuple:
        rows = _Keyed if rules.keyed else _Rows
        return rows(_field(get_args(hint)[0], rules), rules, required=required)
    if get_origin(hint) is Mapping:
        return _Lookup(_field(get_args(hint)[1], rules), rules, required=required)
    message = f"no field for settings of type {hint}"
    raise TypeError(message)
