"""The cell of a charge point, as far as it is called: its CALLs with plugins, and how each is answered.

A handler's answer, a CALLERROR, or a stand-in's, which for a transaction message goes out once the store has it.
"""

from __future__ import annotations

import functools
import json
import logging
from typing import TYPE_CHECKING, Any

from ...protocol.actions import SPOOL
from ...protocol.errors import ErrorCode
from ...protocol.fallbacks import fallback
from ..runtime.failure import Failure, attempt
from .call import Call
from .messages import CallSpooled, RegistrationKept
from .ticket_cell import TicketCell

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

    from ...protocol.session import Incoming, Session
    from ..runtime.actor import Actor
    from ..runtime.cell import Cell, Exit
    from .charge_point import ChargePoint
    from .connection import Connection
    from .context import SessionContext
    from .messages import FrameReceived

logger = logging.getLogger(__name__)

STORE_RETRY_S = 1.0
"""Seconds after which a store that could not keep a record is asked again."""


class CallCell(TicketCell):
    """See the head of this file."""

    __slots__ = ("calls", "connection", "held", "taken", "unstored")

    def __init__(
        self,
        context: SessionContext,
        charge_point: ChargePoint,
        session: Session,
        make: Callable[[Cell], Actor],
        watch: Callable[[Cell, Exit], None] | None = None,
    ) -> None:
        super().__init__(context, charge_point, session, make, watch)
        self.connection: Connection | None = None  # whose messages count, as far as the session has heard
        self.calls: dict[Incoming, Call[Any]] = {}  # with plugins, or at a stand-in
        self.taken: Incoming | None = None  # the CALL that is being handled right now
        self.held: deque[FrameReceived] | None = (
            None  # CALLs that nobody has begun with, for too many are in flight
        )
        self.unstored: set[Incoming] | None = None  # records that the store could not keep yet

    # -- Answers -------------------------------------------------------------------------------

    def send(self, frame: bytes | None, kind: str = "out") -> None:
        """Send a frame over the connection, if there are both. `kind` is "answer" if it is a plugin's."""
        if frame is not None and self.connection is not None:
            if self.recorder is not None:
                self.recorder.note(self.context.clock.monotonic(), kind, frame)
            self.connection.send_text(frame)

    def refuse(
        self,
        incoming: Incoming,
        code: ErrorCode,
        text: str,
        details: dict[str, Any] | None = None,
        kind: str = "out",
    ) -> None:
        """Answer a CALL with a CALLERROR."""
        self.take_over(incoming, code.encode())
        self.send(self.session.refuse(incoming, code, text, details), kind)

    def take_over(self, incoming: Incoming, answer: bytes) -> None:
        """See to it that no handler begins with a CALL that is answered here."""
        call = self.calls.pop(incoming, None)
        if call is not None:
            call.fallback_taken = True
            self.tell_shadows(call, answer)

    @staticmethod
    def tell_shadows(call: Call[Any] | None, answer: bytes) -> None:
        """Let the plugins that are only compared know what was answered."""
        if call is not None and call.shadows is not None:
            for shadow in call.shadows:
                shadow.real(answer)

    def fallback(self, incoming: Incoming, why: str, *, replay: bool = True) -> None:
        """Answer a CALL in its handler's place. A transaction message is acknowledged once it is stored, else never.

        With `replay`, its plugin is to have it later.
        """
        if not incoming.open:
            return
        context = self.context
        call = self.calls.get(incoming)
        context.observer.count("fallback", self.charge_point.id)
        self.event("fallback", json.dumps([incoming.unique_id, incoming.action.name, why]))
        if incoming.action.fallback is SPOOL:
            if call is None:
                call = Call(self, incoming, self.allot(incoming))
                self.calls[incoming] = call
            call.fallback_taken = True
            self._spool(call, why, replay=replay)
            return
        payload = fallback(incoming.action, context.time_text(), None, context.id_tag_status)
        if payload is None:
            self.refuse(incoming, ErrorCode.INTERNAL_ERROR, why)
        else:
            self.take_over(incoming, payload)
            self.send(self.session.answer(incoming, payload))

    def _spool(self, call: Call[Any], why: str, *, replay: bool, again: bool = False) -> None:
        context, incoming = self.context, call.incoming
        if self.is_set() or not incoming.open:
            return
        receipt = attempt(
            functools.partial(
                context.store.spool,
                version=context.rules.version.name,
                charge_point_id=self.charge_point.id,
                action=incoming.action.name,
                unique_id=incoming.unique_id,
                payload=bytes(incoming.payload),
                transaction_id=call.transaction_id,
                received_at=context.date_of(incoming.received_at),
                why=why,
                replay=replay,
            )
        )
        if type(receipt) is Failure:  # a store of somebody's own: what it raises must not cost the answer
            self._spooled(call, receipt.error, why, replay=replay, again=again)
            return
        if replay:
            context.spool_owners.add(self.charge_point.id)
            context.spool_touched.add(self.charge_point.id)
        receipt.then(lambda error: self._spooled(call, error, why, replay=replay, again=again))

    def _spooled(
        self, call: Call[Any], error: Exception | None, why: str, *, replay: bool, again: bool
    ) -> None:
        context = self.context
        self._hold_back(call.incoming, error, lambda: self._spool(call, why, replay=replay, again=True))
        if replay:
            context.spool_grew(self.charge_point.id)
        if not self.is_set() and (error is None or not again):  # that it still fails is nothing new
            self.tell(CallSpooled(call, error))

    def _hold_back(self, incoming: Incoming, error: Exception | None, again: Callable[[], None]) -> None:
        """With an error, ask the store again in a while; and read no further: what came next could not be kept."""
        if error is not None:
            self.unstored = {*(self.unstored or ()), incoming}
            if self.connection is not None:
                self.connection.pause()
            self.context.timers.call_at(self.context.clock.monotonic() + STORE_RETRY_S, again)
        elif self.unstored is not None:
            self.unstored.discard(incoming)

    def keep_registration(self, call: Call[Any], answer: bytes, status: str) -> None:
        """Have the store keep what a BootNotification is answered, and tell the actor when it has."""
        incoming = call.incoming
        if self.is_set() or not incoming.open:
            return

        def known(error: Exception | None) -> None:
            self._hold_back(incoming, error, lambda: self.keep_registration(call, answer, status))
            if error is not None:
                logger.error("The registration of %s could not be stored: %s", self.charge_point, error)
                self.context.observer.count("registration_failed", self.charge_point.id)
            elif not self.is_set():
                self.tell(RegistrationKept(call, answer))

        self.context.store.register(self.charge_point.id, status, self.context.rules.version.name).then(known)

    def acknowledge(self, call: Call[Any]) -> None:
        """Send a stand-in's answer to a transaction message that is stored now."""
        context, incoming = self.context, call.incoming
        payload = fallback(incoming.action, context.time_text(), call.transaction_id, context.id_tag_status)
        answer = payload or b"{}"
        self.tell_shadows(self.calls.pop(incoming, None), answer)
        self.send(self.session.answer(incoming, answer))

    def lose_calls(self) -> None:
        """No call that is with a plugin can be answered any more; but what it told us is as true as it was.

        Its handler may begin and finish until its deadline, and not hold its lane beyond that. With calls that are
        held, as with frames in the inbox, nobody has begun: they are dropped, and a charge point sends again those that
        matter, for they were never answered.
        """
        self.held = None
        self.unstored = None
        timers = self.context.timers
        for call in self.calls.values():
            if call.plugin is not None and not call.fallback_taken:
                timers.call_at(call.incoming.due, call.expire)
        self.calls.clear()

    def allot(self, incoming: Incoming) -> int | None:
        """The number of a transaction that is about to start, before any handler runs; None for other actions."""
        if incoming.action.name != "StartTransaction":
            return None
        start: Any = incoming.request
        key = (
            None if start is None else (start.connector_id, start.id_tag, start.timestamp, start.meter_start)
        )
        return self.context.store.allot_transaction_id(self.charge_point.id, key)
