"""A day of load management: 20 charge points on 100 A, with faults, silences and restarts, in simulated time.

The picture of the day in the docs is made where `LOAD_PICTURE` names a file:
`LOAD_PICTURE=docs/load-management.svg pytest tests/plugins/test_load_day.py`.
"""

import datetime as dt
import os
import random
from pathlib import Path

import pytest

from chargehand.plugins.load_management import LoadManagement, LoadSettings, Priority, Site
from chargehand.simulator.answers import refusing
from chargehand.simulator.charging import CHARGING_W
from chargehand.testing import Stage

LIMIT_A, CHARGE_POINTS = 100.0, 20
DAY_S, STEP_S, METER_S = 86_400, 60, 300
PHASE_W = 3 * 230
BUSY_S = (6 * 3600, 20 * 3600)
LEGEND = (
    "green: drawn of each phase (peak of 5 minutes); red: limit; "
    "grey: cars that want to charge; yellow: silent or refusing charge points (of 24)"
)
TURNS_S = 3600.0
"""Longest time that a car may wait for a turn: the turns of those before it, and some more."""


class Post:
    """Charge point, its car, and what troubles it."""

    def __init__(self, stage, number, dice):
        self.stage, self.dice = stage, dice
        self.number = number
        self.point = stage.simulate(
            f"CP{number:02}", version=("1.6", "2.0.1")[number % 2], connectors=1, interval_s=METER_S
        )
        self.normal = self.point.answers["SetChargingProfile"]
        self.leaves_at = self.back_at = self.obeys_at = self.sleeps_at = 0
        self.paused_s = self.longest_s = 0.0
        self.wh = 0.0
        self.cars = 0
        self.troubled = 0
        self.frozen = False

    @property
    def transaction(self):
        place = self.point.connectors[1] if self.number % 2 == 0 else self.point.evses[1]
        return place.transaction

    @property
    def amps(self):
        """Current that the car takes at this moment, by what the charge point has been told."""
        if self.transaction is None or self.sleeps:
            return 0.0
        now = dt.datetime.fromtimestamp(int(self.stage.clock.time()), dt.UTC)
        return min(CHARGING_W, self.point.charging.profiles.limit_w(1, now)) / PHASE_W

    @property
    def sleeps(self):
        return bool(self.sleeps_at) and self.stage.clock.monotonic() >= self.sleeps_at

    def live(self, now):
        dice = self.dice
        if self.frozen:
            return
        if self.transaction is None:
            busy = BUSY_S[0] <= now % DAY_S < BUSY_S[1]
            if dice.random() < (STEP_S / 1800 if busy else STEP_S / 7200):
                self.point.plug_in()
                self.point.start("BUS" if self.number < 3 else "CAR")
                self.leaves_at = now + dice.randrange(2 * 3600, 6 * 3600)
                full_s = dice.randrange(3600, 12 * 3600)
                self.sleeps_at, self.told = self.stage.clock.monotonic() + full_s, False
                self.cars += 1
                self.paused_s = 0.0
        elif now >= self.leaves_at:
            self.point.stop()
            self.point.unplug()
        elif self.sleeps and not self.told:
            self.point.suspend()
            self.told = True

    def trouble(self, now):
        """Begin and end troubles: silence, half-open connections, refusals and restarts that forget."""
        dice, point = self.dice, self.point
        if self.back_at:
            if now >= self.back_at:
                self.back_at, self.frozen = 0, False
                if point.online:
                    point.faults.recover()
                    point.faults.cut()
                    self.stage.settle()
                point.connect()
                self.stage.settle()
        elif self.obeys_at:
            if now >= self.obeys_at:
                self.obeys_at = 0
                point.answers["SetChargingProfile"] = self.normal
        elif dice.random() < STEP_S / (8 * 3600):
            self.troubled += 1
            kind = dice.choice(("cut", "cut", "half-open", "refuse", "restart"))
            if kind == "refuse":
                point.answers["SetChargingProfile"] = refusing()
                self.obeys_at = now + dice.randrange(300, 3600)
            elif kind == "restart":
                point.faults.cut()
                self.stage.settle()
                profiles = point.charging.profiles
                profiles.installed = type(profiles.installed)()
                point.connect()
                point.boot()
                self.stage.settle()
            else:
                self.back_at = now + dice.randrange(60, 5400)
                if kind == "cut":
                    point.faults.cut()
                else:
                    self.frozen = True
                    point.faults.go_half_open()
                self.stage.settle()

    def note(self):
        amps = self.amps
        self.wh += amps * PHASE_W * STEP_S / 3600
        in_trouble = self.back_at or self.obeys_at
        wants = self.transaction is not None and not self.sleeps and not in_trouble
        self.paused_s = self.paused_s + STEP_S if wants and amps < 6 else 0.0
        self.longest_s = max(self.longest_s, self.paused_s)
        return amps


def day(seed=7):
    """Play a day; return its posts, and for each step what is drawn, who wants, and who is in trouble."""
    dice = random.Random(seed)
    site = Site(
        name="depot",
        charge_points=("CP*",),
        limit_a=LIMIT_A,
        turn_min=10.0,
        priorities=(Priority(tags=("BUS",), weight=2),),
    )
    spec = LoadManagement.spec(LoadSettings(sites=(site,)), name="load", scope="cluster")
    with Stage(spec, bundled=True) as stage:
        posts = [Post(stage, number, dice) for number in range(CHARGE_POINTS)]
        steps = []
        for now in range(0, DAY_S, STEP_S):
            for post in posts:
                post.trouble(now)
                post.live(now)
            stage.advance(STEP_S)
            drawn = sum(post.note() for post in posts)
            cars = sum(post.transaction is not None and not post.sleeps for post in posts)
            steps.append((drawn, cars, sum(bool(post.back_at or post.obeys_at) for post in posts)))
        return posts, steps


@pytest.fixture(scope="module")
def played():
    return day()


def test_the_limit_is_never_exceeded_for_longer_than_a_meter_interval(played):
    _, steps = played
    longest = over = 0
    for drawn, _, _ in steps:
        over = over + STEP_S if drawn > LIMIT_A + 0.05 else 0
        longest = max(longest, over)
    assert longest <= METER_S
    assert max(drawn for drawn, _, _ in steps) > 0.9 * LIMIT_A


def test_no_car_starves(played):
    posts, _ = played
    assert sum(post.cars for post in posts) > CHARGE_POINTS
    assert min(post.wh for post in posts) > 0
    assert max(post.longest_s for post in posts) <= TURNS_S


def test_what_the_site_carries_is_used(played):
    _, steps = played
    busy = [drawn for drawn, cars, trouble in steps if cars >= 10 and trouble <= 2]
    assert busy
    assert sum(busy) / len(busy) > 0.7 * LIMIT_A


def test_the_day_had_troubles_and_more_cars_than_the_limit_carries(played):
    posts, steps = played
    assert sum(post.troubled for post in posts) > CHARGE_POINTS
    assert max(cars for _, cars, _ in steps) * 6 > LIMIT_A


def picture(steps):
    """Draw a day: the current that is drawn, its limit, and how many cars and troubles there are."""
    width, height, left, top = 760, 260, 50, 30
    each = 300 // STEP_S
    peaks = [
        [max(row[column] for row in steps[at : at + each]) for column in range(3)]
        for at in range(0, len(steps), each)
    ]
    across = (width - left - 20) / len(peaks)

    def line(column, most):
        return " ".join(
            f"{left + at * across:.1f},{top + height * (1 - row[column] / most):.1f}"
            for at, row in enumerate(peaks)
        )

    limit_y = top + height * (1 - LIMIT_A / 120)
    hours = "".join(
        f'<text x="{left + hour * 12 * across:.1f}" y="{top + height + 20}" text-anchor="middle">{hour}:00</text>'
        for hour in range(0, 25, 4)
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top + height + 60}" role="img">
<title>A day of 20 charge points on 100 A</title>
<style>
text {{ font: 13px system-ui, sans-serif; fill: #24292f; }}
polyline {{ fill: none; stroke-width: 1.5; }}
.drawn {{ stroke: #00897b; }} .limit {{ stroke: #cf222e; stroke-dasharray: 6 4; }}
.cars {{ stroke: #8c959f; }} .troubles {{ stroke: #bf8700; }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #e6edf3; }} .drawn {{ stroke: #26a69a; }} }}
</style>
<polyline class="cars" points="{line(1, 24)}"/>
<polyline class="troubles" points="{line(2, 24)}"/>
<polyline class="drawn" points="{line(0, 120)}"/>
<polyline class="limit" points="{left},{limit_y:.1f} {width - 20},{limit_y:.1f}"/>
<text x="{left - 8}" y="{limit_y + 4:.1f}" text-anchor="end">100 A</text>
<text x="{left - 8}" y="{top + height}" text-anchor="end">0</text>
{hours}
<text x="{left}" y="{top + height + 45}">{LEGEND}</text>
</svg>
"""


def test_the_picture_of_the_day_is_drawn(played):
    _, steps = played
    drawn = picture(steps)
    assert drawn.count("<polyline") == 4
    if os.environ.get("LOAD_PICTURE"):
        Path(os.environ["LOAD_PICTURE"]).write_text(drawn, encoding="utf-8")
