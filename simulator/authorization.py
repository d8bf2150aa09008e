"""Local authorization: the list that the central system sent, and its earlier answers.

The one rule: everything here came from the central system. OCPP 1.6, sections 3.4 and 3.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocol import v16

if TYPE_CHECKING:
    from datetime import datetime

    from .configuration import Configuration

Verdict = v16.AuthorizationStatus


class LocalAuthorizationList:
    """The local authorization list. OCPP 1.6, 3.5.2."""

    def __init__(self, configuration: Configuration) -> None:
        self.tags: dict[str, v16.IdTagInfo] = {}
        self._configuration = configuration
        self._version = 0

    @property
    def version(self) -> int:
        """Version that GetLocalListVersion is answered: 0 for an empty list, -1 if lists are switched off."""
        if not self._configuration.flag("LocalAuthListEnabled"):
            return -1
        return self._version if self.tags else 0

    def update(self, request: v16.SendLocalList) -> v16.UpdateStatus:
        """Apply the update of a SendLocalList. OCPP 1.6, 5.15."""
        status = v16.UpdateStatus
        entries = request.local_authorization_list or ()
        if not self._configuration.flag("LocalAuthListEnabled"):
            return status.NOT_SUPPORTED
        if (
            request.list_version < 1
            or len(entries) > self._configuration.integer("SendLocalListMaxLength")
            or len({entry.id_tag for entry in entries}) < len(entries)
        ):
            return status.FAILED
        if request.update_type == v16.UpdateType.FULL:
            if any(entry.id_tag_info is None for entry in entries):
                return status.FAILED
            tags = {}
        elif request.list_version <= self._version:
            return status.VERSION_MISMATCH
        else:
            tags = dict(self.tags)
        for entry in entries:
            if entry.id_tag_info is None:
                tags.pop(entry.id_tag, None)
            else:
                tags[entry.id_tag] = entry.id_tag_info
        if len(tags) > self._configuration.integer("LocalAuthListMaxLength"):
            return status.FAILED
        self.tags = tags
        self._version = request.list_version
        return status.ACCEPTED


class Authorization:
    """The local list and the cache, and the verdict that follows from them."""

    def __init__(self, configuration: Configuration) -> None:
        self.list = LocalAuthorizationList(configuration)
        self.cache: dict[str, v16.IdTagInfo] = {}
        self._configuration = configuration

    def remember(self, id_tag: str, info: v16.IdTagInfo) -> None:
        """Cache an answer of the central system, if there is a cache. A tag of the list is not cached."""
        if self._configuration.flag("AuthorizationCacheEnabled") and id_tag not in self.list.tags:
            self.cache[id_tag] = info

    def known(self, id_tag: str, now: datetime) -> v16.IdTagInfo | None:
        """Look a tag up in the list, then in the cache; an expired one is Expired. None if neither knows the tag."""
        info = None
        if self._configuration.flag("LocalAuthListEnabled"):
            info = self.list.tags.get(id_tag)
        if info is None and self._configuration.flag("AuthorizationCacheEnabled"):
            info = self.cache.get(id_tag)
        if (
            info is not None
            and info.status == Verdict.ACCEPTED
            and info.expiry_date is not None
            and info.expiry_date <= now
        ):
            return v16.IdTagInfo(
                status=Verdict.EXPIRED, expiry_date=info.expiry_date, parent_id_tag=info.parent_id_tag
            )
        return info

    def offline(self, id_tag: str, now: datetime) -> v16.IdTagInfo:
        """Return the verdict on a tag while offline. OCPP 1.6, 3.5."""
        info = self.known(id_tag, now) if self._configuration.flag("LocalAuthorizeOffline") else None
        if info is not None:
            return info
        unknown_ones = self._configuration.flag("AllowOfflineTxForUnknownId")
        return v16.IdTagInfo(status=Verdict.ACCEPTED if unknown_ones else Verdict.INVALID)
