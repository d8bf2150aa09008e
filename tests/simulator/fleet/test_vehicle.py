"""Batteries: what they take, how it falls off, and that it depends on the plan alone."""

import random

import pytest

from chargehand.simulator.fleet.vehicle import Vehicle

HOUR_S = 3600


def vehicle(**changed):
    made = {"capacity_wh": 60_000, "soc": 0.2, "target": 0.8, "max_w": 11_000, "phases": 3, "since": 1000}
    return Vehicle(**{**made, **changed})


def test_a_vehicle_takes_its_power_for_as_long_as_it_is_there():
    assert vehicle().take(1000 + HOUR_S) == 11_000


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("phases", [0, 3])
def test_energy_does_not_depend_on_when_a_meter_is_read(seed, phases):
    dice = random.Random(seed)
    once, often = (vehicle(phases=phases, max_w=90_000, celsius=-5.0) for _ in range(2))
    total = once.take(1000 + 2 * HOUR_S)
    times = sorted(dice.uniform(1000, 1000 + 2 * HOUR_S) for _ in range(50))
    assert sum(often.take(at) for at in [*times, 1000 + 2 * HOUR_S]) == total


def test_a_vehicle_takes_nothing_more_once_it_has_what_it_wants():
    one = vehicle(soc=0.79)
    taken = one.take(1000 + HOUR_S)
    assert one.full
    assert 600 < taken < 1000
    assert one.take(1000 + 9 * HOUR_S) == 0
    assert one.power_w == 0


def test_a_limit_of_the_charge_point_is_obeyed():
    assert vehicle().take(1000 + HOUR_S, 4000) == 4000
    assert vehicle().take(1000 + HOUR_S, 0) == 0


def test_direct_current_falls_off_long_before_the_battery_is_full():
    low, high = vehicle(phases=0, soc=0.3, max_w=100_000), vehicle(phases=0, soc=0.75, max_w=100_000)
    assert low.take(1060) > 1.5 * high.take(1060)


def test_a_cold_battery_takes_less_until_it_is_warm():
    cold = vehicle(phases=0, soc=0.2, max_w=20_000, capacity_wh=90_000, celsius=-10.0)
    first = cold.take(1000 + 600)
    cold.take(1000 + HOUR_S)
    assert cold.take(1000 + HOUR_S + 600) > 1.5 * first
