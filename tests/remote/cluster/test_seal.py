"""Seal of messages between nodes: nothing but what a node with the secret has sent counts, and that once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand.remote.cluster.seal import SEAL_BYTES, SENDERS_LIMIT, Seal, SealBroken

SECRET = "a secret of sixteen"


def test_without_a_secret_messages_are_sent_and_taken_as_they_are():
    assert Seal("", "a").seal("b", b"x") == b"x"
    assert Seal("", "b").open("a", b"x") == b"x"


@given(st.binary(max_size=200))
def test_a_sealed_message_arrives_as_it_was(message):
    sealed = Seal(SECRET, "a").seal("b", message)
    assert len(sealed) == len(message) + SEAL_BYTES
    assert Seal(SECRET, "b").open("a", sealed) == message


@given(st.binary(max_size=50), st.data())
def test_a_message_with_any_byte_changed_added_or_taken_away_is_refused(message, data):
    sealed = Seal(SECRET, "a").seal("b", message)
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = sealed[:at] + bytes([sealed[at] ^ data.draw(st.integers(1, 255))]) + sealed[at + 1 :]
    for broken in (changed, sealed[:at], sealed[at + 1 :], sealed + b"x", b""):
        with pytest.raises(SealBroken):
            Seal(SECRET, "b").open("a", broken)


def test_a_message_counts_for_its_sender_and_its_receiver_only():
    sealed = Seal(SECRET, "a").seal("b", b"x")
    for receiver, sender in (("c", "a"), ("b", "c"), ("ab", ""), ("", "ab")):
        with pytest.raises(SealBroken, match=r"redis\.secret"):
            Seal(SECRET, receiver).open(sender, sealed)


def test_a_message_of_another_secret_and_one_without_a_seal_are_refused():
    with pytest.raises(SealBroken, match=r"redis\.secret"):
        Seal(SECRET, "b").open("a", Seal("another secret here", "a").seal("b", b"x"))
    with pytest.raises(SealBroken, match=r"no seal \(redis\.secret\)"):
        Seal(SECRET, "b").open("a", b"\x81\xa4kind")
    with pytest.raises(SealBroken, match="empty here"):
        Seal("", "b").open("a", Seal(SECRET, "a").seal("b", b"x"))


def test_a_message_counts_once_and_none_counts_behind_a_later_one():
    sender, receiver = Seal(SECRET, "a"), Seal(SECRET, "b")
    first, second, third = (sender.seal("b", text) for text in (b"1", b"2", b"3"))
    assert receiver.open("a", first) == b"1"
    assert receiver.open("a", third) == b"3"
    for old in (first, second, third):
        with pytest.raises(SealBroken, match="before"):
            receiver.open("a", old)
    assert receiver.open("a", sender.seal("b", b"4")) == b"4"


def test_numbers_rise_though_the_clock_stands_still_or_goes_back():
    times = iter([100, 100, 5, 100])
    sender, receiver = Seal(SECRET, "a", lambda: next(times)), Seal(SECRET, "b")
    for text in (b"1", b"2", b"3", b"4"):
        assert receiver.open("a", sender.seal("b", text)) == text


def test_a_broken_message_is_not_counted_and_the_senders_known_are_limited():
    receiver = Seal(SECRET, "b")
    for number in range(SENDERS_LIMIT + 10):
        receiver.open(f"a{number}", Seal(SECRET, f"a{number}").seal("b", b""))
    assert len(receiver._last) == SENDERS_LIMIT
    good = Seal(SECRET, "a").seal("b", b"x")
    with pytest.raises(SealBroken):
        receiver.open("a", good[:-1] + b"y")
    assert receiver.open("a", good) == b"x"
