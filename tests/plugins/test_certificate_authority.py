"""Certificates of charge points: asked for, signed, delivered, renewed, revoked; in both versions of OCPP."""

import datetime as dt
import json
import subprocess

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from chargehand import AuthSettings, CaSettings, IssuedCertificate, Settings, v16, v201
from chargehand.plugins.authority import CLIENT_CA, CRL, Authority
from chargehand.plugins.back_office import BackOffice
from chargehand.plugins.back_office_201 import BackOffice201
from chargehand.plugins.certificate_authority import CertificateAuthority
from chargehand.protocol.session import SessionRules
from chargehand.simulator.signing_keys import make_request
from chargehand.testing import Stage

SECRET = b"a long passphrase"
DAY = dt.timedelta(days=1)


@pytest.fixture(params=[v16, v201], ids=["1.6", "2.0.1"])
def ocpp(request):
    return request.param


@pytest.fixture
def authority(tmp_path, now):
    return Authority.create(tmp_path / "ca", SECRET, name="Test", now=now())


@pytest.fixture
def make(store, clock, now, ocpp, authority):
    """Make a stage with the authority; it ends with the test."""
    stages = []

    def make(authority=authority, **options):
        office = BackOffice if ocpp is v16 else BackOffice201
        plugins = [
            CertificateAuthority.spec(store, authority, now=now, **options),
            office.spec(store, now=now),
        ]
        stage = Stage(*plugins, store=store, clock=clock, rules=SessionRules(version=ocpp.VERSION))
        stages.append(stage)
        stage.start()
        return stage

    yield make
    for stage in stages:
        stage.stop()


@pytest.fixture
def stage(make):
    return make()


def booted(stage, ocpp, serial_number="SN-7", id_="CP1"):
    charge_point = stage.connect(id_)
    facts = {"chargePointVendor": "V", "chargePointModel": "M", "chargePointSerialNumber": serial_number}
    if ocpp is v201:
        station = {"vendorName": "V", "model": "M", "serialNumber": serial_number}
        facts = {"reason": "PowerUp", "chargingStation": station}
    charge_point.call("BootNotification", facts)
    charge_point.take()
    return charge_point


@pytest.fixture
def charge_point(stage, ocpp):
    return booted(stage, ocpp)


@pytest.fixture
def issued(store):
    def issued(*states, id_="CP1"):
        found = store.collections.issued_certificates.of(id_)
        return [one for one in found if not states or one.state in states]

    return issued


def ask(charge_point, name="CP1", csr=None, **more):
    """Ask for a certificate; return the status, and the CertificateSigned that follows."""
    answer = charge_point.call("SignCertificate", {"csr": csr or make_request(name).csr, **more})
    calls = [frame for frame in charge_point.take() if frame[0] == 2 and frame[2] == "CertificateSigned"]
    return answer[2] if isinstance(answer, list) else answer, calls


def get(charge_point, name="CP1", status="Accepted"):
    """Ask for a certificate, and answer its delivery; return it."""
    _, (call,) = ask(charge_point, name)
    charge_point.answer(call, {"status": status})
    return x509.load_pem_x509_certificate(call[3]["certificateChain"].encode())


def test_a_request_is_accepted_and_its_certificate_follows(charge_point, issued, ocpp, now):
    answer, (call,) = ask(charge_point)
    assert answer == {"status": "Accepted"}
    certificate, issuing = x509.load_pem_x509_certificates(call[3]["certificateChain"].encode())
    certificate.verify_directly_issued_by(issuing)
    assert certificate.not_valid_after_utc == now() + 365 * DAY
    assert "certificateType" not in call[3]
    (record,) = issued("issued")
    assert record.serial_number == f"{certificate.serial_number:x}"
    assert (record.common_name, record.subject) == ("CP1", "CN=CP1,O=Simulator")
    charge_point.answer(call, {"status": "Accepted"})
    assert [one.state for one in issued()] == ["installed"]


@pytest.mark.parametrize("ocpp", [v201], ids=["2.0.1"], indirect=True)
def test_a_certificate_has_the_type_that_it_was_asked_for_with(charge_point, issued, ocpp):
    _, (call,) = ask(charge_point, certificateType="ChargingStationCertificate")
    assert call[3]["certificateType"] == "ChargingStationCertificate"
    assert [one.use for one in issued()] == ["charging_station"]


def test_of_many_refusals_one_in_a_minute_is_told(charge_point, store, clock, caplog):
    for _ in range(5):
        assert ask(charge_point, csr="C")[0]["status"] == "Rejected"
    clock.advance(61)
    ask(charge_point, csr="C")
    told = [event.data["reason"] for event in store.events(charge_point_id="CP1", kind="sign_certificate")]
    assert len(told) == caplog.text.count("is refused") == 2
    assert "(4 more since " in told[0]


SERIAL_NUMBER = {"certificate_name": "serial_number"}


@pytest.mark.parametrize(
    ("rules", "name"),
    [({}, "CP1"), (SERIAL_NUMBER, "SN-7"), ({"certificate_names": {"CP1": "X"}}, "X"),
     (SERIAL_NUMBER | {"certificate_names": {"CP1": "X"}}, "X")],
)  # fmt: skip
def test_its_name_is_the_one_that_it_is_let_in_with(make, ocpp, issued, rules, name):
    charge_point = booted(make(**rules), ocpp)
    for other in {"CP1", "SN-7", "X"} - {name}:
        assert ask(charge_point, other)[0]["status"] == "Rejected"
    assert ask(charge_point, name)[0] == {"status": "Accepted"}
    assert [one.common_name for one in issued()] == [name]


def test_before_its_boot_no_serial_number_is_known(make, store):
    charge_point = make(**SERIAL_NUMBER).connect("CP2")
    assert ask(charge_point, "SN-7")[0]["status"] == "Rejected"
    (event,) = store.events(charge_point_id="CP2", kind="sign_certificate")
    assert "serial number is not known yet" in event.data["reason"]


@pytest.mark.parametrize("csr", ["C", make_request("CP9").csr, make_request("CP1", rsa_bits=1024).csr])
def test_a_request_that_cannot_be_signed_is_rejected_with_the_reason(charge_point, issued, store, ocpp, csr):
    answer, calls = ask(charge_point, csr=csr)
    assert (answer["status"], calls, issued()) == ("Rejected", [], [])
    (event,) = store.events(charge_point_id="CP1", kind="sign_certificate")
    assert event.data["outcome"] == "refused"
    if ocpp is v201:
        assert answer["statusInfo"] == {"reasonCode": "InvalidCSR", "additionalInfo": event.data["reason"]}


def test_a_serial_number_that_is_the_id_of_another_charge_point_is_no_name(make, ocpp):
    stage = make(**SERIAL_NUMBER)
    stage.connect("CP2")
    thief = booted(stage, ocpp, serial_number="CP2")
    assert ask(thief, "CP2")[0]["status"] == "Rejected"


def test_a_serial_number_in_the_certificate_of_another_one_is_no_name(make, ocpp):
    stage = make(**SERIAL_NUMBER)
    get(booted(stage, ocpp), "SN-7")
    for again in (stage, make(**SERIAL_NUMBER)):
        thief = booted(again, ocpp, id_="CP2")
        assert ask(thief, "SN-7")[0]["status"] == "Rejected"


def test_a_charge_point_gets_so_many_certificates_in_a_day(make, stage, clock, ocpp, issued):
    stage = make(per_day=2)
    charge_point = booted(stage, ocpp)
    assert [ask(charge_point)[0]["status"] for _ in range(3)] == ["Accepted", "Accepted", "Rejected"]
    clock.advance(86_401)
    assert ask(charge_point)[0]["status"] == "Accepted"
    assert len(issued()) == 3


@pytest.mark.parametrize(
    ("reply", "state"),
    [({"status": "Rejected"}, "refused"), ({"status": "Perhaps"}, "refused"), (None, "uncertain")],
)
def test_a_certificate_that_was_not_taken_says_so(stage, charge_point, issued, reply, state):
    _, (call,) = ask(charge_point)
    if reply is None:
        stage.advance(61)
    else:
        charge_point.answer(call, reply)
    assert [one.state for one in issued()] == [state]


def test_a_new_certificate_replaces_the_ones_before_it(charge_point, issued):
    get(charge_point)
    get(charge_point, status="Rejected")
    last = get(charge_point)
    assert [one.state for one in issued()] == ["replaced", "refused", "installed"]
    assert issued("installed")[0].serial_number == f"{last.serial_number:x}"


@pytest.mark.parametrize("ocpp", [v201], ids=["2.0.1"], indirect=True)
def test_a_certificate_for_vehicles_is_left_to_another_plugin(charge_point, issued, ocpp):
    answer, calls = ask(charge_point, certificateType="V2GCertificate")
    assert (answer["status"], calls, issued()) == ("Rejected", [], [])


def test_a_certificate_is_not_sent_if_it_cannot_be_stored(store, charge_point, issued):
    store.fail()
    answer, calls = ask(charge_point)
    assert (answer, calls, issued()) == ({"status": "Accepted"}, [], [])


def test_rsa_keys_sign_in_a_native_thread(make, tmp_path, now, issued, ocpp):
    slow = Authority.create(tmp_path / "rsa", SECRET, name="Test", now=now(), rsa_bits=2048)
    stage = make(slow)
    charge_point = booted(stage, ocpp)
    charge_point.call("SignCertificate", {"csr": make_request("CP1", rsa_bits=2048).csr})
    stage.wait_for(issued)
    stage.settle()
    (call,) = [frame for frame in charge_point.take() if frame[0] == 2]
    assert call[2] == "CertificateSigned"
    assert len(call[3]["certificateChain"]) < 10_000


def test_an_authority_that_has_run_out_signs_nothing(make, tmp_path, now, issued, ocpp, clock):
    stage = make()
    charge_point = booted(stage, ocpp)
    clock.advance(11 * 365 * 86_400)
    answer, calls = ask(charge_point)
    assert (answer, calls, issued()) == ({"status": "Accepted"}, [], [])


# -- Renewal and revocation ------------------------------------------------------------------------


def renewals(stage, charge_point):
    """Look for certificates that run out; return the messages that charge points are asked for."""
    stage.plugins[0].actor.renew_due()
    stage.settle()
    calls = [frame for frame in charge_point.take() if frame[0] == 2]
    for call in calls:
        charge_point.answer(call, {"status": "Accepted"})
    return [call[3]["requestedMessage"] for call in calls]


def test_a_charge_point_is_asked_to_renew_its_certificate_before_it_runs_out(
    stage, charge_point, clock, ocpp
):
    wanted = "SignChargePointCertificate" if ocpp is v16 else "SignChargingStationCertificate"
    get(charge_point)
    assert renewals(stage, charge_point) == []
    clock.advance(335 * 86_400 + 1)
    assert renewals(stage, charge_point) == [wanted]
    assert renewals(stage, charge_point) == []
    clock.advance(86_401)
    stage.settle()
    assert renewals(stage, charge_point) == [wanted]
    get(charge_point)
    clock.advance(86_401)
    stage.settle()
    assert renewals(stage, charge_point) == []


def test_a_charge_point_that_comes_back_is_asked_at_once(stage, charge_point, clock, ocpp):
    get(charge_point)
    charge_point.hang_up()
    clock.advance(335 * 86_400 + 1)
    charge_point = booted(stage, ocpp)
    assert not renewals(stage, charge_point)  # it was asked when it came
    frames = [frame[2] for frame in map(json.loads, charge_point.frames) if frame[0] == 2]
    assert frames == ["ExtendedTriggerMessage" if ocpp is v16 else "TriggerMessage"]


def test_without_the_setting_nobody_is_asked_to_renew(make, ocpp, clock):
    stage = make(renew_before=dt.timedelta())
    charge_point = booted(stage, ocpp)
    get(charge_point)
    clock.advance(364 * 86_400)
    assert renewals(stage, charge_point) == []


def test_a_certificate_on_its_way_is_not_renewed(stage, charge_point, clock):
    ask(charge_point)
    clock.advance(50)
    assert renewals(stage, charge_point) == []


def test_a_charge_point_that_is_away_is_not_asked(stage, charge_point, clock):
    get(charge_point)
    charge_point.hang_up()
    clock.advance(364 * 86_400)
    stage.plugins[0].actor.renew_due()
    stage.settle()
    assert not stage.plugins[0].actor._asked


def test_records_of_certificates_that_ran_out_long_ago_are_removed(stage, charge_point, clock, issued):
    get(charge_point)
    clock.advance(729 * 86_400)
    stage.plugins[0].actor.renew_due()
    assert len(issued()) == 1
    clock.advance(2 * 86_400)
    stage.plugins[0].actor.renew_due()
    assert issued() == []


def revoke(store, record, now):
    change = {"state": "revoked", "reason": "key_compromise", "changed_at": now()}
    store.collections.issued_certificates.put(msgspec.structs.replace(record, **change))


def test_a_revoked_certificate_is_in_the_list_at_once(stage, charge_point, store, issued, authority, now):
    bad = get(charge_point)
    revoke(store, issued()[0], now)

    def listed():
        crl = x509.load_pem_x509_crl((authority.folder / CRL).read_bytes())
        return [one.serial_number for one in crl]

    stage.wait_for(lambda: listed() == [bad.serial_number])
    leaf = authority.folder / "leaf.pem"
    leaf.write_bytes(bad.public_bytes(serialization.Encoding.PEM))
    at = str(int(now().timestamp()) + 60)
    command = ["openssl", "verify", "-attime", at, "-crl_check", "-CRLfile", authority.folder / CRL]
    command += ["-CAfile", authority.folder / CLIENT_CA, leaf]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "certificate revoked" in done.stdout + done.stderr


def test_a_revoked_certificate_stays_revoked_whatever_comes_of_its_delivery(charge_point, store, issued, now):
    _, (call,) = ask(charge_point)
    revoke(store, issued()[0], now)
    charge_point.answer(call, {"status": "Accepted"})
    assert [one.state for one in issued()] == ["revoked"]


def test_the_list_has_what_this_authority_revoked_and_what_has_not_run_out(make, store, now, authority):
    def put(serial, issuer=authority.issuer, days=9):
        store.collections.issued_certificates.put(
            IssuedCertificate(
                serial_number=serial,
                charge_point_id="CP1",
                common_name="CP1",
                subject="CN=CP1",
                not_before=now(),
                not_after=now() + days * DAY,
                issued_at=now(),
                issuer=issuer,
                state="revoked",
                changed_at=now(),
            )
        )

    put("a")
    put("b", issuer="f00")
    put("c", days=-1)
    stage = make()
    crl = authority.folder / CRL
    stage.wait_for(lambda: [one.serial_number for one in x509.load_pem_x509_crl(crl.read_bytes())] == [10])


def test_a_list_that_cannot_be_written_is_logged(stage, authority, caplog):
    authority.folder = authority.folder / "gone"
    stage.plugins[0].actor.write_revocations()
    assert "the revocation list in" in caplog.text


def test_a_plugin_that_has_stopped_watches_no_more(make, store):
    stage = make()
    watchers = store.collections.issued_certificates._watchers
    assert len(watchers) == 1
    stage.stop()
    assert watchers == []


def test_a_list_is_written_again_when_it_is_old_or_gone_and_not_before(stage, authority, clock):
    crl, actor = authority.folder / CRL, stage.plugins[0].actor
    stage.wait_for(lambda: actor._written)

    def written():
        before = crl.stat().st_ino if crl.exists() else 0
        actor.write_revocations()
        return crl.stat().st_ino != before

    assert not written()
    clock.advance(2.9 * 86_400)
    assert not written()
    clock.advance(0.2 * 86_400)
    assert written()
    assert not written()
    crl.unlink()
    assert written()


def test_it_is_warned_of_certificates_for_anybody(authority, store, caplog):
    ca = CaSettings(folder=str(authority.folder), passphrase=SECRET.decode())
    assert CertificateAuthority.bundled(Settings(ca=ca, auth=AuthSettings(required=True)), store)
    assert not caplog.text
    assert CertificateAuthority.bundled(Settings(ca=ca), store)
    assert "charge points need no password (auth.required)" in caplog.text
    assert CertificateAuthority.bundled(Settings(), store) is None
