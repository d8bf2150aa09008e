"""Reading and writing payloads: the two policies for incoming ones, and the check of outgoing ones.

The one rule: for any bytes, a reader returns a message or raises `Refused`, and nothing else.  The
compiled decoder's "yes" is final; what it refuses goes to marshmallow, which accepts it too or says what is
wrong with it.

**Strict** refuses every deviation.  **Lenient** mends what it can, and tells each deviation with its value:

- `null`: the member is absent;
- an unknown member: left out;
- a text too long, an unknown value of an enumeration, a number too small, too large or with too many fraction digits, a
  malformed URI, a list too short or too long, custom data without a vendor: kept as sent;
- a number or a boolean for a string: its text; where any text is due, any JSON: kept as sent;
- a text for a number or a boolean, 0 and 1 for a boolean: its value;
- a fraction for an integer: cut off, but for one that names a transaction;
- a time without a zone: taken as in the zone of `naive_zone`; one that only nearly is ISO 8601: the moment it says;
- any other scalar of the wrong kind, and a text that is no time: left out if the member is optional;
- a required member with a stand-in that is missing or cannot be used: the stand-in, such as the time of receipt;
- an optional member of a start or a stop that has the wrong shape: left out;
- an item of an expendable list (samples, meter values, configuration keys) that cannot be mended: left out.

Any other required member missing, an object or a list where none is due, or the wrong one of the two: both refuse.
Of five thousand violations or more only so many are told, and lenient refuses them, too: each costs time.

`null` as a payload is `{}` under both (OCPP-J 1.6, 4.2.1 and 4.2.2).
"""

import contextlib
import datetime as dt
import itertools
import operator
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any, TypeVar

import marshmallow
import msgspec

from . import frames, rules, violations
from .errors import Deviation, ErrorCode, InvalidPayload, Refused
from .message import Declaration, Message, number
from .violations import ABSENT, Kept, Violation

VALUE_CHARACTERS = 500  # so much of an offending value is kept
PATH_CHARACTERS = 200  # a path holds the sender's own names, of any length
EMPTY = b"{}"

M = TypeVar("M", bound=Message)
Path = tuple[str | int, ...]

# UnicodeDecodeError and RecursionError are no DecodeErrors of msgspec's, but do come out of its decoders; and
# so does the ValueError of an untyped decoder's float hook.
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
_untyped = msgspec.json.Decoder(float_hook=number)
_encoder = msgspec.json.Encoder(decimal_format="number")


class Mended(IntEnum):
    """Way in which a violation was mended; false if there was none."""

    NOT = 0
    PLAINLY = 1
    BY_STAND_IN = 2
    BY_RECEIPT = 3


# -- Reading -----------------------------------------------------------------------------


def strict(kind: type[M], payload: bytes | msgspec.Raw) -> M:
    """Read a payload by the contract, or raise `Refused` with all violations."""
    try:
        message: M = kind.__decoder__.decode(payload)
    except UNREADABLE:
        return _judge(kind, payload)
    return message


def lenient(
    kind: type[M],
    payload: bytes | msgspec.Raw,
    *,
    received_at: dt.datetime | None = None,
    naive_zone: dt.tzinfo | None = dt.UTC,
) -> tuple[M, tuple[Deviation, ...]]:
    """Read a payload, mending deviations, or raise `Refused` with those that cannot be mended.

    The deviations name all mended members; their paths are those of the payload as sent.  One member may deviate
    in more than one way. `received_at` stands in for a time that cannot be read, where the declaration says so; without
    it such a payload is refused. Times without a zone are in `naive_zone`; with None they cannot be used.
    """
    try:
        return kind.__decoder__.decode(payload), ()
    except UNREADABLE:
        return _mend(kind, payload, received_at, naive_zone)


def _judge(kind: type[M], payload: bytes | msgspec.Raw) -> M:
    data = _data(payload)
    try:
        message: M = kind.__contract__.load(data)
    except marshmallow.ValidationError as error:
        raise Refused.by(_deviation(data, *found) for found in _violations(error)) from None
    return message


def _mend(
    kind: type[M],
    payload: bytes | msgspec.Raw,
    received_at: dt.datetime | None,
    naive_zone: dt.tzinfo | None,
) -> tuple[M, tuple[Deviation, ...]]:
    data, slips = _data_mended(payload)
    deviations = [*slips]
    while True:  # ends: every repair takes a value out, marks it as kept, or brings it nearer to that
        try:
            message: M = kind.__contract__.load(data)
        except marshmallow.ValidationError as error:
            found = _violations(error)
            now = [_deviation(data, path, violation) for path, violation in found]
            mended = [
                _repair(kind, data, path, violation, received_at, naive_zone) for path, violation in found
            ]
            if not all(mended):
                raise Refused.by(itertools.compress(now, map(operator.not_, mended))) from None
            deviations += map(_told, now, mended)
            if len(deviations) >= violations.MOST:
                raise Refused.by(deviations) from None
        else:
            return message, tuple(deviations)


def _told(deviation: Deviation, how: Mended) -> Deviation:
    if how is Mended.PLAINLY:
        return deviation
    text = f"{deviation.text}; the time of receipt stands in" if how is Mended.BY_RECEIPT else deviation.text
    return deviation._replace(text=text, stood_in=True)


def _data(payload: bytes | msgspec.Raw) -> Any:
    try:
        data = _untyped.decode(payload)
    except UNREADABLE:
        raise Refused(violations.UNREADABLE.code, violations.UNREADABLE.text) from None
    return {} if data is None else data


def _data_mended(payload: bytes | msgspec.Raw) -> tuple[Any, tuple[Deviation, ...]]:
    """Decode a payload that may be of a frame which had to be mended, and tell its slips."""
    try:
        return _data(payload), ()
    except Refused:
        whole, slips = frames.mended(bytes(payload))
        if not slips:
            raise
        return _data(whole), slips


def _violations(error: marshmallow.ValidationError) -> list[tuple[Path, Violation]]:
    """List the violations, in the order of the declaration, unknown members last."""
    return list(itertools.islice(_flat(error.messages), violations.MOST))


def _flat(messages: Any, path: Path = ()) -> Iterator[tuple[Path, Violation]]:
    if isinstance(messages, Violation):
        yield path, messages
    elif isinstance(messages, list):
        for violation in messages:
            yield path, violation
    else:
        for step, inner in messages.items():
            # marshmallow's own name for "the object itself"; a sender may have a member of that name.
            itself = step == "_schema" and inner == [violations.NOT_OBJECT]
            yield from _flat(inner, path if itself else (*path, step))


def _deviation(data: Any, path: Path, violation: Violation) -> Deviation:
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
    value = ""
    if violation != violations.MISSING:
        for step in path:
            data = _open(data)[step]
        value = _excerpt(data)
    return Deviation(where[:PATH_CHARACTERS], violation.code, violation.text, value)


def _excerpt(value: Any) -> str:
    if isinstance(value, str):
        value = value[:VALUE_CHARACTERS]
    try:
        return _encoder.encode(value).decode()[:VALUE_CHARACTERS]
    except (TypeError, ValueError, RecursionError):  # a list with items left out, or nested to the limit
        return ""


def _open(value: Any) -> Any:
    return value.value if isinstance(value, Kept) else value


class _Place:
    """Place of a violation in a payload: holder, rule and value, and the innermost item that may be left out."""

    __slots__ = ("holder", "rule", "spare", "value")

    def __init__(self, kind: type[Message], data: Any, path: Path, violation: Violation) -> None:
        self.spare: tuple[Any, int] | None = None
        self.rule: Any = None
        self.holder: Any = None
        self.value: Any = data
        members: Mapping[Any, rules.Rule] = kind.__members__
        missing = violation == violations.MISSING
        for step in path[:-1] if missing else path:
            self.holder = _open(self.value)
            rule: Any = self.rule
            if isinstance(step, int):
                self.spare = (self.holder, step) if rule.expendable else self.spare
                rule = rule.inner
            else:
                rule = members.get(step)
            self.rule = rule
            members = rule.kind.__members__ if isinstance(rule, rules.Part) else {}
            self.value = self.holder[step]
            if self.value is ABSENT:
                return
        if missing:
            self.holder, self.rule = _open(self.value), members.get(path[-1])


def _repair(
    kind: type[Message],
    data: Any,
    path: Path,
    violation: Violation,
    received_at: dt.datetime | None,
    naive_zone: dt.tzinfo | None,
) -> Mended:
    """Mend one violation in place, and return how."""
    place = _Place(kind, data, path, violation)
    if place.value is ABSENT:  # left out a moment ago, for another of its violations
        return Mended.PLAINLY
    if violation.repair is not None and path:
        with contextlib.suppress(violations.Hopeless):
            if _repaired(place, path[-1], violation, naive_zone):
                return Mended.PLAINLY
    stand_in = ABSENT if place.rule is None else place.rule.stand_in
    received = stand_in is rules.TIME_OF_RECEIPT
    if received:
        stand_in = ABSENT if received_at is None else received_at
    if stand_in is rules.NOTHING:
        del place.holder[path[-1]]
        return Mended.PLAINLY
    if stand_in is not ABSENT:
        place.holder[path[-1]] = Kept(stand_in)
        return Mended.BY_RECEIPT if received else Mended.BY_STAND_IN
    if place.spare is None:
        return Mended.NOT
    items, index = place.spare
    items[index] = ABSENT
    return Mended.PLAINLY


def _repaired(place: _Place, key: str | int, violation: Violation, naive_zone: dt.tzinfo | None) -> bool:
    repair: Any = violation.repair
    naive = violation == violations.NAIVE
    value = rules.aware(place.value, naive_zone) if naive else repair(place.value)
    if value is not ABSENT:
        place.holder[key] = value
        return True
    if isinstance(place.holder, dict) and not (place.rule and place.rule.required):
        del place.holder[key]
        return True
    return False


# -- Writing -----------------------------------------------------------------------------


def build(kind: type[Message], value: Message | Mapping[str, Any]) -> bytes:
    """Write a payload of ours: a message, or a mapping with wire names.

    A mapping may hold whatever JSON has, datetimes and messages.

    Members come in the order of the declaration, absent ones are left out, times are in whole UTC seconds.
    Raises `InvalidPayload` with all violations.
    """
    if not kind.__members__ and (type(value) is kind or value == {}):
        return EMPTY
    if type(value) is kind:
        payload = _checked(kind, value)
        if payload is not None:
            return payload
    elif kind.__bare__ and value == {}:
        return EMPTY
    return encode(typed(kind, value))


def _checked(kind: type[Message], message: Message) -> bytes | None:
    """Write a message of ours and check the very bytes; None: it needs the slow way, with two encodings.

    What is read back and equal to what was written has its members, their order and their types. Numbers may be
    equal and yet be written in two ways (1e16 and 1E+16): `__exact__` says that there are none.
    """
    if not kind.__exact__:
        return None
    try:
        whole = _whole(message) if kind.__timed__ else message
        payload = _encoder.encode(whole)
        if kind.__decoder__.decode(payload) == whole:
            return payload
    except (TypeError, *UNREADABLE):  # the long way names the fault
        pass
    return None


def typed(kind: type[M], value: M | Mapping[str, Any] | bytes | str) -> M:
    """Make a message of ours out of a message, a mapping, or JSON, or raise `InvalidPayload`.

    A message is checked as well: constructors check nothing.
    """
    if isinstance(value, Message) and type(value) is not kind:
        raise _invalid(kind, f"is a {type(value).__name__}, not a {kind.__name__}")
    if not isinstance(value, bytes | str | Message | Mapping):  # the last one is the slowest
        raise _invalid(kind, f"is a {type(value).__name__}")
    try:
        if isinstance(value, str):
            payload = value.encode()
        elif isinstance(value, bytes):
            payload = value
        else:
            payload = _encoder.encode(value if isinstance(value, Message) else dict(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise _invalid(kind, f"cannot be written as JSON: {error}") from error
    if payload.strip() == b"null":  # taken from a peer, and never sent
        raise _invalid(kind, violations.NOT_OBJECT.text)
    try:
        return strict(kind, payload)
    except Refused as refused:
        raise InvalidPayload(refused.violations, kind.__name__) from None


def _invalid(kind: type[Message], text: str) -> InvalidPayload:
    return InvalidPayload([Deviation("", ErrorCode.TYPE_CONSTRAINT_VIOLATION, text)], kind.__name__)


def encode(message: Message) -> bytes:
    """Write a message without checking it: one that was read, or has been checked."""
    return _encoder.encode(_whole(message) if message.__timed__ else message)


def _whole(value: Any) -> Any:
    """Return the value with its times in whole UTC seconds: the value itself if they all are."""
    kind = type(value)
    if type(kind) is Declaration:  # `isinstance` costs more than all the rest
        changes: dict[str, Any] | None = None
        for key in kind.__timed__:
            member = getattr(value, key)
            if member is not None and (whole := _whole(member)) is not member:
                if changes is None:
                    changes = {}
                changes[key] = whole
        return value if changes is None else msgspec.structs.replace(value, **changes)
    if isinstance(value, dt.datetime):
        return _whole_time(value)
    if isinstance(value, tuple):
        items = tuple(map(_whole, value))
        return value if all(map(operator.is_, items, value)) else items
    return value


def _whole_time(time: dt.datetime) -> dt.datetime:
    """Return a time in whole UTC seconds. Without a zone it stays as it is, for the check to refuse it."""
    if time.tzinfo is not dt.UTC:
        if time.utcoffset() is None:
            return time
        # The first and the last hours of the calendar cannot be converted to UTC: they keep their zone.
        with contextlib.suppress(OverflowError):
            time = time.astimezone(dt.UTC)
    # `replace` takes three times as long.
    return time - dt.timedelta(0, 0, time.microsecond) if time.microsecond else time
