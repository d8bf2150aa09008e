"""Connection on a fake socket, with time moved by hand; the test plays the peer."""

from chargehand.actors.runtime.timers import Timers
from chargehand.config.sessions import SessionSettings
from chargehand.protocol.websocket import Closed, Codec, Role
from chargehand.testing import ManualClock
from chargehand.transport.connection import SocketConnection

from ..hub import until
from .fakes import AtOnce, FakeReader, FakeReceiver, FakeTlsSocket

LIMITS = SessionSettings(
    max_message_bytes=1000,
    max_outbox_bytes=2000,
    send_timeout_s=30.0,
    ping_interval_s=60.0,
    close_timeout_s=1.0,
)
LOST = "the connection was lost"
DEAF = "the peer does not read"
SILENT = "no answer to the keepalive ping"


class ConnectionHarness:
    """Connection with everything around it; the test plays the peer."""

    def __init__(self, sock, limits=LIMITS, turn=None):
        self.clock = ManualClock()
        self.timers = Timers(self.clock)
        self.clock.drive(self.timers)
        self.sock = sock
        self.receiver = FakeReceiver()
        self.reader = FakeReader()
        self.client = Codec(Role.CLIENT)
        secure = isinstance(sock, FakeTlsSocket)
        self.connection = SocketConnection(
            sock,
            peer="192.0.2.1:7",
            secure=secure,
            limits=limits,
            timers=self.timers,
            turn=turn or AtOnce(),
        )
        self.connection.start(self.receiver)
        self.connection.reader = self.reader

    def says(self, *texts):
        self.connection.feed(b"".join(self.client.text(text) for text in texts))

    def pings(self, payload=b""):
        self.connection.feed(self.client.ping(payload))

    def closes(self, code=1000, reason=""):
        self.connection.feed(self.client.close(code, reason))

    def breaks_the_protocol(self):
        self.connection.feed(b"\x81\x02hi")  # not masked

    def takes(self, room):
        """Let the kernel have room again, and the hub see it."""
        self.sock.room = room
        self.is_tried()

    def is_tried(self):
        """Let the hub run until waiting bytes have been offered once more."""
        before = self.sock.attempts
        until(lambda: self.sock.attempts > before)

    def close_frame(self):
        """Return code and reason of the one frame that was sent last."""
        (event,) = self.sock.events()
        assert type(event) is Closed
        return event.code, event.reason

    @property
    def waiting(self):
        return len(self.connection._outbox or b"")
