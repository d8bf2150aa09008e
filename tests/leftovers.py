"""What a test has left behind: actors, greenlets, descriptors and child processes that were not there before it."""

import contextlib
import gc
import os
import time
import weakref
from pathlib import Path

import gevent
from gevent.hub import Hub
from greenlet import getcurrent, greenlet

from chargehand.actors.runtime.cell import Cell, Phase

DESCRIPTORS = Path("/proc/self/fd")
PROCESSES = Path("/proc")
PAUSE_S = 0.001


class Snapshot:
    """What there is before a test. Without `objects` no object of Python's is looked at: that is the dear part."""

    def __init__(self, *, objects: bool = True) -> None:
        self._objects = objects
        found = self._find_objects()
        self._greenlets = weakref.WeakSet(one for one in found if isinstance(one, greenlet))
        self._cells = weakref.WeakSet(one for one in found if isinstance(one, Cell))
        self._descriptors = set(descriptors().items())
        self._children = children()

    def _find_objects(self) -> list[greenlet | Cell]:
        return living_objects() if self._objects else []

    def left_behind(self, timeout_s: float = 2.0) -> list[str]:
        """One line for everything that is new, when it has had its chance to end."""
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
        left += [f"child process {number}" for number in children() - self._children]
        return left


def living_objects() -> list[greenlet | Cell]:
    """Actors that run, and greenlets of this thread's hub that have begun and not ended, but for the hub's own."""
    main = root_of(getcurrent())
    mine = set()
    greenlet_up: greenlet | None = getcurrent()
    while greenlet_up is not None:
        mine.add(greenlet_up)
        greenlet_up = greenlet_up.parent
    found: list[greenlet | Cell] = []
    for one in gc.get_objects():
        kind = type(one)
        if issubclass(kind, greenlet):
            if bool(one) and one not in mine and not isinstance(one, Hub) and root_of(one) is main:
                found.append(one)
        elif issubclass(kind, Cell) and getattr(one, "phase", None) in (Phase.STARTING, Phase.RUNNING):
            found.append(one)
    return found


def root_of(one: greenlet) -> greenlet:
    """The main greenlet of the thread that a greenlet belongs to."""
    while one.parent is not None:
        one = one.parent
    return one


def where(one: greenlet) -> str:
    """The line at which a greenlet waits."""
    frame = one.gr_frame
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame is not None else "its start"


def descriptors() -> dict[int, str]:
    """The open descriptors and what they are; empty where there is no /proc."""
    found = {}
    with contextlib.suppress(OSError):
        for entry in DESCRIPTORS.iterdir():
            with contextlib.suppress(OSError):  # the one that reads the folder is gone again
                found[int(entry.name)] = str(entry.readlink())
    return found


def children() -> set[int]:
    """The child processes, dead ones that nobody has waited for among them."""
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
