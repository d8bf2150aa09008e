"""Events of a transaction taken together: holes before its end, and events that contradict each other."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand.protocol.v201.sequences import DIFFER, MISSING, findings_of, identity_of


def event(seq, kind="Updated", **more):
    members = {"eventType": kind, "seqNo": seq, "timestamp": f"t{seq}", "triggerReason": "Trigger", **more}
    return json.dumps(members).encode()


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0, 1, 2), ""),
        ((0, 2), "events with seqNo 1 did not come"),
        ((7, 8, 12, 14), "events with seqNo 9 to 11, 13 did not come"),
        ((5,), ""),
        ((0, 0, 0), ""),
    ],
)
def test_a_hole_is_below_the_end_and_above_the_lowest_number(numbers, text):
    kinds = ["Updated"] * (len(numbers) - 1) + ["Ended"]
    pairs = enumerate(zip(numbers, kinds, strict=True))
    events = [event(number, kind, timestamp=f"t{place}") for place, (number, kind) in pairs]
    found = {one.code: one.text for one in findings_of(events)}
    assert found.get(MISSING, "") == text


def test_without_an_end_nothing_is_missing():
    assert findings_of([event(0), event(5)]) == ()


def test_what_comes_after_the_end_is_no_hole():
    assert findings_of([event(0), event(1, "Ended"), event(5)]) == ()


def test_one_number_time_and_trigger_with_other_contents_is_a_contradiction():
    (found,) = findings_of([event(0), event(0, meterValue=[1]), event(1), event(2, "Ended")])
    assert found.code == DIFFER


@given(st.lists(st.binary(max_size=40)))
def test_any_bytes_have_findings(payloads):
    assert isinstance(findings_of(payloads), tuple)


def test_an_identity_has_all_but_offline():
    one = b'{"a":1,"offline":true,"b":[1, 2]}'
    assert identity_of(one) == identity_of(b'{"b":[1, 2],"a":1}') == identity_of(b'{"a":1,"b":[1, 2]}')
    assert identity_of(one) != identity_of(b'{"a":2,"b":[1, 2]}')
    assert identity_of(b"no JSON") == b"no JSON"
