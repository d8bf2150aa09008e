"""Method of a plugin that is due later, by the system's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Alarm:
    """Call that is due later, as a message of its own: those of a plugin run one after the other.

    It is dropped if its plugin has ended by then, also if that was started again.
    """

    __slots__ = ("_arguments", "_function", "cancelled", "plugin")

    def __init__(self, plugin: Any, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self.plugin = plugin
        self.cancelled = False
        self._function = function
        self._arguments = arguments

    def cancel(self) -> None:
        """Leave it undone."""
        self.cancelled = True

    def run(self) -> None:
        """Call the function, unless it is cancelled."""
        if not self.cancelled:
            self._function(*self._arguments)
