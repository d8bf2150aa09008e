"""Latencies in classes: percentiles are right to two percent, and the histogram has them all."""

import itertools
import random

import pytest

from chargehand.simulator.stress import Latencies


@pytest.mark.parametrize("which", [50, 90, 99, 99.9])
def test_a_percentile_is_right_to_two_percent(which):
    dice = random.Random(1)
    values = sorted(dice.lognormvariate(-5, 1.5) for _ in range(5000))
    found = Latencies()
    for value in values:
        found.add(value)
    right = values[min(len(values) - 1, int(len(values) * which / 100))]
    assert right / 1.05 < found.percentile(which) < right * 1.05


def test_a_histogram_has_every_latency_once_in_classes_that_double():
    found = Latencies()
    for value in (0.000001, 0.001, 0.0011, 0.5, 40.0):
        found.add(value)
    classes = found.histogram()
    assert sum(count for _, count in classes) == 5
    assert all(after == 2 * before for (before, _), (after, _) in itertools.pairwise(classes))


def test_merged_latencies_are_those_of_both():
    one, other = Latencies(), Latencies()
    one.add(0.1)
    other.add(0.3)
    one.merge(other)
    assert (one.count, one.most_s, round(one.mean_s, 6)) == (2, 0.3, 0.2)


def test_without_any_latency_all_figures_are_zero():
    found = Latencies()
    assert (found.mean_s, found.percentile(99), found.histogram()) == (0.0, 0.0, [])
