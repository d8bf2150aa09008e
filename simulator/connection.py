"""Network connection of a charge point: dialling, listening in one greenlet, reconnecting; and faults made on purpose.

The one rule: at most one connection is the current one; an older one changes nothing any more.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event

from ..protocol import frames
from ..protocol.handshake import HandshakeError
from ..protocol.payload import build
from ..protocol.websocket import CloseCode
from .errors import Disconnected
from .message_log import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gevent import Greenlet

    from ..protocol.actions import Request
    from ..protocol.session import Incoming
    from .conversation import Conversation
    from .memory_client import AnyClient
    from .message_log import MessageLog

logger = logging.getLogger(__name__)

MOST_LEFT = 3
"""Abandoned connections that stay half-open; the oldest is closed for a further one."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits before dialling again: doubled from `least_s` up to `most_s`, each wait jittered by half."""

    least_s: float = 1.0
    most_s: float = 60.0

    def waits(self, chance: random.Random) -> Iterator[float]:
        """Yield the waits, without an end."""
        wait_s = self.least_s
        while True:
            yield wait_s * chance.uniform(0.5, 1.0)
            wait_s = min(wait_s * 2, self.most_s)


class SimulatorConnection:
    """Connection of one charge point, replaced after a loss.

    `dial` connects or raises; `take` gets the CALLs of the central system.

    `opened` and `lost` are called, without blocking, when a connection has become the current one and when it is gone.
    """

    def __init__(
        self,
        dial: Callable[[], AnyClient],
        conversation: Conversation,
        record: MessageLog,
        *,
        take: Callable[[Incoming], None],
        opened: Callable[[], None],
        lost: Callable[[], None],
        reconnect: Backoff | None,
        close_timeout_s: float,
    ) -> None:
        self.reconnect = reconnect
        self.connections = 0  # how many have been opened
        self.before: Callable[[], object] | None = None  # done before each attempt to connect
        self.dials_since = -inf
        """Monotonic time since when it is making a connection; infinitely long ago if it is not."""
        self.online = Event()
        self.offline = Event()
        self.offline.set()
        self._dial = dial
        self._conversation = conversation
        self._record = record
        self._take = take
        self._opened = opened
        self._lost = lost
        self._close_timeout_s = close_timeout_s
        self._chance = random.Random()  # noqa: S311 - jitter
        self._client: AnyClient | None = None
        self._listener: Greenlet[..., None] | None = None  # listens, or dials again
        self._leaving: AnyClient | None = None  # the one that we are closing ourselves
        self._left: list[AnyClient] = []  # abandoned: open for the peer, dead for us
        self._closing = Event()

    @property
    def client(self) -> AnyClient | None:
        """The current connection's WebSocket; None while offline."""
        return self._client

    def open(self) -> None:
        """Connect, and listen from then on. Raises like `Client.connect`; RuntimeError if it is open."""
        if self._client is not None or (self._listener is not None and not self._listener.dead):
            raise RuntimeError("the charge point is connected, or reconnects by itself")
        self._closing.clear()
        self._connect()

    def _connect(self) -> None:
        self.dials_since = time.monotonic()
        try:
            if self.before is not None:
                self.before()
            client = self._dial()
        finally:
            self.dials_since = -inf
        if self._closing.is_set() or self._client is not None:
            client.cut(reset=False)
            raise Disconnected("the connection was closed, or opened by another greenlet, meanwhile")
        self._client = client
        self._conversation.attach(client)
        self.connections += 1
        self._record.add(Kind.CONNECTED, (client.subprotocol or "").encode())
        self.offline.clear()
        self.online.set()
        self._listener = gevent.spawn(self._listen, client)
        self._opened()

    def _listen(self, client: AnyClient) -> None:
        self._conversation.listen(client, self._take)
        if self._detach(client) and client is not self._leaving:
            self._keep_dialling()

    def _detach(self, client: AnyClient) -> bool:
        if self._client is not client:
            return False
        self._client = None
        self._conversation.detach()
        self._record.add(Kind.CLOSED, f"{client.code or CloseCode.ABNORMAL:d} {client.reason}".encode())
        self.online.clear()
        self.offline.set()
        self._lost()
        return True

    def _keep_dialling(self) -> None:
        for wait_s in self.reconnect.waits(self._chance) if self.reconnect is not None else ():
            if self._closing.wait(wait_s):
                return
            try:
                self._connect()
            except (OSError, HandshakeError) as error:
                self._record.add(Kind.REFUSED, str(error).encode())
                logger.info("no connection: %s", error)
            except Disconnected:
                return
            else:
                return

    # -- The end of a connection -----------------------------------------------------------------

    def redial(
        self, code: int = CloseCode.NORMAL, reason: str = "", *, between: Callable[[], None] | None = None
    ) -> None:
        """Close the connection and dial a new one. Blocks; not for the greenlet that listens.

        If that fails it goes on trying when it has a `reconnect`; else it raises like `Client.connect`.
        `between` is called while there is no connection.
        """
        self._hang_up(code, reason)
        if between is not None:
            between()
        try:
            self._connect()
        except Disconnected:
            if self._client is None:
                raise
            # Another greenlet has connected meanwhile: nothing is left to do.
        except (OSError, HandshakeError) as error:
            self._record.add(Kind.REFUSED, str(error).encode())
            if self.reconnect is None:
                raise
            self._listener = gevent.spawn(self._keep_dialling)

    def abandon(self) -> None:
        """Leave the connection half-open behind, as one whose network is gone, and dial a new one; see `redial`."""
        client, listener = self._client, self._listener
        if client is not None and listener is not None:
            client.freeze()
            self._left.append(client)
            if len(self._left) > MOST_LEFT:
                self._left.pop(0).cut(reset=False)
            self._detach(client)
            listener.kill()
        self.redial()

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close for good: no greenlet and no socket is left. Safe to call again."""
        self._closing.set()
        self._hang_up(code, reason)
        for left in self._left:
            left.cut(reset=False)
        self._left.clear()

    def _hang_up(self, code: int, reason: str) -> None:
        client, listener = self._client, self._listener
        if client is not None:
            self._leaving = client
            if not client.frozen:
                closing = gevent.spawn(
                    client.close, code, reason
                )  # it may have to wait for room in the socket
                if listener is not None:
                    listener.join(self._close_timeout_s)
                closing.kill()
            client.cut(reset=False)
        if listener is not None:
            listener.kill()
        if client is not None:
            self._detach(client)


class InjectedFaults:
    """Faults of a charge point and its network, made on purpose. Each does one thing wrong, at once.

    Nothing recovers on its own unless its name says so. All methods raise Disconnected where there is no connection.
    """

    def __init__(self, connection: SimulatorConnection, conversation: Conversation) -> None:
        self._connection = connection
        self._conversation = conversation
        self._sent_twice = 0

    def _client(self) -> AnyClient:
        client = self._connection.client
        if client is None:
            raise Disconnected("there is no connection")
        return client

    # -- The network -----------------------------------------------------------------------------

    def cut(self, *, reset: bool = True) -> None:
        """End the connection without a close frame: with a TCP reset, or with `reset=False` a plain end."""
        self._client().cut(reset=reset)

    def go_half_open(self) -> None:
        """Read and write nothing any more, and leave the socket open: as if the network were gone."""
        self._client().freeze()

    def recover(self) -> None:
        """End being half-open: held writes are sent, and waiting bytes are read."""
        self._client().thaw()

    def abandon(self) -> None:
        """Leave the connection half-open behind and dial a new one, as after a change of network. Blocks.

        Raises like `ChargePoint.connect`.
        """
        self._connection.abandon()

    # -- Frames ------------------------------------------------------------------------------------

    def send_raw(self, data: bytes) -> None:
        """Send these very bytes on the socket: a broken WebSocket frame, half of one, or anything."""
        self._client().send_raw(data)

    def send_text(self, text: str | bytes) -> None:
        """Send one text message, valid or not. Its answer is in the record only."""
        self._conversation.send_text(text.encode() if isinstance(text, str) else text)

    def send_twice(self, request: Request[Any], unique_id: str | None = None) -> str:
        """Send the same CALL twice, with the same message id, which is returned. The answers are in the record only."""
        self._sent_twice += 1
        unique_id = f"twice-{self._sent_twice}" if unique_id is None else unique_id
        action = self._conversation.version.row_of(request)
        frame = frames.call(unique_id, action.name, build(action.request, request))
        self._conversation.send_text(frame)
        self._conversation.send_text(frame)
        return unique_id
