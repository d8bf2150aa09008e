"""Messages that sessions and plugins tell each other. Frozen; commands are imperative, events past tense.

A `Call` (in `call.py`) is itself the message that tells a plugin of a passive action.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from ...protocol.errors import OcppError
    from ...protocol.events import DomainEvent
    from ..runtime.failure import Failure
    from .call import Call
    from .connection import Connection
    from .tickets import Ticket


class SessionMessage(msgspec.Struct, frozen=True, gc=False):
    """Base of all messages. They are part of no reference cycle, so the garbage collector ignores them."""


# -- To the session of a charge point ---------------------------------------------------------------


class Attached(SessionMessage, frozen=True, gc=False):
    """Event: the charge point has a new connection, which takes over from the old one."""

    connection: Connection


class FrameReceived(SessionMessage, frozen=True, gc=False):
    """Event: a text message was received; `data` is valid UTF-8, `received_at` is on the clock's monotonic scale."""

    connection: Connection
    data: bytes
    received_at: float


class ConnectionClosed(SessionMessage, frozen=True, gc=False):
    """Event: a connection has ended; its calls cannot be answered any more."""

    connection: Connection
    code: int
    reason: str


class CallAnswered(SessionMessage, frozen=True, gc=False):
    """Event: a handler has an answer, a response or a mapping of its members."""

    call: Call[Any]
    response: Any


class HandlerFailed(SessionMessage, frozen=True, gc=False):
    """Event: a handler raised, or was ended."""

    call: Call[Any]
    failure: Failure


class CallReturned(SessionMessage, frozen=True, gc=False):
    """Event: a plugin will not handle a call that waited for it; the fallback is to answer."""

    call: Call[Any]
    why: str


class CallSpooled(SessionMessage, frozen=True, gc=False):
    """Event: a message was spooled and may be acknowledged; with an error it must not be answered."""

    call: Call[Any]
    error: Exception | None


class RegistrationPersisted(SessionMessage, frozen=True, gc=False):
    """Event: the registration is durable, so `answer` can be sent to the BootNotification."""

    call: Call[Any]
    answer: bytes


class SendCommand(SessionMessage, frozen=True, gc=False):
    """Command: send a command to the charge point."""

    ticket: Ticket[Any]


class CancelCommand(SessionMessage, frozen=True, gc=False):
    """Command: cancel a command that is not on the wire yet."""

    ticket: Ticket[Any]


class TimePassed(SessionMessage, frozen=True, gc=False):
    """Event: a deadline may have passed."""


# -- To a plugin --------------------------------------------------------------------------------------


class AnswerSent(SessionMessage, frozen=True, gc=False):
    """An answer was sent to a call: `answer` is its payload, or the `OcppError` of a CALLERROR."""

    call: Call[Any]
    answer: bytes | OcppError

    @property
    def ordering_key(self) -> str:
        """Key that keeps the event in order with the calls of the same charge point."""
        return self.call.ordering_key


class EventPublished(SessionMessage, frozen=True, gc=False):
    """An event that a plugin listens to has happened."""

    event: DomainEvent

    @property
    def ordering_key(self) -> str:
        """Key that keeps the event in order with the calls of the same charge point."""
        return self.event.charge_point_id


class TicketEnded(SessionMessage, frozen=True, gc=False):
    """Event: a command has ended."""

    ticket: Ticket[Any]

    @property
    def ordering_key(self) -> str:
        """Key that keeps the event in order with the calls of the same charge point."""
        return self.ticket.charge_point_id
