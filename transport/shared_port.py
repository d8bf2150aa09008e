"""A port that several processes listen on: the kernel gives each new connection to one of them (SO_REUSEPORT)."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, SO_REUSEADDR, SO_REUSEPORT, SOL_SOCKET
from typing import Any

from gevent.socket import socket


def listen(address: Any, backlog: int) -> Any:
    """Listen beside the others, at a host and a port. Raises OSError."""
    listener = _bind(address, shared=True)
    listener.listen(backlog)
    listener.setblocking(0)
    return listener


def hold(address: tuple[str, int]) -> Any:
    """Take a port for processes of ours without listening on it: it stays ours while none of them does.

    Raises OSError if somebody listens there already, as who would not share it would have to.
    """
    _bind(address, shared=False).close()
    return _bind(address, shared=True)


def _bind(address: tuple[str, int], *, shared: bool) -> Any:
    # As gevent chooses it for an address.
    bound: Any = socket(AF_INET6 if ":" in address[0] else AF_INET)
    try:
        bound.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        error.strerror = f"{error.strerror}: {address!r}"  # as gevent tells it
        raise
    return bound
