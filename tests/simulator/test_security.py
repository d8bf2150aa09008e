"""Authentication of a simulated charge point, and its trust in the server."""

import datetime as dt
import ssl
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chargehand import AuthSettings, CentralSystem, Settings, TlsSettings, v16
from chargehand.simulator import ChargePoint, HandshakeRefused, Kind

from .conftest import url_of


def test_basic_auth_lets_in_who_knows_the_password():
    settings = Settings(port=0, auth=AuthSettings(credentials={"CP:1": "a long: password"}))
    with CentralSystem(settings) as system:
        with ChargePoint(url_of(system), "CP:1", password="a long: password") as charge_point:
            assert charge_point.send(v16.Heartbeat())
        for identity, password, status in (
            ("CP:1", "wrong", 401),
            ("CP:1", None, 401),
            ("CP2", "wrong", 404),
        ):
            charge_point = ChargePoint(url_of(system), identity, password=password)
            with pytest.raises(HandshakeRefused) as refused:
                charge_point.connect()
            assert refused.value.status == status
            charge_point.close()


def test_a_new_key_is_used_for_a_new_connection(make, system):
    charge_point = make()
    heads = []
    with charge_point:
        dial = charge_point.connection._dial

        def watched():
            heads.append(charge_point.password)
            return dial()

        charge_point.connection._dial = watched
        key = "0102030405060708090a0b0c0d0e0f10"
        request = v16.ChangeConfiguration(key="AuthorizationKey", value=key)
        assert system.send("CP1", request).result().status == "Accepted"
        charge_point.record.wait(lambda entry: entry.kind is Kind.CONNECTED, after=3)
    assert heads == [bytes.fromhex(key)]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Self-signed certificate for 127.0.0.1, and its key: two PEM files."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "central system")])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(built.public_bytes(pem))
    no_password = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password))
    return str(folder / "cert.pem"), str(folder / "key.pem")


@pytest.mark.timeout(30)  # a server whose TLS holds up the hub would hang here
def test_wss_with_a_certificate_that_is_trusted(certificate):
    cert, key = certificate
    settings = Settings(port=0, tls=TlsSettings(certificate=cert, key=key, port=0))
    with CentralSystem(settings) as system:
        url = f"wss://127.0.0.1:{system.tls_port}/ocpp"
        with ChargePoint(url, "CP1", cafile=cert) as charge_point:
            assert charge_point.charge("TAG1").id
            assert system.charge_point("CP1").secure
            charge_point.faults.cut()
            charge_point.wait_offline()
        doubtful = ChargePoint(url, "CP2")
        with pytest.raises(ssl.SSLCertVerificationError):
            doubtful.connect()
        doubtful.close()
