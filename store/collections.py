"""A keyed collection of records of one kind, kept in memory whole and, by its store, wherever that keeps things.

Tags, reservations, charging profiles, local lists, credentials and unfinished tickets are books: few enough to
be held by every process, asked for on the session's path, changed one at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from .records import ChargingProfile, Credential, LocalList, OverFact, Reservation, Tag, TicketRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .store import Receipt

R = TypeVar("R", bound=msgspec.Struct)


class Collection(Generic[R]):
    """Records of one kind. All of it belongs to the hub's thread, and nothing of it blocks.

    `key_of` gives a record's key, unique in the book; `keep(name, key, data)` makes one change durable, with data None
    for a removal. A record's `charge_point_id`, where its kind has one, is indexed.
    """

    def __init__(
        self,
        name: str,
        kind: type[R],
        key_of: Callable[[R], str],
        keep: Callable[[str, str, bytes | None], Receipt],
    ) -> None:
        self.name = name
        self._kind = kind
        self._key_of = key_of
        self._keep = keep
        self._records: dict[str, R] = {}
        self._indexed = "charge_point_id" in kind.__struct_fields__
        self._by_charge_point: dict[str, dict[str, None]] = {}

    def load(self, rows: Iterable[tuple[str, bytes | str]]) -> None:
        """Take what was kept before, as (key, JSON)."""
        decode = msgspec.json.Decoder(self._kind).decode
        for key, data in rows:
            self._enter(key, decode(data))

    def key_of(self, data: bytes | str) -> str:
        """The key of a record that was kept as JSON. Raises ValueError for what is no such record."""
        return self._key_of(msgspec.json.decode(data, type=self._kind))

    def get(self, key: str) -> R | None:
        """Find the record with a key."""
        return self._records.get(key)

    def of(self, charge_point_id: str) -> Sequence[R]:
        """All records of one charge point, in order of their first entry."""
        return [self._records[key] for key in self._by_charge_point.get(charge_point_id, ())]

    def has_of(self, charge_point_id: str) -> bool:
        """Return whether there are records of a charge point."""
        return charge_point_id in self._by_charge_point

    def put(self, record: R) -> Receipt:
        """Enter a record, or put it in the place of the one with its key."""
        key = self._key_of(record)
        receipt = self._keep(self.name, key, msgspec.json.encode(record))
        if receipt.error is None:
            self._enter(key, record)
        return receipt

    def remove(self, key: str) -> Receipt:
        """Take a record out; one that is not there is no error."""
        receipt = self._keep(self.name, key, None)
        if receipt.error is None:
            self._leave(key)
        return receipt

    def follow(self, key: str, data: bytes | str | None) -> None:
        """Take a change that somebody else has kept: a record as JSON, or None for a removal."""
        if data is None:
            self._leave(key)
        else:
            self.load([(key, data)])

    def keys(self) -> list[str]:
        """The keys of all records."""
        return list(self._records)

    def _leave(self, key: str) -> None:
        record = self._records.pop(key, None)
        if record is not None and self._indexed:
            keys = self._by_charge_point[record.charge_point_id]  # type: ignore[attr-defined]
            del keys[key]
            if not keys:
                del self._by_charge_point[record.charge_point_id]  # type: ignore[attr-defined]

    def _enter(self, key: str, record: R) -> None:
        self._records[key] = record
        if self._indexed:
            self._by_charge_point.setdefault(record.charge_point_id, {})[key] = None  # type: ignore[attr-defined]

    def __iter__(self) -> Iterator[R]:
        """All records, in order of their first entry; what changes meanwhile does not disturb it."""
        return iter(list(self._records.values()))

    def __len__(self) -> int:
        return len(self._records)


class Collections:
    """The books of one store, made once: `keep` as in `Collection`."""

    def __init__(self, keep: Callable[[str, str, bytes | None], Receipt]) -> None:
        self.tags: Collection[Tag] = Collection("tags", Tag, lambda tag: tag.id_tag.lower(), keep)
        self.reservations: Collection[Reservation] = Collection("reservations", Reservation, _numbered, keep)
        self.profiles: Collection[ChargingProfile] = Collection(
            "profiles",
            ChargingProfile,
            lambda one: f"{one.connector_id}/{one.id}/{one.charge_point_id}",
            keep,
        )
        self.local_lists: Collection[LocalList] = Collection("local_lists", LocalList, _of_charge_point, keep)
        self.credentials: Collection[Credential] = Collection(
            "credentials", Credential, _of_charge_point, keep
        )
        self.tickets: Collection[TicketRecord] = Collection(
            "tickets", TicketRecord, lambda ticket: ticket.id, keep
        )

        self.over_facts: Collection[OverFact] = Collection(
            "over_facts", OverFact, lambda fact: over_key(fact.charge_point_id, fact.connector_id), keep
        )

    def __iter__(self) -> Iterator[Collection[msgspec.Struct]]:
        return iter(vars(self).values())


def over_key(charge_point_id: str, connector_id: int | None) -> str:
    """Return the key of the fact that ended what was open on a connector, or (None) on all of a charge point."""
    return f"{'' if connector_id is None else connector_id}/{charge_point_id}"


def _numbered(record: msgspec.Struct) -> str:
    return f"{record.id}/{record.charge_point_id}"  # type: ignore[attr-defined]


def _of_charge_point(record: msgspec.Struct) -> str:
    return record.charge_point_id  # type: ignore[attr-defined,no-any-return]
