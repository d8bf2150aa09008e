"""Certificates that charge points have installed, as far as that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .requests import Query
from .resources import DEFAULT_LIMIT, MAX_LIMIT, Resource, answer

if TYPE_CHECKING:
    import falcon

    from ..store.records import InstalledCertificate


def installed(record: InstalledCertificate) -> dict[str, Any]:
    """Show an installed certificate."""
    return {
        "charge_point": record.charge_point_id,
        "use": record.use,
        "serial_number": record.serial_number,
        "hash_algorithm": record.hash_algorithm,
        "issuer_name_hash": record.issuer_name_hash,
        "issuer_key_hash": record.issuer_key_hash,
        "noted_at": record.noted_at,
        "certain": record.certain,
    }


class InstalledCertificates(Resource):
    """`/api/v1/installed-certificates`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List installed certificates, the newest first, narrowed by `charge_point`; `more`: there are others."""
        query = Query(request, "charge_point", "limit")
        charge_point = query.text("charge_point")
        limit = query.whole("limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)
        collection = self._system.store.collections.installed_certificates
        records = list(collection.of(charge_point) if charge_point else collection)
        records.sort(key=lambda record: record.noted_at, reverse=True)
        shown = [installed(record) for record in records[:limit]]
        answer(response, {"installed_certificates": shown, "more": len(records) > limit})
