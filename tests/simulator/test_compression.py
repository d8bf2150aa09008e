"""The simulator's client with compression: offered, agreed on or not, and used both ways."""

import pytest

from chargehand.protocol.deflate import OFFER, Deflate, answer_offer
from chargehand.protocol.deflate_codec import DeflateCodec
from chargehand.protocol.handshake import HandshakeError
from chargehand.protocol.websocket import Role
from chargehand.simulator import ChargePoint, Client
from chargehand.simulator.v201.station import Station

from .test_client import in_time, serve  # noqa: F401 - fixtures

TEXT = b'[3,"1",{"currentTime":"2026-11-28T18:00:00Z"}]' * 9


def test_compression_that_was_agreed_on_is_used_both_ways(serve):  # noqa: F811
    heads, got = [], []

    def run(peer):
        heads.append(peer.read_head())
        answer = answer_offer(OFFER)
        peer.accept(f"Sec-WebSocket-Extensions: {answer.header}")
        peer.codec = DeflateCodec(Role.SERVER, answer.deflate)
        peer.sock.sendall(peer.codec.text(TEXT))
        data = peer.sock.recv(4096)
        got.append((data[0], peer.codec.receive(data)))
        peer.sock.sendall(peer.codec.close(1000))

    client = Client.connect(serve(run), compression=True)
    assert client.compressed
    assert client.receive() == [TEXT]
    client.send_text(TEXT)
    while client.receive() is not None:
        pass
    assert f"Sec-WebSocket-Extensions: {OFFER}\r\n" in heads[0]
    assert got == [(0xC1, [TEXT])]


def test_a_server_may_decline_compression(serve):  # noqa: F811
    client = Client.connect(serve(lambda peer: peer.accept()), compression=True)
    assert not client.compressed
    client.cut()


def test_without_compression_none_is_offered_and_none_taken(serve):  # noqa: F811
    heads = []

    def run(peer):
        heads.append(peer.read_head().lower())
        peer.accept("Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover")

    with pytest.raises(HandshakeError, match="was not offered"):
        Client.connect(serve(run))
    assert "extensions" not in heads[0]


def test_an_answer_that_keeps_the_context_is_refused(serve):  # noqa: F811
    def run(peer):
        peer.accept("Sec-WebSocket-Extensions: permessage-deflate")

    with pytest.raises(HandshakeError, match="was not offered"):
        Client.connect(serve(run), compression=True)


def test_a_station_offers_compression_and_a_charge_point_of_1_6_does_not(serve):  # noqa: F811
    heads = []

    def run(peer):
        heads.append("permessage-deflate" in peer.read_head())
        peer.sock.close()

    url = serve(run).rpartition("/")[0]
    for simulated in (
        Station(url, "CP1"),
        Station(url, "CP1", compression=False),
        ChargePoint(url, "CP1"),
        ChargePoint(url, "CP1", compression=True),
    ):
        with pytest.raises(OSError, match="closed"):
            simulated.connect()
    assert heads == [True, False, False, True]


def test_what_was_agreed_on_is_told_by_the_codec():
    assert DeflateCodec(Role.CLIENT, Deflate()).text(TEXT)[0] == 0xC1
