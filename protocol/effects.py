"""What an active call brings about later: a table of the pairs in OCPP 1.6.

"Accepted" is a promise. Whether the charge point kept it shows in a message of its own that comes later: a
StartTransaction after RemoteStartTransaction, a BootNotification after Reset. It may show too where no answer came.
Pure functions of messages; whoever waits knows the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence


class Effect(StrEnum):
    """What became of the promise."""

    PENDING = "pending"
    DONE = "done"
    NO_EFFECT = "no_effect"  # it failed, or none was seen while it was waited for
    DECLINED = "declined"  # the answer was not a promise, or a CALLERROR


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


def _status(done: frozenset[str], failed: frozenset[str]) -> Callable[[Any, Any], Effect | None]:
    def judge(request: Any, message: Any) -> Effect | None:
        wanted = getattr(request, "request_id", None)
        if wanted is not None and getattr(message, "request_id", None) not in (None, wanted):
            return None  # of the one before, that this one has put an end to
        if message.status in done:
            return Effect.DONE
        return Effect.NO_EFFECT if message.status in failed else None

    return judge


@dataclass(frozen=True, slots=True)
class Pair:
    """An active action and what shows its effect: messages by action, each with its judge.

    `promises` are the statuses that promise it ("" where the answer has none), `at_once` those that are the effect
    itself. Without the member `needs` an answer promises nothing. With `each` one message is the effect of one call
    only. With `dated` a message whose own timestamp is from before the call shows nothing: it was sent late.
    """

    shown_by: dict[str, Callable[[Any, Any], Effect | None]]
    promises: frozenset[str] = frozenset({"Accepted"})
    at_once: frozenset[str] = frozenset()
    needs: str = ""
    each: bool = False
    dated: bool = False


_FIRMWARE = _status(frozenset({"Installed"}), frozenset({"DownloadFailed", "InstallationFailed"}))
_SIGNED_FIRMWARE = _status(
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
_LOG = _status(
    frozenset({"Uploaded"}),
    frozenset({"BadMessage", "NotSupportedOperation", "PermissionDenied", "UploadFailure"}),
)

PAIRS: dict[str, Pair] = {
    "RemoteStartTransaction": Pair({"StartTransaction": _same_tag}, each=True, dated=True),
    "RemoteStopTransaction": Pair({"StopTransaction": _same_transaction}, each=True),
    "Reset": Pair({"BootNotification": _always}, each=True),
    "ChangeAvailability": Pair(
        {"StatusNotification": _became}, promises=frozenset({"Scheduled"}), at_once=frozenset({"Accepted"})
    ),
    "UpdateFirmware": Pair({"FirmwareStatusNotification": _FIRMWARE}, promises=frozenset({""})),
    "SignedUpdateFirmware": Pair(
        {"SignedFirmwareStatusNotification": _SIGNED_FIRMWARE},
        promises=frozenset({"Accepted", "AcceptedCanceled"}),
    ),
    "GetDiagnostics": Pair(
        {"DiagnosticsStatusNotification": _status(frozenset({"Uploaded"}), frozenset({"UploadFailed"}))},
        promises=frozenset({""}),
        needs="file_name",  # OCPP 1.6, 5.9: there is none if there are no diagnostics
    ),
    "GetLog": Pair({"LogStatusNotification": _LOG}, promises=frozenset({"Accepted", "AcceptedCanceled"})),
}


TRIGGERED = {
    "SignChargePointCertificate": ("SignCertificate",),
    "FirmwareStatusNotification": ("FirmwareStatusNotification", "SignedFirmwareStatusNotification"),
}
"""What a trigger message brings where that is not what it names, or not only."""


def pair_of(action: str, request: Any) -> Pair | None:
    """What shows the effect of a call; None if OCPP has nothing that does."""
    if action in ("TriggerMessage", "ExtendedTriggerMessage"):
        wanted = str(request.requested_message)
        return Pair(dict.fromkeys(TRIGGERED.get(wanted, (wanted,)), _same_connector))
    return PAIRS.get(action)


class Expectation:
    """One call whose effect is waited for. Messages may come before the answer does: both are told, in any order.

    `not_before` is what the timestamp of a message must not be older than where the pair is `dated`.
    """

    __slots__ = ("_judged", "_seen", "effect", "not_before", "owner", "pair", "promised", "request")

    def __init__(self, owner: Any, pair: Pair, request: Any, not_before: dt.datetime | None = None) -> None:
        self.owner = owner
        self.pair = pair
        self.request = request
        self.not_before = not_before
        self.effect = Effect.PENDING
        self.promised = False
        self._judged = False  # by what comes: there was a promise, or there will be no answer
        self._seen: Effect | None = None

    def answered(self, response: Any) -> Effect:
        """Take the answer to the call, in time or late."""
        status = str(getattr(response, "status", ""))
        if self.effect is not Effect.PENDING:
            pass  # what was seen is known better
        elif status in self.pair.at_once:
            self.effect = Effect.DONE
        elif status not in self.pair.promises or not self._has_what_it_needs(response):
            self.effect = Effect.DECLINED
        else:
            self.promised = True
            self.unanswered()
        return self.effect

    def refused(self) -> Effect:
        """The call was answered with a CALLERROR, in time or late."""
        if self.effect is Effect.PENDING:
            self.effect = Effect.DECLINED
        return self.effect

    def unanswered(self) -> Effect:
        """No answer is waited for any more. The charge point may have done it all the same: what comes will show."""
        self._judged = True
        if self._seen is not None and self.effect is Effect.PENDING:
            self.effect = self._seen
        return self.effect

    def _has_what_it_needs(self, response: Any) -> bool:
        return not self.pair.needs or getattr(response, self.pair.needs, None) is not None

    def message(self, action: str, message: Any) -> bool:
        """Take a message of the charge point's; true if it shows what became of the call."""
        judge = self.pair.shown_by.get(action)
        if judge is None or message is None or self._seen is not None or self.effect is not Effect.PENDING:
            return False
        if self.pair.dated and self.not_before is not None and message.timestamp < self.not_before:
            return False
        self._seen = judge(self.request, message)
        if self._seen is not None and self._judged:
            self.effect = self._seen
        return self._seen is not None


def show(expectations: Sequence[Expectation], action: str, message: Any) -> None:
    """Let the calls that wait, oldest first, see a message of the charge point's.

    Where one message is the effect of one call only, that is the oldest one that was promised, else the oldest.
    """
    taken = False
    for expectation in sorted(expectations, key=lambda one: not one.promised):
        if not (taken and expectation.pair.each):
            shown = expectation.message(action, message)
            taken = taken or (shown and expectation.pair.each)
