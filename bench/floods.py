"""Attacks through one socket: frames without end, up to 30,000 a second, the answers to which are read and dropped."""

import base64
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

from chargehand.protocol.websocket import Codec, Role

RATE = 30_000
"""Frames per second that an attacker offers."""
AT_ONCE = 300
"""Frames between two looks at the clock."""
TEXT, CONTINUATION = b"\x01\x80abcd", b"\x00\x80abcd"
BEGUN = 1_750_000_000


def repeated(*texts: bytes) -> Iterator[bytes]:
    """Repeat some texts as frames without end, many of them in each chunk."""
    codec = Codec(Role.CLIENT)
    frames = b"".join(codec.text(texts[number % len(texts)]) for number in range(AT_ONCE))
    while True:
        yield frames


def pings() -> Iterator[bytes]:
    """Empty pings."""
    while True:
        yield b"\x89\x80abcd" * AT_ONCE


def fragments() -> Iterator[bytes]:
    """Empty fragments of one message that never ends."""
    yield TEXT
    while True:
        yield CONTINUATION * AT_ONCE


def starts() -> Iterator[bytes]:
    """StartTransactions, each a new one, without any stop."""
    codec, number = Codec(Role.CLIENT), 0
    while True:
        frames = bytearray()
        for _ in range(AT_ONCE):
            number += 1
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(BEGUN + number)).encode()
            frames += codec.text(
                b'[2,"%d","StartTransaction",{"connectorId":1,"idTag":"T1","meterStart":%d,"timestamp":"%b"}]'
                % (number, number, at)
            )
        yield bytes(frames)


def transfers() -> Iterator[bytes]:
    """DataTransfers of nearly one megabyte."""
    frame = Codec(Role.CLIENT).text(
        b'[2,"1","DataTransfer",{"vendorId":"V","data":"%b"}]' % (b"x" * 1_000_000)
    )
    while True:
        yield frame


FLOODS: dict[str, Callable[[], Iterator[bytes]]] = {
    "junk": partial(repeated, b"hello"),
    "broken": partial(repeated, b'[2,"1","Heartbeat"', b'[2,"1","StatusNotification",{"connectorId":,}]'),
    "refused": partial(repeated, b'[2,"1","Nonsense",{}]'),
    "pings": pings,
    "fragments": fragments,
    "heartbeats": partial(repeated, b'[2,"1","Heartbeat",{}]'),
    "boots": partial(
        repeated, b'[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
    ),
    "statuses": partial(
        repeated, b'[2,"1","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available"}]'
    ),
    "starts": starts,
    "transfers": transfers,
}


def flood(name: str, port: int) -> None:
    """Flood the server at a port until this process is killed."""
    sock = socket.create_connection(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        (
            f"GET /ocpp/ATTACKER HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
        ).encode()
    )
    sock.recv(4096)
    threading.Thread(target=read, args=(sock,), daemon=True).start()
    frames, began, batches = FLOODS[name](), time.monotonic(), 0
    while True:
        sock.sendall(next(frames))
        batches += 1
        ahead_s = batches * AT_ONCE / RATE - (time.monotonic() - began)
        if name != "transfers" and ahead_s > 0:
            # The pace of the attack: this process does nothing else.
            time.sleep(ahead_s)


def read(sock: socket.socket) -> None:
    """Read answers and discard them."""
    while sock.recv(1 << 20):
        pass
