"""Watermarks: connections, reading and the history of events end before memory and disk do, and come back."""

import logging

import pytest

from chargehand.actors.runtime.timers import Timers
from chargehand.config.resources import ResourceSettings
from chargehand.system.watermarks import Watermarks
from chargehand.testing import ManualClock


class Line:
    peer = "192.0.2.1:7"

    def __init__(self, held_bytes=0):
        self.calls = []
        self.held_bytes = held_bytes
        self.left = False

    def has_been_left(self):
        return self.left

    def give_up(self, reason):
        self.calls.append(reason)

    def hold(self):
        self.calls.append("hold")

    def release(self):
        self.calls.append("release")


class Intake:
    memory_is_short = False


class Machine:
    """Machine whose memory and disks a test sets, and everything that the watermarks do."""

    def __init__(self, **settings):
        self.used, self.free = 100, {"/data": 10_000}
        self.counts, self.held, self.alerts, self.stopped = [], [], [], []
        self.folders = list(self.free)
        self.lines, self.intake = {Line()}, Intake()
        self.clock = ManualClock()
        self.timers = Timers(self.clock)
        self.clock.drive(self.timers)
        self.watermarks = Watermarks(
            ResourceSettings(
                **{"memory_bytes": 1000, "disk_free_bytes": 1000, "disk_stop_bytes": 500, **settings}
            ),
            processes=1,
            folders=self.folders,
            connections=self.lines,
            intake=self.intake,
            timers=self.timers,
            observer=self,
            hold_events=self.held.append,
            alert=lambda subject, text: self.alerts.append((subject, text)),
            hold_records=self.stopped.append,
            store_folder="/data",
            memory_in_use=lambda: self.used,
            free_bytes=lambda folder: self.free[folder],
        )
        self.watermarks.start()

    def count(self, name, who):
        self.counts.append(name)

    def uses(self, used):
        self.used = used
        self.clock.advance(1)

    def has_free(self, free):
        self.free["/data"] = free
        self.clock.advance(1)

    @property
    def state(self):
        return self.watermarks.accepts, self.watermarks.reads


@pytest.fixture
def machine():
    return Machine()


def test_above_the_first_watermark_nobody_is_accepted_and_those_there_go_on(machine, caplog):
    machine.uses(801)
    assert machine.state == (False, True)
    assert machine.intake.memory_is_short is True
    assert next(iter(machine.lines)).calls == []
    assert machine.counts == ["memory_high"]
    assert "(resources.memory_accept)" in caplog.text


def test_above_the_second_watermark_nobody_is_read(machine, caplog):
    machine.uses(901)
    assert machine.state == (False, False)
    (line,) = machine.lines
    assert line.calls == ["hold"]
    assert machine.counts == ["memory_high", "memory_full"]
    assert "(resources.memory_read)" in caplog.text


def test_a_connection_that_comes_meanwhile_is_not_read_either(machine):
    machine.uses(901)
    late = Line()
    machine.lines.add(late)
    machine.uses(902)
    assert set(late.calls) == {"hold"}


def test_who_goes_meanwhile_is_let_go_though_nobody_is_read(machine):
    (line,) = machine.lines
    machine.uses(901)
    line.left = True
    machine.uses(901)
    assert line.calls[-1] == "the connection was lost"


def test_memory_that_never_falls_leaves_the_connections_some_reading(machine):
    (line,) = machine.lines
    machine.uses(950)
    line.calls.clear()
    machine.clock.advance(60)
    released = [number for number, call in enumerate(line.calls) if call == "release"]
    assert len(released) in (5, 6)
    assert all(line.calls[number + 1] == "hold" for number in released[:-1])


def test_memory_that_stays_in_unfinished_messages_is_taken_back(caplog):
    mib = 1 << 20
    machine = Machine(memory_bytes=100 * mib)
    small, large, larger, largest = lines = [Line(held) for held in (1000, 3 * mib, 4 * mib, 5 * mib)]
    machine.lines.update(lines)
    machine.uses(95 * mib)
    assert {call for line in lines for call in line.calls} == {"hold"}
    machine.uses(95 * mib)  # 7 MiB too many
    given_up = [line.calls[-1] for line in (largest, larger)]
    assert given_up == ["memory is short (resources.memory_read)"] * 2
    assert (large.calls[-1], small.calls[-1]) == ("hold", "hold")
    assert machine.counts.count("memory_dropped") == 2
    assert "2 connections were closed that held 9 MiB" in caplog.text


def test_below_the_watermarks_everything_comes_back_by_itself(machine):
    machine.uses(950)
    machine.uses(885)  # not far enough below 0.9
    assert machine.state == (False, False)
    machine.uses(870)
    assert machine.state == (False, True)
    (line,) = machine.lines
    assert line.calls[-1] == "release"
    machine.uses(700)
    assert machine.state == (True, True)
    assert machine.intake.memory_is_short is False


def test_watermarks_of_zero_are_none():
    machine = Machine(memory_accept=0, memory_read=0, disk_free_bytes=0, disk_stop_bytes=0)
    machine.uses(2000)
    machine.has_free(0)
    assert machine.state == (True, True)
    assert machine.watermarks.disk_is_low is False
    assert machine.watermarks.stops == ""


def test_memory_that_is_not_known_is_no_watermark(machine):
    machine.uses(None)
    assert machine.state == (True, True)


def test_worker_processes_share_the_memory():
    machine = Machine(memory_bytes=1000)
    shared = Watermarks(
        ResourceSettings(memory_bytes=1000),
        processes=4,
        folders=[],
        connections=(),
        intake=machine.intake,
        timers=machine.timers,
        observer=machine,
        hold_events=machine.held.append,
        alert=lambda *_: None,
    )
    assert shared.memory_limit_bytes == 250


def test_a_disk_that_is_nearly_full_ends_the_history_and_is_told(machine, caplog):
    machine.has_free(999)
    assert machine.watermarks.disk_is_low is True
    assert machine.watermarks.free_bytes == 999
    assert machine.held == [
        "the disk is nearly full: 0 MiB of the disk with /data are free (resources.disk_free_bytes)"
    ]
    assert machine.counts == ["disk_low"]
    ((subject, text),) = machine.alerts
    assert subject == "disk nearly full"
    assert "(resources.disk_free_bytes)" in text
    assert "(resources.disk_free_bytes)" in caplog.text


def test_a_disk_with_room_again_takes_the_history_again(machine):
    machine.has_free(999)
    machine.has_free(1050)
    assert machine.watermarks.disk_is_low is True
    machine.has_free(1101)
    assert machine.watermarks.disk_is_low is False
    assert machine.held[-1] == ""
    assert len(machine.alerts) == 1


def test_a_disk_that_cannot_be_looked_at_is_not_full(machine):
    machine.has_free(None)
    assert machine.watermarks.free_bytes is None
    assert machine.watermarks.disk_is_low is False
    assert machine.watermarks.stops == ""


def test_below_the_lower_mark_of_the_disk_no_record_is_taken_and_all_is_told_before(machine, caplog):
    machine.has_free(500)
    assert machine.stopped == []
    machine.has_free(499)
    reason = "no record is taken: only 0 MiB of the disk with /data are free (resources.disk_stop_bytes)"
    assert machine.stopped == [reason] == [machine.watermarks.stops]
    assert machine.counts == ["disk_low", "disk_full"]
    assert [subject for subject, _ in machine.alerts] == ["disk nearly full", "disk full"]
    assert "(resources.disk_stop_bytes)" in caplog.text


def test_records_are_taken_again_when_there_is_room_or_the_mark_is_lower(machine):
    machine.has_free(499)
    machine.has_free(540)
    assert machine.stopped[-1] != ""
    machine.has_free(551)
    assert machine.stopped[-1] == ""
    machine.has_free(400)
    machine.watermarks.take(ResourceSettings(disk_stop_bytes=100))
    machine.has_free(400)
    assert machine.stopped[-1] == ""
    assert machine.watermarks.stops == ""


def test_the_disk_of_the_logs_stops_no_record(machine):
    machine.free["/logs"] = 0
    machine.folders.append("/logs")
    machine.has_free(10_000)
    assert machine.watermarks.disk_is_low is True
    assert machine.stopped == []


def test_near_a_watermark_memory_is_looked_at_more_often(machine):
    machine.uses(700)
    machine.used = 801
    machine.clock.advance(0.25)
    assert machine.state == (False, True)


def test_the_same_state_is_told_once(machine, caplog):
    caplog.set_level(logging.WARNING)
    for used in (901, 905, 910, 920):
        machine.uses(used)
        machine.has_free(10)
    assert machine.counts == ["memory_high", "memory_full", "disk_low", "disk_full"]
    assert len(caplog.records) == 4


def test_it_looks_no_more_once_it_is_stopped(machine):
    machine.watermarks.stop()
    machine.uses(901)
    assert machine.state == (True, True)
    assert len(machine.timers) == 0


def test_a_disk_of_the_store_that_cannot_be_looked_at_is_logged_at_the_start(caplog):
    machine = Machine()
    machine.watermarks.stop()
    machine.free["/data"] = None
    machine.watermarks.start()
    machine.clock.advance(1)
    assert machine.watermarks.room_bytes is None
    assert "the disk with /data cannot be looked at: when it is full for records is not known" in caplog.text
