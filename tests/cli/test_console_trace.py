"""The console trace: a line for each message that a charge point sent or received."""

import json

import gevent
import pytest

from chargehand.cli.console_trace import ConsoleTrace
from chargehand.simulator import Kind
from chargehand.simulator.message_log import MessageLog


class LoggedRecord:
    """Message log whose entries are traced as they are added."""

    def __init__(self):
        self.lines = []
        self.record = MessageLog(100, lambda: 0.0)
        self.diary = ConsoleTrace(self.record, self.lines.append)
        self.number = 0

    def call(self, action, request, answer, *, ours=True):
        """Add a CALL and its answer; `answer` is the rest of a frame."""
        self.number += 1
        there, back = (Kind.SENT, Kind.RECEIVED) if ours else (Kind.RECEIVED, Kind.SENT)
        self.record.add(there, json.dumps([2, str(self.number), action, request]).encode())
        self.record.add(back, json.dumps([answer[0], str(self.number), *answer[1:]]).encode())
        self.diary.catch_up()
        return " ".join(self.lines.pop().split())


@pytest.fixture
def told():
    return LoggedRecord()


@pytest.mark.parametrize(
    ("action", "request_", "response", "line"),
    [
        (
            "BootNotification",
            {"chargePointVendor": "A", "chargePointModel": "B"},
            {"status": "Pending", "interval": 9, "currentTime": "x"},
            "A B: Pending, a heartbeat every 9 s",
        ),
        ("Heartbeat", {}, {"currentTime": "2026-01-01T00:00:00Z"}, "it is 2026-01-01T00:00:00Z"),
        ("StatusNotification", {"connectorId": 0, "status": "Faulted"}, {}, "the charge point is Faulted"),
        ("StatusNotification", {"connectorId": 2, "status": "Charging"}, {}, "connector 2 is Charging"),
        ("Authorize", {"idTag": "T\x1b"}, {"idTagInfo": {"status": "Blocked"}}, "T\\x1b: Blocked"),
        (
            "StartTransaction",
            {"connectorId": 1, "idTag": "T1", "meterStart": 5},
            {"transactionId": 7, "idTagInfo": {"status": "Accepted"}},
            "transaction 7 on connector 1 for T1: Accepted",
        ),
        (
            "MeterValues",
            {"connectorId": 1, "meterValue": [{"sampledValue": [{"value": "12"}]}]},
            {},
            "connector 1 is at 12 Wh",
        ),
        (
            "StopTransaction",
            {"transactionId": 7, "meterStop": 30, "reason": "Remote"},
            {},
            "transaction 7 at 30 Wh: Remote",
        ),
        ("DataTransfer", {"vendorId": "ü"}, {"status": "Rejected"},
            '{"vendorId": "ü"} was answered with {"status": "Rejected"}'),
        ("Authorize", {"idTag": "T1"}, {"odd": 1}, '{"idTag": "T1"} was answered with {"odd": 1}'),
        ("Heartbeat", {}, None, "{} was answered with null"),
    ],
)  # fmt: skip
def test_each_call_and_its_answer_are_one_line(told, action, request_, response, line):
    assert told.call(action, request_, [3, response]) == f"{action} {line}"


def test_a_callerror_is_told_with_its_code(told):
    line = told.call("Authorize", {"idTag": "T1"}, [4, "InternalError", "no\nluck", {}])
    assert line == "Authorize refused with InternalError: no\\nluck"


def test_a_command_is_told_with_what_it_was_answered(told):
    line = told.call("Reset", {"type": "Soft"}, [3, {"status": "Accepted"}], ours=False)
    assert line == 'Reset asked for with {"type": "Soft"}, answered with {"status": "Accepted"}'
    line = told.call("Reset", {"type": "Soft"}, [4, "NotSupported", "never", {}], ours=False)
    assert line == 'Reset asked for with {"type": "Soft"}, refused with NotSupported: never'


def test_a_long_payload_is_cut(told):
    line = told.call("GetConfiguration", {}, [3, {"unknownKey": ["x" * 1000]}], ours=False)
    assert len(line) < 300
    assert line.endswith("…")


def test_calls_of_both_sides_with_the_same_id_are_told_apart(told):
    for kind, frame in [
        (Kind.SENT, [2, "1", "Heartbeat", {}]),
        (Kind.RECEIVED, [2, "1", "ClearCache", {}]),
        (Kind.SENT, [3, "1", {"status": "Accepted"}]),
        (Kind.RECEIVED, [3, "1", {"currentTime": "now"}]),
    ]:
        told.record.add(kind, json.dumps(frame).encode())
    told.diary.catch_up()
    assert [line.split()[0] for line in told.lines] == ["ClearCache", "Heartbeat"]


def test_the_connection_is_told_of_too_and_what_is_no_frame_is_not(told):
    told.record.add(Kind.CONNECTED, b"ocpp1.6")
    told.record.add(Kind.RECEIVED, b"nonsense")
    told.record.add(Kind.RECEIVED, b'[3,"nobody asked",{}]')
    told.record.add(Kind.CLOSED, b"1001 it stops")
    told.diary.catch_up()
    told.diary.catch_up()
    assert [line.split(maxsplit=1) for line in told.lines] == [
        ["connected", "ocpp1.6"],
        ["closed", "1001 it stops"],
    ]


def test_it_tells_while_it_happens(told):
    following = gevent.spawn(told.diary.follow)
    try:
        for word in (b"a", b"b"):
            told.record.add(Kind.CONNECTED, word)
            with gevent.Timeout(60):
                while word.decode() not in "".join(line.split()[-1] for line in told.lines):
                    gevent.sleep(0)
    finally:
        following.kill()
    assert len(told.lines) == 2


def test_a_text_that_is_no_frame_is_shown_when_a_charge_point_sends_it(told):
    told.record.add(Kind.SENT, b"pong")
    told.record.add(Kind.RECEIVED, b"nothing that is understood")
    told.diary.catch_up()
    assert [line.split() for line in told.lines] == [["no", "frame", "pong"]]
