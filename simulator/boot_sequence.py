"""Registration and keepalive of a charge point: BootNotification and heartbeats.

The one rule: what the central system answered decides: Accepted, it may talk and beats at the interval that it was
given; Pending or Rejected, it waits that long and boots again. OCPP 1.6, sections 4.2 and 4.6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from gevent.event import Event

from ..protocol.session import Registration
from .jobs import Job, PeriodicTask

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocol.actions import Request
    from .conversation import Conversation
    from .jobs import Jobs

RETRY_S = 60
"""Seconds until the next BootNotification where the central system leaves that to the charge point."""


class Keys(Protocol):
    """Configuration of a station, as far as its heartbeats need it."""

    def integer(self, name: str) -> int:
        """Return the value of a key that holds a number."""

    def set(self, name: str, value: str) -> None:
        """Set a key from within."""


class BootSequence:
    """Registration of one charge point, with its heartbeats.

    `interval_key` names the configuration key of the interval of heartbeats. `on_accepted` is called, in the booting
    greenlet, each time a boot was accepted.
    """

    def __init__(
        self,
        request: Request[Any],
        heartbeat: Request[Any],
        conversation: Conversation,
        configuration: Keys,
        jobs: Jobs,
        on_accepted: Callable[[], None],
        *,
        interval_key: str = "HeartbeatInterval",
    ) -> None:
        self.request = request
        self.status: Registration | None = None  # None: it has not booted
        self.accepted = Event()
        self._heartbeat = heartbeat
        self._interval_key = interval_key
        self._conversation = conversation
        self._configuration = configuration
        self._jobs = jobs
        self._on_accepted = on_accepted
        self._retry = Job()
        self._wanted = False  # a trigger command has asked for a boot that was not accepted yet
        self.heartbeat = PeriodicTask(jobs, lambda: configuration.integer(interval_key), self._beat)

    def boot(self) -> Any:
        """Send BootNotification and do as the answer says. Raises a `CallFailed`, and tries again by itself then."""
        self._retry.cancel()
        self._wanted = True
        retry_s = RETRY_S
        try:
            response = self._conversation.send(self.request)
            self.take(Registration(response.status))
            retry_s = response.interval if response.interval > 0 else RETRY_S
        finally:
            if self.status is not Registration.ACCEPTED:
                self._retry = self._jobs.later(retry_s, self.boot)
        if self.status is Registration.ACCEPTED:
            if response.interval > 0:
                self._configuration.set(self._interval_key, str(response.interval))
            self.heartbeat.restart()
            self._on_accepted()
        return response

    def take(self, status: Registration) -> None:
        """Be registered like this, without a BootNotification: a charge point that was accepted before it restarted."""
        self.status = status
        if status is Registration.ACCEPTED:
            self._wanted = False
            self.accepted.set()
        else:
            self.accepted.clear()

    def forget(self) -> None:
        """Be as after power-on."""
        self._retry.cancel()
        self.heartbeat.stop()
        self.status = None
        self.accepted.clear()

    def stop(self) -> None:
        """Stop all heartbeats and boots."""
        self._retry.cancel()
        self.heartbeat.stop()
        self._wanted = False

    def reconnected(self) -> bool:
        """Return true if a boot is due on a new connection: requested, and not accepted yet."""
        return self._wanted and self.status is not Registration.ACCEPTED

    def want(self) -> None:
        """Boot on the next connection."""
        self._wanted = True

    def _beat(self) -> None:
        if self.status is Registration.ACCEPTED and self._conversation.client is not None:
            self._conversation.send(self._heartbeat)
