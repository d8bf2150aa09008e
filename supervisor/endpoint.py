"""Listening socket as a supervised actor: binds at its start, and stops accepting at its end."""

from __future__ import annotations

import contextlib
import traceback
from typing import TYPE_CHECKING, Any, Protocol

from ..actors.runtime.actor import Actor

if TYPE_CHECKING:
    from collections.abc import Callable


class EndpointServer(Protocol):
    """Server of gevent."""

    address: Any

    def start(self) -> None:
        """Bind and accept."""

    def close(self) -> None:
        """Stop accepting; accepted connections continue."""


class Endpoint(Actor):
    """Endpoint that opens a listener with `make(address)`; a restart takes the same port."""

    def __init__(
        self, make: Callable[[tuple[str, int]], EndpointServer], ports: dict[str, int], name: str, host: str
    ) -> None:
        super().__init__()
        self._make = make
        self._ports = ports  # by name: 0 until bound
        self._name = name
        self._host = host
        self._listener: EndpointServer | None = None

    def on_start(self) -> None:
        """Bind. Raises OSError if the port is taken."""
        self._listener = self._make((self._host, self._ports[self._name]))
        with contextlib.ExitStack() as undo:
            undo.callback(self.on_stop)
            try:
                self._listener.start()
            except Exception as error:
                traceback.clear_frames(error.__traceback__)  # gevent keeps the socket that it could not bind
                raise
            undo.pop_all()
        self._ports[self._name] = self._listener.address[1]

    def on_stop(self) -> None:
        """Stop accepting."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def on_failure(self, *_: object) -> None:
        """Stop accepting."""
        self.on_stop()

    def on_killed(self) -> None:
        """Stop accepting."""
        self.on_stop()
