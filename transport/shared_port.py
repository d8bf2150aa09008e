"""Port that several processes listen on: the kernel gives each new connection to one of them (SO_REUSEPORT)."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET
from typing import Any

from gevent.socket import socket


def listen(address: Any, backlog: int) -> Any:
    """Listen at a host and port that other processes may share. Raises OSError."""
    listener = _bind(address, shared=True)
    listener.listen(backlog)
    listener.setblocking(0)
    return listener


def hold(address: tuple[str, int]) -> Any:
    """Reserve a port for worker processes without listening on it.

    Raises OSError if a foreign process listens there already.
    """
    _bind(address, shared=False).close()
    return _bind(address, shared=True)


def _bind(address: tuple[str, int], *, shared: bool) -> Any:
    # The family that gevent would choose.
    bound: Any = socket(AF_INET6 if ":" in address[0] else AF_INET)
    try:
        bound.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        error.strerror = f"{error.strerror}: {address!r}"  # the form of gevent's own errors
        raise
    return bound
