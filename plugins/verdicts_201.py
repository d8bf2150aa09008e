"""Verdicts of the back office on tokens of OCPP 2.0.1, from the tags of the store.

The one rule: what a tag says of itself is said here, and nothing is stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from .. import v201
from . import tokens

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from .. import Store, Tag

_adapter: Any = v201.VERSION.local_lists


def _info_of(tag: Tag) -> Any:
    """Return what a station is told of a tag, whether it asks or has it in its local list."""
    return _adapter.info(_adapter.entry(tag))


class Verdicts201:
    """Verdicts on tokens; the options are those of the back office."""

    def __init__(
        self,
        store: Store,
        *,
        accept_all_tags: bool,
        concurrent_transactions: bool,
        master_pass_group: str,
        now: Callable[[], dt.datetime],
    ) -> None:
        self._store = store
        self._collections = store.collections
        self._accept_all_tags = accept_all_tags
        self._concurrent_transactions = concurrent_transactions
        self._master_pass_group = master_pass_group
        self._now = now

    def judge(self, token: v201.IdToken) -> v201.IdTokenInfo:
        """Return the verdict on a token, whatever it is for."""
        status = v201.AuthorizationStatus
        if token.type == v201.IdTokenType.NO_AUTHORIZATION:
            return v201.IdTokenInfo(status=status.ACCEPTED)
        tag = self._collections.tag_of(token.id_token, token.type)
        if tag is None:
            return v201.IdTokenInfo(status=status.ACCEPTED if self._accept_all_tags else status.UNKNOWN)
        info: v201.IdTokenInfo = _info_of(tag)
        if info.status is status.ACCEPTED and tag.expiry is not None and tag.expiry <= self._now():
            info = msgspec.structs.replace(info, status=status.EXPIRED)
        return info

    def judge_start(self, token: v201.IdToken, number: int) -> v201.IdTokenInfo:
        """Return the verdict on the token of a start.

        One that is charging already may get ConcurrentTx; a master pass starts nothing, it is Invalid. OCPP 2.0.1, C16.
        """
        info, text, kind = self.judge(token), token.id_token, token.type
        status = v201.AuthorizationStatus
        if info.status is not status.ACCEPTED or not text:
            return info
        if tokens.is_master_pass(self._collections, text, kind, self._master_pass_group):
            return msgspec.structs.replace(info, status=status.INVALID)
        if self._concurrent_transactions:
            return info
        if self._store.charging_with_tag(text, besides=number, id_type=str(kind)) is not None:
            return msgspec.structs.replace(info, status=status.CONCURRENT_TX)
        return info
