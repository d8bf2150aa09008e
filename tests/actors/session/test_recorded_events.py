"""Events in the flight recorder of a charge point, which explain the frames beside them."""

import time

import pytest

from chargehand import OcppError, v16
from chargehand.actors.session.cell import EVENT_CHARS
from chargehand.protocol.errors import ErrorCode
from chargehand.testing import Stage

from ..messages_of_v16 import PASSIVE

TIME_ANSWER = {"currentTime": "2026-01-01T00:00:00Z"}
BOOTED = {**TIME_ANSWER, "status": "Accepted", "interval": 300}


def rows(stage, *kinds):
    """Return kind and data of the rows, of some kinds or of all."""
    found = stage.cells["CP1"].recorder.rows()
    return [(row["kind"], row["data"]) for row in found if not kinds or row["kind"] in kinds]


def test_connections_come_and_go_with_their_peer_and_code(stage, charge_point):
    charge_point.hang_up(1001, "bye")
    stage.connect("CP1").hang_up()
    assert rows(stage) == [
        ("connected", "memory"),
        ("closed", "1001 bye"),
        ("connected", "memory"),
        ("closed", "1006"),
    ]


@pytest.mark.usefixtures("charge_point")
def test_a_takeover_is_one_and_what_becomes_of_the_old_connection_is_no_event(stage):
    stage.connect("CP1")
    assert rows(stage) == [
        ("connected", "memory"),
        ("connected", "memory"),
        ("takeover", "from memory by memory"),
    ]
    assert stage.counts["takeover"] == 1


def test_one_that_comes_back_takes_over_from_nobody(stage, charge_point):
    charge_point.hang_up()
    stage.connect("CP1")
    assert stage.counts["takeover"] == 0


@pytest.mark.parametrize("half_open", [True, False])
def test_a_half_open_socket_is_counted(stage, charge_point, half_open):
    charge_point.half_open = half_open
    charge_point.hang_up(1006, "no answer to the keepalive ping")
    assert stage.counts["half_open"] == half_open
    assert rows(stage, "closed") == [("closed", "1006 no answer to the keepalive ping")]


def test_what_a_plugin_answered_is_told_from_what_the_session_did(stage, charge_point, way):
    def refused():
        raise OcppError(ErrorCode.SECURITY_ERROR, "no")

    charge_point.call("Heartbeat")
    way[0] = refused
    charge_point.call("Heartbeat")
    charge_point.call("NoSuchAction")
    stage.send("CP1", v16.ClearCache())
    stage.settle()
    assert [kind for kind, _ in rows(stage)] == [
        "connected",
        "in",
        "answer",
        "in",
        "answer",
        "in",
        "out",
        "out",
    ]


def test_a_registration_stands_before_its_answer(stage, charge_point, way):
    way[0] = lambda: BOOTED
    charge_point.call("BootNotification", PASSIVE["BootNotification"])
    assert rows(stage)[2] == ("registration", "Accepted")
    assert rows(stage)[3][0] == "answer"


def test_a_fallback_says_for_which_call_and_why(stage, charge_point, way):
    way[0] = lambda: {"nonsense": 1}
    charge_point.call("Authorize", PASSIVE["Authorize"])
    assert rows(stage, "fallback") == [
        ("fallback", '["1", "Authorize", "the answer of its handler was invalid"]')
    ]
    assert rows(stage)[-1][0] == "out"


def test_a_deadline_is_an_event_before_its_fallback(stage, charge_point, way):
    def never():
        stage.wait_for(lambda: False, timeout_s=60)

    way[0] = never
    charge_point.call("Authorize", PASSIVE["Authorize"])
    stage.advance(10)
    assert [kind for kind, _ in rows(stage)][-3:] == ["deadline", "fallback", "out"]
    assert rows(stage, "deadline") == [("deadline", '["1", "Authorize"]')]


def test_of_a_long_text_the_beginning_is_kept_and_its_secrets_are_not(stage, charge_point):
    cell = stage.cells["CP1"]
    change = v16.ChangeConfiguration(key="AuthorizationKey", value="0123456789ABCDEF")
    cell.event("crash", f"{change!r} {'x' * 1000}")
    cell.event("crash", "x" * 1000)
    (_, secret), (_, long) = rows(stage, "crash")
    assert "0123" not in secret
    assert long == "x" * EVENT_CHARS
    charge_point.hang_up(1001, "\ud800 is no text")
    assert rows(stage, "closed") == [("closed", "1001 ? is no text")]


def test_without_a_recorder_nothing_is_noted():
    with Stage(recorder_bytes=0) as stage:
        stage.connect("CP1").hang_up()
        assert stage.cells["CP1"].recorder is None


@pytest.mark.usefixtures("charge_point")
def test_an_event_costs_microseconds(stage):
    """The bound is generous: about one microsecond is expected, so nothing long may be formatted or encoded."""
    cell, text = stage.cells["CP1"], "x" * 100_000
    begun_at = time.process_time()
    for _ in range(10_000):
        cell.event("fallback", text)
    assert time.process_time() - begun_at < 5  # by encoding, 10,000 texts of 100,000 characters take longer
