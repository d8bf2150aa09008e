"""A token bucket admits a burst, and then a number per second."""

import pytest

from chargehand.admission import token_bucket as buckets
from chargehand.admission.token_bucket import TokenBucket, TokenBuckets


def test_a_burst_is_let_in_at_once_and_the_next_has_to_wait():
    bucket = TokenBucket(rate=10, burst=3)
    assert [bucket.take(100.0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(100.0) == pytest.approx(0.1)


def test_tokens_come_back_at_the_rate():
    bucket = TokenBucket(rate=8, burst=3)  # eighths of a second are exact
    for _ in range(3):
        bucket.take(100.0)
    assert bucket.take(100.0625) == 0.0625
    assert bucket.take(100.125) == 0
    assert bucket.take(100.125) == 0.125
    assert [bucket.take(100.5) for _ in range(4)] == [0, 0, 0, 0.125]


def test_a_long_quiet_time_fills_it_no_further_than_the_burst():
    bucket = TokenBucket(rate=10, burst=3)
    assert [bucket.take(1e6) == 0 for _ in range(4)] == [True, True, True, False]


def test_those_who_ask_too_early_do_not_make_it_later_for_the_others():
    bucket = TokenBucket(rate=1, burst=1)
    assert bucket.take(0.0) == 0
    for number in range(1, 100):
        assert bucket.take(number / 100) > 0
    assert bucket.take(1.0 + 1e-9) == 0


def test_over_a_long_time_as_many_pass_as_the_rate_says():
    bucket = TokenBucket(rate=7, burst=5)
    passed = sum(bucket.take(number / 100) == 0 for number in range(10_000))  # 100 seconds
    assert passed == pytest.approx(5 + 7 * 100, abs=1)


def test_a_clock_that_stands_still_or_goes_back_gives_no_tokens():
    bucket = TokenBucket(rate=10, burst=1)
    assert bucket.take(100.0) == 0
    assert bucket.take(100.0) > 0
    assert bucket.take(50.0) > 0


def test_a_rate_of_nothing_sets_no_limit():
    bucket = TokenBucket(rate=0, burst=1)
    assert [bucket.take(0.0) for _ in range(1000)] == [0.0] * 1000


def test_whoever_asks_how_long_takes_nothing():
    bucket = TokenBucket(rate=2, burst=1)
    assert [bucket.wait_s(10.0) for _ in range(3)] == [0, 0, 0]
    assert bucket.take(10.0) == 0
    assert bucket.wait_s(10.0) == bucket.wait_s(10.0) == 0.5


def test_without_a_rate_there_is_no_limit():
    assert {TokenBucket(rate=0, burst=1).take(0.0) for _ in range(10)} == {0}
    several = TokenBuckets(rate=0, burst=1)
    assert {several.take("CP1", 0.0) for _ in range(10)} == {0}
    assert len(several) == 0


def test_each_key_has_its_own_tokens():
    several = TokenBuckets(rate=1, burst=2)
    assert [several.take("CP1", 0.0) for _ in range(3)] == [0, 0, 1]
    assert several.take("CP2", 0.0) == 0
    assert (several.wait_s("CP1", 0.5), several.wait_s("CP2", 0.5), several.wait_s("CP3", 0.5)) == (0.5, 0, 0)


def test_buckets_that_are_full_again_are_forgotten_and_others_are_not():
    several = TokenBuckets(rate=1, burst=2)
    for number in range(1000):
        several.take(f"CP{number}", 0.0)
    several.take("flapping", 9.5)
    for _ in range(600):
        several.take("flapping", 10.0)
    assert len(several) == 1
    assert several.wait_s("flapping", 10.0) == 0.5


def test_there_are_never_more_than_may_be(monkeypatch):
    monkeypatch.setattr(buckets, "MOST_KEYS", 3)
    several = TokenBuckets(rate=1, burst=1)
    for name in ("a", "b", "a", "c", "d"):
        several.take(name, 0.0)
    assert len(several) == 3
    assert several.wait_s("b", 0.0) == 0  # it was taken from longest ago
    assert several.wait_s("a", 0.0) == 1


def test_whoever_looked_at_the_clock_earlier_and_comes_later_gives_nobody_a_token():
    bucket = TokenBucket(rate=1, burst=10)
    passed = sum(bucket.take(now) == 0 for _ in range(500) for now in (110.0, 100.0))
    assert passed == 10


def test_of_a_long_key_no_more_is_kept_than_of_a_short_one():
    several = TokenBuckets(rate=1, burst=1)
    long = "\udc80" + "x" * 4000
    assert several.take(long, 0.0) == 0
    assert several.take(long, 0.0) == several.wait_s(long, 0.0) == 1
    assert several.take(long + "y", 0.0) == 0
    assert max(map(len, several._full_at)) <= buckets.KEY_CHARS
