"""Only a request that has proved a strong key, and is of its own charge point, is signed."""

import base64
import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from chargehand.plugins.signing_requests import RequestRefused, SigningRequest

NOW = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
OID = x509.NameOID
KEY = ec.generate_private_key(ec.SECP256R1())
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER


def subject(*names):
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in names])


def request(key=KEY, names=((OID.COMMON_NAME, "CP1"),), algorithm=hashes.SHA256(), encoding=PEM):  # noqa: B008
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(*names))
    return builder.sign(key, algorithm).public_bytes(encoding)


def refusal(pem, names=("CP1",)):
    with pytest.raises(RequestRefused) as refused:
        SigningRequest(pem, names)
    return str(refused.value)


def armoured(der):
    return (
        "-----BEGIN CERTIFICATE REQUEST-----\n"
        + base64.encodebytes(der).decode()
        + "-----END CERTIFICATE REQUEST-----\n"
    )


@pytest.mark.parametrize(
    "key",
    [
        KEY,
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        rsa.generate_private_key(65537, 2048),
        rsa.generate_private_key(3, 3072),
    ],
)
def test_a_request_with_a_strong_key_and_its_own_name_is_taken(key):
    taken = SigningRequest(request(key).decode(), ("CP1", "SN-7"))
    assert taken.common_name == "CP1"
    assert taken.key == key.public_key()


def test_the_name_may_be_any_of_the_charge_point():
    pem = request(names=((OID.ORGANIZATION_NAME, "ACME"), (OID.COMMON_NAME, "SN-7"))).decode()
    assert SigningRequest(pem, ("CP1", "SN-7")).common_name == "SN-7"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda pem: pem.replace("\n", ""),
        lambda pem: pem.replace("\n", "\\n"),
        lambda pem: pem.replace("\n", "\r\n"),
        lambda pem: pem.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"),
        lambda pem: "Bag Attributes\n" + pem + "\n\n",
    ],
)
def test_a_request_is_read_however_its_lines_end(spoil):
    assert SigningRequest(spoil(request().decode()), ("CP1",)).common_name == "CP1"


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (rsa.generate_private_key(65537, 1024), "from 2048 to 4096 bits, not 1024"),
        (ec.generate_private_key(ec.SECP192R1()), "its curve is secp192r1"),
        (ec.generate_private_key(ec.SECP256K1()), "its curve is secp256k1"),
        (dsa.generate_private_key(2048), "neither RSA nor ECDSA"),
    ],
)
def test_a_weak_or_unusual_key_is_refused_by_its_kind(key, text):
    assert text in refusal(request(key).decode())


def test_a_huge_key_is_refused_before_its_signature_is_checked():
    # A number of 16,384 bits, as no key that was made has it.
    numbers = rsa.RSAPublicNumbers(65537, (1 << 16383) | 1)
    info = numbers.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    ours = KEY.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    old = request(encoding=DER)
    spoiled = _sequence(_sequence(_inside_info(old).replace(ours, info)) + _rest(old))
    assert "from 2048 to 4096 bits, not 16384" in refusal(armoured(spoiled))


def test_a_large_exponent_is_refused_before_its_signature_is_checked():
    numbers = rsa.RSAPublicNumbers(
        (1 << 2046) | 1, rsa.generate_private_key(65537, 2048).public_key().public_numbers().n
    )
    info = numbers.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    ours = KEY.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    old = request(encoding=DER)
    spoiled = _sequence(_sequence(_inside_info(old).replace(ours, info)) + _rest(old))
    assert "too large an exponent" in refusal(armoured(spoiled))


def _header(der):
    """Return the length of the header of the first element, and that of its content."""
    if der[1] < 0x80:
        return 2, der[1]
    size = der[1] & 0x7F
    return 2 + size, int.from_bytes(der[2 : 2 + size], "big")


def _inside_info(der):
    start, _ = _header(der)
    inner, length = _header(der[start:])
    return der[start + inner : start + inner + length]


def _rest(der):
    start, _ = _header(der)
    inner, length = _header(der[start:])
    return der[start + inner + length :]


def _sequence(content):
    size = len(content).to_bytes(2, "big")
    return b"\x30\x82" + size + content


def test_a_signature_by_another_key_is_refused():
    der = bytearray(request(encoding=DER))
    der[-1] ^= 1
    assert "signature" in refusal(armoured(bytes(der)))


def test_a_request_without_a_hash_is_refused():
    key = ed25519.Ed25519PrivateKey.generate()
    assert "neither RSA nor ECDSA" in refusal(request(key, algorithm=None).decode())


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ((), "has 0 common names, not one"),
        (((OID.COMMON_NAME, "CP1"), (OID.COMMON_NAME, "CP2")), "has 2 common names, not one"),
        (((OID.COMMON_NAME, "CP2"),), "the common name is 'CP2', not CP1"),
        (((OID.COMMON_NAME, "cp1"),), "the common name is 'cp1', not CP1"),
        (((OID.COMMON_NAME, "CP1\0.example"),), "cannot be used"),
        (((OID.COMMON_NAME, "CP1"), (OID.ORGANIZATION_NAME, "a\nb")), "cannot be used"),
        (((OID.COMMON_NAME, "CP1"), *((OID.ORGANIZATIONAL_UNIT_NAME, f"{n}") for n in range(10))), "has 11 names"),
    ],
)  # fmt: skip
def test_an_odd_or_foreign_name_is_refused(names, text):
    assert text in refusal(request(names=names).decode())


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "CP1",
        "-----BEGIN CERTIFICATE REQUEST-----",
        "-----BEGIN CERTIFICATE REQUEST----------END CERTIFICATE REQUEST-----",
        "-----BEGIN CERTIFICATE REQUEST-----\n!!!\n-----END CERTIFICATE REQUEST-----",
        "-----BEGIN CERTIFICATE REQUEST-----\nMIIé\n-----END CERTIFICATE REQUEST-----",
        armoured(b"\x30\x00"),
        armoured(b"\x30\x80" * 2000),
        request().decode().replace("REQUEST", "REQUESTS"),
    ],
)
def test_what_is_no_request_is_refused(pem):
    assert "certificate request" in refusal(pem)


MINE = request(encoding=DER)


@settings(max_examples=300)
@given(st.data())
def test_a_mutated_request_is_refused_or_says_what_the_first_one_said(data):
    der = bytearray(MINE)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(der) - 1))
        kind = data.draw(st.sampled_from(("flip", "cut", "grow")))
        if kind == "flip":
            der[at] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del der[at : at + data.draw(st.integers(1, 8))]
            der = der or bytearray(b"\0")
        else:
            der[at:at] = data.draw(st.binary(max_size=8))
    try:
        taken = SigningRequest(armoured(bytes(der)), ("CP1",))
    except RequestRefused:
        return
    assert (taken.common_name, taken.key) == ("CP1", KEY.public_key())


@given(st.text(max_size=200))
def test_text_is_refused_whatever_it_is(text):
    refusal(text)
    refusal(f"-----BEGIN CERTIFICATE REQUEST-----{text}-----END CERTIFICATE REQUEST-----")
