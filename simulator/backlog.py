"""Transaction messages that wait for the central system, and how often they are tried.

The one rule: they are delivered in order, and one is thrown away only after it was refused, or not answered, as often
as TransactionMessageAttempts says. A lost connection is no attempt. OCPP 1.6, sections 3.7 and 3.7.1.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from gevent.event import Event

from .errors import CallFailed, Disconnected

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocol.actions import Request
    from .jobs import Jobs

KEPT = 100
"""Number of discarded messages that are remembered."""


class Delivery:
    """Pending message. `make` encodes it when it is sent: its transaction id may have come by then.

    `owner` is the transaction it belongs to.
    """

    def __init__(
        self,
        make: Callable[[], Request[Any]],
        then: Callable[[Any], None] | None = None,
        owner: object = None,
    ) -> None:
        self.make = make
        self.owner = owner
        self.attempts = 0
        self.response: Any = None
        self.error: CallFailed | None = None
        self._then = then
        self._moved = Event()

    @property
    def done(self) -> bool:
        """Return true once the message was answered or discarded."""
        return self.response is not None or self.error is not None

    def wait(self) -> Any:
        """Wait for the response. None: the charge point went offline, and keeps the message.

        Raises the `CallFailed` of the last attempt if the message was thrown away.
        """
        self._moved.wait()
        if self.error is not None:
            raise self.error
        return self.response

    def answered(self, response: Any) -> None:
        """Note that the message has arrived."""
        self.response = response
        if self._then is not None:
            self._then(response)
        self._moved.set()

    def failed(self, error: CallFailed) -> None:
        """Note that the message is discarded."""
        self.error = error
        self._moved.set()

    def put_off(self) -> None:
        """Wake the waiting greenlets: the delivery will take long."""
        self._moved.set()


class Backlog:
    """Queue of transaction messages. `attempts` and `retry_s` are called each time: they are configuration keys."""

    def __init__(self, attempts: Callable[[], int], retry_s: Callable[[], float]) -> None:
        self.thrown_away: deque[Delivery] = deque(maxlen=KEPT)
        self.empty = Event()
        self.empty.set()
        self._attempts = attempts
        self._retry_s = retry_s
        self._queue: deque[Delivery] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, delivery: Delivery) -> Delivery:
        """Put a message at the end."""
        self._queue.append(delivery)
        self.empty.clear()
        return delivery

    def overtake(self, delivery: Delivery) -> Delivery:
        """Put a message in front of those of its transaction."""
        behind = [index for index, waiting in enumerate(self._queue) if waiting.owner is delivery.owner]
        self._queue.insert(behind[0] if behind else len(self._queue), delivery)
        self.empty.clear()
        return delivery

    def has_of(self, id_: str | int) -> bool:
        """Return true while messages of the transaction with this id wait."""
        return any(getattr(waiting.owner, "id", None) == id_ for waiting in self._queue)

    def put_off(self) -> None:
        """Wake the waiting greenlets: the connection is lost."""
        for delivery in self._queue:
            delivery.put_off()

    def deliver(self, send: Callable[[Request[Any]], Any]) -> float | None:
        """Send the queue in order. Returns None if it is empty, else the seconds until the first is tried again.

        Raises Disconnected when the connection is lost; then everything that was not answered is kept.
        """
        while self._queue:
            delivery = self._queue[0]
            try:
                response = send(delivery.make())
            except Disconnected:
                raise
            except CallFailed as error:
                delivery.attempts += 1
                if delivery.attempts < max(self._attempts(), 1):
                    return self._retry_s() * delivery.attempts
                self._queue.remove(delivery)
                self.thrown_away.append(delivery)
                delivery.failed(error)
            else:
                self._queue.remove(delivery)
                delivery.answered(response)
        self.empty.set()
        return None


class Dispatcher:
    """Delivery of a backlog, whenever messages may be sent: `is_ready` says so, `send` sends one and waits."""

    def __init__(
        self,
        backlog: Backlog,
        jobs: Jobs,
        send: Callable[[Request[Any]], Any],
        is_ready: Callable[[], bool],
    ) -> None:
        self._backlog = backlog
        self._jobs = jobs
        self._send = send
        self._is_ready = is_ready
        self._delivering = False
        self._put_off_until = 0.0

    def wait_for(self, delivery: Delivery) -> Any:
        """Deliver what waits, and wait for this one; see `Delivery.wait`. Offline it returns None at once."""
        if not self._is_ready():
            return None
        self._jobs.start(self.deliver)
        return delivery.wait()

    def deliver_now(self) -> None:
        """Deliver the backlog, even if the next attempt is not due yet."""
        self._put_off_until = 0.0
        self.deliver()

    def deliver(self) -> None:
        """Deliver the backlog, unless that is being done, or the next attempt is not due yet."""
        if not self._is_ready():
            self._backlog.put_off()
        if self._delivering or not self._is_ready() or self._jobs.time() < self._put_off_until:
            return
        self._delivering = True
        try:
            retry_s = self._backlog.deliver(self._send)
        except Disconnected:
            self._backlog.put_off()
            return
        finally:
            self._delivering = False
        if retry_s is not None:
            self._put_off_until = self._jobs.time() + retry_s
            self._jobs.later(retry_s, self.deliver)
