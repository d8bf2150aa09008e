"""Issued certificates: one is found by its serial number, and revoked; a connection with a revoked one is closed.

The one rule: a revocation is a change of a record, which is durable when it is answered. Every process acts on the
change when it sees it: it closes the connection, and what signs certificates writes its revocation list.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec

from ..config.errors import ChargehandError
from ..protocol.log_fields import about
from ..protocol.websocket import CloseCode
from ..store.records import Event
from .by_hand import KIND, STORE_S

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from ..actors.session.directory import Directory
    from ..protocol.x509 import Certificate
    from ..store.records import IssuedCertificate
    from ..store.store import Store

logger = logging.getLogger(__name__)

REASONS = (
    "unspecified", "key_compromise", "affiliation_changed", "superseded", "cessation_of_operation",
    "privilege_withdrawn",
)  # fmt: skip
"""Reasons of a revocation, as RFC 5280 has them."""


class CertificateNotFound(ChargehandError, LookupError):
    """A serial number that is none of an issued certificate."""


class IssuedCertificates:
    """Certificates of a store that were issued to charge points, and the connections of this process.

    `now` gives the time.
    """

    def __init__(self, store: Store, directory: Directory, now: Callable[[], dt.datetime]) -> None:
        self._store = store
        self._directory = directory
        self._now = now
        self._unwatch: Callable[[], None] | None = None

    def start(self) -> None:
        """Close connections when their certificates are revoked, here or in another process."""
        self._unwatch = self._store.collections.issued_certificates.watch(self._entered)

    def stop(self) -> None:
        """Close none any more."""
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None

    def _entered(self, record: IssuedCertificate) -> None:
        cell = self._directory.find(record.charge_point_id) if record.state == "revoked" else None
        connection = None if cell is None else cell.newest
        shown = None if connection is None or connection.tls is None else connection.tls.certificate
        if connection is not None and shown is not None and self.fault_of(record.charge_point_id, shown):
            logger.warning(
                "%s: its connection is closed, for certificate %s is revoked",
                cell,
                record.serial_number,
                extra=about(charge_point=record.charge_point_id),
            )
            connection.close(CloseCode.POLICY_VIOLATION, "its certificate is revoked")

    def fault_of(self, charge_point_id: str, certificate: Certificate) -> str:
        """Say why a charge point must not use a certificate that was issued: it is revoked, or another's.

        Empty if it may, and for a certificate that was issued by somebody else.
        """
        record = self._store.collections.issued_certificates.get(certificate.serial_number)
        if record is None or record.fingerprint not in ("", certificate.fingerprint):
            return ""
        if record.state == "revoked":
            return "it is revoked"
        owner = record.charge_point_id
        return "" if owner == charge_point_id else f"it was issued to charge point {owner}"

    def find(self, serial_number: str) -> IssuedCertificate:
        """Find a certificate by its serial number in hexadecimal digits. Raises `CertificateNotFound`."""
        key = serial_number.replace(":", "").strip().lower().lstrip("0")
        found = self._store.collections.issued_certificates.get(key)
        if found is None:
            raise CertificateNotFound(f"no certificate was issued with the serial number {serial_number}")
        return found

    def revoke(self, serial_number: str, *, by: str, reason: str = REASONS[0]) -> IssuedCertificate:
        """Revoke a certificate, and return its record; one that is revoked stays as it is.

        Raises `CertificateNotFound`, and ValueError for an unknown reason.
        """
        if reason not in REASONS:
            raise ValueError(f"a reason is one of {', '.join(REASONS)}, not {reason[:40]!r}")
        found = self.find(serial_number)
        if found.state == "revoked":
            return found
        now = self._now()
        revoked = msgspec.structs.replace(
            found, state="revoked", reason=reason, changed_by=by, changed_at=now
        )
        self._store.collections.issued_certificates.put(revoked).wait(STORE_S)
        data = {
            "what": "revoke_certificate",
            "by": by,
            "serial_number": found.serial_number,
            "reason": reason,
        }
        event = Event(charge_point_id=found.charge_point_id, kind=KIND, received_at=now, data=data)
        self._store.add_event(event).wait(STORE_S)
        return revoked
