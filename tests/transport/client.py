"""Client's side of a handshake, byte by byte, in the same hub as the server.

Rule: it sends given bytes and reports the answer; it knows no more of HTTP than a test needs.
"""

import contextlib
import ssl
from dataclasses import dataclass
from pathlib import Path

import gevent
import gevent.socket
import gevent.ssl

from chargehand.protocol.websocket import Codec, Role

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the example of RFC 6455, section 1.3,
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # and its one right answer
TIMEOUT_S = 60.0


def text_frame(text: bytes) -> bytes:
    """Encode a text as a client does."""
    return Codec(Role.CLIENT).text(text)


def request(
    *lines: str, path: str = "/ocpp/CP1", without: str = "", method: str = "GET", version: str = "HTTP/1.1"
) -> bytes:
    """Return a request to upgrade, less the usual headers that start with `without`, plus `lines`."""
    usual = [
        "Host: x",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
    ]
    kept = [line for line in usual if not (without and line.startswith(without))]
    return "\r\n".join((f"{method} {path} {version}", *kept, *lines, "", "")).encode()


@dataclass(frozen=True, slots=True)
class Answer:
    """HTTP answer; its header names are in lower case; `rest` are the bytes after its head."""

    status: int
    headers: dict[str, str]
    rest: bytes


class Client:
    """Connection to a port of this machine."""

    def __init__(self, port: int) -> None:
        self.socket = gevent.socket.create_connection(("127.0.0.1", port), TIMEOUT_S)

    def secures(self, trust: Path) -> None:
        """Speak TLS from now on, with a server that has this certificate."""
        context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(str(trust))
        self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")

    def sends(self, data: bytes) -> None:
        self.socket.sendall(data)

    def asks(self, *lines: str, **options: str) -> Answer:
        """Send a request to upgrade and read the head of the answer."""
        self.sends(request(*lines, **options))
        return self.answer()

    def answer(self) -> Answer:
        """Read the head of an answer."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.socket.recv(65536)
            assert more, f"the stream ended behind {data!r}"
            data += more
        head, rest = data.split(b"\r\n\r\n", 1)
        status, *lines = head.decode("latin-1").split("\r\n")
        headers = [line.split(": ", 1) for line in lines]
        names = [name.lower() for name, _ in headers]
        assert len(set(names)) == len(names), f"a header came twice: {names}"
        return Answer(int(status.split()[1]), {name.lower(): value for name, value in headers}, rest)

    def rest(self) -> bytes:
        """Read to the end of the stream, which must come without a reset."""
        data = b""
        while more := self.socket.recv(65536):
            data += more
        return data

    def says_that_it_ends(self) -> None:
        """Send the end of TLS, and wait for no answer."""
        self.socket.settimeout(0.0)
        with contextlib.suppress(OSError):
            self.socket.unwrap()
        self.socket.settimeout(TIMEOUT_S)

    def close(self) -> None:
        self.socket.close()
