"""A worker as its parent has it: the process, and the parent's end of the channel."""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import TYPE_CHECKING, Any

import gevent
from gevent import socket
from gevent.event import Event
from gevent.subprocess import Popen

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND = (sys.executable, "-m", "chargehand", "serve-worker")


class WorkerProcess:
    """Started by its constructor, which is handed what to tell it first. Raises OSError."""

    def __init__(self, first: bytes, command: Sequence[str] = COMMAND) -> None:
        self.ready = Event()
        self._channel, theirs = socket.socketpair()
        self._to_tell = [first]
        self._told = Event()
        self._told.set()
        try:
            with theirs:
                # A group of its own: the terminal's Ctrl-C is for the parent, which stops its workers.
                self._process: Any = Popen([*command], stdin=theirs.fileno(), process_group=0)
        except OSError:
            self._channel.close()
            raise
        self.pid: int = self._process.pid
        self._greenlets = [gevent.spawn(self._listen), gevent.spawn(self._tell)]

    def tell(self, message: bytes) -> None:
        """Tell it something. Of what waits to be told only the newest counts, but for the first."""
        del self._to_tell[1:]
        self._to_tell.append(message)
        self._told.set()

    def _tell(self) -> None:
        with contextlib.suppress(OSError):  # it has ended
            while True:
                self._told.wait()
                self._told.clear()
                while self._to_tell:
                    message = self._to_tell[0]
                    self._channel.sendall(message)
                    self._to_tell.remove(message)

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            if self._channel.recv(1):
                self.ready.set()

    def wait(self) -> int:
        """Wait for its end; its exit status, negative for a signal. Then nothing of it is left."""
        try:
            return int(self._process.wait())
        finally:
            gevent.killall(self._greenlets)
            self._channel.close()

    def stop(self) -> None:
        """Have it stop in order."""
        with contextlib.suppress(OSError):
            self._channel.shutdown(socket.SHUT_RDWR)

    def kill(self) -> None:
        """End it without a word."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


def ending(status: int) -> str:
    """An exit status in words."""
    if status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
