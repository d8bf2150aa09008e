"""Answers in a handler's place: refusals, fallback answers, and acknowledgements of spooled messages.

A transaction message is acknowledged once the store has it; until then reading is paused, because later messages
could not be stored either.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from ...protocol.actions import FallbackFacts
from ...protocol.errors import ErrorCode, OcppError
from ..runtime.failure import Failure, attempt
from .call import Call
from .messages import CallSpooled

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...protocol.session import Incoming
    from .cell import ChargePointCell

STORE_RETRY_S = 1.0
"""Seconds before a message that the store could not persist is tried again."""


class Fallbacks:
    """Fallback answers of one charge point, and its messages that the store could not persist yet."""

    __slots__ = ("_cell", "unstored")

    def __init__(self, cell: ChargePointCell) -> None:
        self._cell = cell
        self.unstored: set[Incoming] | None = None

    def refuse(
        self,
        incoming: Incoming,
        code: ErrorCode,
        text: str,
        details: dict[str, Any] | None = None,
        kind: str = "out",
    ) -> None:
        """Answer a CALL with a CALLERROR."""
        self.claim_answer(incoming, code.encode())
        frame = self._cell.session.refuse(incoming, code, text, details)
        self._cell.send(frame, kind)
        if frame is not None:
            context = self._cell.context
            meter, now = context.calls[incoming.action], context.clock.monotonic()
            if kind == "answer":
                meter.refuse(incoming.received_at, now)
            elif code is ErrorCode.NOT_SUPPORTED:  # no plugin has a handler for it
                meter.rejected += 1
            else:
                meter.fall_back(incoming.received_at, now)
        if frame is not None and self._cell.context.router.watched:
            error = OcppError(code, text, details)
            self._cell.tell_answer(incoming, None, error, fallback=kind != "answer")

    def claim_answer(self, incoming: Incoming, answer: bytes) -> None:
        """Claim the answer to a CALL: no handler starts it, and its shadows are told the answer."""
        call = self._cell.call_of(incoming)
        if call is not None:
            self._cell.session.note(incoming)
            call.fallback_taken = True
            call.tell_shadows(answer)

    def answer(self, incoming: Incoming, why: str, *, redeliver: bool = True) -> None:
        """Answer a CALL in its handler's place. A transaction message is acknowledged only once it is stored.

        With `redeliver` it is redelivered to its plugin.
        """
        if not incoming.open:
            return
        context = self._cell.context
        call = self._cell.call_of(incoming)
        context.observer.count("fallback", self._cell.charge_point.id)
        self._cell.event("fallback", json.dumps([incoming.unique_id, incoming.action.name, why]))
        if incoming.action.transaction:
            if call is None:
                call = Call(self._cell, incoming, self._cell.allot(incoming))
                self._cell.session.note(incoming, call)
            call.fallback_taken = True
            self._spool(call, why, redeliver=redeliver)
            return
        fallback = incoming.action.fallback
        if fallback is None:
            self.refuse(incoming, ErrorCode.INTERNAL_ERROR, why)
        else:
            payload = fallback(
                FallbackFacts(context.time_text(), None, context.id_tag_status, incoming.request)
            )
            self.claim_answer(incoming, payload)
            self._send_answer(incoming, None, payload)

    def keep_refused(self, incoming: Incoming, why: str) -> None:
        """Keep a transaction message that the strict policy refuses as a dead letter: its sender throws it away."""
        failure = attempt(
            functools.partial(
                self._cell.context.store.spool,
                version=self._cell.session.rules.version.name,
                charge_point_id=self._cell.charge_point.id,
                action=incoming.action.name,
                unique_id=str(incoming.unique_id),
                payload=bytes(incoming.payload),
                transaction_id=self._named_by(incoming),
                received_at=self._cell.context.date_of(incoming.received_at),
                why=f"refused by the strict policy: {why}",
                redeliver=False,
            )
        )
        if type(failure) is Failure:  # a store of somebody's own: what it raises must not cost the answer
            self._cell.log(failure)

    def _spool(self, call: Call[Any], why: str, *, redeliver: bool, again: bool = False) -> None:
        context, incoming = self._cell.context, call.incoming
        if self._cell.ended or not incoming.open:
            return
        receipt = attempt(
            functools.partial(
                context.store.spool,
                version=self._cell.session.rules.version.name,
                charge_point_id=self._cell.charge_point.id,
                action=incoming.action.name,
                unique_id=str(incoming.unique_id),
                payload=bytes(incoming.payload),
                transaction_id=self._transaction_of(call),
                received_at=context.date_of(incoming.received_at),
                why=why,
                redeliver=redeliver,
            )
        )
        if type(receipt) is Failure:  # a custom store may raise anything; the answer must be sent
            self._spooled(call, receipt.error, why, redeliver=redeliver, again=again)
            return
        if redeliver:
            context.spool.put_behind(self._cell.charge_point.id)
        receipt.then(lambda error: self._spooled(call, error, why, redeliver=redeliver, again=again))

    def _transaction_of(self, call: Call[Any]) -> int | None:
        """Transaction that was allotted to a start; or the open one that a message names which cannot be read."""
        if call.transaction_id is not None or call.incoming.request is not None:
            return call.transaction_id
        return self._named_by(call.incoming)

    def _named_by(self, incoming: Incoming) -> int | None:
        """Find the open transaction of this charge point that a message names which cannot be read, or was refused."""
        named = incoming.action.transaction_named
        if named is None:
            return None
        number = named(bytes(incoming.payload))
        known = None if number is None else self._cell.context.store.open_transaction(number)
        return known.id if known is not None and known.charge_point_id == self._cell.charge_point.id else None

    def _spooled(
        self, call: Call[Any], error: Exception | None, why: str, *, redeliver: bool, again: bool
    ) -> None:
        context = self._cell.context
        self.hold_back(call.incoming, error, lambda: self._spool(call, why, redeliver=redeliver, again=True))
        if redeliver:
            context.spool.spooled(self._cell.charge_point.id)
        if not self._cell.ended and (error is None or not again):  # the failure was logged before
            self._cell.tell(CallSpooled(call, error))

    def hold_back(self, incoming: Incoming, error: Exception | None, again: Callable[[], None]) -> None:
        """With an error, pause reading and try to store again later; without one, end that state."""
        if error is not None:
            self.unstored = {*(self.unstored or ()), incoming}
            if self._cell.connection is not None:
                self._cell.connection.pause()
            self._cell.context.timers.call_at(self._cell.context.clock.monotonic() + STORE_RETRY_S, again)
        elif self.unstored is not None:
            self.unstored.discard(incoming)

    def acknowledge(self, call: Call[Any]) -> None:
        """Send the fallback answer to a transaction message that is durable now."""
        context, incoming = self._cell.context, call.incoming
        facts = FallbackFacts(
            context.time_text(), call.transaction_id, context.id_tag_status, incoming.request
        )
        fallback = incoming.action.fallback
        payload = None if fallback is None else fallback(facts)
        answer = payload or b"{}"
        if self._cell.call_of(incoming) is not None:
            call.tell_shadows(answer)
        self._send_answer(incoming, call.transaction_id, answer)

    def _send_answer(self, incoming: Incoming, transaction_id: int | None, answer: bytes) -> None:
        frame = self._cell.session.answer(incoming, answer)
        self._cell.send(frame)
        if frame is not None:
            context = self._cell.context
            context.calls[incoming.action].fall_back(incoming.received_at, context.clock.monotonic())
        if frame is not None and self._cell.context.router.watched:
            self._cell.tell_answer(incoming, transaction_id, answer, fallback=True)
