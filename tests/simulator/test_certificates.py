import datetime as dt
import ssl
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chargehand import v16
from chargehand.simulator import certificates
from chargehand.simulator.certificates import Certificates
from chargehand.simulator.signing_keys import SIGNING_REQUEST

ROOT = """\
-----BEGIN CERTIFICATE-----
MIIBkzCCATmgAwIBAgIUX84ZueMhI0KjOcDvJ0BX1kZSJTswCgYIKoZIzj0EAwIw
HjENMAsGA1UECgwEVGVzdDENMAsGA1UEAwwEUm9vdDAgFw0yNjExMjIwODI0NDZa
GA8yMTI2MTAyOTA4MjQ0NlowHjENMAsGA1UECgwEVGVzdDENMAsGA1UEAwwEUm9v
dDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABGfB7mtwRCz3yEU1zwJCiC4L/sM4
ImcxU+4bwH7cIKgNj/pm2Sx9zQtazbpzyhIGJtUasqPIwF0KVe534QFu87mjUzBR
MB0GA1UdDgQWBBRkh26xs05j2MTHeRdyroCOiB9ikzAfBgNVHSMEGDAWgBRkh26x
s05j2MTHeRdyroCOiB9ikzAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gA
MEUCIQC4s0KX4Uw1xgm++EUKkP3TvEjZhOoCDvfOlu8TF9eOYAIgDaJqDpxKX9LP
AXIsZ+VVFTIiXKt67gf1EvCKz7JVAFc=
-----END CERTIFICATE-----
"""
CENTRAL = v16.CertificateUse.CENTRAL_SYSTEM_ROOT_CERTIFICATE
MAKER = v16.CertificateUse.MANUFACTURER_ROOT_CERTIFICATE


def wrapped(der):
    return ssl.DER_cert_to_PEM_cert(der)


def test_a_certificate_is_named_as_openssl_names_it():
    # openssl x509 -serial; asn1parse -strparse, then sha256, for the issuer and the bits of the key.
    name = certificates.read(ROOT)
    assert name.serial_number == "5fce19b9e3212342a339c0ef274057d64652253b"
    assert name.issuer_name_hash == "3ddb56acf08d271212101242727b367230c4621f812b0991b84a91bb445e07fc"
    assert name.issuer_key_hash == "b3bbf4e582d553c2c9a33e14f7c2c49aadf4d4f62665a92858cf6f20ed12307b"


def test_text_around_a_certificate_does_not_matter():
    assert certificates.read(f"a root\n{ROOT}more") == certificates.read(ROOT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "certificate",
        "-----BEGIN CERTIFICATE-----",
        "-----END CERTIFICATE----------BEGIN CERTIFICATE-----",
        "-----BEGIN CERTIFICATE-----\nnot base64 é\n-----END CERTIFICATE-----\n",
        wrapped(b""),
        wrapped(b"\x30"),
        wrapped(b"\x30\x00"),
        wrapped(b"\x30\x02\x30\x00"),
        wrapped(b"\x30\x84\x01\x00\x00\x00"),
        wrapped(b"\x30\x0e\x30\x0c" + b"\x05\x00" * 6),
        ROOT[:-200] + ROOT[-26:],
    ],
)
def test_what_is_no_certificate_is_not_taken_for_one(text):
    assert not certificates.is_certificate(text)
    assert Certificates(9).install(CENTRAL, text) == "Rejected"


def test_certificates_are_kept_by_their_use():
    table = Certificates(9)
    assert table.install(CENTRAL, ROOT) == "Accepted"
    assert table.installed(CENTRAL) == (certificates.read(ROOT),)
    assert table.installed(MAKER) == ()


def test_the_same_certificate_is_kept_once():
    table = Certificates(1)
    table.install(CENTRAL, ROOT)
    assert table.install(CENTRAL, ROOT) == "Accepted"
    assert len(table.installed(CENTRAL)) == 1


def test_one_certificate_too_many_is_rejected():
    table = Certificates(1)
    table.install(CENTRAL, ROOT)
    assert table.install(MAKER, ROOT) == "Rejected"


def test_a_certificate_is_deleted_by_its_name():
    table = Certificates(9)
    table.install(CENTRAL, ROOT)
    name = certificates.read(ROOT)
    upper = v16.CertificateHashData(
        hash_algorithm=name.hash_algorithm,
        issuer_name_hash=name.issuer_name_hash.upper(),
        issuer_key_hash=name.issuer_key_hash.upper(),
        serial_number=name.serial_number.upper(),
    )
    assert table.delete(upper) == "Accepted"
    assert table.delete(upper) == "NotFound"
    assert table.installed(CENTRAL) == ()


@pytest.fixture
def authority():
    """Sign a request with a key of its own; return the certificate."""
    key = ec.generate_private_key(ec.SECP256R1())

    def authority(csr):
        request = x509.load_pem_x509_csr(csr.encode())
        now = dt.datetime.now(dt.UTC)
        issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Root")])
        certificate = (
            x509.CertificateBuilder(issuer, request.subject, request.public_key(), 4711)
            .not_valid_before(now)
            .not_valid_after(now + dt.timedelta(days=1))
            .sign(key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM).decode()

    return authority


@pytest.mark.parametrize("rsa_bits", [0, 2048])
def test_a_request_is_signed_with_its_own_key_and_names_the_charge_point(rsa_bits):
    table = Certificates(9, "CP1")
    table.rsa_bits = rsa_bits
    request = x509.load_pem_x509_csr(table.ask().encode())
    assert request.is_signature_valid
    (name,) = request.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    assert name.value == "CP1"
    assert request.public_key().key_size == (rsa_bits or 256)


def test_its_own_certificate_is_taken_if_it_fits_the_key_it_asked_for(authority):
    table = Certificates(9, "CP1")
    first = authority(table.ask())
    second = authority(table.ask())
    assert table.take_own(first) == "Rejected"
    assert table.own is None
    assert table.take_own(second) == "Accepted"
    assert (table.own, "PRIVATE KEY" in table.key) == (second, True)
    assert table.take_own(second) == "Rejected"


def test_a_certificate_that_was_not_asked_for_is_rejected():
    table = Certificates(9)
    assert table.take_own(ROOT) == "Rejected"
    table.ask()
    assert table.take_own("no") == "Rejected"
    assert table.own is None


def test_a_request_of_the_user_takes_the_place_of_its_own(authority):
    table = Certificates(9)
    table.signing_request = SIGNING_REQUEST
    chain = authority(table.ask())
    assert table.take_own(chain) == "Accepted"
    assert (table.own, table.key) == (chain, "")


def test_a_certificate_for_vehicles_is_reported_and_is_not_its_own(authority):
    table = Certificates(9)
    chain = authority(table.ask("V2GCertificate"))
    assert table.take_own(chain, "V2GCertificate") == "Accepted"
    assert table.own is None
    assert [one.serial_number for one in table.installed("V2GCertificateChain")] == ["1267"]


def test_without_the_library_a_fixed_request_is_sent(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    table = Certificates(9)
    assert table.ask() == SIGNING_REQUEST
