"""Block D of OCPP 2.0.1, the local authorization list.

The one rule: a response is declared before its request, for the request names it.
"""

from enum import StrEnum
from typing import Annotated

from ..actions import Sender, request
from ..message import AtLeast
from .base import Message, Request
from .types import Block, Details, IdToken, IdTokenInfo

# -- SendLocalList -----------------------------------------------------------------------


class SendLocalListStatus(StrEnum):
    """Result of an update of the local list. OCPP 2.0.1, SendLocalListStatusEnumType."""

    ACCEPTED = "Accepted"
    FAILED = "Failed"
    VERSION_MISMATCH = "VersionMismatch"


class AuthorizationData(Message):
    """Entry of the local list; without information the token is taken off it.

    OCPP 2.0.1, AuthorizationData.
    """

    id_token: IdToken
    id_token_info: IdTokenInfo | None = None


class UpdateType(StrEnum):
    """Kind of an update of the local list: all of it, or changes. OCPP 2.0.1, UpdateEnumType."""

    DIFFERENTIAL = "Differential"
    FULL = "Full"


class SendLocalListResponse(Message):
    """Tell whether the list has the new version. OCPP 2.0.1, 1.50.2."""

    status: SendLocalListStatus
    status_info: Details | None = None


@request("SendLocalList", Block.LOCAL_AUTH_LIST, Sender.CENTRAL_SYSTEM)
class SendLocalList(Request[SendLocalListResponse]):
    """Replace the local list, or change it. OCPP 2.0.1, 1.50.1."""

    local_authorization_list: Annotated[tuple[AuthorizationData, ...], AtLeast(1)] | None = None
    version_number: int
    update_type: UpdateType


# -- GetLocalListVersion -----------------------------------------------------------------


class GetLocalListVersionResponse(Message):
    """Tell the version of the local list; 0: there is none. OCPP 2.0.1, 1.23.2."""

    version_number: int


@request("GetLocalListVersion", Block.LOCAL_AUTH_LIST, Sender.CENTRAL_SYSTEM)
class GetLocalListVersion(Request[GetLocalListVersionResponse]):
    """Ask for the version of the local list. OCPP 2.0.1, 1.23.1."""
