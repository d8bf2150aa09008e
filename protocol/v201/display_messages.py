"""Block O of OCPP 2.0.1, messages on the displays of a station.

The one rule: a response is declared before its request, for the request names it.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from ..actions import Sender, empty_fallback, request
from ..message import EXPENDABLE, AtLeast
from . import effects
from .base import Message, Request
from .types import Block, Component, Details, Id, MessageContent, String36

# -- SetDisplayMessage -------------------------------------------------------------------


class DisplayMessageStatus(StrEnum):
    """Result of setting a display message. OCPP 2.0.1, DisplayMessageStatusEnumType."""

    ACCEPTED = "Accepted"
    NOT_SUPPORTED_MESSAGE_FORMAT = "NotSupportedMessageFormat"
    REJECTED = "Rejected"
    NOT_SUPPORTED_PRIORITY = "NotSupportedPriority"
    NOT_SUPPORTED_STATE = "NotSupportedState"
    UNKNOWN_TRANSACTION = "UnknownTransaction"


class MessagePriority(StrEnum):
    """Precedence of a message on a display. OCPP 2.0.1, MessagePriorityEnumType."""

    ALWAYS_FRONT = "AlwaysFront"
    IN_FRONT = "InFront"
    NORMAL_CYCLE = "NormalCycle"


class MessageState(StrEnum):
    """State of the station in which a message is shown. OCPP 2.0.1, MessageStateEnumType."""

    CHARGING = "Charging"
    FAULTED = "Faulted"
    IDLE = "Idle"
    UNAVAILABLE = "Unavailable"


class MessageInfo(Message):
    """Message on a display: when, how and where it is shown. OCPP 2.0.1, MessageInfoType."""

    display: Component | None = None
    id: int
    priority: MessagePriority
    state: MessageState | None = None
    start_date_time: datetime | None = None
    end_date_time: datetime | None = None
    transaction_id: String36 | None = None
    message: MessageContent


class SetDisplayMessageResponse(Message):
    """Tell whether the message will be shown. OCPP 2.0.1, 1.52.2."""

    status: DisplayMessageStatus
    status_info: Details | None = None


@request(
    "SetDisplayMessage",
    Block.DISPLAY_MESSAGES,
    Sender.CENTRAL_SYSTEM,
    supersede_key=lambda request: request.message.id,
)
class SetDisplayMessage(Request[SetDisplayMessageResponse]):
    """Show a message on the displays. OCPP 2.0.1, 1.52.1."""

    message: MessageInfo


# -- GetDisplayMessages ------------------------------------------------------------------


class GetDisplayMessagesStatus(StrEnum):
    """Result of a search for display messages; Accepted: they follow.

    OCPP 2.0.1, GetDisplayMessagesStatusEnumType.
    """

    ACCEPTED = "Accepted"
    UNKNOWN = "Unknown"


class GetDisplayMessagesResponse(Message):
    """Tell whether reports follow. OCPP 2.0.1, 1.21.2."""

    status: GetDisplayMessagesStatus
    status_info: Details | None = None


@request(
    "GetDisplayMessages",
    Block.DISPLAY_MESSAGES,
    Sender.CENTRAL_SYSTEM,
    effect=lambda _: effects.DISPLAY_MESSAGES,
    numbered="request_id",
)
class GetDisplayMessages(Request[GetDisplayMessagesResponse]):
    """Have the messages of the displays reported. OCPP 2.0.1, 1.21.1."""

    id: Annotated[tuple[int, ...], AtLeast(1)] | None = None
    request_id: Id
    priority: MessagePriority | None = None
    state: MessageState | None = None


# -- NotifyDisplayMessages ---------------------------------------------------------------


class NotifyDisplayMessagesResponse(Message):
    """Confirm a part of a report. OCPP 2.0.1, 1.35.2."""


@request("NotifyDisplayMessages", Block.DISPLAY_MESSAGES, Sender.CHARGE_POINT, fallback=empty_fallback)
class NotifyDisplayMessages(Request[NotifyDisplayMessagesResponse]):
    """Report messages of the displays. OCPP 2.0.1, 1.35.1."""

    message_info: Annotated[tuple[MessageInfo, ...], AtLeast(1), EXPENDABLE] | None = None
    request_id: Id
    tbc: bool | None = None


# -- ClearDisplayMessage -----------------------------------------------------------------


class ClearMessageStatus(StrEnum):
    """Result of clearing a display message; Unknown: there is none with this number.

    OCPP 2.0.1, ClearMessageStatusEnumType.
    """

    ACCEPTED = "Accepted"
    UNKNOWN = "Unknown"


class ClearDisplayMessageResponse(Message):
    """Tell whether the message is gone. OCPP 2.0.1, 1.8.2."""

    status: ClearMessageStatus
    status_info: Details | None = None


@request("ClearDisplayMessage", Block.DISPLAY_MESSAGES, Sender.CENTRAL_SYSTEM)
class ClearDisplayMessage(Request[ClearDisplayMessageResponse]):
    """Take a message off the displays. OCPP 2.0.1, 1.8.1."""

    id: int
