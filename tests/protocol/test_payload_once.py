"""Payloads encoded once: the same bytes, and the same refusals, as with two encodings."""

import datetime as dt
from decimal import Decimal
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chargehand.protocol import payload as payloads
from chargehand.protocol import rules, v16
from chargehand.protocol.errors import InvalidPayload
from chargehand.protocol.message import Declaration, Message
from chargehand.protocol.payload import build, encode, typed

NOON = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)
KINDS: list[Any] = sorted(
    (kind for kind in vars(v16).values() if isinstance(kind, Declaration) and kind.__struct_fields__),
    key=lambda kind: kind.__name__,
)
ZONES = [
    dt.UTC,
    dt.timezone(dt.timedelta(hours=-7.5)),
    ZoneInfo("Europe/Berlin"),
    dt.timezone(dt.timedelta(0)),
]


class TextSubclass(str):
    """Text of a subclass of str."""

    __slots__ = ()


class Colour(StrEnum):
    """Enumeration of another library."""

    RED = "Accepted"


TIMES = st.builds(
    lambda moment, zone, whole: moment.replace(tzinfo=zone, microsecond=0 if whole else moment.microsecond),
    st.datetimes(),
    st.sampled_from([*ZONES, None]),
    st.booleans(),
).filter(lambda time: not (time.utcoffset() or dt.timedelta()) % dt.timedelta(minutes=1))
"""Times in zones of whole minutes: two encodings change others by some seconds."""

ODD: list[Any] = [
    *(
        None,
        True,
        0,
        -1,
        1.0,
        -0.0,
        0.5,
        1e16,
        10**30,
        float("nan"),
        Decimal("1E+1"),
        Decimal("5.0"),
        Decimal("NaN"),
    ),
    *(
        "",
        "x",
        "é\u2028\x00",
        "\ud800",
        "x" * 600,
        b"ab",
        TextSubclass("Accepted"),
        Colour.RED,
        NOON,
        NOON.date(),
        object(),
    ),
    *([], (), {}, (NOON.replace(microsecond=5),), {"status": "Accepted"}, msgspec.Raw(b' "x"')),
    *("2026-11-22T12:00:00.5Z", "2026-11-22 12:00:00Z", "2026-11-22T12:00:00+00:00", v16.Heartbeat()),
]


def values(rule: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for the values of a rule, almost all valid, some of another type than the declared one."""
    if isinstance(rule, rules.Items):
        many = st.lists(values(rule.inner), min_size=rule.at_least, max_size=rule.at_least + 2)
        return many.map(tuple) | many
    if isinstance(rule, rules.Part):
        return st.deferred(lambda: messages(rule.kind))
    if isinstance(rule, rules.Timestamp):
        return TIMES
    if isinstance(rule, rules.Choice):
        return st.sampled_from(list(rule.enum)) | st.sampled_from(list(map(str, rule.enum)))
    if isinstance(rule, rules.Uri):
        return st.just("ftp://host/a")
    if isinstance(rule, rules.Text):
        return st.text(min_size=rule.at_least, max_size=min(rule.size or 10, 10))
    if isinstance(rule, rules.Boolean):
        return st.booleans()
    if isinstance(rule, rules.Tenths):
        return (
            st.integers()
            | st.decimals(-(10**6), 10**6, places=1)
            | st.sampled_from([0.5, 1e16, Decimal("-0")])
        )
    return st.integers(rule.at_least)


@st.composite
def messages(draw: st.DrawFn, kind: Any) -> Any:
    members = {}
    for name, rule in zip(kind.__struct_fields__, kind.__members__.values(), strict=True):
        luck = draw(st.integers(0, 99))
        if rule.required or luck < 60:
            members[name] = draw(st.sampled_from(ODD) if luck == 1 else values(rule))
    if draw(st.integers(0, 9)):
        return kind(**members)
    wire_names = dict(zip(kind.__struct_fields__, kind.__members__, strict=True))
    return {wire_names[name]: members[name] for name in reversed(members)}


def outcome(write: Any, kind: type[Message], value: Any) -> Any:
    try:
        return write(kind, value)
    except InvalidPayload as invalid:
        return [str(violation) for violation in invalid.violations]


def by_two_encodings(kind: type[Message], value: Any) -> bytes:
    return encode(typed(kind, value))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_one_encoding_writes_and_refuses_what_two_do(kind: Any):
    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(messages(kind))
    def holds(value: Any) -> None:
        assert outcome(build, kind, value) == outcome(by_two_encodings, kind, value)

    holds()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_odd_value_in_any_member_makes_no_difference(kind: Any):
    for name in kind.__struct_fields__:
        for odd in ODD:
            value = kind(**dict.fromkeys(kind.__struct_fields__) | {name: odd})
            assert outcome(build, kind, value) == outcome(by_two_encodings, kind, value)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(time=TIMES)
@example(dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))))
@example(dt.datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.timezone(dt.timedelta(hours=-1))))
def test_times_are_the_same_by_one_encoding_as_by_two(time: dt.datetime):
    kind = v16.HeartbeatResponse
    value = kind(current_time=time)
    assert outcome(build, kind, value) == outcome(by_two_encodings, kind, value)


def test_a_zone_of_odd_seconds_does_not_change_the_time():
    time = dt.datetime(1890, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    value = v16.HeartbeatResponse(current_time=time)
    assert build(v16.HeartbeatResponse, value) == b'{"currentTime":"1889-12-31T23:06:32Z"}'


def test_what_is_as_declared_is_encoded_once(monkeypatch: pytest.MonkeyPatch):
    info = v16.IdTagInfo(status=v16.AuthorizationStatus.ACCEPTED, expiry_date=NOON.replace(microsecond=5))
    response = v16.AuthorizeResponse(id_tag_info=info)
    expected = by_two_encodings(v16.AuthorizeResponse, response)
    monkeypatch.delattr(payloads, "typed")
    assert build(v16.AuthorizeResponse, response) == expected


def test_messages_with_fractions_are_not_exact():
    assert not v16.ChargingSchedulePeriod.__exact__
    assert not v16.SetChargingProfile.__exact__
    assert v16.MeterValues.__exact__
