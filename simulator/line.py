"""The line of a charge point: it dials, listens in one greenlet, notices a loss, and dials again if it is to.

The one rule: at most one connection is the current one; what becomes of any other changes nothing.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event

from ..protocol.handshake import HandshakeError
from ..protocol.websocket import CloseCode
from .errors import Disconnected
from .record import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gevent import Greenlet

    from ..protocol.session import Incoming
    from .client import Client
    from .conversation import Conversation
    from .record import Record

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before dialling again: doubled from `least_s` up to `most_s`, each wait jittered by half."""

    least_s: float = 1.0
    most_s: float = 60.0

    def waits(self, chance: random.Random) -> Iterator[float]:
        """The waits, one after the other, without an end."""
        wait_s = self.least_s
        while True:
            yield wait_s * chance.uniform(0.5, 1.0)
            wait_s = min(wait_s * 2, self.most_s)


class Line:
    """See the head of this file. `dial` connects or raises; `take` gets the CALLs of the central system.

    `opened` and `lost` are called, without blocking, when a connection has become the current one and when it is gone.
    """

    def __init__(
        self,
        dial: Callable[[], Client],
        conversation: Conversation,
        record: Record,
        *,
        take: Callable[[Incoming], None],
        opened: Callable[[], None],
        lost: Callable[[], None],
        reconnect: Backoff | None,
        close_timeout_s: float,
    ) -> None:
        self.reconnect = reconnect
        self.connections = 0  # how many have been opened
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
        self._client: Client | None = None
        self._listener: Greenlet[..., None] | None = None  # listens, or dials again
        self._leaving: Client | None = None  # the one that we are closing ourselves
        self._left: list[Client] = []  # abandoned: open for the peer, dead for us
        self._closing = Event()

    @property
    def client(self) -> Client | None:
        """The current connection's WebSocket; None while offline."""
        return self._client

    def open(self) -> None:
        """Dial, and listen from then on. Raises what `Client.connect` raises; RuntimeError if it is open."""
        if self._client is not None or (self._listener is not None and not self._listener.dead):
            raise RuntimeError("it is connected, or dials again by itself")
        self._closing.clear()
        self._connect()

    def _connect(self) -> None:
        client = self._dial()
        if self._closing.is_set() or self._client is not None:
            client.cut(reset=False)
            raise Disconnected("it was closed, or opened by somebody else, meanwhile")
        self._client = client
        self._conversation.attach(client)
        self.connections += 1
        self._record.add(Kind.CONNECTED, (client.subprotocol or "").encode())
        self.offline.clear()
        self.online.set()
        self._listener = gevent.spawn(self._listen, client)
        self._opened()

    def _listen(self, client: Client) -> None:
        self._conversation.listen(client, self._take)
        if self._detach(client) and client is not self._leaving:
            self._keep_dialling()

    def _detach(self, client: Client) -> bool:
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

        If that fails it goes on trying when it has a `reconnect`; else it raises what `Client.connect` raises.
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
            # Somebody else has dialled meanwhile, and that is all that was wanted.
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
