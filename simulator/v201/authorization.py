"""Local authorization: the list that the central system sent, and its earlier answers.

The one rule: everything here came from the central system. Tokens are compared without case, their kinds with it.
OCPP 2.0.1, part 2, blocks C and D.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...protocol import v201

if TYPE_CHECKING:
    from datetime import datetime

    from .device_model import DeviceModel

Verdict, Update = v201.AuthorizationStatus, v201.SendLocalListStatus
TokenKey = tuple[str, str]


def token_key(token: v201.IdToken) -> TokenKey:
    """Return what two equal tokens have in common."""
    return token.id_token.lower(), str(token.type)


class Authorization:
    """Local list and cache of a station, and the verdict that follows from them."""

    def __init__(self, model: DeviceModel) -> None:
        self.listed: dict[TokenKey, v201.IdTokenInfo] = {}
        self.cache: dict[TokenKey, v201.IdTokenInfo] = {}
        self._model = model
        self._version = 0

    @property
    def version(self) -> int:
        """Version of the local list; 0 for none."""
        return self._version if self._model.flag("LocalAuthListCtrlr.Enabled") and self.listed else 0

    def update(self, request: v201.SendLocalList) -> v201.SendLocalListStatus:
        """Apply the update of a SendLocalList. OCPP 2.0.1, D01."""
        entries = request.local_authorization_list or ()
        keys = {token_key(entry.id_token) for entry in entries}
        model = self._model
        if (
            not model.flag("LocalAuthListCtrlr.Enabled")
            or request.version_number < 1
            or len(entries) > model.integer("LocalAuthListCtrlr.ItemsPerMessage")
            or len(keys) < len(entries)
        ):
            return Update.FAILED
        if request.update_type == v201.UpdateType.FULL:
            if any(entry.id_token_info is None for entry in entries):
                return Update.FAILED
            listed = {}
        elif request.version_number <= self._version:
            return Update.VERSION_MISMATCH
        else:
            listed = dict(self.listed)
        for entry in entries:
            if entry.id_token_info is None:
                listed.pop(token_key(entry.id_token), None)
            else:
                listed[token_key(entry.id_token)] = entry.id_token_info
        spec = model.spec("LocalAuthListCtrlr.Entries")
        if spec is not None and spec.most is not None and len(listed) > spec.most:
            return Update.FAILED
        self.listed = listed
        self._version = request.version_number
        return Update.ACCEPTED

    def remember(self, token: v201.IdToken, info: v201.IdTokenInfo) -> None:
        """Cache an answer of the central system, if there is a cache. A token of the list is not cached."""
        key = token_key(token)
        free = token.type == v201.IdTokenType.NO_AUTHORIZATION
        if self._model.flag("AuthCacheCtrlr.Enabled") and key not in self.listed and not free:
            self.cache[key] = info

    def forget(self, token: v201.IdToken) -> bool:
        """Take a token out of the cache; false if it was not there."""
        return self.cache.pop(token_key(token), None) is not None

    def clear(self) -> v201.ClearCacheStatus:
        """Clear the cache. OCPP 2.0.1, C11."""
        if not self._model.flag("AuthCacheCtrlr.Enabled"):
            return v201.ClearCacheStatus.REJECTED
        self.cache.clear()
        return v201.ClearCacheStatus.ACCEPTED

    def known(self, token: v201.IdToken, now: datetime) -> v201.IdTokenInfo | None:
        """Look a token up in the list, then in the cache; None if neither knows it, or its time is over."""
        if token.type == v201.IdTokenType.NO_AUTHORIZATION:
            return v201.IdTokenInfo(status=Verdict.ACCEPTED)
        key, info = token_key(token), None
        if self._model.flag("LocalAuthListCtrlr.Enabled"):
            info = self.listed.get(key)
        if info is None and self._model.flag("AuthCacheCtrlr.Enabled"):
            info = self.cache.get(key)
        if info is None or info.cache_expiry_date_time is None or info.cache_expiry_date_time > now:
            return info
        self.cache.pop(key, None)
        return v201.IdTokenInfo(status=Verdict.EXPIRED, group_id_token=info.group_id_token)

    def offline(self, token: v201.IdToken, now: datetime) -> v201.IdTokenInfo:
        """Return the verdict on a token while offline. OCPP 2.0.1, C13 and C15."""
        info = self.known(token, now) if self._model.flag("AuthCtrlr.LocalAuthorizeOffline") else None
        if info is not None:
            return info
        unknown_ones = self._model.flag("AuthCtrlr.OfflineTxForUnknownIdEnabled")
        return v201.IdTokenInfo(status=Verdict.ACCEPTED if unknown_ones else Verdict.UNKNOWN)
