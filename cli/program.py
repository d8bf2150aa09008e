"""`chargehand serve`: a central system as a process, from its settings to its exit status.

One rule: at its end it reports the reason in one line, and leaves a folder that the next process can use.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import resource
import sys
from typing import TYPE_CHECKING

import gevent

from .. import __version__
from ..config.errors import ChargehandError, ConfigError
from ..config.rendering import redacted
from ..store.store import StoreError
from ..system.central_system import CentralSystem, SystemFailed
from ..transport.tls import TlsError
from ..web.server import serve_http
from ..web.token import publish_token
from .addresses import announce, introduce, say
from .configuration import find_plugins_here, read_settings, unusable
from .data_folder import DataFolder, FolderInUse
from .failures import FAILED, NEXT_OF_STORE, CommandFailed, CommandMisused
from .log_levels import LevelFollower, Levels
from .logs import configure
from .parent import Parent
from .reloading import log_reload, read_again
from .service_manager import ServiceManager
from .stop_signals import StopSignals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..config.settings import Settings
    from ..config.worker_process import Worker

logger = logging.getLogger(__name__)

STUCK_S = 1.0
"""Seconds that the process has beyond the system's time to stop; then its stacks are printed, and it ends."""


def serve(config: str | None, overrides: Mapping[str, object], *, print_settings: bool = False) -> int:
    """Serve until a signal comes; returns the exit status. Raises `CommandFailed`."""
    settings = read_settings(config, overrides, serves=True)
    if print_settings:
        say(redacted(settings))
    find_plugins_here()
    try:
        with DataFolder(settings.data) as folder:
            levels = configure(
                settings.log,
                workers=settings.workers,
                least_free_bytes=settings.resources.disk_free_bytes,
            )

            def read() -> Settings:
                return read_settings(config, overrides, serves=True)

            manager = ServiceManager()
            if settings.workers > 1:
                return Parent(settings, folder, levels=levels, read=read, manager=manager).run()
            return Program(settings, folder, levels=levels, read=read, manager=manager).run()
    except FolderInUse as error:
        raise CommandFailed(
            str(error), "stop that server first, or give this one another folder with --data"
        ) from error
    except OSError as error:
        raise cannot_start(error) from error


def cannot_start(error: OSError) -> CommandFailed:
    """Describe an OSError and its place: gevent puts the address into `strerror`, files have a name beside it."""
    text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    return CommandFailed(f"cannot start: {text}", next_after(error))


def next_after(error: OSError) -> str:
    """Say what to do about an error of the system at the start."""
    if error.errno == errno.EADDRINUSE:
        return "stop the server that has the port, or choose others with --port and --http-port; 0 is any free one"
    if error.errno == errno.EADDRNOTAVAIL:
        return "give an address of this machine with --host"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "take a port above 1023, or a folder that this user may write: --data"
    if error.errno == errno.ENOSPC:
        return "make room on the disk, or name a folder on another one with --data"
    return "correct that, or choose another folder (--data) or other ports"


COLLECT_AFTER = (20_000, 4, 250)
"""Objects made, and collections of each generation, before the next one is looked through. A session makes some twenty
objects for a call and leaves none, so Python's own 700 would have the collector run after every few calls. But
100,000 objects that stay, as those of 1,000 new connections do, take it 30 ms, and everybody waits meanwhile."""


def tune_collector() -> None:
    """Exclude the objects made by the start from garbage collection, and let the collector run less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


class Program:
    """Run of one central system. A `worker` process leaves the announcement and the data folder to its parent.

    `read` reads the settings again at SIGHUP.
    """

    def __init__(
        self,
        settings: Settings,
        folder: DataFolder | None = None,
        worker: Worker | None = None,
        *,
        levels: Levels | None = None,
        read: Callable[[], Settings] | None = None,
        manager: ServiceManager | None = None,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._read = read
        self._manager = ServiceManager({}) if manager is None else manager
        limit_s = settings.supervision.stop_timeout_s
        self._signals = StopSignals(limit_s and limit_s + STUCK_S)
        self._system = CentralSystem(settings, worker=worker, http=serve_http)
        self._levels = Levels(settings.log) if levels is None else levels

    def run(self) -> int:
        """Start, serve, stop."""
        self._signals.catch()
        logger.info("chargehand %s, process %d, Python %s", __version__, os.getpid(), sys.version.split()[0])
        logger.debug("open files are limited to %d", raise_open_files())
        self._introduce()
        self._start()
        if self._read is not None:
            self._signals.reload_with(self._reload_file)
        tune_collector()
        following = gevent.spawn(LevelFollower(self._system, self._levels).run)
        try:
            self._announce()
            failure = self._serve()
            self._manager.stopping()
            self._withdraw()
        finally:
            following.kill()
            self._manager.close()
            self._system.stop()
            self._signals.stopped()
        if failure is not None:
            logger.critical("the system cannot go on: %s", failure)
            return FAILED
        logger.info("stopped")
        return 0

    def reload(self, settings: Settings | None = None) -> None:
        """Read the files of TLS again, and let settings count; those of no use are logged. From any thread."""
        try:
            if settings is not None:
                told = self._system.apply_settings(settings)
                self._levels.configure(told.settings.log)
                if self._folder is not None:
                    if told.settings.http.token:
                        publish_token(told.settings, None)
                    log_reload(told)
                logger.debug("settings changed in this process: %s", ", ".join(told.changed) or "none")
            self._system.reload_tls()
        except TlsError:
            pass  # logged
        except (ChargehandError, RuntimeError) as error:  # a hub that is blocked; one that has stopped
            logger.warning("nothing was reloaded: %s", error)

    def _reload_file(self) -> None:
        self._manager.reloading()
        try:
            if self._read is not None:
                self.reload(read_again(self._read))
        finally:
            self._manager.ready()

    def _introduce(self) -> None:
        introduce(self._settings)

    def _start(self) -> None:
        try:
            self._system.start()
        except OSError:
            raise
        except ConfigError as error:
            raise unusable(error) from error
        except (
            ValueError
        ) as error:  # of a plugin that is not there, of two that claim the same, of a certificate
            raise CommandMisused(
                f"cannot start: {error}", "correct the settings; `chargehand check-config` shows them"
            ) from error
        except StoreError as error:  # a file that is broken, or that a newer chargehand has written
            raise CommandFailed(f"cannot start: {error}", NEXT_OF_STORE) from error
        except Exception as error:
            logger.exception("the start failed")
            raise CommandFailed(
                f"cannot start: {type(error).__name__}: {error}", "the traceback in the log tells where"
            ) from error

    def _announce(self) -> None:
        if self._folder is not None:
            announce(self._settings, self._system, self._folder)
            self._manager.ready()

    def _withdraw(self) -> None:
        if self._folder is not None:
            self._folder.remove_run()

    def _serve(self) -> str | None:
        """Wait for a signal; returns why the root gave up, if it did that first."""
        root = gevent.spawn(self._root_failure)
        root.link(lambda _: self._signals.asked.set())
        self._signals.asked.wait()
        failure: str | None = root.get() if root.ready() else None
        root.kill()
        return failure

    def _root_failure(self) -> str | None:
        try:
            self._system.wait()
        except SystemFailed as error:
            return str(error)
        return None


def raise_open_files() -> int:
    """Let this process open as many files as it may at all; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # macOS says "unlimited" and takes no more than the kernel's own limit
        return soft
    return hard
