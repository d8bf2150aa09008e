"""Retention: old records are exported, then deleted; what is still needed stays, and a crash loses nothing."""

import contextlib
import csv
import datetime as dt
import gzip
import json
import sqlite3
from decimal import Decimal

import pytest

from chargehand import (
    BackOfficeSettings,
    Cost,
    Event,
    MeterReading,
    ReadingsDeleted,
    RetentionSettings,
    Transaction,
    TransactionFilter,
)
from chargehand.actors.runtime import threads
from chargehand.protocol.versions import VERSIONS
from chargehand.store.postgres import PostgresStore
from chargehand.store.sqlite import SqliteStore
from chargehand.system.assessment import Assessment, limits_of
from chargehand.system.exports import ExportFolder, ExportsInUse
from chargehand.system.retention import DiskLow, Retention

NOW = dt.datetime(2026, 5, 30, 12, 0, tzinfo=dt.UTC)
OLD = dt.datetime(2026, 5, 1, 12, 0, tzinfo=dt.UTC)
LIMIT_S = 60


def at(minutes, since=OLD):
    return since + dt.timedelta(minutes=minutes)


@pytest.fixture(params=["sqlite", "postgres"])
def store(request, tmp_path):
    if request.param == "sqlite":
        made = SqliteStore.open(str(tmp_path / "store.sqlite"), threads)
    else:
        made = PostgresStore.open(request.getfixturevalue("postgres").url, threads)
    yield made
    made.close()


@pytest.fixture
def assessment(store):
    return Assessment(store, VERSIONS, limits_of(BackOfficeSettings()))


@pytest.fixture
def retention(store, assessment, tmp_path):
    """Make the retention of the store with these settings."""

    def make(**days):
        options = {"pause": lambda _: None, "disk_is_low": days.pop("disk_is_low", lambda: False)}
        folder = str(tmp_path / "exports")
        return Retention(store, RetentionSettings(**days), folder, assessment, lambda: NOW, **options)

    return make


def start(store, number, minutes=0, since=OLD):
    given = {
        "id": number, "charge_point_id": "CP1", "connector_id": 1, "id_tag": "T1", "meter_start": 1000,
        "started_at": at(minutes, since), "start_received_at": at(minutes, since),
    }  # fmt: skip
    store.start_transaction(Transaction(**given)).wait(LIMIT_S)


def stop(store, number, minutes=60, since=OLD, meter_stop=5000):
    one = store.transaction(number)
    values = {
        "meter_stop": meter_stop,
        "stopped_at": at(minutes, since),
        "stop_received_at": at(minutes, since),
    }
    store.stop_transaction(
        Transaction(**{name: getattr(one, name) for name in one.__struct_fields__} | values)
    ).wait(LIMIT_S)


def read(store, number, minutes, wh, since=OLD):
    sample = {"timestamp": at(minutes, since).isoformat(), "sampledValue": [{"value": str(wh)}]}
    payload = {"connectorId": 1, "transactionId": number, "meterValue": [sample]}
    store.add_meter_reading(
        MeterReading(
            charge_point_id="CP1",
            connector_id=1,
            transaction_id=number,
            received_at=at(minutes, since),
            values=json.dumps(payload).encode(),
        )
    ).wait(LIMIT_S)


def rows_of(tmp_path, name):
    with gzip.open(tmp_path / "exports" / name, "rt", newline="") as file:
        return list(csv.DictReader(file))


def names(tmp_path):
    return sorted(path.name for path in (tmp_path / "exports").glob("*.csv*"))


def test_old_readings_are_in_a_file_for_each_day_and_gone_from_the_store(store, retention, tmp_path):
    for day in range(3):
        read(store, None, day * 1440, 100 + day)
    read(store, None, 0, 999, since=NOW)
    done = retention(readings_days=10).run()
    assert done.deleted == {"readings": 3}
    assert names(tmp_path) == [f"readings-2026-05-0{day}.csv.gz" for day in (1, 2, 3)]
    (row,) = rows_of(tmp_path, "readings-2026-05-02.csv.gz")
    assert row["charge_point"] == "CP1"
    assert json.loads(row["data"])["meterValue"][0]["sampledValue"] == [{"value": "101"}]
    left = store.readings_of("CP1")
    assert [json.loads(one.values)["meterValue"][0]["sampledValue"][0]["value"] for one in left] == ["999"]


def test_energy_costs_and_findings_stay_when_the_readings_are_deleted(store, retention, assessment):
    start(store, 1)
    for minutes in range(0, 60, 10):
        read(store, 1, minutes, 1000 + minutes * 60)
    stop(store, 1, meter_stop=9000)
    before = Assessment(store, VERSIONS, limits_of(BackOfficeSettings())).known(store.transaction(1))[0]
    retention(readings_days=10).run()
    after, derived = assessment.known(store.transaction(1))
    assert store.meter_readings(1) == []
    assert after.readings_deleted
    assert (after.energy_wh, after.energy_source, after.supported_energy_wh, after.findings) == (
        before.energy_wh, before.energy_source, before.supported_energy_wh, before.findings,
    )  # fmt: skip
    assert derived.energy_wh == before.energy_wh
    read(store, 1, 1, 77_777)  # a late one changes nothing any more
    store.amend_transaction(1, note="looked at").wait(LIMIT_S)
    assert assessment.assessed(store.transaction(1)).energy_wh == before.energy_wh


def test_readings_of_an_open_transaction_stay_however_old_they_are(store, retention, tmp_path):
    start(store, 1)
    read(store, 1, 10, 2000)
    assert retention(readings_days=10, transactions_days=10).run().deleted == {}
    assert len(store.meter_readings(1)) == 1
    assert names(tmp_path) == []
    stop(store, 1, since=NOW)  # ended today
    assert retention(readings_days=10, transactions_days=10).run().deleted == {}


def test_transactions_go_only_when_asked_and_behind_their_readings(store, retention, tmp_path):
    start(store, 1)
    read(store, 1, 10, 2000)
    stop(store, 1)
    start(store, 2, since=NOW)
    while store.event_log.prune(keep=0, since=NOW + dt.timedelta(days=3650)):
        pass
    assert retention(readings_days=10).run().deleted == {"readings": 1}
    assert store.transaction(1) is not None
    assert retention(transactions_days=10).run().deleted == {"transactions": 1}
    assert store.transaction(1) is None
    assert store.transaction(2) is not None
    (row,) = rows_of(tmp_path, "transactions-2026-05-01.csv.gz")
    assert (row["id_tag"], row["energy_wh"]) == ("T1", "4000")


def test_a_transaction_stays_while_its_event_may_be_wanted(store, retention):
    start(store, 1)
    stop(store, 1)
    assert retention(transactions_days=10).run().deleted == {}


def test_kinds_of_stored_events_have_ages_of_their_own(store, retention, tmp_path):
    for kind in ("status", "online", "firmware", "by_hand"):
        store.add_event(Event(charge_point_id="CP1", kind=kind, received_at=OLD, data={"of": kind})).wait(
            LIMIT_S
        )
    assert retention(status_days=10).run().deleted == {"status": 2}
    assert {one.kind for one in store.events()} == {"firmware", "by_hand"}
    assert retention(events_days=10).run().deleted == {"events": 1}
    assert retention(audit_days=10).run().deleted == {"audit": 1}
    assert store.events() == []
    assert names(tmp_path) == [f"{kind}-2026-05-01.csv.gz" for kind in ("audit", "events", "status")]


def test_what_a_killed_process_had_exported_is_deleted_and_not_exported_again(store, retention, tmp_path):
    read(store, None, 0, 1)
    read(store, None, 1, 2)
    (tmp_path / "exports").mkdir()
    half = tmp_path / "exports" / "readings-2026-05-01.csv.gz.part"
    half.write_bytes(b"half of it")
    one = retention(readings_days=10)
    one._drop = killed
    with pytest.raises(KilledHere):
        one.run()
    assert names(tmp_path) == ["readings-2026-05-01.csv.gz.exported"]
    assert len(store.readings_of("CP1")) == 2
    assert retention(readings_days=10).run().deleted == {"readings": 2}
    assert names(tmp_path) == ["readings-2026-05-01.csv.gz"]
    assert len(rows_of(tmp_path, "readings-2026-05-01.csv.gz")) == 2
    assert store.readings_of("CP1") == []


class KilledHere(Exception):
    """End of a process, for a test."""


def killed(*_):
    raise KilledHere


def test_a_further_file_of_a_day_gets_a_number(store, retention, tmp_path):
    read(store, None, 0, 1)
    retention(readings_days=10).run()
    read(store, None, 1, 2)
    retention(readings_days=10).run()
    assert names(tmp_path) == ["readings-2026-05-01.2.csv.gz", "readings-2026-05-01.csv.gz"]


def test_nothing_is_deleted_while_the_disk_is_low(store, retention):
    read(store, None, 0, 1)
    with pytest.raises(DiskLow):
        retention(readings_days=10, disk_is_low=lambda: True).run()
    assert len(store.readings_of("CP1")) == 1


def test_nothing_is_deleted_if_the_export_cannot_be_written(store, retention, tmp_path, monkeypatch):
    read(store, None, 0, 1)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("chargehand.system.exports.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        retention(readings_days=10).run()
    assert len(store.readings_of("CP1")) == 1
    assert names(tmp_path) == []


def test_a_second_process_does_not_export_at_the_same_time(retention, tmp_path):
    with ExportFolder(str(tmp_path / "exports")).held(), pytest.raises(ExportsInUse):
        retention(readings_days=10).run()


def test_many_rows_of_several_days_go_in_small_steps(store, retention, tmp_path):
    for number in range(600):
        store.add_event(
            Event(
                charge_point_id=f"CP{number % 7}",
                kind="status",
                received_at=at(number * 10),
                data={"n": number},
            )
        )
    one = retention(status_days=10)
    one._rows = 25
    assert one.run().deleted == {"status": 600}
    assert store.events() == []
    assert sum(len(rows_of(tmp_path, name)) for name in names(tmp_path)) == 600


def started_without_a_meter(store, number):
    """Start a transaction whose energy only its readings tell, and end it."""
    given = {
        "id": number, "charge_point_id": "CP1", "connector_id": 1, "id_tag": "T1", "meter_start": None,
        "started_at": OLD, "start_received_at": OLD,
    }  # fmt: skip
    store.start_transaction(Transaction(**given)).wait(LIMIT_S)
    for minutes in range(0, 60, 10):
        read(store, number, minutes, 1000 + minutes * 60)
    stop(store, number, meter_stop=None)


def deleted_partly(store, assessment, number):
    """Store the energy of a transaction, and delete the first half of its readings, as a pass does."""
    assert assessment.assessed(store.transaction(number)).energy_wh == 3000
    table = store.retention
    rows = [(one.number, one.at) for one in table.aged("readings", at(0, NOW).isoformat(), (0,), 100)]
    table.freeze([number])
    table.drop("readings", rows[:3]).wait(LIMIT_S)
    assert len(store.meter_readings(number)) == 3


def test_readings_deleted_after_their_transaction_was_read_change_no_energy(store, assessment):
    started_without_a_meter(store, 1)
    read_before = store.transaction(1)
    deleted_partly(store, assessment, 1)
    known, derived = assessment.known(read_before)
    assert (known.energy_wh, known.energy_source, known.readings_deleted) == (3000, "register_readings", True)
    assert derived.energy_wh == 3000
    assert store.transaction(1).energy_wh == 3000


def test_a_list_has_the_energy_of_readings_deleted_while_it_is_made(store, assessment, monkeypatch):
    started_without_a_meter(store, 1)
    found = store.transactions()
    deleted_partly(store, assessment, 1)
    monkeypatch.setattr(store, "transactions", lambda *_, **__: found)
    (listed,) = assessment.transactions(TransactionFilter(charge_point_id="CP1"))
    assert (listed.energy_wh, listed.readings_deleted) == (3000, True)


def test_readings_deleted_between_two_looks_change_no_energy(store, assessment, monkeypatch):
    started_without_a_meter(store, 1)
    read_before, readings, looks = store.transaction(1), store.meter_readings, []

    def looked(*arguments, **options):
        found = readings(*arguments, **options)
        if not looks:
            looks.append(found)
            deleted_partly(store, assessment, 1)  # behind this look, and before the next one
        return found

    monkeypatch.setattr(store, "meter_readings", looked)
    assert assessment.known(read_before)[0].energy_wh == 3000
    assert store.transaction(1).energy_wh == 3000


def test_a_transaction_deleted_after_it_was_read_has_no_energy(store, assessment, retention):
    started_without_a_meter(store, 1)
    read_before = store.transaction(1)
    while store.event_log.prune(keep=0, since=NOW + dt.timedelta(days=3650)):
        pass
    retention(readings_days=10, transactions_days=10).run()
    assert store.transaction(1) is None
    known, derived = assessment.known(read_before)
    assert (known.energy_wh, derived.energy_wh, known.assessed) == (None, None, False)


def with_idle_time(store, number):
    """Charge for half an hour, and stay plugged in for another half."""
    start(store, number)
    for minutes, wh in ((10, 2000), (30, 5000), (50, 5000)):
        read(store, number, minutes, wh)
    stop(store, number)


@pytest.fixture
def forgotten(store, request, tmp_path):
    """Make all that is assessed as a program has written it that stored no idle time."""

    def forget():
        if isinstance(store, SqliteStore):
            with contextlib.closing(sqlite3.connect(tmp_path / "store.sqlite")) as connection, connection:
                connection.execute("UPDATE transactions SET idle_since = NULL")
        else:
            request.getfixturevalue("postgres").sql("UPDATE chargehand.transactions SET idle_since = NULL")

    return forget


def test_idle_time_stays_when_the_readings_are_deleted(store, retention, assessment):
    with_idle_time(store, 1)
    assert assessment.assessed(store.transaction(1)).idle_since == at(30)
    retention(readings_days=10).run()
    after = store.transaction(1)
    assert (after.readings_deleted, store.meter_readings(1)) == (True, [])
    assert (after.idle_derived, after.idle_since) == (True, at(30))
    assert assessment.idle_since(after) == at(30)


def test_a_transaction_whose_readings_say_nothing_has_no_idle_time_but_is_known(store, retention, assessment):
    start(store, 1)
    read(store, 1, 10, "nothing")
    stop(store, 1)
    retention(readings_days=10).run()
    after = store.transaction(1)
    assert (after.readings_deleted, after.idle_derived, assessment.idle_since(after)) == (True, True, None)


def test_idle_time_that_an_older_program_did_not_store_is_derived_before_readings_go(
    store, retention, assessment, forgotten
):
    with_idle_time(store, 1)
    assessment.known(store.transaction(1))
    forgotten()
    before = store.transaction(1)
    assert (before.assessed, before.idle_derived) == (True, False)
    retention(readings_days=10).run()
    assert store.transaction(1).idle_since == at(30)


def test_idle_time_that_cannot_be_derived_any_more_is_an_error(store, retention, assessment, forgotten):
    with_idle_time(store, 1)
    retention(readings_days=10).run()
    forgotten()
    with pytest.raises(ReadingsDeleted, match="transaction 1 are deleted"):
        assessment.idle_since(store.transaction(1))


def test_readings_deleted_while_idle_time_is_derived_change_none(store, assessment, monkeypatch):
    with_idle_time(store, 1)
    read_before, readings, looks = store.transaction(1), store.meter_readings, []
    assessment.known(read_before)

    def looked(*arguments, **options):
        if not looks:
            looks.append(1)
            table = store.retention
            rows = [(one.number, one.at) for one in table.aged("readings", at(0, NOW).isoformat(), (0,), 9)]
            table.freeze([1])
            table.drop("readings", rows[1:2]).wait(LIMIT_S)
        return readings(*arguments, **options)

    monkeypatch.setattr(store, "meter_readings", looked)
    assert assessment.idle_since(read_before) == at(30)


def test_a_cost_is_not_replaced_by_one_whose_author_did_not_see_it(store):
    start(store, 1)
    stop(store, 1)

    def cost(amount):
        return Cost(amount=Decimal(amount), currency="EUR", tariff="t", at=NOW, by="somebody")

    first, second, third = (cost(amount) for amount in ("1.00", "2.00", "3.00"))
    store.price_transaction(1, (first,), correction=True).wait(LIMIT_S)
    store.price_transaction(1, (second,), correction=True).wait(LIMIT_S)
    assert store.transaction(1).costs == (first,)
    store.price_transaction(1, (first, second), correction=True).wait(LIMIT_S)
    store.price_transaction(1, (first, third), correction=True).wait(LIMIT_S)
    assert store.transaction(1).costs == (first, second)
    logged = store.event_log.read(store.event_log.number, 0, 10)
    assert [one.kind for one in logged].count("TransactionCorrected") == 2
