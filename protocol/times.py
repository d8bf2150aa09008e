"""Times as charge points write them: ISO 8601, and forms close to it that mean one moment only. OCPP 1.6, 3.15.

The one rule: a text is read as the moment that it says, or not at all; nothing is guessed. `read` never raises.

Beyond the profile of RFC 3339 that compiled decoders take, ISO 8601 has: the basic format without separators, week and
ordinal dates, hours or minutes alone, a fraction of whatever comes last, a comma as decimal mark, 24:00:00 for the end
of a day, second 60 for a leap second, and offsets in hours.
"""

import datetime as dt
import re
from typing import NamedTuple

_FORM = re.compile(
    r"""(?ax)
    (?P<year>\d{4})
    (?: -(?P<month>\d\d)-(?P<day>\d\d) | -W(?P<week>\d\d)-(?P<weekday>\d) | -(?P<ordinal>\d{3})
      | (?P<basic>(?P<basic_month>\d\d)(?P<basic_day>\d\d) | W(?P<basic_week>\d\d)(?P<basic_weekday>\d)
                | (?P<basic_ordinal>\d{3}) )
    )
    (?P<separator>[Tt\ ]?)
    (?P<hour>\d\d)
    (?: :(?P<minute>\d\d)(?: :(?P<second>\d\d))? | (?P<basic_minute>\d\d)(?P<basic_second>\d\d)? )?
    (?:[.,](?P<fraction>\d+))?
    (?P<gap>\ ?)
    (?: (?P<utc>[Zz]) | (?P<sign>[+\-\u2212])(?P<offset_hours>\d\d)(?: :?(?P<offset_minutes>\d\d))? )?
    """
)
_BLANKS = "".join(map(chr, range(33)))
_MICROSECONDS = 10**6
_DIGITS = 18  # of a fraction; those beyond change no microsecond
_MIXED = "mixes the basic and the extended format"
_NO_T = "has nothing between date and time"
_GAP = "has a blank before its zone"
_AROUND = "has blanks around it"
_NO_LEAP = "has a second 60 that is no leap second"


class Time(NamedTuple):
    """Moment that a text says, naive if the text has no zone; `odd` names a departure from ISO 8601."""

    moment: dt.datetime
    odd: str = ""


def read(text: str) -> Time | None:
    """Read a text as a moment; None if it says none, or one that has no place in the years 1 to 9999."""
    core = text.strip(_BLANKS)
    parts = _FORM.fullmatch(core)
    if parts is None:
        return None
    try:
        return _moment(parts, _AROUND if core != text else "")
    except (ValueError, OverflowError):  # the 31st of February, 25 o'clock, a day after the last one
        return None


def _moment(parts: re.Match[str], odd: str) -> Time:
    minute, second = parts["minute"] or parts["basic_minute"], parts["second"] or parts["basic_second"]
    hours, minutes, seconds = int(parts["hour"]), int(minute or 0), int(second or 0)
    zone = _zone(parts)
    if not parts["separator"]:
        if parts["basic_month"] is None or parts["basic_second"] is None:
            raise ValueError("date and time run into one another")
        odd = odd or _NO_T
    if minute is not None and (parts["basic"] is None) is not (parts["minute"] is not None):
        odd = odd or _MIXED
    if parts["gap"]:
        if zone is None:
            raise ValueError("the blank belongs to nothing")
        odd = odd or _GAP
    unit = 1 if second is not None else 60 if minute is not None else 3600
    extra = _fraction(parts["fraction"] or "", unit)
    if hours == 24:
        if minutes or seconds or extra:
            raise ValueError("the day has 24 hours")
        hours, extra = 0, 24 * 3600 * _MICROSECONDS
    elif seconds == 60:
        odd = odd or ("" if _may_leap(hours * 60 + minutes, zone) else _NO_LEAP)
        seconds, extra = 59, extra + _MICROSECONDS
    date = _date(parts)
    moment = dt.datetime(date.year, date.month, date.day, hours, minutes, seconds, tzinfo=zone)
    return Time(moment + dt.timedelta(microseconds=extra), odd)


def _date(parts: re.Match[str]) -> dt.date:
    year = int(parts["year"])
    if week := parts["week"] or parts["basic_week"]:
        return dt.date.fromisocalendar(year, int(week), int(parts["weekday"] or parts["basic_weekday"]))
    if ordinal := parts["ordinal"] or parts["basic_ordinal"]:
        date = dt.date(year, 1, 1) + dt.timedelta(int(ordinal) - 1)
        if date.year != year:
            raise ValueError("the year has no such day")
        return date
    return dt.date(year, int(parts["month"] or parts["basic_month"]), int(parts["day"] or parts["basic_day"]))


def _zone(parts: re.Match[str]) -> dt.tzinfo | None:
    if parts["utc"]:
        return dt.UTC
    if not parts["sign"]:
        return None
    hours, minutes = int(parts["offset_hours"]), int(parts["offset_minutes"] or 0)
    if hours > 23 or minutes > 59:
        raise ValueError("no zone is so far away")
    offset = dt.timedelta(hours=hours, minutes=minutes)
    return dt.UTC if not offset else dt.timezone(offset if parts["sign"] == "+" else -offset)


def _fraction(digits: str, unit_s: int) -> int:
    """Return a fraction of so many seconds in microseconds; half of one is rounded up, as compiled decoders do."""
    whole = int(digits[:_DIGITS] or 0) * unit_s * _MICROSECONDS
    scale: int = 10 ** min(len(digits), _DIGITS)
    return (2 * whole + scale) // (2 * scale)


def _may_leap(minute_of_day: int, zone: dt.tzinfo | None) -> bool:
    """Return whether a leap second may come in this minute: the last one of a day of UTC, or of any without a zone."""
    offset = zone.utcoffset(None) if zone is not None else None
    minutes = int(offset.total_seconds()) // 60 if offset is not None else 0
    return (minute_of_day - minutes) % 1440 == 1439 or (zone is None and minute_of_day % 60 == 59)
