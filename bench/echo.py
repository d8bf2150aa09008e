"""Baseline: a raw gevent server that answers any CALL with `[3,id,{}]` and knows nothing else of OCPP.

Rule: it does only the work that every central system must do, so that the difference to it is the price of
validation, actors and supervision. It never checks a message; only `cpload` may talk to it.

    python bench/echo.py PORT
"""

import base64
import hashlib
import sys

from gevent.server import StreamServer
from gevent.socket import socket

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3


def unmask(payload: bytes, mask: bytes) -> bytes:
    """XOR the payload with its mask as one big integer: the fastest way without a C extension."""
    size = len(payload)
    whole = mask * (size // 4) + mask[: size % 4]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(size, "big")


def answer(text: bytes) -> bytes:
    """Return the frame that answers a CALL, whose id is the text between the first two quotes."""
    body = b'[3,"' + text.split(b'"', 2)[1] + b'",{}]'
    return bytes((0x81, len(body))) + body


def upgrade(peer: socket) -> bytes | None:
    """Complete the handshake; return the bytes behind it, or None if the peer has disconnected."""
    head = b""
    while b"\r\n\r\n" not in head:
        got = peer.recv(65536)
        if not got:
            return None
        head += got
    head, rest = head.split(b"\r\n\r\n", 1)
    key = next(
        line.split(b":", 1)[1].strip()
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    )
    accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
    peer.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Protocol: ocpp1.6\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    return rest


def serve(peer: socket, _address: tuple[str, int]) -> None:
    """Answer every text frame of one connection until it ends."""
    data = upgrade(peer)
    while data is not None:
        at = 0
        while len(data) - at >= 6:
            size, head = data[at + 1] & 127, 6
            if size == 126:
                size, head = int.from_bytes(data[at + 2 : at + 4], "big"), 8
            end = at + head + size
            if end > len(data):
                break
            if data[at] == 0x81:
                peer.sendall(answer(unmask(data[at + head : end], data[at + head - 4 : at + head])))
            elif data[at] == 0x88:
                return
            at = end
        got = peer.recv(65536)
        data = data[at:] + got if got else None


if __name__ == "__main__":
    StreamServer(("127.0.0.1", int(sys.argv[1])), serve, backlog=4096).serve_forever()
