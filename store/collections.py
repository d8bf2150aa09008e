"""Keyed collections of records of one kind: whole in memory, and made durable by their store.

Tags, reservations, charging profiles, local lists, credentials, security profiles, applicants, tokens of the HTTP API,
logins at the page, levels of log lines, unfinished tickets, facts that ended transactions, questions about ended ones,
facts of plugins, monitors, messages of displays, network profiles, sizes of the store, and certificates, installed and
issued, are collections: few enough for every process, read by sessions without waiting, changed one at a time.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from .records import (
    ApiToken,
    Applicant,
    ChargingProfile,
    Credential,
    DisplayMessage,
    InstalledCertificate,
    IssuedCertificate,
    LocalList,
    LogLevel,
    Monitor,
    NetworkProfile,
    OverFact,
    PageLogin,
    PluginFact,
    Reservation,
    SecurityProfile,
    StatusQuery,
    StoreSize,
    Tag,
    TicketRecord,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..protocol.events import DomainEvent
    from .store import Receipt

R = TypeVar("R", bound=msgspec.Struct)

logger = logging.getLogger(__name__)

BETWEEN = "\x1f"
"""Character between text and type in the key of a tag."""


_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Collection(Generic[R]):
    """Records of one kind, for the hub's thread alone; no method blocks.

    `key_of` gives a record's key, unique in the collection; `persist(name, key, data)` makes one change durable, with
    data None for a removal, and with the durable event if one is given. A record's `charge_point_id`, where its kind
    has one, is indexed.
    """

    def __init__(
        self,
        name: str,
        kind: type[R],
        key_of: Callable[[R], str],
        persist: Callable[..., Receipt],
    ) -> None:
        self.name = name
        self._kind = kind
        self._key_of = key_of
        self._persist = persist
        self._records: dict[str, R] = {}
        self._indexed = "charge_point_id" in kind.__struct_fields__
        self.by_charge_point: dict[str, dict[str, None]] = {}
        """Keys of the records by charge point, where the kind has one; only this class changes it."""
        self._watchers: list[Callable[[R], object]] = []
        # By key: members of records that this program does not know, written by a newer one; kept at each change.
        self._unknown: dict[str, list[bytes]] = {}

    def watch(self, entered: Callable[[R], object]) -> Callable[[], None]:
        """Call `entered` with each record that is entered from now on, in place of another one or not.

        Return a function that ends it.
        """
        self._watchers.append(entered)
        return partial(self._watchers.remove, entered)

    def load(self, rows: Iterable[tuple[str, bytes | str]]) -> None:
        """Load persisted records, as (key, JSON). One that this program cannot read is left as it is, and logged."""
        decode, known = (
            msgspec.json.Decoder(self._kind).decode,
            frozenset(self._kind.__struct_encode_fields__),
        )
        for key, data in rows:
            try:
                record, members = decode(data), _members(data)
            except msgspec.DecodeError as error:
                logger.error("%s %s cannot be read, and is left as it is: %s", self.name, key, error)  # noqa: TRY400
                continue
            if len(members) > len(known) or not members.keys() <= known:
                self._unknown[key] = [
                    msgspec.json.encode(name) + b":" + bytes(value)
                    for name, value in members.items()
                    if name not in known
                ]
            elif self._unknown:
                self._unknown.pop(key, None)
            self._enter(key, record)

    def key_of(self, data: bytes | str) -> str:
        """Return the key of a persisted record (JSON). Raises ValueError for JSON of anything else."""
        return self._key_of(msgspec.json.decode(data, type=self._kind))

    def key(self, record: R) -> str:
        """Return the key of a record."""
        return self._key_of(record)

    def get(self, key: str) -> R | None:
        """Return the record with a key; None if there is none."""
        return self._records.get(key)

    def of(self, charge_point_id: str) -> Sequence[R]:
        """Return the records of one charge point, in order of their first entry."""
        return [self._records[key] for key in self.by_charge_point.get(charge_point_id, ())]

    def has(self, charge_point_id: str) -> bool:
        """Return whether there is a record of a charge point."""
        return charge_point_id in self.by_charge_point

    def put(self, record: R, *, event: DomainEvent | None = None) -> Receipt:
        """Enter a record, in place of the one with its key if there is one.

        A durable `event` is stored with it, in one commit.
        """
        key = self._key_of(record)
        data = msgspec.json.encode(record)
        unknown = self._unknown.get(key)
        if unknown:
            data = b",".join([data[:-1], *unknown]) + b"}"
        receipt = self._persist(self.name, key, data, *(() if event is None else (event,)))
        if receipt.error is None:
            self._enter(key, record)
        return receipt

    def remove(self, key: str, *, event: DomainEvent | None = None) -> Receipt:
        """Remove a record; one that is not there is no error. A durable `event` is stored in the same commit."""
        receipt = self._persist(self.name, key, None, *(() if event is None else (event,)))
        if receipt.error is None:
            self._leave(key)
        return receipt

    def follow(self, key: str, data: bytes | str | None) -> None:
        """Follow a change that another process has persisted: a record as JSON, or None for a removal."""
        if data is None:
            self._leave(key)
        else:
            self.load([(key, data)])

    def keys(self) -> list[str]:
        """Return the keys of all records."""
        return list(self._records)

    def _leave(self, key: str) -> None:
        self._unknown.pop(key, None)
        record = self._records.pop(key, None)
        if record is not None and self._indexed:
            keys = self.by_charge_point[record.charge_point_id]  # type: ignore[attr-defined]
            del keys[key]
            if not keys:
                del self.by_charge_point[record.charge_point_id]  # type: ignore[attr-defined]

    def _enter(self, key: str, record: R) -> None:
        self._records[key] = record
        if self._indexed:
            self.by_charge_point.setdefault(record.charge_point_id, {})[key] = None  # type: ignore[attr-defined]
        for entered in self._watchers:
            entered(record)

    def __iter__(self) -> Iterator[R]:
        """Iterate over all records as they are now, in order of their first entry."""
        return iter(list(self._records.values()))

    def __len__(self) -> int:
        return len(self._records)


class Collections:
    """Collections of one store; `persist` as in `Collection`."""

    def __init__(self, persist: Callable[..., Receipt]) -> None:
        self.tags: Collection[Tag] = Collection(
            "tags", Tag, lambda tag: tag_key(tag.id_tag, tag.id_type), persist
        )
        self._id_types: dict[str, None] = {}  # types that tags have, or had, in order of their first entry
        self.tags.watch(self._note_type)
        self.reservations: Collection[Reservation] = Collection(
            "reservations", Reservation, _numbered, persist
        )
        self.profiles: Collection[ChargingProfile] = Collection(
            "profiles",
            ChargingProfile,
            lambda one: profile_key(one.charge_point_id, one.connector_id, one.id, one.source),
            persist,
        )
        self.monitors: Collection[Monitor] = Collection(
            "monitors", Monitor, lambda one: numbered_key(one.charge_point_id, one.monitor_id), persist
        )
        self.display_messages: Collection[DisplayMessage] = Collection(
            "display_messages",
            DisplayMessage,
            lambda one: numbered_key(one.charge_point_id, one.message_id),
            persist,
        )
        self.network_profiles: Collection[NetworkProfile] = Collection(
            "network_profiles",
            NetworkProfile,
            lambda one: numbered_key(one.charge_point_id, one.slot),
            persist,
        )
        self.local_lists: Collection[LocalList] = Collection(
            "local_lists", LocalList, _of_charge_point, persist
        )
        self.credentials: Collection[Credential] = Collection(
            "credentials", Credential, _of_charge_point, persist
        )
        self.security_profiles: Collection[SecurityProfile] = Collection(
            "security_profiles", SecurityProfile, _of_charge_point, persist
        )
        self.applicants: Collection[Applicant] = Collection(
            "applicants", Applicant, _of_charge_point, persist
        )
        self.api_tokens: Collection[ApiToken] = Collection(
            "api_tokens", ApiToken, lambda token: token.name, persist
        )
        self.log_levels: Collection[LogLevel] = Collection("log_levels", LogLevel, _of_charge_point, persist)
        self.page_logins: Collection[PageLogin] = Collection(
            "page_logins", PageLogin, lambda login: login.digest, persist
        )
        self.tickets: Collection[TicketRecord] = Collection(
            "tickets", TicketRecord, lambda ticket: ticket.id, persist
        )

        self.over_facts: Collection[OverFact] = Collection(
            "over_facts", OverFact, lambda fact: over_key(fact.charge_point_id, fact.connector_id), persist
        )
        self.status_queries: Collection[StatusQuery] = Collection(
            "status_queries",
            StatusQuery,
            lambda query: f"{query.transaction_id}/{query.charge_point_id}",
            persist,
        )

        self.plugin_facts: Collection[PluginFact] = Collection(
            "plugin_facts",
            PluginFact,
            lambda fact: f"{fact.plugin}/{fact.name}/{fact.charge_point_id}",
            persist,
        )

        self.store_sizes: Collection[StoreSize] = Collection(
            "store_sizes", StoreSize, lambda size: size.at.isoformat(), persist
        )
        self.installed_certificates: Collection[InstalledCertificate] = Collection(
            "installed_certificates",
            InstalledCertificate,
            lambda one: f"{one.use}/{one.serial_number}/{one.issuer_name_hash}/{one.charge_point_id}",
            persist,
        )
        self.issued_certificates: Collection[IssuedCertificate] = Collection(
            "issued_certificates", IssuedCertificate, lambda one: one.serial_number, persist
        )

    def __iter__(self) -> Iterator[Collection[msgspec.Struct]]:
        return (one for one in vars(self).values() if isinstance(one, Collection))

    def _note_type(self, tag: Tag) -> None:
        if tag.id_type:
            self._id_types[tag.id_type] = None

    def tag_of(self, id_tag: str, id_type: str = "") -> Tag | None:
        """Find the tag of a token: that of its type, else that of any type; None if there is none.

        A token without a type, as all are in OCPP 1.6, is that of any type, else one of a type.
        """
        get = self.tags.get
        if not self._id_types:
            return get(id_tag.lower())
        found = get(tag_key(id_tag, id_type))
        if found is not None:
            return found
        others = ("",) if id_type else self._id_types
        return next(filter(None, (get(tag_key(id_tag, other)) for other in others)), None)


def tag_key(id_tag: str, id_type: str = "") -> str:
    """Return the key of a tag, by its text, without case, and its type."""
    return f"{id_tag.lower()}{BETWEEN}{id_type.lower()}" if id_type else id_tag.lower()


def numbered_key(charge_point_id: str, number: int) -> str:
    """Return the key of what has a number of its charge point's own."""
    return f"{number}/{charge_point_id}"


def profile_key(charge_point_id: str, place: int, number: int, source: str = "") -> str:
    """Return the key of a charging profile at a connector or an EVSE; one of somebody else has a key of its own."""
    return (
        f"{place}/{number}/{charge_point_id}"
        if not source
        else f"{source}/{place}/{number}/{charge_point_id}"
    )


def over_key(charge_point_id: str, connector_id: int | None) -> str:
    """Return the key of the fact that ended what was open on a connector, or (None) on all of a charge point."""
    return f"{'' if connector_id is None else connector_id}/{charge_point_id}"


def _numbered(record: msgspec.Struct) -> str:
    return f"{record.id}/{record.charge_point_id}"  # type: ignore[attr-defined]


def _of_charge_point(record: msgspec.Struct) -> str:
    return record.charge_point_id  # type: ignore[attr-defined,no-any-return]
