"""What goes wrong with a charge point and its network, on purpose.

The one rule: each does one thing wrong, at once, to the current connection; nothing mends itself unless its name says
so. How commands are answered wrongly is in `answers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..protocol import frames, v16
from ..protocol.payload import build
from .errors import Disconnected

if TYPE_CHECKING:
    from ..protocol.actions import Request
    from .client import Client
    from .conversation import Conversation
    from .line import Line


class CircuitBreakers:
    """See the head of this file. All of them raise Disconnected where there is no connection."""

    def __init__(self, line: Line, conversation: Conversation) -> None:
        self._line = line
        self._conversation = conversation
        self._sent_twice = 0

    def _client(self) -> Client:
        client = self._line.client
        if client is None:
            raise Disconnected("there is no connection")
        return client

    # -- The network -----------------------------------------------------------------------------

    def cut(self, *, reset: bool = True) -> None:
        """End the connection without a close frame: with a TCP reset, or with `reset=False` a plain end."""
        self._client().cut(reset=reset)

    def go_half_open(self) -> None:
        """Read and write nothing any more, and leave the socket open: as if the network were gone."""
        self._client().freeze()

    def recover(self) -> None:
        """End being half-open: what was held back goes out, and what has come is read."""
        self._client().thaw()

    def abandon(self) -> None:
        """Leave the connection half-open behind and dial a new one, as after a change of network. Blocks.

        Raises what `ChargePoint.connect` raises.
        """
        self._line.abandon()

    # -- What is sent ------------------------------------------------------------------------------

    def send_raw(self, data: bytes) -> None:
        """Send these very bytes on the socket: a broken WebSocket frame, half of one, or anything."""
        self._client().send_raw(data)

    def send_text(self, text: str | bytes) -> None:
        """Send one text message, whatever it says. Its answer is in the record only."""
        self._conversation.send_text(text.encode() if isinstance(text, str) else text)

    def send_twice(self, request: Request[Any], unique_id: str | None = None) -> str:
        """Send the same CALL twice, with the same message id, which is returned. The answers are in the record only."""
        self._sent_twice += 1
        unique_id = f"twice-{self._sent_twice}" if unique_id is None else unique_id
        action = v16.VERSION.row_of(request)
        frame = frames.call(unique_id, action.name, build(action.request, request))
        self._conversation.send_text(frame)
        self._conversation.send_text(frame)
        return unique_id
