"""Broken text is found at its first wrong byte, wherever frames and packets are cut (RFC 6455, section 8.1)."""

import pytest

from chargehand.protocol.websocket import Codec, Failed, Ping, Role

from .test_websocket import BOTH, CONTINUATION, FIN, PING, TEXT, frame

GOOD = "κόσμε-⚡-\U0001f50c".encode()
WRONG = [
    (b"\xf4\x90\x80\x80", 2),  # above the last character: its second byte says so
    (b"\xed\xa0\x80", 3),  # half of a pair: Python waits for all of it
    (b"\xe0\x80\xaf", 2),  # a slash in three bytes
    (b"\xc0\xaf", 1),
    (b"\xff", 1),
    (b"\x80", 1),
    (b"\xc3x", 2),
]


def failed_at(codec: Codec, data: bytes) -> int:
    """Count the bytes, fed one by one, until the codec fails with 1007; -1 if it never does."""
    for at in range(len(data)):
        events = codec.receive(data[at : at + 1])
        if events and isinstance(events[-1], Failed):
            assert events[-1].code == 1007
            return at + 1
    return -1


@BOTH
@pytest.mark.parametrize(("wrong", "size"), WRONG)
@pytest.mark.parametrize("before", [b"", b"a", GOOD, b"x" * 130, b"x" * 70_000])
def test_a_frame_that_comes_in_bytes_fails_at_the_first_wrong_one(
    role: Role, wrong: bytes, size: int, before: bytes
) -> None:
    data = frame(role, FIN | TEXT, before + wrong + b"more to come")
    head = len(data) - len(before + wrong + b"more to come")
    assert failed_at(Codec(role), data) == head + len(before) + size


@BOTH
@pytest.mark.parametrize(("wrong", "size"), WRONG)
def test_a_fragment_with_a_wrong_byte_fails_although_more_are_to_come(
    role: Role, wrong: bytes, size: int
) -> None:
    codec = Codec(role)
    assert codec.receive(frame(role, TEXT, GOOD)) == []
    (failed,) = codec.receive(frame(role, CONTINUATION, wrong[:size]))
    assert isinstance(failed, Failed)
    assert failed.code == 1007


@BOTH
@pytest.mark.parametrize("cut", range(1, 4))
def test_a_wrong_character_over_two_fragments_fails_at_its_wrong_byte(role: Role, cut: int) -> None:
    codec = Codec(role)
    wrong = b"\xf0\x9f\x94\xff"
    assert codec.receive(frame(role, TEXT, GOOD + wrong[:cut])) == []
    last = frame(role, CONTINUATION, wrong[cut:] + b"more to come")
    assert failed_at(codec, last) == len(last) - len(b"more to come")


@BOTH
def test_half_a_character_at_the_end_of_the_last_fragment_fails(role: Role) -> None:
    codec = Codec(role)
    assert codec.receive(frame(role, TEXT, GOOD[:-1])) == []
    (failed,) = codec.receive(frame(role, FIN | CONTINUATION))
    assert isinstance(failed, Failed)


@BOTH
@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 100])
def test_good_text_is_read_wherever_frames_and_packets_are_cut(role: Role, step: int) -> None:
    text = GOOD * 10
    parts = [text[at : at + 11] for at in range(0, len(text), 11)]
    data = frame(role, TEXT, parts[0])
    for part in parts[1:]:
        data += frame(role, FIN | PING, b"now") + frame(role, CONTINUATION, part)
    data += frame(role, FIN | CONTINUATION) + frame(role, FIN | TEXT, text)
    codec = Codec(role)
    events = [event for at in range(0, len(data), step) for event in codec.receive(data[at : at + step])]
    assert [event for event in events if event != Ping(b"now")] == [text, text]
