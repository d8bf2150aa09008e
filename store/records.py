"""Records of the store: structs of plain values, which the garbage collector need not visit.

Times are aware datetimes in UTC; a charge point's own times stand beside those of receipt.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import msgspec


class Tag(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An id tag. `status` is the answer to Authorize; an Accepted tag past its `expiry` is Expired.

    `parent` is its parent id tag, or the group of its token. `id_type` is the type of the token ("" for any): the same
    text under two types may be two tags. `language` is that of the driver, `message` a text to be shown to the driver.
    Types, languages and messages are of OCPP 2.0.1 (IdTokenType, IdTokenInfoType); OCPP 1.6 has none.
    """

    id_tag: str
    status: str = "Accepted"
    expiry: datetime | None = None
    parent: str = ""
    id_type: str = ""
    language: str = ""
    message: str = ""


class Reservation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A ReserveNow that a charge point accepted (OCPP 1.6, 5.13). `id` is unique per charge point.

    `state` is "active", "uncertain" (sent, and its outcome is unknown), "used" (by the start of
    `transaction_id`) or "cancelled"; see `state_at` for one whose `expiry` is past. Connector 0 is any connector. In
    OCPP 2.0.1 (H01) the connector is the EVSE, `id_type` the type of the token, and `connector_type` that of the
    connector, at any EVSE, if one is asked for.
    """

    id: int
    charge_point_id: str
    connector_id: int
    id_tag: str
    expiry: datetime
    accepted_at: datetime
    parent: str = ""
    id_type: str = ""
    connector_type: str = ""
    state: str = "active"
    transaction_id: int | None = None

    @property
    def reservation_id(self) -> int:
        """Number of the reservation, under the name that it has in messages, events, HTTP and the command line."""
        return self.id

    def state_at(self, now: datetime) -> str:
        """Return its state: "expired" for one that was not used by its expiry."""
        return "expired" if self.state in ("active", "uncertain") and self.expiry <= now else self.state


class ChargingProfile(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A SetChargingProfile that a charge point accepted (OCPP 1.6, 5.16); `data` is its csChargingProfiles as sent.

    One with an `id_tag` came with a RemoteStartTransaction (5.11), and waits for that tag's transaction; connector 0
    is any connector then. In OCPP 2.0.1 (K01) the connector is the EVSE, and `data` the chargingProfile; one with a
    `source` (EMS, SO, Other) was reported, and is somebody else's.
    """

    id: int
    charge_point_id: str
    connector_id: int
    stack_level: int
    purpose: str
    accepted_at: datetime
    transaction_id: int | None = None
    id_tag: str = ""
    source: str = ""
    data: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def charging_profile_id(self) -> int:
        """Number of the profile, under the name that it has in messages, HTTP and the command line."""
        return self.id

    @property
    def profile(self) -> dict[str, Any]:
        """Profile as sent, under the name that it has over HTTP and on the command line."""
        return self.data


class Monitor(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Monitor of a variable, as its station has accepted or reported it (2.0.1, N); the station gave it its number.

    `variable` names it as `1/1/Connector.Temperature`, `kind` and `severity` are OCPP's. `ours` is true for one that
    was set from here. `accepted_at` is when it was accepted or last reported.
    """

    monitor_id: int
    charge_point_id: str
    variable: str
    kind: str
    value: float
    severity: int
    accepted_at: datetime
    transaction_only: bool = False
    ours: bool = False


class DisplayMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Message on the displays of a station, as it was accepted or reported (2.0.1, O); `data` is all of it.

    It ends with the transaction `transaction_id`, if it has one.
    """

    message_id: int
    charge_point_id: str
    text: str
    priority: str
    accepted_at: datetime
    state: str = ""
    transaction_id: int | None = None
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class NetworkProfile(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Way to a central system that a station has accepted in a slot (2.0.1, B09); `data` is without its secrets."""

    slot: int
    charge_point_id: str
    accepted_at: datetime
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class LocalList(msgspec.Struct, frozen=True, kw_only=True):
    """The local authorisation list of a charge point, as the SendLocalLists that it accepted made it (OCPP 1.6, 5.15).

    `tags` is id tag (as sent) to its idTagInfo, `version` their number: 0 for an empty list, -1 where lists are not
    supported. `ocpp` is the version of OCPP in which the list was sent; in 2.0.1 (D) `tags` is token and type, with a
    blank between them, to its idTokenInfo. `certain` is false when a list was sent and its outcome is unknown, or the
    charge point said another version: then only a full list helps. `last_sent` is the highest version that it may ever
    have seen; the next one is higher.
    """

    charge_point_id: str
    version: int
    changed_at: datetime
    tags: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    certain: bool = True
    last_sent: int = 0
    ocpp: str = "1.6"


class Credential(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Hash of a charge point's key, never the key. `scheme` is "blake2" or "scrypt".

    `next` is a key that it was sent and may have taken: it takes the place of this one when it is used. Behind that
    may be a newer one. A `staged` one was there before it was sent, and takes no other's place before it is used.
    """

    charge_point_id: str
    scheme: str
    salt: bytes
    digest: bytes
    changed_at: datetime
    next: Credential | None = None
    staged: bool = False


WAITING, APPROVED, REJECTED = "waiting", "approved", "rejected"
"""States of an applicant."""


class Applicant(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Charge point that nobody had entered and that wants to be served, where a person decides (`auth.unknown`).

    `state` is "waiting", "approved" or "rejected"; the last two say who decided, and when.
    """

    charge_point_id: str
    first_seen_at: datetime
    last_seen_at: datetime
    peer: str = ""
    state: str = WAITING
    decided_by: str = ""
    decided_at: datetime | None = None


class ApiToken(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Hash of a token of the HTTP API, never the token. `scope` is "read", "command" or "admin"."""

    name: str
    scope: str
    digest: bytes
    created_at: datetime
    created_by: str = ""
    expires_at: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Return whether its expiry is past."""
        return self.expires_at is not None and self.expires_at <= now


class PageLogin(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Login at the operator's page with the API token named `token`: `digest` is the hash of its id, never the id.

    `proof` is a hash of the token that has the id as its key: a token of the same name that is made later is another.
    """

    digest: str
    token: str
    proof: bytes
    created_at: datetime
    expires_at: datetime


class StoreSize(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Size of a store at one time: rows and bytes by kind of record, as its database says them."""

    at: datetime
    size_bytes: int
    """Bytes of all records and indexes."""
    unused_bytes: int = 0
    """Bytes of the file that come before it grows."""
    rows: dict[str, int] = {}
    kinds: dict[str, int] = {}
    """Bytes by kind, indexes included; empty if the database does not tell."""
    took_s: float = 0.0
    """Seconds that it took to find out."""


class LogLevel(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Lowest level of log lines about a charge point until a time, in every process; None for no end."""

    charge_point_id: str
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
    until: datetime | None = None
    by: str = ""

    def is_over(self, now: datetime) -> bool:
        """Return whether its time has passed."""
        return self.until is not None and self.until <= now


class SecurityProfile(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Least security profile of a charge point, and what it has accepted of others (0 to 3, as OCPP numbers them).

    `next` is a higher one that it has accepted, or may have: it becomes the least with the first connection on it. In
    OCPP 2.0.1 `slots` are the profiles of its network configurations, `priority` the order in which it tries them.
    """

    charge_point_id: str
    changed_at: datetime
    least: int = 0
    next: int | None = None
    slots: dict[int, int] = msgspec.field(default_factory=dict)
    priority: tuple[int, ...] = ()

    def accepted(self, profile: int, at: datetime) -> SecurityProfile:
        """Return the record after a profile was accepted, or may have been; one that is not higher changes nothing."""
        if profile <= self.least or profile == self.next:
            return self
        return msgspec.structs.replace(self, next=profile, changed_at=at)

    def network_changed(
        self, at: datetime, slots: Mapping[int, int] | None = None, priority: tuple[int, ...] = ()
    ) -> SecurityProfile:
        """Return the record after network configurations, or their order, were accepted. OCPP 2.0.1, B09 and B10."""
        known = msgspec.structs.replace(
            self, slots=self.slots | dict(slots or {}), priority=priority or self.priority
        )
        return known if known.tried is None else known.accepted(known.tried, at)

    @property
    def tried(self) -> int | None:
        """Profile of the network configuration that a station tries first; None if that is not known."""
        return next((self.slots[slot] for slot in self.priority if slot in self.slots), None)


class TicketRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Command that has not ended, for the next process. Times are seconds since 1970.

    `state` is "queued", or "sent" from just before it goes on the wire; `payload` is the request as JSON; `expires_at`
    is when it must be sent by; `node` is the process that has it; `verb` is the JSON of the verb that it was made from,
    "" for a request. The others are those of `CentralSystem.send`.
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
    verb: str = ""


class InstalledCertificate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A certificate that a charge point has installed, named by hashes of its issuer and its serial number.

    `use` is "central_system", "manufacturer", "v2g", "mobility_operator" or "v2g_chain". `certain` is false while the
    outcome of installing or deleting it is unknown. `issuer_key_hash` is empty where only its charge point knows it.
    """

    charge_point_id: str
    use: str
    serial_number: str
    issuer_name_hash: str
    issuer_key_hash: str
    noted_at: datetime
    hash_algorithm: str = "SHA256"
    certain: bool = True


class IssuedCertificate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A certificate that the authority has signed for a charge point; `serial_number` is in hexadecimal digits.

    `state` is "issued" (on its way), "installed", "refused" (by its charge point), "uncertain" (its answer was lost),
    "not_delivered", "replaced" (by a newer one that was installed) or "revoked"; see `state_at` for one that has run
    out. `issuer` is the serial number of the certificate that signed it; `reason` and `changed_by` tell of its last
    change.
    """

    serial_number: str
    charge_point_id: str
    common_name: str
    subject: str
    not_before: datetime
    not_after: datetime
    issued_at: datetime
    issuer: str = ""
    use: str = "charging_station"
    fingerprint: str = ""
    state: str = "issued"
    changed_at: datetime | None = None
    changed_by: str = ""
    reason: str = ""

    def state_at(self, now: datetime) -> str:
        """Return its state: "expired" for one that has run out without being revoked."""
        return "expired" if self.state != "revoked" and self.not_after <= now else self.state


class StopFigures(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """End of a transaction as a StopTransaction told it that does not count: one that differs, or came too late."""

    received_at: datetime
    meter_stop: int | None
    stopped_at: datetime | None = None
    reason: str = ""
    id_tag: str = ""

    @property
    def stop_received_at(self) -> datetime:
        """Time of receipt, under the name that it has in a `Transaction`, over HTTP and on the command line."""
        return self.received_at

    @property
    def stop_reason(self) -> str:
        """Reason, under the name that it has in a `Transaction`, over HTTP and on the command line."""
        return self.reason

    @property
    def stop_id_tag(self) -> str:
        """Id tag, under the name that it has in a `Transaction`, over HTTP and on the command line."""
        return self.id_tag


class CostPart(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Part of a cost: so many of a unit ("kWh", "h", "idle h" or "start"), at a price each."""

    unit: str
    quantity: Decimal
    price: Decimal
    amount: Decimal


class Cost(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Cost of a transaction, by the tariff of this name, as it was computed at a time; `by` is who asked for it again.

    `amount` is the sum of the parts, rounded to the digits of the currency.
    """

    amount: Decimal
    currency: str
    tariff: str
    at: datetime
    by: str = ""
    parts: tuple[CostPart, ...] = ()


class Transaction(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Charging transaction, open until its StopTransaction arrives or somebody closes it by hand.

    `started_at` and `stopped_at` are the charge point's clock, `start_received_at` and `stop_received_at` ours;
    `started_text` is the start's time as it was sent where it could not be read, and ours stands in. Meter readings are
    in Wh. `verdict` is what its StartTransaction was answered, `flags` what is doubtful about it. `closed_by` is who
    closed it by hand, with a `note`; empty for its charge point. `other_stops` are further stops that do not count.

    A station with EVSEs names its transactions itself: `remote_id` is its text, "" for a number of ours. `connector_id`
    is the number of its EVSE then, 0 while that is not known, as `evse_id` is None; `id_type` is the type of its token,
    `charging_state` is what it told last. It gives no meter values at start and stop: both are None, and readings tell
    the energy.

    `life_at` is the last sign of life behind a fact that made it orphaned; `over` and `over_at` are the reason and the
    time of the last such fact, derived when a store reads an open transaction, and never stored.

    With `assessed`, energy and `findings` are as derived from the figures and the readings; both are in Wh. `costs` are
    those that a plugin has computed; the last one counts. With `readings_deleted` the readings are gone or may go
    (`retention.readings_days`), and nothing is derived again. `idle_since` is when the last energy had come, None if
    the readings do not say, or if nobody has derived it (`idle_derived`).
    """

    id: int
    charge_point_id: str
    connector_id: int
    id_tag: str
    meter_start: int | None
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
    version: str = "1.6"
    started_text: str = ""
    remote_id: str = ""
    evse_id: int | None = None
    charging_state: str = ""
    id_type: str = ""
    other_stops: tuple[StopFigures, ...] = ()
    closed_by: str = ""
    note: str = ""
    life_at: datetime | None = None
    assessed: bool = False
    energy_wh: int | float | None = None
    energy_source: str = ""
    supported_energy_wh: int | float | None = None
    findings: tuple[str, ...] = ()
    over: str = ""
    over_at: datetime | None = None
    costs: tuple[Cost, ...] = ()
    readings_deleted: bool = False
    idle_since: datetime | None = None
    idle_derived: bool = False

    @property
    def cost(self) -> Cost | None:
        """Cost that counts; None if none was computed."""
        return self.costs[-1] if self.costs else None

    @property
    def transaction_id(self) -> int:
        """Number of the transaction, under the name that it has in messages, events, HTTP and the command line."""
        return self.id

    @property
    def open(self) -> bool:
        """True until it is closed, by its StopTransaction or by hand."""
        return self.stop_received_at is None

    @property
    def orphaned(self) -> bool:
        """True if the transaction is open and cannot be going on."""
        return self.stop_received_at is None and bool(self.over)

    @property
    def alive_at(self) -> datetime:
        """Time of its last sign of life that is stored: its start, or a later one after it seemed to be over."""
        life_at, received_at = self.life_at, self.start_received_at
        return received_at if life_at is None or life_at < received_at else life_at


NOT_ASSESSED: Mapping[str, Any] = {
    "assessed": False,
    "energy_wh": None,
    "energy_source": "",
    "supported_energy_wh": None,
    "findings": (),
    "idle_since": None,
    "idle_derived": False,
}
"""Fields of a transaction whose energy has not been derived, or has to be again."""


class OverFact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Reason why transactions that were open at `at` cannot be going on, unless they show a sign of life later.

    `connector_id` is None for all connectors of a charge point. `transaction_id` is the transaction whose start it was,
    which is not over by it.
    """

    charge_point_id: str
    connector_id: int | None
    at: datetime
    reason: str
    transaction_id: int | None = None

    def ends(self, transaction: Transaction) -> bool:
        """Return whether a transaction, open on its connector, has shown no sign of life since."""
        alive_at = transaction.alive_at
        return self.at > alive_at or (
            self.at == alive_at and self.transaction_id is not None and self.transaction_id != transaction.id
        )


class PluginFact(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Fact about a charge point that a plugin remembers, for its next instance in whichever process.

    `plugin` is the plugin's name; `name` tells facts about one charge point from one another.
    """

    plugin: str
    charge_point_id: str
    name: str = ""
    data: dict[str, Any] = msgspec.field(default_factory=dict)


class StatusQuery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """GetTransactionStatus that is due: its transaction has ended, and events before its end may be missing.

    `remote_id` is the station's own id of the transaction. OCPP 2.0.1, E14.
    """

    charge_point_id: str
    transaction_id: int
    remote_id: str


class Cursor(NamedTuple):
    """Place in a list in order of receipt: the time of receipt of the last record that was listed, and its number."""

    at: datetime
    number: int

    def __str__(self) -> str:
        return f"{self.at.isoformat()}_{self.number}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read a cursor from its text. Raises ValueError for anything else."""
        at, separator, number = text.rpartition("_")
        if not separator or not number.isascii() or not number.isdigit() or len(number) > CURSOR_DIGITS:
            raise ValueError(f"{text!r} is no place in a list")
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None:
            raise ValueError(f"{text!r} is no place in a list: its time has no offset")
        return cls(moment, int(number))


CURSOR_DIGITS = 18
"""Digits of the largest number in a cursor."""


class TransactionFilter(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Conditions on transactions; those that are empty do not count.

    `since` (inclusive) and `until` (exclusive) are for our own time of receipt of the start; id tags are compared
    without case. Orphaned transactions and those with findings are flagged, too; with `unassessed_too` a search for
    flagged ones finds those, too, of which the findings are not known.
    """

    charge_point_id: str = ""
    connector_id: int | None = None
    id_tag: str = ""
    open_only: bool = False
    flagged_only: bool = False
    unassessed_too: bool = False
    orphans_only: bool = False
    since: datetime | None = None
    until: datetime | None = None

    def matches(self, transaction: Transaction) -> bool:
        """Return whether a transaction, as a store has read it, fulfils every condition."""
        received_at = transaction.start_received_at
        return (
            (not self.charge_point_id or transaction.charge_point_id == self.charge_point_id)
            and (self.connector_id is None or transaction.connector_id == self.connector_id)
            and (not self.id_tag or transaction.id_tag.lower() == self.id_tag.lower())
            and (not self.open_only or transaction.open)
            and (
                not self.flagged_only
                or bool(transaction.flags)
                or bool(transaction.findings)
                or transaction.orphaned
                or (self.unassessed_too and not transaction.assessed)
            )
            and (not self.orphans_only or transaction.orphaned)
            and (self.since is None or received_at >= self.since)
            and (self.until is None or received_at < self.until)
        )


EVERYTHING = TransactionFilter()
"""Filter that every transaction passes."""


class MeterReading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """MeterValues message, or the StopTransaction whose transaction data it is; `values` is its payload as sent.

    Those that 0.1.0 stored have the array of meter values alone. `flags` are deviations, and what could not be used.
    `number` orders readings of one time, and is given by the store.
    """

    charge_point_id: str
    connector_id: int
    transaction_id: int | None
    received_at: datetime
    values: bytes
    version: str = "1.6"
    flags: tuple[str, ...] = ()
    number: int = 0
    identity: bytes = b""
    """Bytes by which the same message is known when it comes again, if they are not `values`."""

    @property
    def payload(self) -> bytes:
        """Payload of the message as sent, under the name that it has over HTTP and on the command line."""
        return self.values


UNKNOWN_TRANSACTION = "its transaction was not known"
"""Flag of meter values that named a number which was no transaction's when they came; it may be given out later."""


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


class Told(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Last message of one kind that a charge point sent: `item` is "boot", or "status/1" for connector 1.

    `payload` is that of the message as sent, `version` the name of its version of OCPP.
    """

    item: str
    version: str
    action: str
    payload: bytes
    received_at: datetime


class StoredRegistration(NamedTuple):
    """Registration of a charge point: status of its last BootNotification, version of OCPP ("" if unknown)."""

    status: str
    version: str


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Message of a charge point that is stored as it is: a status, a firmware step, a security event."""

    charge_point_id: str
    kind: str
    received_at: datetime
    data: dict[str, Any] = msgspec.field(default_factory=dict)


FLAG_CODES = (
    ("its id tag was ", "id_tag_not_accepted"),
    ("reservation ", "reservation_doubtful"),
    ("the meter ran backwards", "meter_backwards"),
    ("it stopped before it started", "stopped_before_start"),
    ("it was stopped with ", "stopped_by_other_tag"),
    ("its stop named transaction ", "stop_matched"),
    ("another stop came with other figures", "stop_differs"),
    ("a stop came after it was closed by hand", "stop_after_closing"),
    ("a dead letter was attached by hand", "attached_by_hand"),
    ("its start has not come", "start_missing"),
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


STOOD_IN = "; the time of receipt stands in"
"""Part of the flag of a transaction whose start or stop had no time that could be read."""


def flag_code(text: str) -> str:
    """Return the stable code of a transaction's flag; "other" for other deviations and for flags of other plugins."""
    if STOOD_IN in text:
        return "time_of_receipt"
    for end, code in FLAG_ENDS:
        if text.endswith(end):
            return code
    return next((code for start, code in FLAG_CODES if text.startswith(start)), "other")
