"""Closing handshake of the codec: sections 5.5.1, 7.1 and 7.4 of RFC 6455."""

import pytest

from chargehand.protocol.websocket import CloseCode, Closed, Codec, Event, Failed, Role, is_sendable

BOTH = pytest.mark.parametrize("role", Role)
CLOSE = 0x8


def peer_of(role: Role) -> Codec:
    return Codec(Role.CLIENT if role is Role.SERVER else Role.SERVER)


def close_frame(role: Role, body: bytes) -> bytes:
    """Return a close frame with any body, as the peer of `role` sends it."""
    return peer_of(role)._control(CLOSE, body)


def only(events: list[Event]) -> Closed | Failed:
    (event,) = events
    assert isinstance(event, Closed | Failed)
    return event


def read_by_peer(role: Role, reply: bytes | None) -> tuple[int, str]:
    assert reply is not None
    event = only(peer_of(role).receive(reply))
    return event.code, event.reason


@pytest.mark.parametrize(
    ("arguments", "raw"),
    [((), "880203e8"), ((1001, "bye"), "880503e9627965"), ((4999,), "88021387"), ((1005,), "8800")],
)
def test_a_close_frame_is_its_code_and_its_reason(arguments: tuple[()], raw: str) -> None:
    assert Codec(Role.SERVER).close(*arguments).hex() == raw


@BOTH
def test_a_close_is_answered_with_its_own_code(role: Role) -> None:
    peer, codec = peer_of(role), Codec(role)
    stream = peer.text(b"last") + peer.close(3000, "§") + peer.text(b"too late")
    text, *rest = codec.receive(stream)
    closed = only(rest)
    assert (text, type(closed), closed.code, closed.reason) == (b"last", Closed, 3000, "§")
    assert read_by_peer(role, closed.reply) == (3000, "")
    assert codec.receive(peer.text(b"too late")) == []
    assert codec.close() == b""


@BOTH
def test_a_close_without_a_body_means_1005_and_is_answered_without_a_body(role: Role) -> None:
    closed = only(Codec(role).receive(close_frame(role, b"")))
    assert (type(closed), closed.code, closed.reason) == (Closed, 1005, "")
    assert read_by_peer(role, closed.reply) == (1005, "")


@BOTH
def test_a_close_inside_a_fragmented_message_is_a_close(role: Role) -> None:
    fragment = peer_of(role)._frame(0x1, b"never ended")
    assert only(Codec(role).receive(fragment + close_frame(role, b"\x03\xe9"))).code == 1001


@BOTH
def test_only_codes_that_may_be_sent_are_accepted(role: Role) -> None:
    allowed = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
    for code in (*range(5100), 32_768, 65_535):
        event = only(Codec(role).receive(close_frame(role, code.to_bytes(2, "big") + b"why")))
        expected = (Closed, code) if code in allowed else (Failed, CloseCode.PROTOCOL_ERROR)
        assert (type(event), event.code) == expected
        assert read_by_peer(role, event.reply)[0] == event.code
        assert is_sendable(code) is (code in allowed)


@BOTH
@pytest.mark.parametrize("byte", [b"\0", b"\3", b"\xff"])
def test_a_close_of_one_byte_breaks_the_protocol(role: Role, byte: bytes) -> None:
    failed = only(Codec(role).receive(close_frame(role, byte)))
    assert (type(failed), failed.code) == (Failed, CloseCode.PROTOCOL_ERROR)


@BOTH
@pytest.mark.parametrize("reason", [b"\xff", b"cut \xc3", b"\xed\xa0\x80"])
def test_a_reason_that_is_not_utf_8_fails_with_1007(role: Role, reason: bytes) -> None:
    failed = only(Codec(role).receive(close_frame(role, b"\x03\xe8" + reason)))
    assert (type(failed), failed.code) == (Failed, CloseCode.INVALID_DATA)
    assert read_by_peer(role, failed.reply) == (failed.code, failed.reason)


@BOTH
def test_a_reason_of_123_bytes_is_read(role: Role) -> None:
    assert only(Codec(role).receive(close_frame(role, b"\x03\xe8" + b"x" * 123))).reason == "x" * 123


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1006, 1015, 2999, 5000, 65_536])
def test_writing_a_code_that_must_not_be_sent_is_the_callers_fault(code: int) -> None:
    codec = Codec(Role.SERVER)
    with pytest.raises(ValueError, match=str(code)):
        codec.close(code)
    assert codec.close() == bytes.fromhex("880203e8")


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("x" * 123, b"x" * 123),
        ("x" * 124, b"x" * 123),
        ("x" * 122 + "§", b"x" * 122),
        ("x" * 121 + "§", b"x" * 121 + "§".encode()),
        ("x" * 120 + "😀", b"x" * 120),
        ("lone \ud800", b"lone ?"),
    ],
)
def test_a_reason_is_cut_to_whole_characters(reason: str, sent: bytes) -> None:
    assert Codec(Role.SERVER).close(4000, reason)[4:] == sent


@BOTH
def test_after_our_close_texts_still_come_in_and_the_peers_close_needs_no_reply(role: Role) -> None:
    peer, codec = peer_of(role), Codec(role)
    assert codec.close(CloseCode.GOING_AWAY) != b""
    assert codec.close() == b""
    assert codec.receive(peer.text(b"crossed")) == [b"crossed"]
    assert codec.receive(peer.close(1001)) == [Closed(1001, "", None)]


@BOTH
def test_a_failure_after_our_close_needs_no_reply(role: Role) -> None:
    codec = Codec(role)
    codec.close()
    failed = only(codec.receive(close_frame(role, b"\x03")))
    assert (type(failed), failed.reply) == (Failed, None)
