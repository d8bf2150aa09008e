"""The local authorization list of OCPP 2.0.1 as the system sends it: its adapter, `LOCAL_LISTS`. OCPP 2.0.1, D.

The one rule: functions of their arguments, nothing else.
"""

from collections.abc import Sequence
from typing import Any

from ..local_lists import ListedTag, LocalListAdapter, SentList
from ..message import Message
from .authorization import ClearCache
from .local_auth_list import (
    AuthorizationData,
    GetLocalListVersion,
    GetLocalListVersionResponse,
    SendLocalList,
    SendLocalListResponse,
    SendLocalListStatus,
    UpdateType,
)
from .types import AuthorizationStatus, IdToken, IdTokenInfo, IdTokenType, MessageContent, MessageFormat

STATUSES = {str(status): status for status in AuthorizationStatus}
TYPES = {str(kind): kind for kind in IdTokenType}
LONGEST = 36
"""Characters of an id token. OCPP 2.0.1, IdTokenType."""
LISTED_AS = IdTokenType.ISO14443
"""Type of a listed tag that has none: a list is mostly asked for the tokens of cards."""


def info_of(tag: ListedTag) -> IdTokenInfo:
    """Make the facts of a tag for a station; a status that no version has is Invalid."""
    return IdTokenInfo(
        status=STATUSES.get(tag.status, AuthorizationStatus.INVALID),
        cache_expiry_date_time=tag.expiry,
        language1=tag.language or None,
        group_id_token=IdToken(id_token=tag.parent, type=IdTokenType.CENTRAL) if tag.parent else None,
        personal_message=MessageContent(
            format=MessageFormat.UTF8, language=tag.language or None, content=tag.message
        )
        if tag.message
        else None,
    )


def fits(tag: ListedTag) -> bool:
    """Tell whether a list has room for a tag and its parent; it has none for a type that this version has not."""
    return max(len(tag.id_tag), len(tag.parent)) <= LONGEST and (not tag.id_type or tag.id_type in TYPES)


def entry(tag: ListedTag) -> AuthorizationData:
    """Make the entry of a tag."""
    kind = TYPES[tag.id_type] if tag.id_type else LISTED_AS
    return AuthorizationData(id_token=IdToken(id_token=tag.id_tag, type=kind), id_token_info=info_of(tag))


def key(entry: AuthorizationData) -> str:
    """Return the name of an entry in a believed list: token and type, for one text may be two tokens."""
    return f"{entry.id_token.id_token} {entry.id_token.type}"


def made(key: str, info: IdTokenInfo | None) -> AuthorizationData:
    """Make an entry with the spelling of its name in a believed list."""
    token, _, kind = key.rpartition(" ")
    return AuthorizationData(id_token=IdToken(id_token=token, type=IdTokenType(kind)), id_token_info=info)


def update(version: int, entries: Sequence[AuthorizationData], full: bool) -> SendLocalList:  # noqa: FBT001 - a column of the table
    """Make the request that replaces the list, or amends it."""
    return SendLocalList(
        version_number=version,
        local_authorization_list=tuple(entries) or None,
        update_type=UpdateType.FULL if full else UpdateType.DIFFERENTIAL,
    )


def sent(request: dict[str, Any]) -> SentList:
    """Read a list as it was sent."""
    entries = request.get("localAuthorizationList") or ()
    named = ((one["idToken"], one.get("idTokenInfo")) for one in entries)
    return SentList(
        request["versionNumber"],
        request["updateType"] == UpdateType.FULL,
        tuple((f"{token['idToken']} {token['type']}", info) for token, info in named),
    )


def accepted(response: SendLocalListResponse) -> bool:
    """Tell whether an update was accepted."""
    return response.status == SendLocalListStatus.ACCEPTED


def full_helps(response: SendLocalListResponse) -> bool:
    """Tell whether the whole list may be accepted where a part was not: whatever the reason was."""
    return response.status != SendLocalListStatus.ACCEPTED


def told_version(response: Message) -> int | None:
    """Tell the number of the list that the charge point has."""
    return response.version_number if isinstance(response, GetLocalListVersionResponse) else None


LOCAL_LISTS = LocalListAdapter(
    fits=fits,
    entry=entry,
    key=key,
    info=lambda entry: entry.id_token_info,
    made=made,
    update=update,
    sent=sent,
    accepted=accepted,
    full_helps=full_helps,
    clear_cache=ClearCache,
    ask_version=GetLocalListVersion,
    told_version=told_version,
    typed=True,
)
