"""Levels of single charge points: which records are written, and the frames of who is at DEBUG."""

import datetime as dt
import io
import json
import logging

import pytest

from chargehand import CentralSystem, Settings
from chargehand.cli import logs
from chargehand.cli.log_levels import LevelFollower
from chargehand.config.settings import LogSettings
from chargehand.protocol.log_fields import about
from chargehand.simulator import ChargePoint
from chargehand.store.records import LogLevel

logger = logging.getLogger("chargehand.shop")
quiet = logging.getLogger("chargehand.quiet")
NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def written():
    """Configure JSON lines; return the levels, and a function that gives what was written."""
    root = logging.getLogger()
    level, stream = root.level, io.StringIO()
    settings = LogSettings(format="json", levels={"chargehand.quiet": "ERROR"})
    levels = logs.configure(settings, stream=stream)
    yield levels, lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    levels.set({})
    logs.remove()
    root.setLevel(level)
    quiet.setLevel(logging.NOTSET)


def said(rows):
    return [row["message"] for row in rows if row["logger"].startswith("chargehand.")]


def test_a_charge_point_at_debug_has_lines_that_others_have_not(written):
    levels, rows = written
    levels.set({"CP1": logging.DEBUG, "CP2": logging.ERROR})
    for charge_point in ("CP1", "CP2", "CP3"):
        for one in (logger, quiet):
            one.debug("debug %s", charge_point, extra=about(charge_point=charge_point))
            one.warning("warning %s", charge_point, extra=about(charge_point=charge_point))
    logger.debug("debug of nobody")
    assert said(rows()) == ["debug CP1", "warning CP1", "debug CP1", "warning CP1", "warning CP3"]


def test_without_levels_of_their_own_everything_is_as_configured(written):
    levels, rows = written
    root = logging.getLogger().level
    levels.set({"CP1": logging.DEBUG})
    assert logging.getLogger().level == logging.DEBUG
    levels.set({})
    assert (logging.getLogger().level, quiet.level) == (root, logging.ERROR)
    logger.debug("debug CP1", extra=about(charge_point="CP1"))
    assert said(rows()) == []


def test_frames_of_a_charge_point_at_debug_are_lines_until_the_time_is_over(written):
    levels, rows = written
    with CentralSystem(Settings(port=0)) as system:
        follower = LevelFollower(system, levels)
        with ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp/", "CP1") as charge_point:
            record = LogLevel(charge_point_id="CP1", level="DEBUG", until=NOW + dt.timedelta(hours=1))
            system.log_levels.set(record)
            follower.look()
            charge_point.authorize("T1")
            follower.log_frames()
            frames = [row for row in rows() if row["logger"] == "chargehand.frames"]
            assert ["Authorize" in row["message"] for row in frames] == [True, False]
            assert {row["charge_point"] for row in frames} == {"CP1"}
            assert frames[0]["message"].startswith("CP1 in [2,")
            system.log_levels.set(LogLevel(charge_point_id="CP1", level="DEBUG", until=NOW))
            follower.look()
            charge_point.authorize("T2")
            follower.log_frames()
            assert len([row for row in rows() if row["logger"] == "chargehand.frames"]) == len(frames)
            assert system.log_levels.all() == []
            assert len(system.store.collections.log_levels) == 0
