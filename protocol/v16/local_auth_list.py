"""The LocalAuthListManagement profile of OCPP 1.6: the list of id tags that a charge point knows by itself.

The one rule: a list has a version, and a differential update fits only on the version before it.
"""

from enum import StrEnum

from ..actions import Request, Sender, request
from ..message import Message
from .types import CiString20, IdTagInfo, Profile

# -- GetLocalListVersion -----------------------------------------------------------------


class GetLocalListVersionResponse(Message):
    """Give the version of the list: 0 for an empty list, -1 where lists are not supported. OCPP 1.6, 6.28."""

    list_version: int


@request("GetLocalListVersion", Profile.LOCAL_AUTH_LIST_MANAGEMENT, Sender.CENTRAL_SYSTEM)
class GetLocalListVersion(Request[GetLocalListVersionResponse]):
    """Ask for the version of the local list. OCPP 1.6, 5.10 and 6.27."""


# -- SendLocalList -----------------------------------------------------------------------


class UpdateType(StrEnum):
    """Kind of an update: replaces or amends the local list. OCPP 1.6, 7.48."""

    DIFFERENTIAL = "Differential"
    FULL = "Full"


class UpdateStatus(StrEnum):
    """Result of an update of the local list. OCPP 1.6, 7.47."""

    ACCEPTED = "Accepted"
    FAILED = "Failed"
    NOT_SUPPORTED = "NotSupported"
    VERSION_MISMATCH = "VersionMismatch"


class AuthorizationData(Message):
    """An id tag of the list; without information, in a differential update, it is removed. OCPP 1.6, 7.1."""

    id_tag: CiString20
    id_tag_info: IdTagInfo | None = None


class SendLocalListResponse(Message):
    """Tell whether the list was updated. OCPP 1.6, 6.42."""

    status: UpdateStatus


@request("SendLocalList", Profile.LOCAL_AUTH_LIST_MANAGEMENT, Sender.CENTRAL_SYSTEM)
class SendLocalList(Request[SendLocalListResponse]):
    """Replace or amend the local list. OCPP 1.6, 5.15 and 6.41."""

    list_version: int
    local_authorization_list: tuple[AuthorizationData, ...] | None = None
    update_type: UpdateType
