"""Log files rotated by time and by size, within limits, whatever the disk does."""

import calendar
import errno
import io
import logging
import os
import time
from pathlib import Path

import pytest

from chargehand.cli import rotation
from chargehand.cli.rotation import RotatingHandler

NOON = calendar.timegm((2026, 11, 22, 12, 0, 0))
HOUR = 3600
DAY = 86400


class LogClock:
    def __init__(self):
        self.now = float(NOON)

    def __call__(self):
        return self.now


class FailingFile:
    """Stream under a `_LogFile` that fails as the test sets."""

    def __init__(self, raw):
        self.raw = raw
        self.room = None

    def write(self, data):
        if self.room is None:
            return self.raw.write(data)
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self.raw.write(data[: self.room])
        self.room -= written
        return written

    def close(self):
        self.raw.close()


@pytest.fixture
def clock():
    return LogClock()


@pytest.fixture
def report():
    return io.StringIO()


@pytest.fixture
def make(tmp_path, clock, report):
    made = []

    def make(name="x.log", **options):
        handler = RotatingHandler(tmp_path / name, clock=clock, report=report, **options)
        made.append(handler)
        return handler

    yield make
    for handler in made:
        handler.close()


def log(handler, text):
    handler.handle(logging.LogRecord("x", logging.INFO, __file__, 1, text, None, None))


def files(folder):
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


def test_lines_are_in_the_file_as_soon_as_they_are_logged(make, tmp_path):
    handler = make()
    log(handler, "one")
    log(handler, "zwö")
    assert files(tmp_path) == {"x.log": "one\nzwö\n"}


def test_the_folder_of_the_file_is_made(make, tmp_path):
    log(make("logs/today/x.log"), "one")
    assert files(tmp_path / "logs" / "today") == {"x.log": "one\n"}


def test_the_file_is_for_its_owner_and_group_only(make, tmp_path):
    log(make(), "one")
    assert (tmp_path / "x.log").stat().st_mode & 0o007 == 0


def test_a_new_day_begins_a_new_file(make, tmp_path, clock):
    handler = make()
    log(handler, "sunday")
    clock.now = NOON + 12 * HOUR - 0.001
    log(handler, "late")
    clock.now = NOON + 12 * HOUR
    log(handler, "monday")
    assert files(tmp_path) == {"x.log": "monday\n", "x.log.2026-11-22": "sunday\nlate\n"}


def test_a_new_hour_begins_a_new_file(make, tmp_path, clock):
    handler = make(period="hour")
    log(handler, "noon")
    clock.now += HOUR
    log(handler, "one")
    assert files(tmp_path) == {"x.log": "one\n", "x.log.2026-11-22T12": "noon\n"}


def test_days_without_a_line_leave_no_file(make, tmp_path, clock):
    handler = make()
    log(handler, "sunday")
    clock.now += 7 * DAY
    log(handler, "next sunday")
    assert files(tmp_path) == {"x.log": "next sunday\n", "x.log.2026-11-22": "sunday\n"}


def test_a_clock_set_back_rotates_nothing(make, tmp_path, clock):
    handler = make()
    log(handler, "sunday")
    clock.now -= 3 * DAY
    log(handler, "thursday")
    assert files(tmp_path) == {"x.log": "sunday\nthursday\n"}


def test_never_means_never_by_time(make, tmp_path, clock):
    handler = make(period="never")
    log(handler, "one")
    clock.now += 400 * DAY
    log(handler, "two")
    assert files(tmp_path) == {"x.log": "one\ntwo\n"}


def test_a_file_of_an_earlier_run_belongs_to_its_own_day(make, tmp_path, clock):
    path = tmp_path / "x.log"
    path.write_text("old\n")
    os.utime(path, (NOON - DAY, NOON - DAY))
    log(make(), "new")
    assert files(tmp_path) == {"x.log": "new\n", "x.log.2026-11-21": "old\n"}


def test_a_file_of_an_earlier_run_today_is_continued(make, tmp_path, clock):
    path = tmp_path / "x.log"
    path.write_text("before\n")
    os.utime(path, (NOON - HOUR, NOON - HOUR))
    log(make(), "after")
    assert files(tmp_path) == {"x.log": "before\nafter\n"}


def test_no_file_grows_beyond_its_limit(make, tmp_path):
    handler = make(rotate_bytes=10)
    for text in ("1234", "5678", "abcd"):
        log(handler, text)
    assert files(tmp_path) == {"x.log": "abcd\n", "x.log.2026-11-22": "1234\n5678\n"}


def test_a_line_longer_than_the_limit_stands_alone_and_whole(make, tmp_path):
    handler = make(rotate_bytes=10)
    for text in ("1", "a" * 30, "2"):
        log(handler, text)
    assert files(tmp_path) == {
        "x.log": "2\n",
        "x.log.2026-11-22": "1\n",
        "x.log.2026-11-22.2": "a" * 30 + "\n",
    }


def test_the_oldest_files_go_first(make, tmp_path, clock):
    handler = make(rotate_bytes=5, keep_files=3)
    for number in range(12):
        log(handler, f"{number:04}")
    clock.now += DAY
    log(handler, "next")
    assert files(tmp_path) == {
        "x.log": "next\n",
        "x.log.2026-11-22.10": "0009\n",
        "x.log.2026-11-22.11": "0010\n",
        "x.log.2026-11-22.12": "0011\n",
    }


def test_no_old_file_is_kept_when_none_is_wanted(make, tmp_path):
    handler = make(rotate_bytes=5, keep_files=0)
    for text in ("0001", "0002"):
        log(handler, text)
    assert files(tmp_path) == {"x.log": "0002\n"}


@pytest.mark.parametrize("limit", [20, 100, 1000])
def test_all_files_together_stay_within_the_disk_limit(make, tmp_path, limit):
    handler = make(rotate_bytes=300, keep_files=1000, disk_limit_bytes=limit)
    for number in range(400):
        log(handler, f"{number:09}")
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= limit
    assert len(list(tmp_path.iterdir())) > 1
    assert (tmp_path / "x.log").read_text().endswith("000000399\n")


def test_limits_hold_for_what_an_earlier_run_left(make, tmp_path):
    for day in range(1, 9):
        (tmp_path / f"x.log.2026-10-0{day}").write_text("old\n")
    log(make(keep_files=2), "new")
    assert files(tmp_path) == {"x.log": "new\n", "x.log.2026-10-07": "old\n", "x.log.2026-10-08": "old\n"}


def test_files_of_others_are_left_alone(make, tmp_path):
    others = {
        "x.log.bak",
        "x.log.2026-11-01.gz",
        "x.logx.2026-11-01",
        "y.log.2026-11-01",
        "x.log.2026-11-01x",
    }
    for name in others:
        (tmp_path / name).write_text("")
    handler = make(rotate_bytes=5, keep_files=0)
    for text in ("0001", "0002"):
        log(handler, text)
    assert set(files(tmp_path)) == {*others, "x.log"}


def test_a_full_disk_loses_lines_and_is_told_once(make, tmp_path, report):
    handler = make()
    log(handler, "before")
    disk = handler._file._raw = FailingFile(handler._file._raw)
    disk.room = 0
    for text in ("lost", "lost", "lost"):
        log(handler, text)
    assert report.getvalue().count("\n") == 1
    assert "No space left on device" in report.getvalue()
    disk.room = None
    log(handler, "after")
    log(handler, "more")
    assert files(tmp_path) == {"x.log": "before\nafter\nmore\n"}
    assert report.getvalue().splitlines()[1:] == [
        f"log file {tmp_path / 'x.log'} is written again; 3 lines were lost",
    ]


def test_after_a_torn_line_the_next_begins_on_its_own(make, tmp_path):
    handler = make()
    log(handler, "before")
    disk = handler._file._raw = FailingFile(handler._file._raw)
    disk.room = 3
    log(handler, "torn line")
    log(handler, "lost")
    disk.room = None
    log(handler, "after")
    assert files(tmp_path) == {"x.log": "before\ntor\nafter\n"}


def test_a_folder_that_cannot_be_made_is_told_once_and_tried_again(make, tmp_path, report):
    (tmp_path / "logs").write_text("a file where the folder should be")
    handler = make("logs/x.log")
    log(handler, "lost")
    log(handler, "lost")
    assert report.getvalue().count("cannot be written") == 1
    (tmp_path / "logs").unlink()
    log(handler, "here")
    assert files(tmp_path / "logs") == {"x.log": "here\n"}


def test_a_refused_rename_goes_on_with_the_old_file_and_is_tried_again_later(
    make, tmp_path, clock, report, monkeypatch
):
    handler = make(rotate_bytes=5)
    log(handler, "0001")
    renames = []

    def refuse(self, target):
        renames.append(target)
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        log(handler, "0002")
        log(handler, "0003")
        assert len(renames) == 1
        clock.now += 61
        log(handler, "0004")
        assert len(renames) == 2
    assert report.getvalue().count("cannot be rotated") == report.getvalue().count("\n") == 1
    clock.now += 61
    log(handler, "0005")
    assert files(tmp_path) == {"x.log": "0005\n", "x.log.2026-11-22": "0001\n0002\n0003\n0004\n"}


def test_a_file_that_cannot_be_opened_after_a_rotation_is_tried_again(make, tmp_path, report, monkeypatch):
    handler = make(rotate_bytes=5)
    log(handler, "0001")

    def refuse(path, flags):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(rotation, "_private", refuse)
        log(handler, "0002")
        log(handler, "0003")
    log(handler, "0004")
    assert files(tmp_path) == {"x.log": "0004\n", "x.log.2026-11-22": "0001\n"}
    assert "2 lines were lost" in report.getvalue()


def test_an_old_file_that_cannot_be_deleted_is_told_and_logging_goes_on(make, tmp_path, report, monkeypatch):
    def refuse(self, *, missing_ok=False):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "unlink", refuse)
    handler = make(rotate_bytes=5, keep_files=0)
    log(handler, "0001")
    log(handler, "0002")
    assert (tmp_path / "x.log").read_text() == "0002\n"
    assert "cannot be deleted" in report.getvalue()


def test_a_closed_standard_error_stops_nothing(make, tmp_path, report):
    (tmp_path / "logs").write_text("a file where the folder should be")
    handler = make("logs/x.log")
    report.close()
    log(handler, "lost")
    (tmp_path / "logs").unlink()
    log(handler, "here")
    assert files(tmp_path / "logs") == {"x.log": "here\n"}


def test_a_record_that_cannot_be_formatted_is_told_and_writes_nothing(make, tmp_path, capsys):
    handler = make()
    handler.handle(logging.LogRecord("x", logging.INFO, __file__, 1, "%d", ("word",), None))
    assert "Logging error" in capsys.readouterr().err
    log(handler, "fine")
    assert files(tmp_path) == {"x.log": "fine\n"}


def test_text_that_is_not_unicode_is_written_escaped(make, tmp_path):
    log(make(), "\udc80")
    assert files(tmp_path) == {"x.log": "\\udc80\n"}


def test_a_link_is_followed_and_never_put_aside(make, tmp_path):
    (tmp_path / "x.log").symlink_to(tmp_path / "real")
    handler = make(rotate_bytes=5)
    for text in ("0001", "0002"):
        log(handler, text)
    assert (tmp_path / "x.log").is_symlink()
    assert (tmp_path / "real").read_text() == "0001\n0002\n"


def test_a_device_is_written_and_never_put_aside(clock):
    handler = RotatingHandler(os.devnull, rotate_bytes=1, keep_files=0, clock=clock)
    for _ in range(3):
        log(handler, "x")
    handler.close()
    assert Path(os.devnull).is_char_device()


def test_a_closed_handler_opens_again_when_it_is_used(make, tmp_path):
    handler = make()
    log(handler, "one")
    handler.close()
    log(handler, "two")
    assert files(tmp_path) == {"x.log": "one\ntwo\n"}


def test_without_a_clock_of_ours_the_day_is_today(tmp_path):
    handler = RotatingHandler(tmp_path / "x.log", rotate_bytes=1)
    log(handler, "one")
    before = time.strftime("%Y-%m-%d", time.gmtime())
    log(handler, "two")
    handler.close()
    after = time.strftime("%Y-%m-%d", time.gmtime())
    assert len({f"x.log.{before}", f"x.log.{after}"} & set(files(tmp_path))) == 1


def warn(handler, text):
    handler.handle(logging.LogRecord("x", logging.WARNING, __file__, 1, text, None, None))


def test_on_a_disk_that_is_nearly_full_only_warnings_are_written(make, tmp_path, clock, report):
    free = [100]
    handler = make(least_free_bytes=100, free_bytes=lambda _: free[0])
    log(handler, "one")
    free[0] = 99
    log(handler, "still within the second")
    clock.now += 1
    log(handler, "two")
    warn(handler, "three")
    log(handler, "four")
    clock.now += 1
    free[0] = 100
    log(handler, "five")
    assert files(tmp_path) == {"x.log": "one\nstill within the second\nthree\nfive\n"}
    first, second = report.getvalue().splitlines()
    assert "x.log has less than 100 bytes of the disk (resources.disk_free_bytes); lines below W" in first
    assert second.endswith(
        "has 100 bytes of the disk (resources.disk_free_bytes) again; 2 lines were left out"
    )


def test_a_disk_that_cannot_be_looked_at_is_written(make, tmp_path):
    handler = make(least_free_bytes=100, free_bytes=lambda _: None)
    log(handler, "one")
    assert files(tmp_path) == {"x.log": "one\n"}
