"""`chargehand serve`: a central system as a process, from its settings to its exit status.

One rule: whatever ends it, it says why in one line, and leaves a folder that the next one can use.
"""

from __future__ import annotations

import faulthandler
import gc
import logging
import os
import resource
import signal
import sys
from typing import TYPE_CHECKING, Any

import click
import gevent
from gevent.event import Event

from .. import __version__
from ..config.rendering import redacted
from ..store.store import StoreError
from ..system import CentralSystem, SystemFailed
from .addresses import bound, reachable
from .configuration import read_settings
from .data_folder import DataFolder, FolderInUse
from .failures import FAILED, CommandFailed, CommandMisused
from .logs import configure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..config.settings import Settings

logger = logging.getLogger(__name__)

STUCK_S = 1.0
"""So much longer than the system's own time to stop the process has; then its stacks are printed, and it ends."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)


def serve(config: str | None, overrides: Mapping[str, object]) -> int:
    """Serve until a signal comes; returns the exit status. Raises `CommandFailed`."""
    settings = read_settings(config, overrides, serves=True)
    if os.getcwd() not in sys.path:  # noqa: PTH109 - text, as sys.path has it
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - plugins may lie where the program is started
    try:
        with DataFolder(settings.data) as folder:
            configure(settings.log)
            return Program(settings, folder).run()
    except FolderInUse as error:
        raise CommandFailed(str(error)) from error
    except OSError as error:
        raise CommandFailed(f"cannot start: {_text_of(error)}") from error


def _text_of(error: OSError) -> str:
    """What went wrong and where; gevent tells the address in `strerror`, files have their name beside it."""
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)


COLLECT_AFTER = (20_000, 4, 250)
"""Objects made, and collections of each generation, before the next one is looked through. A session makes some twenty
objects for a call and leaves none, so Python's own 700 would have the collector run after every few calls. But
100,000 objects that stay, as those of 1,000 new connections do, take it 30 ms, and everybody waits meanwhile."""


def tune_collector() -> None:
    """Put what the start has made out of the collector's sight, and let it run less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


class Program:
    """One run of one system."""

    def __init__(self, settings: Settings, folder: DataFolder) -> None:
        self._settings = settings
        self._folder = folder
        self._asked_to_stop = Event()
        self._hub: Any = gevent.get_hub()
        self._system = CentralSystem(settings)

    def run(self) -> int:
        """Start, serve, stop."""
        for number in SIGNALS:
            signal.signal(number, self._signalled)
        logger.info("chargehand %s, process %d, Python %s", __version__, os.getpid(), sys.version.split()[0])
        logger.info("open files are limited to %d", raise_open_files())
        click.echo(redacted(self._settings))
        if not self._settings.auth.credentials and not self._settings.auth.required:
            logger.warning("no credentials are set: any charge point is let in")
        self._start()
        tune_collector()
        try:
            self._announce()
            failure = self._serve()
            self._folder.remove_run()
        finally:
            self._system.stop()
            faulthandler.cancel_dump_traceback_later()
        if failure is not None:
            logger.critical("the root supervisor gave up: %s", failure)
            return FAILED
        logger.info("stopped")
        return 0

    def _start(self) -> None:
        try:
            self._system.start()
        except OSError:
            raise
        except (
            ValueError
        ) as error:  # of a plugin that is not there, of two that claim the same, of a certificate
            raise CommandMisused(f"cannot start: {error}") from error
        except StoreError as error:  # a file that is broken, or that a newer chargehand has written
            raise CommandFailed(f"cannot start: {error}") from error
        except Exception as error:
            logger.exception("the start failed")
            raise CommandFailed(f"cannot start: {type(error).__name__}: {error}") from error

    def _announce(self) -> None:
        settings, system = self._settings, self._system
        for scheme, url in bound(settings, system).items():
            click.echo(f"{scheme:<6} {url}")
        if settings.http.enabled and not (settings.http.open or settings.http.token):
            click.echo(f"token  {self._folder.path / 'token'}")
        self._folder.write_run(reachable(settings, system))
        click.echo("ready")

    def _serve(self) -> str | None:
        """Wait for a signal; returns why the root gave up, if it did that first."""
        root = gevent.spawn(self._root_failure)
        root.link(lambda _: self._asked_to_stop.set())
        self._asked_to_stop.wait()
        failure: str | None = root.get() if root.ready() else None
        root.kill()
        return failure

    def _root_failure(self) -> str | None:
        try:
            self._system.wait()
        except SystemFailed as error:
            return str(error)
        return None

    def _signalled(self, number: int, _frame: object) -> None:
        """Begin to stop; from now on the system's own handlers stand, so that a second signal ends the process at once.

        This runs in the middle of anything: it may only ask the hub to go on later.
        """
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        # A hub that a plugin keeps busy will never hear of it; this is C code in a thread of its own.
        if self._settings.supervision.stop_timeout_s:
            faulthandler.dump_traceback_later(self._settings.supervision.stop_timeout_s + STUCK_S, exit=True)
        self._hub.loop.run_callback_threadsafe(self._stop, number)

    def _stop(self, number: int) -> None:
        logger.info("%s: stopping", signal.Signals(number).name)
        self._asked_to_stop.set()


def raise_open_files() -> int:
    """Let this process open as many files as it may at all; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # macOS says "unlimited" and takes no more than the kernel's own limit
        return soft
    return hard
