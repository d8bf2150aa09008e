"""The one place that catches every exception of a handler, `BaseException` included.

pykka answers a `BaseException` by stopping every actor of the process, the host application's too; and
`gevent.Timeout` and `GreenletExit` are `BaseException`s. Here they end only the handler that raised them.
No other file of the package catches `BaseException`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gevent
import pykka
from gevent import get_hub

from ...config.errors import ChargehandError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class ActorKilled(ChargehandError):
    """A handler was ended from outside, or raised something that is no `Exception`."""


class HandlerKilled(gevent.GreenletExit):
    """Exception thrown into a handler that must end: its deadline has passed, or its actor is stopped."""


class Failure:
    """Exception that left a handler, as an `Exception`; `escaped` is the original one, if that was none."""

    __slots__ = ("error", "escaped")

    def __init__(self, error: Exception, escaped: BaseException | None = None) -> None:
        self.error = error
        self.escaped = escaped

    @property
    def exc_info(self) -> tuple[type[BaseException], BaseException, TracebackType | None]:
        """Triple that pykka and logging take."""
        return type(self.error), self.error, self.error.__traceback__

    @property
    def killed(self) -> bool:
        """True if the runtime itself ended the handler."""
        return isinstance(self.escaped, HandlerKilled)

    @property
    def text(self) -> str:
        """Text of the error for people; a custom `__repr__` may fail too."""
        try:
            return repr(self.error)
        except Exception:  # noqa: BLE001 - whatever it is
            return f"{type(self.error).__name__}, which cannot be shown"

    def __repr__(self) -> str:
        return f"Failure({self.text})"


def attempt(function: Callable[..., Any], /, *args: Any) -> Any:
    """Call `function`; return a `Failure` instead of raising.

    A `KeyboardInterrupt` is meant for the program and is passed on to the hub's main greenlet as well.
    """
    try:
        return function(*args)
    except Exception as error:  # noqa: BLE001 - this is the runtime's one place
        return Failure(error)
    except BaseException as escaped:  # noqa: BLE001 - see the head of this file
        if isinstance(escaped, KeyboardInterrupt):
            hub = get_hub()
            hub.loop.run_callback(hub.handle_system_error, KeyboardInterrupt, escaped)
        timed_out = isinstance(escaped, gevent.Timeout)
        fallback: Exception = pykka.Timeout(str(escaped)) if timed_out else ActorKilled(repr(escaped))
        fallback.__cause__ = escaped
        return Failure(fallback.with_traceback(escaped.__traceback__), escaped)
