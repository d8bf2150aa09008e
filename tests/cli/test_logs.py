"""Standard logging as the program configures it."""

import io
import json
import logging
import os
import re
from pathlib import Path

import pytest

from chargehand.cli import logs
from chargehand.config.settings import LogSettings

LOGGER = "chargehand.tests.cli.logs"


@pytest.fixture
def stream():
    """Restore the root logger after the test."""
    root = logging.getLogger()
    level = root.level
    yield io.StringIO()
    logs.remove()
    root.setLevel(level)
    logging.getLogger(LOGGER).setLevel(logging.NOTSET)


def error():
    return ValueError("first\nsecond\x1b[31m")


def test_text_is_a_line_with_time_level_logger_and_message(stream):
    logs.configure(LogSettings(), stream=stream)
    logging.getLogger(LOGGER).warning("%s is late", "CP1")
    pattern = rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z WARNING {re.escape(LOGGER)}: CP1 is late\n"
    assert re.fullmatch(pattern, stream.getvalue())


def test_the_time_is_that_of_the_record_in_utc():
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "m", None, None)
    record.created = 1795326120.0429
    assert logs.TextFormatter().format(record) == "2026-11-22T05:42:00.042Z INFO    x: m"
    assert json.loads(logs.JsonFormatter().format(record))["time"] == "2026-11-22T05:42:00.042Z"


def test_json_is_one_object_a_line(stream):
    logs.configure(LogSettings(format="json"), stream=stream)
    logging.getLogger(LOGGER).error("zwei\nZeilen, ä und \udc80", exc_info=error())
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().isascii()
    entry = json.loads(stream.getvalue())
    assert entry.pop("time").endswith("Z")
    assert "ValueError: first\nsecond" in entry.pop("exception")
    assert entry == {"level": "ERROR", "logger": LOGGER, "message": "zwei\nZeilen, ä und \udc80"}


def test_json_without_a_traceback_has_no_exception(stream):
    logs.configure(LogSettings(format="json"), stream=stream)
    logging.getLogger(LOGGER).info("fine", stack_info=True)
    entry = json.loads(stream.getvalue())
    assert "exception" not in entry
    assert "test_logs" in entry["stack"]


def test_no_message_can_look_like_two_records(stream):
    logs.configure(LogSettings(), stream=stream)
    logging.getLogger(LOGGER).info("id %s", "CP\n2026-01-01T00:00:00.000Z INFO x: forged\r\x1b[2J\u2028")
    assert stream.getvalue().count("\n") == 1
    assert "CP\\n2026" in stream.getvalue()
    assert "\\x1b[2J\\u2028" in stream.getvalue()


def test_no_traceback_can_look_like_a_record(stream):
    logs.configure(LogSettings(), stream=stream)
    logging.getLogger(LOGGER).error("failed", exc_info=error(), stack_info=True)
    first, *below = stream.getvalue().splitlines()
    assert first.endswith(": failed")
    assert all(line.startswith("    ") for line in below)
    assert "    ValueError: first" in below
    assert "    second\\x1b[31m" in below


def test_levels_are_by_logger(stream):
    logs.configure(LogSettings(level="WARNING", levels={LOGGER: "DEBUG"}), stream=stream)
    logging.getLogger(LOGGER).debug("seen")
    logging.getLogger("chargehand.tests.other").info("not seen")
    assert "seen" in stream.getvalue()
    assert "not seen" not in stream.getvalue()


def test_a_file_is_written_beside_standard_error(stream, tmp_path):
    logs.configure(LogSettings(file=str(tmp_path / "x.log")), stream=stream)
    logging.getLogger(LOGGER).info("both")
    assert (tmp_path / "x.log").read_text() == stream.getvalue() != ""


def test_the_file_is_rotated_as_the_settings_say(stream, tmp_path):
    settings = LogSettings(
        file=str(tmp_path / "x.log"), rotate_when="hour", rotate_bytes=1, keep_files=2, disk_limit_bytes=0
    )
    logs.configure(settings, stream=stream, clock=lambda: 0.0)
    for number in range(5):
        logging.getLogger(LOGGER).info("line %d", number)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "x.log",
        "x.log.1970-01-01T00.3",
        "x.log.1970-01-01T00.4",
    ]


def test_a_second_call_replaces_the_first(stream, tmp_path):
    before = list(logging.getLogger().handlers)
    logs.configure(LogSettings(file=str(tmp_path / "x.log")), stream=stream)
    logs.configure(LogSettings(), stream=stream)
    assert len(logging.getLogger().handlers) == len(before) + 1
    logging.getLogger(LOGGER).info("once")
    assert stream.getvalue().count("once") == 1
    logs.remove()
    assert logging.getLogger().handlers == before


def test_standard_error_is_the_stream_unless_another_is_given(stream, capsys):
    logs.configure(LogSettings())
    logging.getLogger(LOGGER).info("to stderr")
    assert "to stderr" in capsys.readouterr().err


@pytest.mark.parametrize(("form", "wanted"), [("text", " ERROR   [2] "), ("json", '"worker": 2')])
def test_a_worker_says_so_in_its_lines_and_has_a_file_of_its_own(stream, tmp_path, form, wanted):
    path = tmp_path / "log"
    logs.configure(LogSettings(file=str(path), format=form), stream=stream, worker=2, workers=2)
    logging.getLogger(LOGGER).error("m")
    assert wanted in stream.getvalue()
    assert (tmp_path / "log.2").read_text() == stream.getvalue()
    assert not path.exists()


def test_workers_and_their_parent_share_the_bytes(stream, tmp_path):
    for worker in range(4):
        settings = LogSettings(file=str(tmp_path / "log"), format="json", disk_limit_bytes=40_000)
        logs.configure(settings, stream=stream, worker=worker, workers=3)
        for number in range(500):
            logging.getLogger(LOGGER).error("%d", number)
    files = list(tmp_path.iterdir())
    assert {path.name.split(".2")[0] for path in files} >= {"log", "log.1", "log.3"}
    assert 20_000 < sum(path.stat().st_size for path in files) <= 40_000


def test_a_device_has_all_of_them(stream):
    logs.configure(LogSettings(file="/dev/null"), stream=stream, worker=2, workers=2)
    logging.getLogger(LOGGER).error("m")
    (handler,) = [one for one in logging.getLogger().handlers if (one.name or "").endswith("file")]
    assert str(handler.path) == "/dev/null"


def test_the_audit_log_is_whole_on_a_disk_that_is_nearly_full(stream, tmp_path):
    log_file, audit_file = tmp_path / "x.log", tmp_path / "audit.jsonl"
    logs.configure(
        LogSettings(file=str(log_file), audit_file=str(audit_file)),
        stream=stream,
        least_free_bytes=1 << 62,
    )
    logging.getLogger(LOGGER).info("history")
    logging.getLogger(logs.AUDIT).info("changed")
    logs.remove()
    assert not log_file.exists() or "history" not in log_file.read_text()
    assert "changed" in audit_file.read_text()


# A full disk


class Full(io.StringIO):
    """Stream that can be written only while it has room."""

    full = False

    def write(self, text):
        if self.full:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_a_full_disk_costs_lines_and_says_how_many_once_it_is_back():
    full = Full()
    logs.configure(LogSettings(), stream=full)
    try:
        logging.getLogger(LOGGER).info("before")
        full.full = True
        for _ in range(3):
            logging.getLogger(LOGGER).info("lost")
        full.full = False
        logging.getLogger(LOGGER).info("after")
    finally:
        logs.remove()
    before, told, after = full.getvalue().splitlines()
    assert (before.endswith("before"), after.endswith("after")) == (True, True)
    assert told.endswith("WARNING chargehand.cli.logs: 3 lines before this one were lost")


def test_a_device_that_is_always_full_raises_nothing(capfd):
    with Path("/dev/full").open("w") as full:
        logs.configure(LogSettings(file="/dev/full"), stream=full)
        try:
            logging.getLogger(LOGGER).error("lost", exc_info=error())
        finally:
            logs.remove()
    assert capfd.readouterr().err == ""


def test_a_line_that_was_torn_is_ended_before_the_next_one(tmp_path, monkeypatch):
    path = tmp_path / "err"
    room = [10**6]

    def write(descriptor, data):
        some = bytes(data[: room[0]])
        if not some:
            raise OSError(28, "No space left on device")
        room[0] -= len(some)
        return real(descriptor, some)

    real = os.write
    with path.open("w") as stream:
        logs.configure(LogSettings(), stream=stream)
        monkeypatch.setattr("chargehand.cli.rotation.os.write", write)
        try:
            room[0] = 10
            logging.getLogger(LOGGER).info("torn")
            logging.getLogger(LOGGER).info("lost")
            room[0] = 10**6
            logging.getLogger(LOGGER).info("after")
        finally:
            logs.remove()
    torn, told, after = path.read_text().splitlines()
    assert len(torn) == 10
    assert told.endswith(": 2 lines before this one were lost")
    assert after.endswith("after")


def test_a_stream_that_was_closed_raises_nothing(capfd):
    stream = io.StringIO()
    logs.configure(LogSettings(), stream=stream)
    stream.close()
    try:
        logging.getLogger(LOGGER).error("lost")
    finally:
        logs.remove()
    assert capfd.readouterr().err == ""
