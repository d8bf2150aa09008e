"""Facts of certificates and revocation lists, compared with those that `cryptography` reads."""

import contextlib
import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chargehand.protocol.x509 import (
    CRL,
    NO_ALTERNATIVE_NAME,
    NO_EXTENDED_KEY_USAGE,
    pem_blocks,
    read_certificate,
    read_revocation_list,
)

KEYS = {
    "RSA": rsa.generate_private_key(65537, 2048),
    "ECDSA": ec.generate_private_key(ec.SECP384R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}
SIGNER = KEYS["ECDSA"]
BEGIN, END = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), dt.datetime(2051, 1, 2, tzinfo=dt.UTC)


def certificate(subject, *, kind="ECDSA", alternative=None, usage=False, begin=BEGIN, end=END, serial=1):
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the issuer")]))
        .public_key(KEYS[kind].public_key())
        .serial_number(serial)
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    if alternative is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternative), critical=False)
    if usage:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
    return builder.sign(SIGNER, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def named(*names, serial=""):
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names]
    attributes += [x509.NameAttribute(NameOID.SERIAL_NUMBER, serial)] if serial else []
    return x509.Name(attributes)


PLAIN = certificate(named("CP1"))


def test_a_certificate_has_its_names_its_key_and_its_time():
    alternative = [x509.DNSName("cp1.example.com"), x509.UniformResourceIdentifier("urn:ocpp:CP1")]
    found = read_certificate(
        certificate(named("CP1", serial="SN-7"), alternative=alternative, usage=True, serial=0xABCDEF)
    )
    assert found.names == ("CP1", "cp1.example.com", "urn:ocpp:CP1")
    assert (found.subject, found.issuer) == ("CN=CP1, serialNumber=SN-7", "CN=the issuer")
    assert (found.subject_serial, found.serial_number) == ("SN-7", "abcdef")
    assert (found.not_before, found.not_after) == (BEGIN, END)
    assert found.flags == ()


@pytest.mark.parametrize("kind", KEYS)
def test_the_kind_of_a_key_is_named(kind):
    assert read_certificate(certificate(named("CP1"), kind=kind)).key == kind


def test_what_a_certificate_lacks_is_flagged():
    assert read_certificate(PLAIN).flags == (NO_ALTERNATIVE_NAME, NO_EXTENDED_KEY_USAGE)


@settings(deadline=None, max_examples=50)
@given(
    common=st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=16),
    hosts=st.lists(st.from_regex(r"[a-z0-9-]{1,20}(\.[a-z]{1,10})?", fullmatch=True), max_size=4),
    number=st.integers(1, 2**159 - 1),
    days=st.integers(1, 365 * 200),
)
def test_what_is_read_is_what_was_written(common, hosts, number, days):
    end = BEGIN + dt.timedelta(days=days)
    der = certificate(
        named(common), alternative=[x509.DNSName(host) for host in hosts] or None, serial=number, end=end
    )
    found, expected = read_certificate(der), x509.load_der_x509_certificate(der)
    assert found.names == tuple(dict.fromkeys([common, *hosts]))
    assert int(found.serial_number, 16) == expected.serial_number
    assert found.not_after == expected.not_valid_after_utc
    assert found.fingerprint == expected.fingerprint(hashes.SHA256()).hex()


@settings(deadline=None, max_examples=50)
@given(
    at=st.integers(0, len(PLAIN) - 1),
    byte=st.integers(0, 255),
    cut=st.integers(0, len(PLAIN)),
    junk=st.binary(),
)
@example(at=1, byte=0xFF, cut=len(PLAIN), junk=b"")
def test_der_that_is_broken_is_refused_or_read_and_nothing_else(at, byte, cut, junk):
    changed = bytearray(PLAIN)
    changed[at] = byte
    for data in (bytes(changed), PLAIN[:cut], junk, PLAIN + junk):
        for read in (read_certificate, read_revocation_list):
            with contextlib.suppress(ValueError):
                read(data)


def test_a_certificate_is_no_revocation_list_and_text_is_neither():
    with pytest.raises(ValueError, match=r"not a (certificate|revocation list)"):
        read_certificate(b"CN=CP1")
    with pytest.raises(ValueError, match=r"not a (certificate|revocation list)"):
        read_revocation_list(b"")


def test_a_revocation_list_has_its_issuer_and_its_end():
    builder = x509.CertificateRevocationListBuilder().issuer_name(named("the issuer")).last_update(BEGIN)
    builder = builder.next_update(END)
    der = builder.sign(SIGNER, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    found = read_revocation_list(der)
    assert (found.issuer, found.this_update, found.next_update) == ("CN=the issuer", BEGIN, END)


def test_the_blocks_of_a_pem_file_are_found_by_their_kind():
    pem = x509.load_der_x509_certificate(PLAIN).public_bytes(serialization.Encoding.PEM)
    other = b"Bag Attributes\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    assert pem_blocks(other + pem + b"text between\r\n" + pem.replace(b"\n", b"\r\n")) == [PLAIN, PLAIN]
    assert pem_blocks(pem, CRL) == []
    with pytest.raises(ValueError, match="not PEM"):
        pem_blocks(b"-----BEGIN CERTIFICATE-----\nAAAAA\n-----END CERTIFICATE-----\n")
