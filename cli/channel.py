"""Channel between `serve --workers` and each worker process: a socket pair, the worker's end as its standard input.

The parent hands over the settings (which may have secrets, so no file and no option has them) and then the list
of all workers, each time it changes, with the number of reloads, and the settings by then; the worker
reports once that it is ready, and passes on that all are to read them. Each end notices the end of the other: a worker
whose parent has closed the channel, or has died, stops in order.
"""

from __future__ import annotations

import os
import pickle
from collections import deque
from typing import TYPE_CHECKING, Any

from gevent.monkey import get_original  # reads what there was before; patches nothing

from .. import __version__
from ..config.errors import ChargehandError
from ..protocol.framing import FrameReader, FrameTooLong, frame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..config.settings import Settings
    from ..config.worker_process import Worker

MESSAGE_BYTES = 256 * 1024 * 1024
"""The longest message: far over any settings, and under the length that any text gives, typed at a worker by hand."""
READ_BYTES = 65_536
READY, RELOAD, BEAT = b"R", b"L", b"B"
STDIN = 0


class NoParent(ChargehandError):
    """Nothing was handed over."""


class OtherVersion(ChargehandError):
    """The parent runs another version: chargehand was upgraded after its start."""


def handover(settings: Settings, worker: Worker) -> bytes:
    """Encode the first messages to a worker process: the version, which any version can read, and what it needs."""
    return frame(__version__.encode(), MESSAGE_BYTES) + frame(pickle.dumps((settings, worker)), MESSAGE_BYTES)


def worker_views(workers: Sequence[dict[str, Any]], reloads: int, settings: Settings | None = None) -> bytes:
    """Encode an update of the list of worker processes, of the number of reloads, and of the settings by then."""
    return frame(pickle.dumps((list(workers), reloads, settings)), MESSAGE_BYTES)


class Channel:
    """The worker's end. It blocks, natively: `read` before there is a hub, `follow` in a thread of its own."""

    def __init__(self) -> None:
        # Whatever a plugin starts must neither read from it nor keep it open.
        self._descriptor = os.dup(STDIN)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, STDIN)
        os.close(nothing)
        self._reader = FrameReader(MESSAGE_BYTES)
        self._messages: deque[bytes] = deque()

    def read(self) -> tuple[Settings, Worker]:
        """Read the settings and the worker's identity from the parent. Raises `NoParent`, and `OtherVersion`."""
        try:
            version = self._receive().decode("ascii", "replace")
            if version[:1].isdigit() and version != __version__:
                raise OtherVersion(f"the parent is chargehand {version}, and this one {__version__}")
            settings, worker = pickle.loads(self._receive())  # noqa: S301 - from our own parent
        except (OSError, EOFError, ValueError, MemoryError, pickle.UnpicklingError) as error:
            raise NoParent from error
        return settings, worker

    def ready(self) -> None:
        """Tell the parent that this one serves."""
        os.write(self._descriptor, READY)

    def beat(self) -> None:
        """Tell the parent that the hub of this one runs."""
        os.write(self._descriptor, BEAT)

    def reload_all(self) -> None:
        """Ask the parent to have all worker processes read the files of TLS again."""
        os.write(self._descriptor, RELOAD)

    def follow(
        self,
        worker: Worker,
        ended: Callable[[], None],
        reload: Callable[[Settings | None], None] = lambda _: None,
    ) -> None:
        """Keep the list of workers up to date until the parent has ended or closed the channel; then call `ended`.

        `reload` is called with the settings by then when the files of TLS are to be read again.
        """
        start = get_original("_thread", "start_new_thread")
        start(self._follow, (worker, ended, reload))

    def _follow(
        self, worker: Worker, ended: Callable[[], None], reload: Callable[[Settings | None], None]
    ) -> None:
        try:
            while True:
                worker.all, reloads, settings = pickle.loads(self._receive())  # noqa: S301 - from our own parent
                if reloads > worker.reloads:
                    worker.reloads = reloads
                    reload(settings)
        except (OSError, EOFError, FrameTooLong):
            ended()

    def _receive(self) -> bytes:
        while not self._messages:
            data = os.read(self._descriptor, READ_BYTES)
            if not data:
                raise EOFError
            self._messages += self._reader.receive(data)
        return self._messages.popleft()
