"""The local authorization list of OCPP 1.6 as the system sends it: its adapter, `LOCAL_LISTS`. OCPP 1.6, 3.5 and 5.15.

The one rule: functions of their arguments, nothing else.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from .. import payload
from ..local_lists import ListedTag, LocalListAdapter
from .core import ClearCache
from .local_auth_list import AuthorizationData, SendLocalList, SendLocalListResponse, UpdateStatus, UpdateType
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


def changes(
    believed: Mapping[str, Mapping[str, Any]], whole: Iterable[AuthorizationData]
) -> Iterator[AuthorizationData | None]:
    """Yield the changes to a full list, None for each entry that stays; what is not wanted any more comes last.

    Id tags are compared without case, and keep the spelling that they have at the charge point.
    """
    there = {id_tag.lower(): id_tag for id_tag in believed}
    for wanted in whole:
        spelled = there.pop(wanted.id_tag.lower(), None)
        if spelled is None:
            yield wanted
        elif as_sent(wanted.id_tag_info) != believed[spelled]:
            yield AuthorizationData(id_tag=spelled, id_tag_info=wanted.id_tag_info)
        else:
            yield None
    for id_tag in there.values():
        yield AuthorizationData(id_tag=id_tag)


def as_sent(info: Any) -> dict[str, Any]:
    """Show an idTagInfo as it is sent, which is how believed lists are kept."""
    sent: dict[str, Any] = msgspec.json.decode(payload.encode(info))
    return sent


def update(version: int, entries: Sequence[AuthorizationData], full: bool) -> SendLocalList:  # noqa: FBT001 - a column of the table
    """Make the request that replaces the list, or amends it."""
    return SendLocalList(
        list_version=version,
        local_authorization_list=tuple(entries) or None,
        update_type=UpdateType.FULL if full else UpdateType.DIFFERENTIAL,
    )


def accepted(response: SendLocalListResponse) -> bool:
    """Tell whether an update was accepted."""
    return response.status == UpdateStatus.ACCEPTED


def full_helps(response: SendLocalListResponse) -> bool:
    """Tell whether the whole list may be accepted where a part was not."""
    return response.status in HELPED_BY_FULL


LOCAL_LISTS = LocalListAdapter(fits, entry, changes, update, accepted, full_helps, ClearCache)
