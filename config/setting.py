"""Declaration of a setting: a field of a frozen dataclass, one line of documentation, and rules for its value.

The settings themselves are declared with it, in `settings.py` and `sessions.py`.
"""

from collections.abc import Callable
from dataclasses import Field, dataclass, field
from typing import Any, TypeVar, cast

T = TypeVar("T")

_RULES = "rules"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRules:
    """Facts about a setting beside its type: documentation, range, and how it is written in a file.

    `least` and `most` are the inclusive bounds of a number, `above` an exclusive lower one. A string must
    match `pattern` from end to end; `wanted` says in words what the pattern asks for. `short` is for tables:
    the key that a bare string stands for. `keyed` is for lists of tables: the key for the name of each, so that
    a table of tables may stand for the list. `sample` is a value for the example file when the default shows
    nothing. `key` is the name in a file when that is no name in Python. A `secret` is never shown; `url` is one
    without its password.
    """

    doc: str
    least: float | None = None
    above: float | None = None
    most: float | None = None
    pattern: str = ""
    wanted: str = ""
    short: str = ""
    keyed: str = ""
    sample: str = ""
    key: str = ""
    secret: bool = False
    url: bool = False


def rules_of(declared: Field[Any]) -> SettingRules:
    """Return the rules of one field of a settings class; a plain field, as in the settings of a plugin, has none."""
    return cast("SettingRules", declared.metadata.get(_RULES) or SettingRules(doc=""))


def key_of(declared: Field[Any]) -> str:
    """Return the name of a field in a file."""
    return rules_of(declared).key or declared.name


def required(doc: str, **more: Any) -> Any:
    """Declare a setting without a default."""
    return field(metadata={_RULES: SettingRules(doc=doc, **more)})


def setting(default: T, doc: str, **more: Any) -> T:
    """Declare a setting with its default; `more` are its rules."""
    rules = SettingRules(doc=doc, **more)
    # A secret is left out of repr(), so that a traceback or a debug line never shows it.
    return field(default=default, repr=not (rules.secret or rules.url), metadata={_RULES: rules})


def made(factory: Callable[[], T], doc: str, **more: Any) -> T:
    """Declare a setting whose default is made for each instance."""
    rules = SettingRules(doc=doc, **more)
    return field(default_factory=factory, repr=not rules.secret, metadata={_RULES: rules})


def on(doc: str) -> bool:
    """Declare a switch that is on."""
    return setting(True, doc)  # noqa: FBT003 - the value is the point


def off(doc: str) -> bool:
    """Declare a switch that is off."""
    return setting(False, doc)  # noqa: FBT003 - the value is the point


class Section:
    """Base class of all groups of settings."""

    __slots__ = ()


def port_number(default: int, doc: str) -> int:
    """Declare a port to listen on."""
    return setting(default, doc, least=0, most=65535)
