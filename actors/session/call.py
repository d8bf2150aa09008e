"""Call as a plugin sees it: the request, its charge point, and the one answer it gets."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pykka import ActorDeadError

from ..runtime.failure import Failure
from ..runtime.native_pool import here, in_hub
from ..runtime.threads import native_thread
from .messages import CallAnswered, CallReturned, HandlerFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from greenlet import greenlet

    from ...protocol.actions import Request
    from ...protocol.errors import Deviation
    from ...protocol.message import Message
    from ...protocol.session import Incoming
    from ..runtime.threads import Inlet
    from .cell import ChargePointCell
    from .context import PassedOn, PluginHandle, RecordReceipt, ShadowedCall

R_co = TypeVar("R_co", covariant=True)
M = TypeVar("M", bound="Message")
A = TypeVar("A")


class Call(Generic[R_co]):
    """CALL of a charge point, handed to a plugin's handler.

    `request` is the typed message, of the type that `@passive` was given, and `charge_point` who sent it;
    `transaction_id` is the number allotted to a StartTransaction before any handler ran, or the one that the back
    office has found for a TransactionEvent, else None. A handler returns the response, raises `OcppError`, or keeps
    `call.later()` and answers with that.
    """

    __slots__ = (
        "_cell",
        "charge_point",
        "fallback_taken",
        "given_away",
        "incoming",
        "ordering_key",
        "passed",
        "plugin",
        "request",
        "running",
        "shadows",
        "started_at",
        "transaction_id",
    )

    def __init__(
        self,
        cell: ChargePointCell,
        incoming: Incoming,
        transaction_id: int | None = None,
        plugin: PluginHandle | None = None,
    ) -> None:
        self._cell = cell
        self.request: R_co = incoming.request  # type: ignore[assignment]
        self.charge_point = cell.charge_point
        self.plugin = plugin  # the plugin that was told
        self.shadows: Sequence[ShadowedCall] | None = None
        self.passed: PassedOn | None = None  # the same call, with the plugin that it was passed on to
        self.given_away = False
        self.incoming = incoming
        self.transaction_id = transaction_id
        self.ordering_key = cell.urn
        self.running: greenlet | None = None  # the greenlet of its handler
        self.started_at = incoming.received_at  # of its handler, once that runs
        self.fallback_taken = False  # true once a fallback answers in its place

    @property
    def action(self) -> str:
        """Name of the action, as in `Authorize`."""
        return self.incoming.action.name

    @property
    def unique_id(self) -> str:
        """Message id; not unique, it may be used again after a reboot or for another message."""
        return str(self.incoming.unique_id)

    @property
    def payload(self) -> bytes:
        """Payload of the request as sent, in JSON."""
        return bytes(self.incoming.payload)

    @property
    def received_at(self) -> datetime:
        """Time of receipt by the central system's clock, in UTC."""
        return self._cell.context.date_of(self.incoming.received_at)

    @property
    def deviations(self) -> tuple[Deviation, ...]:
        """Deviations that the lenient policy accepted or mended."""
        return self.incoming.deviations

    @property
    def asked_for(self) -> bool:
        """True if a trigger command asked for this message, so that it is no sign of anything else."""
        return self._cell.session.asked_for(self.incoming.action)

    @property
    def open(self) -> bool:
        """True while an answer can be sent: false after the deadline, or when the connection is lost."""
        return self.incoming.open

    @property
    def redelivered(self) -> bool:
        """True if a fallback has acknowledged the call before, and it comes from the spool now."""
        return False

    def pass_on(self: Call[Request[M]], request: Request[M] | None = None) -> M:
        """Return the typed answer of the next plugin, down to the back office. Switches greenlets.

        A `request` of the same action takes the place of this one there, such as one without the certificate that this
        handler has checked; a transaction message is passed on as it was sent.

        The handler may return the answer, change it, or only look at it; the call's deadline goes on running. Raises
        the `OcppError` that the next plugin answered with, and `PassOnFailed` if it gave no answer: letting either
        escape is safe. A transaction message that comes again, from the spool for example, gets the answer that the
        back office stored. Raises TypeError for a request of another action, or in place of a transaction message.
        """
        if self.plugin is None:
            raise RuntimeError(f"{self!r} cannot be passed on: no plugin has it")
        action = self.incoming.action
        if request is not None and (action.transaction or type(request) is not action.request):
            raise TypeError(f"{self!r} cannot be passed on as a {type(request).__name__}")
        answer: M = self.plugin.pass_on(self, request)
        return answer

    def later(self) -> Later[R_co]:
        """Return a handle to answer later; the handler's return value is ignored, the deadline still holds."""
        self.given_away = True
        return Later(self)

    def once_stored(self, response: A, *receipts: RecordReceipt) -> A:
        """Answer with `response` when all receipts are durable: `return call.once_stored(response, receipt)`.

        Unlike `receipt.wait()` it blocks neither a greenlet nor the charge point's next call. An error of a receipt
        counts as the handler's failure.
        """
        for receipt in receipts:
            if not receipt.done or receipt.error is not None:
                self.given_away = True
                # Receipts and sessions belong to the hub; a blocking handler is in another thread.
                if getattr(here, "job", None) is None:
                    self._await(response, list(receipts))
                else:
                    in_hub(self.inlet, self._await, response, list(receipts))
                break
        return response

    def _await(self, response: Any, waiting: list[RecordReceipt], error: Exception | None = None) -> None:
        while error is None and waiting:
            receipt = waiting.pop()
            if not receipt.done:
                receipt.then(partial(self._await, response, waiting))
                return
            error = receipt.error
        self.finish(response if error is None else Failure(error))

    def note_configuration(self, told: Mapping[str, str]) -> None:
        """Note what the call tells of its charge point's configuration, by key: messages of verbs depend on it."""
        cell = getattr(self, "_cell", None)  # a call from the spool has none
        if told and cell is not None:
            cell.command_state().note_configuration(told)

    @property
    def inlet(self) -> Inlet:
        """Inlet of the hub that it is handled in. For the runtime."""
        owner = self.plugin if self.plugin is not None else self._cell
        return owner.scheduler.inlet

    def tell_shadows(self, answer: bytes) -> None:
        """Tell the shadow plugins the answer that was sent, to be compared. For the runtime."""
        for shadow in self.shadows or ():
            shadow.real(answer)

    def expire(self) -> None:
        """End the call at its deadline: its handler is not started any more, or ended. For the runtime."""
        self.fallback_taken = True
        if self.plugin is not None:
            self.plugin.interrupt(self)

    def return_unhandled(self, why: str) -> None:
        """Tell the session that no handler will start the call. For the runtime."""
        with contextlib.suppress(ActorDeadError):  # the session has ended
            self._cell.tell(CallReturned(self, why))

    def finish(self, outcome: Any) -> None:
        """Tell the session how the handler ended: a `Failure`, or its answer. For the runtime."""
        try:
            if type(outcome) is Failure:
                self._cell.tell(HandlerFailed(self, outcome))
            else:
                self._cell.tell(CallAnswered(self, outcome))
        except ActorDeadError:
            pass  # the session has ended

    def __repr__(self) -> str:
        return f"<Call {self.action} {self.unique_id!r} of {self.charge_point}>"


class AnsweredCall(Call[R_co]):
    """Call after its answer was sent, as `@after` handlers have it."""

    __slots__ = ("_fallback",)

    def __init__(
        self, cell: ChargePointCell, incoming: Incoming, transaction_id: int | None, *, fallback: bool
    ) -> None:
        super().__init__(cell, incoming, transaction_id)
        self._fallback = fallback

    @property
    def fallback(self) -> bool:
        """True if a fallback gave the answer that was sent, false if a handler did."""
        return self._fallback


class Later(Generic[R_co]):
    """Handle to answer a call later, from any greenlet or native thread. The first answer counts."""

    __slots__ = ("call",)

    def __init__(self, call: Call[R_co]) -> None:
        self.call = call

    def answer(self: Later[Request[M]], response: M | Mapping[str, Any]) -> None:
        """Answer with a response or a mapping."""
        self._finish(response)

    def fail(self, error: Exception) -> None:
        """Answer with an `OcppError`; any other exception counts as the handler's failure."""
        self._finish(Failure(error))

    def _finish(self, outcome: Any) -> None:
        inlet = self.call.inlet
        if native_thread() == inlet.thread:
            self.call.finish(outcome)
        else:
            inlet.put(self.call.finish, outcome)
