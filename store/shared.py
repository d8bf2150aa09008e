"""Store on a database that other processes write to as well.

Each process reserves blocks of transaction ids, each in one statement, so that no two have the same. `refresh` brings
the copy in memory of a charge point up to date when another process may have served it before. Collections are
followed: every change has a number, higher than those before it, and is looked for every second.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec
from gevent import get_hub, spawn_later

from .durable import LARGEST_ID, REGISTRATION, DurableStore
from .rows import storable, transaction_of
from .search import COLUMNS, FACT_IN_POSTGRES, READINGS_BY_TIME
from .store import Receipt, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocol.events import DomainEvent
    from .event_bounds import EventBounds
    from .records import Transaction
    from .writer import Database, Threads

BLOCK = 20_000
"""Transaction ids reserved per block; refilled at half, so that at least 10,000 remain while the database is
unreachable."""
FIRST_BLOCK = 1000
"""Transaction ids reserved at start; few, so that repeated restarts do not use them up."""

RELEASED = "released"
"""Collection whose removals tell the other processes which transactions they have to read again."""

FOLLOW_S = 1.0
"""Seconds between two reads of other processes' changes of the collections."""
REMOVALS_KEPT_S = 86400
"""Seconds for which other processes can see a removal."""
PAUSE_MIN_S, PAUSE_MAX_S = 0.002, 4.0
"""Between two looks whether what other processes have begun to store has ended, growing from the one to the other."""
STALE_S = 3600.0
"""Seconds after which the collections are read whole: less than removals can be seen."""

# Above all that was ever reserved, and all that is there: rows may have been brought in by hand.
RESERVE = f"""
    UPDATE ids SET next = greatest(ids.next, used.most + 1, ?::bigint) + ?::bigint
    FROM (SELECT greatest(
        (SELECT max(id) FROM transactions),
        (SELECT max(transaction_id) FROM spool WHERE transaction_id <= {LARGEST_ID}), 0)::bigint AS most) AS used
    WHERE name = 'transaction' RETURNING next
"""  # noqa: S608 - constants
FIND = f"SELECT {COLUMNS} FROM transactions WHERE id = ?"  # noqa: S608
OPEN = (
    f"SELECT {COLUMNS} FROM transactions WHERE charge_point = ? AND stop_received_at IS NULL "  # noqa: S608
    "ORDER BY start_received_at, id"
)
STORED = (
    "SELECT id, (stop_received_at IS NOT NULL)::integer FROM transactions "
    "WHERE id = ANY (string_to_array(?, ' ')::bigint[])"
)
SPOOLED_STARTS = (
    "SELECT transaction_id, start FROM spool WHERE charge_point = ? AND aside = 0 AND start IS NOT NULL"
)
CHANGES = "SELECT book, key, data, changed FROM books WHERE changed > ? ORDER BY changed"
PURGE = f"DELETE FROM books WHERE removed_at < now() - interval '{REMOVALS_KEPT_S} s'"  # noqa: S608


class SharedStore(DurableStore):
    """Store that other processes write too.

    The class attributes are the statements that differ from PostgreSQL's in another SQL.
    """

    others_write = True
    fact = FACT_IN_POSTGRES
    readings_by_time = READINGS_BY_TIME
    reserve = RESERVE
    stored = STORED
    purge = PURGE

    def __init__(
        self,
        open_: Callable[[], Database],
        threads: Threads,
        *,
        first_transaction_id: int = 1,
        bounds: EventBounds | None = None,
        origin: str = "",
    ) -> None:
        super().__init__(
            open_, threads, first_transaction_id=first_transaction_id, bounds=bounds, origin=origin
        )
        self._blocks: deque[tuple[int, int]] = deque()  # the next number, and the one behind the last
        self._reserving = False
        self._used = False
        # Our writes that are not durable yet, by transaction, charge point, or collection and key: newer than what is
        # read meanwhile.
        self._ours: dict[int | str | tuple[str, str], Receipt] = {}
        # Numbers of starts by charge point that were in the spool when last seen: any process may redeliver them.
        self._spooled: dict[str, set[int]] = {}
        self._seen = 0  # number of the last change of collections
        self._seen_at = 0.0
        self._whole = True  # read the collections whole, not their changes only
        self._looking = False
        self._wanted: list[Receipt] = []  # settled by the next look for changes of collections
        self._timer: Any = None

    def _load_collections(self) -> None:
        self._seen_at = time.monotonic()
        self._take_changes(self._ask(CHANGES, 0), whole=True)
        self._timer = get_hub().loop.timer(FOLLOW_S, FOLLOW_S, ref=False)
        self._timer.start(self.every_second)

    def close(self) -> None:
        """Write what is pending, and release files and threads."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        super().close()

    # -- Numbers of transactions -----------------------------------------------------------------

    def _load_numbers(self) -> None:
        ((end,),) = self._ask(self.reserve, self._first, FIRST_BLOCK)
        self._blocks.append((end - FIRST_BLOCK, end))

    def _take_number(self) -> int:
        if not self._blocks:
            raise StoreError("no transaction id is left until the database is back")
        number, end = self._blocks[0]
        if number > LARGEST_ID:
            raise OverflowError("there are no transaction ids left")
        if number + 1 < end:
            self._blocks[0] = number + 1, end
        else:
            self._blocks.popleft()
        self._used = True
        self._reserve_ahead()
        return number

    def _note_number(self, number: int) -> None:
        """Do nothing: other processes draw ids from their own reserved blocks."""

    def _reserve_ahead(self) -> None:
        if (
            self._reserving
            or not self._used
            or sum(end - number for number, end in self._blocks) > BLOCK // 2
        ):
            return
        self._reserving = True
        reserve, first = self.reserve, self._first
        self._writer.look(lambda database: database.read(reserve, (first, BLOCK)), self._reserved_more)

    def _reserved_more(self, rows: list[Any], error: Exception | None) -> None:
        self._reserving = False
        if error is None:
            end = rows[0][0]
            self._blocks.append((end - BLOCK, end))

    # -- Our pending writes ----------------------------------------------------------------------

    def _own(self, key: int | str | tuple[str, str], receipt: Receipt) -> Receipt:
        self._ours[key] = receipt
        receipt.then(lambda error: self._own_settled(key, receipt, error))
        return receipt

    def _own_settled(
        self, key: int | str | tuple[str, str], receipt: Receipt, error: Exception | None
    ) -> None:
        if self._ours.get(key) is receipt:
            del self._ours[key]
        if error is not None and type(key) is tuple:
            self._whole = True  # what could not be persisted is taken back

    def stop_transaction(self, transaction: Transaction) -> Receipt:
        """Store the end of a transaction; refused if it never started, or has ended with other figures."""
        return self._own(transaction.id, super().stop_transaction(transaction))

    def release_transaction(self, transaction_id: int) -> Receipt:
        """Have every process read an open transaction from the store again, before it is closed by hand.

        Settled when the other processes have followed the change, after two of their reads.
        """
        self._forget(transaction_id)
        receipt = Receipt()

        def known(error: Exception | None) -> None:
            if error is not None:
                receipt.settle(error)
            else:
                spawn_later(2 * FOLLOW_S, receipt.settle)

        self._persist(RELEASED, str(transaction_id), None).then(known)
        return receipt

    def transaction(self, transaction_id: int) -> Transaction | None:
        """Find a transaction by its id; None if there is none. Switches greenlets.

        One that is open here is read, too: its charge point may be connected elsewhere now, and have closed it there.
        """
        known = self._open.get(transaction_id)
        if known is None:
            return super().transaction(transaction_id)
        found = self._ask(FIND, transaction_id)
        return self._open.derived(transaction_of(found[0])) if found else known

    def _note_spooled(self, charge_point_id: str, number: int) -> None:
        super()._note_spooled(charge_point_id, number)
        if number in self._starts:
            waiting = {one for one in self._spooled.get(charge_point_id, ()) if one in self._starts}
            self._spooled[charge_point_id] = waiting | {number}

    def register(self, charge_point_id: str, status: str, version: str = "") -> Receipt:
        """Store the registration of a charge point, as its BootNotification was answered."""
        return self._own(charge_point_id, super().register(charge_point_id, status, version))

    def _persist(
        self, collection: str, key: str, data: bytes | None, event: DomainEvent | None = None
    ) -> Receipt:
        return self._own((collection, key), super()._persist(collection, key, data, event))

    # -- Changes of other processes --------------------------------------------------------------

    def every_second(self) -> None:
        """Read changes of the collections, and reserve ids if there are too few. Called every `FOLLOW_S`."""
        self._reserve_ahead()
        self._follow()

    def follow_now(self) -> Receipt:
        """Read what other processes have changed in collections; settled when that is known here."""
        receipt = Receipt()
        self._wanted.append(receipt)
        self._follow()
        return receipt

    def _follow(self) -> None:
        if self._looking:
            return
        self._looking = True
        if time.monotonic() - self._seen_at > STALE_S:
            self._whole = True
        whole, seen, purge = self._whole, self._seen, self.purge
        self._whole = False
        wanted, self._wanted = self._wanted, []

        def look(database: Database) -> list[Any]:
            if whole:
                database.read(purge, ())
            return database.read(CHANGES, (0 if whole else seen,))

        def take(rows: list[Any], error: Exception | None) -> None:
            self._looking = False
            if error is None:
                self._seen_at = time.monotonic()
                self._take_changes(rows, whole=whole)
            elif whole:
                self._whole = True
            for receipt in wanted:
                receipt.settle(error)
            if self._wanted:
                self._follow()

        self._writer.look(look, take)

    def _take_changes(self, rows: list[Any], *, whole: bool) -> None:
        collections = {collection.name: collection for collection in self.collections}
        there = set()
        for name, key, data, changed in rows:
            self._seen = max(self._seen, changed)
            there.add((name, key))
            if name in collections and (name, key) not in self._ours:
                collections[name].follow(key, data)
            elif name == RELEASED and (name, key) not in self._ours:
                self._forget(int(key))
        if whole:
            for name, collection in collections.items():
                for key in collection.keys():  # noqa: SIM118 - a collection is no mapping
                    if (name, key) not in there and (name, key) not in self._ours:
                        collection.follow(key, None)

    def refresh(self, charge_point_id: str) -> Receipt:
        """Read what other processes have stored of a charge point, before its first message is handled here.

        What they have begun to store is waited for: a process that was killed may have sent its last commit.
        """
        receipt = Receipt()
        self._refresh(charge_point_id, receipt)
        return receipt

    def _refresh(
        self, charge_point_id: str, receipt: Receipt, begun: str | None = None, pause_s: float = PAUSE_MIN_S
    ) -> None:
        """Read once none of the transactions of the database that had `begun` goes on; None for those of now."""
        name, seen, stored = storable(charge_point_id), self._seen, self.stored
        mine = {
            *self._open.numbers_of(charge_point_id),
            *self._spooled.get(charge_point_id, ()),
            *(
                number
                for number in self._fresh
                if number in self._starts and self._starts[number][0] == charge_point_id
            ),
        }

        def look(database: Database) -> tuple[Any, ...] | str:
            going_on = self._going_on(database, begun)
            if going_on:
                return going_on
            # A spooled start becomes an open transaction before it leaves the spool: in this order it is seen.
            starts = [
                (number, tuple(msgspec.json.decode(start)))
                for number, start in database.read(SPOOLED_STARTS, (name,))
            ]
            return (
                [transaction_of(values) for values in database.read(OPEN, (name,))],
                dict.fromkeys(mine) | dict(database.read(stored, (" ".join(map(str, mine)),))),
                database.read(REGISTRATION, (name,)),
                starts,
                database.read(CHANGES, (seen,)),
            )

        def take(found: Any, error: Exception | None) -> None:
            if type(found) is not str:
                if error is None:
                    self._take_charge_point(charge_point_id, *found)
                receipt.settle(error)
            elif pause_s > PAUSE_MAX_S:
                receipt.settle(StoreError("what other processes have begun to store does not end"))
            else:
                spawn_later(pause_s, self._refresh, charge_point_id, receipt, found, 1.5 * pause_s)

        self._writer.look(look, take)

    def _going_on(self, database: Database, begun: str | None) -> str:  # noqa: ARG002 - of other databases
        """Name transactions of other processes that go on, of those that had `begun`; in the writer's thread."""
        return ""

    def _take_charge_point(
        self,
        charge_point_id: str,
        open_: list[Transaction],
        mine: dict[int, int | None],
        registered: list[tuple[str, str]],
        starts: list[tuple[int, tuple[Any, ...]]],
        changes: list[Any],
    ) -> None:
        for transaction in open_:
            known = self._open.stored(transaction.id)
            if known is not None and transaction.remote_id and transaction.id not in self._ours:
                self._open.replace(transaction)  # much of it is told late, perhaps to another process
            elif known is not None:
                flags = dict.fromkeys((*transaction.flags, *known.flags))
                life_at = max(filter(None, (transaction.life_at, known.life_at)), default=None)
                self._open.replace(msgspec.structs.replace(known, flags=tuple(flags), life_at=life_at))
            elif transaction.id not in self._ours:
                self._remember(transaction)
        self._take_mine(mine)
        if charge_point_id not in self._ours:
            self._registrations.pop(charge_point_id, None)
            self._registrations.update((charge_point_id, self._shared(*values)) for values in registered)
        waiting = self._spooled.pop(charge_point_id, set()) - mine.keys()
        if waiting:
            self._spooled[charge_point_id] = waiting
        for number, key in starts:
            self._know_start(number, key)
            self._note_spooled(charge_point_id, number)
        self._take_changes(changes, whole=False)

    def _take_mine(self, mine: dict[int, int | None]) -> None:
        """Take which transactions that are open here, or that starts were given, have ended, or are stored nowhere."""
        for number, ended in mine.items():
            if ended is None:
                # Its start could not be stored, and was perhaps given another number elsewhere; or it is in the spool.
                self._open.remove(number)
            elif ended:
                self._forget(number)
                self._fresh.discard(number)
