"""A copy of the store: complete and consistent during writes, and without leftovers when it fails."""

import resource
import shutil
import sqlite3
import time
from contextlib import closing
from types import SimpleNamespace

import gevent
import pytest

from chargehand import Event, MemoryStore, StoreError
from chargehand.actors.runtime import threads
from chargehand.store import copying
from chargehand.store.durable import LARGEST_ID
from chargehand.store.sqlite import SqliteStore
from chargehand.store.store import NoBackup

from .test_search import LIMIT_S, NOW, kept, transaction


@pytest.fixture
def store(tmp_path):
    made = SqliteStore.open(str(tmp_path / "odd name?#%.sqlite"), threads)
    yield made
    made.close()


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "copies"
    folder.mkdir()
    return folder / "copy.sqlite"


def ask(path, query):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def fill(store, megabytes=2):
    # What is stored of one event, and of one charge point, is bounded.
    for number in range(megabytes * 1000):
        data = {"text": "x" * 1000}
        receipt = store.add_event(
            Event(charge_point_id=f"CP{number}", kind="large", received_at=NOW, data=data)
        )
    receipt.wait(LIMIT_S)


def test_a_copy_has_all_that_was_handed_over_and_is_for_its_owner_alone(store, target):
    kept(store, transaction(1))
    store.start_transaction(transaction(2))
    store.backup(str(target))
    assert ask(target, "SELECT id FROM transactions") == [(1,), (2,)]
    assert ask(target, "PRAGMA journal_mode") == [("delete",)]
    assert list(target.parent.iterdir()) == [target]
    assert ask(target, "PRAGMA integrity_check") == [("ok",)]
    assert target.stat().st_mode & 0o777 == 0o600
    again = SqliteStore.open(str(target), threads)
    assert again.transaction(2) == transaction(2)
    again.close()


def test_whoever_goes_back_to_a_copy_gives_no_number_again_that_was_given_after_it(store, target):
    store.backup(str(target))
    later = [store.allot_transaction_id("CP1", None) for _ in range(5000)]
    again = SqliteStore.open(str(target), threads)
    assert again.allot_transaction_id("CP1", None) > max(later)
    again.close()
    assert ask(target, "PRAGMA integrity_check") == [("ok",)]


def test_a_copy_made_when_few_numbers_are_left_leaves_none(target, tmp_path):
    store = SqliteStore.open(str(tmp_path / "late.sqlite"), threads, first_transaction_id=LARGEST_ID - 5000)
    store.backup(str(target))
    store.close()
    again = SqliteStore.open(str(target), threads)
    with pytest.raises(OverflowError):  # all of them may have been given since
        again.allot_transaction_id("CP1", None)
    again.close()


def test_records_are_kept_while_a_copy_is_made_and_it_is_one_moment(store, target):
    fill(store)
    numbers = iter(range(1, 1_000_000))

    def write():
        while True:
            one, two = next(numbers), next(numbers)
            first = store.start_transaction(transaction(one))
            second = store.start_transaction(transaction(two))
            first.wait(LIMIT_S)
            second.wait(LIMIT_S)

    writing = gevent.spawn(write)
    try:
        store.backup(str(target))
        at_end = next(numbers)
    finally:
        writing.kill()
    found = [number for (number,) in ask(target, "SELECT id FROM transactions ORDER BY id")]
    assert found == list(
        range(1, len(found) + 1)
    )  # no gap: what was committed before some moment, and no more
    assert len(found) % 2 == 0  # both of a batch, or none
    assert at_end >= len(found)


def test_what_is_written_between_two_steps_makes_a_copy_neither_longer_nor_newer(store, target, monkeypatch):
    fill(store, megabytes=1)
    writes = []

    def write(_):
        with closing(sqlite3.connect(store._path)) as connection, connection:
            connection.execute("UPDATE events SET kind = 'later'")
        writes.append(1)

    monkeypatch.setattr(copying, "STEP_PAGES", 50)
    monkeypatch.setattr(copying, "rest", write)
    copying.Copy(store._path, str(target)).make()
    ((pages,),) = ask(target, "PRAGMA page_count")
    assert 2 < len(writes) <= pages // 50 + 1
    assert ask(target, "SELECT DISTINCT kind FROM events") == [("large",)]
    assert ask(store._path, "SELECT DISTINCT kind FROM events") == [("later",)]


def test_a_disk_without_room_is_told_before_anything_is_copied(store, target, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=copying.SPARE_BYTES))
    with pytest.raises(StoreError, match=r"needs 16 MiB of room, and 16 MiB are free"):
        store.backup(str(target))
    assert list(target.parent.iterdir()) == []


def test_a_disk_that_is_full_in_the_middle_leaves_nothing_behind(store, target):
    fill(store)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        with pytest.raises(StoreError, match="no copy was made"):
            store.backup(str(target))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(target.parent.iterdir()) == []
    store.backup(str(target))
    assert ask(target, "PRAGMA integrity_check") == [("ok",)]


def test_a_file_that_is_there_is_not_touched(store, target):
    target.write_text("mine")
    with pytest.raises(StoreError, match="exists"):
        store.backup(str(target))
    assert target.read_text() == "mine"


def test_a_folder_that_is_not_there_is_one_clear_sentence(store, tmp_path):
    with pytest.raises(StoreError, match="No such file"):
        store.backup(str(tmp_path / "nowhere" / "copy.sqlite"))


@pytest.mark.parametrize("moment", ["early", "in the middle", "late"])
def test_a_copy_that_is_given_up_ends_and_leaves_nothing_behind(store, target, moment):
    fill(store, megabytes=10)
    copy = copying.Copy(store._path, str(target))
    making = gevent.spawn(copy.make)
    with gevent.Timeout(LIMIT_S):
        gevent.sleep(0)
        while moment == "in the middle" and not copy.steps:
            gevent.sleep(0)
        if moment == "late":  # the thread is done, and the hub does not know it yet
            ends_at = time.monotonic() + LIMIT_S
            while time.monotonic() < ends_at and not whole(target):
                pass
    making.kill()
    assert list(target.parent.iterdir()) == []


def whole(path):
    journal = path.with_name(f"{path.name}-journal")
    return path.exists() and path.stat().st_size > 10_000_000 and not journal.exists()


def test_what_is_no_file_cannot_be_copied_and_says_why(tmp_path):
    with pytest.raises(NoBackup, match="memory"):
        MemoryStore().backup(str(tmp_path / "copy.sqlite"))
