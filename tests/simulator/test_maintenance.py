"""Maintenance by a real central system: firmware, files, certificates and triggered messages, with their effects."""

import datetime as dt

import pytest

from chargehand import v16

from .test_certificates import ROOT

FUTURE = dt.datetime(2999, 1, 1, tzinfo=dt.UTC)
PAST = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)


def statuses(charge_point, action):
    return [entry.payload["status"] for entry in charge_point.record.calls(action)]


def test_a_firmware_update_tells_of_its_steps(call, booted):
    call(v16.UpdateFirmware(location="https://example.com/fw", retrieve_date=PAST))
    booted.record.wait_for_call("FirmwareStatusNotification", status="Installed")
    assert statuses(booted, "FirmwareStatusNotification") == [
        "Downloading",
        "Downloaded",
        "Installing",
        "Installed",
    ]


def test_a_firmware_update_waits_for_its_time_and_can_fail(call, booted):
    call(v16.UpdateFirmware(location="https://example.com/fw", retrieve_date=FUTURE))
    assert booted.maintenance.firmware.busy
    assert statuses(booted, "FirmwareStatusNotification") == []
    booted.maintenance.firmware.steps = (v16.FirmwareStatus.DOWNLOADING, v16.FirmwareStatus.DOWNLOAD_FAILED)
    call(v16.UpdateFirmware(location="https://example.com/fw", retrieve_date=PAST))
    booted.record.wait_for_call("FirmwareStatusNotification", status="DownloadFailed")


def signed_update(certificate=ROOT, at=PAST, request_id=9):
    firmware = v16.Firmware(
        location="https://example.com/fw",
        retrieve_date_time=at,
        signing_certificate=certificate,
        signature="c2lnbmF0dXJl",
    )
    return v16.SignedUpdateFirmware(request_id=request_id, firmware=firmware)


def test_a_signed_update_tells_of_its_steps_with_its_number(call, booted):
    assert call(signed_update()).status == "Accepted"
    booted.record.wait_for_call("SignedFirmwareStatusNotification", status="Installed", requestId=9)
    assert "SignatureVerified" in statuses(booted, "SignedFirmwareStatusNotification")


def test_a_signed_update_takes_the_place_of_one_that_waits(call, booted):
    assert call(signed_update("no certificate")).status == "InvalidCertificate"
    assert call(signed_update(at=FUTURE)).status == "Accepted"
    assert call(signed_update(request_id=10)).status == "AcceptedCanceled"
    booted.record.wait_for_call("SignedFirmwareStatusNotification", status="Installed", requestId=10)


def test_diagnostics_are_uploaded(call, booted):
    assert call(v16.GetDiagnostics(location="ftp://example.com/")).file_name
    booted.record.wait_for_call("DiagnosticsStatusNotification", status="Uploaded")
    assert statuses(booted, "DiagnosticsStatusNotification") == ["Uploading", "Uploaded"]


def test_a_log_is_uploaded(call, booted):
    log = v16.LogParameters(remote_location="ftp://example.com/")
    response = call(v16.GetLog(log=log, log_type=v16.Log.SECURITY_LOG, request_id=4))
    assert (response.status, response.filename) == ("Accepted", "SecurityLog.txt")
    booted.record.wait_for_call("LogStatusNotification", status="Uploaded", requestId=4)


def test_certificates_are_installed_listed_and_deleted(call):
    use = v16.CertificateUse.CENTRAL_SYSTEM_ROOT_CERTIFICATE
    listing = v16.GetInstalledCertificateIds(certificate_type=use)
    assert call(listing).status == "NotFound"
    assert call(v16.InstallCertificate(certificate_type=use, certificate=ROOT)).status == "Accepted"
    (name,) = call(listing).certificate_hash_data
    assert call(v16.DeleteCertificate(certificate_hash_data=name)).status == "Accepted"
    assert call(v16.DeleteCertificate(certificate_hash_data=name)).status == "NotFound"


def test_a_certificate_that_was_not_asked_for_is_rejected(call, booted):
    assert call(v16.CertificateSigned(certificate_chain=ROOT)).status == "Rejected"
    assert call(v16.CertificateSigned(certificate_chain="x")).status == "Rejected"
    assert booted.certificates.own is None


@pytest.mark.parametrize(
    ("wanted", "members"),
    [
        ("BootNotification", {"chargePointVendor": "Chargehand"}),
        ("Heartbeat", {}),
        ("StatusNotification", {"connectorId": 2, "status": "Available"}),
        ("MeterValues", {"connectorId": 2}),
        ("DiagnosticsStatusNotification", {"status": "Idle"}),
        ("FirmwareStatusNotification", {"status": "Idle"}),
    ],
)
def test_a_message_asked_for_is_sent(call, booted, wanted, members):
    before = booted.record.count
    request = v16.TriggerMessage(requested_message=v16.MessageTrigger(wanted), connector_id=2)
    assert call(request).status == "Accepted"
    booted.record.wait_for_call(wanted, after=before, **members)


@pytest.mark.parametrize(
    ("wanted", "sent", "members"),
    [
        ("BootNotification", "BootNotification", {}),
        ("Heartbeat", "Heartbeat", {}),
        ("StatusNotification", "StatusNotification", {"connectorId": 0}),
        ("MeterValues", "MeterValues", {"connectorId": 1}),
        ("LogStatusNotification", "LogStatusNotification", {"status": "Idle"}),
        ("FirmwareStatusNotification", "SignedFirmwareStatusNotification", {"status": "Idle"}),
    ],
)
def test_a_message_of_the_extension_asked_for_is_sent(call, booted, wanted, sent, members):
    before = booted.record.count
    request = v16.ExtendedTriggerMessage(requested_message=v16.ExtendedMessageTrigger(wanted))
    assert call(request).status == "Accepted"
    booted.record.wait_for_call(sent, after=before, **members)


def test_a_request_for_a_certificate_is_sent_when_asked_for(call, booted):
    wanted = v16.ExtendedMessageTrigger.SIGN_CHARGE_POINT_CERTIFICATE
    assert call(v16.ExtendedTriggerMessage(requested_message=wanted)).status == "Accepted"
    entry = booted.record.wait_for_call("SignCertificate")
    assert "CERTIFICATE REQUEST" in str(entry)


def test_a_message_of_a_connector_that_is_not_there_is_rejected(call):
    request = v16.TriggerMessage(requested_message=v16.MessageTrigger.METER_VALUES, connector_id=3)
    assert call(request).status == "Rejected"
