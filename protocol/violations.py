"""Violations of a member's rule, each with its CALLERROR code and its repair.

The one rule: a violation has exactly one code, and at most one repair.  The repair is the lenient policy; the
strict one never looks at it.  A repair takes the offending value, as decoded from JSON, and returns what to
put in its place:

- another value, which is judged again;
- `Kept`, a value let through although it breaks the rule;
- `ABSENT`: leave the member out, which is possible only where it is optional.

A violation without a repair is hopeless: the payload is refused, or, inside a list whose items are
expendable, the item is left out.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import marshmallow

from ..config.errors import ChargehandError
from .errors import ErrorCode

FORMATION = ErrorCode.FORMATION_VIOLATION
OCCURRENCE = ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION
PROPERTY = ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
TYPE = ErrorCode.TYPE_CONSTRAINT_VIOLATION

ABSENT: Final = object()
MOST = 5000  # so many bad items of a list are looked at: a megabyte of them would keep everybody waiting

# Numbers that charge points send as text or with a fraction, although an integer is due: no longer than a
# meter needs, for it takes minutes to make an integer of the ten characters "1e99999999".
INTEGER_TEXT = re.compile(r"(?a:[+-]?\d{1,18}(\.\d*)?)")
NUMBER_TEXT = re.compile(r"(?a:[+-]?\d{1,18}(\.\d{0,18})?)")
LARGEST = 10**18


@dataclass(frozen=True, slots=True)
class Kept:
    """Marks a value that the lenient policy lets through although it breaks a rule."""

    value: Any


@dataclass(frozen=True, slots=True)
class Violation:
    """Fault of a value, in marshmallow's place for a message."""

    code: ErrorCode
    text: str
    repair: Callable[[Any], object] | None = field(default=None, repr=False, compare=False)

    def error(self) -> marshmallow.ValidationError:
        """Make the error that a field raises."""
        return marshmallow.ValidationError([self])


def leave_out(value: object) -> object:
    """Repair a scalar by leaving it out; an object or a list in its place is a wrong shape, and hopeless."""
    if isinstance(value, dict | list):
        raise Hopeless
    return ABSENT


class Hopeless(ChargehandError):
    """Raised by a repair that finds nothing to do."""


def _text_of(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _integer_of(value: object) -> object:
    """Read 12.0, 12.7 and "12": the fraction is cut off, so that nobody pays for energy that was not measured."""
    if isinstance(value, str) and INTEGER_TEXT.fullmatch(value):
        return int(Decimal(value))
    if isinstance(value, Decimal) and abs(value) < LARGEST:
        return int(value)
    return leave_out(value)


def _whole_of(value: object) -> object:
    """Read 12.0 and "12", but no fraction: half of a number that names something names nothing."""
    whole = _integer_of(value)
    return whole if isinstance(whole, int) and Decimal(str(value)) == whole else leave_out(value)


def _number_of(value: object) -> object:
    if isinstance(value, str) and NUMBER_TEXT.fullmatch(value):
        return Decimal(value)
    return leave_out(value)


def _boolean_of(value: object) -> object:
    if isinstance(value, str) and value.lower() in ("true", "false", "1", "0"):
        return value.lower() in ("true", "1")
    if value in (0, 1):
        return value == 1
    return leave_out(value)


MISSING = Violation(OCCURRENCE, "is required")
TOO_FEW = Violation(OCCURRENCE, "has too few items", Kept)
TOO_MANY = Violation(OCCURRENCE, "has too many items", Kept)
NO_VENDOR = Violation(OCCURRENCE, "has no vendorId", Kept)
UNREADABLE = Violation(FORMATION, "is not readable JSON")
UNKNOWN = Violation(FORMATION, "is not a member of this object", lambda _: ABSENT)
NOT_OBJECT = Violation(TYPE, "is not an object")
NOT_OPEN_OBJECT = Violation(TYPE, "is not an object", Kept)
NOT_LIST = Violation(TYPE, "is not a list")
NOT_TEXT = Violation(TYPE, "is not a string", leave_out)
NOT_TEXT_BUT_KEPT = Violation(TYPE, "is not a string", Kept)
NOT_INTEGER = Violation(TYPE, "is not an integer", _integer_of)
NOT_WHOLE = Violation(TYPE, "is not an integer", _whole_of)
NOT_NUMBER = Violation(TYPE, "is not a number", _number_of)
NOT_BOOLEAN = Violation(TYPE, "is not a boolean", _boolean_of)
SCALAR_FOR_TEXT = Violation(TYPE, "is not a string", _text_of)
NULL = Violation(TYPE, "is null", leave_out)
EMPTY = Violation(PROPERTY, "is empty")
TOO_SMALL = Violation(PROPERTY, "is too small", Kept)
TOO_LARGE = Violation(PROPERTY, "is too large", Kept)
WRONG_VENDOR = Violation(PROPERTY, "has no usable vendorId", Kept)
NOT_TENTHS = Violation(PROPERTY, "has more than one fraction digit", Kept)
NOT_URI = Violation(PROPERTY, "is not a URI", Kept)
NOT_TIME = Violation(PROPERTY, "is not an ISO 8601 date and time", leave_out)
NAIVE = Violation(PROPERTY, "has no time zone", leave_out)
"""Time without a zone: the reader of a payload knows in which zone such times are, if any."""
