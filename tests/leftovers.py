"""Leftovers of a test: actors, greenlets, native threads, descriptors and child processes that it did not find."""

import contextlib
import gc
import os
import sys
import threading
import time
import weakref
from pathlib import Path

import gevent
from gevent.hub import Hub
from greenlet import getcurrent, greenlet

from chargehand.actors.runtime.cell import Cell, CellPhase

DESCRIPTORS = "/proc/self/fd"
PROCESSES = Path("/proc")
PAUSE_S = 0.001
OBJECTS_LOOKED_AT = 4_000
"""Number of objects from which on those that survived earlier tests are frozen in the collector."""


class Snapshot:
    """Actors, greenlets, threads, descriptors and processes before a test; without `objects` no actors and greenlets.

    Surviving objects are frozen when there are many: checking each would take longer than most tests. They are not new
    to any later test, so nothing is missed.
    """

    def __init__(self, *, objects: bool = True) -> None:
        if objects and len(gc.get_objects()) > OBJECTS_LOOKED_AT:
            gc.collect()
            gc.freeze()
        self._objects = objects
        found = self._find_objects()
        self._greenlets = weakref.WeakSet(one for one in found if isinstance(one, greenlet))
        self._cells = weakref.WeakSet(one for one in found if isinstance(one, Cell))
        self._descriptors = set(descriptors().items())
        self._threads = set(native_threads())
        self._children = children()

    def _find_objects(self) -> list[greenlet | Cell]:
        return living_objects() if self._objects else []

    def left_behind(self, timeout_s: float = 2.0) -> list[str]:
        """List everything that is new, a line each, after a time in which it may end."""
        ends_at = time.monotonic() + timeout_s
        while (left := self._new()) and time.monotonic() < ends_at:
            gevent.sleep(PAUSE_S)
        return left

    def end_greenlets(self) -> None:
        """Kill the greenlets that are new."""
        new = (one for one in self._find_objects() if isinstance(one, gevent.Greenlet))
        gevent.killall([one for one in new if one not in self._greenlets], timeout=1.0)

    def _new(self) -> list[str]:
        left = []
        for one in self._find_objects():
            if isinstance(one, Cell):
                if one not in self._cells:
                    left.append(f"actor {one.urn} is {one.phase}")
            elif one not in self._greenlets:
                left.append(f"greenlet {one!r} at {where(one)}")
        left += [
            f"descriptor {number}: {name}" for number, name in set(descriptors().items()) - self._descriptors
        ]
        left += [f"thread {name}" for ident, name in native_threads().items() if ident not in self._threads]
        left += [f"child process {number}" for number in children() - self._children]
        return left


def living_objects() -> list[greenlet | Cell]:
    """List running actors, and greenlets of this thread's hub that have begun and not ended, except the hub's own."""
    main = root_of(getcurrent())
    mine = set()
    greenlet_up: greenlet | None = getcurrent()
    while greenlet_up is not None:
        mine.add(greenlet_up)
        greenlet_up = greenlet_up.parent
    found: list[greenlet | Cell] = []
    kinds = (greenlet, Cell)
    for one in [one for one in gc.get_objects() if issubclass(type(one), kinds)]:
        if isinstance(one, Cell):
            if getattr(one, "phase", None) in (CellPhase.STARTING, CellPhase.RUNNING):
                found.append(one)
        elif bool(one) and one not in mine and not isinstance(one, Hub) and root_of(one) is main:
            found.append(one)
    return found


def root_of(one: greenlet) -> greenlet:
    """Return the main greenlet of a greenlet's thread."""
    while one.parent is not None:
        one = one.parent
    return one


def where(one: greenlet) -> str:
    """Return the file and line at which a greenlet waits."""
    frame = one.gr_frame
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "its start"


def native_threads() -> dict[int, str]:
    """List the native threads that run Python, with their place, except the caller's and those of the hub's pool.

    The hub keeps its pool, whose threads are known one by one.
    """
    # gevent has no public list of them.
    pool = {worker._thread_ident for worker in gevent.get_hub().threadpool._worker_greenlets}
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return {
        ident: f"{names.get(ident, ident)} at {frame.f_code.co_filename}:{frame.f_lineno}"
        for ident, frame in sys._current_frames().items()
        if ident != threading.get_ident() and ident not in pool
    }


def descriptors() -> dict[int, str]:
    """List the open descriptors and their files; empty where there is no /proc."""
    found = {}
    with contextlib.suppress(OSError):
        for number in os.listdir(DESCRIPTORS):  # noqa: PTH208 - paths cost more than all the rest here
            with contextlib.suppress(OSError):  # the one that reads the folder is gone again
                found[int(number)] = os.readlink(f"{DESCRIPTORS}/{number}")  # noqa: PTH115
    return found


def children() -> set[int]:
    """List the child processes, including zombies."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()
    found = set()
    for entry in PROCESSES.glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            after_name = entry.read_text(errors="replace").rpartition(")")[2].split()
            if int(after_name[1]) == os.getpid():
                found.add(int(entry.parent.name))
    return found
