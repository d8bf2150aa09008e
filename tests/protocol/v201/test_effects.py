"""Effects of the commands of OCPP 2.0.1, judged by the station's own messages."""

import datetime as dt

import pytest

from chargehand import v201
from chargehand.protocol.effects import Effect, Expectation, pair_of
from chargehand.protocol.effects import show as show_all

DATE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
PENDING, DONE, NO_EFFECT, DECLINED = Effect.PENDING, Effect.DONE, Effect.NO_EFFECT, Effect.DECLINED
TOKEN = v201.IdToken(id_token="T", type="Central")
START = v201.RequestStartTransaction(id_token=TOKEN, remote_start_id=5)
STOP = v201.RequestStopTransaction(transaction_id="t")
FIRMWARE = v201.Firmware(location="https://example.org/f", retrieve_date_time=DATE)
UPDATE = v201.UpdateFirmware(request_id=5, firmware=FIRMWARE)
PUBLISH = v201.PublishFirmware(request_id=5, location="https://example.org/f", checksum="0" * 32)
LOG = v201.GetLog(
    log=v201.LogParameters(remote_location="https://example.org"), log_type="SecurityLog", request_id=5
)


def expect(request):
    pair = pair_of(request)
    assert pair is not None
    return Expectation("ticket", pair, request)


def answered(request, status="Accepted", **more):
    """Return an expectation whose command was answered."""
    expectation = expect(request)
    expectation.answered(type(request).__action__.response(status=status, **more))
    return expectation


def show(expectation, message):
    expectation.message(type(message).__action__.name, message)
    return expectation.effect


def event(kind="Started", reason="RemoteStart", transaction_id="t", remote_start_id=None):
    return v201.TransactionEvent(
        event_type=kind,
        timestamp=DATE,
        trigger_reason=reason,
        seq_no=0,
        transaction_info=v201.TransactionInfo(transaction_id=transaction_id, remote_start_id=remote_start_id),
    )


def status(text, evse=1, connector=1):
    return v201.StatusNotification(
        timestamp=DATE, connector_status=text, evse_id=evse, connector_id=connector
    )


@pytest.mark.parametrize("kind", ["Started", "Updated", "Ended"])
def test_a_start_is_shown_by_any_event_with_its_number(kind):
    waiting = answered(START)
    assert show(waiting, event(kind, remote_start_id=6)) is PENDING
    assert show(waiting, event(kind)) is PENDING
    assert show(waiting, event(kind, remote_start_id=5)) is DONE


def test_a_start_of_a_transaction_that_runs_already_is_done_at_once():
    assert answered(START, transaction_id="t").effect is DONE
    assert answered(START, "Rejected", transaction_id="t").effect is DECLINED


@pytest.mark.parametrize(
    ("message", "effect"),
    [
        (event("Ended", "StopAuthorized"), DONE),
        (event("Updated", "RemoteStop"), DONE),
        (event("Updated", "MeterValuePeriodic"), PENDING),
        (event("Ended", "RemoteStop", "other"), PENDING),
    ],
)
def test_a_stop_is_shown_by_the_end_of_its_transaction_or_by_its_reason(message, effect):
    assert show(answered(STOP), message) is effect


def test_a_reset_is_shown_by_a_boot_and_that_of_one_evse_by_nothing():
    boot = v201.BootNotification(
        charging_station=v201.ChargingStation(model="M", vendor_name="V"), reason="RemoteReset"
    )
    for promise in ("Accepted", "Scheduled"):
        assert show(answered(v201.Reset(type="OnIdle"), promise), boot) is DONE
    assert pair_of(v201.Reset(type="OnIdle", evse_id=1)) is None


def test_a_scheduled_change_of_availability_is_shown_by_the_status_of_its_evse():
    down = v201.ChangeAvailability(evse=v201.EVSE(id=2), operational_status="Inoperative")
    assert answered(down).effect is DONE
    waiting = answered(down, "Scheduled")
    assert show(waiting, status("Unavailable", evse=1)) is PENDING
    assert show(waiting, status("Available", evse=2)) is PENDING  # some say so for a moment
    assert show(waiting, status("Unavailable", evse=2)) is DONE
    whole = answered(v201.ChangeAvailability(operational_status="Inoperative"), "Scheduled")
    assert show(whole, status("Unavailable", evse=3)) is DONE
    connector = v201.EVSE(id=2, connector_id=1)
    one = answered(v201.ChangeAvailability(evse=connector, operational_status="Operative"), "Scheduled")
    assert show(one, status("Available", evse=2, connector=2)) is PENDING
    assert show(one, status("Occupied", evse=2, connector=1)) is DONE


@pytest.mark.parametrize(
    ("request_", "kind", "done", "failed", "on_the_way"),
    [
        (UPDATE, v201.FirmwareStatusNotification, "Installed", "InvalidSignature", "Downloading"),
        (PUBLISH, v201.PublishFirmwareStatusNotification, "Published", "InvalidChecksum", "Downloaded"),
        (LOG, v201.LogStatusNotification, "Uploaded", "AcceptedCanceled", "Uploading"),
    ],
)
def test_progress_is_judged_by_the_number_of_the_command(request_, kind, done, failed, on_the_way):
    waiting = answered(request_)
    assert show(waiting, kind(status=done, request_id=4)) is PENDING
    assert show(waiting, kind(status=on_the_way, request_id=5)) is PENDING
    assert show(waiting, kind(status=done, request_id=5)) is DONE
    assert show(answered(request_), kind(status=failed, request_id=5)) is NO_EFFECT


REPORTS = [
    (
        v201.GetBaseReport(request_id=5, report_base="FullInventory"),
        lambda number, tbc: v201.NotifyReport(request_id=number, generated_at=DATE, seq_no=0, tbc=tbc),
        "EmptyResultSet",
    ),
    (
        v201.GetReport(request_id=5),
        lambda number, tbc: v201.NotifyReport(request_id=number, generated_at=DATE, seq_no=0, tbc=tbc),
        "EmptyResultSet",
    ),
    (
        v201.GetMonitoringReport(request_id=5),
        lambda number, tbc: v201.NotifyMonitoringReport(
            request_id=number, generated_at=DATE, seq_no=0, tbc=tbc
        ),
        "EmptyResultSet",
    ),
    (
        v201.GetDisplayMessages(request_id=5),
        lambda number, tbc: v201.NotifyDisplayMessages(request_id=number, tbc=tbc),
        "Unknown",
    ),
    (
        v201.GetChargingProfiles(request_id=5, charging_profile=v201.ChargingProfileCriterion()),
        lambda number, tbc: v201.ReportChargingProfiles(
            request_id=number, charging_limit_source="CSO", charging_profile=(), evse_id=1, tbc=tbc
        ),
        "NoProfiles",
    ),
    (
        v201.CustomerInformation(request_id=5, report=True, clear=False),
        lambda number, tbc: v201.NotifyCustomerInformation(
            data="", seq_no=0, generated_at=DATE, request_id=number, tbc=tbc
        ),
        "",
    ),
]


@pytest.mark.parametrize(("request_", "part", "nothing"), REPORTS)
def test_a_report_is_done_with_its_last_part(request_, part, nothing):
    waiting = answered(request_)
    for message in (part(4, tbc=None), part(5, tbc=True)):
        assert show(waiting, message) is PENDING
    assert show(waiting, part(5, tbc=None)) is DONE
    assert show(answered(request_), part(5, tbc=False)) is DONE
    if nothing:
        assert answered(request_, nothing).effect is DONE


def test_customer_information_that_is_only_cleared_has_no_report():
    assert pair_of(v201.CustomerInformation(request_id=5, report=False, clear=True)) is None


@pytest.mark.parametrize(
    "wanted", ["SignChargingStationCertificate", "SignV2GCertificate", "SignCombinedCertificate"]
)
def test_a_triggered_certificate_is_shown_by_its_request(wanted):
    waiting = answered(v201.TriggerMessage(requested_message=wanted))
    assert show(waiting, v201.SignCertificate(csr="C")) is DONE


def test_a_trigger_is_shown_by_the_message_of_its_place():
    place = v201.EVSE(id=2, connector_id=1)
    waiting = answered(v201.TriggerMessage(requested_message="StatusNotification", evse=place))
    assert show(waiting, status("Available", evse=1)) is PENDING
    assert show(waiting, status("Available", evse=2, connector=2)) is PENDING
    assert show(waiting, status("Available", evse=2)) is DONE
    of_transaction = answered(v201.TriggerMessage(requested_message="TransactionEvent", evse=place))
    assert show(of_transaction, event()) is DONE  # without an EVSE it may be any


def test_of_two_resets_one_boot_shows_the_first():
    first, second = answered(v201.Reset(type="Immediate")), answered(v201.Reset(type="Immediate"))
    boot = v201.BootNotification(
        charging_station=v201.ChargingStation(model="M", vendor_name="V"), reason="RemoteReset"
    )
    show_all((first, second), "BootNotification", boot)
    assert (first.effect, second.effect) == (DONE, PENDING)
