"""Plugin that handles every passive action in the way that a test sets."""

from typing import Any

from chargehand import Call, Plugin, passive

from .messages_of_v16 import PASSIVE


class ActionRecorder(Plugin):
    """Notes every call in `log`, and calls `way[0]`."""

    def __init__(self, way: list[Any], log: list[Call[Any]]) -> None:
        super().__init__()
        self.way = way
        self.log = log

    def handle(self, call: Call[Any]) -> Any:
        """Handle a call of any action."""
        self.log.append(call)
        return self.way[0]()


def handler_of(action: str) -> Any:
    """Return a handler of one action."""

    @passive(action)
    def handler(self: ActionRecorder, call: Call[Any]) -> Any:
        return self.handle(call)

    return handler


RecordingPlugin = type(
    "RecordingPlugin", (ActionRecorder,), {f"handle_{action}": handler_of(action) for action in PASSIVE}
)
