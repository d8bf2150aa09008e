"""Messages between worker processes and their coordinator server, length-prefixed msgpack, and their connection.

Both ends are of one version and one user, for the socket is a file that only its owner may open.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import gevent
import msgspec
from gevent.event import Event

from ...config.errors import ChargehandError
from ...protocol.framing import LARGEST_BYTES, FrameReader, FrameTooLong, frame

if TYPE_CHECKING:
    from collections.abc import Callable

FRAME_BYTES = 1_048_576
"""The longest frame: a message, or a chunk of charge points."""
READ_BYTES = 65_536
OUTBOX_BYTES = 8_388_608
"""Bytes that may wait to be written to an end; above it messages are lost."""


class Frame(msgspec.Struct, array_like=True, frozen=True, tag=True):
    """Message on the socket. One with a `number` is a request; its answer has the same number."""


class Hello(Frame, frozen=True):
    """The first that a node says."""

    node: str


class Renew(Frame, frozen=True):
    """Request to renew a lease."""

    number: int
    seen: int
    acks: dict[str, int]


class Renewed(Frame, frozen=True):
    """Answer to a renewal: the epoch of the lease, and the fences that it acknowledges."""

    number: int
    server: str
    lapsed: bool
    young_s: float
    nodes: frozenset[str]
    fences: dict[str, int]
    more: bool


class Take(Frame, frozen=True):
    """Request to claim a charge point."""

    number: int
    charge_point_id: str
    seen: int


class Taken(Frame, frozen=True):
    """Answer to a claim: the epoch, and the owner before."""

    number: int
    epoch: int
    previous: str
    wait_s: float


class Release(Frame, frozen=True):
    """Request to release a claim."""

    charge_point_id: str
    epoch: int


class Verify(Frame, frozen=True):
    """Request to verify claims after a lost lease."""

    number: int
    claims: dict[str, int]


class Checked(Frame, frozen=True):
    """Answer to a verification: the charge points that are still ours."""

    number: int
    others: frozenset[str]
    wait_s: float


class Find(Frame, frozen=True):
    """Request for the owner of a charge point."""

    number: int
    charge_point_id: str


class NodeFound(Frame, frozen=True):
    """A node, or ""."""

    number: int
    node: str


class Enumerate(Frame, frozen=True):
    """Request for all owned charge points."""

    number: int


class ChargePointsPart(Frame, frozen=True):
    """Some of all charge points; with `more` there come further ones."""

    number: int
    charge_points: dict[str, str]
    more: bool


class NoLease(Frame, frozen=True):
    """The answer to who has no lease."""

    number: int


class Tell(Frame, frozen=True):
    """To another node (from a node), or from one (from the coordinator server)."""

    node: str
    message: bytes


class Fenced(Frame, frozen=True):
    """News that a charge point is another node's now."""

    charge_point_id: str
    epoch: int


class Gone(Frame, frozen=True):
    """News that a node has ended."""

    node: str


Answer = Renewed | Taken | Checked | NodeFound | ChargePointsPart | NoLease
Asked = Hello | Renew | Take | Release | Verify | Find | Enumerate | Tell
Told = Answer | Tell | Fenced | Gone


class PipeError(ChargehandError):
    """Error: the other end sent a message that cannot be read."""


class Pipe:
    """Connection over a Unix socket. `kinds` are the frames that may come. One greenlet reads; any may send."""

    def __init__(self, sock: Any, kinds: Any) -> None:
        self._sock = sock
        self._decoder = msgspec.msgpack.Decoder(kinds)
        self._encode: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
        self._out: list[bytes] = []
        self._waiting_bytes = 0
        self._written = Event()
        self._drained = Event()
        self._drained.set()
        self._reader = FrameReader(FRAME_BYTES)
        self._messages: deque[bytes] = deque()
        self._writer = gevent.spawn(self._write)

    @property
    def full(self) -> bool:
        """True if so much waits to be written that messages are lost."""
        return self._waiting_bytes > OUTBOX_BYTES

    def send(self, message: Frame) -> None:
        """Have a frame written. Never blocks; a sender of more than answers must check `full` before."""
        # The other end refuses a message over its maximum; this end goes on.
        data = frame(self._encode(message), LARGEST_BYTES)
        self._out.append(data)
        self._waiting_bytes += len(data)
        if self.full:
            self._drained.clear()
        self._written.set()

    def drain(self) -> None:
        """Wait until it is not full."""
        self._drained.wait()

    def receive(self) -> Any:
        """Return the next frame. Raises OSError, EOFError and `PipeError`."""
        try:
            while not self._messages:
                self._read()
            return self._decoder.decode(self._messages.popleft())
        except (FrameTooLong, msgspec.MsgspecError, ValueError) as error:
            raise PipeError(str(error)) from None

    def flush(self, timeout_s: float) -> None:
        """Wait until all is written, but no longer."""
        ends = gevent.get_hub().loop.now() + timeout_s
        while self._waiting_bytes and (left_s := ends - gevent.get_hub().loop.now()) > 0 and self._writer:
            self._drained.clear()
            self._drained.wait(left_s)

    def close(self) -> None:
        """Close it; may be called twice."""
        self._writer.kill(block=False)
        self._sock.close()

    def _read(self) -> None:
        if self._reader.waiting_bytes:
            # A length over the maximum that came behind whole frames is refused now, not with the next bytes.
            self._reader.receive(b"")
        data = self._sock.recv(READ_BYTES)
        if not data:
            raise EOFError("the other end closed the connection")
        self._messages += self._reader.receive(data)

    def _write(self) -> None:
        try:
            while True:
                self._written.wait()
                self._written.clear()
                out, self._out = self._out, []
                data = b"".join(out)
                self._sock.sendall(data)
                self._waiting_bytes -= len(data)
                if not self.full:
                    self._drained.set()
        except OSError:
            self._sock.close()  # the reading greenlet notices the end
        finally:
            self._drained.set()
