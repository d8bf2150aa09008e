"""Plans: the same for the same seed, without overlaps, and plausible hours."""

import itertools
from collections import Counter

import pytest

from chargehand.simulator.fleet.profiles import DAY_S, PROFILES, Plan

MONDAY = 1_767_571_200  # 2026-01-05


def visits(name, *, seed="1", days=60):
    plan = Plan(PROFILES[name], seed, MONDAY, own="SIM-1", strangers=100)
    return list(itertools.takewhile(lambda visit: visit.at < MONDAY + days * DAY_S, plan))


@pytest.mark.parametrize("name", PROFILES)
def test_one_seed_gives_one_plan(name):
    facts = [[(one.at, one.leaves_at, one.tag, one.vehicle.soc) for one in visits(name)] for _ in range(2)]
    assert facts[0] == facts[1]
    assert facts[0] != [(one.at, one.leaves_at, one.tag, one.vehicle.soc) for one in visits(name, seed="2")]


@pytest.mark.parametrize("name", PROFILES)
def test_one_vehicle_is_at_a_place_at_a_time(name):
    for one, next_ in itertools.pairwise(visits(name)):
        assert one.at < one.leaves_at < next_.at


def test_at_home_vehicles_come_in_the_evening_and_leave_in_the_morning():
    found = visits("home")
    hours = Counter(one.at % DAY_S // 3600 for one in found)
    assert sum(hours[hour] for hour in range(16, 22)) > len(found) / 2
    assert all(6 <= one.leaves_at % DAY_S // 3600 <= 9 for one in found)
    assert 30 < len(found) < 60


def test_fast_chargers_have_many_short_visits_of_strangers():
    found = visits("fast", days=14)
    assert len(found) > 40
    assert all(one.leaves_at - one.at <= 55 * 60 for one in found)
    assert len({one.tag for one in found}) > 20


def test_a_depot_rests_on_weekends():
    days = Counter((one.at - MONDAY) // DAY_S % 7 for one in visits("depot", days=140))
    assert max(days[5], days[6]) < min(days[day] for day in range(5)) / 2
