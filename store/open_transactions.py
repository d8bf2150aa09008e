"""Open transactions of a store in memory, indexed so that a message costs the same however many of them are open.

Whether one is orphaned is derived here, from the facts of its charge point and its connector and its last sign of life.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, TypeVar

import msgspec

from .collections import over_key
from .records import OverFact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from .collections import Collection
    from .records import Transaction

FEW = 3
"""Facts of a charge point that are looked through, which is quicker than finding those of a connector by their keys."""

K = TypeVar("K")
Index = dict[K, dict[int, None]]
"""Numbers of transactions by key, in the order in which they came."""

ACCEPTED = "Accepted"
SEARCHED = 1000
"""Open transactions of a charge point, the last ones, among which those of a tag are searched."""


class OpenTransactions:
    """Open transactions, as they are stored, with indexes; `facts` is the collection of their store.

    `by_id` is for looks only.
    """

    def __init__(self, facts: Collection[OverFact]) -> None:
        self._facts = facts
        # Numbers by charge point that no fact known until now ends: most messages of a transaction ask only that.
        self._sure: dict[str, set[int]] = {}
        facts.watch(lambda fact: self._sure.pop(fact.charge_point_id, None))
        self.by_id: dict[int, Transaction] = {}
        self._of: Index[str] = {}
        self._on: Index[tuple[str, int]] = {}
        self._remote: dict[tuple[str, str], int] = {}  # of charge points that name their transactions
        # Accepted ones that were not seen to be orphaned, by tag: a search takes out those that are. None before the
        # first search: by default nobody searches.
        self._charging: Index[str] | None = None

    def __contains__(self, number: int) -> bool:
        return number in self.by_id

    def __len__(self) -> int:
        return len(self.by_id)

    # -- Changes ---------------------------------------------------------------------------------

    def add(self, transaction: Transaction) -> None:
        """Add an open transaction that is not known."""
        number, charge_point_id = transaction.id, transaction.charge_point_id
        self.by_id[number] = stored(transaction)
        _enter(self._of, charge_point_id, number)
        _enter(self._on, (charge_point_id, transaction.connector_id), number)
        if transaction.remote_id:
            self._remote[charge_point_id, transaction.remote_id] = number
        if self._charging is not None:
            self._note_charging(transaction)

    def replace(self, transaction: Transaction) -> None:
        """Replace an open transaction by what it is now; its charge point stays."""
        if transaction.remote_id:
            self._place_again(transaction)
        self.by_id[transaction.id] = stored(transaction)
        if self._charging is not None:
            self._note_charging(transaction)

    def _place_again(self, transaction: Transaction) -> None:
        """Enter a transaction under its connector and its tag, which its charge point may tell late."""
        before, number = self.by_id[transaction.id], transaction.id
        if before.connector_id != transaction.connector_id:
            _leave(self._on, (before.charge_point_id, before.connector_id), number)
            _enter(self._on, (transaction.charge_point_id, transaction.connector_id), number)
            self._sure.pop(transaction.charge_point_id, None)
        if self._charging is not None and before.id_tag != transaction.id_tag:
            _leave(self._charging, before.id_tag.lower(), number)

    def number_of(self, charge_point_id: str, remote_id: str) -> int | None:
        """Return the number of an open transaction by the id that its charge point gave it; None if it has none."""
        return self._remote.get((charge_point_id, remote_id))

    def _note_charging(self, transaction: Transaction) -> None:
        if self._charging is not None and transaction.verdict == ACCEPTED:
            self._charging.setdefault(transaction.id_tag.lower(), {})[transaction.id] = None

    def remove(self, number: int) -> Transaction | None:
        """Remove a transaction, and the facts that concern none any more; None if it is not known."""
        transaction = self.by_id.pop(number, None)
        if transaction is None:
            return None
        charge_point_id, connector_id = transaction.charge_point_id, transaction.connector_id
        if transaction.remote_id:
            self._remote.pop((charge_point_id, transaction.remote_id), None)
        if self._charging is not None:
            _leave(self._charging, transaction.id_tag.lower(), number)
        none_there = _leave(self._on, (charge_point_id, connector_id), number)
        none_at_all = _leave(self._of, charge_point_id, number)
        if charge_point_id in self._facts.by_charge_point:
            sure = self._sure.get(charge_point_id)
            if sure is not None:
                sure.discard(number)
            if none_there:
                self._drop_fact(charge_point_id, connector_id)
            if none_at_all:
                self._drop_fact(charge_point_id, None)
                self._sure.pop(charge_point_id, None)
        return transaction

    def _drop_fact(self, charge_point_id: str, connector_id: int | None) -> None:
        key = over_key(charge_point_id, connector_id)
        if self._facts.get(key) is not None:
            self._facts.remove(key)

    def new_fact(
        self,
        charge_point_id: str,
        connector_id: int | None,
        at: datetime,
        reason: str,
        transaction_id: int | None,
    ) -> OverFact | None:
        """Make the fact that what is open there is over; None if none is concerned, or a later fact is known."""
        if connector_id is None:
            concerned = self._of.get(charge_point_id, ())
        else:
            concerned = self._on.get((charge_point_id, connector_id), ())
        for number in itertools.islice(concerned, 2):
            if number != transaction_id:
                break
        else:
            return None
        known = self._facts.get(over_key(charge_point_id, connector_id))
        if known is not None and known.at > at:
            return None
        return OverFact(
            charge_point_id=charge_point_id,
            connector_id=connector_id,
            at=at,
            reason=reason,
            transaction_id=transaction_id,
        )

    def revived(self, number: int, at: datetime) -> Transaction | None:
        """Make a transaction that was over with a later sign of life; None if it was not over, or still is."""
        transaction = self.by_id.get(number)
        if transaction is None:
            return None
        sure = self._sure.get(transaction.charge_point_id)
        if (sure is not None and number in sure) or self._fact_of(transaction) is None:
            return None
        alive = msgspec.structs.replace(transaction, life_at=at)
        return None if self._fact_of(alive) is not None else alive

    # -- Queries ---------------------------------------------------------------------------------

    def get(self, number: int) -> Transaction | None:
        """Find an open transaction, with the fact that made it orphaned."""
        transaction = self.by_id.get(number)
        if transaction is None or transaction.charge_point_id not in self._facts.by_charge_point:
            return transaction  # as it mostly is
        return self.derived(transaction)

    def stored(self, number: int) -> Transaction | None:
        """Find an open transaction as it is stored."""
        return self.by_id.get(number)

    def derived(self, transaction: Transaction) -> Transaction:
        """Return a transaction as it was read, with the fact that made it orphaned if it is open and one did."""
        if transaction.charge_point_id not in self._facts.by_charge_point:  # as it mostly is
            return transaction
        fact = self._fact_of(transaction) if transaction.open else None
        if fact is None:
            return transaction
        return msgspec.structs.replace(transaction, over=fact.reason, over_at=fact.at)

    def _fact_of(self, transaction: Transaction) -> OverFact | None:
        """Return the last fact, about its connector or about all, that ends a transaction."""
        charge_point_id, connector_id = transaction.charge_point_id, transaction.connector_id
        sure = self._sure.get(charge_point_id)
        if sure is not None and transaction.id in sure:
            return None
        facts, latest = self._facts, None
        keys: dict[str, None] | tuple[str, str] | None = facts.by_charge_point.get(charge_point_id)
        if keys is None:
            return None
        if len(keys) > FEW:
            keys = (over_key(charge_point_id, connector_id), over_key(charge_point_id, None))
        for key in keys:
            fact = facts.get(key)
            if (
                fact is not None
                and (fact.connector_id is None or fact.connector_id == connector_id)
                and fact.ends(transaction)
                and (latest is None or fact.at > latest.at)
            ):
                latest = fact
        if latest is None and transaction is self.by_id.get(transaction.id):
            self._sure.setdefault(charge_point_id, set()).add(transaction.id)
        return latest

    def numbers_of(self, charge_point_id: str) -> Iterator[int]:
        """Yield the ids of the open transactions of a charge point, in the order in which they came."""
        return iter(self._of.get(charge_point_id, ()))

    def of(self, charge_point_id: str, limit: int | None = None) -> list[Transaction]:
        """Return the open transactions of a charge point, or the last ones, in the order in which they came."""
        if limit is not None:
            return self._last(self._of.get(charge_point_id), limit)[::-1]
        return [self.derived(self.by_id[number]) for number in self._of.get(charge_point_id, ())]

    def on(self, charge_point_id: str, connector_id: int, limit: int) -> list[Transaction]:
        """Return open transactions of a connector, those that came last first."""
        numbers = self._on.get((charge_point_id, connector_id))
        if limit == 1 and numbers is not None:  # the usual case, kept short
            return [self.derived(self.by_id[next(reversed(numbers))])]
        return self._last(numbers, limit)

    def with_tag(self, charge_point_id: str, id_tag: str, limit: int) -> list[Transaction]:
        """Return open transactions of a tag at a charge point, those that came last first, of its last `SEARCHED`."""
        tag = id_tag.lower()
        found = []
        for number in itertools.islice(reversed(self._of.get(charge_point_id, {})), SEARCHED):
            transaction = self.by_id[number]
            if transaction.id_tag.lower() == tag:
                found.append(self.derived(transaction))
                if len(found) == limit:
                    break
        return found

    def _last(self, numbers: dict[int, None] | None, limit: int) -> list[Transaction]:
        if numbers is None:
            return []
        return [self.derived(self.by_id[number]) for number in itertools.islice(reversed(numbers), limit)]

    def charging(self, id_tag: str, besides: int | None, id_type: str = "") -> Transaction | None:
        """Find an accepted transaction of a tag that is going on; each that is orphaned is looked at once.

        Tokens of two types are two tags; one without a type is of any.
        """
        if self._charging is None:
            self._charging = {}
            for one in self.by_id.values():
                self._note_charging(one)
        tag = id_tag.lower()
        numbers = self._charging.get(tag, {})
        found, orphaned = None, []
        for number in reversed(numbers):
            if number == besides:
                continue
            transaction = self.derived(self.by_id[number])
            if id_type and transaction.id_type not in ("", id_type):
                continue
            if not transaction.orphaned:
                found = transaction
                break
            orphaned.append(number)
        for number in orphaned:
            _leave(self._charging, tag, number)
        return found


def stored(transaction: Transaction) -> Transaction:
    """Return a transaction without what is derived."""
    if transaction.over or transaction.over_at is not None:
        return msgspec.structs.replace(transaction, over="", over_at=None)
    return transaction


def _enter(index: Index[K], key: K, number: int) -> None:
    """Enter a number into an index, as the last one under its key."""
    numbers = index.get(key)
    if numbers is None:
        index[key] = {number: None}
    else:
        numbers[number] = None


def _leave(index: Index[K], key: K, number: int) -> bool:
    """Take a number out of an index; return whether it was the last one under its key."""
    numbers = index.get(key)
    if numbers is None or number not in numbers:
        return False
    if len(numbers) > 1:
        del numbers[number]
        return False
    del index[key]
    return True
