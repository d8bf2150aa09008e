"""WebSocket connection on a non-blocking socket: codec, keepalive, close.

A transport reads the bytes (`feed` takes them), and bytes that the kernel does not take wait in the outbox
(`outbox_socket.py`). Everything else about a connection is here, so that all transports behave alike. No method blocks;
all belong to the hub's thread.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
from typing import TYPE_CHECKING, Any, Protocol

from gevent.event import Event

from ..protocol.deflate_codec import DeflateCodec
from ..protocol.log_fields import about
from ..protocol.websocket import CloseCode, Closed, Codec, Failed, Ping, Role
from .outbox_socket import WOULD_BLOCK, OutboxSocket
from .read_budget import EASY_BYTES, ReadBudget, easy_s, least_burst_s

if TYPE_CHECKING:
    from ..protocol.deflate import Deflate
    from ..protocol.websocket import Event as Taken
    from ..protocol.x509 import TlsFacts
    from .gate import Receiver
    from .hub_turn import Turn
    from .outbox_socket import ConnectionLimits, SharedTimers

logger = logging.getLogger(__name__)

READ_BYTES = 16_384
"""Bytes of one read, and so of one turn of a connection."""
FRAMES_AT_A_TURN = 32
"""Frames that a turn takes of one read, which can hold 2,700 empty ones."""

BY_RECEIVER, BY_RATE, BY_MEMORY = 1, 2, 4
"""Causes of a pause in reading a connection, as bits: its receiver, the limits of its rate and of its turn, or memory
that is short."""
ABNORMAL, INTERNAL_ERROR = CloseCode.ABNORMAL, CloseCode.INTERNAL_ERROR

FAILED = "Handling data of connection %s failed; closing it"

TCP_INFO = getattr(socket, "TCP_INFO", -1)  # on Linux only
TCP_QUIET = struct.Struct("=52x2I")
"""Layout of the kernel's `struct tcp_info`: milliseconds since the last data and the last acknowledgement."""
TCP_TRAFFIC = struct.Struct("=120x2Q")
"""Layout of the same: bytes that were acknowledged, and bytes that were received."""
LEFT = frozenset({7, 8})
"""States of the same, in its first byte: CLOSE and CLOSE_WAIT."""
KERNEL_TICK_S = 0.05
"""Inaccuracy of these times: the kernel counts in ticks."""


class Reader(Protocol):
    """Transport that reads a connection's socket, and closes it at the end."""

    def paused(self, connection: SocketConnection) -> None:
        """Stop reading from a connection that was paused."""

    def resumed(self, connection: SocketConnection) -> None:
        """Resume reading from a connection."""

    def ended(self, connection: SocketConnection) -> None:
        """Close the socket of a connection that has ended."""


class LifeCheck:
    """Timer callback of the keepalive; releases a connection that has ended."""

    __slots__ = ("connection",)

    def __init__(self, connection: SocketConnection) -> None:
        self.connection: SocketConnection | None = connection

    @property
    def over(self) -> bool:
        """True once the connection has ended."""
        return self.connection is None

    def __call__(self) -> None:
        """Check the connection, if it has not ended."""
        if self.connection is not None:
            self.connection.check_life()


class SocketConnection(OutboxSocket):
    """WebSocket connection on a socket.

    `reader` is the transport that reads the socket; `watcher` is for that transport's own use. `deflate` is the
    agreement on compression, if there is one.
    """

    __slots__ = (
        "_ahead_s",
        "_budget",
        "_closing",
        "_code",
        "_easy_s",
        "_heard",
        "_last_heard",
        "_life",
        "_pinged_at",
        "_reason",
        "_receiver",
        "_rest",
        "codec",
        "half_open",
        "paused",
        "peer",
        "reader",
        "subprotocol",
        "tls",
        "watcher",
    )

    def __init__(
        self,
        sock: Any,
        *,
        peer: str,
        secure: bool,
        limits: ConnectionLimits,
        timers: SharedTimers,
        turn: Turn,
        subprotocol: str = "",
        deflate: Deflate | None = None,
        tls: TlsFacts | None = None,
    ) -> None:
        super().__init__(sock, secure=secure, limits=limits, timers=timers, turn=turn)
        self.peer = peer
        self.tls = tls  # on this socket, or in front of it
        self.subprotocol = subprotocol
        if deflate is None:
            self.codec = Codec(Role.SERVER, max_message_bytes=limits.max_message_bytes)
        else:
            self.codec = DeflateCodec(Role.SERVER, deflate, max_message_bytes=limits.max_message_bytes)
        self.half_open = False  # given up because the peer stayed silent
        self.paused = 0  # by whom: bits
        self.reader: Reader | None = None
        self.watcher: Any = None
        self._receiver: Receiver | None = None
        self._rest: list[Taken] | None = None  # events read before the pause, not delivered yet
        self._closing = False  # a close frame was sent or is queued
        self._code: int = ABNORMAL
        self._reason = "the connection was lost"
        self._pinged_at = 0.0
        self._heard: Event | None = None
        self._last_heard = timers.clock.monotonic()
        self._life: LifeCheck | None = None
        self._ahead_s = 0.0  # of its rates
        self._easy_s = easy_s(limits.messages_per_s, limits.bytes_per_s)
        self._budget: ReadBudget | None = None  # while it sends faster than its rates

    def start(self, receiver: Receiver) -> None:
        """Deliver messages to `receiver` from now on, and start the keepalive."""
        self._receiver = receiver
        if self._limits.ping_interval_s > 0:
            self._life = LifeCheck(self)
            self._timers.call_at(self._last_heard + self._limits.ping_interval_s, self._life)

    # -- In --------------------------------------------------------------------------------------

    def read(self) -> bytes | None:
        """Read from the socket; return None if nothing is there yet, b"" at the end of the stream."""
        try:
            data: bytes = self.sock.recv(READ_BYTES)
        except WOULD_BLOCK:
            return None
        except (OSError, ValueError):  # ValueError: closed under an SSL socket
            return b""
        return data

    def feed(self, data: bytes) -> None:
        """Decode received bytes; deliver their messages, and answer pings and closes."""
        now: float = self._timers.clock.monotonic()
        quiet_s, codec = now - self._last_heard, self.codec
        self._last_heard = now
        if self._heard is not None:
            self._heard.set()
        receiver, size = self._receiver, len(data)
        text = codec.only_text(data)
        if text is not None and receiver is not None and not self._closing:
            frames = 1
            try:  # the usual case, without the loop
                receiver.deliver(self, text)
            except Exception:
                logger.exception(FAILED, self.peer, extra=about(connection=self.peer))
                self.close(INTERNAL_ERROR)
        else:
            self._take(codec.receive(data, FRAMES_AT_A_TURN))
            frames = codec.frames
            if codec.grown:  # inflated bytes count as if they had come
                size += codec.grown
                if codec.unfinished:
                    frames = FRAMES_AT_A_TURN  # the turn ends by them
        if self._writer is not None:
            self._flush()  # a TLS socket may have needed these bytes to send
        if quiet_s < self._easy_s or frames > 1 or size > EASY_BYTES or self._ahead_s:
            self._note_ahead(now, quiet_s, frames, size)

    def _note_ahead(self, now: float, quiet_s: float, frames: int, size_bytes: int) -> None:
        """Note how far the peer is ahead of the rate that it uses more of."""
        limits = self._limits
        ahead_s = frames / limits.messages_per_s if limits.messages_per_s else 0.0
        if limits.bytes_per_s:
            ahead_s = max(ahead_s, size_bytes / limits.bytes_per_s)
        ahead_s += self._ahead_s - quiet_s
        self._ahead_s = max(ahead_s, 0.0)
        if self._budget is not None or frames == FRAMES_AT_A_TURN or ahead_s > least_burst_s(limits):
            self._charge(now, frames, size_bytes)

    def _charge(self, now: float, messages: int, size_bytes: int) -> None:
        """Pause the reading of a peer that sends faster than it may, and at the end of a turn.

        Not called for a peer that is ahead of its rates by less than a burst, or by `AHEAD_S`.
        """
        limits, budget = self._limits, self._budget
        if budget is None or budget.is_unused(now):
            budget = ReadBudget(now + self._ahead_s)
            messages = size_bytes = 0  # counted in that
        wait_s = budget.charge(limits, now, messages, size_bytes)
        self._budget = None if budget.is_unused(now) else budget
        if wait_s <= 0 and not self.codec.unfinished:
            return
        if self.open and not self.paused & BY_RATE:
            self._pause(BY_RATE)
            self._timers.call_at(now + wait_s, self._turn_comes)
            if wait_s > 0 and self._receiver is not None and not self._closing:
                self._receiver.throttled(self, wait_s)

    def _turn_comes(self) -> None:
        if self.open:
            self._unpause(BY_RATE)

    def _take(self, taken: list[Taken]) -> None:
        events = iter(taken)
        pongs = b""  # for pings in a row, sent in one piece, before what answers the message behind them
        try:
            for event in events:
                if type(event) is Ping:
                    pongs += self.codec.pong(event.payload)
                    continue
                if pongs:
                    self._write(pongs)
                    pongs = b""
                if type(event) is bytes:
                    if self._receiver is not None and not self._closing:
                        self._receiver.deliver(self, event)
                        if self.paused:
                            self._rest = list(events)  # kept until reading resumes
                elif isinstance(event, Closed | Failed):  # always the last event
                    self._ended(event.code, event.reason, event.reply, done=isinstance(event, Closed))
            if pongs:
                self._write(pongs)
        except Exception:
            # A bug in this program: the connection must not continue with lost messages.
            logger.exception(FAILED, self.peer, extra=about(connection=self.peer))
            self.close(INTERNAL_ERROR)

    def _ended(self, code: int, reason: str, reply: bytes | None, *, done: bool) -> None:
        """Handle the peer's close or a protocol error: send the close frame, and end the stream."""
        if not self._closing:
            self._code, self._reason = code, reason
        self._closing = True
        if reply:
            self._write(reply)
        self._ending = True
        self.send_waiting()
        if self._outbox is None:
            self._end_stream()
        if done and self._outbox is None:
            self.finish()
        else:
            # The peer's data is read and dropped for a while: a reset would make it lose the close frame.
            self.resume()
            self._timers.call_at(self._timers.clock.monotonic() + self._limits.close_timeout_s, self.finish)

    def pause(self) -> None:
        """Pause reading until `resume`; TCP holds the peer back."""
        if self.open and not self._closing:
            self._pause(BY_RECEIVER)

    def resume(self) -> None:
        """Resume reading, unless the peer exceeds its rate limit."""
        self._unpause(BY_RECEIVER)

    def hold(self) -> None:
        """Pause reading until `release`, whatever the receiver does: memory is short."""
        if self.open and not self._closing and not self.paused & BY_MEMORY:
            self._pause(BY_MEMORY)

    @property
    def held_bytes(self) -> int:
        """Bytes of a message that is not whole yet, and of those that wait to be sent."""
        return self.outbox_bytes + self.codec.held_bytes

    def has_been_left(self) -> bool:
        """Return whether the peer has closed its side, as the kernel says: of a paused connection nothing is read."""
        try:
            return self.sock.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 1)[0] in LEFT
        except (OSError, ValueError):  # ValueError: closed under an SSL socket
            return False

    def give_up(self, reason: str) -> None:
        """End the connection now, without a closing handshake."""
        self._abort(reason)

    def release(self) -> None:
        """End the pause of `hold`."""
        self._unpause(BY_MEMORY)

    def _pause(self, by: int) -> None:
        before, self.paused = self.paused, self.paused | by
        if not before and self.reader is not None:
            self.reader.paused(self)

    def _unpause(self, by: int) -> None:
        if not self.paused & by:
            return
        self.paused &= ~by
        self._last_heard = self._timers.clock.monotonic()
        if not self.paused & BY_RECEIVER and self._rest:
            rest, self._rest = self._rest, None
            self._take(rest)
        if not self.paused and self.codec.unfinished:
            self.feed(b"")
        if not self.paused and self.reader is not None:
            self.reader.resumed(self)

    # -- Out -------------------------------------------------------------------------------------

    def send_text(self, data: bytes) -> None:
        """Send one text message (valid UTF-8) at the end of the hub's turn. A connection that is closing drops it."""
        if self._closing:
            return
        frame = self.codec.text(data)
        if self._outbox is None:
            self._outbox = frame
            self.turn.add(self)
        else:
            self._append(frame)

    @property
    def outbox_bytes(self) -> int:
        """Bytes that wait for the end of the hub's turn, or to be taken by the kernel."""
        return 0 if self._outbox is None else len(self._outbox)

    def traffic(self) -> tuple[int, int]:
        """Return the bytes of its socket that came and went, as the kernel counts them; 0 where it does not.

        Counting each frame here would cost more than a look now and then.
        """
        try:
            info = self.sock.getsockopt(socket.IPPROTO_TCP, TCP_INFO, TCP_TRAFFIC.size)
            went, came = TCP_TRAFFIC.unpack(info)
        except (OSError, ValueError, AttributeError, struct.error):  # ValueError: closed under an SSL socket
            return 0, 0
        return came, went

    def close(self, code: int, reason: str = "") -> None:
        """Start the closing handshake; after `close_timeout_s` the socket is closed without the peer's part of it."""
        if self._closing or not self.open:
            return
        self._closing = True
        self._code, self._reason = code, reason
        frame = self.codec.close(code, reason)
        if frame:  # else the codec has seen the end already, and its answer comes with the events
            self._write(frame)
        self.resume()
        self._timers.call_at(self._timers.clock.monotonic() + self._limits.close_timeout_s, self.finish)

    # -- Life and end ------------------------------------------------------------------------------

    def check_life(self) -> None:
        """Ping a peer that was silent for an interval; give it up after another silent one."""
        if self._life is None or self._closing:
            return
        interval = self._limits.ping_interval_s
        now = self._timers.clock.monotonic()
        due = self._last_heard + interval
        if self.paused:  # nothing is read now, but the kernel knows when data came
            self._last_heard = max(self._last_heard, self._kernel_heard_at(now))
            due = self._last_heard + interval
        elif self._last_heard < self._pinged_at and due <= now:
            self._read_pending()
            due = self._last_heard + interval
        if due <= now:
            # Not "silent for an interval since the ping": the answer may come just after the ping, and this check late.
            if self._last_heard < self._pinged_at:
                self.half_open = True
                self._abort("no answer to the keepalive ping")
                return
            self._pinged_at = now
            self._write(self.codec.ping())
            due = now + interval
        if self._life is not None:  # the bytes that were read may have ended it
            self._timers.call_at(due, self._life)

    def _kernel_heard_at(self, now: float) -> float:
        """Return when the peer's machine last sent data or an acknowledgement; `now` if unknown."""
        try:
            info = self.sock.getsockopt(socket.IPPROTO_TCP, TCP_INFO, TCP_QUIET.size)
            quiet_ms: int = min(TCP_QUIET.unpack(info))
        except (OSError, ValueError, struct.error):  # ValueError: closed under an SSL socket
            return now
        return now - max(0.0, quiet_ms / 1000 - KERNEL_TICK_S)

    def _read_pending(self) -> None:
        """Read bytes that have arrived but were not read yet: a busy hub runs its timers first."""
        data = None if self.paused else self.read()
        if data:
            self.feed(data)

    def ping_and_wait(self, timeout_s: float) -> bool:
        """Ping the peer and return whether it sends anything within the time. Switches greenlets.

        With reading paused, the TCP acknowledgement of the ping counts, where the kernel reports it.
        """
        if not self.open or self._closing:
            return False
        asked_at: float = self._timers.clock.monotonic()
        if self._heard is None:
            self._heard = Event()
        heard = self._heard  # several callers may wait for the same event
        self._write(self.codec.ping())
        heard.wait(timeout_s)
        if heard.is_set() and self._heard is heard:
            self._heard = None
        if self.paused and not heard.is_set():  # its data is not read
            return self._kernel_heard_at(self._timers.clock.monotonic()) >= asked_at
        return heard.is_set() and self.open

    def _abort(self, reason: str) -> None:
        if not self._closing:
            self._code, self._reason = ABNORMAL, reason
        self._closing = True
        self.finish()

    def finish(self) -> None:
        """End the connection now, without further reads and writes; the transport is told to close the socket."""
        self.send_waiting()
        if not self.open:  # sending may have ended it
            return
        self.open = False
        self._closing = True
        self._outbox = self._rest = None
        if self._life is not None:
            self._life.connection = None
            self._life = None
            self._timers.leave()
        self._stop_writer()
        if self._heard is not None:
            self._heard.set()
        with contextlib.suppress(OSError, ValueError):
            self.sock.shutdown(socket.SHUT_RDWR)  # wakes greenlets that wait for the socket
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.closed(self, self._code, self._reason)
        reader, self.reader = self.reader, None
        if reader is not None:
            reader.ended(self)
