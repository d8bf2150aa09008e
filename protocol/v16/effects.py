"""Effects of the commands of OCPP 1.6: which message shows that a command was carried out, and its judges."""

from typing import Any

from ..effects import Effect, Pair, judge_status


def _always(_request: Any, _message: Any) -> Effect:
    return Effect.DONE


def _same_tag(request: Any, message: Any) -> Effect | None:
    if message.id_tag.lower() != request.id_tag.lower():
        return None
    if request.connector_id is not None and message.connector_id != request.connector_id:
        return None
    return Effect.DONE


def _same_transaction(request: Any, message: Any) -> Effect | None:
    return Effect.DONE if message.transaction_id == request.transaction_id else None


def _same_connector(request: Any, message: Any) -> Effect | None:
    wanted = getattr(request, "connector_id", None)
    if wanted is None or getattr(message, "connector_id", wanted) == wanted:
        return Effect.DONE
    return None


def _became(request: Any, message: Any) -> Effect | None:
    if request.connector_id not in (0, message.connector_id):
        return None
    unavailable = message.status == "Unavailable"
    return Effect.DONE if unavailable == (request.type == "Inoperative") else None


_FIRMWARE = judge_status(frozenset({"Installed"}), frozenset({"DownloadFailed", "InstallationFailed"}))
_SIGNED_FIRMWARE = judge_status(
    frozenset({"Installed"}),
    frozenset(
        {
            "DownloadFailed",
            "InstallationFailed",
            "InstallVerificationFailed",
            "InvalidSignature",
        }
    ),
)
_LOG = judge_status(
    frozenset({"Uploaded"}),
    frozenset({"BadMessage", "NotSupportedOperation", "PermissionDenied", "UploadFailure"}),
)

REMOTE_START = Pair({"StartTransaction": _same_tag}, each=True, dated=True)
REMOTE_STOP = Pair({"StopTransaction": _same_transaction}, each=True)
RESET = Pair({"BootNotification": _always}, each=True)
AVAILABILITY = Pair(
    {"StatusNotification": _became}, promises=frozenset({"Scheduled"}), at_once=frozenset({"Accepted"})
)
FIRMWARE_UPDATE = Pair({"FirmwareStatusNotification": _FIRMWARE}, promises=frozenset({""}))
SIGNED_FIRMWARE_UPDATE = Pair(
    {"SignedFirmwareStatusNotification": _SIGNED_FIRMWARE},
    promises=frozenset({"Accepted", "AcceptedCanceled"}),
)
DIAGNOSTICS = Pair(
    {"DiagnosticsStatusNotification": judge_status(frozenset({"Uploaded"}), frozenset({"UploadFailed"}))},
    promises=frozenset({""}),
    needs="file_name",  # OCPP 1.6, 5.9: there is none if there are no diagnostics
)
LOG = Pair({"LogStatusNotification": _LOG}, promises=frozenset({"Accepted", "AcceptedCanceled"}))

TRIGGERED = {
    "SignChargePointCertificate": ("SignCertificate",),
    "FirmwareStatusNotification": ("FirmwareStatusNotification", "SignedFirmwareStatusNotification"),
}
"""Messages that a trigger brings in place of the one it names, or beside it (security white paper, 5.5)."""


def triggers(request: Any) -> tuple[str, ...]:
    """List the actions that a trigger command may bring."""
    wanted = str(request.requested_message)
    return TRIGGERED.get(wanted, (wanted,))


def triggered(request: Any) -> Pair:
    """Pair a trigger command with the messages that it may bring."""
    return Pair(dict.fromkeys(triggers(request), _same_connector))
