"""Security profiles: how a charge point must authenticate at least, and whom its certificate names.

0: nothing; 1: a password; 2: TLS and a password; 3: TLS and a client certificate. OCPP 1.6 security white paper, 2;
OCPP 2.0.1, A. The one rule: a charge point may raise its least profile, and only a person may lower it.
"""

from __future__ import annotations

import datetime as dt
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ..store.records import SecurityProfile
from ..store.store import Receipt

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Collection as Ids

    from ..config.sessions import AuthSettings
    from ..protocol.x509 import Certificate, TlsFacts
    from ..store.collections import Collection

OTHER_NAME = "certificate that names somebody else, beside a right password"
"""Deviation of a charge point that was let in by its password."""


class Profile(IntEnum):
    """Security profile, as OCPP numbers them."""

    NONE = 0
    PASSWORD = 1
    TLS = 2
    CERTIFICATE = 3


class Proof(NamedTuple):
    """Profile that a connection has shown, and the deviations that were let pass."""

    profile: Profile
    deviations: tuple[str, ...] = ()


class ProfileTooLow(Exception):
    """A connection can never show the profile that its charge point must have; the text says why, and what to do."""


class SecurityProfiles:
    """Least profiles of charge points: that of the settings, and those in the store, where they are higher.

    `serial_numbers_of` returns what a charge point has told of its serial numbers; it may switch greenlets.
    `fault_of` says why a charge point must not use a certificate that was issued here: it is revoked, or another's; ""
    for any other one. Belongs to the hub's thread.
    """

    def __init__(
        self,
        auth: AuthSettings,
        book: Collection[SecurityProfile],
        *,
        serial_numbers_of: Callable[[str], Ids[str]] = lambda _: (),
        fault_of: Callable[[str, Certificate], str] = lambda *_: "",
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._auth = auth
        self._book = book
        self._serial_numbers_of = serial_numbers_of
        self._fault_of = fault_of
        self._now = now

    def stored(self, charge_point_id: str) -> SecurityProfile | None:
        """Return what is stored of a charge point; None if nothing is."""
        return self._book.get(charge_point_id)

    def least(self, charge_point_id: str) -> int:
        """Return the least profile with which a charge point is let in."""
        kept = self._book.get(charge_point_id)
        return self._auth.security_profile if kept is None else max(self._auth.security_profile, kept.least)

    def is_own(self, charge_point_id: str) -> bool:
        """Return whether a charge point has a higher least profile than all others."""
        return self.least(charge_point_id) > self._auth.security_profile

    def set(self, charge_point_id: str, profile: int) -> Receipt:
        """Set the least profile of a charge point, by order of a person; an open connection goes on.

        Raises ValueError for a number that is no profile.
        """
        kept = self._book.get(charge_point_id) or self._fresh(charge_point_id)
        least, at = Profile(profile).value, self._now()
        return self._book.put(msgspec.structs.replace(kept, least=least, next=None, changed_at=at))

    def remove(self, charge_point_id: str) -> Receipt:
        """Forget what is stored of a charge point."""
        return self._book.remove(charge_point_id)

    def shown(self, charge_point_id: str, profile: int) -> bool:
        """Note the profile of a connection; return whether that has raised the least one."""
        kept = self._book.get(charge_point_id)
        if kept is None or kept.next is None or profile < kept.next:
            return False
        self._book.put(
            msgspec.structs.replace(kept, least=max(kept.least, kept.next), next=None, changed_at=self._now())
        )
        return True

    def check_transport(self, charge_point_id: str, tls: TlsFacts | None) -> Certificate | None:
        """Return the client's certificate if it names the charge point; None if it must show a password instead.

        Raises `ProfileTooLow`. May switch greenlets.
        """
        least = self.least(charge_point_id)
        certificate = None if tls is None else tls.certificate
        wrong = "shows no client certificate" if tls is not None else "connects without TLS"
        if certificate is not None:
            fault = self._fault_of(charge_point_id, certificate)
            if fault:
                raise ProfileTooLow(
                    f"charge point {charge_point_id} shows certificate {certificate.serial_number}: {fault}"
                )
            wrong = self.wrong_name(charge_point_id, certificate)
            if not wrong:
                return certificate
        if least >= Profile.CERTIFICATE or (tls is None and least >= Profile.TLS):
            raise ProfileTooLow(self._too_low(charge_point_id, least, wrong))
        return None

    def _too_low(self, charge_point_id: str, least: int, wrong: str) -> str:
        """Say why a connection is refused, and by which setting."""
        own = self.is_own(charge_point_id)
        where = "chargehand charge-points set --security-profile" if own else "auth.security_profile"
        return f"charge point {charge_point_id} has the least security profile {least} ({where}), and {wrong}"

    def wrong_name(self, charge_point_id: str, certificate: Certificate) -> str:
        """Say why a certificate is not that of a charge point; empty if it is. May switch greenlets."""
        begins, ends, now = certificate.not_before, certificate.not_after, self._now()
        if (begins is not None and now < begins) or (ends is not None and ends < now):
            # Resumed sessions of TLS have been valid when they began.
            return f"its certificate of {certificate.subject} is not valid at this time"
        names: Ids[str] = certificate.names
        wanted: tuple[str, ...]
        other = self._auth.certificate_names.get(charge_point_id)
        if other is not None:
            wanted, setting = (other,), "auth.certificate_names"
            names = (*names, certificate.subject_serial)
        elif self._auth.certificate_name == "id":
            wanted, setting = (charge_point_id,), "auth.certificate_name"
        else:
            wanted, setting = tuple(self._serial_numbers_of(charge_point_id)), "auth.certificate_name"
            names = (*names, certificate.subject_serial)
            if not wanted:
                return "its serial number is not known yet, which its certificate must have (auth.certificate_names)"
        if any(name in names for name in wanted):
            return ""
        shown = ", ".join(name for name in names if name) or "nobody"
        return f"its certificate names {shown}, not {' or '.join(wanted)} ({setting})"

    def _fresh(self, charge_point_id: str) -> SecurityProfile:
        return SecurityProfile(charge_point_id=charge_point_id, changed_at=self._now())
