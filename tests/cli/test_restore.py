"""Backups by the server: whole under load, on a schedule, rotated; a restored one has every record of its moment."""

import datetime as dt
from pathlib import Path

import gevent
import pytest
from click.testing import CliRunner

from chargehand import BackupSettings, MemoryStore, Transaction
from chargehand.actors.runtime import threads
from chargehand.cli.data_folder import DataFolder
from chargehand.cli.main import main
from chargehand.store.copying import IDS_LEFT_OUT
from chargehand.store.factory import SQLITE_FILE
from chargehand.store.postgres import PostgresStore
from chargehand.store.sqlite import SqliteStore
from chargehand.store.store import NoBackup
from chargehand.system.backups import Backups, NoRoom

pytestmark = pytest.mark.usefixtures("_clean_environment")

NOW = dt.datetime(2026, 5, 4, 12, 0, tzinfo=dt.UTC)
LIMIT_S = 60


class Time:
    """Clock that stands still until a test moves it."""

    def __init__(self):
        self.at = NOW

    def now(self):
        return self.at


@pytest.fixture
def time():
    return Time()


@pytest.fixture(params=["sqlite", "postgres"])
def open_(request, tmp_path):
    """Open the store at each call, after closing the one before."""
    stores = []
    folder = tmp_path / "data"

    def open_():
        while stores:
            stores.pop().close()
        if request.param == "sqlite":
            folder.mkdir(exist_ok=True)
            stores.append(SqliteStore.open(str(folder / SQLITE_FILE), threads))
        else:
            stores.append(PostgresStore.open(request.getfixturevalue("postgres").url, threads))
        return stores[-1]

    def close():
        while stores:
            stores.pop().close()

    open_.close = close
    url = "sqlite" if request.param == "sqlite" else request.getfixturevalue("postgres").url
    open_.options = ["--data", str(folder), "--store", url]
    yield open_
    close()


@pytest.fixture
def backups(tmp_path, time):
    def make(store, **more):
        disk_is_low = more.pop("disk_is_low", lambda: False)
        settings = BackupSettings(**({"every_hours": 24, "keep": 2} | more))
        return Backups(store, settings, str(tmp_path / "backups"), time.now, disk_is_low=disk_is_low)

    return make


def start(store, number):
    one = Transaction(
        id=number, charge_point_id="CP1", connector_id=1, id_tag="T1", meter_start=number, started_at=NOW,
        start_received_at=NOW + dt.timedelta(seconds=number),
    )  # fmt: skip
    return store.start_transaction(one)


def test_a_backup_under_load_is_restored_with_all_that_was_stored_before_it(open_, backups):
    store = open_()
    for number in range(1, 201):
        receipt = start(store, number)
    receipt.wait(LIMIT_S)
    before = store.transactions(limit=1000)
    running = True

    def load():
        number = 1000
        while running:
            number += 1
            start(store, number).wait(LIMIT_S)

    writing = gevent.spawn(load)
    path = backups(store).make()
    running = False
    writing.get(timeout=LIMIT_S)
    start(store, 900_000).wait(LIMIT_S)
    last = store.allot_transaction_id("CP9", None)
    open_.close()
    done = CliRunner().invoke(main, ["restore", str(path), *open_.options])
    assert (done.exit_code, done.stderr) == (0, "")
    restored = open_()
    found = {one.id: one for one in restored.transactions(limit=10_000)}
    assert 900_000 not in found
    assert [found[one.id] for one in before] == list(before)
    later = sorted(number for number in found if number > 1000)
    assert later == list(range(1001, 1001 + len(later))), "a moment: nothing is missing before the last"
    assert restored.allot_transaction_id("CP9", None) not in range(1, last + 1)
    assert restored.allot_transaction_id("CP9", None) > IDS_LEFT_OUT


def test_backups_are_due_by_the_hour_whichever_process_has_made_the_last_one(open_, backups, time):
    store = open_()
    assert backups(store).due()
    backups(store).make()
    assert not backups(store).due()
    time.at += dt.timedelta(hours=24)
    assert backups(store).due()
    assert not backups(store, every_hours=0).due()


def test_the_oldest_of_too_many_go_and_what_was_begun_is_removed(open_, backups, time, tmp_path):
    store = open_()
    made = []
    for _ in range(4):
        made.append(backups(store).make().name)
        time.at += dt.timedelta(hours=1)
        (tmp_path / "backups" / f"chargehand-2026-05-04T110000Z{store.backup_suffix}.part").write_text("half")
    backups(store).make()
    there = sorted(path.name for path in (tmp_path / "backups").glob("chargehand*"))
    assert (len(there), there[0]) == (2, made[-1])
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "backups").glob("chargehand*")} == {0o600}


def test_a_low_disk_and_a_failure_leave_the_backups_that_there_are(
    open_, backups, time, tmp_path, monkeypatch
):
    store = open_()
    made = backups(store).make()
    time.at += dt.timedelta(days=1)
    with pytest.raises(NoRoom):
        backups(store, disk_is_low=lambda: True).make()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("chargehand.system.backups.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        backups(store, keep=1).make()
    assert backups(store).there() == [made]


def test_a_store_in_memory_has_nothing_to_copy(backups):
    with pytest.raises(NoBackup):
        backups(MemoryStore()).make()


def test_without_pg_dump_the_error_says_what_to_install(postgres, monkeypatch, tmp_path):
    store = PostgresStore.open(postgres.url, threads)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoBackup, match="pg_dump is not there: install"):
        store.backup(str(tmp_path / "copy"))
    store.close()


def test_a_store_in_use_and_a_spoilt_backup_are_not_restored(tmp_path):
    folder = tmp_path / "data"
    with DataFolder(str(folder)):
        store = SqliteStore.open(str(folder / SQLITE_FILE), threads)
        store.backup(str(tmp_path / "copy"))
        options = ["--data", str(folder), "--store", "sqlite"]
        done = CliRunner().invoke(main, ["restore", str(tmp_path / "copy"), *options])
        assert (done.exit_code, "in use" in done.stderr) == (1, True)
        store.close()
    (tmp_path / "other").write_text("no store")
    done = CliRunner().invoke(main, ["restore", str(tmp_path / "other"), *options])
    assert done.exit_code == 2


def test_the_store_before_stays_beside_the_restored_one_with_its_journal(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    store = SqliteStore.open(str(folder / SQLITE_FILE), threads)
    store.backup(str(tmp_path / "copy"))
    store.register("LATER", "Accepted").wait(LIMIT_S)
    store.close()
    Path(folder / f"{SQLITE_FILE}-wal").write_bytes(b"of the store before")
    done = CliRunner().invoke(
        main, ["restore", str(tmp_path / "copy"), "--data", str(folder), "--store", "sqlite"]
    )
    assert done.exit_code == 0, done.output
    (aside,) = folder.glob(f"{SQLITE_FILE}.replaced-*Z")
    assert aside.with_name(f"{aside.name}-wal").read_bytes() == b"of the store before"
    restored = SqliteStore.open(str(folder / SQLITE_FILE), threads)
    assert restored.registration("LATER") is None
    restored.close()
