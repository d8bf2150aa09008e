"""Certificates: those that charge points have installed, and those that the authority has signed for them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import falcon
import msgspec

from ..system.certificates import REASONS
from .requests import Problem, Query, body_of, decoded
from .resources import DEFAULT_LIMIT, MAX_LIMIT, Resource, answer

if TYPE_CHECKING:
    from ..store.records import InstalledCertificate, IssuedCertificate

BY = "http"
"""Author of a revocation that names none."""


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


def issued(record: IssuedCertificate, now: dt.datetime) -> dict[str, Any]:
    """Show an issued certificate."""
    return {
        "serial_number": record.serial_number,
        "charge_point": record.charge_point_id,
        "state": record.state_at(now),
        "common_name": record.common_name,
        "subject": record.subject,
        "not_before": record.not_before,
        "not_after": record.not_after,
        "issued_at": record.issued_at,
        "issuer": record.issuer,
        "fingerprint": record.fingerprint,
        "reason": record.reason,
        "changed_at": record.changed_at,
        "changed_by": record.changed_by,
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


class Revocation(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Author and reason of a revocation."""

    by: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] = BY
    reason: str = REASONS[0]


class IssuedCertificatesResource(Resource):
    """`/api/v1/issued-certificates`, with `/{serial_number}` and `/{serial_number}/revoke`."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List issued certificates, the newest first, of a `charge_point`, in a `state`; `more`: there are others."""
        query = Query(request, "charge_point", "state", "limit")
        charge_point, state = query.text("charge_point"), query.text("state")
        limit = query.whole("limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)
        now = dt.datetime.now(dt.UTC)
        collection = self._system.store.collections.issued_certificates
        found = collection.of(charge_point) if charge_point else collection
        records = [one for one in found if not state or one.state_at(now) == state]
        records.sort(key=lambda record: record.issued_at, reverse=True)
        shown = [issued(record, now) for record in records[:limit]]
        answer(response, {"issued_certificates": shown, "more": len(records) > limit})

    def on_get_one(self, request: falcon.Request, response: falcon.Response, serial_number: str) -> None:
        """Show one; the serial number is hexadecimal, with or without colons."""
        Query(request)
        self._answer(response, self._system.issued_certificate(serial_number))

    def on_post_revoke(self, request: falcon.Request, response: falcon.Response, serial_number: str) -> None:
        """Revoke one; the answer means that this is durable. One that is revoked stays as it is."""
        Query(request)
        given = decoded(body_of(request) or b"{}", Revocation, "revocation")
        try:
            revoked = self._system.revoke_certificate(serial_number, by=given.by, reason=given.reason)
        except ValueError as error:
            raise Problem(422, "Invalid revocation", f"reason: {error}") from error
        self._answer(response, revoked)

    def _answer(self, response: falcon.Response, record: IssuedCertificate) -> None:
        answer(response, issued(record, dt.datetime.now(dt.UTC)))
