"""Bases of the messages of OCPP 2.0.1: each may carry `customData`, and so may the objects inside them.

The one rule: a member is here only if every object of this version has it.
"""

from typing import Annotated, Any, Generic

from .. import actions, message
from ..actions import R
from ..rules import CustomData

Custom = Annotated[dict[str, Any], CustomData()]
"""An object with a `vendorId` and whatever else that vendor has. OCPP 2.0.1, CustomDataType."""


class Message(message.Message, frozen=True, shared=True):
    """Base of responses and of the objects inside messages."""

    custom_data: Custom | None = None


class Request(actions.Request[R], Generic[R], frozen=True, shared=True):
    """Base of the messages that are answered, by an `R`."""

    custom_data: Custom | None = None
