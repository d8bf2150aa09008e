"""The rules of OCPP-J members: marshmallow fields, each with its compiled twin.

The one rule: `fast`, the msgspec type made from a rule, may take less than the field takes, never more, and
reads the same value.  A field refuses with a `Violation`, so a refusal has its CALLERROR code and nobody
parses English.
"""

import datetime as dt
import numbers
import re
from abc import ABC
from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import marshmallow
import msgspec
from marshmallow import fields

from . import times, violations
from .violations import Kept, Violation

if TYPE_CHECKING:
    from .message import Message


TIME_OF_RECEIPT: Final = object()
"""Stand-in for a time: the time at which the message was received."""
NOTHING: Final = object()
"""Stand-in for an optional member: it is left out, whatever its shape."""


class Rule(fields.Field[Any]):
    """The base of all rules."""

    default_error_messages: Any = {  # noqa: RUF012 (marshmallow's own is no ClassVar)
        "required": violations.MISSING,
        "null": violations.NULL,
    }
    fast: Any
    stand_in: Any = violations.ABSENT
    """Value that the lenient policy puts in the place of a member that is missing or cannot be used."""

    def deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        """Read a value decoded from JSON; values that the lenient policy marked as kept pass."""
        if isinstance(value, Kept):
            return self.keep(value.value)
        return super().deserialize(value, *args, **kwargs)

    def keep(self, value: Any) -> Any:
        """Return the value that the message holds in place of one that breaks this rule."""
        return value


class Text(Rule, fields.String):
    """A string of at least and at most so many characters."""

    def __init__(self, size: int | None = None, at_least: int = 0) -> None:
        super().__init__()
        self.at_least = at_least
        self.size = size
        self.fast = Annotated[str, msgspec.Meta(min_length=at_least or None, max_length=size)]

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if isinstance(value, bool | int | Decimal):
            raise violations.SCALAR_FOR_TEXT.error()
        if not isinstance(value, str):
            raise violations.NOT_TEXT.error()
        if len(value) < self.at_least:
            raise violations.EMPTY.error()
        if self.size is not None and len(value) > self.size:
            raise Violation(violations.PROPERTY, f"is longer than {self.size} characters", Kept).error()
        return value


class FreeText(Text):
    """A string in place of which the lenient policy keeps any JSON value as it came."""

    def __init__(self) -> None:
        super().__init__()

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str):
            raise violations.NOT_TEXT_BUT_KEPT.error()
        return value


class Uri(Text):
    """A string with a scheme, a colon, and only characters that RFC 3986 has."""

    form = r"^[A-Za-z][A-Za-z0-9+.\-]*:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*\Z"
    pattern = re.compile(form)

    def __init__(self) -> None:
        super().__init__()
        self.fast = Annotated[str, msgspec.Meta(pattern=self.form)]

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        text = super()._deserialize(value)
        if not self.pattern.search(text):
            raise violations.NOT_URI.error()
        return text


class Choice(Text):
    """Value of an enumeration; an unknown value that is kept is a plain `str`."""

    def __init__(self, enum: type[StrEnum]) -> None:
        super().__init__()
        self.enum = enum
        self.unknown = Violation(violations.PROPERTY, f"is not a known {enum.__name__}", Kept)
        self.fast = enum

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        text = super()._deserialize(value)
        try:
            return self.enum(text)
        except ValueError:
            raise self.unknown.error() from None


class Integer(Rule, fields.Integer):
    """Integer of any size, unless bounded: most have no bounds in the official schemas, and 1.0 is no integer."""

    default_error_messages: Any = {"invalid": violations.NOT_INTEGER}  # noqa: RUF012 (as above)

    def __init__(
        self, at_least: int | None = None, at_most: int | None = None, *, names: bool = False
    ) -> None:
        """Make the rule; an integer that `names` something is never made of a fraction by cutting it off."""
        super().__init__(strict=True)
        self.at_least = at_least
        self.at_most = at_most
        self.fault = violations.NOT_WHOLE if names else violations.NOT_INTEGER
        self.fast = Annotated[int, msgspec.Meta(ge=at_least, le=at_most)]

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fault.error()
        if self.at_least is not None and value < self.at_least:
            raise violations.TOO_SMALL.error()
        if self.at_most is not None and value > self.at_most:
            raise violations.TOO_LARGE.error()
        return value


class Boolean(Rule, fields.Boolean):
    """True or false, and nothing that merely looks like it."""

    fast = bool

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if not isinstance(value, bool):
            raise violations.NOT_BOOLEAN.error()
        return value


class Tenths(Rule, fields.Decimal):
    """A number with at most one fraction digit, exact."""

    fast = numbers.Number  # for Decimal msgspec would take a string, too; for this it asks `take`

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Decimal:
        return self.take(value)

    @staticmethod
    def take(value: object) -> Decimal:
        """Read a number decoded from JSON, where fractions are Decimals, or raise marshmallow's error."""
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise violations.NOT_NUMBER.error()
        number = Decimal(value)
        _, digits, exponent = number.as_tuple()
        if any(digits[max(0, len(digits) + int(exponent) + 1) :]):
            raise violations.NOT_TENTHS.error()
        return number


class Decimals(type):
    """Type of a mark for the compiled decoder that Decimals are instances of: quicker than an ABC, for each number."""

    def __instancecheck__(cls, value: object) -> bool:
        return type(value) is Decimal


class AnyNumber(metaclass=Decimals):
    """Compiled twin of `Number`."""


class Number(Rule, fields.Decimal):
    """A number with any number of fraction digits, exact."""

    fast = AnyNumber

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Decimal:
        return self.take(value)

    @staticmethod
    def take(value: object) -> Decimal:
        """Read a number decoded from JSON, where fractions are Decimals, or raise marshmallow's error."""
        if type(value) is Decimal:
            return value
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise violations.NOT_NUMBER.error()
        return Decimal(value)


class Anything(Rule):
    """Any JSON value, its fractions as Decimals. `null` is an absent member."""

    fast = Any

    def __init__(self) -> None:
        super().__init__(allow_none=True)


class OpenObject(ABC):  # noqa: B024 - a mark for the compiled decoder
    """Compiled twin of `CustomData`."""


OpenObject.register(dict)
VENDOR_CHARACTERS = 255


class CustomData(Rule):
    """An object with a `vendorId` and any other members, read as a dict. OCPP 2.0.1, CustomDataType."""

    fast = OpenObject

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, Any]:
        return self.take(value)

    @staticmethod
    def take(value: object) -> dict[str, Any]:
        """Read an object decoded from JSON, or raise marshmallow's error."""
        if not isinstance(value, dict):
            raise violations.NOT_OPEN_OBJECT.error()
        if "vendorId" not in value:
            raise violations.NO_VENDOR.error()
        vendor = value["vendorId"]
        if not isinstance(vendor, str) or len(vendor) > VENDOR_CHARACTERS:
            raise violations.WRONG_VENDOR.error()
        return value


ASKED: Mapping[object, Callable[[object], Any]] = {
    numbers.Number: Tenths.take,
    AnyNumber: Number.take,
    OpenObject: CustomData.take,
}
"""Rules that a compiled decoder asks themselves, by their twin."""


def ask(twin: type, value: object) -> Any:
    """Let a compiled decoder ask the rule itself."""
    if twin is AnyNumber:  # a message with readings has many
        if type(value) is Decimal:
            return value
        if type(value) is int:
            return Decimal(value)
    try:
        return ASKED[twin](value)
    except marshmallow.ValidationError as error:
        raise ValueError from error


class Timestamp(Rule, fields.AwareDateTime):
    """A moment in ISO 8601, in any of its formats, with its time zone. See `times`."""

    fast = Annotated[dt.datetime, msgspec.Meta(tz=True)]

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dt.datetime:
        if not isinstance(value, str):
            raise violations.NOT_TEXT.error()
        time = times.read(value)
        if time is None:
            raise violations.NOT_TIME.error()
        if time.odd:
            raise Violation(violations.PROPERTY, time.odd, _plain_time).error()
        if time.moment.tzinfo is None:
            raise violations.NAIVE.error()
        return time.moment


def _plain_time(value: Any) -> object:
    time = times.read(value)
    return violations.ABSENT if time is None else time.moment.isoformat()


def aware(value: Any, zone: dt.tzinfo | None) -> object:
    """Repair a time without a zone by the zone that such times are in; with none it cannot be used."""
    time = times.read(value)
    if time is None or zone is None:
        return violations.ABSENT
    return time.moment.replace(tzinfo=zone).isoformat()


class Part(Rule, fields.Nested):
    """Object that is declared as a message of its own.

    Its compiled twin is asked first, here too: one bad sample must not make a thousand good ones slow.
    """

    def __init__(self, kind: "type[Message]") -> None:
        super().__init__(lambda: kind.__contract__)  # made with the schema of the whole, if ever
        self.kind = kind
        self.fast = kind

    def deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        """Read an object decoded from JSON."""
        try:
            return msgspec.convert(value, self.kind, dec_hook=ask)
        except msgspec.ValidationError:
            return super().deserialize(value, *args, **kwargs)


class Items(Rule, fields.List[Any]):
    """A list of at least and at most so many items, read as a tuple.

    Under the lenient policy a hopeless item of an `expendable` list is left out; elsewhere it refuses the
    payload.
    """

    def __init__(
        self, inner: Rule, at_least: int = 0, at_most: int | None = None, *, expendable: bool = False
    ) -> None:
        super().__init__(inner)
        self.at_least = at_least
        self.at_most = at_most
        self.expendable = expendable
        many: Any = tuple.__class_getitem__((inner.fast, ...))
        self.fast = Annotated[many, msgspec.Meta(min_length=at_least or None, max_length=at_most)]

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, list):
            raise violations.NOT_LIST.error()
        if sum(item is not violations.ABSENT for item in value) < self.at_least:
            raise violations.TOO_FEW.error()
        if self.at_most is not None and len(value) > self.at_most:
            raise violations.TOO_MANY.error()
        return self.keep(value)

    def keep(self, value: Any) -> tuple[Any, ...]:
        """Read the items; one left out keeps its place in `value`, so that indices stay the sender's."""
        items: list[Any] = []
        errors: dict[int, Any] = {}
        for index, item in enumerate(value):
            if item is not violations.ABSENT:
                try:
                    items.append(self.inner.deserialize(item))
                except marshmallow.ValidationError as error:
                    errors[index] = error.messages
                    if len(errors) == violations.MOST:
                        break
        if errors:
            raise marshmallow.ValidationError(errors)
        return tuple(items)
