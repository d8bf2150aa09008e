"""Histograms of times."""

from chargehand.protocol.histogram import SECONDS, Histogram


def test_a_value_is_counted_below_the_first_bound_that_it_does_not_exceed():
    histogram = Histogram()
    for value in (0.0, 0.005, 0.0051, 59.0, 61.0):
        histogram.add(value)
    assert histogram.counts[0] == 2
    assert histogram.counts[1] == 1
    assert histogram.counts[-2:] == [1, 1]
    assert histogram.sum == sum((0.0, 0.005, 0.0051, 59.0, 61.0))


def test_there_is_one_count_more_than_bounds_and_they_rise():
    assert len(Histogram().counts) == len(SECONDS) + 1
    assert list(SECONDS) == sorted(SECONDS)
