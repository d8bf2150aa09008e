"""Records of the store: structs of plain values, which the garbage collector need not visit.

Times are aware datetimes in UTC; a charge point's own times stand beside those of receipt.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, NamedTuple

import msgspec


class Tag(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An id tag. `status` is the answer to Authorize; an Accepted tag past its `expiry` is Expired."""

    id_tag: str
    status: str = "Accepted"
    expiry: datetime | None = None
    parent: str = ""


class Reservation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A ReserveNow that a charge point accepted (OCPP 1.6, 5.13). `id` is unique per charge point.

    `state` is "active", "uncertain" (sent, and it is not known what became of it), "used" (by the start of
    `transaction_id`) or "cancelled"; see `state_at` for one whose `expiry` is past. Connector 0 is any connector.
    """

    id: int
    charge_point_id: str
    connector_id: int
    id_tag: str
    expiry: datetime
    accepted_at: datetime
    parent: str = ""
    state: str = "active"
    transaction_id: int | None = None

    def state_at(self, now: datetime) -> str:
        """Its state, which is "expired" when nothing has come of it by its expiry."""
        return "expired" if self.state in ("active", "uncertain") and self.expiry <= now else self.state


class ChargingProfile(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A SetChargingProfile that a charge point accepted (OCPP 1.6, 5.16); `data` is its csChargingProfiles as sent.

    One with an `id_tag` came with a RemoteStartTransaction (5.11), and waits for that tag's transaction; connector 0
    is any connector then.
    """

    id: int
    charge_point_id: str
    connector_id: int
    stack_level: int
    purpose: str
    accepted_at: datetime
    transaction_id: int | None = None
    id_tag: str = ""
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class LocalList(msgspec.Struct, frozen=True, kw_only=True):
    """The local authorisation list of a charge point, as the SendLocalLists that it accepted made it (OCPP 1.6, 5.15).

    `tags` is id tag (as sent) to its idTagInfo, `version` theirs: 0 for an empty list, -1 where lists are not
    supported. `certain` is false when a list was sent and it is not known what became of it, or the charge point said
    another version: then only a full list helps. `last_sent` is the highest version that it may ever have seen; the
    next one is higher.
    """

    charge_point_id: str
    version: int
    changed_at: datetime
    tags: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    certain: bool = True
    last_sent: int = 0


class Credential(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Hash of a charge point's key, never the key. `scheme` is "blake2" or "scrypt".

    `next` is a key that it was sent and may have taken: it takes the place of this one when it is used.
    """

    charge_point_id: str
    scheme: str
    salt: bytes
    digest: bytes
    changed_at: datetime
    next: Credential | None = None


class TicketRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An active call that has not ended, for the process that comes after this one. Times are seconds since 1970.

    `state` is "queued", or "sent" from just before it goes on the wire; `payload` is the request as JSON; `expires_at`
    is when it must be sent by; `node` is the process that has it. The others are those of `CentralSystem.send`.
    """

    id: str
    charge_point_id: str
    version: str
    action: str
    payload: str
    state: str
    created_at: float
    expires_at: float | None = None
    timeout_s: float = 60.0
    when_offline: str = "fail"
    effect_timeout_s: float | None = None
    node: str = ""


class Transaction(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Charging transaction, open until its StopTransaction arrives; nothing else closes it.

    `started_at` and `stopped_at` are the charge point's clock, `start_received_at` and `stop_received_at` ours. Meter
    readings are in Wh. `verdict` is what its StartTransaction was answered, `flags` what is doubtful about it.
    """

    ORPHAN: ClassVar[str] = "orphan: "
    """So begins the flag of an open transaction that cannot be going on."""

    id: int
    charge_point_id: str
    connector_id: int
    id_tag: str
    meter_start: int
    started_at: datetime
    start_received_at: datetime
    verdict: str = "Accepted"
    reservation_id: int | None = None
    meter_stop: int | None = None
    stopped_at: datetime | None = None
    stop_received_at: datetime | None = None
    stop_reason: str = ""
    stop_id_tag: str = ""
    flags: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        """True until its StopTransaction arrives."""
        return self.stop_received_at is None

    @property
    def orphaned(self) -> bool:
        """True if the transaction is open and cannot be going on."""
        return any(flag.startswith(self.ORPHAN) for flag in self.flags)


class TransactionFilter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Conditions on transactions; those that are empty do not count.

    `since` (inclusive) and `until` (exclusive) are for our own time of receipt of the start; id tags are compared
    without case.
    """

    charge_point_id: str = ""
    id_tag: str = ""
    open_only: bool = False
    flagged_only: bool = False
    orphans_only: bool = False
    since: datetime | None = None
    until: datetime | None = None

    def matches(self, transaction: Transaction) -> bool:
        """Return whether a transaction fulfils every condition."""
        received_at = transaction.start_received_at
        return (
            (not self.charge_point_id or transaction.charge_point_id == self.charge_point_id)
            and (not self.id_tag or transaction.id_tag.lower() == self.id_tag.lower())
            and (not self.open_only or transaction.open)
            and (not self.flagged_only or bool(transaction.flags))
            and (not self.orphans_only or transaction.orphaned)
            and (self.since is None or received_at >= self.since)
            and (self.until is None or received_at < self.until)
        )


EVERYTHING = TransactionFilter()
"""Filter that every transaction passes."""


class MeterReading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """MeterValues message, or the transaction data of a StopTransaction; `values` is its JSON as received."""

    charge_point_id: str
    connector_id: int
    transaction_id: int | None
    received_at: datetime
    values: bytes


class Spooled(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Transaction message that a fallback acknowledged, waiting for its plugin; `version` is its version of OCPP."""

    number: int
    charge_point_id: str
    action: str
    unique_id: str
    payload: bytes
    transaction_id: int | None
    received_at: datetime
    why: str
    version: str


class StoredRegistration(NamedTuple):
    """Registration of a charge point: status of its last BootNotification, version of OCPP ("" if unknown)."""

    status: str
    version: str


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Something a charge point told us that is kept as it is: a status, a firmware step, a security event."""

    charge_point_id: str
    kind: str
    received_at: datetime
    data: dict[str, Any] = msgspec.field(default_factory=dict)


FLAG_CODES = (
    ("orphan: ", "orphaned"),
    ("its id tag was ", "id_tag_not_accepted"),
    ("reservation ", "reservation_doubtful"),
    ("the meter ran backwards", "meter_backwards"),
    ("it stopped before it started", "stopped_before_start"),
    ("it was stopped with ", "stopped_by_other_tag"),
    ("stored escaped", "stored_escaped"),
)
"""Beginnings of flags of transactions, each with its stable code."""

FLAG_ENDS = (
    ("Wh are more than can be", "energy_suspect"),
    (" was acknowledged by a fallback", "redelivered"),
    # As 0.1.0 wrote it.
    (" was acknowledged by a stand-in", "redelivered"),
)
"""Ends of flags of transactions, each with its stable code."""


def flag_code(text: str) -> str:
    """Return the stable code of a transaction's flag; "other" for deviations and for flags of other plugins."""
    for end, code in FLAG_ENDS:
        if text.endswith(end):
            return code
    return next((code for start, code in FLAG_CODES if text.startswith(start)), "other")
