"""Failures that count for one charge point, and failures that count for the plugin: pure state, time is an argument."""

import pytest

from chargehand.actors.plugin.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers

POLICY = CircuitBreakerPolicy(failures_to_open=3, spread=3, window_s=60.0, trial_call_s=30.0)


@pytest.fixture
def breakers():
    return CircuitBreakers(POLICY)


def fail(breakers, charge_point="CP1", action="Authorize", now=0.0, times=1):
    return [breakers.failed(charge_point, action, now) for _ in range(times)]


# The circuit breaker of one charge point and one action


def test_a_breaker_opens_after_three_failures_in_a_row(breakers):
    for _ in range(3):
        assert breakers.try_pass("CP1", "Authorize", 0.0)
        fail(breakers)
    assert not breakers.try_pass("CP1", "Authorize", 0.0)
    assert breakers.list_open() == [("CP1", "Authorize")]


def test_one_success_in_between_begins_the_count_again(breakers):
    fail(breakers, times=2)
    breakers.succeeded("CP1", "Authorize")
    fail(breakers, times=2)
    assert breakers.try_pass("CP1", "Authorize", 0.0)
    assert breakers.list_open() == []


def test_an_open_breaker_does_not_concern_other_actions_and_charge_points(breakers):
    fail(breakers, times=3)
    assert breakers.try_pass("CP1", "MeterValues", 0.0)
    assert breakers.try_pass("CP2", "Authorize", 0.0)


def test_a_half_open_breaker_lets_one_trial_call_pass_and_no_other(breakers):
    fail(breakers, now=10.0, times=3)
    assert not breakers.try_pass("CP1", "Authorize", 39.9)
    assert breakers.try_pass("CP1", "Authorize", 40.0)
    assert not breakers.try_pass("CP1", "Authorize", 40.1)


def test_a_trial_call_that_fails_leaves_the_breaker_open_for_as_long_again(breakers):
    fail(breakers, now=0.0, times=3)
    assert breakers.try_pass("CP1", "Authorize", 30.0)
    fail(breakers, now=35.0)
    assert not breakers.try_pass("CP1", "Authorize", 64.9)
    assert breakers.try_pass("CP1", "Authorize", 65.0)


def test_a_trial_call_that_is_never_answered_is_followed_by_another_one(breakers):
    fail(breakers, now=0.0, times=3)
    assert breakers.try_pass("CP1", "Authorize", 30.0)
    assert not breakers.try_pass("CP1", "Authorize", 59.9)
    assert breakers.try_pass("CP1", "Authorize", 60.0)


def test_a_trial_call_that_succeeds_closes_the_breaker(breakers):
    fail(breakers, times=3)
    breakers.succeeded("CP1", "Authorize")
    assert breakers.try_pass("CP1", "Authorize", 0.0)
    assert breakers.failing == {}


def test_with_a_limit_of_one_a_single_failure_opens_a_breaker():
    breakers = CircuitBreakers(CircuitBreakerPolicy(failures_to_open=1))
    fail(breakers)
    assert not breakers.try_pass("CP1", "Authorize", 0.0)


# The plugin


def test_failures_of_two_charge_points_are_theirs_however_many(breakers):
    for number in range(50):
        assert fail(breakers, f"CP{number % 2}", now=float(number)) == [False]


def test_the_third_charge_point_makes_it_the_plugins_own(breakers):
    assert [breakers.failed(f"CP{number}", "Authorize", 0.0) for number in (1, 2, 3)] == [False, False, True]


def test_different_actions_of_one_charge_point_are_one_charge_point(breakers):
    assert [breakers.failed("CP1", action, 0.0) for action in ("a", "b", "c", "d")] == [False] * 4


def test_what_has_been_spent_is_not_counted_again(breakers):
    for number in (1, 2, 3):
        fail(breakers, f"CP{number}")
    assert fail(breakers, "CP1") == [False]
    assert fail(breakers, "CP2") == [False]
    assert fail(breakers, "CP3") == [True]


def test_a_failure_outside_the_window_does_not_count(breakers):
    fail(breakers, "CP1", now=0.0)
    fail(breakers, "CP2", now=30.0)
    assert fail(breakers, "CP3", now=60.0) == [False]  # CP1's is a window old
    assert fail(breakers, "CP4", now=89.9) == [True]


def test_a_charge_point_that_fails_again_counts_from_its_last_failure(breakers):
    fail(breakers, "CP1", now=0.0)
    fail(breakers, "CP2", now=1.0)
    fail(breakers, "CP1", now=50.0)
    assert fail(breakers, "CP3", now=100.0) == [False]  # CP2's is over, CP1's is not
    assert fail(breakers, "CP4", now=100.0) == [True]


def test_a_success_does_not_take_a_failure_back(breakers):
    fail(breakers, "CP1")
    fail(breakers, "CP2")
    breakers.succeeded("CP1", "Authorize")
    assert fail(breakers, "CP3") == [True]


def test_clearing_forgets_breakers_and_charge_points(breakers):
    fail(breakers, "CP1", times=3)
    fail(breakers, "CP2")
    breakers.clear()
    assert breakers.try_pass("CP1", "Authorize", 0.0)
    assert fail(breakers, "CP3") == [False]


def test_it_remembers_no_more_charge_points_than_a_window_has(breakers):
    lonely = CircuitBreakers(CircuitBreakerPolicy(spread=10**9, window_s=10.0))
    for number in range(1000):
        lonely.failed(f"CP{number}", "Authorize", float(number))
    assert len(lonely._recent) == 10
