"""Length-prefixed messages, cut at any byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand.protocol.framing import FrameReader, FrameTooLong, frame

MOST = 100


@given(st.lists(st.binary(max_size=MOST)), st.data())
def test_messages_arrive_whole_and_in_order_however_the_stream_is_cut(messages, data):
    stream = b"".join(frame(message, MOST) for message in messages)
    reader, read, at = FrameReader(MOST), [], 0
    while at < len(stream):
        size = data.draw(st.integers(1, len(stream) - at))
        read += reader.receive(stream[at : at + size])
        at += size
    assert read == messages
    assert reader.waiting_bytes == 0


@given(st.binary(min_size=MOST + 1, max_size=MOST + 50))
def test_a_message_over_the_maximum_is_neither_written_nor_read(payload):
    with pytest.raises(FrameTooLong, match=str(len(payload))):
        frame(payload, MOST)
    with pytest.raises(FrameTooLong, match=str(len(payload))):
        FrameReader(MOST).receive(frame(payload, len(payload))[:4])


def test_messages_before_one_that_is_too_long_are_given_first():
    reader = FrameReader(MOST)
    assert reader.receive(frame(b"a", MOST) + frame(bytes(MOST + 1), MOST + 1)) == [b"a"]
    for _ in range(2):
        with pytest.raises(FrameTooLong):
            reader.receive(b"")


def test_a_part_of_a_message_waits_for_the_rest():
    reader = FrameReader(MOST)
    assert reader.receive(frame(b"abc", MOST)[:5]) == []
    assert reader.waiting_bytes == 5
    assert reader.receive(b"bc") == [b"abc"]
