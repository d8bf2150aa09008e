"""Kinds of fleets: who comes when, with which vehicle, and how long it stays.

The one rule: a plan depends on its seed and the days alone, never on what the central system answers.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .vehicle import Vehicle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DAY_S, HOUR_S, MINUTE_S = 86_400, 3600, 60
WEEK, WEEKDAYS, EPOCH_WEEKDAY = 7, 5, 3
YEAR_DAYS, COLDEST_DAY = 365, 15
MEAN_C, SEASON_C, WEATHER_C = 10.0, 9.0, 4.0
BETWEEN_S = 5 * MINUTE_S
"""Seconds at least between two vehicles."""
SHORTEST_S = 10 * MINUTE_S
PHASE_W = 3680
"""Power of one phase, 230 V and 16 A."""
REFUSED_PREFIX = "UNKNOWN-"


@dataclass(frozen=True, slots=True)
class Profile:
    """Kind of a fleet. Hours are those of UTC; weights of hours are relative to one another."""

    places: int
    """Connectors (EVSEs) of a station."""
    interval_s: int
    """Seconds between two meter readings."""
    arrivals: tuple[int, ...]
    """Weights of the 24 hours for an arrival."""
    per_weekday: float
    """Vehicles of a place on a weekday, on average."""
    per_weekend_day: float
    capacities_wh: tuple[int, ...]
    soc: tuple[float, float]
    """Least and greatest state of charge at the arrival."""
    target: tuple[float, float]
    station_w: int
    phases: tuple[int, ...]
    """Phases of the vehicles, one of which is drawn; 0 for direct current, whose power is that of `vehicle_w`."""
    vehicle_w: tuple[int, ...] = ()
    departures: tuple[int, int] | None = None
    """Hours of the day between which vehicles leave that stay overnight; None: they leave when they have enough."""
    stays_s: tuple[int, int] = (0, 0)
    """Least and greatest patience of those that leave when they have enough."""
    strangers: bool = False
    """Tags are those of many drivers; else each place has one or two of its own."""


PROFILES: Mapping[str, Profile] = {
    "home": Profile(
        places=1,
        interval_s=900,
        arrivals=(1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 3, 3, 4, 6, 11, 17, 19, 14, 8, 5, 3, 2),
        per_weekday=0.75,
        per_weekend_day=0.6,
        capacities_wh=(28_000, 40_000, 52_000, 58_000, 64_000, 77_000, 82_000),
        soc=(0.25, 0.75),
        target=(0.8, 1.0),
        station_w=11_040,
        phases=(1, 1, 2, 3, 3, 3),
        departures=(6, 9),
    ),
    "fast": Profile(
        places=2,
        interval_s=300,
        arrivals=(1, 1, 0, 0, 1, 2, 4, 7, 8, 8, 9, 11, 12, 11, 10, 10, 11, 12, 10, 8, 6, 4, 3, 2),
        per_weekday=5.0,
        per_weekend_day=7.0,
        capacities_wh=(39_000, 52_000, 58_000, 64_000, 77_000, 82_000, 95_000, 108_000),
        soc=(0.05, 0.45),
        target=(0.7, 0.92),
        station_w=150_000,
        phases=(0,),
        vehicle_w=(50_000, 85_000, 100_000, 125_000, 135_000, 170_000, 225_000),
        stays_s=(12 * MINUTE_S, 55 * MINUTE_S),
        strangers=True,
    ),
    "depot": Profile(
        places=2,
        interval_s=900,
        arrivals=(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 6, 12, 18, 20, 15, 8, 4, 3, 2, 1),
        per_weekday=0.95,
        per_weekend_day=0.15,
        capacities_wh=(68_000, 75_000, 113_000, 180_000, 315_000, 350_000),
        soc=(0.15, 0.6),
        target=(0.95, 1.0),
        station_w=50_000,
        phases=(3, 3, 0),
        vehicle_w=(50_000,),
        departures=(5, 7),
    ),
}
"""Profiles by name."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Vehicle that comes at a time, in seconds since 1970, and leaves at another, with a tag."""

    at: int
    leaves_at: int
    tag: str
    vehicle: Vehicle


class Plan:
    """Visits of one place of one station from `start` on, for ever. `own` tells the tags of a place from others'."""

    def __init__(self, profile: Profile, seed: str, start: float, *, own: str, strangers: int) -> None:
        self._profile = profile
        self._dice = random.Random(seed)  # noqa: S311 - a plan is no secret
        self._start = int(start)
        self._strangers = strangers
        self._tags = [f"{own}-{number}" for number in range(self._dice.choice((1, 1, 2)))]

    def __iter__(self) -> Iterator[Visit]:
        free_at = self._start
        midnight = self._start - self._start % DAY_S
        while True:
            for at in self._arrivals(midnight):
                if at >= free_at:
                    visit = self._visit(at, midnight)
                    if visit.leaves_at - visit.at >= SHORTEST_S:
                        yield visit
                        free_at = visit.leaves_at + BETWEEN_S
            midnight += DAY_S

    def _arrivals(self, midnight: int) -> list[int]:
        profile, dice = self._profile, self._dice
        weekday = (midnight // DAY_S + EPOCH_WEEKDAY) % WEEK
        expected = profile.per_weekday if weekday < WEEKDAYS else profile.per_weekend_day
        count = int(expected) + (dice.random() < expected % 1)
        hours = dice.choices(range(24), profile.arrivals, k=count)
        return sorted(midnight + hour * HOUR_S + dice.randrange(HOUR_S) for hour in hours)

    def _visit(self, at: int, midnight: int) -> Visit:
        profile, dice = self._profile, self._dice
        phases = dice.choice(profile.phases)
        by_vehicle_w = phases * PHASE_W if phases else dice.choice(profile.vehicle_w)
        vehicle = Vehicle(
            since=at,
            capacity_wh=dice.choice(profile.capacities_wh),
            soc=round(dice.uniform(*profile.soc), 3),
            target=round(dice.uniform(*profile.target), 3),
            max_w=min(by_vehicle_w, profile.station_w),
            phases=phases,
            celsius=_celsius(at, dice),
        )
        tag = f"D{dice.randrange(self._strangers):05}" if profile.strangers else dice.choice(self._tags)
        if profile.departures is None:
            leaves_at = at + min(dice.randint(*profile.stays_s), _seconds_to_enough(vehicle))
        else:
            first, last = profile.departures
            leaves_at = midnight + dice.randint(first * HOUR_S, last * HOUR_S)
            if leaves_at < at + HOUR_S:
                leaves_at += DAY_S
        vehicle.until = leaves_at
        return Visit(at, leaves_at, tag, vehicle)


def _celsius(at: int, dice: random.Random) -> float:
    """Return a temperature: of the season, the hour, and the weather."""
    day, hour = at // DAY_S % YEAR_DAYS, at % DAY_S / HOUR_S
    season = -SEASON_C * math.cos(2 * math.pi * (day - COLDEST_DAY) / YEAR_DAYS)
    return MEAN_C + season - 4.0 * math.cos(2 * math.pi * (hour - 3) / 24) + dice.gauss(0, WEATHER_C)


def _seconds_to_enough(vehicle: Vehicle) -> int:
    """Return the seconds until a vehicle would have what it wants if nothing limits it."""
    tried = Vehicle(
        since=0,
        capacity_wh=vehicle.capacity_wh,
        soc=vehicle.soc,
        target=vehicle.target,
        max_w=vehicle.max_w,
        phases=vehicle.phases,
        celsius=vehicle.celsius,
    )
    seconds = 0
    while not tried.full and seconds < DAY_S:
        seconds += MINUTE_S
        tried.take(seconds)
    return seconds + MINUTE_S
