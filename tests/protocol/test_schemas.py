"""Every message of every version against the official JSON schemas.

The schemas come with the PyPI package `ocpp`.  Where we differ from them, a table below says so and why.
"""

import datetime as dt
import json
import numbers
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema
import marshmallow
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargehand.protocol import rules, v16, v201
from chargehand.protocol.actions import Version
from chargehand.protocol.errors import Refused
from chargehand.protocol.message import Message
from chargehand.protocol.payload import UNREADABLE, encode, lenient, strict


def kinds_of(version: Version, suffix: str) -> dict[str, type[Message]]:
    """Messages by the name of their schema: `suffix` is that of requests."""
    rows = version.actions.values()
    return {row.name + suffix: row.request for row in rows} | {
        row.response.__name__: row.response for row in rows
    }


# Messages by version and name of the schema. The schemas are in a package of the same name.
KINDS = {"v16": kinds_of(v16.VERSION, ""), "v201": kinds_of(v201.VERSION, "Request")}
EVERY = [(version, name) for version, kinds in KINDS.items() for name in kinds]


def examples(number: int) -> settings:
    return settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


EXAMPLES = {"v16": examples(30), "v201": examples(20)}
RECEIVED_AT = dt.datetime(2026, 5, 4, tzinfo=dt.UTC)
UNTYPED = msgspec.json.Decoder(float_hook=Decimal)
ENCODER = msgspec.json.Encoder(decimal_format="number")

# What the schemas accept and strict refuses, by the text of the violation.
WE_REFUSE = {
    "is too small": "the specification gives the least value of these numbers, the schemas do not",
    "is empty": "a sample without a value is no sample",
    "is not an ISO 8601 date and time": "RFC 3339 has a year 0000, which no datetime can hold",
    "has a second 60 that is no leap second": "a leap second is the last one of a day",
}
# What the schemas refuse and strict accepts, by the keyword of the schema and a form of the value.
WE_ACCEPT = {
    ("format", r"\d{4}[-W\d]+[Tt ]\d\d[:\d]*([.,]\d+)?([Zz]|[+-]\d\d(:?\d\d)?)"): (
        "times that ISO 8601 has and RFC 3339 has not"
    ),
    ("type", "None"): "OCPP-J: a payload of null is one without members",
    ("enum", "Hertz"): "the schema of StopTransaction lacks a unit that the one of MeterValues has",
}
# How the declarations differ from the schemas in structure, by version: (path, what we have, what they have).
STRUCTURE: dict[str, set[str]] = {
    "v16": {
        "MeterValues/connectorId/minimum: 0 for None",
        "ChangeAvailability/connectorId/minimum: 0 for None",
        "ReserveNow/connectorId/minimum: 0 for None",
        "StatusNotification/connectorId/minimum: 0 for None",
        "ExtendedTriggerMessage/connectorId/minimum: 1 for None",
        "RemoteStartTransaction/connectorId/minimum: 1 for None",
        "StartTransaction/connectorId/minimum: 1 for None",
        "TriggerMessage/connectorId/minimum: 1 for None",
        "UnlockConnector/connectorId/minimum: 1 for None",
        "RemoteStartTransaction/chargingProfile/stackLevel/minimum: 0 for None",
        "SetChargingProfile/csChargingProfiles/stackLevel/minimum: 0 for None",
        "MeterValues/meterValue/[]/sampledValue/[]/value/minLength: 1 for None",
        "StopTransaction/transactionData/[]/sampledValue/[]/value/minLength: 1 for None",
        "StopTransaction/transactionData/[]/sampledValue/[]/unit/enum: ['Hertz'] more",
    },
    "v201": set(),
}


# -- The official schemas ----------------------------------------------------------------


@cache
def official(version: str, name: str) -> Any:
    text = (files(f"ocpp.{version}") / "schemas" / f"{name}.json").read_text("utf-8-sig")
    schema = json.loads(text, parse_float=Decimal)
    schema["$schema"] = "http://json-schema.org/draft-04/schema#"  # others say 06, where 1.0 is an integer
    return resolved(schema, schema.pop("definitions", {}))


def resolved(schema: Any, definitions: Any) -> Any:
    if isinstance(schema, list):
        return [resolved(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return resolved(definitions[schema["$ref"].rsplit("/")[-1]], definitions)
    return {key: resolved(value, definitions) for key, value in schema.items()}


FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time")
def is_rfc_3339(value: object) -> bool:
    form = r"(?ai)\d{4}-(\d\d)-(\d\d)T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
    match = re.fullmatch(form, value) if isinstance(value, str) else None
    if match is None:
        return not isinstance(value, str)
    try:
        dt.date(2000, int(match[1]), int(match[2]))
    except ValueError:
        return False
    return True


@FORMATS.checks("uri")
def is_uri(value: object) -> bool:
    return (
        not isinstance(value, str)
        or re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[!#-;=?-\[\]_a-z~]*", value) is not None
    )


@cache
def judge(version: str, name: str) -> jsonschema.Draft4Validator:
    return jsonschema.Draft4Validator(official(version, name), format_checker=FORMATS)


# -- Payloads made from the schemas ------------------------------------------------------

TIMES = st.builds(
    "{}{}{}".format,
    st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30)).map(lambda time: time.isoformat()[:19]),  # noqa: DTZ001
    st.sampled_from(["", ".5", ".123456", ".123456789"]),
    st.sampled_from(["Z", "z", "+00:00", "-00:00", "+01:00", "-23:59"]),
)
URIS = st.sampled_from(["ftp://user:pw@host:21/a%20b", "https://h/?a=b&c#d", "file:///x", "urn:a:b", "x:"])


SCALARS = st.none() | st.booleans() | st.text(max_size=5) | st.decimals(-1000, 1000, places=3)
ANY_JSON = st.recursive(
    SCALARS | st.integers(-(10**20), 10**20),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def objects(schema: Any) -> st.SearchStrategy[Any]:
    members = {key: payloads(value) for key, value in schema.get("properties", {}).items()}
    needed = {key: members.pop(key) for key in schema.get("required", ())}
    known = st.fixed_dictionaries(needed, optional=members)
    if schema.get("additionalProperties") is False or "custom" not in schema.get("javaType", "").lower():
        return known
    more = st.dictionaries(st.text(max_size=3), ANY_JSON, max_size=2)
    return st.builds(lambda others, own: {**others, **own}, more, known)


def integers(schema: Any) -> st.SearchStrategy[Any]:
    least, most = schema.get("minimum", -(10**25)), schema.get("maximum", 10**25)
    return st.integers(int(least), int(most)) | st.integers(0, 3)


def numbers_of(schema: Any) -> st.SearchStrategy[Any]:
    if "multipleOf" not in schema:
        return st.decimals(-(10**12), 10**12, places=6) | st.integers(-(10**20), 10**20)
    assert schema["multipleOf"] == Decimal("0.1")
    return st.integers(-(10**20), 10**20).map(lambda n: Decimal(n) / 10) | st.integers(0, 100)


def payloads(schema: Any) -> st.SearchStrategy[Any]:
    """Payloads that a schema accepts, with Decimals for numbers; only what these schemas use is known."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type", "any"):
        case "any":
            return ANY_JSON
        case "object":
            return objects(schema)
        case "array":
            longest = min(3, schema.get("maxItems", 3))
            return st.lists(payloads(schema["items"]), min_size=schema.get("minItems", 0), max_size=longest)
        case "string" if "format" in schema:
            return {"date-time": TIMES, "uri": URIS}[schema["format"]]
        case "string":
            longest = schema.get("maxLength", 60)
            return st.text(max_size=min(longest, 60)) | st.sampled_from("aé\U0001f600").map(
                lambda c: c * longest
            )
        case "integer":
            return integers(schema)
        case "number":
            return numbers_of(schema)
        case "boolean":
            return st.booleans()
    raise AssertionError(schema)


@cache
def accepted(version: str, name: str) -> st.SearchStrategy[Any]:
    """Payloads that the schema of a message accepts: built once, for each example draws from it."""
    return payloads(official(version, name))


NASTY = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from([Decimal("1.0"), Decimal("0.15"), Decimal("1e400")]),
    st.text(max_size=2), st.text(max_size=2).map(lambda text: text * 300),
    st.sampled_from([[], {}, ["a"], {"a": 1}, {"_schema": 1}, [None], [{}]]),
    st.sampled_from([
        "2026-11-22T05:42:00", "2026-11-22 05:42:00z", "2026-11-22T05:42:00,5Z", "20261122T054200Z",
        "2026-11-22T05:42Z", "2026-W47-7T00:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22", "1.0",
        "2026-11-22T05:42:00+0100", "2026-11-22T05:42:60Z", "0000-11-22T05:42:00Z", "٢٠٢٦-11-22T05:42:00Z",
        "Accepted", "accepted", "Hertz", "host/path", "http://a b", "",
    ]),
)  # fmt: skip


@st.composite
def spoilt(draw: st.DrawFn, version: str, name: str) -> Any:
    """A payload that the schema accepts, with one value anywhere in it replaced, removed or added."""
    value = here = draw(accepted(version, name))
    while True:
        steps: list[Any] = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not steps or (isinstance(here, dict) and draw(st.integers(0, 9)) == 0):
            here.update(extra=draw(NASTY)) if isinstance(here, dict) else here.append(draw(NASTY))
            return value
        step = draw(st.sampled_from(steps))
        if not (isinstance(here[step], dict | list) and draw(st.integers(0, 3))):
            if isinstance(here, dict) and draw(st.integers(0, 4)) == 0:
                del here[step]
            else:
                here[step] = draw(NASTY)
            return value
        here = here[step]


# -- The comparisons ---------------------------------------------------------------------


def attempt(work: Callable[[], Any], *errors: type[Exception]) -> tuple[Any, Any]:
    """Return the result and the error, one of them None."""
    try:
        return work(), None
    except errors as error:
        return None, error


def compare(version: str, name: str, payload: bytes) -> None:
    """Compare the verdict on a payload with the schema's, and the fast path with marshmallow alone."""
    kind = KINDS[version][name]
    theirs = list(judge(version, name).iter_errors(UNTYPED.decode(payload)))
    ours, refused = attempt(lambda: strict(kind, payload), Refused)
    if refused is not None:
        assert theirs or all(found.text in WE_REFUSE for found in refused.violations), refused.violations
    else:
        for error in theirs:
            assert any(
                error.validator == keyword and re.fullmatch(form, str(error.instance))
                for keyword, form in WE_ACCEPT
            ), error
        assert strict(kind, encode(ours)) == whole(ours)
        assert lenient(kind, payload) == (ours, ())
    mended, _ = attempt(lambda: lenient(kind, payload, received_at=RECEIVED_AT), Refused)
    assert mended is not None or refused is not None
    if mended is not None:
        assert bool(mended[1]) == (refused is not None)
        assert encode(mended[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(rules.Part, "deserialize")  # parts ask their compiled twin first
        contract, _ = attempt(
            lambda: kind.__contract__.load(UNTYPED.decode(payload)), marshmallow.ValidationError
        )
    assert contract == ours
    fast, _ = attempt(lambda: kind.__decoder__.decode(payload), *UNREADABLE)
    assert fast is None or fast == contract


def whole(value: Any) -> Any:
    """Return the value as a written message has it, with whole seconds."""
    if isinstance(value, dt.datetime):
        return value.replace(microsecond=0)
    if isinstance(value, tuple):
        return tuple(map(whole, value))
    if isinstance(value, Message):
        return msgspec.structs.replace(
            value, **{key: whole(getattr(value, key)) for key in value.__struct_fields__}
        )
    return value


@pytest.mark.parametrize(("version", "name"), EVERY)
def test_what_the_schema_accepts_strict_accepts(version: str, name: str):
    @EXAMPLES[version]
    @given(accepted(version, name))
    def check(value: Any) -> None:
        assert judge(version, name).is_valid(value)
        compare(version, name, ENCODER.encode(value))

    check()


@pytest.mark.parametrize(("version", "name"), EVERY)
def test_what_the_schema_refuses_strict_refuses(version: str, name: str):
    @EXAMPLES[version]
    @given(spoilt(version, name))
    def check(value: Any) -> None:
        compare(version, name, ENCODER.encode(value))

    check()


METER_VALUE = b'{"timestamp":"2026-01-01T00:00:00Z","sampledValue":[{"value":%s}]}'
STOP = b'{"meterStop":1,"timestamp":"2026-01-01T00:00:00Z","transactionId":1'


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("MeterValues", b'{"connectorId":-1,"meterValue":[' + METER_VALUE % b'"1"' + b"]}"),
        ("MeterValues", b'{"connectorId":1,"meterValue":[' + METER_VALUE % b'""' + b"]}"),
        ("HeartbeatResponse", b'{"currentTime":"2026-12-31T12:59:60Z"}'),
        ("HeartbeatResponse", b'{"currentTime":"0000-01-01T00:00:00Z"}'),
    ],
)  # fmt: skip
def test_what_the_schemas_accept_and_we_refuse(name: str, payload: bytes):
    assert judge("v16", name).is_valid(UNTYPED.decode(payload))
    with pytest.raises(Refused) as caught:
        strict(KINDS["v16"][name], payload)
    assert caught.value.text in WE_REFUSE


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("HeartbeatResponse", b'{"currentTime":"2026-01-01 00:00Z"}'),
        ("HeartbeatResponse", b'{"currentTime":"2026-01-01T00:00:00,5+0100"}'),
        ("HeartbeatResponse", b'{"currentTime":"20260101T000000Z"}'),
        ("Heartbeat", b"null"),
        ("StopTransaction", STOP + b',"transactionData":[' + METER_VALUE % b'"50","unit":"Hertz"' + b"]}"),
    ],
)  # fmt: skip
def test_what_the_schemas_refuse_and_we_accept(name: str, payload: bytes):
    assert not judge("v16", name).is_valid(UNTYPED.decode(payload))
    strict(KINDS["v16"][name], payload)


# -- The structure -----------------------------------------------------------------------


def shape(schema: Any, definitions: Any) -> Any:
    """Return only the constraints, references resolved, to compare two schemas."""
    if "anyOf" in schema:  # with null, for an optional member of ours
        schema, _ = schema["anyOf"]
    if "$ref" in schema:
        return shape(definitions[schema["$ref"].rsplit("/")[-1]], definitions)
    keywords = (
        "format", "maxLength", "minLength", "minimum", "maximum", "minItems", "maxItems", "multipleOf",
    )  # fmt: skip
    kept = {key: schema[key] for key in keywords if key in schema}
    kept["type"] = schema.get("type", "string" if "enum" in schema else "any")
    if "pattern" in schema:
        kept["format"] = "uri"
    if "enum" in schema:
        kept["enum"] = sorted(schema["enum"])
    if "items" in schema:
        kept["[]"] = shape(schema["items"], definitions)
    if kept["type"] == "object":
        kept["required"] = sorted(schema.get("required", []))
        kept["closed"] = schema.get("additionalProperties") is False
        kept |= {f"{key}": shape(value, definitions) for key, value in schema.get("properties", {}).items()}
        kept["order"] = list(schema.get("properties", {}))
    return kept


def differences(ours: Any, theirs: Any, path: str) -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            yield from differences(ours.get(key), theirs.get(key), f"{path}/{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and set(theirs) < set(ours):
        yield f"{path}: {sorted(set(ours) - set(theirs))} more"
    elif ours != theirs:
        yield f"{path}: {ours} for {theirs}"


TWINS: dict[Any, dict[str, Any]] = {
    numbers.Number: {"type": "number", "multipleOf": Decimal("0.1")},
    rules.AnyNumber: {"type": "number"},
    rules.OpenObject: {
        "type": "object",
        "properties": {"vendorId": {"type": "string", "maxLength": 255}},
        "required": ["vendorId"],
    },
}


@pytest.mark.parametrize("version", KINDS)
def test_every_member_is_declared_as_the_schema_has_it(version: str):
    found: set[str] = set()
    for name, kind in KINDS[version].items():
        schema = msgspec.json.schema(kind, schema_hook=TWINS.__getitem__)
        found.update(differences(shape(schema, schema["$defs"]), shape(official(version, name), {}), name))
    assert found == STRUCTURE[version]


@pytest.mark.parametrize("version", KINDS)
def test_there_is_a_message_for_every_schema(version: str):
    paths = (files(f"ocpp.{version}") / "schemas").iterdir()
    assert {path.name.removesuffix(".json") for path in paths} == set(KINDS[version])
