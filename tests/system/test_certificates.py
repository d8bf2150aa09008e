"""Issued certificates of a system: found, revoked, and closed connections of the revoked ones."""

import datetime as dt

import pytest

from chargehand import CentralSystem, CertificateNotFound, IssuedCertificate, Settings
from chargehand.protocol.x509 import Certificate, TlsFacts
from chargehand.system.certificates import IssuedCertificates
from chargehand.testing import Stage, StubStore

NOW = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def shown(serial_number="1f", fingerprint="ab"):
    return Certificate(
        subject="CN=CP1",
        issuer="CN=clients",
        serial_number=serial_number,
        not_before=NOW - DAY,
        not_after=NOW + DAY,
        key="ECDSA",
        fingerprint=fingerprint,
        names=("CP1",),
    )


@pytest.fixture
def store():
    store = StubStore()
    store.collections.issued_certificates.put(
        IssuedCertificate(
            serial_number="1f",
            charge_point_id="CP1",
            common_name="CP1",
            subject="CN=CP1",
            not_before=NOW - DAY,
            not_after=NOW + DAY,
            issued_at=NOW,
            fingerprint="ab",
            state="installed",
        )
    )
    return store


@pytest.fixture
def stage(store):
    with Stage(store=store) as stage:
        yield stage


@pytest.fixture
def directory(stage):
    """Directory with the cells of the stage."""

    class Cells:
        find = staticmethod(stage.cells.get)

    return Cells()


@pytest.fixture
def issued(store, directory):
    issued = IssuedCertificates(store, directory, lambda: NOW)
    issued.start()
    yield issued
    issued.stop()


def connect(stage, certificate):
    connection = stage.connect("CP1")
    connection.tls = None if certificate is None else TlsFacts(version="TLSv1.3", certificate=certificate)
    return connection


def test_the_connection_that_has_shown_a_certificate_is_closed_when_it_is_revoked(stage, issued):
    connection = connect(stage, shown())
    issued.revoke("1f", by="ann")
    assert connection.closed_with == (1008, "its certificate is revoked")


@pytest.mark.parametrize("certificate", [None, shown("2f"), shown(fingerprint="cd")])
def test_a_connection_with_another_certificate_or_without_one_goes_on(stage, issued, certificate):
    connection = connect(stage, certificate)
    issued.revoke("1f", by="ann")
    assert connection.closed_with is None


def test_a_charge_point_that_is_away_is_no_matter(issued):
    assert issued.revoke("1F", by="ann").state == "revoked"


def test_a_revocation_of_another_process_closes_the_connection_too(stage, issued, store):
    connection = connect(stage, shown())
    data = b"".join(
        (
            b'{"serial_number":"1f","charge_point_id":"CP1","common_name":"CP1","subject":"CN=CP1",',
            b'"not_before":"2026-11-27T00:00:00Z","not_after":"2026-11-29T00:00:00Z",',
            b'"issued_at":"2026-11-28T00:00:00Z","fingerprint":"ab","state":"revoked"}',
        )
    )
    store.collections.issued_certificates.follow("1f", data)
    assert connection.closed_with == (1008, "its certificate is revoked")


def test_a_certificate_is_of_the_charge_point_that_it_was_issued_to(issued):
    assert not issued.fault_of("CP1", shown())
    assert issued.fault_of("CP2", shown()) == "it was issued to charge point CP1"
    assert not issued.fault_of("CP2", shown("2f"))


def test_a_certificate_is_revoked_by_its_number_and_its_contents(issued):
    issued.revoke("00:1f", by="ann")
    assert issued.fault_of("CP1", shown()) == "it is revoked"
    assert not issued.fault_of("CP1", shown(fingerprint="cd"))
    assert not issued.fault_of("CP1", shown("2f"))


def test_an_unknown_certificate_or_reason_is_an_error(issued):
    with pytest.raises(CertificateNotFound, match="2a"):
        issued.revoke("2a", by="ann")
    with pytest.raises(ValueError, match="not 'boredom'"):
        issued.revoke("1f", by="ann", reason="boredom")


def test_a_system_watches_while_it_runs(store):
    watchers = store.collections.issued_certificates._watchers
    for _ in range(2):
        with CentralSystem(Settings(port=0), store=store) as system:
            assert len(watchers) == 1
            assert system.issued_certificate("1f").state == "installed"
        assert watchers == []
