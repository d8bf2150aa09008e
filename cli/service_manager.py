"""Notifications to the service manager, as systemd's sd_notify: ready, reloading, stopping, and that the hub runs.

One rule: without `NOTIFY_SOCKET` in the environment nothing is sent and nothing runs. The variables are taken out of
the environment, so that no worker process, and nothing that a plugin starts, speaks for this process.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any

import gevent
from gevent import socket

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

logger = logging.getLogger(__name__)

SEND_S = 1.0
"""Seconds that a notification waits for a service manager that reads none."""
BEATS = 3
"""Notifications within the time of the service manager's watchdog."""


class ServiceManager:
    """Service manager of this process; `watchdog_s` is the time of its watchdog, 0 without one.

    Belongs to the hub's thread; sending may switch greenlets.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "")
        limit_us, process = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
        meant = process in ("", str(os.getpid()))
        self.watchdog_s = int(limit_us) / 1e6 if self._address and meant and limit_us.isdecimal() else 0.0
        self._beating: Any = None

    @property
    def beat_s(self) -> float:
        """Seconds between two notifications that the hub runs; 0 without a watchdog."""
        return self.watchdog_s / BEATS

    def ready(self, status: str = "serving") -> None:
        """Notify that the process serves, and from now on that its hub runs."""
        self._send("READY=1", f"STATUS={status}")
        if self.watchdog_s and self._beating is None:
            self._beating = gevent.spawn(beat, self.beat_s, lambda: self._send("WATCHDOG=1"))

    def reloading(self) -> None:
        """Notify that settings are read again; `ready` follows."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Notify that the process stops. The hub beats on: one that hangs while it stops is ended, too."""
        self._send("STOPPING=1")

    def close(self) -> None:
        """Send nothing more."""
        self._address = ""
        if self._beating is not None:
            self._beating.kill()
            self._beating = None

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        # A name that begins with @ is in the abstract namespace.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(SEND_S)
                sender.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            logger.warning("%s was not sent to the service manager: %s", lines[0], error)


def beat(interval_s: float, send: Callable[[], object]) -> None:
    """Call `send` again and again, for ever: as long as the hub gives greenlets their turns, and no longer."""
    while True:
        gevent.sleep(interval_s)
        send()
