"""Issued certificates by hand: one is found by its serial number, and revoked.

The one rule: a revocation is a change of a record, which is durable when it is answered; what signs certificates writes
its revocation list when it sees the change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ..config.errors import ChargehandError
from ..store.records import Event
from .by_hand import KIND, STORE_S

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from ..store.records import IssuedCertificate
    from ..store.store import Store

REASONS = (
    "unspecified", "key_compromise", "affiliation_changed", "superseded", "cessation_of_operation",
    "privilege_withdrawn",
)  # fmt: skip
"""Reasons of a revocation, as RFC 5280 has them."""


class CertificateNotFound(ChargehandError, LookupError):
    """A serial number that is none of an issued certificate."""


class IssuedCertificates:
    """Certificates of a store that were issued to charge points. `now` gives the time."""

    def __init__(self, store: Store, now: Callable[[], dt.datetime]) -> None:
        self._store = store
        self._now = now

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
