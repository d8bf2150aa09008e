"""The passive side of a session: what the charge point sends, the plugin that handles it, and the answer to it."""

from __future__ import annotations

import json
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from ...protocol.actions import SPOOL
from ...protocol.effects import show
from ...protocol.errors import ErrorCode, OcppError
from ...protocol.frames import looks_like_answer
from ...protocol.payload import build
from ...protocol.session import Ignored, Incoming, Registration, Reply
from ..plugin.shadow import ShadowCall
from ..runtime.failure import Failure, attempt
from .call import Call
from .messages import CallAnswered, CallFailed, CallLeft, CallSpooled, FrameReceived, RegistrationKept
from .session_calls import SessionCalls

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ClassVar

    from ...protocol.errors import Deviation
    from ..plugin.cell import PluginCell

logger = logging.getLogger(__name__)

DEVIATIONS_REMEMBERED = 64
"""Different deviations that are counted for one charge point; the rest is counted together."""


class SessionAnswers(SessionCalls):
    """See the head of this file. An answer may make room for a call of ours, so it stands on their side."""

    def _frame(self, message: FrameReceived, *, held: bool = False) -> None:
        cell = self._cell
        if message.connection is not cell.connection:
            return
        if (
            (len(cell.session.incoming) >= cell.context.calls_in_flight_limit or cell.held is not None)
            and not held
            and not looks_like_answer(message.data)  # a handler may wait for just that
        ):
            cell.hold(message)
            return
        event = cell.session.receive(message.data, message.received_at)
        if type(event) is Incoming:
            cell.taken = event
            self._route(event)
            if cell.expectations is not None:
                self._note_effect(event)
        else:
            self.events[type(event)](self, event)
        if message.connection.paused:
            cell.resume_reading()
        cell.taken = None

    def _resume_reading(self) -> None:
        """Begin with CALLs that are held, as many as there is room for, and let a paused connection go on."""
        cell = self._cell
        limit = cell.context.calls_in_flight_limit
        if cell.held is not None:
            in_hand = cell.in_hand
            while cell.held and len(cell.session.incoming) < limit:
                cell.in_hand = message = (
                    cell.held.popleft()
                )  # should it fail, it is this one that is made good
                self._frame(message, held=True)
            cell.in_hand = in_hand
            if not cell.held:
                cell.held = None
        cell.resume_reading()

    def _route(self, incoming: Incoming) -> None:
        cell = self._cell
        context = cell.context
        if incoming.deviations:
            self._note_deviations(incoming.deviations)
        action = incoming.action
        plugin = context.router.passive.get((context.rules.version.name, action.name))
        if plugin is None:
            cell.refuse(incoming, ErrorCode.NOT_SUPPORTED, f"nothing here handles {action.name}")
            return
        if incoming.request is None:  # a transaction message that could not be read
            cell.fallback(incoming, "unreadable", replay=False)
            return
        if action.name == "StatusNotification":
            self._note_status(incoming.request)
        if incoming.due < cell.wake_at:
            cell.wake(incoming.due)
        transaction_id = None
        if action.name == "StartTransaction":
            transaction_id = cell.allot(incoming)
        call: Call[Any] = Call(cell, incoming, transaction_id, plugin)
        cell.calls[incoming] = call
        if context.router.has_shadows:
            self._tell_shadows(call, context.router.shadows(context.rules.version.name, action.name))
        if action.fallback is SPOOL and self._goes_behind(incoming, transaction_id):
            cell.fallback(incoming, "earlier messages wait in the spool")
        elif not (plugin.is_healthy or plugin.ready(cell.urn, action.name)):
            cell.fallback(incoming, "its plugin is quarantined or was stopped")
        else:
            plugin.tell(call)

    def _goes_behind(self, incoming: Incoming, transaction_id: int | None) -> bool:
        """Whether its plugin has not had what came before it yet."""
        context, charge_point_id = self._cell.context, self._cell.urn
        if charge_point_id in context.spool_owners:
            return True
        if not context.dead_starts:
            return False
        number = transaction_id or getattr(incoming.request, "transaction_id", None)
        return (charge_point_id, number) in context.dead_starts

    def _tell_shadows(self, call: Call[Any], shadows: list[PluginCell]) -> None:
        call.shadows = []
        for plugin in shadows:
            if plugin.ready(call.ordering_key, call.action):
                shadow = ShadowCall(call, self._cell, plugin.urn)
                if plugin.compare(shadow):
                    call.shadows.append(shadow)

    def _note_effect(self, incoming: Incoming) -> None:
        cell = self._cell
        show(cell.expectations or (), incoming.action.name, incoming.request)
        cell.settle_expectations()

    def _note_status(self, request: Any) -> None:
        charge_point = self._cell.charge_point
        if charge_point.connectors is None:
            charge_point.connectors = {}
        if request.connector_id in charge_point.connectors or len(charge_point.connectors) < 256:
            charge_point.connectors[request.connector_id] = request

    def _note_deviations(self, deviations: tuple[Deviation, ...]) -> None:
        charge_point = self._cell.charge_point
        counts = charge_point.deviations
        if counts is None:
            counts = charge_point.deviations = Counter()
        for deviation in deviations:
            name = str(deviation)
            counts[name if name in counts or len(counts) < DEVIATIONS_REMEMBERED else "other"] += 1
        self._cell.context.observer.count("deviation", charge_point.id)

    def _reply(self, event: Reply) -> None:
        self._cell.context.observer.count("call_refused", self._cell.charge_point.id)
        logger.info("%s: %s %s: %s", self, event.action or "a frame", event.code, event.description)
        self._cell.send(event.frame)

    def _ignored(self, event: Ignored) -> None:
        charge_point = self._cell.charge_point
        if charge_point.ignored is None:
            charge_point.ignored = Counter()
        charge_point.ignored[event.reason] += 1
        self._cell.context.observer.count("frame_ignored", charge_point.id)

    def _answered(self, message: CallAnswered) -> None:
        cell, call = self._cell, message.call
        incoming = call.incoming
        if not incoming.open or call.fallback_taken:
            cell.context.observer.count("late_answer", cell.charge_point.id)
            return
        # The plugin's: a mapping of its own may raise anything.
        data = attempt(build, incoming.action.response, message.response)
        if type(data) is Failure:
            logger.error("The answer to %r breaks its contract: %s", call, data.error)
            cell.context.observer.count("answer_invalid", cell.charge_point.id)
            self._blame(call, data.error)
            cell.fallback(incoming, "the answer of its handler was invalid")
            self._resume_reading()
            return
        plugin = call.plugin
        if plugin is not None and (
            plugin.faults.pairs or plugin.quarantined or incoming.action.fallback is SPOOL
        ):
            plugin.note_success(call.ordering_key, incoming.action.name)
        if call.shadows is not None:
            cell.tell_shadows(call, data)
        if incoming.action.name == "BootNotification":
            # It outlives the socket and this process, so it is told when it does: a charge point boots but once.
            call.fallback_taken = True
            cell.keep_registration(call, data, _status_in(incoming, data))
            return
        del cell.calls[incoming]
        cell.send(cell.session.answer(incoming, data), "answer")
        connection = cell.connection
        if cell.held is not None or (connection is not None and connection.paused):
            self._resume_reading()

    def _registration_kept(self, message: RegistrationKept) -> None:
        cell, incoming = self._cell, message.call.incoming
        if not incoming.open:
            return
        cell.calls.pop(incoming, None)
        status = _status_in(incoming, message.answer)
        cell.event("registration", status)
        cell.send(cell.session.answer(incoming, message.answer), "answer")
        charge_point = cell.charge_point
        charge_point.boot = incoming.request
        charge_point.registration = cell.session.registration = Registration(status)
        cell.session.triggered = None
        for outgoing in cell.session.calls.waiting if cell.session.calls is not None else ():
            outgoing.owner.waits(held=not cell.session.may_send(outgoing.action))
        logger.info("%s booted: %s", charge_point, status)
        self._send_next()
        self._resume_reading()

    def _failed(self, message: CallFailed) -> None:
        cell, call, failure = self._cell, message.call, message.failure
        incoming = call.incoming
        if not incoming.open or call.fallback_taken:
            return
        error = failure.error
        if isinstance(error, OcppError):
            cell.refuse(incoming, error.code, error.description, error.details, "answer")
            if call.plugin is not None and call.plugin.probing:  # it is what the handler means
                call.plugin.note_success(call.ordering_key, call.action)
        else:
            if getattr(error, "blameless", False):
                logger.warning("%r could not be handled: %s", call, error)
            else:
                logger.error("The handler of %r failed:", call, exc_info=failure.exc_info)
            cell.context.observer.count("handler_failed", cell.charge_point.id)
            self._blame(call, error)
            cell.fallback(incoming, "its handler failed")
        self._resume_reading()

    def _left(self, message: CallLeft) -> None:
        call = message.call
        if not call.fallback_taken and self._cell.calls.get(call.incoming) is call:
            self._cell.fallback(call.incoming, message.why)
            self._cell.resume_reading()

    def _blame(self, call: Call[Any], error: Exception) -> None:
        if call.plugin is not None and not getattr(error, "blameless", False):
            call.plugin.note_failure(call.ordering_key, call.action, error)

    def _spooled(self, message: CallSpooled) -> None:
        cell = self._cell
        if message.error is None:
            cell.acknowledge(message.call)
            self._resume_reading()
        else:
            # No answer is better than a false one: the charge point keeps the record. The store is asked again.
            logger.error("%r could not be stored, and is not answered: %s", message.call, message.error)
            cell.context.observer.count("spool_failed", cell.charge_point.id)

    def _overdue(self, incoming: Incoming) -> None:
        cell = self._cell
        context = cell.context
        context.observer.count("deadline_passed", cell.charge_point.id)
        call = cell.calls.get(incoming)
        if call is not None and call.fallback_taken:
            return  # the stand-in waits for the store
        cell.event("deadline", json.dumps([incoming.unique_id, incoming.action.name]))
        logger.warning("%s: no answer to %s in time, a stand-in answers", self, incoming.action.name)
        cell.fallback(incoming, "its handler did not answer in time")
        if call is not None and call.plugin is not None:
            call.plugin.interrupt(call)
            self._blame(call, TimeoutError(f"no answer to {call.action} in time"))

    handlers: ClassVar[dict[type, Callable[..., None]]] = {
        **SessionCalls.handlers,
        FrameReceived: _frame,
        CallAnswered: _answered,
        CallFailed: _failed,
        CallLeft: _left,
        CallSpooled: _spooled,
        RegistrationKept: _registration_kept,
    }
    events: ClassVar[dict[type, Callable[..., None]]] = {
        **SessionCalls.events,
        Reply: _reply,
        Ignored: _ignored,
    }


def _status_in(incoming: Incoming, answer: bytes) -> str:
    """What the answer to a BootNotification says."""
    return str(incoming.action.response.__decoder__.decode(answer).status)
