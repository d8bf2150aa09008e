"""Messages that sessions and plugins tell each other. Frozen; commands are imperative, events past tense.

A `Call` (in `call.py`) is itself the message that tells a plugin of a passive action.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from ...protocol.errors import OcppError
    from ..runtime.failure import Failure
    from .call import Call
    from .charge_point import ChargePoint
    from .connection import Connection
    from .tickets import Ticket


class SessionMessage(msgspec.Struct, frozen=True, gc=False):
    """The base of all messages. They hold no reference to what holds them, so the collector need not look at them."""


# -- To the session of a charge point ---------------------------------------------------------------


class Attached(SessionMessage, frozen=True, gc=False):
    """The charge point has a new connection; it takes over from the one before."""

    connection: Connection


class FrameReceived(SessionMessage, frozen=True, gc=False):
    """A text message came: `data` is valid UTF-8, `received_at` is on the clock's monotonic scale."""

    connection: Connection
    data: bytes
    received_at: float


class ConnectionClosed(SessionMessage, frozen=True, gc=False):
    """A connection is gone, and with it whatever was not answered on it."""

    connection: Connection
    code: int
    reason: str


class CallAnswered(SessionMessage, frozen=True, gc=False):
    """A plugin's handler has an answer: a response or a mapping that can become one."""

    call: Call[Any]
    response: Any


class CallFailed(SessionMessage, frozen=True, gc=False):
    """A plugin's handler raised, or was ended."""

    call: Call[Any]
    failure: Failure


class CallReturned(SessionMessage, frozen=True, gc=False):
    """Event: a plugin will not handle a call that waited for it; the fallback is to answer."""

    call: Call[Any]
    why: str


class CallSpooled(SessionMessage, frozen=True, gc=False):
    """Event: the spooled message behind a fallback answer is durable now; or it is not, and there must be no answer."""

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
    """Do not send it, if it is not on the wire yet."""

    ticket: Ticket[Any]


class TimePassed(SessionMessage, frozen=True, gc=False):
    """Something may be due."""


# -- To a plugin --------------------------------------------------------------------------------------


class ChargePointOnline(SessionMessage, frozen=True, gc=False):
    """A charge point has a connection, where it had none or another one."""

    charge_point: ChargePoint

    @property
    def ordering_key(self) -> str:
        """Key that keeps the event in order with the calls of the same charge point."""
        return self.charge_point.id


class ChargePointOffline(SessionMessage, frozen=True, gc=False):
    """A charge point has no connection any more; `code` and `reason` say how its socket was closed."""

    charge_point: ChargePoint
    code: int
    reason: str

    @property
    def ordering_key(self) -> str:
        """Key that keeps the event in order with the calls of the same charge point."""
        return self.charge_point.id


class AnswerSent(SessionMessage, frozen=True, gc=False):
    """An answer was sent to a call: `answer` is its payload, or the `OcppError` of a CALLERROR."""

    call: Call[Any]
    answer: bytes | OcppError

    @property
    def ordering_key(self) -> str:
        """Key that keeps the event in order with the calls of the same charge point."""
        return self.call.ordering_key


class TicketEnded(SessionMessage, frozen=True, gc=False):
    """A call of ours has ended, one way or another."""

    ticket: Ticket[Any]

    @property
    def ordering_key(self) -> str:
        """Key that keeps the event in order with the calls of the same charge point."""
        return self.ticket.charge_point_id
