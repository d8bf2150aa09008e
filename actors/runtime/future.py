"""Future of pykka for greenlets of one hub, without monkey patching."""

from __future__ import annotations

import queue
import sys
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pykka
from gevent.event import AsyncResult

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

T = TypeVar("T")


class Future(pykka.Future[T]):
    """Value that is set later; `get` switches greenlets while it waits."""

    def __init__(self) -> None:
        super().__init__()
        self._result: AsyncResult[Any] = AsyncResult()
        self._hook: Callable[[float | None], T] | None = None

    def get(self, *, timeout: float | None = None) -> T:
        """Return the value or raise the exception; `pykka.Timeout` after `timeout` seconds.

        A `gevent.Timeout` of the caller's own passes through.
        """
        if self._hook is not None:
            if not self._result.ready():
                self._result.set(self._hook(timeout))
            return cast("T", self._result.get(block=False))
        if not self._result.ready() and not self._result.wait(timeout) and not self._result.ready():
            raise pykka.Timeout(f"{timeout} seconds")
        return cast("T", self._result.get(block=False))

    def done(self) -> bool:
        """Return whether `get` would return or raise at once."""
        return bool(self._result.ready())

    def set(self, value: T | None = None) -> None:
        """Set the value; raises `queue.Full` if there is a result."""
        self._must_be_open()
        self._result.set(value)

    def set_exception(
        self,
        exc_info: tuple[type[BaseException] | None, BaseException | None, TracebackType | None] | None = None,
    ) -> None:
        """Set an exception (default: the one being handled); raises `queue.Full` if there is a result."""
        self._must_be_open()
        kind, value, traceback = exc_info or sys.exc_info()
        if kind is None:
            raise ValueError("there is no exception to set")
        error: Any = value if value is not None else kind()
        self._result.set_exception(error, (kind, error, traceback))

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        """Have `func(timeout)` make the value at the first `get`."""
        if self._result.ready():
            raise queue.Full
        self._hook = func

    def _must_be_open(self) -> None:
        if self._result.ready() or self._hook is not None:
            raise queue.Full
