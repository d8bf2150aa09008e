"""Block P of OCPP 2.0.1, data that OCPP has no message for.

The one rule: a response is declared before its request, for the request names it.
"""

from enum import StrEnum
from typing import Any

from ..actions import Sender, request
from .base import Message, Request
from .types import Block, Details, String50, String255

# -- DataTransfer ------------------------------------------------------------------------


class DataTransferStatus(StrEnum):
    """Result of a data transfer. OCPP 2.0.1, DataTransferStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    UNKNOWN_MESSAGE_ID = "UnknownMessageId"
    UNKNOWN_VENDOR_ID = "UnknownVendorId"


class DataTransferResponse(Message):
    """Answer data; `data` is any JSON. OCPP 2.0.1, 1.13.2."""

    status: DataTransferStatus
    status_info: Details | None = None
    data: Any | None = None


@request("DataTransfer", Block.DATA_TRANSFER, Sender.EITHER)
class DataTransfer(Request[DataTransferResponse]):
    """Send data that OCPP has no message for; `data` is any JSON. OCPP 2.0.1, 1.13.1."""

    message_id: String50 | None = None
    data: Any | None = None
    vendor_id: String255
