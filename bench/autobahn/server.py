"""Echo server for Autobahn's fuzzing client, made of the parts of the real server.

Handshake, connection, codec and both transports are those of the central system; the gate admits every client, and
each text is sent back as it came. OCPP is not involved.

    python bench/autobahn/server.py [--max-message-bytes 16777216] [--certificate FILE --key FILE]
"""

import argparse
import logging

import gevent

from chargehand.actors.runtime.timers import HubTimers, SystemClock
from chargehand.config.sessions import SessionSettings
from chargehand.config.settings import TlsSettings
from chargehand.protocol.deflate import HEADER, answer_offer
from chargehand.transport.connection import SocketConnection
from chargehand.transport.gate import Admission, HandshakeRequest, Refusal
from chargehand.transport.greenlet_transport import GreenletTransport
from chargehand.transport.reactor_transport import ReactorTransport
from chargehand.transport.server import WebSocketServer
from chargehand.transport.tls import ServerTls

logger = logging.getLogger("autobahn")


class Echo:
    """Gate of the server and receiver of every connection."""

    def __init__(self, *, takeover: bool, window_bits: int) -> None:
        self._takeover = takeover
        self._window_bits = window_bits

    def admit(self, request: HandshakeRequest) -> Admission:
        offered = request.headers.get(HEADER, "")
        compression = answer_offer(
            offered, takeover=self._takeover, window_bits=self._window_bits, min_bytes=1
        )
        # No client offers the subprotocol, so the answer does not name it.
        return Admission("echo", "", "echo", compression=compression)

    def attach(self, _admission: Admission, _connection: SocketConnection) -> "Echo":
        return self

    def handshake_refused(self, peer: str, refusal: Refusal) -> None:
        logger.info("%s: %d %s", peer, refusal.status, refusal.reason)

    def handshake_failed(self, peer: str, reason: str) -> None:
        logger.warning("%s: %s", peer, reason)

    def deliver(self, connection: SocketConnection, data: bytes) -> None:
        connection.send_text(data)

    def throttled(self, _connection: SocketConnection, _wait_s: float) -> None:
        raise RuntimeError("this server sets no limit")

    def closed(self, connection: SocketConnection, code: int, reason: str) -> None:
        logger.debug("%s: %d %s", connection.peer, code, reason)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--greenlet", type=int, default=9001, metavar="PORT")
    parser.add_argument("--reactor", type=int, default=9002, metavar="PORT")
    parser.add_argument("--max-message-bytes", type=int, default=SessionSettings().max_message_bytes)
    parser.add_argument("--takeover", action="store_true", help="agree on context takeover")
    parser.add_argument("--window-bits", type=int, default=SessionSettings().compression_window_bits)
    parser.add_argument("--certificate", default="", help="serve wss on both ports")
    parser.add_argument("--key", default="")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    size = options.max_message_bytes
    limits = SessionSettings(
        max_message_bytes=size, max_outbox_bytes=2 * size, messages_per_s=0, bytes_per_s=0
    )
    timers = HubTimers(SystemClock())
    certificate = TlsSettings(certificate=options.certificate, key=options.key)
    tls = ServerTls(certificate) if options.certificate else None
    gate = Echo(takeover=options.takeover, window_bits=options.window_bits)
    for port, transport in ((options.greenlet, GreenletTransport()), (options.reactor, ReactorTransport())):
        address = ("127.0.0.1", port)
        WebSocketServer(
            address, gate=gate, transport=transport, limits=limits, timers=timers, tls=tls
        ).start()
    print("ready", flush=True)
    gevent.get_hub().join()


if __name__ == "__main__":
    main()
