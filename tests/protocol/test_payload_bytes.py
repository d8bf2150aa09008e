"""Invalid payloads: no bytes raise anything but a refusal."""

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargehand.protocol import rules, v16, violations
from chargehand.protocol.errors import Refused
from chargehand.protocol.message import Message
from chargehand.protocol.payload import encode, lenient, strict

from .payloads import START, dump, meter


def test_of_very_many_violations_only_so_many_are_told():
    unknown = dump({"idTag": "T1"} | dict.fromkeys(map(str, range(30_000)), 1))
    samples = dump(meter(*[{"value": ""}] * 30_000))
    for kind, payload in ((v16.Authorize, unknown), (v16.MeterValues, samples)):
        for read in (strict, lenient):
            with pytest.raises(Refused) as caught:
                read(kind, payload)
            assert len(caught.value.violations) == violations.MOST


def test_only_so_many_bad_items_are_looked_at(monkeypatch: pytest.MonkeyPatch):
    looks = 0

    def look(self: rules.Part, value: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal looks
        looks += 1
        return super(rules.Part, self).deserialize(value, *args, **kwargs)

    monkeypatch.setattr(rules.Part, "deserialize", look)
    with pytest.raises(Refused):
        strict(v16.MeterValues, dump(meter(*[{"value": ""}] * 30_000)))
    assert looks == violations.MOST + 1  # and the meter value that holds them


@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_nesting_up_to_the_limit_of_the_decoder_raises_nothing_but_a_refusal(brackets: str):
    opening, closing = {"[]": (b"[", b"]"), "{}": (b'{"x":', b"}")}[brackets]
    for depth in range(850, 1010):
        read_by_both(v16.Authorize, b'{"idTag":"T1","x":' + opening * depth + b"1" + closing * depth + b"}")


NASTY = [
    b"[" * 100_000,
    b'{"idTag":' + b"[" * 100_000,
    b'{"x":' + b"[" * 400 + b"]" * 400 + b"}",
    b'{"x":' * 900 + b"1" + b"}" * 900,
    b'{"connectorId":1e400}',
    b'{"connectorId":1e99999999999999999999}',
    b'{"connectorId":' + b"9" * 4300 + b"}",
    b'{"connectorId":' + b"9" * 5000 + b"}",
    b'{"connectorId":"' + b"9" * 5000 + b'"}',
    b'{"x":1e99999999999999999999}',
    b'{"idTag":' + b"9" * 5000 + b"}",
    b'{"idTag":' + b"9" * 4000 + b"}",
    b'{"idTag":1e-999999}',
    b'{"idTag":NaN}',
    b'{"idTag":Infinity}',
    b'{"idTag":"\\ud800"}',
    b'{"\\udfff":1}',
    b'{"idTag":"\\u0000"}',
    b'{"idTag":"\x00"}',
    b'{"idTag":"\xff"}',
    b'{"idTag":"\xed\xa0\x80"}',
    b'{"\xff":1}',
    b'{"x":"\xff"}',
    b'\xef\xbb\xbf{"idTag":"T1"}',
    b'{"idTag":"T1"}\x00',
    b'{"idTag":"T1","idTag":[]}',
    b'{"transactionId":,}',
    b"nul",
    b"-",
    b'"',
    b"\\",
]
KINDS = [
    v16.Authorize,
    v16.MeterValues,
    v16.StartTransaction,
    v16.GetCompositeScheduleResponse,
    v16.Heartbeat,
]


def read_by_both(kind: type[Message], payload: bytes) -> None:
    """Read a payload; the result must survive being written and, where it was clean, being read again."""
    with contextlib.suppress(Refused):
        clean = strict(kind, payload)
        assert strict(kind, encode(clean)) == clean
    with contextlib.suppress(Refused):
        message, deviations = lenient(kind, payload)
        assert deviations or message == strict(kind, payload)
        msgspec.json.decode(encode(message))


@pytest.mark.parametrize("payload", NASTY, ids=range(len(NASTY)))
@pytest.mark.parametrize("kind", KINDS)
def test_nasty_bytes_raise_nothing_but_a_refusal(kind: type[Message], payload: bytes):
    read_by_both(kind, payload)


@settings(max_examples=1000, deadline=None, derandomize=True, database=None)
@given(kind=st.sampled_from(KINDS), payload=st.binary(max_size=60))
def test_no_bytes_raise_anything_but_a_refusal(kind: type[Message], payload: bytes):
    read_by_both(kind, payload)


SEEDS = [
    dump(meter()),
    dump(START),
    b'{"idTag":"T1"}',
    b'{"status":"Accepted","scheduleStart":"2026-01-01T00:00:00Z"}',
]
BITS = st.one_of(
    st.binary(max_size=4),
    st.sampled_from([b"null", b"1e999", b"{}", b"[]", b'""', b"-1", b"\\ud800", b'"_schema":1,']),
)


@settings(max_examples=2000, deadline=None, derandomize=True, database=None)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 6), BITS), max_size=3),
)  # fmt: skip
def test_no_mutation_raises_anything_but_a_refusal(kind: type[Message], seed: bytes, changes: list[Any]):
    payload = seed
    for at, gone, bits in changes:
        payload = payload[:at] + bits + payload[at + gone :]
    read_by_both(kind, payload)
