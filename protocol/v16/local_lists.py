"""The local authorization list of OCPP 1.6 as the system sends it: its adapter, `LOCAL_LISTS`. OCPP 1.6, 3.5 and 5.15.

The one rule: functions of their arguments, nothing else.
"""

from collections.abc import Sequence
from typing import Any

from ..local_lists import ListedTag, LocalListAdapter, SentList
from ..message import Message
from .core import ClearCache
from .local_auth_list import (
    AuthorizationData,
    GetLocalListVersion,
    GetLocalListVersionResponse,
    SendLocalList,
    SendLocalListResponse,
    UpdateStatus,
    UpdateType,
)
from .types import AuthorizationStatus, IdTagInfo

STATUSES = {str(status): status for status in AuthorizationStatus}
LONGEST = 20
"""Characters of an id tag. OCPP 1.6, 7.28."""
HELPED_BY_FULL = frozenset({UpdateStatus.FAILED, UpdateStatus.VERSION_MISMATCH})


def fits(tag: ListedTag) -> bool:
    """Tell whether a list has room for a tag and its parent."""
    return max(len(tag.id_tag), len(tag.parent)) <= LONGEST


def entry(tag: ListedTag) -> AuthorizationData:
    """Make the entry of a tag."""
    info = IdTagInfo(
        status=STATUSES.get(tag.status, AuthorizationStatus.INVALID),  # others are of later versions
        expiry_date=tag.expiry,
        parent_id_tag=tag.parent or None,
    )
    return AuthorizationData(id_tag=tag.id_tag, id_tag_info=info)


def made(id_tag: str, info: IdTagInfo | None) -> AuthorizationData:
    """Make the entry of an id tag."""
    return AuthorizationData(id_tag=id_tag, id_tag_info=info)


def update(version: int, entries: Sequence[AuthorizationData], full: bool) -> SendLocalList:  # noqa: FBT001 - a column of the table
    """Make the request that replaces the list, or amends it."""
    return SendLocalList(
        list_version=version,
        local_authorization_list=tuple(entries) or None,
        update_type=UpdateType.FULL if full else UpdateType.DIFFERENTIAL,
    )


def sent(request: dict[str, Any]) -> SentList:
    """Read a list as it was sent."""
    entries = request.get("localAuthorizationList") or ()
    return SentList(
        request["listVersion"],
        request["updateType"] == UpdateType.FULL,
        tuple((one["idTag"], one.get("idTagInfo")) for one in entries),
    )


def accepted(response: SendLocalListResponse) -> bool:
    """Tell whether an update was accepted."""
    return response.status == UpdateStatus.ACCEPTED


def full_helps(response: SendLocalListResponse) -> bool:
    """Tell whether the whole list may be accepted where a part was not."""
    return response.status in HELPED_BY_FULL


def told_version(response: Message) -> int | None:
    """Tell the number of the list that the charge point has."""
    return response.list_version if isinstance(response, GetLocalListVersionResponse) else None


LOCAL_LISTS = LocalListAdapter(
    fits=fits,
    entry=entry,
    key=lambda entry: entry.id_tag,
    info=lambda entry: entry.id_tag_info,
    made=made,
    update=update,
    sent=sent,
    accepted=accepted,
    full_helps=full_helps,
    clear_cache=ClearCache,
    ask_version=GetLocalListVersion,
    told_version=told_version,
)
