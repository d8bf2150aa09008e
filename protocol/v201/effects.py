"""Effects of the commands of OCPP 2.0.1: which message shows that a command was carried out, and its judges.

The one rule: a message is matched by the number that the command gave it, wherever there is one.
"""

from typing import Any

from ..effects import Effect, Pair, judge_status

DONE = Effect.DONE
PROMISES = frozenset({"Accepted", "AcceptedCanceled"})
"""Answers to firmware updates and requests for logs that promise an effect."""
ENDED, REMOTE_STOP = "Ended", "RemoteStop"


def _always(_request: Any, _message: Any) -> Effect:
    return DONE


def _last_part(request: Any, message: Any) -> Effect | None:
    """Judge a part of a report: the last one has no `tbc`, or a false one."""
    return DONE if message.request_id == request.request_id and not message.tbc else None


def _same_start(request: Any, message: Any) -> Effect | None:
    # In the first event after the request, whatever its type: the cable may have been there before. OCPP 2.0.1, F02.
    return DONE if message.transaction_info.remote_start_id == request.remote_start_id else None


def _stopped(request: Any, message: Any) -> Effect | None:
    # With the cable still in, the transaction may go on without charging: TxStopPoint.
    if message.transaction_info.transaction_id != request.transaction_id:
        return None
    return DONE if message.event_type == ENDED or message.trigger_reason == REMOTE_STOP else None


def _place(message: Any) -> tuple[int | None, int | None]:
    evse = getattr(message, "evse", None)
    if evse is not None:
        return evse.id, evse.connector_id
    return getattr(message, "evse_id", None), getattr(message, "connector_id", None)


def _same_place(request: Any, message: Any) -> Effect | None:
    if request.evse is None:
        return DONE
    evse, connector = _place(message)
    if evse not in (None, request.evse.id):
        return None
    wanted = request.evse.connector_id
    return None if None not in (wanted, connector) and connector != wanted else DONE


def _became(request: Any, message: Any) -> Effect | None:
    if request.evse is not None and request.evse.id != 0 and _same_place(request, message) is None:
        return None
    unavailable = message.connector_status == "Unavailable"
    return DONE if unavailable == (request.operational_status == "Inoperative") else None


def _report(action: str, *at_once: str) -> Pair:
    return Pair({action: _last_part}, at_once=frozenset(at_once))


REPORT = _report("NotifyReport", "EmptyResultSet")
MONITORING_REPORT = _report("NotifyMonitoringReport", "EmptyResultSet")
DISPLAY_MESSAGES = _report("NotifyDisplayMessages", "Unknown")
CHARGING_PROFILES = _report("ReportChargingProfiles", "NoProfiles")
CUSTOMER_INFORMATION = _report("NotifyCustomerInformation")

REQUEST_START = Pair({"TransactionEvent": _same_start}, done_with="transaction_id")
REQUEST_STOP = Pair({"TransactionEvent": _stopped}, each=True)
RESET = Pair({"BootNotification": _always}, promises=frozenset({"Accepted", "Scheduled"}), each=True)
AVAILABILITY = Pair(
    {"StatusNotification": _became}, promises=frozenset({"Scheduled"}), at_once=frozenset({"Accepted"})
)
FIRMWARE_UPDATE = Pair(
    {
        "FirmwareStatusNotification": judge_status(
            frozenset({"Installed"}),
            frozenset(
                {"DownloadFailed", "InstallationFailed", "InstallVerificationFailed", "InvalidSignature"}
            ),
        )
    },
    promises=PROMISES,
)
PUBLISHING = Pair(
    {
        "PublishFirmwareStatusNotification": judge_status(
            frozenset({"Published"}), frozenset({"DownloadFailed", "InvalidChecksum", "PublishFailed"})
        )
    }
)
LOG = Pair(
    {
        "LogStatusNotification": judge_status(
            frozenset({"Uploaded"}),
            frozenset(
                {
                    "AcceptedCanceled",
                    "BadMessage",
                    "NotSupportedOperation",
                    "PermissionDenied",
                    "UploadFailure",
                }
            ),
        )
    },
    promises=PROMISES,
)

TRIGGERED = {
    "SignChargingStationCertificate": ("SignCertificate",),
    "SignV2GCertificate": ("SignCertificate",),
    "SignCombinedCertificate": ("SignCertificate",),
}
"""Messages that a trigger brings in place of the one it names."""


def triggers(request: Any) -> tuple[str, ...]:
    """List the actions that a trigger command may bring."""
    wanted = str(request.requested_message)
    return TRIGGERED.get(wanted, (wanted,))


def triggered(request: Any) -> Pair:
    """Pair a trigger command with the messages that it may bring."""
    return Pair(dict.fromkeys(triggers(request), _same_place))
