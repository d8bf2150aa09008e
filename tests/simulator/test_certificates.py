import ssl

import pytest

from chargehand import v16
from chargehand.simulator import certificates
from chargehand.simulator.certificates import Certificates

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


def test_its_own_certificate_is_taken_if_it_is_one():
    table = Certificates(9)
    assert table.take_own("no") == "Rejected"
    assert table.own is None
    assert table.take_own(ROOT) == "Accepted"
    assert table.own == ROOT
