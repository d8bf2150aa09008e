"""Sizes of the store over time: one process measures in a while, and growth and the day without room follow."""

import datetime as dt

import pytest

from chargehand import MemoryStore, ResourceSettings, Settings, StoreError
from chargehand.store.records import StoreSize
from chargehand.system.store_sizes import EVERY_S, StoreSizes

from ..in_process import system_with

BEGUN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DAY_S = 86400


class MeasuredStore(MemoryStore):
    durable = True
    size_bytes, took_s, fails = 1000, 0.0, ""
    unused_bytes = 0

    def measure(self):
        if self.fails:
            raise StoreError(self.fails)
        return StoreSize(
            at=self.now(), size_bytes=self.size_bytes, unused_bytes=self.unused_bytes, took_s=self.took_s
        )


class Time:
    def __init__(self):
        self.at = BEGUN
        self.spawned = []
        self.room = 5000
        self.store = MeasuredStore()
        self.store.now = self.now
        self.sizes = self.made(here=True)

    def made(self, *, here):
        return StoreSizes(
            self.store,
            self.now,
            here=here,
            spawn=self.spawned.append,
            room=lambda: self.room,
            pause=lambda _: None,
        )

    def now(self):
        return self.at

    def look_after(self, seconds):
        self.at += dt.timedelta(seconds=seconds)
        self.sizes.look()

    @property
    def samples(self):
        return len(self.store.collections.store_sizes)


@pytest.fixture
def time():
    return Time()


def test_it_is_measured_at_once_and_then_once_in_a_while(time):
    assert time.sizes.last is None
    time.sizes.look()
    time.look_after(EVERY_S - 1)
    assert time.samples == 1
    time.look_after(1)
    assert time.samples == 2


def test_a_measurement_that_takes_long_is_seldom(time):
    time.store.took_s = 60.0
    time.sizes.look()
    time.look_after(5999)
    assert time.samples == 1
    time.look_after(1)
    assert time.samples == 2


def test_growth_in_a_day_and_days_until_the_disk_is_full_follow(time):
    time.sizes.look()
    assert (time.sizes.growth_bytes_per_day, time.sizes.full_in_days) == (None, None)
    time.store.size_bytes, time.store.unused_bytes = 1500, 1000
    time.look_after(DAY_S / 2)
    assert time.sizes.growth_bytes_per_day == 1000
    assert (time.sizes.room_bytes, time.sizes.full_in_days) == (6000, 6)
    time.room = None
    assert time.sizes.full_in_days is None


def test_a_store_that_shrinks_is_never_full(time):
    time.sizes.look()
    time.store.size_bytes = 10
    time.look_after(DAY_S)
    assert time.sizes.growth_bytes_per_day == -990
    assert time.sizes.full_in_days is None


def test_samples_are_kept_for_a_week(time):
    for _ in range(20):
        time.look_after(DAY_S)
    assert time.samples == 8


def test_a_store_that_cannot_be_measured_is_one_line_and_is_tried_again(time, caplog):
    time.store.fails = "the database is away"
    time.sizes.look()
    assert time.samples == 0
    assert "the size of the store is not known: the database is away" in caplog.text
    time.store.fails = ""
    time.sizes.look()
    assert time.samples == 1


def test_one_process_measures_and_a_store_that_ends_with_it_is_not_measured(time):
    time.made(here=False).start()
    assert time.spawned == []
    time.made(here=True).start()
    assert len(time.spawned) == 1
    time.store.durable = False
    time.made(here=True).start()
    assert len(time.spawned) == 1


def test_the_room_of_a_database_is_that_of_the_disk_that_the_settings_tell(postgres, tmp_path):
    rooms = []
    for folder in ("", str(tmp_path), str(tmp_path / "nowhere")):
        resources = ResourceSettings(database_folder=folder)
        with system_with(settings=Settings(port=0, store=postgres.url, resources=resources)) as system:
            system.store_sizes.look()
            rooms.append(system.store_sizes.room_bytes)
    nothing, known, nowhere = rooms
    assert nothing is nowhere is None
    assert known > 0
