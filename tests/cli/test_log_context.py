"""Log lines have fields that say what they are about, found when they are written and not before."""

import io
import json
import logging

import pytest

from chargehand import CentralSystem, Plugin, Settings, on_outcome, passive, v16
from chargehand.cli import logs
from chargehand.config.settings import LogSettings
from chargehand.protocol.log_fields import about
from chargehand.simulator import ChargePoint
from chargehand.system import log_context

from ..hub import until

logger = logging.getLogger("shop.tags")


class Tags(Plugin):
    """Logs a line in each handler; some tags make it fail, or send a command."""

    @passive(v16.Authorize)
    def authorize(self, call):
        logger.warning("asked for %s", call.request.id_tag)
        if call.request.id_tag == "bad":
            raise KeyError("planted")
        if call.request.id_tag == "send":
            self.system.send(call.charge_point, v16.ClearCache())
        return v16.AuthorizeResponse(id_tag_info=v16.IdTagInfo(status="Accepted"))

    @on_outcome()
    def ended(self, _ticket):
        logger.warning("a command has ended")


@pytest.fixture
def written():
    """Configure JSON lines; return what was written, as objects."""
    root = logging.getLogger()
    level, stream = root.level, io.StringIO()
    logs.configure(LogSettings(format="json"), stream=stream)

    def written(text=""):
        rows = [json.loads(line) for line in stream.getvalue().splitlines()]
        return [row for row in rows if text in row["message"]]

    yield written
    logs.remove()
    root.setLevel(level)


@pytest.fixture
def charge_point(written):
    with (
        CentralSystem(Settings(port=0), plugins=[Tags.spec()]) as system,
        ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp/", "CP1") as charge_point,
    ):
        until(lambda: written("CP1 booted"), "it has booted")
        yield charge_point


def test_lines_of_a_session_have_charge_point_version_and_connection(written, charge_point):
    for text in ("CP1 is online", "CP1 booted"):
        (row,) = written(text)
        assert (row["charge_point"], row["version"]) == ("CP1", "1.6")
        assert row["connection"].startswith("127.0.0.1:")


def test_a_line_of_a_plugins_own_logger_says_which_plugin_and_charge_point(written, charge_point):
    charge_point.authorize("T1")
    (row,) = written("asked for T1")
    assert (row["logger"], row["plugin"], row["charge_point"], row["version"]) == (
        "shop.tags",
        "Tags",
        "CP1",
        "1.6",
    )


def test_a_handler_that_fails_is_logged_with_its_charge_point(written, charge_point):
    with pytest.raises(Exception, match="InternalError"):
        charge_point.authorize("bad")
    (row,) = [row for row in written() if "planted" in row.get("exception", "")]
    assert row["charge_point"] == "CP1"


def test_the_end_of_a_command_is_logged_with_its_ticket(written, charge_point):
    charge_point.authorize("send")
    until(lambda: written("a command has ended"), "the plugin is told")
    (row,) = written("a command has ended")
    assert (row["charge_point"], row["plugin"]) == ("CP1", "Tags")
    assert row["ticket"]


def test_nothing_is_looked_for_when_a_line_is_not_written(written, monkeypatch):
    looked = []
    monkeypatch.setattr(log_context, "_at_work", lambda: looked.append(1) or ())
    logger.debug("not written")
    assert looked == []
    logger.info("written")
    assert looked == [1]


def test_what_a_record_says_itself_wins_and_cannot_replace_its_text(written):
    logger.info("x", extra=about(charge_point="CP9", ticket="", message="forged", level="NONE"))
    (row,) = written("x")
    assert (row["charge_point"], row["message"], row["level"]) == ("CP9", "x", "INFO")
    assert "ticket" not in row


def test_in_text_the_fields_stand_behind_the_line_and_forge_nothing():
    stream = io.StringIO()
    logs.configure(LogSettings(), stream=stream)
    try:
        logger.warning("x", extra=about(plugin="Tags", charge_point="CP 1]\n2026 INFO", other="no"))
    finally:
        logs.remove()
    assert stream.getvalue().endswith(' shop.tags: x [charge_point="CP 1]\\\\n2026 INFO" plugin=Tags]\n')
