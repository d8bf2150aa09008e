"""Keys of charge points: who has one in the store, and which new ones have not been used yet. No key is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .requests import Query
from .resources import Resource, answer, viewed

if TYPE_CHECKING:
    import falcon

    from ..store.records import Credential


def key_facts(credential: Credential) -> dict[str, Any]:
    """Show that a charge point has a key, since when, and since when a new one waits to be used."""
    return {
        "charge_point": credential.charge_point_id,
        "changed_at": credential.changed_at,
        "new_key_since": None if credential.next is None else credential.next.changed_at,
    }


class Keys(Resource):
    """`/api/v1/keys`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the charge points with a key in the store; with `waiting=1` those that have not used their new one."""
        waiting = Query(request, "waiting").flag("waiting", default=False)
        found = sorted(self._system.store.collections.credentials, key=lambda one: one.charge_point_id)
        shown = (key_facts(one) for one in found if one.next is not None or not waiting)
        answer(response, {"keys": viewed(shown)})
