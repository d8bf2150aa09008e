"""`chargehand tail`: which streams it reads, how it shows what comes, and what it does when a stream is lost."""

import json

import pytest
from click.testing import CliRunner

from chargehand.cli.api import Api
from chargehand.cli.event_stream import StreamedEvent, follow
from chargehand.cli.failures import CommandFailed
from chargehand.cli.main import main
from chargehand.cli.tail import Notice, Source, Tail, json_of, line_of, sources

pytestmark = pytest.mark.usefixtures("_clean_environment")

AT = "2026-05-04T12:34:56.789Z"
STATUS = {
    "at": AT, "kind": "StatusChanged", "id": "", "schema": 1, "charge_point": "CP1", "status": "Faulted", "code": "",
    "info": "\x1b[2J",
}  # fmt: skip
STREAM = (
    b": from now on\n\nid: 7\nevent: StatusChanged\ndata: "
    + json.dumps(STATUS).encode()
    + b'\n\n:\n\nevent: Booted\ndata: {"charge_point":\ndata: "CP2"}\n\n'
)


def test_a_stream_is_read_event_by_event(stub):
    stub.body = STREAM
    found = list(follow(Api(stub.url, "t"), "events", after="6", kind="Booted"))
    assert found == [
        None,
        StreamedEvent("StatusChanged", STATUS, "7"),
        StreamedEvent("Booted", {"charge_point": "CP2"}, ""),
    ]
    assert stub.requests == [("/api/v1/events?kind=Booted", "Bearer t", b"")]
    assert (stub.headers[0]["Accept"], stub.headers[0]["Last-Event-ID"]) == ("text/event-stream", "6")


def test_what_is_no_stream_is_no_chargehand(stub):
    stub.body = b"event: x\ndata: {\n\n"
    with pytest.raises(CommandFailed, match="not chargehand"):
        list(follow(Api(stub.url, ""), "events"))


@pytest.mark.parametrize(
    ("charge_points", "kinds", "frames", "wanted"),
    [
        ((), (), False, [Source(("events",), {})]),
        (("a",), ("Booted", "X"), False, [Source(("events",), {"kind": "Booted,X", "charge_point": "a"})]),
        (("a", "b"), (), False, [Source(("events",), {})]),
        (("a", "b"), (), True, [Source(("charge-points", id_, "frames"), {}, id_) for id_ in "ab"]),
        (("a",), ("Booted",), True, [Source(("events",), {"kind": "Booted", "charge_point": "a"}),
                                     Source(("charge-points", "a", "frames"), {}, "a")]),
    ],
)  # fmt: skip
def test_streams_are_chosen(charge_points, kinds, frames, wanted):
    assert sources(charge_points, kinds, frames=frames) == wanted


def test_a_stream_that_ends_is_asked_for_again_behind_its_last_event(stub):
    stub.body = STREAM
    waits = []
    following = Tail(Api(stub.url, ""), [Source(("events",), {})], wait=waits.append)
    came = []
    for one in following:
        came.append(one)
        if len(came) == 6:
            break
    following.close()
    events = [one[1].name for one in came if not isinstance(one, Notice)]
    notices = [one.text for one in came if isinstance(one, Notice)]
    assert events[:3] == ["StatusChanged", "Booted", "StatusChanged"]
    assert [notice.partition(";")[0] for notice in notices[:2]] == [
        "the server has ended the stream",
        "the server answers again",
    ]
    assert [headers["Last-Event-ID"] for headers in stub.headers[:2]] == [None, "7"]
    assert waits


def test_events_and_frames_are_lines_for_people():
    events, frames = Source(("events",), {}), Source(("x",), {}, "CP1")
    shown = line_of(events, StreamedEvent("StatusChanged", STATUS, ""))
    assert shown == '2026-05-04 12:34:56.789Z CP1 StatusChanged {"status": "Faulted", "info": "\\u001b[2J"}'
    row = {"at": AT, "kind": "in", "data": '[2,"1","Heartbeat",{}]\x07'}
    assert line_of(frames, StreamedEvent("frame", row, "")) == (
        '2026-05-04 12:34:56.789Z CP1 -> [2,"1","Heartbeat",{}]\\x07'
    )
    assert "<- x" in line_of(frames, StreamedEvent("frame", row | {"kind": "answer", "data": "x"}, ""))
    assert "CP1 closed 1000" in line_of(
        frames, StreamedEvent("frame", row | {"kind": "closed", "data": "1000"}, "")
    )
    assert "may be missing" in line_of(frames, StreamedEvent("missed", {}, ""))


def test_a_line_of_json_has_the_name_and_the_charge_point():
    told = json.loads(json_of(Source(("x",), {}, "CP1"), StreamedEvent("frame", {"data": "\x1b"}, "")))
    assert told == {"event": "frame", "charge_point": "CP1", "data": "\x1b"}


def test_a_refusal_ends_it_with_the_next_step(stub):
    stub.status, stub.body = 503, {"title": "Too many streams", "description": "100 are open"}
    done = CliRunner().invoke(main, ["tail", "--url", stub.url])
    assert (done.exit_code, "100 are open" in done.stderr, "next: " in done.stderr) == (1, True, True)
    done = CliRunner().invoke(main, ["tail", "--url", "http://127.0.0.1:1"])
    assert (done.exit_code, "no answer from a server" in done.stderr) == (1, True)


def test_frames_of_nobody_are_refused():
    done = CliRunner().invoke(main, ["tail", "--frames"])
    assert (done.exit_code, "tail --frames CP" in done.stderr) == (2, True)
