"""Plans of the questions that grow with the store if no index answers them: none reads a large table to its end."""

import datetime as dt
from contextlib import closing

import pytest

from chargehand import Event, MeterReading, Transaction, TransactionFilter
from chargehand.store import sqlite

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LIMIT_S = 60
TABLES = ("readings", "transactions", "events")

QUESTIONS = {
    "a transaction": lambda store: store.transaction(8),
    "its readings": lambda store: store.meter_readings(7),
    "last readings": lambda store: store.last_readings([7, 8]),
    "newest transactions": lambda store: store.transactions(limit=10),
    "of a charge point": lambda store: store.transactions(TransactionFilter(charge_point_id="CP1"), limit=10),
    "of a tag": lambda store: store.transactions(TransactionFilter(id_tag="T1"), limit=10),
    "open ones": lambda store: store.transactions(TransactionFilter(open_only=True), limit=10),
    "readings beside": lambda store: store.readings_of("CP1", limit=10),
    "all readings": lambda store: store.readings_of("CP1", without_transaction=False, limit=10),
    "an hour": lambda store: store.readings_of(
        "CP1", since=NOW, until=NOW, without_transaction=False, limit=10
    ),
    "events of a charge point": lambda store: store.events(charge_point_id="CP1", limit=10),
    "events of a kind": lambda store: store.events(kind="status", limit=10),
    "old readings": lambda store: store.retention.aged("readings", "2030", (0,), 10),
    "old transactions": lambda store: store.retention.aged("transactions", "2030", ("", 0), 10),
    "old events": lambda store: store.retention.aged("status", "2030", (0,), 10, ("status", "boot")),
    "kinds of events": lambda store: store.retention.event_kinds("events"),
    "how many are old": lambda store: store.retention.due("readings", "2030"),
    "how many transactions are old": lambda store: store.retention.due("transactions", "2030"),
    "energy to be derived": lambda store: store.retention.not_frozen([7, 8]),
    "the log": lambda store: store.event_log.origins(),
}


@pytest.fixture
def store(open_store, request):
    made = open_store()
    one = {"charge_point_id": "CP1", "connector_id": 1}
    start = Transaction(id=7, id_tag="T1", meter_start=1, started_at=NOW, start_received_at=NOW, **one)
    made.start_transaction(start).wait(LIMIT_S)
    made.add_meter_reading(MeterReading(transaction_id=7, received_at=NOW, values=b"{}", **one)).wait(LIMIT_S)
    made.add_event(Event(charge_point_id="CP1", kind="status", received_at=NOW, data={})).wait(LIMIT_S)
    yield made
    made.close()


def asked_by(store, question):
    """Return what a question asks the database."""
    asked = []
    ask = store._ask

    def hear(query, *values):
        asked.append((query, values))
        return ask(query, *values)

    for owner in (store, store.event_log, store.retention):
        owner._ask = hear
    try:
        question(store)
    finally:
        store._ask = store.event_log._ask = store.retention._ask = ask
    return asked


def scans_of(store, query, values):
    """Return the lines of the plan of a query that read a large table from end to end."""
    if not store.upkeep_lock:  # SQLite
        scans = scans_in(store._ask(f"EXPLAIN QUERY PLAN {query}", *values))
    else:
        lines = [row[0] for row in store._ask(f"EXPLAIN {query}", *values)]
        scans = [line for line in lines if "Seq Scan on" in line]
    return [line for line in scans if any(f" {table}" in line for table in TABLES)]


def scans_in(plan):
    """Return the lines of a plan of SQLite that read something from end to end, or an index once for each row."""
    lines = {number: line for number, _, _, line in plan}
    return [
        line
        for _, above, _, line in plan
        if line.startswith("SCAN ") and ("USING" not in line or "CORRELATED" in lines.get(above, ""))
    ]


def test_no_question_reads_a_large_table_from_end_to_end(store):
    if store.upkeep_lock:  # tables of one row are read whole, unless that is forbidden
        store._ask("SELECT set_config('enable_seqscan', 'off', false)")
    for name, question in QUESTIONS.items():
        asked = asked_by(store, question)
        assert asked, name
        for query, values in asked:
            assert scans_of(store, query, values) == [], name


@pytest.mark.parametrize("kind", sqlite.STATEMENTS, ids=lambda kind: kind.name)
def test_no_row_that_sqlite_writes_reads_a_large_table_from_end_to_end(kind, tmp_path):
    columns = sqlite.GIVEN[kind]
    given = f"WITH given ({', '.join(columns)}) AS (VALUES ({', '.join('?' * len(columns))}))"
    with closing(sqlite.SqliteFile(str(tmp_path / "chargehand.sqlite"))) as file:
        plan = file.read(f"EXPLAIN QUERY PLAN {given} {sqlite.STATEMENTS[kind]}", [1] * len(columns))
    assert [line for line in scans_in(plan) if any(f" {table}" in line for table in TABLES)] == []
