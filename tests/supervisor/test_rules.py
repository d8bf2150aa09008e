"""The rules of supervision as tables; time is an argument."""

import random

import pytest

from chargehand.supervisor.rules import Budget, Policy, Restart, Strategy


@pytest.mark.parametrize(
    ("restart", "abnormal", "wanted"),
    [
        (Restart.PERMANENT, False, True),
        (Restart.PERMANENT, True, True),
        (Restart.TRANSIENT, False, False),
        (Restart.TRANSIENT, True, True),
        (Restart.TEMPORARY, False, False),
        (Restart.TEMPORARY, True, False),
    ],
)
def test_which_child_is_started_again_after_which_end(restart, abnormal, wanted):
    assert restart.wants(abnormal=abnormal) is wanted


@pytest.mark.parametrize(
    ("strategy", "position", "affected"),
    [
        (Strategy.ONE_FOR_ONE, 0, [0]),
        (Strategy.ONE_FOR_ONE, 1, [1]),
        (Strategy.ONE_FOR_ONE, 2, [2]),
        (Strategy.ONE_FOR_ALL, 0, [0, 1, 2]),
        (Strategy.ONE_FOR_ALL, 1, [0, 1, 2]),
        (Strategy.ONE_FOR_ALL, 2, [0, 1, 2]),
        (Strategy.REST_FOR_ONE, 0, [0, 1, 2]),
        (Strategy.REST_FOR_ONE, 1, [1, 2]),
        (Strategy.REST_FOR_ONE, 2, [2]),
    ],
)
def test_which_others_are_started_again_with_a_child(strategy, position, affected):
    assert list(strategy.affected(position, 3)) == affected


def spent(times, **policy):
    """Return the verdict of a budget on restarts at these times."""
    budget = Budget(Policy(**policy))
    return [budget.spend(now) for now in times]


@pytest.mark.parametrize(
    ("times", "within"),
    [
        ([0, 1, 2], [True, True, True]),
        ([0, 1, 2, 3], [True, True, True, False]),
        ([0, 0, 0, 0], [True, True, True, False]),
        ([0, 1, 2, 4.999], [True, True, True, False]),
        ([0, 1, 2, 5], [True, True, True, True]),  # the first has just left the period
        ([0, 1, 2, 5, 6, 7], [True, True, True, True, True, True]),
        ([0, 1, 2, 5, 5.5], [True, True, True, True, False]),
        ([0, 2, 4, 6, 8, 10], [True] * 6),
        ([0, 1, 2, 3, 100], [True, True, True, False, True]),
    ],
)
def test_three_restarts_in_five_seconds_are_within_the_intensity_and_a_fourth_is_not(times, within):
    assert spent(times, intensity=3, period_s=5.0) == within


def test_an_intensity_of_nothing_allows_no_restart():
    assert spent([0, 100], intensity=0) == [False, False]


def test_an_intensity_of_one_allows_one_a_period():
    assert spent([0, 1, 7], intensity=1, period_s=5.0) == [True, False, True]


def test_restarts_are_counted_for_reports_whether_they_were_within_the_budget_or_not():
    budget = Budget(Policy(intensity=1))
    for now in range(5):
        budget.spend(now)
    assert budget.total == 5


class FixedRandom(random.Random):
    """Random generator that always returns the same number."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def random(self):
        return self.number


def delays(times, chance=0.0, **policy):
    budget = Budget(
        Policy(**{"jitter": 0.2, "backoff_min_s": 0.2, "backoff_max_s": 3.0, "reset_s": 60.0, **policy})
    )
    found = []
    for now in times:
        budget.spend(now)
        found.append(round(budget.delay_s(FixedRandom(chance)), 6))
    return found


def test_the_first_restart_is_at_once_and_each_further_one_waits_twice_as_long():
    assert delays(range(7)) == [0.0, 0.2, 0.4, 0.8, 1.6, 3.0, 3.0]


def test_a_wait_is_shortened_by_chance_and_never_lengthened():
    assert delays(range(4), chance=1.0) == [0.0, 0.16, 0.32, 0.64]
    assert delays(range(4), chance=0.5) == [0.0, 0.18, 0.36, 0.72]
    assert delays(range(4), chance=1.0, jitter=0.0) == [0.0, 0.2, 0.4, 0.8]


@pytest.mark.parametrize(("quiet_s", "expected"), [(60.0, 0.8), (60.1, 0.0), (1000.0, 0.0)])
def test_after_a_quiet_time_the_next_restart_is_at_once_again(quiet_s, expected):
    assert delays([0, 1, 2, 2 + quiet_s])[-1] == expected


def test_a_day_of_crashes_does_not_overflow():
    assert delays(range(5000))[-1] == 3.0


@pytest.mark.parametrize(
    "wrong", [{"intensity": -1}, {"period_s": 0}, {"backoff_min_s": -1}, {"jitter": -0.1}, {"jitter": 1.1}]
)
def test_a_policy_without_sense_cannot_be_made(wrong):
    with pytest.raises(ValueError, match="invalid restart policy"):
        Policy(**wrong)
