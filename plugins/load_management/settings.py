"""Settings of load management: sites with their limits, schedules, wiring and priorities."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from ... import setting

if TYPE_CHECKING:
    from collections.abc import Iterator

PHASES, TOTAL = ("L1", "L2", "L3"), "sum"
"""Capacities of a site: those of its phases, and that of all together."""
Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
DAYS: tuple[Day, ...] = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"


def tenths(amps: float) -> int:
    """Return amperes as whole tenths of an ampere, rounded down."""
    return int(amps * 10 + 1e-6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Time of the day with a limit of its own; one that ends before it begins goes over midnight."""

    begin: str = setting(
        "00:00", "Begin, in the time zone of the site.", pattern=CLOCK, wanted='a time as "22:00"'
    )
    end: str = setting("00:00", "End, which is no part of it.", pattern=CLOCK, wanted='a time as "06:00"')
    days: tuple[Day, ...] = setting((), "Days on which it begins; empty means all.")
    limit_a: float = setting(0.0, "Amperes of each phase; 0: that of the site.", least=0)
    limit_w: float = setting(0.0, "Watts of all phases together; 0: those of the site.", least=0)

    def holds(self, at: dt.datetime) -> bool:
        """Return whether it holds at a local time."""
        now, begin, end = f"{at:%H:%M}", self.begin, self.end
        over = begin >= end
        day = DAYS[(at - dt.timedelta(days=1) if over and now < begin else at).weekday()]
        inside = (now >= begin or now < end) if over else begin <= now < end
        return inside and (not self.days or day in self.days)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Connection of some charge points of a site."""

    charge_points: tuple[str, ...] = setting((), 'Charge points, as "DE-*".')
    phases: str = setting(
        "123",
        "Phases of the site that its first, second and third are connected to.",
        pattern="[123]|123|231|312|132|213|321",
        wanted='"1", "2", "3", "123", "231", ...',
    )
    max_a: float = setting(32.0, "Amperes of each phase that it can draw.", above=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Priority:
    """Weight of some tags."""

    tags: tuple[str, ...] = setting((), "Tags, or groups (parent tags).")
    weight: int = setting(1, "Shares and turns beside the 1 of others.", least=1, most=1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Site: a limit, and the charge points that share it."""

    name: str = setting("", "Name.", pattern=r"[A-Za-z0-9_.-]{1,100}", wanted="letters, digits, - _ .")
    charge_points: tuple[str, ...] = setting((), 'Charge points, as "DE-*".')
    limit_a: float = setting(0.0, "Amperes of each phase; 0: no such limit.", least=0)
    limit_w: float = setting(0.0, "Watts of all phases together; 0: no such limit.", least=0)
    schedule: tuple[Period, ...] = setting((), "Times with other limits; the first that holds counts.")
    zone: str = setting("UTC", "Time zone of the schedule, as Europe/Berlin.")
    meter: bool = setting(False, "Whether a meter reports what the site draws; the limit is of both.")  # noqa: FBT003
    meter_stale_s: float = setting(60.0, "Seconds after which a reading of it counts no more.", above=0)
    meter_silent_a: float = setting(
        0.0, "Amperes of each phase for charging while the meter is silent.", least=0
    )
    volts: float = setting(230.0, "Voltage between a phase and neutral.", above=0)
    least_a: float = setting(6.0, "Amperes below which no vehicle charges.", above=0)
    safe_a: float = setting(0.0, "Amperes that are kept for each, also while it is silent and idle.", least=0)
    turn_min: float = setting(15.0, "Minutes of a turn, where the limit does not carry all.", above=0)
    retry_s: float = setting(60.0, "Seconds after which one that refused is asked again.", above=0)
    wiring: tuple[Wiring, ...] = setting((), "Connections; the first that names a charge point counts.")
    priorities: tuple[Priority, ...] = setting((), "Weights of tags; the first that names one counts.")

    def has(self, charge_point_id: str) -> bool:
        """Return whether a charge point belongs to it."""
        return any(fnmatchcase(charge_point_id, one) for one in self.charge_points)

    def connection(self, charge_point_id: str) -> Wiring:
        """Return how a charge point is connected."""
        for one in self.wiring:
            if any(fnmatchcase(charge_point_id, pattern) for pattern in one.charge_points):
                return one
        return Wiring()

    def limits(self, at: dt.datetime) -> dict[str, int]:
        """Return the capacities that hold at a time, by its settings alone."""
        local = at.astimezone(ZoneInfo(self.zone))
        period = next((one for one in self.schedule if one.holds(local)), Period())
        amps, watts = period.limit_a or self.limit_a, period.limit_w or self.limit_w
        found = dict.fromkeys(PHASES, tenths(amps)) if amps else {}
        return found | ({TOTAL: tenths(watts / self.volts)} if watts else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSettings:
    """Settings of load management."""

    sites: tuple[Site, ...] = setting((), "Sites.")

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield what no setting shows alone."""
        if not self.sites:
            yield "sites", "missing: without one there is nothing to share"
        names: set[str] = set()
        for number, site in enumerate(self.sites):
            at = f"sites.{number}"
            if not site.name:
                yield f"{at}.name", "missing"
            elif site.name in names:
                yield f"{at}.name", f'"{site.name}" is the name of another one already'
            names.add(site.name)
            if not site.charge_points:
                yield f"{at}.charge_points", "missing"
            if not site.limit_a and not site.limit_w:
                yield f"{at}.limit_a", "missing: a site has a limit_a, a limit_w or both"
            if site.meter and not site.limit_a:
                yield f"{at}.meter", "needs limit_a"
            try:
                ZoneInfo(site.zone)
            except (ValueError, OSError, LookupError):
                yield f"{at}.zone", f'there is no time zone "{site.zone}"'
