"""Messages that no charge point should send: the CALLERROR or close code, and a server that goes on."""

import contextlib
import struct
from typing import Any

import pytest

from .conftest import ON_EACH_STORE, StartServer
from .rawsocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, RawSocket, encode
from .server import Server

pytestmark = ON_EACH_STORE


MIB = 1 << 20


@pytest.fixture
def raw(server: Server, request: pytest.FixtureRequest) -> Any:
    """Booted charge point of the test's own, which must still be served at the test's end unless the test closed it."""
    with RawSocket.open(f"{server.ws}BAD-{abs(hash(request.node.name))}") as opened:
        yield opened.boot()


def assert_still_served(raw: RawSocket) -> None:
    """Check that the same socket answers, and with nothing else before it."""
    assert raw.call("Heartbeat", {})[0] == 3


def assert_fresh_connection_served(server: Server) -> None:
    """Check that the server is the same process and accepts new charge points."""
    with RawSocket.open(server.ws + "FRESH") as fresh:
        assert_still_served(fresh.boot())
    assert server.alive
    assert server.process.pid == server.pid
    assert "Traceback" not in server.output, server.output[-5000:]


# Texts that are not answered


@pytest.mark.parametrize(
    "text",
    [
        "pong",
        "",
        " ",
        "hello",
        "{}",
        "[]",
        "null",
        "17",
        '"text"',
        "[1]",
        "[2]",
        '[5,"x","Heartbeat",{}]',
        '["2","x","Heartbeat",{}]',
        "[2,",
        "[" * 100_000,
        '{"a":' * 50_000,
        "\x00",
        '[3,"nobody asked",{}]',
        '[4,"nobody asked","InternalError","",{}]',
        '[3,"x"',
        '[4,"x","Inter',
        "[3]",
        "[4]",
        '[4,"x"]',
        '[3,"x",{},"more"]',
        "[3,null,{}]",
    ],
    ids=lambda text: text[:24] or "empty",
)
def test_what_is_no_call_and_answers_nothing_is_ignored(raw: RawSocket, text: str) -> None:
    raw.send(text)
    assert_still_served(raw)


# Broken CALLs


@pytest.mark.parametrize(
    "text",
    [
        '[2,"id-1","Heartbeat",{]',
        '[2,"id-1","Heartbeat",{}',
        '[2,"id-1","Heartbeat",{"a":',
        '[2,"id-1","StopTransaction",{"transactionId":,"meterStop":1}]',
        '[2,"id-1","DataTransfer",{"vendorId":"bad \\escape"}]',
        '[2,"id-1","DataTransfer",{"vendorId":"cut of',
        '[2,"id-1","Heartbeat"]',
        '[2,"id-1"]',
        '[2,"id-1","Heartbeat",{},{}]',
    ],
)
def test_a_broken_call_with_a_readable_id_is_a_formation_violation(raw: RawSocket, text: str) -> None:
    raw.send(text)
    answer = raw.answer_to("id-1")
    assert answer[0] == 4
    assert answer[2] == "FormationViolation"
    assert isinstance(answer[3], str)
    assert answer[4] == {} or isinstance(answer[4], dict)
    assert len(answer) == 5
    assert_still_served(raw)


@pytest.mark.parametrize("action", ["5", "null", "{}", "[]", "true"])
def test_an_action_that_is_no_string_is_a_type_constraint_violation(raw: RawSocket, action: str) -> None:
    raw.send(f'[2,"id-1",{action},{{}}]')
    assert raw.answer_to("id-1")[2] == "TypeConstraintViolation"
    assert_still_served(raw)


@pytest.mark.parametrize("payload", ["[]", "5", '"text"', "true"])
def test_a_payload_that_is_no_object_is_refused(raw: RawSocket, payload: str) -> None:
    raw.send(f'[2,"id-1","Heartbeat",{payload}]')
    assert raw.answer_to("id-1")[2] in {"FormationViolation", "TypeConstraintViolation"}
    assert_still_served(raw)


@pytest.mark.parametrize("action", ["MakeCoffee", "heartbeat", "", "Heartbeat ", "ünknown", "A" * 500])
def test_an_unknown_action_is_not_implemented(raw: RawSocket, action: str) -> None:
    answer = raw.call(action, {})
    assert answer[0] == 4
    assert answer[2] == "NotImplemented"
    assert_still_served(raw)


def test_an_action_of_the_other_direction_is_not_supported(raw: RawSocket) -> None:
    assert raw.call("Reset", {"type": "Soft"})[2] in {"NotSupported", "NotImplemented"}
    assert_still_served(raw)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"idTag": {"deep": 1}}, "TypeConstraintViolation"),
        ({"idTag": ["TAG1"]}, "TypeConstraintViolation"),
        ({}, "OccurenceConstraintViolation"),
    ],
)
def test_a_wrong_shape_is_refused_with_its_code_even_by_the_lenient_policy(
    raw: RawSocket, payload: dict[str, Any], code: str
) -> None:
    assert raw.call("Authorize", payload)[2] == code
    assert_still_served(raw)


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Authorize", {"idTag": 5}, "TypeConstraintViolation"),
        ("Authorize", {"idTag": "x" * 21}, "PropertyConstraintViolation"),
        ("Authorize", {}, "OccurenceConstraintViolation"),
        ("Authorize", {"idTag": "TAG1", "colour": "red"}, "FormationViolation"),
        (
            "StatusNotification",
            {"connectorId": "1", "errorCode": "NoError", "status": "Available"},
            "TypeConstraintViolation",
        ),
        (
            "StatusNotification",
            {"connectorId": 1, "errorCode": "NoError", "status": "Bored"},
            "PropertyConstraintViolation",
        ),
    ],
)
def test_the_strict_policy_refuses_every_deviation_with_its_code(
    strict_server: Server, action: str, payload: dict[str, Any], code: str
) -> None:
    with RawSocket.open(strict_server.ws + "STRICT").boot() as raw:
        answer = raw.call(action, payload)
        assert answer[0] == 4, answer
        assert answer[2] == code, answer
        assert_still_served(raw)


@pytest.fixture(scope="module")
def strict_server(start_module_server: StartServer) -> Server:
    """Server with the strict policy."""
    return start_module_server(config='policy = "strict"\n')


def test_a_start_without_a_required_member_is_answered_with_a_transaction_id(raw: RawSocket) -> None:
    answer = raw.call("StartTransaction", {"connectorId": 1, "idTag": "TAG1"})
    assert answer[0] == 3, answer
    assert answer[2]["transactionId"] > 0


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("StopTransaction", {"transactionId": -1, "meterStop": 5, "timestamp": "2026-05-04T12:34:56Z"}),
        ("StopTransaction", {"transactionId": 0, "meterStop": 5, "timestamp": "2026-05-04T12:34:56Z"}),
        ("StopTransaction", {"transactionId": 999_999, "meterStop": 5, "timestamp": "2026-05-04T12:34:56Z"}),
        ("StopTransaction", {"transactionId": 2**63, "meterStop": 5, "timestamp": "2026-05-04T12:34:56Z"}),
        (
            "StopTransaction",
            {"transactionId": 10**30, "meterStop": 10**30, "timestamp": "2026-05-04T12:34:56Z"},
        ),
        ("StopTransaction", {"transactionId": 1}),
        ("MeterValues", {"connectorId": 1}),
        ("MeterValues", {"connectorId": 1, "meterValue": []}),
        ("MeterValues", {"connectorId": 1, "transactionId": 424_242, "meterValue": []}),
    ],
)
def test_doubtful_transaction_messages_are_acknowledged(
    raw: RawSocket, action: str, payload: dict[str, Any]
) -> None:
    answer = raw.call(action, payload)
    assert answer[0] == 3, answer
    assert_still_served(raw)


def test_a_message_id_of_255_characters_is_echoed(raw: RawSocket) -> None:
    unique_id = "ü" * 255
    raw.send_call("Heartbeat", {}, unique_id)
    assert raw.answer_to(unique_id)[0] == 3


# Frames


@pytest.mark.parametrize(
    ("data", "code"),
    [
        # Each has an id: the mask, and so the frame, is by chance.
        pytest.param(encode(b'[2,"1","Heartbeat",{}]', masked=False), 1002, id="unmasked"),
        pytest.param(encode(b'[2,"1","Heartbeat",{}]', reserved=4), 1002, id="first reserved bit"),
        pytest.param(encode(b'[2,"1","Heartbeat",{}]', reserved=1), 1002, id="last reserved bit"),
        pytest.param(encode(b"", 3), 1002, id="unknown opcode 3"),
        pytest.param(encode(b"", 11), 1002, id="unknown opcode 11"),
        pytest.param(encode(b"more", CONTINUATION), 1002, id="continuation of nothing"),
        pytest.param(encode(b"[2,", final=False) + encode(b"[2,"), 1002, id="message within a message"),
        pytest.param(encode(b"x" * 126, PING), 1002, id="long ping"),
        pytest.param(encode(b"x", PING, final=False), 1002, id="ping in parts"),
        pytest.param(encode(b"\x00", CLOSE), 1002, id="close of one byte"),
        pytest.param(encode(struct.pack("!H", 1005), CLOSE), 1002, id="close with 1005"),
        pytest.param(encode(b'[2,"1","Heartbeat",{}]', BINARY), 1003, id="binary"),
        pytest.param(encode(b"", BINARY), 1003, id="empty binary"),
        pytest.param(encode(b'[2,"1","DataTransfer",{"vendorId":"\xff"}]'), 1007, id="byte that is no UTF-8"),
        pytest.param(encode(b'[2,"1","DataTransfer",{"vendorId":"\xed\xa0\x80"}]'), 1007, id="surrogate"),
        pytest.param(
            encode(b"\xc3", final=False) + encode(b"(", CONTINUATION), 1007, id="UTF-8 cut by a fragment"
        ),
        pytest.param(
            encode(struct.pack("!H", 1000) + b"\xff", CLOSE), 1007, id="close whose reason is no UTF-8"
        ),
    ],
)
def test_a_frame_that_breaks_the_protocol_closes_with_its_code(
    raw: RawSocket, data: bytes, code: int
) -> None:
    raw.send_bytes(data)
    assert raw.close_code() == code


def test_a_message_over_the_limit_closes_with_1009_before_it_was_read(raw: RawSocket) -> None:
    head = struct.pack("!BBQ", 0x80 | TEXT, 0x80 | 127, 2 * MIB)
    raw.send_bytes(head + b"mask" + b"x" * 1000)
    assert raw.close_code() == 1009


def test_a_two_mib_frame_sent_whole_closes_with_1009(raw: RawSocket, server: Server) -> None:
    with contextlib.suppress(ConnectionError):  # the server may have hung up before the end of it
        raw.send(b"x" * 2 * MIB)
    assert raw.close_code() in {1009, None}  # None: the close was lost with what we still had to send
    assert_fresh_connection_served(server)


def test_fragments_that_are_over_the_limit_together_close_with_1009(raw: RawSocket) -> None:
    with contextlib.suppress(ConnectionError):
        raw.send(b"[" + b" " * (600 << 10), final=False)
        raw.send(b" " * (600 << 10), CONTINUATION)
    assert raw.close_code() == 1009


def test_a_fragmented_call_with_a_ping_in_between_is_one_call(raw: RawSocket) -> None:
    raw.send(b'[2,"frag', final=False)
    raw.send(b"still there?", PING)
    raw.send(b'mented","Heart', CONTINUATION, final=False)
    raw.send(b'beat",{}]', CONTINUATION)
    pong = raw.frame()
    assert (pong.opcode, pong.payload) == (PONG, b"still there?")
    assert raw.answer_to("fragmented")[0] == 3


def test_a_call_that_comes_byte_by_byte_is_one_call(raw: RawSocket) -> None:
    for byte in encode(b'[2,"slow","Heartbeat",{}]'):
        raw.send_bytes(bytes((byte,)))
    assert raw.answer_to("slow")[0] == 3


def test_a_close_is_answered_with_its_code(raw: RawSocket) -> None:
    raw.send(struct.pack("!H", 1000) + b"bye", CLOSE)
    assert raw.close_code() == 1000
