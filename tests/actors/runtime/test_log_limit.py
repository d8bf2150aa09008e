"""Log lines that strangers can cause: a few of each subject and reason in an interval, and a count of the rest."""

import logging

import pytest

from chargehand.actors.runtime import log_limit
from chargehand.actors.runtime.log_limit import LogLimit
from chargehand.actors.runtime.timers import Timers
from chargehand.testing import ManualClock

logger = logging.getLogger("chargehand.tests.log_limit")


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def limit(clock, caplog):
    caplog.set_level(logging.DEBUG, logger.name)
    timers = Timers(clock)
    clock.drive(timers)
    return LogLimit(timers, 60.0, 3)


def lines_of(caplog):
    return [record.getMessage() for record in caplog.records]


def test_a_few_lines_are_written_and_the_rest_is_told_at_the_end(limit, clock, caplog):
    written = [limit.log(logger, logging.INFO, "CP1", "junk", "%s sent %d", "CP1", n) for n in range(1000)]
    assert written == [True] * 3 + [False] * 997
    assert lines_of(caplog) == ["CP1 sent 0", "CP1 sent 1", "CP1 sent 2"]
    clock.advance(60.0)
    (summary,) = lines_of(caplog)[3:]
    assert summary.startswith("CP1: 997 more lines (junk) were left out within 60 s")
    assert "log.repeat_s" in summary


def test_each_subject_and_each_reason_has_its_own_lines(limit, caplog):
    for subject in ("CP1", "CP2"):
        for reason in ("junk", "refused"):
            for _ in range(5):
                limit.log(logger, logging.INFO, subject, reason, "%s %s", subject, reason)
    assert len(caplog.records) == 12


def test_a_new_interval_begins_with_lines_again(limit, clock, caplog):
    for _ in range(5):
        limit.log(logger, logging.INFO, "CP1", "junk", "a")
    clock.advance(61.0)
    caplog.clear()
    assert limit.log(logger, logging.INFO, "CP1", "junk", "b")
    clock.advance(61.0)
    assert lines_of(caplog) == ["b"]


def test_nothing_is_said_of_what_was_written_in_full(limit, clock, caplog):
    limit.log(logger, logging.INFO, "CP1", "junk", "a")
    clock.advance(61.0)
    assert lines_of(caplog) == ["a"]


def test_the_summary_has_the_level_and_the_logger_of_its_lines(limit, clock, caplog):
    for _ in range(5):
        limit.log(logger, logging.ERROR, "CP1", "junk", "a")
    clock.advance(60.0)
    assert caplog.records[-1].levelno == logging.ERROR
    assert caplog.records[-1].name == logger.name


def test_an_interval_of_0_sets_no_limit(clock, caplog):
    caplog.set_level(logging.DEBUG, logger.name)
    limit = LogLimit(Timers(clock), 0.0, 1)
    assert all(limit.log(logger, logging.INFO, "CP1", "junk", "a") for _ in range(100))
    assert len(caplog.records) == 100


def test_subjects_beyond_the_bound_count_as_one(limit, clock, caplog, monkeypatch):
    monkeypatch.setattr(log_limit, "MOST_KEYS", 10)
    for number in range(100):
        limit.log(logger, logging.INFO, f"CP{number}", "junk", "a")
    assert len(caplog.records) == 13
    assert len(limit._written) == 11
    clock.advance(60.0)
    assert lines_of(caplog)[-1].startswith("others: 87 more lines (junk)")


def test_many_subjects_are_summed_up_in_a_bounded_number_of_lines(limit, clock, caplog, monkeypatch):
    monkeypatch.setattr(log_limit, "MOST_SUMMARIES", 5)
    for number in range(20):
        for _ in range(4 + number):
            limit.log(logger, logging.INFO, f"CP{number}", "junk", "a")
    caplog.clear()
    clock.advance(60.0)
    lines = lines_of(caplog)
    assert len(lines) == 6
    assert lines[0].startswith("CP19: 20 more lines")
    assert lines[-1] == "120 more lines of 15 subjects were left out within 60 s"


def test_a_traceback_is_kept_with_its_line(limit, caplog):
    limit.log(logger, logging.ERROR, "CP1", "failed", "failed:", exc_info=ValueError("bad"))
    assert caplog.records[0].exc_info is not None


class Unprintable:
    """Object that cannot be shown."""

    def __str__(self):
        raise ValueError("no text")


def test_a_line_that_cannot_be_formatted_costs_its_writer_nothing(limit, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    assert limit.log(logger, logging.INFO, "CP1", "odd", "%s", Unprintable())


def test_invisible_characters_of_a_line_are_escaped(limit, caplog):
    limit.log(logger, logging.INFO, "CP1", "odd", "%s said %s", "CP1", "a\nb\u202ec")
    assert lines_of(caplog) == ["CP1 said a\\nb\\u202ec"]


def test_a_long_subject_is_shortened_in_lines_and_tables(limit, clock, caplog):
    subject = "x" * 4000
    for _ in range(5):
        limit.log(logger, logging.INFO, subject, "junk", "%s sent %s", subject, "junk")
    clock.advance(60.0)
    shown = f"{'x' * 100}... (4000 characters)"
    first, *_, summary = lines_of(caplog)
    assert first == f"{shown} sent junk"
    assert summary.startswith(f"{shown}: 2 more lines")
    assert caplog.records[0].args[0] == shown
