"""A call that a handler passed on to the next plugin, and waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gevent.event import AsyncResult

from ...config.errors import ChargehandError
from ...protocol.errors import OcppError
from ...protocol.payload import build
from ..runtime.failure import Failure, attempt
from ..session.call import Call

if TYPE_CHECKING:
    import datetime as dt

    from .cell import PluginCell


class PassOnFailed(ChargehandError):
    """Error: the next plugin gave no answer to a call that was passed on.

    `cause` is "too_late", "quarantined" or "failed". A handler that lets it escape has the fallback answer; it counts
    against the next plugin, not against its own.
    """

    blameless = True

    def __init__(self, cause: str, text: str) -> None:
        super().__init__(text)
        self.cause = cause


class PassedCall(Call[Any]):
    """The call as the next plugin has it. Its outcome goes to the handler that passed it on."""

    __slots__ = ("_answer", "_call")

    plugin: PluginCell

    def __init__(self, call: Call[Any], plugin: PluginCell, request: Any = None) -> None:
        self._cell = getattr(call, "_cell", None)  # type: ignore[assignment]  # one from the spool has none
        self._call = call
        self.incoming = call.incoming
        self.request = call.request if request is None else request
        self.charge_point = call.charge_point
        self.transaction_id = call.transaction_id
        self.ordering_key = call.ordering_key
        self.plugin = plugin
        self.shadows = None
        self.passed = None
        self.given_away = False
        self.running = None
        self.fallback_taken = False
        self._answer: AsyncResult[Any] = AsyncResult()

    @property
    def open(self) -> bool:
        """True while an answer is still wanted by the handler that passed it on."""
        return not self._answer.ready() and self._call.open

    @property
    def waits(self) -> bool:
        """True until the handler that passed it on has its answer."""
        return not self._answer.ready()

    @property
    def received_at(self) -> dt.datetime:
        """Time of receipt, by our own clock, in UTC."""
        return self._call.received_at

    @property
    def asked_for(self) -> bool:
        """True if a trigger command asked the charge point for this message."""
        return self._call.asked_for

    @property
    def redelivered(self) -> bool:
        """True if a fallback answer acknowledged the call before."""
        return self._call.redelivered

    def answer(self) -> Any:
        """Wait for the typed answer; raises `OcppError` or `PassOnFailed`. Switches greenlets."""
        return self._answer.get()

    def finish(self, outcome: Any) -> None:
        """Take the outcome of the next plugin's handler, and note how it did."""
        if self._answer.ready():
            return
        self._call.transaction_id = self.transaction_id  # a handler may have found it
        action = self.incoming.action
        if type(outcome) is not Failure:
            written = attempt(build, action.response, outcome)
            if type(written) is not Failure:
                self.plugin.note_success(self.ordering_key, action.name)
                self._answer.set(action.response.__decoder__.decode(written))
                return
            outcome = written
        error = outcome.error
        if isinstance(error, OcppError):
            self.plugin.note_success(self.ordering_key, action.name)
            self._answer.set_exception(error)
        elif isinstance(error, PassOnFailed):
            self._answer.set_exception(error)
        else:
            if not getattr(error, "blameless", False):
                self.plugin.note_failure(self.ordering_key, action.name, error)
            self._fail("failed", f"{self.plugin} failed at {action.name}: {error}", error)

    def return_unhandled(self, why: str) -> None:
        """Tell the handler that passed it on that nobody handles it."""
        self._fail("quarantined", f"{self.plugin} did not take {self.action}: {why}")

    def expire(self) -> None:
        """End the wait: the time of the call is over. The plugin that did not answer is blamed."""
        if self._answer.ready():
            return
        self.fallback_taken = True
        following = self.passed
        if following is None or not following.waits:
            late = TimeoutError(f"no answer to {self.action} in time")
            self.plugin.note_failure(self.ordering_key, self.action, late)
        self.plugin.interrupt(self)
        self._fail("too_late", f"{self.plugin} did not answer {self.action} in time")

    def _fail(self, cause: str, text: str, error: Exception | None = None) -> None:
        if not self._answer.ready():
            failed = PassOnFailed(cause, text)
            failed.__cause__ = error
            self._answer.set_exception(failed)

    def __repr__(self) -> str:
        return f"<PassedCall {self.action} of {self.charge_point} to {self.plugin}>"
