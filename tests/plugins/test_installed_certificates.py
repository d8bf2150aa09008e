"""Installed certificates of charge points are known by their reports, and kept true by installing and deleting."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chargehand import certificate_name, v16, v201
from chargehand.plugins.accepted_state import AcceptedState
from chargehand.plugins.installed_certificates import KEPT_PER_CHARGE_POINT
from chargehand.protocol.session import SessionRules
from chargehand.testing import Stage

CENTRAL, MAKER = "CentralSystemRootCertificate", "ManufacturerRootCertificate"


def root(serial=0x1F):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), serial, now, now + dt.timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def hash_data(pem, **changes):
    name = certificate_name(pem)
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": name.issuer_name_hash,
        "issuerKeyHash": name.issuer_key_hash,
        "serialNumber": name.serial_number,
        **changes,
    }


@pytest.fixture(params=[v16, v201])
def ocpp(request):
    return request.param


@pytest.fixture
def do(store, clock, now, ocpp):
    """Send a command, and answer it with these members, or not at all."""
    rules = SessionRules(version=ocpp.VERSION)
    with Stage(AcceptedState.spec(store, now=now), store=store, clock=clock, rules=rules) as stage:
        charge_point = stage.connect("CP1")

        def do(request, answer):
            stage.send("CP1", request, timeout_s=5.0)
            stage.settle()
            frame = charge_point.take()[-1]
            if answer is None:
                clock.advance(6)
                stage.settle()
            else:
                charge_point.answer(frame, answer)

        yield do


@pytest.fixture
def install(do, ocpp):
    def install(pem, status="Accepted", use=None):
        use = use or ("CSMSRootCertificate" if ocpp is v201 else CENTRAL)
        request = ocpp.InstallCertificate(certificate_type=use, certificate=pem)
        do(request, None if status is None else {"status": status})

    return install


@pytest.fixture
def delete(do, ocpp):
    def delete(pem, status="Accepted", **changes):
        data = hash_data(pem, **changes)
        named = ocpp.CertificateHashData(
            hash_algorithm=data["hashAlgorithm"],
            issuer_name_hash=data["issuerNameHash"],
            issuer_key_hash=data["issuerKeyHash"],
            serial_number=data["serialNumber"],
        )
        request = ocpp.DeleteCertificate(certificate_hash_data=named)
        do(request, None if status is None else {"status": status})

    return delete


@pytest.fixture
def report(do, ocpp):
    """Report certificates (use, hash data), asked for these uses."""

    def report(*told, uses=("CSMSRootCertificate", MAKER)):
        if ocpp is v201:
            chains = [{"certificateType": use, "certificateHashData": data} for use, data in told]
            answer = {"status": "Accepted", "certificateHashDataChain": chains}
            if not chains:
                answer = {"status": "NotFound"}
            do(v201.GetInstalledCertificateIds(certificate_type=uses), answer)
            return
        for use in uses:
            word = CENTRAL if use == "CSMSRootCertificate" else use
            data = [data for kind, data in told if kind == use]
            answer = {"status": "Accepted", "certificateHashData": data} if data else {"status": "NotFound"}
            do(v16.GetInstalledCertificateIds(certificate_type=word), answer)

    return report


@pytest.fixture
def known(store):
    def known():
        found = store.collections.installed_certificates.of("CP1")
        return [(one.use, one.serial_number, one.certain) for one in found]

    return known


def test_an_installed_certificate_is_known_until_it_is_deleted(install, delete, known):
    pem = root()
    install(pem)
    install(pem)
    assert known() == [("central_system", "1f", True)]
    delete(pem)
    assert known() == []


@pytest.mark.parametrize("status", ["Rejected", "Failed"])
def test_a_certificate_that_was_not_installed_is_not_known(install, known, status):
    install(root(), status)
    assert known() == []


def test_a_lost_answer_leaves_a_certificate_uncertain_until_the_next_report(install, report, delete, known):
    pem = root()
    install(pem, None)
    assert known() == [("central_system", "1f", False)]
    report(("CSMSRootCertificate", hash_data(pem)))
    assert known() == [("central_system", "1f", True)]
    delete(pem, None)
    assert known() == [("central_system", "1f", False)]
    report()
    assert known() == []


def test_a_lost_answer_does_not_make_a_known_certificate_uncertain(install, known):
    pem = root()
    install(pem)
    install(pem, None)
    assert known() == [("central_system", "1f", True)]


def test_a_report_counts_for_the_uses_it_was_asked_for_alone(install, report, known):
    install(root(1))
    install(root(2), use=MAKER)
    report((MAKER, hash_data(root(3))), uses=(MAKER,))
    assert known() == [("central_system", "1", True), ("manufacturer", "3", True)]
    report()
    assert known() == []


def test_a_certificate_is_deleted_however_its_name_is_written(report, delete, known):
    pem = root()
    told = hash_data(pem, serialNumber="001F", issuerNameHash=hash_data(pem)["issuerNameHash"].upper())
    report(("CSMSRootCertificate", told))
    delete(pem)
    assert known() == []


def test_a_certificate_reported_by_other_hashes_is_known_by_its_number(install, report, delete, known):
    pem = root()
    other = hash_data(pem, hashAlgorithm="SHA384", issuerNameHash="cc", issuerKeyHash="dd")
    report(("CSMSRootCertificate", other))
    delete(pem, "NotFound")
    assert known() == []


def test_a_certificate_of_another_issuer_stays(install, delete, known):
    install(root())
    delete(root(), "NotFound", issuerNameHash="aa")
    assert known() == [("central_system", "1f", True)]


def test_a_certificate_that_could_not_be_deleted_stays(install, delete, known):
    pem = root()
    install(pem)
    delete(pem, "Failed")
    assert known() == [("central_system", "1f", True)]


def test_no_more_certificates_are_kept_than_the_limit(install, report, known, caplog):
    pem = root()
    told = [("CSMSRootCertificate", hash_data(pem, serialNumber=f"{number:x}")) for number in range(150)]
    report(*told)
    assert len(known()) == KEPT_PER_CHARGE_POINT
    assert "50 are not noted" in caplog.text
    install(pem, use=MAKER)
    assert len(known()) == KEPT_PER_CHARGE_POINT


def test_what_is_no_certificate_is_not_noted(install, known, caplog):
    install("-----BEGIN CERTIFICATE-----")
    assert known() == []
    assert "CP1 installed what is no certificate" in caplog.text
