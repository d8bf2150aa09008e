"""Times: every form of ISO 8601, forms close to it, and texts that are no time."""

import datetime as dt

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chargehand.protocol import times
from chargehand.protocol.times import read

AT = dt.datetime(2026, 3, 1, 4, 5, 6, tzinfo=dt.UTC)
ZONES = st.integers(-1439, 1439).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
MOMENTS = st.datetimes(timezones=ZONES)


def offset(moment, colon=":"):
    minutes = int(moment.utcoffset().total_seconds()) // 60
    hours, minutes = divmod(abs(minutes), 60)
    return f"{'-' if moment.utcoffset() < dt.timedelta() else '+'}{hours:02}{colon}{minutes:02}"


def date_of(moment, form, dash):
    if form == "week":
        year, week, day = moment.isocalendar()
        return f"{year:04}{dash}W{week:02}{dash}{day}"
    if form == "ordinal":
        return f"{moment.year:04}{dash}{moment.timetuple().tm_yday:03}"
    return f"{moment.year:04}{dash}{moment.month:02}{dash}{moment.day:02}"


@given(
    MOMENTS,
    st.sampled_from(["calendar", "week", "ordinal"]),
    st.sampled_from(["", ":"]),
    st.sampled_from("Tt "),
    st.sampled_from(".,"),
    st.integers(0, 40),
)
@example(dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=23))), "calendar", "", "T", ".", 0)
@example(
    dt.datetime(9999, 12, 31, 23, tzinfo=dt.timezone(-dt.timedelta(hours=23))), "calendar", "", "T", ".", 0
)
def test_a_moment_is_read_from_each_of_its_forms(moment, form, colon, separator, mark, zeros):
    if form == "week" and not 1 <= moment.isocalendar()[0] <= 9999:
        return
    dash = "-" if colon else ""
    time = moment.strftime(f"%H{colon}%M{colon}%S")
    text = f"{date_of(moment, form, dash)}{separator}{time}{mark}{moment.microsecond:06}{'0' * zeros}"
    assert read(text + offset(moment, colon)) == (moment, "")
    assert read(text) == (moment.replace(tzinfo=None), "")


@given(MOMENTS)
def test_what_compiled_decoders_read_is_read_as_the_same_moment(moment):
    text = msgspec.json.encode(moment).decode().strip('"')
    assert read(text) == (msgspec.convert(text, dt.datetime), "")


@given(st.integers(0, 10**9))
def test_a_fraction_is_rounded_as_compiled_decoders_round_it(digits):
    text = f"2026-03-01T04:05:06.{digits:09}Z"
    assert read(text).moment == msgspec.convert(text, dt.datetime)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01T04:05:06Z", AT),
        ("2026-03-01T04:05Z", AT.replace(second=0)),
        ("2026-03-01T04Z", AT.replace(minute=0, second=0)),
        ("20260301T04Z", AT.replace(minute=0, second=0)),
        ("2026-03-01T04:05,1Z", AT),
        ("2026-03-01T04.085Z", AT),
        ("2026-03-01T05:05:06+01", AT),
        ("2026-02-28T24:00:00Z", AT.replace(hour=0, minute=0, second=0)),
        ("2026-02-28T24Z", AT.replace(hour=0, minute=0, second=0)),
        ("2028-02-28T24:00Z", dt.datetime(2028, 2, 29, tzinfo=dt.UTC)),
        ("2026-02-28T23:59:60Z", AT.replace(hour=0, minute=0, second=0)),
        ("2026-03-01T05:29:60,5+05:30", AT.replace(hour=0, minute=0, second=0, microsecond=500_000)),
        ("2026-03-01T04:05:06\u22120000", AT),
        (f"2026-03-01T04:05:06.{'0' * 5000}1Z", AT),
    ],
)
def test_iso_8601_is_read_without_a_remark(text, moment):
    assert read(text) == (moment, "")


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        ("20260301040506Z", "has nothing between date and time"),
        ("2026-03-01T040506Z", "mixes the basic and the extended format"),
        ("20260301T04:05:06Z", "mixes the basic and the extended format"),
        ("2026-03-01 04:05:06 Z", "has a blank before its zone"),
        (" 2026-03-01T04:05:06Z\0", "has blanks around it"),
        ("2026-03-01T04:04:60Z", "has a second 60 that is no leap second"),
    ],
)
def test_what_is_close_to_it_is_read_with_a_remark(text, odd):
    time = read(text)
    assert abs(time.moment - AT) <= dt.timedelta(seconds=6)
    assert time.odd == odd


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "yesterday",
        "2026-03-01",
        "04:05:06Z",
        "2026-02-30T04:05:06Z",
        "2026-13-01T04:05:06Z",
        "2026-W54-1T04:05:06Z",
        "2026-366T04:05:06Z",
        "2026-000T04:05:06Z",
        "0000-01-01T00:00:00Z",
        "2026-03-01T24:00:01Z",
        "2026-03-01T25:00:00Z",
        "2026-03-01T04:60:00Z",
        "2026-03-01T04:05:61Z",
        "2026-03-01T04:05:06.Z",
        "2026-03-01T04:05:06+24:00",
        "2026-03-01T04:05:06+01:60",
        "2026-03-01T04:05:06+00:00Z",
        "2026-03-01T04:05:06 ",
        "9999-12-31T24:00:00Z",
        "9999-12-31T23:59:60Z",
        "26-03-01T04:05:06Z",
        "01.03.2026 04:05:06",
        "1772337906",
    ],
)
def test_what_says_no_moment_is_none(text):
    assert (read(text.strip(" ")) if text.endswith("06 ") else read(text)) in (
        None,
        (AT.replace(tzinfo=None), ""),
    )


@given(st.text(alphabet="0123456789-+:TZW., ", max_size=40) | st.text(max_size=40))
def test_no_text_raises(text):
    time = times.read(text)
    assert time is None or isinstance(time.moment, dt.datetime)
