"""Properties of the codec for every stream of bytes, with wsproto as an independent judge."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, TextMessage
from wsproto.events import Ping as TheirPing
from wsproto.events import Pong as TheirPong

from chargehand.protocol.websocket import CloseCode, Closed, Codec, Event, Failed, Ping, Pong, Role

# A slow machine is no failure.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
LIMIT = 300
OTHER = {Role.SERVER: Role.CLIENT, Role.CLIENT: Role.SERVER}
JUDGES = {Role.SERVER: ConnectionType.SERVER, Role.CLIENT: ConnectionType.CLIENT}

roles = st.sampled_from(Role)
texts = st.one_of(st.text(max_size=20), st.text(min_size=120, max_size=140)).map(str.encode)
payloads = st.one_of(texts, texts, st.binary(max_size=30), st.binary(min_size=120, max_size=130))
# FIN and opcode: text, first fragment, fragment, last fragment, ping, pong; then close, binary, and any.
usual_heads = st.sampled_from((0x81, 0x01, 0x00, 0x80, 0x89, 0x8A))
heads = st.one_of(usual_heads, usual_heads, usual_heads, st.sampled_from((0x88, 0x82)), st.integers(0, 255))
# 1014 was registered after wsproto was written.
codes = st.one_of(st.integers(990, 1013), st.integers(1015, 1020), st.integers(2990, 5010))
close_bodies = st.one_of(
    st.binary(max_size=1),
    st.builds(lambda code, why: code.to_bytes(2, "big") + why[:123], codes, payloads),
)


def fragmented(writer: Codec, text: bytes, cuts: list[int], ping: bytes) -> tuple[bytes, int]:
    """Return `text` as a message cut at `cuts`, a ping before each fragment, and the number of fragments."""
    edges = (0, *sorted(min(cut, len(text)) for cut in cuts), len(text))
    heads = [0x01, *[0x00] * len(cuts)]
    heads[-1] |= 0x80
    parts = [text[a:b] for a, b in pairwise(edges)]
    stream = b"".join(writer.ping(ping) + writer._frame(*part) for part in zip(heads, parts, strict=True))
    return stream, len(parts)


@st.composite
def messages(draw: st.DrawFn, role: Role) -> bytes:
    """A sound message, whole or in fragments, as the peer of `role` sends it."""
    writer, text = Codec(OTHER[role]), draw(texts)
    cuts = draw(st.lists(st.integers(0, 140), max_size=3))
    return fragmented(writer, text, cuts, b"p")[0] if cuts else writer.text(text)


@st.composite
def frames(draw: st.DrawFn, role: Role) -> bytes:
    """A frame as the peer of `role` sends it, seldom with the mask bit that the other end should have set."""
    head = draw(heads)
    body = draw(close_bodies if head == 0x88 else payloads)
    sender = role if draw(st.integers(0, 30)) == 0 else OTHER[role]
    return Codec(sender)._frame(head, body)


@st.composite
def streams(draw: st.DrawFn, role: Role) -> bytes:
    """Some sound messages, then frames that seldom make sense."""
    return b"".join(draw(st.lists(messages(role), max_size=4)) + draw(st.lists(frames(role), max_size=6)))


@st.composite
def damaged(draw: st.DrawFn, role: Role) -> bytes:
    """A stream of frames in which some bytes were changed, or any bytes at all."""
    stream = bytearray(draw(st.one_of(streams(role), streams(role), st.binary(max_size=60))))
    for _ in range(draw(st.integers(0, 3)) if stream else 0):
        stream[draw(st.integers(0, len(stream) - 1))] = draw(st.integers(0, 255))
    return bytes(stream)


def heard(role: Role, pieces: Iterable[bytes], *, short_way: bool = False) -> list[object]:
    """Return the events of a stream in a form to compare: a client masks each reply with another key.

    With `short_way` a piece is taken as a connection takes it: as the only text, if it is one.
    """
    codec = Codec(role, max_message_bytes=LIMIT)
    facts: list[object] = []
    events: list[Event] = []
    for piece in pieces:
        text = codec.only_text(piece) if short_way else None
        events += codec.receive(piece) if text is None else [text]
    for event in events:
        if isinstance(event, Closed | Failed):
            assert event.reply is not None
            (reply,) = Codec(OTHER[role]).receive(event.reply)
            facts.append((replace(event, reply=None), replace(reply, reply=None)))
        else:
            facts.append(event)
    return facts


@patient
@given(st.data(), roles)
def test_bytes_cut_anywhere_yield_the_events_of_the_whole(data: st.DataObject, role: Role) -> None:
    stream = data.draw(damaged(role))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    pieces = [stream[a:b] for a, b in pairwise((0, *cuts, len(stream)))]
    singles = [bytes((byte,)) for byte in stream]
    assert heard(role, pieces) == heard(role, singles) == heard(role, [stream])


@patient
@given(st.data(), roles)
def test_no_bytes_raise_and_nothing_follows_the_end(data: st.DataObject, role: Role) -> None:
    codec = Codec(role, max_message_bytes=LIMIT)
    pieces = data.draw(st.lists(damaged(role), max_size=4))
    events = [event for piece in pieces for event in codec.receive(piece)]
    ends = [isinstance(event, Closed | Failed) for event in events]
    assert not any(ends[:-1])
    if any(ends):
        assert codec._pending is codec._message is None
    assert len(codec._pending or b"") < LIMIT + 14
    assert len(codec._message or b"") <= LIMIT
    for text in (event for event in events if isinstance(event, bytes)):
        assert len(text) <= LIMIT
        text.decode()


@patient
@given(roles, st.lists(texts), st.binary(max_size=125), st.text(max_size=200))
@example(Role.SERVER, [b"x" * 65_535, b"y" * 65_536], b"", "")
@example(Role.CLIENT, [b"x" * 65_535, b"y" * 65_536], b"", "")
def test_what_one_role_writes_the_other_reads(
    role: Role, said: list[bytes], ping: bytes, reason: str
) -> None:
    writer, reader = Codec(role), Codec(OTHER[role])
    stream = b"".join(map(writer.text, said)) + writer.ping(ping) + writer.pong(ping)
    *events, closed = reader.receive(stream + writer.close(CloseCode.POLICY_VIOLATION, reason))
    assert events == [*said, Ping(ping), Pong(ping)]
    assert isinstance(closed, Closed)
    assert closed.code == CloseCode.POLICY_VIOLATION
    assert reason.startswith(closed.reason)
    assert len(closed.reason.encode()) > 119 or closed.reason == reason
    assert closed.reply is not None
    assert writer.receive(closed.reply) == [Closed(CloseCode.POLICY_VIOLATION, "", None)]


@patient
@given(roles, texts, st.lists(st.integers(0, 140), max_size=6), st.binary(max_size=125))
def test_a_text_in_any_fragments_with_pings_between_is_the_text(
    role: Role, text: bytes, cuts: list[int], ping: bytes
) -> None:
    stream, parts = fragmented(Codec(OTHER[role]), text, cuts, ping)
    assert Codec(role).receive(stream) == [Ping(ping)] * parts + [text]


def verdict(role: Role, stream: bytes) -> list[object]:
    """Return wsproto's result for a stream in the terms of the codec; an end of either kind is its code alone."""
    judge = Connection(JUDGES[role])
    judge.receive_data(stream)
    facts: list[object] = []
    message = ""
    for event in judge.events():
        if isinstance(event, TextMessage):
            message += event.data
            if event.message_finished:
                facts.append(message.encode())
                message = ""
        elif isinstance(event, TheirPing):
            facts.append(Ping(bytes(event.payload)))
        elif isinstance(event, TheirPong):
            facts.append(Pong(bytes(event.payload)))
        elif isinstance(event, BytesMessage):
            return [*facts, (Failed, CloseCode.UNSUPPORTED_DATA)]
        else:
            assert isinstance(event, CloseConnection)
            # A failure is a close event too, but not one of the peer's.
            proper = judge.state is ConnectionState.REMOTE_CLOSING
            return [*facts, (Closed if proper else Failed, event.code)]
    return facts


@patient
@given(st.data(), roles)
def test_wsproto_judges_every_stream_of_frames_the_same(data: st.DataObject, role: Role) -> None:
    stream = data.draw(streams(role))
    theirs = verdict(role, stream)
    ours = [
        (type(event), event.code) if isinstance(event, Closed | Failed) else event
        for event in Codec(role).receive(stream)
    ]
    if theirs[-1:] == [(Failed, CloseCode.INVALID_DATA)]:
        # wsproto looks at every fragment, we at the whole message: until its end something else may come.
        fatal = len(theirs) - 1
        assert ours[:fatal] == theirs[:-1]
        assert not any(isinstance(event, bytes) for event in ours[fatal:])
    else:
        assert ours == theirs


@patient
@given(roles, st.lists(texts))
def test_wsproto_reads_what_we_write(role: Role, said: list[bytes]) -> None:
    codec = Codec(role)
    stream = b"".join(map(codec.text, said)) + codec.ping(b"p") + codec.pong(b"q")
    read = verdict(OTHER[role], stream + codec.close(1001, "bye"))
    assert read == [*said, Ping(b"p"), Pong(b"q"), (Closed, 1001)]


def without_key(event):
    """Return an event without its reply, which is masked with a random key."""
    return replace(event, reply=None) if isinstance(event, Closed | Failed) else event


@patient
@given(st.data(), roles, st.integers(1, 5), st.integers(1, 40))
def test_frames_taken_a_few_at_a_time_say_the_same_as_all_at_once(data, role, most, cut):
    stream = b"".join(data.draw(st.lists(st.one_of(frames(role), messages(role)), max_size=12)))
    whole, few = Codec(role, max_message_bytes=LIMIT), Codec(role, max_message_bytes=LIMIT)
    expected, got = whole.receive(stream), []
    for at in range(0, len(stream), cut):
        got += few.receive(stream[at : at + cut], most)
        assert few.frames <= most
        while few.unfinished:
            got += few.receive(b"", most)
            assert few.frames <= most
    assert [without_key(event) for event in got] == [without_key(event) for event in expected]


@patient
@given(st.lists(st.one_of(frames(Role.SERVER), messages(Role.SERVER), damaged(Role.SERVER)), max_size=6))
@example([b"\x81\x0c" + bytes(140)])
@example([b"\x81\xfe\x00\x05" + b"abcd" + b"hello"])
def test_the_short_way_for_a_whole_text_hears_what_the_long_way_hears(pieces: list[bytes]) -> None:
    whole = [piece for piece in pieces if piece]
    assert heard(Role.SERVER, whole, short_way=True) == heard(Role.SERVER, whole)
    codec = Codec(Role.CLIENT)
    assert [codec.only_text(piece) for piece in whole] == [None] * len(whole)
