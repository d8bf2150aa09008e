"""Keys and certificates of the authority: what it signs is accepted by OpenSSL, and what it revokes is not."""

import datetime as dt
import stat
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from chargehand.plugins.authority import CLIENT_CA, CRL, Authority, AuthorityError, Revoked
from chargehand.plugins.signing_requests import SigningRequest
from chargehand.simulator.signing_keys import make_request

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
YEAR, DAY = dt.timedelta(days=365), dt.timedelta(days=1)
SECRET = b"a long passphrase"


@pytest.fixture(scope="module", params=[0, 2048], ids=["ecdsa", "rsa"])
def authority(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ca") / "ca"
    return Authority.create(folder, SECRET, name="Test", now=NOW, rsa_bits=request.param)


def signed(authority, name="CP1", lifetime=YEAR, *, rsa_bits=0):
    request = SigningRequest(make_request(name, rsa_bits=rsa_bits).csr, (name,))
    return authority.sign(request, NOW, lifetime)


def verified(authority, chain, *more):
    leaf = authority.folder / "leaf.pem"
    leaf.write_text(chain)
    done = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-purpose", "sslclient", *more, "-CAfile",
         authority.folder / CLIENT_CA, leaf],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode == 0, done.stdout + done.stderr


def test_keys_are_encrypted_and_files_are_for_their_owner_alone(authority):
    files = sorted(authority.folder.glob("*.*"))
    assert {path.name for path in files} >= {
        "root.key", "root.pem", "issuing.key", "issuing.pem", "client-ca.pem", "root-crl.pem", "crl.pem",
    }  # fmt: skip
    assert {stat.S_IMODE(path.stat().st_mode) for path in files if path.name != "leaf.pem"} == {0o600}
    assert stat.S_IMODE(authority.folder.stat().st_mode) == 0o700
    for name in ("root.key", "issuing.key"):
        text = (authority.folder / name).read_bytes()
        assert text.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
        kind = rsa.RSAPrivateKey if authority.slow else ec.EllipticCurvePrivateKey
        assert isinstance(serialization.load_pem_private_key(text, SECRET), kind)


@pytest.mark.parametrize("rsa_bits", [0, 2048])
def test_a_signed_certificate_is_verified_by_openssl(authority, rsa_bits):
    made = signed(authority, rsa_bits=rsa_bits)
    assert verified(authority, made.chain) == (True, f"{authority.folder / 'leaf.pem'}: OK\n")
    assert verified(authority, made.chain, "-crl_check_all", "-CRLfile", authority.folder / CRL)[0]
    certificate = made.certificate
    assert certificate.subject.rfc4514_string() == "CN=CP1,O=Simulator"
    assert certificate.not_valid_after_utc == NOW + YEAR
    assert made.chain.count("BEGIN CERTIFICATE") == 2
    assert len(made.chain) < 10_000


def test_no_certificate_outlives_the_authority(authority):
    made = signed(authority, lifetime=100 * YEAR)
    assert made.certificate.not_valid_after_utc == authority.certificate.not_valid_after_utc
    request = SigningRequest(make_request("CP1").csr, ("CP1",))
    with pytest.raises(AuthorityError, match="has run out"):
        authority.sign(request, NOW + 11 * YEAR, DAY)


def test_wished_extensions_are_not_granted(authority):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CP1")])
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=3), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("CP2")]), critical=False)
        .sign(key, x509.load_pem_x509_csr(make_request("x").csr.encode()).signature_hash_algorithm)
    )
    request = SigningRequest(csr.public_bytes(serialization.Encoding.PEM).decode(), ("CP1",))
    extensions = authority.sign(request, NOW, DAY).certificate.extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["CP1"]


def test_a_name_that_is_no_host_name_is_the_common_name_alone(authority):
    certificate = signed(authority, "DE*ACM*E1").certificate
    assert certificate.subject.rfc4514_string() == "CN=DE*ACM*E1,O=Simulator"
    with pytest.raises(x509.ExtensionNotFound):
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_a_revoked_certificate_is_refused_by_openssl_and_others_are_not(authority):
    bad, good = signed(authority), signed(authority)
    authority.write_revocations(
        [Revoked(bad.serial_number, NOW, "key_compromise"), Revoked("1f", NOW, "no such reason")],
        NOW,
        NOW + DAY,
    )
    check = ("-crl_check_all", "-CRLfile", authority.folder / CRL)
    assert "certificate revoked" in verified(authority, bad.chain, *check)[1]
    assert verified(authority, good.chain, *check)[0]
    assert stat.S_IMODE((authority.folder / CRL).stat().st_mode) == 0o600
    authority.write_revocations((), NOW, NOW + DAY)


def test_an_authority_is_read_with_its_passphrase_alone(authority):
    again = Authority.load(authority.folder, SECRET)
    assert again.issuer == authority.issuer
    assert verified(authority, signed(again).chain)[0]
    for wrong in (b"", b"another"):
        with pytest.raises(AuthorityError, match="cannot be read with this passphrase"):
            Authority.load(authority.folder, wrong)


def test_the_key_of_the_root_is_needed_no_more(authority, tmp_path):
    for path in authority.folder.glob("*.*"):
        if path.name != "root.key":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    again = Authority.load(tmp_path, SECRET)
    again.write_revocations((), NOW, NOW + DAY)
    assert verified(authority, signed(again).chain, "-crl_check_all", "-CRLfile", tmp_path / CRL)[0]


def test_nothing_is_made_over_an_authority_or_without_a_passphrase(authority, tmp_path):
    before = (authority.folder / "root.key").read_bytes()
    with pytest.raises(AuthorityError, match="has an authority already"):
        Authority.create(authority.folder, SECRET, name="Test", now=NOW)
    assert (authority.folder / "root.key").read_bytes() == before
    with pytest.raises(AuthorityError, match="need a passphrase"):
        Authority.create(tmp_path / "new", b"", name="Test", now=NOW)


def test_files_that_are_no_authority_are_named(authority, tmp_path):
    with pytest.raises(AuthorityError, match="chargehand ca init makes one"):
        Authority.load(tmp_path, SECRET)
    other = Authority.create(tmp_path / "other", SECRET, name="Test", now=NOW)
    (other.folder / "issuing.key").write_bytes((authority.folder / "issuing.key").read_bytes())
    with pytest.raises(AuthorityError, match=r"is not the key of issuing\.pem"):
        Authority.load(other.folder, SECRET)


def test_a_chain_that_ocpp_cannot_carry_is_refused_when_the_authority_is_read(authority, monkeypatch):
    monkeypatch.setattr("chargehand.plugins.authority.LONGEST_CHAIN", 4_500)
    with pytest.raises(AuthorityError, match="longer than the 4500 that OCPP carries"):
        Authority.load(authority.folder, SECRET)
