"""Non-blocking socket with an outbox: data that waits for the end of the hub's turn, or for the kernel to take it.

No method blocks. A peer that does not read is cut off over the outbox's bound, or after `send_timeout_s`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Any, Protocol

from gevent import get_hub

if TYPE_CHECKING:
    from collections.abc import Callable

    from .hub_turn import Turn

WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
WRITE_READY = 2  # the value of libev and libuv
TLS_RECORD_BYTES = 16_384


class SharedTimers(Protocol):
    """Shared timers, as in `actors.runtime.timers`."""

    @property
    def clock(self) -> Any:
        """Clock with `monotonic()`."""

    def call_at(self, due: float, callback: Callable[[], None]) -> None:
        """Call `callback` in the hub at `due`."""

    def leave(self) -> None:
        """Note that a callback's attribute `over` has become true."""


class ConnectionLimits(Protocol):
    """Settings of a connection, a part of `SessionSettings`."""

    max_message_bytes: int
    max_outbox_bytes: int
    messages_per_s: float
    messages_burst: int
    bytes_per_s: float
    bytes_burst: int
    send_timeout_s: float
    ping_interval_s: float
    close_timeout_s: float


class OutboxSocket:
    """Socket with a bounded outbox. Subclasses define `_abort`, which gives the peer up."""

    __slots__ = (
        "_ending",
        "_limits",
        "_outbox",
        "_stuck_since",
        "_timers",
        "_watched",
        "_writer",
        "open",
        "secure",
        "sock",
        "turn",
    )

    def __init__(
        self, sock: Any, *, secure: bool, limits: ConnectionLimits, timers: SharedTimers, turn: Turn
    ) -> None:
        self.sock = sock
        self.secure = secure
        self.open = True  # false once nothing is read or written any more
        self._limits = limits
        self._timers = timers
        self.turn = turn
        # Without a writer it waits for the end of the turn, with one for the kernel.
        self._outbox: bytes | bytearray | None = None
        self._writer: Any = None
        self._stuck_since = 0.0
        self._watched = False  # a timer checks whether the outbox is stuck
        self._ending = False  # nothing is written after the content of the outbox

    def _abort(self, reason: str) -> None:
        """Give the peer up."""
        raise NotImplementedError

    def _write(self, frame: bytes | bytearray) -> None:
        if not self.open:
            return
        if self._outbox is not None:
            self._append(frame)
            return
        if self.secure and len(frame) > TLS_RECORD_BYTES:
            self._keep(frame)
            self._flush()
            return
        try:
            sent = self.sock.send(frame)
        except WOULD_BLOCK:
            sent = 0
        except (OSError, ValueError):
            self._abort("the connection was lost")
            return
        if sent < len(frame):
            self._keep(frame[sent:])

    def _append(self, frame: bytes | bytearray) -> None:
        """Put a frame behind those that wait."""
        outbox = self._outbox
        if type(outbox) is not bytearray:
            outbox = self._outbox = bytearray(outbox or b"")
        outbox += frame
        if len(outbox) > self._limits.max_outbox_bytes:
            if self._writer is None:  # it was not offered to the kernel yet
                self.send_waiting()
            else:
                self._abort("the peer does not read")

    def send_waiting(self) -> None:
        """Send what waits for the end of the hub's turn; the kernel may leave some of it in the outbox."""
        waiting = self._outbox
        if waiting is not None and self._writer is None:
            self._outbox = None
            self._write(waiting)

    def _keep(self, rest: bytes | bytearray) -> None:
        """Queue data that the kernel did not take."""
        self._outbox = bytearray(rest)
        self._stuck_since = self._timers.clock.monotonic()
        self._writer = get_hub().loop.io(self.sock.fileno(), WRITE_READY)
        self._writer.start(self._flush)
        if not self._watched:
            self._watched = True
            self._timers.call_at(self._stuck_since + self._limits.send_timeout_s, self._check_stuck)

    def _flush(self) -> None:
        outbox: Any = self._outbox
        if outbox is None or not self.open:
            return
        while outbox:
            # TLS takes a piece whole or not at all, so the pieces are small. A piece that it did not take must be
            # offered again with at least the same length.
            piece = outbox[:TLS_RECORD_BYTES] if self.secure else outbox
            try:
                sent = self.sock.send(piece)
            except WOULD_BLOCK:
                return
            except (OSError, ValueError):
                self._abort("the connection was lost")
                return
            if not sent:
                return  # raised by gevent's TLS when it would block
            del outbox[:sent]
            self._stuck_since = self._timers.clock.monotonic()
        self._outbox = None
        self._stop_writer()
        if self._ending:
            self._end_stream()

    def _stop_writer(self) -> None:
        if self._writer is not None:
            self._writer.stop()
            self._writer.close()
            self._writer = None

    def _check_stuck(self) -> None:
        self._watched = False
        if not self.open or self._writer is None:
            return
        due = self._stuck_since + self._limits.send_timeout_s
        if due <= self._timers.clock.monotonic():
            self._abort("the peer does not read")
        else:
            self._watched = True
            self._timers.call_at(due, self._check_stuck)

    def _end_stream(self) -> None:
        """Shut the sending side down. Data from the peer can still be read, under TLS without decryption."""
        if not self.open:
            return
        if self.secure:
            with contextlib.suppress(OSError, ValueError):
                self.sock.unwrap()  # sends the close alert; the peer's is not waited for
        with contextlib.suppress(OSError, ValueError):
            self.sock.shutdown(socket.SHUT_WR)
