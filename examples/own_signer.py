"""Signer of one's own: a plugin that has a company's PKI sign what charge points ask for.

Run it:    python examples/own_signer.py
"""

import datetime as dt
from typing import Any

import gevent
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chargehand import Call, CentralSystem, Plugin, Settings, passive
from chargehand.simulator import ChargePoint


class OwnSigner(Plugin):
    """Answers SignCertificate, in every version of OCPP, and sends what the PKI has signed."""

    def __init__(self) -> None:
        super().__init__()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "A PKI")])

    @passive("SignCertificate")
    def asked(self, call: Call[Any]) -> dict[str, str] | None:
        """Sign a request that is of its charge point."""
        request = x509.load_pem_x509_csr(call.request.csr.encode())
        names = request.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        if not request.is_signature_valid or [name.value for name in names] != [call.charge_point.id]:
            return {"status": "Rejected"}
        # The answer goes out first: a PKI may take its time.
        call.later().answer({"status": "Accepted"})
        self.system.send_certificate(call.charge_point.id, self.sign(request), when_offline="queue")
        return None

    def sign(self, request: x509.CertificateSigningRequest) -> str:
        """Stand in for the PKI, which is asked over the network."""
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(self.name)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=90))
            .sign(self.key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM).decode()


def main() -> None:
    """Have a charge point ask for a certificate, and show what it got."""
    with (
        CentralSystem(Settings(port=0), plugins=[OwnSigner]) as system,
        ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp/", "CP1") as charge_point,
    ):
        ticket = system.renew_certificate("CP1", until_effect=True)
        print("asked to renew:", ticket.result().status)
        with gevent.Timeout(10):
            while charge_point.certificates.own is None:
                gevent.sleep(0.01)
        certificate = x509.load_pem_x509_certificate(charge_point.certificates.own.encode())
        print("certificate of:", certificate.subject.rfc4514_string())
        print("signed by:     ", certificate.issuer.rfc4514_string())


if __name__ == "__main__":
    main()
