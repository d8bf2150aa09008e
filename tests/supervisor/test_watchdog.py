"""A blocked hub is reported by a native thread, with the stack that blocks it."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from gevent.event import Event

from chargehand import Plugin, Settings, SupervisionSettings, passive, v16
from chargehand.supervisor.watchdog import Watchdog

from ..hub import settle, until
from ..in_process import QUICK, connect, system_with

TASKS = Path("/proc/self/task")
LIMIT_S = 0.1

BLOCKED = """
import sys, time
{patch}
import gevent
from chargehand import CentralSystem, Settings, SupervisionSettings

def grind():
    until = time.perf_counter() + 1.0
    while time.perf_counter() < until:
        sum(range(1000))

def block():
    (grind if sys.argv[1] == "computes" else lambda: blocking_call(1.0))()

blocking_call = {sleep}

with CentralSystem(Settings(port=0, supervision=SupervisionSettings(watchdog_s=0.2, watchdog_stderr=True))) as system:
    gevent.sleep(0.3)
    assert "hub_blocked" not in system.counters.counts, "it was not blocked yet"
    print("before", flush=True)
    block()
    print("after", flush=True)
    gevent.sleep(0.3)
    print("counted", system.counters.counts.get("hub_blocked"), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["computes", "sleeps in C"])
@pytest.mark.parametrize("patched", [False, True], ids=["plain", "patched"])
def test_a_blocked_hub_is_reported_while_it_is_blocked_and_counted_afterwards(how, patched):
    source = BLOCKED.format(
        patch="from gevent import monkey; monkey.patch_all()" if patched else "",
        sleep="__import__('gevent.monkey').monkey.get_original('time', 'sleep')" if patched else "time.sleep",
    )
    with subprocess.Popen(
        [sys.executable, "-c", source, how],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    lines = output.splitlines()
    report = next(i for i, line in enumerate(lines) if "the hub has been blocked for" in line)
    assert lines.index("before") < report < lines.index("after"), output
    assert " in block\n" in output
    assert (" in grind\n" in output) == (how == "computes")
    assert lines[-1] == "counted 1", output
    assert output.count("the hub has been blocked for") == 1


@pytest.fixture
def reports():
    return []


@pytest.fixture
def watchdog(reports):
    read, write = os.pipe()
    watchdog = Watchdog(LIMIT_S, lambda *report: reports.append(report), descriptor=write)
    watchdog.start()
    yield watchdog
    watchdog.stop()
    os.close(read)
    os.close(write)


def block(seconds):
    """Block the hub's thread."""
    time.sleep(seconds)  # what is not to be done


def test_the_hub_is_told_for_how_long_and_by_what(watchdog, reports):
    settle()
    block(5 * LIMIT_S)
    until(lambda: reports)
    ((seconds, handler, stack),) = reports
    assert handler == ""
    assert 4 * LIMIT_S < seconds < 50 * LIMIT_S
    assert "in block" in stack


def test_each_time_is_reported_once(watchdog, reports):
    for times in range(1, 4):
        settle()
        block(5 * LIMIT_S)
        until(lambda: len(reports) == times)  # noqa: B023
    assert len(reports) == 3


def test_a_hub_that_runs_is_left_alone(watchdog, reports):
    ends_at = time.monotonic() + 5 * LIMIT_S
    until(lambda: time.monotonic() > ends_at)
    assert reports == []


def test_greenlets_that_wait_do_not_block_the_hub(watchdog, reports):
    Event().wait(5 * LIMIT_S)  # a greenlet that waits, in real time: that is what the watchdog measures
    assert reports == []


@pytest.mark.skipif(not TASKS.exists(), reason="threads are counted in /proc")
def test_its_thread_has_ended_when_it_is_stopped():
    before = set(TASKS.iterdir())
    watchdogs = [Watchdog(LIMIT_S, lambda *_: None) for _ in range(5)]
    for watchdog in watchdogs:
        watchdog.start()
    assert len(set(TASKS.iterdir()) - before) == 5
    for watchdog in watchdogs:
        watchdog.stop()
        watchdog.stop()  # safe to repeat
    until(lambda: set(TASKS.iterdir()) <= before)


def test_a_report_that_cannot_be_written_stops_nothing(reports):
    read, write = os.pipe()
    os.close(read)
    watchdog = Watchdog(LIMIT_S, lambda *report: reports.append(report), descriptor=write)
    watchdog.start()
    for times in (1, 2):
        settle()
        block(5 * LIMIT_S)
        until(lambda: len(reports) == times)  # noqa: B023
    begun_at = time.monotonic()
    watchdog.stop()
    assert time.monotonic() - begun_at < 60
    os.close(write)


def test_without_a_descriptor_only_the_hub_is_told(reports, capfd):
    watchdog = Watchdog(LIMIT_S, lambda *report: reports.append(report), descriptor=None)
    watchdog.start()
    settle()
    block(5 * LIMIT_S)
    until(lambda: reports)
    watchdog.stop()
    assert capfd.readouterr().err == ""


def test_a_system_logs_which_handler_has_blocked_the_hub(caplog, capfd):
    class Blocks(Plugin):
        @passive(v16.Authorize)
        def authorize(self, call):
            time.sleep(0.3)  # blocks the hub: that is the case
            return {"idTagInfo": {"status": "Accepted"}}

    settings = Settings(port=0, supervision=replace(QUICK, watchdog_s=LIMIT_S))
    with system_with(Blocks, settings=settings) as system, connect(system) as charge_point:
        charge_point.send(v16.Authorize(id_tag="T1"))
        until(lambda: system.counters.counts.get("hub_blocked"))
    lines = [record.getMessage() for record in caplog.records if "the hub was blocked" in record.getMessage()]
    assert "Blocks.authorize: mark it as blocking=True" in lines[0]
    assert "the hub has been blocked" not in capfd.readouterr().err


def test_the_watchdog_is_on_unless_it_is_turned_off():
    assert SupervisionSettings().watchdog_s == 1.0
    assert not SupervisionSettings().watchdog_stderr
