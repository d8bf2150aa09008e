"""Certificates: those that charge points have installed, and those that the authority has signed for them."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any, Literal

import falcon
import msgspec

from ..system.certificates import REASONS
from .operations import BEFORE, CHARGE_POINT, NOT_STORED, Parameter, limit, operation, page
from .requests import Problem, Query, body_of, decoded
from .resources import Resource, answer, paged
from .views import View

if TYPE_CHECKING:
    from ..store.records import InstalledCertificate, IssuedCertificate

CERTIFICATE_STATES = (
    "issued", "installed", "refused", "uncertain", "not_delivered", "replaced", "revoked", "expired",
)  # fmt: skip
BY = "http"
"""Author of a revocation that names none."""


class InstalledCertificateView(View):
    """Certificate that a charge point has installed, named by hashes of its issuer and its serial number."""

    charge_point: str
    use: str
    serial_number: str
    hash_algorithm: str
    issuer_name_hash: str
    issuer_key_hash: str
    noted_at: dt.datetime
    certain: bool


def installed(record: InstalledCertificate) -> InstalledCertificateView:
    """Show an installed certificate."""
    return InstalledCertificateView(
        charge_point=record.charge_point_id,
        use=record.use,
        serial_number=record.serial_number,
        hash_algorithm=record.hash_algorithm,
        issuer_name_hash=record.issuer_name_hash,
        issuer_key_hash=record.issuer_key_hash,
        noted_at=record.noted_at,
        certain=record.certain,
    )


class IssuedCertificateView(View):
    """Certificate that the authority has signed."""

    serial_number: str
    charge_point: str
    state: str
    common_name: str
    subject: str
    not_before: dt.datetime
    not_after: dt.datetime
    issued_at: dt.datetime
    issuer: str
    fingerprint: str
    reason: str
    changed_at: dt.datetime | None
    changed_by: str


def issued(record: IssuedCertificate, now: dt.datetime) -> IssuedCertificateView:
    """Show an issued certificate."""
    return IssuedCertificateView(
        serial_number=record.serial_number,
        charge_point=record.charge_point_id,
        state=record.state_at(now),
        common_name=record.common_name,
        subject=record.subject,
        not_before=record.not_before,
        not_after=record.not_after,
        issued_at=record.issued_at,
        issuer=record.issuer,
        fingerprint=record.fingerprint,
        reason=record.reason,
        changed_at=record.changed_at,
        changed_by=record.changed_by,
    )


class InstalledCertificates(Resource):
    """`/api/v1/installed-certificates`."""

    @operation(
        "listInstalledCertificates",
        "certificates",
        query=(CHARGE_POINT, BEFORE, limit()),
        answer=page("installed_certificates", InstalledCertificateView),
    )
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List installed certificates, the newest first."""
        query = Query(request, "charge_point", "before", "limit")
        charge_point = query.text("charge_point")
        collection = self._system.store.collections.installed_certificates
        found, paging = paged(collection.of(charge_point) if charge_point else collection, query, _place)
        answer(response, {"installed_certificates": [installed(record) for record in found], **paging})


def _place(record: InstalledCertificate) -> tuple[Any, ...]:
    hashes = record.hash_algorithm, record.issuer_name_hash, record.issuer_key_hash
    return (record.noted_at, record.charge_point_id, record.use, record.serial_number, *hashes)


class Revocation(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Author and reason of a revocation."""

    by: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] = BY
    reason: str = REASONS[0]


class IssuedCertificatesResource(Resource):
    """`/api/v1/issued-certificates`, with `/{serial_number}` and `/{serial_number}/revoke`."""

    @operation(
        "listIssuedCertificates",
        "certificates",
        query=(
            CHARGE_POINT,
            Parameter("state", Literal[CERTIFICATE_STATES], "Only those in this state"),
            BEFORE,
            limit(),
        ),
        answer=page("issued_certificates", IssuedCertificateView),
    )
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the certificates that the authority has signed, the newest first."""
        query = Query(request, "charge_point", "state", "before", "limit")
        charge_point, state = query.text("charge_point"), query.text("state")
        now = dt.datetime.now(dt.UTC)
        collection = self._system.store.collections.issued_certificates
        found = collection.of(charge_point) if charge_point else collection
        records = [one for one in found if not state or one.state_at(now) == state]
        shown, paging = paged(records, query, lambda record: (record.issued_at, record.serial_number))
        answer(response, {"issued_certificates": [issued(one, now) for one in shown], **paging})

    @operation("getIssuedCertificate", "certificates", answer=IssuedCertificateView)
    def on_get_one(self, request: falcon.Request, response: falcon.Response, serial_number: str) -> None:
        """Show one; the serial number is hexadecimal, with or without colons."""
        Query(request)
        self._answer(response, self._system.issued_certificate(serial_number))

    @operation(
        "revokeCertificate",
        "certificates",
        body=Revocation,
        answer=IssuedCertificateView,
        problems=NOT_STORED | {422: "The body is wrong"},
        example={"by": "mk", "reason": "key_compromise"},
    )
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
