"""Certificates that charge points have installed: what they reported, kept true by installing and deleting.

A report counts for the uses that it was asked for. A command whose outcome is unknown makes its certificate uncertain,
until the next report. Security white paper, 5.3, 5.7 and 5.11; OCPP 2.0.1, M03 to M05.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec

from .. import InstalledCertificate, certificate_name

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from .. import Collections, Receipt

logger = logging.getLogger(__name__)

KEPT_PER_CHARGE_POINT = 100
"""Limit of the certificates of one charge point; of more the last ones of a report are left out."""

USES = {
    "CentralSystemRootCertificate": "central_system",
    "CSMSRootCertificate": "central_system",
    "ManufacturerRootCertificate": "manufacturer",
    "V2GRootCertificate": "v2g",
    "MORootCertificate": "mobility_operator",
    "V2GCertificateChain": "v2g_chain",
}
"""Uses as the verbs name them, by the words of all versions."""


def install(
    collections: Collections, charge_point_id: str, request: Any, now: dt.datetime, *, certain: bool
) -> list[Receipt]:
    """Note a certificate that was installed, or perhaps was."""
    try:
        name = certificate_name(request.certificate)
    except ValueError as error:
        logger.warning(
            "charge point %s installed what is no certificate: %s",
            charge_point_id,
            error,
            extra={"fields": {"charge_point": charge_point_id}},
        )
        return []
    known = collections.installed_certificates.of(charge_point_id)
    use = USES[request.certificate_type]
    if not certain and any(one.use == use and _same(one, name) for one in known):
        return []
    if len(known) >= KEPT_PER_CHARGE_POINT:
        logger.warning(
            "charge point %s has more than %d certificates; one is not noted",
            charge_point_id,
            KEPT_PER_CHARGE_POINT,
            extra={"fields": {"charge_point": charge_point_id}},
        )
        return []
    record = InstalledCertificate(
        charge_point_id=charge_point_id,
        use=use,
        serial_number=name.serial_number,
        issuer_name_hash=name.issuer_name_hash,
        issuer_key_hash=name.issuer_key_hash,
        hash_algorithm=name.hash_algorithm,
        noted_at=now,
        certain=certain,
    )
    others = [one for one in known if one.use == use and _same(one, name)]
    return [*_remove(collections, others), collections.installed_certificates.put(record)]


def delete(collections: Collections, charge_point_id: str, request: Any, *, certain: bool) -> list[Receipt]:
    """Forget a certificate that was deleted, or is not there; doubt it if the outcome is unknown."""
    named = request.certificate_hash_data
    known = collections.installed_certificates.of(charge_point_id)
    found = [one for one in known if _same(one, named)]
    if certain:
        return _remove(collections, found)
    put = collections.installed_certificates.put
    return [put(msgspec.structs.replace(one, certain=False)) for one in found]


def report(
    collections: Collections,
    charge_point_id: str,
    uses: Iterable[str],
    named: Iterable[tuple[str, Any]],
    now: dt.datetime,
) -> list[Receipt]:
    """Note what a charge point has reported for these uses: (use, name) for each certificate, in its own words."""
    asked = {USES[use] for use in uses}
    records = collections.installed_certificates
    old = [one for one in records.of(charge_point_id) if one.use in asked]
    others = len(records.of(charge_point_id)) - len(old)
    told = [
        InstalledCertificate(
            charge_point_id=charge_point_id,
            use=USES[use],
            serial_number=_digits(name.serial_number),
            issuer_name_hash=name.issuer_name_hash.lower(),
            issuer_key_hash=name.issuer_key_hash.lower(),
            hash_algorithm=str(name.hash_algorithm),
            noted_at=now,
        )
        for use, name in named
    ]
    room = max(KEPT_PER_CHARGE_POINT - others, 0)
    if len(told) > room:
        logger.warning(
            "charge point %s has reported %d certificates; %d are not noted",
            charge_point_id,
            len(told),
            len(told) - room,
            extra={"fields": {"charge_point": charge_point_id}},
        )
    kept = told[:room]
    keys = {records.key(one) for one in kept}
    gone = [one for one in old if records.key(one) not in keys]
    return [*_remove(collections, gone), *(records.put(one) for one in kept)]


def _remove(collections: Collections, found: Iterable[InstalledCertificate]) -> list[Receipt]:
    records = collections.installed_certificates
    return [records.remove(records.key(one)) for one in found]


def _digits(serial_number: str) -> str:
    return serial_number.strip().lower().lstrip("0") or "0"


def _same(known: InstalledCertificate, name: Any) -> bool:
    """Return whether a name is that of a certificate; hashes of two algorithms cannot be compared."""
    if known.serial_number != _digits(name.serial_number):
        return False
    if known.hash_algorithm != str(name.hash_algorithm):
        return True
    keys = (known.issuer_key_hash, name.issuer_key_hash.lower())
    return known.issuer_name_hash == name.issuer_name_hash.lower() and ("" in keys or keys[0] == keys[1])
