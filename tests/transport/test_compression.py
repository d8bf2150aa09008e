"""Connections with compression on real sockets, on both transports (RFC 7692)."""

import pytest

from chargehand.protocol.deflate import HEADER, answer_offer, deflate, make_deflater
from chargehand.protocol.deflate_codec import DeflateCodec
from chargehand.protocol.websocket import Closed, Codec, Role
from chargehand.transport.connection import FRAMES_AT_A_TURN, SocketConnection
from chargehand.transport.gate import Admission

from ..certificates import tls_of
from ..hub import until
from .fakes import AtOnce, FakeReceiver

OFFER = "permessage-deflate; client_max_window_bits"
ANSWER = answer_offer(OFFER, min_bytes=1)
TEXT = b'[2,"1","Heartbeat",{}]' * 20

pytestmark = pytest.mark.usefixtures("no_traceback")


def admit(request):
    """Admit a client, with compression if it offers that, as the gatekeeper does."""
    return Admission("CP1", "", "ocpp2.0.1", (), answer_offer(request.headers.get(HEADER, ""), min_bytes=1))


def asks(served, *lines, trust=None):
    served.gate.decision = admit
    client = served.client(trust)
    return client, client.asks("Sec-WebSocket-Protocol: ocpp2.0.1", *lines)


def test_the_answer_to_an_offer_is_one_header_with_small_windows(served):
    _, answer = asks(served, f"Sec-WebSocket-Extensions: {OFFER}")
    assert answer.headers["sec-websocket-extensions"] == (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=12"
    )


@pytest.mark.parametrize(
    "lines", [(), ("Sec-WebSocket-Extensions: other",), ("Sec-WebSocket-Extensions: ;",)]
)
def test_without_an_acceptable_offer_the_handshake_succeeds_without_compression(served, lines):
    client, answer = asks(served, *lines)
    assert answer.status == 101
    assert "sec-websocket-extensions" not in answer.headers
    assert type(served.only_connection().codec) is Codec
    client.sends(DeflateCodec(Role.CLIENT, ANSWER.deflate).text(TEXT))
    (closed,) = Codec(Role.CLIENT).receive(client.rest())
    assert closed.code == 1002


def test_offers_in_several_headers_are_one_list(served):
    _, answer = asks(
        served, "Sec-WebSocket-Extensions: other; x=1", "Sec-WebSocket-Extensions: permessage-deflate"
    )
    assert answer.headers["sec-websocket-extensions"].startswith("permessage-deflate; ")


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
def test_compressed_messages_go_both_ways(serve, certificate, secure):
    served = serve(tls=tls_of(certificate) if secure else None)
    client, answer = asks(
        served, f"Sec-WebSocket-Extensions: {OFFER}", trust=certificate[0] if secure else None
    )
    codec = DeflateCodec(Role.CLIENT, ANSWER.deflate)
    connection = served.only_connection()
    client.sends(codec.text(TEXT))
    until(lambda: served.gate.receivers[0].messages == [TEXT])
    connection.send_text(TEXT)
    got = codec.receive(answer.rest)
    while TEXT not in got:
        got += codec.receive(client.socket.recv(65536))
    assert got == [b"got it", TEXT]
    client.sends(codec.close(1000))
    (closed,) = codec.receive(client.rest())
    assert type(closed) is Closed


def test_a_bomb_on_a_real_socket_is_cut_with_1009(served):
    client, _ = asks(served, f"Sec-WebSocket-Extensions: {OFFER}")
    client.sends(Codec(Role.CLIENT)._frame(0xC1, deflate(bytes(10 << 20), make_deflater(15))))
    (closed,) = Codec(Role.CLIENT).receive(client.rest())
    assert (closed.code, closed.reason) == (
        1009,
        "message over 1048576 bytes when inflated (max_message_bytes)",
    )
    assert served.gate.receivers[0].messages == []


@pytest.fixture
def line(open_line):
    """Connection with compression on a fake socket."""

    def make(**limits):
        line = open_line(**limits)
        connection = SocketConnection(
            line.sock,
            peer="192.0.2.1:7",
            secure=False,
            limits=line.connection._limits,
            timers=line.timers,
            turn=AtOnce(),
            deflate=ANSWER.deflate,
        )
        line.connection.finish()
        line.sock.calls.clear()
        line.connection, line.receiver = connection, FakeReceiver()
        connection.start(line.receiver)
        connection.reader = line.reader
        line.client = DeflateCodec(Role.CLIENT, ANSWER.deflate)
        return line

    return make


def test_inflated_bytes_count_for_the_rate_of_bytes(line):
    line = line(messages_per_s=0.0, bytes_per_s=1000.0, bytes_burst=5000, max_message_bytes=100_000)
    line.says(b"x" * 4000)
    assert not line.connection.paused
    line.says(b"x" * 4000)
    assert line.connection.paused
    (wait_s,) = line.receiver.waits
    assert wait_s == pytest.approx(3.0, abs=0.1)
    line.clock.advance(wait_s)
    assert not line.connection.paused


def test_a_turn_ends_by_inflated_bytes_even_without_limits_of_rate(line):
    line = line(messages_per_s=0.0, bytes_per_s=0.0, max_message_bytes=1_000_000)
    line.says(*[b"x" * 900_000] * 3)
    assert len(line.receiver.messages) == 1
    assert line.connection.paused
    line.clock.advance(0.001)
    assert len(line.receiver.messages) == 3
    assert not line.connection.paused


def test_short_compressed_messages_of_one_read_are_one_turn(line):
    line = line(messages_per_s=0.0, bytes_per_s=0.0)
    line.says(*[TEXT] * FRAMES_AT_A_TURN)
    assert len(line.receiver.messages) == FRAMES_AT_A_TURN
    assert line.connection.codec.frames == FRAMES_AT_A_TURN
