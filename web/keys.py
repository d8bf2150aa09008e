"""Keys of charge points: who has one in the store, and which new ones have not been used yet. No key is shown."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from .operations import AFTER, flag, limit, operation, page
from .requests import Query
from .resources import Resource, answer, paged, viewed
from .views import View

if TYPE_CHECKING:
    import falcon

    from ..store.records import Credential


class KeyView(View):
    """Charge point with a key: since when, and since when a new one waits to be used."""

    charge_point: str
    changed_at: dt.datetime
    new_key_since: dt.datetime | None


def key_facts(credential: Credential) -> KeyView:
    """Show that a charge point has a key, since when, and since when a new one waits to be used."""
    return KeyView(
        charge_point=credential.charge_point_id,
        changed_at=credential.changed_at,
        new_key_since=None if credential.next is None else credential.next.changed_at,
    )


class Keys(Resource):
    """`/api/v1/keys`."""

    @operation(
        "listKeys",
        "charge points",
        query=(flag("waiting", "Only those that have not used their new key"), AFTER, limit()),
        answer=page("keys", KeyView),
    )
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the charge points with a key in the store. No key is shown."""
        query = Query(request, "waiting", "after", "limit")
        waiting = query.flag("waiting", default=False)
        credentials = self._system.store.collections.credentials
        wanted = (one for one in credentials if one.next is not None or not waiting)
        found, paging = paged(wanted, query, lambda one: (one.charge_point_id,), newest=False)
        answer(response, {"keys": viewed(map(key_facts, found)), **paging})
