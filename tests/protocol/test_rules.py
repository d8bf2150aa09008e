"""Rules: the values that each accepts and refuses, and the agreement of its compiled twin."""

import datetime as dt
import itertools
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import marshmallow
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargehand.protocol import rules
from chargehand.protocol.errors import Refused
from chargehand.protocol.message import AtLeast, AtMost, Message
from chargehand.protocol.payload import UNREADABLE, lenient, strict

UNTYPED = msgspec.json.Decoder(float_hook=Decimal)


class Colour(StrEnum):
    RED = "Red"


class Texts(Message):
    any: str | None = None
    five: Annotated[str, rules.Text(5)] | None = None
    some: Annotated[str, rules.Text(at_least=1)] | None = None
    uri: Annotated[str, rules.Uri()] | None = None
    colour: Colour | None = None


class Numbers(Message):
    any: int | None = None
    natural: Annotated[int, rules.Integer(at_least=1)] | None = None
    tenths: Annotated[Decimal, rules.Tenths()] | None = None


class Others(Message):
    flag: bool | None = None
    when: dt.datetime | None = None
    words: tuple[str, ...] | None = None
    part: Texts | None = None
    parts: tuple[Texts, ...] | None = None


UTC = dt.UTC
NOON = dt.datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def verdict(kind: type[Message], member: str, value: str) -> Any:
    """Return the strict policy's value of a member given as JSON text, or the refusal."""
    payload = f'{{"{member}":{value}}}'.encode()
    try:
        return getattr(strict(kind, payload), member)
    except Refused as refused:
        return f"{refused.code}: {refused}"


@pytest.fixture
def marshmallow_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn off the compiled twin that message parts use first, so that the contract stands alone."""
    monkeypatch.delattr(rules.Part, "deserialize")


def both(kind: type[Message], payload: bytes) -> tuple[Any, Any]:
    """Return the results of the compiled decoder and of the contract for a payload; None: refused."""
    try:
        fast = kind.__decoder__.decode(payload)
    except UNREADABLE:
        fast = None
    try:
        return fast, kind.__contract__.load(UNTYPED.decode(payload))
    except marshmallow.ValidationError:
        return fast, None


@pytest.mark.parametrize(
    ("member", "value", "expected"),
    [
        ("any", '""', ""),
        ("any", '"\\u0000\\ud83d\\ude00"', "\0\U0001f600"),
        ("five", '"12345"', "12345"),
        ("five", '"éééé\\ud83d\\ude00"', "éééé\U0001f600"),  # characters, not bytes
        ("five", '"123456"', "PropertyConstraintViolation: five is longer than 5 characters"),
        ("any", "1", "TypeConstraintViolation: any is not a string"),
        ("any", "1.5", "TypeConstraintViolation: any is not a string"),
        ("any", "true", "TypeConstraintViolation: any is not a string"),
        ("any", "[]", "TypeConstraintViolation: any is not a string"),
        ("any", "null", "TypeConstraintViolation: any is null"),
        ("some", '"1"', "1"),
        ("some", '""', "PropertyConstraintViolation: some is empty"),
        ("uri", '"ftp://user:pw@host:21/a%20b?c#d"', "ftp://user:pw@host:21/a%20b?c#d"),
        ("uri", '"https://[::1]/"', "https://[::1]/"),
        ("uri", '"host/path"', "PropertyConstraintViolation: uri is not a URI"),
        ("uri", '"http://a b"', "PropertyConstraintViolation: uri is not a URI"),
        ("uri", '"http://a\\n"', "PropertyConstraintViolation: uri is not a URI"),
        ("uri", '"http://\\u00e9"', "PropertyConstraintViolation: uri is not a URI"),
        ("uri", "1", "TypeConstraintViolation: uri is not a string"),
        ("colour", '"Red"', Colour.RED),
        ("colour", '"red"', "PropertyConstraintViolation: colour is not a known Colour"),
        ("colour", "1", "TypeConstraintViolation: colour is not a string"),
    ],
)
def test_texts(member: str, value: str, expected: object):
    assert verdict(Texts, member, value) == expected


@pytest.mark.parametrize(
    ("member", "value", "expected"),
    [
        ("any", "-0", 0),
        ("any", str(2**31), 2**31),
        ("any", str(-(2**64)), -(2**64)),
        ("any", "9" * 4000, int("9" * 4000)),
        ("any", "1.0", "TypeConstraintViolation: any is not an integer"),
        ("any", "1e2", "TypeConstraintViolation: any is not an integer"),
        ("any", "true", "TypeConstraintViolation: any is not an integer"),
        ("any", '"1"', "TypeConstraintViolation: any is not an integer"),
        ("natural", "1", 1),
        ("natural", "0", "PropertyConstraintViolation: natural is too small"),
        ("tenths", "16", Decimal(16)),
        ("tenths", "16.1", Decimal("16.1")),
        ("tenths", "16.10", Decimal("16.10")),
        ("tenths", "0.3", Decimal("0.3")),
        ("tenths", "1e2", Decimal(100)),
        ("tenths", "1e400", Decimal("1e400")),
        ("tenths", "0.30000000000000004", "PropertyConstraintViolation: tenths has more than one fraction digit"),
        ("tenths", "0.15", "PropertyConstraintViolation: tenths has more than one fraction digit"),
        ("tenths", "1e-2", "PropertyConstraintViolation: tenths has more than one fraction digit"),
        ("tenths", '"16.1"', "TypeConstraintViolation: tenths is not a number"),
        ("tenths", "true", "TypeConstraintViolation: tenths is not a number"),
        ("tenths", "[]", "TypeConstraintViolation: tenths is not a number"),
    ],
)  # fmt: skip
def test_numbers(member: str, value: str, expected: object):
    assert verdict(Numbers, member, value) == expected


@pytest.mark.parametrize("value", ["1" * 5000, "1e99999999999999999999", "NaN", "Infinity", "01", "1."])
def test_a_number_that_nothing_can_hold_is_no_readable_json(value: str):
    assert verdict(Numbers, "tenths", value) == "FormationViolation: payload is not readable JSON"


@pytest.mark.parametrize(
    ("member", "value", "expected"),
    [
        ("flag", "true", True),
        ("flag", "false", False),
        ("flag", "1", "TypeConstraintViolation: flag is not a boolean"),
        ("flag", '"yes"', "TypeConstraintViolation: flag is not a boolean"),
        ("words", '["a","b"]', ("a", "b")),
        ("words", "{}", "TypeConstraintViolation: words is not a list"),
        ("words", '["a",null]', "TypeConstraintViolation: words[1] is null"),
        ("part", "{}", Texts()),
        ("part", "[]", "TypeConstraintViolation: part is not an object"),
        ("part", '{"five":"123456"}', "PropertyConstraintViolation: part.five is longer than 5 characters"),
        ("part", '{"more":1}', "FormationViolation: part.more is not a member of this object"),
        ("parts", '[{},{"any":"x"}]', (Texts(), Texts(any="x"))),
        ("parts", '[{},{"any":1}]', "TypeConstraintViolation: parts[1].any is not a string"),
        ("parts", "[[]]", "TypeConstraintViolation: parts[0] is not an object"),
    ],
)
def test_other_members(member: str, value: str, expected: object):
    assert verdict(Others, member, value) == expected


ZONE = dt.timezone(dt.timedelta(hours=1))
NOT_A_TIME = "PropertyConstraintViolation: when is not an ISO 8601 date and time"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T12:00:00Z", NOON),
        ("2026-11-22T12:00:00.000Z", NOON),
        ("2026-11-22t12:00:00z", NOON),
        ("2026-11-22 12:00:00Z", NOON),
        ("2026-11-22T12:00Z", NOON),
        ("2026-11-22T12:00:00,0Z", NOON),
        ("2026-11-22T13:00:00+01:00", NOON),
        ("2026-11-22T13:00:00+0100", NOON),
        ("2026-11-22T13:00:00+01", NOON),
        ("2026-11-22T12:00:00-00:00", NOON),
        ("2026-11-22T12:00:00.123456789Z", NOON.replace(microsecond=123457)),
        ("0001-01-01T00:00:00+01:00", dt.datetime(1, 1, 1, tzinfo=ZONE)),
        ("2026-11-22T12:00:00", "PropertyConstraintViolation: when has no time zone"),
        ("20261122T120000Z", NOON),
        ("2026-W47-7T12:00:00Z", NOON),
        ("2026-326T12Z", NOON),
        ("2026-11-21T24:00:00+12", dt.datetime(2026, 11, 22, tzinfo=dt.timezone(dt.timedelta(hours=12)))),
        ("2026-11-22T23:59:60Z", dt.datetime(2026, 11, 23, tzinfo=dt.UTC)),
        ("2026-11-22", NOT_A_TIME),
        ("2026-02-30T12:00:00Z", NOT_A_TIME),
        ("2026-11-22T11:59:61Z", NOT_A_TIME),
        ("2026-11-22T11:58:60Z", "PropertyConstraintViolation: when has a second 60 that is no leap second"),
        ("2026-11-22T24:00:01Z", NOT_A_TIME),
        ("9999-12-31T24:00:00Z", NOT_A_TIME),
        ("0000-01-01T00:00:00Z", NOT_A_TIME),
        ("9999-12-31T23:59:59.9999999Z", NOT_A_TIME),
        ("٢٠٢٦-11-22T12:00:00Z", NOT_A_TIME),
        ("2026-11-22T12:00:00Z\n", "PropertyConstraintViolation: when has blanks around it"),
        ("0", NOT_A_TIME),
        ("", NOT_A_TIME),
    ],
)
def test_times(text: str, expected: object):
    found = verdict(Others, "when", msgspec.json.encode(text).decode())
    assert found == expected


def test_a_time_is_no_number():
    assert verdict(Others, "when", "1700000000") == "TypeConstraintViolation: when is not a string"


def times() -> Iterator[str]:
    parts = itertools.product(
        ["2026-11-22", "0001-01-01", "9999-12-31", "2026-02-30", "2026-W47-7", "0000-01-01", "20261122"],
        ["T", "t", " ", "_", ""],
        ["05:42:00", "23:59:59", "23:59:60", "24:00:00", "05:42", "054200", "05"],
        ["", ".5", ",5", ".", ".9999999", ".123456789012"],
        ["Z", "z", "", "+00:00", "-00:00", "+0100", "+01", "+24:00", "-23:59", "+01:60", "+01:00:30"],
    )
    return map("".join, parts)


@pytest.mark.usefixtures("marshmallow_alone")
def test_the_fast_path_and_the_contract_read_the_same_times():
    fast_takes = contract_takes = 0
    for text in times():
        fast, contract = both(Others, msgspec.json.encode({"when": text}))
        assert fast is None or fast == contract, text
        fast_takes += fast is not None
        contract_takes += contract is not None
    assert 0 < fast_takes < contract_takes


DIGITS = st.integers(0, 10**20).map(str)
NUMBERS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    DIGITS,
    st.just("") | DIGITS.map(".{}".format),
    st.just("") | st.integers(-999, 999).map("e{}".format),
) | st.sampled_from(['"1.0"', "true", "null", "1E+2", "-0"])


@settings(max_examples=1000, deadline=None, derandomize=True, database=None)
@given(number=NUMBERS, member=st.sampled_from(["any", "natural", "tenths"]))
def test_the_fast_path_and_the_contract_read_the_same_numbers(number: str, member: str):
    fast, contract = both(Numbers, f'{{"{member}":{number}}}'.encode())
    assert fast == contract


@pytest.mark.parametrize(
    ("kind", "member", "value", "expected"),
    [
        # scalars for text
        (Texts, "any", "12", "12"),
        (Texts, "any", "12.50", "12.50"),
        (Texts, "any", "true", "true"),
        (Texts, "any", "1e400", "1E+400"),
        (Texts, "five", '"123456"', "123456"),
        (Texts, "five", "123456", "123456"),
        (Texts, "colour", '"Green"', "Green"),
        (Texts, "uri", '"no uri"', "no uri"),
        # text and fractions for numbers
        (Numbers, "any", '"12"', 12),
        (Numbers, "any", '"-12.7"', -12),
        (Numbers, "any", "12.0", 12),
        (Numbers, "any", "12.9", 12),
        (Numbers, "natural", "0", 0),
        (Numbers, "natural", '"0"', 0),
        (Numbers, "tenths", '"16.1"', Decimal("16.1")),
        (Numbers, "tenths", "0.15", Decimal("0.15")),
        (Numbers, "tenths", '"0.15"', Decimal("0.15")),
        # text for booleans and times
        (Others, "flag", '"True"', True),
        (Others, "flag", '"false"', False),
        (Others, "when", '"2026-11-22T12:00:00"', NOON),
        (Others, "when", '"2026-11-22 12:00"', NOON),
        # an optional member that makes no sense is left out
        (Texts, "any", "null", None),
        (Numbers, "any", "true", None),
        (Numbers, "any", '""', None),
        (Numbers, "any", "1e400", None),
        (Numbers, "any", '"1e9"', None),
        (Numbers, "any", '"9999999999999999999999"', None),
        (Numbers, "tenths", '"1e9"', None),
        (Numbers, "tenths", "true", None),
        (Others, "flag", "1", True),
        (Others, "flag", "0", False),
        (Others, "flag", '"1"', True),
        (Others, "flag", "2", None),
        (Others, "flag", '"yes"', None),
        (Others, "when", '"0"', None),
        (Others, "when", "0", None),
        (Others, "words", "null", None),
        (Others, "part", "null", None),
    ],
)
def test_what_lenient_mends(kind: type[Message], member: str, value: str, expected: object):
    message, deviations = lenient(kind, f'{{"{member}":{value}}}'.encode())
    found = getattr(message, member)
    assert found == expected
    assert type(found) is type(expected)
    assert {deviation.path for deviation in deviations} == {member}


@pytest.mark.parametrize(
    ("kind", "member", "value"),
    [
        (Texts, "any", "[]"),
        (Texts, "any", "{}"),
        (Texts, "some", '""'),
        (Texts, "colour", "[]"),
        (Numbers, "any", "[1]"),
        (Numbers, "tenths", "{}"),
        (Others, "flag", "[]"),
        (Others, "when", "{}"),
        (Others, "words", "{}"),
        (Others, "words", '"a"'),
        (Others, "words", "[null]"),
        (Others, "part", "[]"),
        (Others, "part", "1"),
    ],
)
def test_a_wrong_shape_is_refused_by_lenient_too(kind: type[Message], member: str, value: str):
    with pytest.raises(Refused):
        lenient(kind, f'{{"{member}":{value}}}'.encode())


# -- Rules that OCPP 2.x needs -----------------------------------------------------------


class Newer(Message):
    exact: Decimal | None = None
    percent: Annotated[int, rules.Integer(0, 100)] | None = None
    few: Annotated[tuple[int, ...], AtLeast(1), AtMost(2)] | None = None
    data: Any | None = None
    custom: Annotated[dict[str, Any], rules.CustomData()] | None = None


@pytest.mark.parametrize(
    ("member", "value", "read"),
    [
        ("exact", "1", Decimal(1)),
        ("exact", "-0.123456789012345678901234567890", Decimal("-0.123456789012345678901234567890")),
        ("exact", "1e3", Decimal(1000)),
        ("percent", "0", 0),
        ("percent", "100", 100),
        ("few", "[1,2]", (1, 2)),
        ("data", '"text"', "text"),
        ("data", '{"a":[1.50,null,true]}', {"a": [Decimal("1.5"), None, True]}),
        ("data", "null", None),
        ("data", "123456789012345678901234567890", 123456789012345678901234567890),
        ("custom", '{"vendorId":"V","more":{"a":1}}', {"vendorId": "V", "more": {"a": 1}}),
        ("custom", '{"vendorId":""}', {"vendorId": ""}),
    ],
)
def test_a_value_of_a_newer_rule_is_read_by_the_decoder_and_by_the_contract(member, value, read):
    fast, slow = both(Newer, f'{{"{member}":{value}}}'.encode())
    assert getattr(fast, member) == read
    assert fast == slow


@pytest.mark.parametrize(
    ("member", "value", "text"),
    [
        ("exact", '"1"', "TypeConstraintViolation: exact is not a number"),
        ("exact", "true", "TypeConstraintViolation: exact is not a number"),
        ("percent", "101", "PropertyConstraintViolation: percent is too large"),
        ("percent", "-1", "PropertyConstraintViolation: percent is too small"),
        ("few", "[]", "OccurrenceConstraintViolation: few has too few items"),
        ("few", "[1,2,3]", "OccurrenceConstraintViolation: few has too many items"),
        ("custom", "{}", "OccurrenceConstraintViolation: custom has no vendorId"),
        ("custom", '"V"', "TypeConstraintViolation: custom is not an object"),
        ("custom", '{"vendorId":1}', "PropertyConstraintViolation: custom has no usable vendorId"),
        ("custom", "null", "TypeConstraintViolation: custom is null"),
    ],
)  # fmt: skip
def test_a_newer_rule_refuses_and_says_why(member, value, text):
    assert verdict(Newer, member, value) == text
    assert both(Newer, f'{{"{member}":{value}}}'.encode()) == (None, None)


@pytest.mark.parametrize(
    ("member", "value", "kept"),
    [
        ("exact", '"1.25"', Decimal("1.25")),
        ("exact", '"much"', None),
        ("percent", "101", 101),
        ("few", "[1,2,3]", (1, 2, 3)),
        ("few", '[1,"2",3]', (1, 2, 3)),
        ("custom", '{"a":1}', {"a": 1}),
        ("custom", '"V"', "V"),
    ],
)
def test_the_lenient_policy_mends_what_breaks_a_newer_rule(member, value, kept):
    message, deviations = lenient(Newer, f'{{"{member}":{value}}}'.encode())
    assert getattr(message, member) == kept
    assert deviations
