"""`chargehand serve-worker`: one of the processes that `serve --workers` starts."""

from __future__ import annotations

import os
import signal

from .channel import Channel, NoParent
from .failures import CommandMisused
from .logs import configure
from .program import Program, cannot_start, find_plugins_here


class WorkerProgram(Program):
    """Run of one worker process; the parent prints the announcements."""

    def attend(self, channel: Channel) -> None:
        """Serve on behalf of whoever has the other end."""
        self._channel = channel

    def _introduce(self) -> None:
        """The parent has."""

    def _announce(self) -> None:
        self._channel.ready()

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
            "serve-worker is what serve --workers starts; it is of no use by hand"
        ) from error
    configure(settings.log, worker=worker.number, workers=settings.workers)
    find_plugins_here()
    try:
        program = WorkerProgram(settings, worker=worker)
        program.attend(channel)
        channel.follow(worker, program.parent_ended)
        return program.run()
    except OSError as error:
        raise cannot_start(error) from error
