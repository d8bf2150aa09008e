"""Names of certificates, read from their DER without a library."""

import datetime as dt
import hashlib
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from chargehand.protocol.certificate_names import certificate_name, certified_key

NOW = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
KEY, OTHER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())


def certificate(subject, issuer, serial=0x80FF):
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in (issuer, subject)]
    key = KEY if subject == "Root" else OTHER
    builder = x509.CertificateBuilder(*names, key.public_key(), serial, NOW, NOW + dt.timedelta(days=1))
    return builder.sign(KEY, hashes.SHA256())


ROOT, LEAF = certificate("Root", "Root"), certificate("CP1", "Root", 7)


def pem(*chain):
    return "".join(one.public_bytes(PEM).decode() for one in chain)


def key_hash(key, algorithm):
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    return hashlib.new(algorithm, point).hexdigest()


@pytest.mark.parametrize("algorithm", ["SHA256", "SHA384", "SHA512"])
def test_a_root_is_named_by_its_own_name_and_key(algorithm):
    name = certificate_name(pem(ROOT), algorithm)
    assert name.serial_number == "80ff"
    assert name.issuer_name_hash == hashlib.new(algorithm, ROOT.issuer.public_bytes()).hexdigest()
    assert name.issuer_key_hash == key_hash(KEY, algorithm)


def test_the_key_of_an_issuer_is_read_where_its_certificate_is_beside_it():
    assert certificate_name(pem(LEAF)).issuer_key_hash == ""
    assert certificate_name(pem(LEAF, LEAF)).issuer_key_hash == ""
    assert certificate_name(pem(LEAF, ROOT)).issuer_key_hash == key_hash(KEY, "SHA256")


def test_the_certified_key_is_that_of_the_certificate():
    info = OTHER.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert certified_key(pem(LEAF, ROOT)) == info


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(ValueError, match="'MD5' is none of SHA256"):
        certificate_name(pem(ROOT), "MD5")


@given(st.binary(max_size=400), st.integers(0, 400))
def test_bytes_that_are_no_certificate_are_a_value_error(noise, at):
    text = x509.load_pem_x509_certificate(pem(ROOT).encode()).public_bytes(DER)
    for der in (noise, text[:at] + noise + text[at + len(noise) :]):
        try:
            name = certificate_name(ssl.DER_cert_to_PEM_cert(der))
        except ValueError:
            continue
        assert int(name.serial_number, 16) >= 0
