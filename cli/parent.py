"""`chargehand serve --workers N`: the parent of the worker processes.

It serves no charge point itself. It owns what must exist once: the lock, the token, the run file, the ports, the
connection that writes to SQLite, and the coordinator server.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent

from .. import __version__
from ..actors.runtime import threads
from ..config.reload import reloaded, with_values
from ..config.worker_process import Worker
from ..remote.cluster.coordinator_server import CoordinatorServer, CoordinatorServerError
from ..store.factory import SQLITE_FILE
from ..store.shared import REMOVALS_KEPT_S
from ..store.sqlite import SqliteFile
from ..store.store import StoreError
from ..store.store_server import StoreServer
from ..supervisor.rules import Policy
from ..transport.shared_port import hold
from ..web.token import choose_token, publish_token
from .addresses import Wanted, announce, introduce, listeners
from .channel import handover, worker_views
from .failures import FAILED, NEXT_OF_STORE, CommandFailed
from .reloading import log_reload, read_again
from .stop_signals import StopSignals
from .workers import WorkerProcess, Workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config.settings import Settings
    from .data_folder import DataFolder
    from .log_levels import Levels
    from .service_manager import ServiceManager

logger = logging.getLogger(__name__)

STORE_SOCKET = "store.socket"
COORDINATOR_SOCKET = "coordinator.socket"
SOCKET_PATH_BYTES = 100
"""Longest path of a socket; the limit is 107 on Linux, 103 on other systems."""

WORKERS_STUCK_S = 1.5
"""Seconds that a worker has beyond its system's time to stop; meanwhile it reports where it is stuck."""
STUCK_S = 3.0
"""Seconds that this process has beyond that; then its stacks are printed, and it ends."""
PORT_FREE_S = 6.0
"""Seconds that the workers of a killed parent have to free its ports."""
PORT_PAUSE_S = 0.05


class Parent:
    """Prefork parent: owns the data folder, the ports, the SQLite writer and the worker processes."""

    def __init__(
        self,
        settings: Settings,
        folder: DataFolder,
        *,
        levels: Levels,
        read: Callable[[], Settings],
        manager: ServiceManager,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._levels = levels
        self._read = read
        self._manager = manager
        self._handed_over = settings  # with the ports that were taken, and the token
        limit_s = settings.supervision.stop_timeout_s
        self._limit_s = limit_s + WORKERS_STUCK_S if limit_s else None
        self._signals = StopSignals(limit_s and limit_s + STUCK_S)
        self._failed = gevent.event.Event()

    def run(self) -> int:
        """Start, watch, stop; returns the exit status."""
        self._signals.catch()
        logger.info("chargehand %s, process %d, %d workers", __version__, os.getpid(), self._settings.workers)
        introduce(self._settings)
        try:
            with contextlib.ExitStack() as stack:
                return self._serve(stack)
        finally:
            self._signals.stopped()

    def _serve(self, stack: contextlib.ExitStack) -> int:
        settings = self._settings
        token = choose_token(settings)
        publish_token(settings, token if settings.http.enabled else None)
        settings = self._hold_ports(replace(settings, http=replace(settings.http, token=token or "")), stack)
        self._handed_over = settings
        sockets = self._socket_folder(stack)
        store_path = self._start_store(sockets, stack)
        coordinator_server = CoordinatorServer(str(sockets / COORDINATOR_SOCKET))
        try:
            coordinator_server.start()
        except CoordinatorServerError as error:
            raise CommandFailed(
                f"cannot start: {error}", "see who has its socket, or start with another --data folder"
            ) from error
        stack.callback(coordinator_server.stop)

        def spawn(number: int, *, first: bool) -> WorkerProcess:
            worker = Worker(
                number=number,
                store_path=store_path,
                coordinator_path=coordinator_server.path,
                first=first and number == 1,
                all=workers.views(),
                reloads=workers.reloads,
                beat_s=self._manager.beat_s,
            )
            return WorkerProcess(handover(self._handed_over, worker), reload=workers.reload)

        workers = Workers(
            settings.workers,
            self._policy(),
            spawn,
            lambda views, reloads: worker_views(views, reloads, self._handed_over),
            hang_s=self._manager.watchdog_s,
        )
        self._signals.reload_with(lambda: self._reload(workers))
        in_order = False
        workers.start()
        try:
            status = self._watch(workers, settings)
            self._manager.stopping()
            self._folder.remove_run()
        finally:
            in_order = workers.stop(self._limit_s)
            self._manager.close()
        if status:
            return status
        logger.info("stopped")
        return 0 if in_order else FAILED

    def _reload(self, workers: Workers) -> None:
        """Read the settings again, and have all worker processes take them, and read the files of TLS."""
        self._manager.reloading()
        new = read_again(self._read)
        if new is not None:
            told = reloaded(self._settings, new)
            self._settings = told.settings
            self._handed_over = with_values(self._handed_over, told.settings, told.changed)
            self._levels.configure(told.settings.log)
            if told.settings.http.token:
                publish_token(told.settings, None)
            log_reload(told)
        workers.reload()
        self._manager.ready()

    def _watch(self, workers: Workers, settings: Settings) -> int:
        """Wait for a signal; the exit status that is left, if the workers or the store gave up before."""
        ends = (self._signals.asked, workers.gave_up, self._failed)
        gevent.wait([workers.serving, *ends], count=1)
        if not any(one.ready() for one in ends):
            announce(replace(settings, http=self._settings.http), Wanted.by(settings), self._folder)
            self._manager.ready()
            gevent.wait([*ends], count=1)
        if workers.gave_up.ready():
            return int(workers.gave_up.get() or FAILED)
        return FAILED if self._failed.is_set() else 0

    # -- Parts that exist once ----------------------------------------------------------------------

    def _hold_ports(self, settings: Settings, stack: contextlib.ExitStack) -> Settings:
        """Take the ports; returns the settings with those that were taken. Raises OSError."""
        taken = {}
        for scheme, address in listeners(settings, Wanted.by(settings)).items():
            held = self._hold(address)
            stack.callback(held.close)
            taken[scheme] = held.getsockname()[1]
        return replace(
            settings,
            port=taken.get("ws", settings.port),
            tls=replace(settings.tls, port=taken.get("wss", settings.tls.port)),
            http=replace(settings.http, port=taken.get("http", settings.http.port)),
        )

    def _hold(self, address: tuple[str, int]) -> Any:
        """Take a port; workers whose parent was killed may still have it for a moment."""
        until = time.monotonic() + (PORT_FREE_S if self._folder.abandoned else 0)
        while True:
            try:
                return hold(address)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() >= until or self._signals.heard:
                    raise
            gevent.sleep(PORT_PAUSE_S)

    def _socket_folder(self, stack: contextlib.ExitStack) -> Path:
        """The data folder, or one with a shorter path."""
        folder = self._folder.path.absolute()
        if len(os.fsencode(folder / COORDINATOR_SOCKET)) <= SOCKET_PATH_BYTES:
            return folder
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chargehand-")))

    def _start_store(self, folder: Path, stack: contextlib.ExitStack) -> str:
        """Start what writes, if this is the process that does; returns the path of its socket, else ""."""
        if self._settings.store != "sqlite":
            return ""
        file = str(self._folder.path / SQLITE_FILE)
        path = str(folder / STORE_SOCKET)
        server = StoreServer(
            path,
            lambda: SqliteFile(file, removals_kept_s=REMOVALS_KEPT_S),
            threads,
            failed=self._store_failed,
        )
        try:
            server.start()
        except StoreError as error:
            raise CommandFailed(f"cannot start: {error}", NEXT_OF_STORE) from error
        stack.callback(server.stop)
        return path

    def _store_failed(self, error: Exception) -> None:
        logger.critical("the store has failed", exc_info=error)
        self._failed.set()

    def _policy(self) -> Policy:
        """Return the policy of the root supervisor."""
        return Policy.of(self._settings.supervision)
