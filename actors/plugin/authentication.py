"""Authentication by plugins: each handshake is shown to the handlers that are marked with `@authenticate`, in order.

The handshake's greenlet waits for them; nobody else does. A handler that fails or is late gives no verdict.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gevent.event import AsyncResult
from pykka import ActorDeadError

from ...config.errors import ChargehandError
from ..runtime.failure import Failure
from .detached_call import Untried

if TYPE_CHECKING:
    from greenlet import greenlet

    from ...protocol.x509 import Certificate
    from .cell import PluginCell
    from .routing import Router

AT_ONCE = 64
"""Handshakes that may wait for verdicts of plugins; further ones are refused for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionAttempt:
    """Handshake of a charge point that wants to connect, as `@authenticate` handlers have it.

    `password` is that of Basic authentication, None without one; `name` is `{name}` of the path template; `certificate`
    is the client's, if it has shown one that is valid.
    """

    charge_point_id: str
    password: bytes | None = field(repr=False)
    peer: str
    secure: bool
    name: str = ""
    certificate: Certificate | None = None


class NoVerdict(ChargehandError):
    """Error: a plugin that is to authenticate a charge point failed, was late, or is out of service."""


class AttemptShown:
    """Message that shows a plugin an attempt; the handshake waits for its outcome."""

    __slots__ = ("_outcome", "attempt", "ordering_key", "running")

    def __init__(self, attempt: ConnectionAttempt) -> None:
        self.attempt = attempt
        self.ordering_key = self  # waits for nothing else of its charge point, and holds up nothing
        self.running: greenlet | None = None
        self._outcome: AsyncResult[Any] = AsyncResult()

    @property
    def open(self) -> bool:
        """True while a verdict is wanted."""
        return not self._outcome.ready()

    def finish(self, outcome: Any) -> None:
        """Take the outcome: a verdict, a `Failure`, or `Untried`."""
        if self.open:
            self._outcome.set(outcome)

    def __repr__(self) -> str:
        return f"<handshake of {self.attempt.charge_point_id}>"

    def wait(self, timeout_s: float) -> Any:
        """Wait for the outcome; a `Failure` if there is none in time. Switches greenlets."""
        self._outcome.wait(max(timeout_s, 0.0))
        self.finish(Failure(TimeoutError("it gave no verdict in time (auth.authenticate_s)")))
        return self._outcome.get()


class Authentication:
    """Verdicts of plugins on handshakes. For the hub's thread."""

    def __init__(self, router: Router, timeout_s: float) -> None:
        self._router = router
        self._timeout_s = timeout_s
        self._waiting = 0

    @property
    def wanted(self) -> bool:
        """True if a plugin wants to see handshakes."""
        return bool(self._router.authenticators)

    def verdict(self, attempt: ConnectionAttempt) -> bool | None:
        """Return the first verdict of a plugin: true, false, or None if none has one. Switches greenlets.

        Raises `NoVerdict`.
        """
        if self._waiting >= AT_ONCE:
            raise NoVerdict(f"{AT_ONCE} handshakes wait to be authenticated")
        self._waiting += 1
        ends_at = time.monotonic() + self._timeout_s
        try:
            for cell in list(self._router.authenticators.values()):
                verdict = self._verdict_of(cell, attempt, ends_at)
                if verdict is not None:
                    return verdict
        finally:
            self._waiting -= 1
        return None

    def _verdict_of(self, cell: PluginCell, attempt: ConnectionAttempt, ends_at: float) -> bool | None:
        if cell.quarantined:
            raise NoVerdict(f"plugin {cell.urn} is quarantined")
        shown = AttemptShown(attempt)
        try:
            cell.tell(shown)
        except ActorDeadError:
            raise NoVerdict(f"plugin {cell.urn} has ended") from None
        outcome: Any = None
        try:
            outcome = shown.wait(ends_at - time.monotonic())
        finally:  # the client may have gone meanwhile
            shown.finish(None)
            if shown.running is not None:
                cell.interrupt(shown)
        if outcome is None or type(outcome) is bool:
            return outcome
        if type(outcome) is Untried:
            raise NoVerdict(f"plugin {cell.urn}: {outcome.why}")
        error: BaseException = (
            outcome.error
            if type(outcome) is Failure
            else TypeError(f"its verdict is neither a bool nor None, but a {type(outcome).__name__}")
        )
        raise NoVerdict(f"plugin {cell.urn}: {type(error).__name__}: {error}") from error
