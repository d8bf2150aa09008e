"""The power switch of a charge point: what a restart, or a changed configuration, does to everything in it.

The one rule: what a real one keeps in its memory over a restart stays: vehicles, meters, the configuration, lists,
profiles, and the transaction messages that were not delivered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocol import v16
from ..protocol.websocket import CloseCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .charging import Charging
    from .conversation import Conversation
    from .jobs import PeriodicTask
    from .line import Line
    from .registration import BootSequence


class Power:
    """See the head of this file. `use_key` gets a new AuthorizationKey."""

    def __init__(
        self,
        line: Line,
        conversation: Conversation,
        registrar: BootSequence,
        charging: Charging,
        beats: Sequence[PeriodicTask],
        use_key: Callable[[], None],
    ) -> None:
        self._line = line
        self._conversation = conversation
        self._registrar = registrar
        self._charging = charging
        self._beats = beats
        self._use_key = use_key

    def reset(self, *, soft: bool) -> None:
        """Restart: stop all transactions, close the connection, dial again and boot. OCPP 1.6, 5.14.

        A soft reset tells of the transactions before it, a hard one after. Blocks until it is connected again.
        """
        if soft:
            self._charging.stop_all(v16.Reason.SOFT_RESET)
        else:
            self._charging.break_off_all(v16.Reason.HARD_RESET)
        for beat in self._beats:
            beat.stop()
        self._registrar.forget()
        self._registrar.want()
        for connector in self._charging.connectors.everything():
            connector.told = None
            connector.presented = None
        self._line.redial(CloseCode.GOING_AWAY, "reset", between=self._conversation.renew)

    def heed(self, key: str) -> None:
        """Let a changed configuration key take effect."""
        if key.lower() == "authorizationkey":
            self._use_key()
            self._line.redial(CloseCode.NORMAL, "the password has changed")
        for beat in self._beats:
            beat.restart()
