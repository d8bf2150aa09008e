"""File descriptors: how many the process may have, and accepting while none is left."""

from __future__ import annotations

import errno
import resource
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

USED_UP = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors of `accept` that pass when something else is closed."""
ACCEPT_AGAIN_S = 0.25
"""Seconds after which a listener accepts again that could not: the hub would report its socket all the time."""

UNLIMITED = 1 << 30


def descriptor_limit() -> int:
    """Return how many file descriptors this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return UNLIMITED if soft == resource.RLIM_INFINITY else soft


def accepted(server: Any, accept: Callable[[], Any], used_up: Callable[[OSError], None]) -> Any:
    """Return what a server of gevent accepts; None if there is nothing, or no descriptor for it.

    `used_up` is told of that; the server accepts again after `ACCEPT_AGAIN_S`. gevent's own way prints a traceback.
    """
    try:
        return accept()
    except OSError as error:
        if error.errno not in USED_UP:
            raise
        used_up(error)
    server.stop_accepting()
    server._timer = server.loop.timer(ACCEPT_AGAIN_S)  # noqa: SLF001 - as the base class waits after an error
    server._timer.start(server._start_accepting_if_started)  # noqa: SLF001
    return None
