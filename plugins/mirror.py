"""Mirror: the bundled plugin that forwards what charge points send to a second central system.

Off unless the settings name it. Each charge point has its own WebSocket there, as if it had connected itself. What was
answered here is sent there, in order, one CALL at a time; what waits is bounded, the oldest is dropped and counted.

The one rule: it only listens. Nothing here waits for it, and commands from there are answered NotSupported.
"""

from __future__ import annotations

import base64
import itertools
import json
import logging
import random
from collections import deque
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

import gevent
import gevent.ssl
import msgspec
from gevent.event import AsyncResult, Event
from gevent.pool import Group

from .. import (
    AnsweredCall,
    ChargePointOffline,
    Plugin,
    ResourceRequest,
    after,
    connect_websocket,
    on,
    required,
    resource,
    setting,
    v16,
    v201,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)

CALL, CALLRESULT, CALLERROR = 2, 3, 4
TRIES = 3
"""Connections on which a message is tried; then it is dropped."""
NUMBERS = 1000
"""Transactions of a charge point whose numbers there are known."""
SUBPROTOCOLS: Final = {"1.6": "ocpp1.6", "2.0.1": "ocpp2.0.1"}
BOOT = "BootNotification"
MIRRORS: Final = json.dumps(["NotSupported", "this connection only mirrors", {}])[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorSettings:
    """Settings of a mirror."""

    url: str = required(
        "URL of the second central system; {id} is the charge point's id, without it the id is put behind.",
        pattern=r"wss?://[^\s/@?#]+(/[^\s?#]*)?",
        wanted="a URL with wss (or ws), without a user and a query",
    )
    password: str = setting("", "Password of all charge points there, with their id as user.", secret=True)
    charge_points: tuple[str, ...] = setting((), 'Charge points, as "DE-*"; empty means all.')
    queue_messages: int = setting(1000, "Messages of a charge point that may wait.", least=1)
    queue_bytes: int = setting(1_000_000, "Bytes of these messages.", least=1)
    timeout_s: float = setting(30.0, "Seconds for a connection, and for an answer.", above=0)
    retry_min_s: float = setting(1.0, "Seconds before the second try of a connection.", above=0)
    retry_max_s: float = setting(300.0, "Maximum of the seconds between two tries.", above=0)
    ca_file: str = setting("", "File with the CAs (PEM) of its certificate; empty means those of the system.")


class Message(NamedTuple):
    """Message that is to be sent: its action, its payload as it came, and the number that its transaction has here."""

    action: str
    payload: bytes
    number: int | None = None


class Feed:
    """Messages of one charge point on their way, and its connection there."""

    def __init__(self, charge_point_id: str, version: str, settings: MirrorSettings, tls: Any) -> None:
        self.version = version
        self.sent = self.refused = self.dropped = self.failures = 0
        self.last_failure = ""
        self.boot: Message | None = None
        self._id = charge_point_id
        self._own = settings
        self._tls = tls
        self._queue: deque[Message] = deque()
        self._bytes = 0
        self._wake = Event()
        self._leaves = False
        self._numbers: dict[int, Any] = {}  # there, by the numbers here
        self._ids = itertools.count(1)
        self._asked: tuple[str, AsyncResult[Any]] | None = None
        self._chance = random.Random()  # noqa: S311 - no secret

    @property
    def waiting(self) -> int:
        """Number of messages that wait."""
        return len(self._queue)

    def put(self, message: Message) -> None:
        """Have a message sent; the oldest ones are dropped if there are too many."""
        self._queue.append(message)
        self._bytes += len(message.payload)
        while len(self._queue) > 1 and (
            len(self._queue) > self._own.queue_messages or self._bytes > self._own.queue_bytes
        ):
            self._drop()
        self._leaves = False
        self._wake.set()

    def leave(self) -> None:
        """Close the connection when nothing waits any more."""
        self._leaves = True
        self._wake.set()

    def _drop(self) -> None:
        self._take()
        self.dropped += 1

    def _take(self) -> None:
        self._bytes -= len(self._queue.popleft().payload)

    def run(self) -> None:
        """Connect whenever there is something to send, and send it; until the greenlet is killed."""
        tries = 0
        while True:
            self._wake.wait()
            if not self._queue:
                self._wake.clear()
                continue
            try:
                client = self._connect()
            except (OSError, ValueError) as error:
                self._failed(f"{type(error).__name__}: {error}")
                gevent.sleep(self._delay_s())
                continue
            head, reader = self._queue[0], gevent.spawn(self._read, client)
            try:
                self._converse(client)
            except OSError as error:
                self._failed(str(error) or type(error).__name__)
            finally:
                client.close()
                reader.kill()
            tries = tries + 1 if self._queue and self._queue[0] is head else 0
            if tries >= TRIES:
                self._drop()
                tries = 0
            if self._queue:
                gevent.sleep(self._delay_s())

    def _connect(self) -> Any:
        own, id_ = self._own, quote(self._id, safe="")
        url = own.url.replace("{id}", id_) if "{id}" in own.url else f"{own.url.rstrip('/')}/{id_}"
        headers = {}
        if own.password:
            pair = base64.b64encode(f"{self._id}:{own.password}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        subprotocol = SUBPROTOCOLS.get(self.version, SUBPROTOCOLS["1.6"])
        return connect_websocket(
            url, subprotocols=[subprotocol], headers=headers, tls=self._tls, timeout_s=own.timeout_s
        )

    def _failed(self, why: str) -> None:
        self.failures += 1
        if self.failures == 1:
            logger.warning("mirror of %s: %s", self._id, why)
        self.last_failure = why

    def _delay_s(self) -> float:
        delay_s = self._own.retry_min_s * 2.0 ** min(max(self.failures - 1, 0), 30)
        return float(min(delay_s, self._own.retry_max_s)) * (1 + self._chance.random() * 0.1)

    def _converse(self, client: Any) -> None:
        """Send what waits until the connection ends. Raises OSError for an answer that does not come."""
        if self.boot is not None and self._queue[0].action != BOOT:
            self._ask(client, self.boot)
        while client.code is None:
            if self._queue:
                message = self._queue[0]
                self._ask(client, message)
                if self._queue and self._queue[0] is message:  # else it was dropped meanwhile
                    self._take()
                self.failures = 0
            elif self._leaves:
                return
            else:
                self._wake.clear()
                self._wake.wait()

    def _ask(self, client: Any, message: Message) -> None:
        unique_id = f"mirror-{next(self._ids)}"
        answer: AsyncResult[Any] = AsyncResult()
        self._asked = unique_id, answer
        payload = self._payload(message)
        client.send_text(b'[2,"%b","%b",%b]' % (unique_id.encode(), message.action.encode(), payload))
        told = answer.get(timeout=None) if answer.wait(self._own.timeout_s) or answer.ready() else None
        self._asked = None
        if told is None:
            raise TimeoutError(f"no answer to {message.action}")
        self.sent += 1
        if told[0] == CALLERROR:
            self.refused += 1
        elif message.action == "StartTransaction" and message.number is not None:
            self._learn(message.number, told[2])

    def _learn(self, number: int, payload: Any) -> None:
        there = payload.get("transactionId") if isinstance(payload, dict) else None
        if type(there) is int:
            self._numbers[number] = there
            if len(self._numbers) > NUMBERS:
                del self._numbers[next(iter(self._numbers))]

    def _payload(self, message: Message) -> bytes:
        """Return the payload with the transaction's number there, if it is named by a number of ours."""
        if message.action == "StartTransaction" or message.number is None:
            return message.payload
        try:
            payload = json.loads(message.payload)
        except ValueError:
            return message.payload
        if not isinstance(payload, dict) or type(payload.get("transactionId")) is not int:
            return message.payload
        there = self._numbers.get(message.number)
        if there is not None:
            payload["transactionId"] = there
        elif message.action == "MeterValues":
            del payload["transactionId"]  # its start was before the mirror's
        return json.dumps(payload).encode()

    def _read(self, client: Any) -> None:
        try:
            while (texts := client.receive()) is not None:
                for text in texts:
                    self._received(client, text)
        except OSError:
            client.close()
        finally:
            if self._asked is not None:
                self._asked[1].set(None)
            self._wake.set()

    def _received(self, client: Any, text: bytes) -> None:
        try:
            frame = json.loads(text)
            kind, unique_id = frame[0], frame[1]
        except (ValueError, LookupError, TypeError, RecursionError):
            return
        if kind == CALL:
            client.send_text(f"[{CALLERROR},{json.dumps(unique_id)},{MIRRORS}".encode())
        elif self._asked is not None and unique_id == self._asked[0] and kind in (CALLRESULT, CALLERROR):
            self._asked[1].set(frame if len(frame) > 2 else None)


def _every_action(handler: Callable[..., None]) -> Any:
    """Mark a handler as one of all actions of charge points, of every version."""
    rows = [getattr(one, "__action__", None) for module in (v16, v201) for one in vars(module).values()]
    for name in sorted({row.name for row in rows if row is not None and row.sender != "central system"}):
        handler = after(name)(handler)
    return handler


class Mirror(Plugin):
    """Forwards what charge points send."""

    settings_class = MirrorSettings

    def __init__(self, settings: MirrorSettings) -> None:
        super().__init__()
        self._own = settings
        self._tls = gevent.ssl.create_default_context(cafile=settings.ca_file or None)
        self._feeds: dict[str, Feed] = {}
        self._greenlets = Group()

    def on_stop(self) -> None:
        """End all connections."""
        self._greenlets.kill()

    def on_failure(self, *_: object) -> None:
        """End all connections: those that are started again have their own."""
        self._greenlets.kill()

    @_every_action
    def seen(self, call: AnsweredCall[Any], answer: Any) -> None:
        """Put a call behind those that wait."""
        charge_point = call.charge_point
        patterns = self._own.charge_points
        if patterns and not any(fnmatchcase(charge_point.id, one) for one in patterns):
            return
        feed = self._feeds.get(charge_point.id)
        if feed is None:
            feed = self._feeds[charge_point.id] = Feed(
                charge_point.id, charge_point.version, self._own, self._tls
            )
            self._greenlets.start(gevent.Greenlet(feed.run))
        feed.version = charge_point.version
        number = getattr(answer, "transaction_id", None)
        if number is None:
            number = getattr(call.request, "transaction_id", None)
        message = Message(call.action, call.payload, number if type(number) is int else None)
        if message.action == BOOT:
            feed.boot = message
        feed.put(message)

    @on(ChargePointOffline)
    def offline(self, event: ChargePointOffline) -> None:
        """Leave there, too, when all is sent."""
        feed = self._feeds.get(event.charge_point_id)
        if feed is not None:
            feed.leave()

    @resource("GET", "status")
    def status(self, _request: ResourceRequest) -> Mapping[str, Any]:
        """Tell of each charge point what was sent, refused there and dropped, and what waits."""
        return {
            "charge_points": {
                id_: FeedView(
                    waiting=feed.waiting,
                    sent=feed.sent,
                    refused=feed.refused,
                    dropped=feed.dropped,
                    failures=feed.failures,
                    last_failure=feed.last_failure,
                )
                for id_, feed in sorted(self._feeds.items())
            }
        }


class FeedView(msgspec.Struct, frozen=True, kw_only=True):
    """State of the mirror of a charge point; `failures` are those in a row."""

    waiting: int
    sent: int
    refused: int
    dropped: int
    failures: int
    last_failure: str
