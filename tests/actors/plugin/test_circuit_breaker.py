"""Which failures are a charge point's, and which are the plugin's own: pure state, the time is an argument."""

import pytest

from chargehand.actors.plugin.circuit_breaker import CircuitBreakerPolicy, CircuitBreakers

POLICY = CircuitBreakerPolicy(pair_limit=3, spread=3, window_s=60.0, trial_call_s=30.0)


@pytest.fixture
def faults():
    return CircuitBreakers(POLICY)


def fail(faults, charge_point="CP1", action="Authorize", now=0.0, times=1):
    return [faults.failed(charge_point, action, now) for _ in range(times)]


# A pair: one charge point, one action


def test_a_pair_is_let_through_until_it_has_failed_three_times_in_a_row(faults):
    for _ in range(3):
        assert faults.allows("CP1", "Authorize", 0.0)
        fail(faults)
    assert not faults.allows("CP1", "Authorize", 0.0)
    assert faults.broken() == [("CP1", "Authorize")]


def test_one_success_in_between_begins_the_count_anew(faults):
    fail(faults, times=2)
    faults.succeeded("CP1", "Authorize")
    fail(faults, times=2)
    assert faults.allows("CP1", "Authorize", 0.0)
    assert faults.broken() == []


def test_a_broken_pair_is_no_concern_of_other_actions_and_charge_points(faults):
    fail(faults, times=3)
    assert faults.allows("CP1", "MeterValues", 0.0)
    assert faults.allows("CP2", "Authorize", 0.0)


def test_after_the_probe_time_one_call_is_let_through_and_no_other(faults):
    fail(faults, now=10.0, times=3)
    assert not faults.allows("CP1", "Authorize", 39.9)
    assert faults.allows("CP1", "Authorize", 40.0)
    assert not faults.allows("CP1", "Authorize", 40.1)


def test_a_probe_that_fails_leaves_it_broken_for_another_probe_time(faults):
    fail(faults, now=0.0, times=3)
    assert faults.allows("CP1", "Authorize", 30.0)
    fail(faults, now=35.0)
    assert not faults.allows("CP1", "Authorize", 64.9)
    assert faults.allows("CP1", "Authorize", 65.0)


def test_a_probe_that_is_never_answered_is_followed_by_another_one(faults):
    fail(faults, now=0.0, times=3)
    assert faults.allows("CP1", "Authorize", 30.0)
    assert not faults.allows("CP1", "Authorize", 59.9)
    assert faults.allows("CP1", "Authorize", 60.0)


def test_a_probe_that_succeeds_makes_the_pair_whole(faults):
    fail(faults, times=3)
    faults.succeeded("CP1", "Authorize")
    assert faults.allows("CP1", "Authorize", 0.0)
    assert faults.pairs == {}


def test_with_a_limit_of_one_a_single_failure_breaks_a_pair():
    faults = CircuitBreakers(CircuitBreakerPolicy(pair_limit=1))
    fail(faults)
    assert not faults.allows("CP1", "Authorize", 0.0)


# The plugin


def test_failures_of_two_charge_points_are_theirs_however_many(faults):
    for number in range(50):
        assert fail(faults, f"CP{number % 2}", now=float(number)) == [False]


def test_the_third_charge_point_makes_it_the_plugins_own(faults):
    assert [faults.failed(f"CP{number}", "Authorize", 0.0) for number in (1, 2, 3)] == [False, False, True]


def test_different_actions_of_one_charge_point_are_one_charge_point(faults):
    assert [faults.failed("CP1", action, 0.0) for action in ("a", "b", "c", "d")] == [False] * 4


def test_what_has_been_spent_is_not_counted_again(faults):
    for number in (1, 2, 3):
        fail(faults, f"CP{number}")
    assert fail(faults, "CP1") == [False]
    assert fail(faults, "CP2") == [False]
    assert fail(faults, "CP3") == [True]


def test_a_failure_outside_the_window_does_not_count(faults):
    fail(faults, "CP1", now=0.0)
    fail(faults, "CP2", now=30.0)
    assert fail(faults, "CP3", now=60.0) == [False]  # CP1's is a window old
    assert fail(faults, "CP4", now=89.9) == [True]


def test_a_charge_point_that_fails_again_counts_from_its_last_failure(faults):
    fail(faults, "CP1", now=0.0)
    fail(faults, "CP2", now=1.0)
    fail(faults, "CP1", now=50.0)
    assert fail(faults, "CP3", now=100.0) == [False]  # CP2's is over, CP1's is not
    assert fail(faults, "CP4", now=100.0) == [True]


def test_a_success_does_not_take_a_failure_back(faults):
    fail(faults, "CP1")
    fail(faults, "CP2")
    faults.succeeded("CP1", "Authorize")
    assert fail(faults, "CP3") == [True]


def test_to_clear_forgets_pairs_and_charge_points(faults):
    fail(faults, "CP1", times=3)
    fail(faults, "CP2")
    faults.clear()
    assert faults.allows("CP1", "Authorize", 0.0)
    assert fail(faults, "CP3") == [False]


def test_it_remembers_no_more_charge_points_than_a_window_has(faults):
    lonely = CircuitBreakers(CircuitBreakerPolicy(spread=10**9, window_s=10.0))
    for number in range(1000):
        lonely.failed(f"CP{number}", "Authorize", float(number))
    assert len(lonely._recent) == 10
