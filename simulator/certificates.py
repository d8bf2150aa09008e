"""The certificates of a charge point: roots installed by the central system, and its own.

The one rule: of a certificate only its name and its key are looked at; no signature is verified. "Improved security for
OCPP 1.6-J", sections 5.1, 5.3, 5.7, 5.11 and 6.1.
"""

from __future__ import annotations

from typing import Any

from ..protocol import v16
from ..protocol.certificate_names import certificate_name, certified_key
from .signing_keys import SigningRequest, make_request, requested_key

OWN, V2G = "ChargingStationCertificate", "V2GCertificate"
"""Uses of its own certificates, as OCPP 2.0.1 names them; in 1.6 there is the first one only."""
V2G_CHAIN = "V2GCertificateChain"
"""Use under which its own certificate for vehicles is reported."""


def read(pem: str) -> v16.CertificateHashData:
    """Name a certificate by the hashes of its issuer's name and key, and its serial number.

    Raises ValueError for anything but a certificate.
    """
    name = certificate_name(pem)
    return v16.CertificateHashData(
        hash_algorithm=v16.HashAlgorithm(name.hash_algorithm),
        issuer_name_hash=name.issuer_name_hash,
        issuer_key_hash=name.issuer_key_hash,
        serial_number=name.serial_number,
    )


def is_certificate(pem: str) -> bool:
    """Return true if a text begins with a readable certificate."""
    try:
        read(pem)
    except ValueError:
        return False
    return True


class Certificates:
    """The table: by use, in the order of installation. Names of certificates may be those of any version of OCPP.

    `own` is the charge point's chain, once it has one, and `key` its private key in PEM, empty if that is not to be
    had. `name` is the common name that it asks for, `signing_request` a request that is sent in place of its own.
    """

    def __init__(self, limit: int, name: str = "charge-point") -> None:
        self.own: str | None = None
        self.key = ""
        self.name = name
        self.rsa_bits = 0  # size of the keys that it makes; 0 for the curve P-256
        self.signing_request: str | None = None
        self._limit = limit
        self._roots: list[tuple[str, v16.CertificateHashData]] = []
        self._requests: dict[str, SigningRequest] = {}  # requests that were sent, by use

    def install(self, use: str, pem: str) -> v16.InstallCertificateStatus:
        """Install a root certificate; Rejected: it is no certificate, or one too many."""
        status = v16.InstallCertificateStatus
        try:
            entry = (use, read(pem))
        except ValueError:
            return status.REJECTED
        if entry not in self._roots:
            if len(self._roots) >= self._limit:
                return status.REJECTED
            self._roots.append(entry)
        return status.ACCEPTED

    def delete(self, wanted: Any) -> v16.DeleteCertificateStatus:
        """Delete a root certificate; hashes are compared without case."""
        kept = [(use, data) for use, data in self._roots if _name(data) != _name(wanted)]
        found = len(kept) < len(self._roots)
        self._roots = kept
        return v16.DeleteCertificateStatus.ACCEPTED if found else v16.DeleteCertificateStatus.NOT_FOUND

    def installed(self, use: str) -> tuple[v16.CertificateHashData, ...]:
        """Return the certificates for one use."""
        return tuple(data for kept_for, data in self._roots if kept_for == use)

    def ask(self, use: str = OWN) -> str:
        """Make a new key, and return the request to have it certified (PKCS #10 in PEM)."""
        if self.signing_request is None:
            request = make_request(self.name, rsa_bits=self.rsa_bits)
        else:
            request = SigningRequest(self.signing_request)
        self._requests[use] = request
        return request.csr

    def take_own(self, chain: str, use: str = OWN) -> v16.CertificateSignedStatus:
        """Take the charge point's own, signed certificate; Rejected: not asked for, or of another key."""
        status = v16.CertificateSignedStatus
        request = self._requests.get(use)
        try:
            name = read(chain)
            if request is None or certified_key(chain) != requested_key(request.csr):
                return status.REJECTED
        except ValueError:
            return status.REJECTED
        del self._requests[use]
        if use == OWN:
            self.own, self.key = chain, request.key
        else:
            self._roots = [(V2G_CHAIN, name), *(one for one in self._roots if one[0] != V2G_CHAIN)]
        return status.ACCEPTED


def _name(data: Any) -> tuple[str, ...]:
    hashes = (data.hash_algorithm, data.issuer_name_hash, data.issuer_key_hash, data.serial_number)
    return tuple(part.lower() for part in hashes)
