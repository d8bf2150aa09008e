# ruff: noqa: SLF001 - a bench looks at what a store asks of its database
"""Times and plans of the queries that people and programs ask most, by the number of readings in the store.

    python bench/large_store.py [--store sqlite] [--store postgresql] [--at 1 --at 5] [--runs 20] [--markdown]
        [--cold] [--without readings_attached] [--folder FOLDER]

The tables are filled directly, as 300 charge points fill them: a transaction an hour each, with a reading a minute,
readings beside transactions, and a history of states. Then the same store answers the questions of the HTTP API. A
question whose time does not grow with the store, and whose plan has no scan of a large table, costs at 100 million
readings what it costs here, and a page more for each level that its index is deeper. `--at` is in millions of readings.
`--cold` asks again with none of the file's pages in memory, `--without` after an index was dropped. The store is in a
folder that is deleted at the end; a `--folder` stays, and is not filled again.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import math
import os
import random
import re
import sqlite3
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from rich.console import Console
from tables import Grid

from chargehand import TransactionFilter
from chargehand.actors.runtime import threads
from chargehand.store.postgres import PostgresStore
from chargehand.store.sqlite import SqliteStore
from chargehand.tests.postgres_process import PostgresProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHARGE_POINTS = 300
MINUTES = 60
BLOCK = CHARGE_POINTS * MINUTES
"""Readings of one hour of all charge points."""
BESIDE = 4
"""Readings of a charge point in an hour that belong to no transaction."""
STATES = 6
"""Stored events of a charge point in an hour."""
BEGUN = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
LARGE = ("readings", "transactions", "events")
Tree = tuple[str, int, int, int, int]
"""Table or index, its leaves, its inner pages (0: not known), its levels, and the bytes of all pages."""
LARGEST = 100.0
"""Millions of readings for which the levels of the indexes are told."""

READING = ("charge_point", "connector", "transaction_id", "received_at", "digest", "data", "unattached")
TRANSACTION = (
    "id", "charge_point", "connector", "id_tag", "meter_start", "started_at", "start_received_at", "verdict",
    "meter_stop", "stopped_at", "stop_received_at", "stop_reason", "stop_id_tag", "flags", "assessed", "energy_wh",
)  # fmt: skip
EVENT = ("charge_point", "kind", "received_at", "data")


def text_of(at: dt.datetime) -> str:
    """Write a time as the columns have it."""
    return at.isoformat()


class Hour:
    """Rows of one hour of all charge points; the last `open_` hours have transactions that go on."""

    def __init__(self, number: int, *, is_open: bool) -> None:
        self._number = number
        self._open = is_open
        self._at = BEGUN + dt.timedelta(hours=number)
        self._random = random.Random(number)

    def _id(self, one: int) -> int:
        return self._number * CHARGE_POINTS + one + 1

    def transactions(self) -> Iterator[tuple[Any, ...]]:
        """Yield a transaction of each charge point."""
        for one in range(CHARGE_POINTS):
            begun = self._at + dt.timedelta(seconds=one)
            ended = None if self._open else text_of(begun + dt.timedelta(minutes=MINUTES - 1))
            yield (
                self._id(one), f"CP{one:03}", 1 + one % 2, f"TAG{self._random.randrange(5000):04}", 1000,
                text_of(begun), text_of(begun), "Accepted", None if self._open else 12_000, ended, ended,
                "" if self._open else "Local", "", "[]", int(not self._open), None if self._open else 11_000,
            )  # fmt: skip

    def readings(self) -> Iterator[tuple[Any, ...]]:
        """Yield the readings, in the order in which they come."""
        for minute, one in itertools.product(range(MINUTES), range(CHARGE_POINTS)):
            at = self._at + dt.timedelta(
                minutes=minute, seconds=one / 10, microseconds=self._random.randrange(1000)
            )
            yield self._reading(one, at, self._id(one), minute)
            if minute % (MINUTES // BESIDE) == 0:
                yield self._reading(one, at + dt.timedelta(milliseconds=1), None, minute)

    def _reading(self, one: int, at: dt.datetime, transaction: int | None, minute: int) -> tuple[Any, ...]:
        sampled = [
            {"value": str(1000 + minute * 183), "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {
                "value": f"{self._random.random() * 11_000:.1f}",
                "measurand": "Power.Active.Import",
                "unit": "W",
            },
            {"value": "16.0", "measurand": "Current.Import", "phase": "L1", "unit": "A"},
        ]
        payload: dict[str, Any] = {"connectorId": 1 + one % 2}
        if transaction is not None:
            payload["transactionId"] = transaction
        payload["meterValue"] = [{"timestamp": text_of(at), "sampledValue": sampled}]
        digest = f"{text_of(at)[:19]}{self._random.getrandbits(128):032x}"
        data = json.dumps(payload, separators=(",", ":")).encode()
        return f"CP{one:03}", 1 + one % 2, transaction, text_of(at), digest, data, int(transaction is None)

    def events(self) -> Iterator[tuple[Any, ...]]:
        """Yield the history of states."""
        for number, one in itertools.product(range(STATES), range(CHARGE_POINTS)):
            at = self._at + dt.timedelta(minutes=10 * number, seconds=one / 10)
            yield (
                f"CP{one:03}",
                "firmware" if number == 0 and one == 0 else "status",
                text_of(at),
                '{"status":"Charging"}',
            )


class SqliteTables:
    """Tables in a file of a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._path = str(folder / "store.sqlite")
        self.open().close()

    def hours(self) -> int:
        """Return how many hours are there."""
        with closing(sqlite3.connect(self._path)) as connection:
            (last,) = connection.execute("SELECT max(id) FROM transactions").fetchone()
        return (last or 0) // CHARGE_POINTS

    def open(self) -> SqliteStore:
        """Open the store."""
        return SqliteStore.open(self._path, threads)

    def add(self, hour: Hour) -> None:
        """Add the rows of an hour."""
        with closing(sqlite3.connect(self._path)) as connection, connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA cache_size = -400000")
            for table, columns, rows in rows_of(hour):
                marks = ", ".join("?" * len(columns))
                connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)

    def finish(self) -> None:
        """Have the readings sorted, as the store does, and put everything into the file itself."""
        with closing(self.open()) as store:
            store.readings_of("", without_transaction=False)
        with closing(sqlite3.connect(self._path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def drop(self, index: str) -> None:
        """Drop an index."""
        with closing(sqlite3.connect(self._path)) as connection:
            connection.execute(f"DROP INDEX IF EXISTS {index}")

    def forget(self) -> bool:
        """Take the pages of the file out of the machine's memory."""
        with open(self._path, "rb") as file:  # noqa: PTH123 - its descriptor is what counts
            os.fdatasync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return True

    def depths(self) -> list[Tree]:
        """Return the large tables and indexes."""
        with closing(sqlite3.connect(self._path)) as connection:
            found = connection.execute(
                "SELECT name, sum(pagetype = 'leaf'), sum(pagetype = 'internal'), "
                "max(length(path) - length(replace(path, '/', ''))), "
                "sum(pgsize) FROM dbstat WHERE pagetype <> 'overflow' GROUP BY name HAVING sum(pgsize) > 10000000"
            )
            return list(found)

    def plan(self, store: Any, query: str, values: tuple[Any, ...]) -> str:
        """Return the plan of a query."""
        rows = store._ask(f"EXPLAIN QUERY PLAN {query}", *values)
        of_each_row = {row[0] for row in rows if "CORRELATED" in row[3]}
        return "\n".join(row[3] + (" of each row" if row[1] in of_each_row else "") for row in rows)

    @staticmethod
    def scans(plan: str) -> list[str]:
        """Name the large tables that a plan reads from end to end."""
        lines = plan.splitlines()
        whole = r"SCAN {}\b(?! USING)|SCAN {}\b.* of each row$"
        return [name for line in lines for name in LARGE if re.search(whole.replace("{}", name), line)]


class PostgresTables:
    """Tables of a server of their own."""

    def __init__(self, server: PostgresProcess) -> None:
        self._url = server.url
        self.open().close()

    def open(self) -> PostgresStore:
        """Open the store."""
        return PostgresStore.open(self._url, threads)

    def add(self, hour: Hour) -> None:
        """Add the rows of an hour."""
        import psycopg  # noqa: PLC0415 - an extra

        with psycopg.connect(self._url) as connection, connection.cursor() as cursor:
            for table, columns, rows in rows_of(hour):
                with cursor.copy(f"COPY chargehand.{table} ({', '.join(columns)}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)

    def finish(self) -> None:
        """Have statistics made, as the server does by itself."""
        import psycopg  # noqa: PLC0415 - an extra

        with psycopg.connect(self._url, autocommit=True) as connection:
            for table in LARGE:
                connection.execute(f"VACUUM ANALYZE chargehand.{table}")

    def hours(self) -> int:
        """Return 0: the server of this run has none."""
        return 0

    def drop(self, index: str) -> None:
        """Drop an index."""
        import psycopg  # noqa: PLC0415 - an extra

        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(f"DROP INDEX chargehand.{index}")

    def forget(self) -> bool:
        """Do nothing: the server has a cache of its own."""
        return False

    def depths(self) -> list[Tree]:
        """Return the large tables and indexes, without their inner pages."""
        import psycopg  # noqa: PLC0415 - an extra

        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION IF NOT EXISTS pageinspect")
            return connection.execute(
                "SELECT relname, relpages, 0, CASE relkind WHEN 'i' THEN "
                "(SELECT level + 1 FROM bt_metap('chargehand.' || relname)) ELSE 0 END, pg_relation_size(oid) "
                "FROM pg_class WHERE relnamespace = 'chargehand'::regnamespace AND pg_relation_size(oid) > 10000000 "
                "AND relkind IN ('r', 'i') ORDER BY 1"
            ).fetchall()

    def plan(self, store: Any, query: str, values: tuple[Any, ...]) -> str:
        """Return the plan of a query."""
        return "\n".join(row[0] for row in store._ask(f"EXPLAIN {query}", *values))

    @staticmethod
    def scans(plan: str) -> list[str]:
        """Name the large tables that a plan reads from end to end."""
        return [name for name in LARGE if re.search(rf"Seq Scan on {name}\b", plan)]


def rows_of(hour: Hour) -> list[tuple[str, tuple[str, ...], Iterator[tuple[Any, ...]]]]:
    """Return the tables, columns and rows of an hour."""
    return [
        ("transactions", TRANSACTION, hour.transactions()),
        ("readings", READING, hour.readings()),
        ("events", EVENT, hour.events()),
    ]


class Question(NamedTuple):
    """Question to the store, and who asks it."""

    name: str
    ask: Callable[[Any, random.Random, int], object]


def a_charge_point(chance: random.Random) -> str:
    """Choose a charge point."""
    return f"CP{chance.randrange(CHARGE_POINTS):03}"


def in_the_middle(store: Any, chance: random.Random, hours: int) -> object:
    """Ask for the readings of a charge point at a time that is long over."""
    since = BEGUN + dt.timedelta(hours=chance.randrange(max(hours - 1, 1)))
    until = since + dt.timedelta(hours=1)
    return store.readings_of(
        a_charge_point(chance), since=since, until=until, without_transaction=False, limit=100
    )


QUESTIONS = (
    Question(
        "a transaction",
        lambda store, chance, hours: store.transaction(chance.randrange(hours * CHARGE_POINTS) + 1),
    ),
    Question(
        "the readings of a transaction",
        lambda store, chance, hours: store.meter_readings(chance.randrange(hours * CHARGE_POINTS) + 1),
    ),
    Question("the newest transactions", lambda store, *_: store.transactions(limit=100)),
    Question(
        "transactions of a charge point",
        lambda store, chance, _: store.transactions(
            TransactionFilter(charge_point_id=a_charge_point(chance))
        ),
    ),
    Question(
        "transactions of a tag",
        lambda store, chance, _: store.transactions(
            TransactionFilter(id_tag=f"tag{chance.randrange(5000):04}")
        ),
    ),
    Question("open transactions", lambda store, *_: store.transactions(TransactionFilter(open_only=True))),
    Question(
        "a charge point's readings beside transactions",
        lambda store, chance, _: store.readings_of(a_charge_point(chance), limit=100),
    ),
    Question(
        "all readings of a charge point, the newest",
        lambda store, chance, _: store.readings_of(
            a_charge_point(chance), without_transaction=False, limit=100
        ),
    ),
    Question("all readings of a charge point, an old hour", in_the_middle),
    Question(
        "last readings of 100 transactions",
        lambda store, chance, hours: store.last_readings(
            [chance.randrange(hours * CHARGE_POINTS) + 1 for _ in range(100)]
        ),
    ),
    Question(
        "events of a charge point",
        lambda store, chance, _: store.events(charge_point_id=a_charge_point(chance)),
    ),
    Question("events of a kind", lambda store, *_: store.events(kind="firmware")),
    Question("the log of events", lambda store, *_: store.event_log.origins()),
    Question("the next old records", lambda store, *_: store.retention.aged("readings", "2025", (0,), 200)),
    Question(
        "the next old transactions",
        lambda store, *_: store.retention.aged("transactions", "2025-01-02", ("", 0), 200),
    ),
    Question("how many records are old", lambda store, *_: store.retention.due("readings", "2025-01-02")),
)


class Answer(NamedTuple):
    """Times of a question in milliseconds, and the large tables that its plans scan."""

    median_ms: float
    longest_ms: float
    scans: list[str]


def measured(
    tables: Any, hours: int, runs: int, *, plans: bool = False, cold: bool = False
) -> dict[str, Answer]:
    """Ask everything so many times; return the answers by the name of the question."""
    store = tables.open()
    answers: dict[str, Answer] = {}
    try:
        for question in QUESTIONS:
            chance = random.Random(question.name)
            times, asked = [], _listen(store, lambda: question.ask(store, chance, hours))  # noqa: B023 - called at once
            for _ in range(runs):
                if cold:
                    tables.forget()
                begun = time.perf_counter()
                question.ask(store, chance, hours)
                times.append(1000 * (time.perf_counter() - begun))
            found: list[str] = []
            for query, values in asked:
                plan = tables.plan(store, query, values)
                found += tables.scans(plan)
                if plans:
                    click.echo(f"-- {question.name}\n{query}\n{plan}\n")
            answers[question.name] = Answer(median(times), max(times), sorted(set(found)))
    finally:
        store.close()
    return answers


def _listen(store: Any, work: Callable[[], object]) -> list[tuple[str, tuple[Any, ...]]]:
    """Do something once, and return what the store asked its database."""
    asked: list[tuple[str, tuple[Any, ...]]] = []
    ask = store._ask

    def hear(query: str, *values: Any) -> Any:
        asked.append((query, values))
        return ask(query, *values)

    owners = (store, store.event_log, store.retention)
    for owner in owners:
        owner._ask = hear
    try:
        work()
    finally:
        del store._ask
        for owner in owners[1:]:
            owner._ask = ask
    return asked


@contextmanager
def tables_of(kind: str, folder: str | None) -> Iterator[Any]:
    """Make the tables of a store of a kind, or open those of a folder."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as temporary:
            Path(folder or temporary).mkdir(exist_ok=True, parents=True)
            yield SqliteTables(Path(folder or temporary))
        return
    with closing(PostgresProcess()) as server:
        yield PostgresTables(server)


@click.command()
@click.option(
    "--store", "kinds", multiple=True, type=click.Choice(["sqlite", "postgresql"]), default=["sqlite"]
)
@click.option("--at", "sizes", multiple=True, type=float, default=[0.2, 1.0], help="Millions of readings.")
@click.option("--runs", default=20, show_default=True, help="Times that each question is asked.")
@click.option("--cold", is_flag=True, help="Ask the last time with nothing in memory too; SQLite only.")
@click.option("--without", multiple=True, help="Index that is dropped in the end, to ask again.")
@click.option("--folder", type=click.Path(file_okay=False), help="Folder of the SQLite file, which stays.")
@click.option("--plans", is_flag=True, help="Print each query with its plan.")
@click.option("--markdown", is_flag=True, help="Print the table for the documentation.")
def main(
    kinds: tuple[str, ...],
    sizes: tuple[float, ...],
    runs: int,
    without: tuple[str, ...],
    folder: str | None,
    *,
    cold: bool,
    plans: bool,
    markdown: bool,
) -> None:
    """Fill stores, and measure and explain what is asked of them."""
    for kind in kinds:
        with tables_of(kind, folder) as tables:
            found: dict[str, dict[str, Answer]] = {}
            hours, last = tables.hours(), max(sizes)
            for size in sorted(sizes):
                wanted = max(2, round(size * 1e6 / (BLOCK + CHARGE_POINTS * BESIDE)))
                begun = time.perf_counter()
                for number in range(hours, wanted):
                    tables.add(Hour(number, is_open=number == wanted - 1 and size == last))
                tables.finish()
                click.echo(
                    f"{kind}: {size:g} million readings after {time.perf_counter() - begun:.0f} s", err=True
                )
                hours = max(hours, wanted)
                found[f"{size:g} million"] = measured(tables, hours, runs, plans=plans and size == last)
            if cold and tables.forget():
                found["cold"] = measured(tables, hours, runs, cold=True)
            levels = tables.depths()
            for index in without:
                tables.drop(index)
                found[f"without {index}"] = measured(tables, hours, max(runs // 4, 2))
        show(kind, found, markdown=markdown)
        show_depths(kind, levels, last, markdown=markdown)


def show(kind: str, found: dict[str, dict[str, Answer]], *, markdown: bool) -> None:
    """Print the table of a store."""
    headings = ("question", *(f"ms, {name} (longest)" for name in found), "scans")
    rows = [
        (
            one.name,
            *(
                f"{answers[one.name].median_ms:.2f} ({answers[one.name].longest_ms:.1f})"
                for answers in found.values()
            ),
            "; ".join(
                f"{name}: {', '.join(answers[one.name].scans)}"
                for name, answers in found.items()
                if answers[one.name].scans
            )
            or "none",
        )
        for one in QUESTIONS
    ]
    _print(Grid(kind, headings, rows), markdown=markdown)


def show_depths(kind: str, levels: list[Tree], millions: float, *, markdown: bool) -> None:
    """Print the levels of the tables and indexes, and those that they would have at 100 million readings."""
    rows = [
        (
            name,
            f"{size / 1e6:,.0f}",
            f"{leaves:,}",
            str(depth or "-"),
            _deeper(leaves, inner, depth, LARGEST / millions),
        )
        for name, leaves, inner, depth, size in levels
    ]
    headings = ("table or index", "MB", "leaves", "levels", f"levels at {LARGEST:g} million, at most")
    _print(Grid(f"{kind}: pages", headings, rows), markdown=markdown)


def _deeper(leaves: int, inner: int, depth: int, factor: float) -> str:
    """Tell the levels of a tree with so many times the leaves: those above the leaves fan out as they do now.

    How they do is a guess from below if the number of inner pages is not known.
    """
    if depth < 2 or leaves < 2:
        return "-"
    fan_out = (leaves + inner) / inner if inner else leaves ** (1 / (depth - 1))
    return str(1 + math.ceil(math.log(leaves * factor, fan_out)))


def _print(grid: Grid, *, markdown: bool) -> None:
    if markdown:
        click.echo(grid.markdown())
    else:
        Console(width=160).print(grid.rich())


if __name__ == "__main__":
    main()
