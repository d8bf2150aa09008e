"""Effects of commands, judged by the charge point's own messages alone."""

import datetime as dt

import pytest

from chargehand.protocol import v16
from chargehand.protocol.effects import Effect, Expectation, pair_of
from chargehand.protocol.effects import show as show_all

DATE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
PENDING, DONE, NO_EFFECT, DECLINED = Effect.PENDING, Effect.DONE, Effect.NO_EFFECT, Effect.DECLINED

FIRMWARE = v16.Firmware(
    location="https://example.com/f", retrieve_date_time=DATE, signing_certificate="MII", signature="c2ln"
)
LOG = v16.LogParameters(remote_location="ftp://example.com")


def expect(request, not_before=None):
    pair = pair_of(request)
    assert pair is not None
    return Expectation("ticket", pair, request, not_before)


def show(expectation, message):
    expectation.message(type(message).__action__.name, message)
    return expectation.effect


def accepted(request):
    """Return a response with status Accepted."""
    kind = type(request).__action__.response
    return kind(status="Accepted")


def start(id_tag="T1", connector_id=1):
    return v16.StartTransaction(connector_id=connector_id, id_tag=id_tag, meter_start=0, timestamp=DATE)


def stop(transaction_id):
    return v16.StopTransaction(transaction_id=transaction_id, meter_stop=1, timestamp=DATE)


def boot():
    return v16.BootNotification(charge_point_vendor="A", charge_point_model="B")


def status(connector_id, text):
    return v16.StatusNotification(
        connector_id=connector_id, error_code=v16.ChargePointErrorCode.NO_ERROR, status=text
    )


def meter(connector_id):
    value = v16.MeterValue(timestamp=DATE, sampled_value=(v16.SampledValue(value="1"),))
    return v16.MeterValues(connector_id=connector_id, meter_value=(value,))


def firmware(text):
    return v16.FirmwareStatusNotification(status=text)


def signed(text, request_id=None):
    return v16.SignedFirmwareStatusNotification(status=text, request_id=request_id)


def diagnostics(text):
    return v16.DiagnosticsStatusNotification(status=text)


def log(text, request_id=None):
    return v16.LogStatusNotification(status=text, request_id=request_id)


def trigger(message, connector_id=None):
    return v16.TriggerMessage(requested_message=message, connector_id=connector_id)


def extended(message, connector_id=None):
    return v16.ExtendedTriggerMessage(requested_message=message, connector_id=connector_id)


remote_start = v16.RemoteStartTransaction(id_tag="T1")
remote_start_at_2 = v16.RemoteStartTransaction(id_tag="T1", connector_id=2)
remote_stop = v16.RemoteStopTransaction(transaction_id=7)
reset = v16.Reset(type="Soft")
inoperative = v16.ChangeAvailability(connector_id=1, type="Inoperative")
operative = v16.ChangeAvailability(connector_id=1, type="Operative")
all_inoperative = v16.ChangeAvailability(connector_id=0, type="Inoperative")
update = v16.UpdateFirmware(location="https://example.com/f", retrieve_date=DATE)
signed_update = v16.SignedUpdateFirmware(request_id=5, firmware=FIRMWARE)
get_diagnostics = v16.GetDiagnostics(location="ftp://example.com")
get_log = v16.GetLog(log=LOG, log_type="SecurityLog", request_id=5)

# The call, its answer, a message, and what that shows.
SHOWN = [
    (remote_start, accepted, start("T1"), DONE),
    (remote_start, accepted, start("t1", 2), DONE),  # tags are compared without case
    (remote_start, accepted, start("T2"), PENDING),
    (remote_start_at_2, accepted, start("T1", 2), DONE),
    (remote_start_at_2, accepted, start("T1", 1), PENDING),
    (remote_start, accepted, boot(), PENDING),
    (remote_stop, accepted, stop(7), DONE),
    (remote_stop, accepted, stop(8), PENDING),
    (remote_stop, accepted, start("T1"), PENDING),
    (reset, accepted, boot(), DONE),
    (reset, accepted, v16.Heartbeat(), PENDING),
    (inoperative, v16.ChangeAvailabilityResponse(status="Scheduled"), status(1, "Unavailable"), DONE),
    (inoperative, v16.ChangeAvailabilityResponse(status="Scheduled"), status(1, "Finishing"), PENDING),
    (inoperative, v16.ChangeAvailabilityResponse(status="Scheduled"), status(2, "Unavailable"), PENDING),
    (operative, v16.ChangeAvailabilityResponse(status="Scheduled"), status(1, "Available"), DONE),
    (operative, v16.ChangeAvailabilityResponse(status="Scheduled"), status(1, "Unavailable"), PENDING),
    (all_inoperative, v16.ChangeAvailabilityResponse(status="Scheduled"), status(2, "Unavailable"), DONE),
    (update, v16.UpdateFirmwareResponse(), firmware("Installed"), DONE),
    (update, v16.UpdateFirmwareResponse(), firmware("Installing"), PENDING),
    (update, v16.UpdateFirmwareResponse(), firmware("DownloadFailed"), NO_EFFECT),
    (update, v16.UpdateFirmwareResponse(), firmware("InstallationFailed"), NO_EFFECT),
    (signed_update, accepted, signed("Installed"), DONE),
    (signed_update, accepted, signed("Installed", 5), DONE),
    (signed_update, accepted, signed("Installed", 4), PENDING),  # of the update before
    (signed_update, accepted, signed("DownloadFailed", 4), PENDING),
    (
        signed_update,
        v16.SignedUpdateFirmwareResponse(status="AcceptedCanceled"),
        signed("Installed", 5),
        DONE,
    ),
    (signed_update, accepted, signed("InstallRebooting", 5), PENDING),
    (signed_update, accepted, signed("InvalidSignature", 5), NO_EFFECT),
    (signed_update, accepted, signed("InstallVerificationFailed", 5), NO_EFFECT),
    (signed_update, accepted, signed("DownloadFailed", 5), NO_EFFECT),
    (signed_update, accepted, signed("InstallationFailed", 5), NO_EFFECT),
    (signed_update, accepted, firmware("Installed"), PENDING),
    (get_diagnostics, v16.GetDiagnosticsResponse(file_name="d.zip"), diagnostics("Uploaded"), DONE),
    (get_diagnostics, v16.GetDiagnosticsResponse(file_name="d.zip"), diagnostics("Uploading"), PENDING),
    (get_diagnostics, v16.GetDiagnosticsResponse(file_name="d.zip"), diagnostics("UploadFailed"), NO_EFFECT),
    (get_log, accepted, log("Uploaded", 5), DONE),
    (get_log, accepted, log("Uploaded", 6), PENDING),
    (get_log, v16.GetLogResponse(status="AcceptedCanceled"), log("Uploaded", 5), DONE),
    (get_log, accepted, log("Uploading", 5), PENDING),
    (get_log, accepted, log("UploadFailure", 5), NO_EFFECT),
    (get_log, accepted, log("PermissionDenied", 5), NO_EFFECT),
    (get_log, accepted, log("BadMessage", 5), NO_EFFECT),
    (get_log, accepted, log("NotSupportedOperation"), NO_EFFECT),
    (trigger("Heartbeat"), accepted, v16.Heartbeat(), DONE),
    (trigger("Heartbeat"), accepted, boot(), PENDING),
    (trigger("BootNotification"), accepted, boot(), DONE),
    (trigger("MeterValues", 1), accepted, meter(1), DONE),
    (trigger("MeterValues", 1), accepted, meter(2), PENDING),
    (trigger("MeterValues"), accepted, meter(2), DONE),
    (trigger("StatusNotification", 2), accepted, status(2, "Available"), DONE),
    (trigger("StatusNotification", 2), accepted, status(1, "Available"), PENDING),
    (trigger("DiagnosticsStatusNotification"), accepted, diagnostics("Idle"), DONE),
    (trigger("FirmwareStatusNotification"), accepted, firmware("Idle"), DONE),
    (extended("FirmwareStatusNotification"), accepted, signed("Idle"), DONE),
    (extended("FirmwareStatusNotification"), accepted, firmware("Idle"), DONE),
    (extended("LogStatusNotification"), accepted, log("Idle"), DONE),
    (extended("SignChargePointCertificate"), accepted, v16.SignCertificate(csr="MII"), DONE),
    (extended("SignChargePointCertificate"), accepted, log("Idle"), PENDING),
]


def label(row):
    request, _, message, effect = row
    return f"{type(request).__action__.name}-{type(message).__action__.name}-{effect}"


@pytest.mark.parametrize("answer_first", [True, False], ids=["answer first", "message first"])
@pytest.mark.parametrize(("request_", "answer", "message", "effect"), SHOWN, ids=map(label, SHOWN))
def test_a_promise_is_judged_by_the_message_whichever_comes_first(
    request_, answer, message, effect, answer_first
):
    expectation = expect(request_)
    response = answer(request_) if callable(answer) else answer
    if answer_first:
        assert expectation.answered(response) is PENDING
        assert show(expectation, message) is effect
    else:
        assert show(expectation, message) is PENDING  # nothing has been promised yet
        assert expectation.answered(response) is effect


@pytest.mark.parametrize(
    ("request_", "response"),
    [
        (remote_start, v16.RemoteStartTransactionResponse(status="Rejected")),
        (remote_stop, v16.RemoteStopTransactionResponse(status="Rejected")),
        (reset, v16.ResetResponse(status="Rejected")),
        (inoperative, v16.ChangeAvailabilityResponse(status="Rejected")),
        (signed_update, v16.SignedUpdateFirmwareResponse(status="InvalidCertificate")),
        (get_diagnostics, v16.GetDiagnosticsResponse()),  # no file: there are no diagnostics
        (get_log, v16.GetLogResponse(status="Rejected")),
        (trigger("Heartbeat"), v16.TriggerMessageResponse(status="NotImplemented")),
        (extended("Heartbeat"), v16.ExtendedTriggerMessageResponse(status="Rejected")),
        (remote_start, None),  # an answer that breaks its contract
    ],
)
def test_an_answer_that_promises_nothing_is_a_refusal_whatever_comes(request_, response):
    expectation = expect(request_)
    assert expectation.answered(response) is DECLINED
    assert show(expectation, start("T1")) is DECLINED
    assert show(expectation, boot()) is DECLINED


def test_a_change_of_availability_that_was_accepted_has_taken_effect():
    assert expect(inoperative).answered(v16.ChangeAvailabilityResponse(status="Accepted")) is DONE


def test_the_first_message_that_shows_it_counts():
    expectation = expect(update)
    expectation.answered(v16.UpdateFirmwareResponse())
    assert show(expectation, firmware("DownloadFailed")) is NO_EFFECT
    assert show(expectation, firmware("Installed")) is NO_EFFECT


def test_a_transaction_message_that_could_not_be_read_shows_nothing():
    expectation = expect(remote_start)
    expectation.answered(accepted(remote_start))
    assert expectation.message("StartTransaction", None) is False
    assert expectation.effect is PENDING


@pytest.mark.parametrize("first", ["the message", "the end of the wait for an answer"])
def test_what_was_never_answered_is_judged_by_the_message_alone(first):
    expectation = expect(reset)
    if first == "the message":
        assert show(expectation, boot()) is PENDING
        assert expectation.unanswered() is DONE
    else:
        assert expectation.unanswered() is PENDING
        assert show(expectation, boot()) is DONE


def test_a_failure_that_is_seen_without_an_answer_is_one():
    expectation = expect(update)
    expectation.unanswered()
    assert show(expectation, firmware("InstallationFailed")) is NO_EFFECT


def test_a_late_answer_may_still_decline_but_not_against_what_was_seen():
    late, seen = expect(reset), expect(reset)
    late.unanswered()
    assert late.answered(v16.ResetResponse(status="Rejected")) is DECLINED
    seen.unanswered()
    show(seen, boot())
    assert seen.answered(v16.ResetResponse(status="Rejected")) is DONE
    assert seen.refused() is DONE


def test_a_call_error_declines():
    expectation = expect(reset)
    assert expectation.refused() is DECLINED
    assert show(expectation, boot()) is DECLINED


# Several that wait


PROMISED, GIVEN_UP, OPEN = "promised", "given up", "open"


def several(request, *answers):
    """Make expectations, oldest first: accepted, given up without an answer, or not answered yet."""
    waiting = []
    for answer in answers:
        expectation = expect(request)
        if answer is PROMISED:
            expectation.answered(accepted(request))
        elif answer is GIVEN_UP:
            expectation.unanswered()
        waiting.append(expectation)
    return waiting


@pytest.mark.parametrize(
    ("request_", "message"),
    [(remote_start, start("T1")), (remote_stop, stop(7)), (reset, boot())],
    ids=["start", "stop", "boot"],
)
def test_one_message_is_the_effect_of_the_oldest_call_only(request_, message):
    waiting = several(request_, PROMISED, PROMISED, PROMISED)
    for done in (1, 2, 3):
        show_all(waiting, type(message).__action__.name, message)
        assert [one.effect for one in waiting] == [DONE] * done + [PENDING] * (3 - done)


def test_a_call_that_was_promised_goes_before_one_that_was_never_answered():
    waiting = several(remote_start, GIVEN_UP, PROMISED)
    show_all(waiting, "StartTransaction", start("T1"))
    assert [one.effect for one in waiting] == [PENDING, DONE]
    show_all(waiting, "StartTransaction", start("T1"))
    assert [one.effect for one in waiting] == [DONE, DONE]


def test_a_message_that_is_held_for_an_answer_is_no_other_call_s():
    waiting = several(remote_start, OPEN, PROMISED)
    show_all(waiting, "StartTransaction", start("T1"))
    show_all(waiting, "StartTransaction", start("T1"))
    assert [one.effect for one in waiting] == [PENDING, DONE]
    assert waiting[0].answered(accepted(remote_start)) is DONE


def test_the_oldest_call_that_the_message_matches_has_it():
    waiting = [*several(remote_start_at_2, PROMISED), *several(remote_start, PROMISED)]
    show_all(waiting, "StartTransaction", start("T1", 1))
    assert [one.effect for one in waiting] == [PENDING, DONE]


def test_a_message_that_was_asked_for_and_a_boot_of_a_reset_may_be_the_same():
    waiting = [*several(trigger("BootNotification"), PROMISED, PROMISED), *several(reset, PROMISED, PROMISED)]
    show_all(waiting, "BootNotification", boot())
    assert [one.effect for one in waiting] == [DONE, DONE, DONE, PENDING]


@pytest.mark.parametrize("days", [-30_000, -1, 0, 1, 30_000])
def test_a_start_is_the_effect_of_its_command_whatever_its_clock_says(days):
    expectation = expect(remote_start, DATE + dt.timedelta(days=days))
    expectation.answered(accepted(remote_start))
    assert show(expectation, start("T1")) is DONE


@pytest.mark.parametrize(("seconds", "first"), [(0, PENDING), (1, DONE)])
def test_a_start_is_rather_of_the_command_that_it_is_not_older_than(seconds, first):
    """The first was never answered: if both were as old, the second would match first."""
    waiting = [expect(remote_start, DATE), expect(remote_start, DATE + dt.timedelta(seconds=seconds))]
    waiting[0].unanswered()
    waiting[1].answered(accepted(remote_start))
    show_all(waiting, "StartTransaction", start("T1"))
    assert [one.effect for one in waiting] == [first, PENDING if first is DONE else DONE]


def test_a_message_received_before_the_command_went_out_shows_nothing():
    expectation = Expectation("ticket", pair_of(remote_start), remote_start, None, 5.0)
    expectation.answered(accepted(remote_start))
    show_all([expectation], "StartTransaction", start("T1"), 4.9)
    assert expectation.effect is PENDING
    show_all([expectation], "StartTransaction", start("T1"), 5.0)
    assert expectation.effect is DONE


def test_a_stop_is_known_by_its_transaction_whenever_it_was():
    expectation = expect(remote_stop, DATE + dt.timedelta(days=1))
    expectation.answered(accepted(remote_stop))
    assert show(expectation, stop(7)) is DONE


def test_these_commands_and_no_others_have_an_effect():
    assert {row.name for row in v16.VERSION.actions.values() if row.effect is not None} == {
        "ChangeAvailability",
        "ExtendedTriggerMessage",
        "GetDiagnostics",
        "GetLog",
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "Reset",
        "SignedUpdateFirmware",
        "TriggerMessage",
        "UpdateFirmware",
    }


def test_a_command_without_an_effect_has_no_pair():
    assert pair_of(v16.ClearCache()) is None


@pytest.mark.parametrize("message", list(v16.MessageTrigger))
def test_every_message_that_can_be_asked_for_is_an_action(message):
    assert set(pair_of(trigger(message)).shown_by) <= set(v16.VERSION.actions)


@pytest.mark.parametrize("message", list(v16.ExtendedMessageTrigger))
def test_and_of_the_security_extension_too(message):
    assert set(pair_of(extended(message)).shown_by) <= set(v16.VERSION.actions)
