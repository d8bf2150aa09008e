"""`chargehand serve-worker`: one of the processes that `serve --workers` starts."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import gevent

from .channel import Channel, NoParent, OtherVersion
from .configuration import find_plugins_here
from .failures import CommandFailed, CommandMisused
from .logs import configure
from .program import Program, cannot_start
from .service_manager import beat

if TYPE_CHECKING:
    from ..config.settings import Settings
    from ..config.worker_process import Worker
    from .log_levels import Levels


class WorkerProgram(Program):
    """Run of one worker process; its parent, at the other end of `channel`, prints the announcements."""

    def __init__(self, settings: Settings, worker: Worker, channel: Channel, levels: Levels) -> None:
        super().__init__(settings, worker=worker, levels=levels)
        self._worker = worker
        self._channel = channel
        self._beating: Any = None

    def _introduce(self) -> None:
        """No-op: the parent has printed the introduction."""

    def _announce(self) -> None:
        self._channel.ready()
        if self._worker.beat_s:
            self._beating = gevent.spawn(beat, self._worker.beat_s, self._channel.beat)

    def _withdraw(self) -> None:
        if self._beating is not None:
            self._beating.kill()

    def parent_ended(self) -> None:
        """Stop as if asked to, unless it does already: a second signal would end it at once. From any thread."""
        if not self._signals.heard:
            os.kill(os.getpid(), signal.SIGTERM)


def serve() -> int:
    """Serve what the parent hands over, until it closes the channel; returns the exit status."""
    channel = Channel()
    try:
        settings, worker = channel.read()
    except NoParent as error:
        raise CommandMisused(
            "serve-worker cannot be run by hand", "start the workers with `chargehand serve --workers N`"
        ) from error
    except OtherVersion as error:
        raise CommandFailed(
            f"cannot serve: {error}", "restart the server as a whole: it was upgraded after its start"
        ) from error
    levels = configure(
        settings.log,
        worker=worker.number,
        workers=settings.workers,
        least_free_bytes=settings.resources.disk_free_bytes,
    )
    find_plugins_here()
    try:
        program = WorkerProgram(settings, worker, channel, levels)
        worker.reload_all = channel.reload_all
        channel.follow(worker, program.parent_ended, program.reload)
        return program.run()
    except OSError as error:
        raise cannot_start(error) from error
