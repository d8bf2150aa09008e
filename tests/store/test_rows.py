"""Representation of single values in a database's columns."""

import datetime as dt

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chargehand.store.rows import reading_key, text, time

OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))


@given(st.datetimes(timezones=st.one_of(OFFSETS, st.just(dt.UTC), st.none())))
@example(dt.datetime(1, 1, 1, tzinfo=dt.UTC))
@example(dt.datetime(2026, 1, 1, 12, 0, 0, 120_000, tzinfo=dt.UTC))
def test_a_time_is_written_as_isoformat_does_and_read_again(at):
    assert text(at) == at.isoformat()
    assert time(text(at)) == at


def test_no_time_is_none():
    assert text(None) is None
    assert time(None) is None


@pytest.mark.parametrize(
    ("values", "start"),
    [
        (b'[{"timestamp":"2026-01-01T10:20:30Z","sampledValue":[]}]', "2026-01-01T10:20:30"),
        (b'[ { "sampledValue" : [], "timestamp" : "2026-01-01T10:20:30.5+01:00" } ]', "2026-01-01T10:20:30"),
        (b'[{"timestamp":"yesterday"}]', ""),
        (b"[]", ""),
    ],
)
def test_the_key_of_meter_values_begins_with_the_first_time_in_them(values, start):
    key = reading_key(values)
    assert key.startswith(start)
    assert len(key) == len(start) + 32


@given(st.binary(), st.binary())
def test_different_meter_values_have_different_keys(one, other):
    assert (reading_key(one) == reading_key(other)) is (one == other)
