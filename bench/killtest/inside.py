"""Plugins in the server that is killed: one notes events, the other one crashes plugins and sessions at a signal.

The server imports them by their names. What they note is in files of the process, which are on their way to the disk
before a handler ends: SIGKILL takes nothing of that back.
"""

import contextlib
import itertools
import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import gevent
from pykka.messages import ProxyCall

from chargehand import Plugin, TransactionEnded, TransactionStarted, on
from chargehand.actors.runtime.cell import CellPhase

READY = "ready-"
"""Beginning of the name of a file that is there while its process may be told to crash something."""
CRASHES = "crashes-"
"""Beginning of the name of the file that has the crashes of a process."""
OF_PLUGIN, OF_SESSION = signal.SIGUSR1, signal.SIGUSR2
FAILS = 0.005
"""Share of the events at which the handler fails, half of them before it has noted the event."""


class Planted(Exception):
    """Reason of a crash that this run has made."""


class Noted(Plugin):
    """Plugin that notes events in `folder`, and now and then fails at one if it `fails`."""

    def __init__(self, folder: str, *, fails: bool) -> None:
        super().__init__()
        self._file = os.open(f"{folder}/{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._fails = FAILS / 2 if fails else 0.0

    @on(TransactionStarted, TransactionEnded)
    def take(self, event: TransactionStarted | TransactionEnded) -> None:
        """Note an event."""
        self._fail()
        line = [time.time_ns(), type(event).__name__, event.id, event.charge_point_id, event.transaction.id]
        os.write(self._file, json.dumps(line).encode() + b"\n")
        self._fail()

    def _fail(self) -> None:
        if random.random() < self._fails:
            raise Planted("at an event")


class Crasher(Plugin):
    """Plugin that crashes a plugin at SIGUSR1, and a session at SIGUSR2; it notes in `folder` what it has crashed."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = Path(folder)
        self._plugins = itertools.cycle(("Noted", "back-office", "back-office-201"))
        self._harmful = itertools.cycle((True, False))
        self._signals: list[Any] = []

    def on_start(self) -> None:
        """Wait for signals; the file says so."""
        self._signals = [
            gevent.signal_handler(OF_PLUGIN, self._crash_plugin),
            gevent.signal_handler(OF_SESSION, self._crash_session),
        ]
        (self._folder / f"{READY}{os.getpid()}").touch()

    def on_stop(self) -> None:
        """Wait for no signals any more."""
        with contextlib.suppress(FileNotFoundError):
            (self._folder / f"{READY}{os.getpid()}").unlink()

    def _crash_plugin(self) -> None:
        """Kill the actor of a plugin, with the handlers that run."""
        system: Any = self.system
        cell = system._parts.operations.plugin_cell(next(self._plugins))  # noqa: SLF001 - nobody else kills a plugin
        if cell is not None and cell.phase is CellPhase.RUNNING:
            cell.kill()
            self._note("plugin")

    def _crash_session(self) -> None:
        """Make a session fail: at the next CALL of its charge point, or at a message of nobody's."""
        system: Any = self.system
        cells = [
            cell
            for cell in system._parts.directory  # noqa: SLF001 - nobody else crashes a session
            if cell.newest is not None and cell.phase is CellPhase.RUNNING
        ]
        if not cells:
            return
        cell = random.choice(cells)
        if next(self._harmful):
            cell.session.incoming = Trap(cell.session.incoming, lambda: self._note("session"))
        else:
            cell.tell(ProxyCall(attr_path=("on_receive",), args=Bomb(), kwargs={}))  # type: ignore[arg-type]
            self._note("session")

    def _note(self, what: str) -> None:
        with (self._folder / f"{CRASHES}{os.getpid()}").open("a") as file:
            file.write(f"{what}\n")


class Bomb:
    """Arguments of a proxy call that raise an error when they are unpacked."""

    def __iter__(self) -> Any:
        raise Planted("at a message")


class Trap(dict[Any, Any]):
    """Table of the unanswered CALLs of a session that raises once, when the next one is entered; `sprung` is told."""

    def __init__(self, calls: dict[Any, Any], sprung: Any) -> None:
        super().__init__(calls)
        self._sprung = sprung

    def __setitem__(self, key: Any, value: Any) -> None:
        if value is not None and self._sprung is not None:
            sprung, self._sprung = self._sprung, None
            sprung()
            raise Planted("at a CALL")
        super().__setitem__(key, value)
