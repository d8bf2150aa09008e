"""Shadow plugins: they see the calls of the plugin that answers; their own answers are compared and never sent.

Their commands are not sent either: their `self.system` is a `MutedSystem`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from gevent.event import AsyncResult

from ...protocol.errors import ErrorCode, InvalidPayload, OcppError, read_code
from ...protocol.log_fields import about
from ...protocol.payload import build
from ...protocol.verbs import Verb
from ...store.store import Receipt
from ..runtime.failure import Failure
from ..runtime.native_pool import in_hub
from ..session.call import Call
from ..session.command_sender import BulkNotAvailable, ChargingTransaction
from ..session.commands import prepared, translated
from ..session.tickets import Ticket, TicketState
from .passed_call import PassOnFailed
from .plugin_system import PluginSystem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Unpack

    from ..session.cell import ChargePointCell
    from ..session.command_sender import SendOptions
    from ..session.context import SessionContext
    from .cell import PluginCell

logger = logging.getLogger(__name__)

FAILED = b"failed"

OF_THE_SYSTEM = frozenset(name for name in vars(PluginSystem) if not name.startswith("_")) - {
    "raise_alert",
    "report_meter",
}
"""Names that a shadow has from its system as they are."""


class MutedSystem(PluginSystem):
    """System of a shadow: its commands end at once until it is promoted; all else is the system's."""

    def __init__(self, cell: PluginCell, context: SessionContext) -> None:
        self._cell = cell
        self._context = context

    def __getattribute__(self, name: str) -> Any:
        if name in OF_THE_SYSTEM:
            return getattr(self._cell.system, name)
        return super().__getattribute__(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cell.system, name)

    def find_transaction(self, transaction_id: int) -> ChargingTransaction:
        """Find a transaction by its number, as the system does."""
        return self._cell.system.find_transaction(transaction_id)

    def send_many(
        self,
        charge_points: Any,
        request: Any,
        *,
        at_most_at_once: int | None = None,
        **options: Unpack[SendOptions],
    ) -> Any:
        """Send to many charge points once it is promoted. Raises `BulkNotAvailable` before."""
        if self._cell.shadow:
            raise BulkNotAvailable(f"{self._cell.urn} is a shadow, whose commands are not sent")
        return self._cell.system.send_many(charge_points, request, at_most_at_once=at_most_at_once, **options)

    def raise_alert(self, charge_point_id: str, **alert: Any) -> Receipt:
        """Raise an alert once it is promoted; none before."""
        if self._cell.shadow:
            return Receipt(done=True)
        return self._cell.system.raise_alert(charge_point_id, **alert)

    def report_meter(self, site: str, currents_a: Mapping[str, float]) -> None:
        """Report what a site draws once it is promoted; nothing before."""
        if not self._cell.shadow:
            self._cell.system.report_meter(site, currents_a)

    def _send(self, charge_point: str, request: Any, **options: Unpack[SendOptions]) -> Ticket[Any]:
        if not self._cell.shadow:
            return self._cell.system.send(charge_point, request, **options)
        context = self._context
        versions = {subprotocol: rules.version for subprotocol, rules in context.rules_of.items()}
        if isinstance(request, Verb):
            command = translated(request, context.rules.version, context.clock.time())
        else:
            command = prepared(request, versions)
        now = context.clock.time()
        ticket: Ticket[Any] = Ticket(
            f"shadow-{self._cell.urn}",
            charge_point,
            command.row.name,
            command.request,
            command.payload,
            timeout_s=options.get("timeout_s") or 0.0,
            created_at=now,
            effect_timeout_s=0.0 if options.get("until_effect") else None,
        )
        ticket.end(TicketState.NEVER_SENT, now, "a shadow sends nothing")
        context.observer.count("shadow_call", charge_point)
        return ticket


class ShadowCall(Call[Any]):
    """Copy of a call for a shadow plugin. The answers are compared and counted when both are known."""

    __slots__ = ("_real", "_seen", "_sent", "plugin_name")

    def __init__(self, call: Call[Any], cell: ChargePointCell, plugin_name: str) -> None:
        super().__init__(cell, call.incoming, call.transaction_id)
        self.plugin_name = plugin_name
        self._real: bytes | None = None
        self._seen: bytes | None = None
        self._sent: AsyncResult[bytes] = AsyncResult()

    @property
    def open(self) -> bool:
        """True until the shadow has answered; a shadow has no deadline."""
        return self._seen is None

    def pass_on(self, request: Any = None) -> Any:  # noqa: ARG002 - what was sent is the answer to either
        """Return the answer that was sent, typed: what a shadow passes on, no other plugin handles again.

        Raises `OcppError` for a CALLERROR, and `PassOnFailed` if no answer was sent. Switches greenlets.
        """
        sent: bytes = in_hub(self.inlet, self._sent.get)
        code = read_code(sent.decode("utf-8", "replace"))
        if sent == FAILED:
            raise PassOnFailed("failed", f"{self.action} of {self.charge_point} was not answered")
        if isinstance(code, ErrorCode):
            raise OcppError(code)
        return self.incoming.action.response.__decoder__.decode(sent)

    def return_unhandled(self, _why: str) -> None:
        """Compare nothing, as the shadow does not handle the call."""
        self._real = self._seen = FAILED
        self._cell.context.observer.count("shadow_dropped", self.ordering_key)

    def finish(self, outcome: Any) -> None:
        """Take the shadow's answer."""
        if self._seen is None:
            self._seen = self._bytes_of(outcome)
            self._compare()

    def real(self, answer: bytes) -> None:
        """Take the answer that was sent."""
        if self._real is None:
            self._real = answer
            self._sent.set(answer)
            self._compare()

    def _bytes_of(self, outcome: Any) -> bytes:
        if type(outcome) is Failure:
            error = outcome.error
            return error.code.encode() if isinstance(error, OcppError) else FAILED
        try:
            return build(self.incoming.action.response, outcome)
        except InvalidPayload:
            return FAILED

    def _compare(self) -> None:
        if self._real is None or self._seen is None:
            return
        same = self._real == self._seen
        self._cell.context.observer.count("shadow_same" if same else "shadow_differs", self.ordering_key)
        if not same:
            self._cell.context.log_limit.log(
                logger,
                logging.WARNING,
                str(self.ordering_key),
                "shadow differs",
                "%s would have answered %s of %s differently: %s, not %s",
                self.plugin_name,
                self.action,
                self.ordering_key,
                self._seen.decode("utf-8", "replace"),
                self._real.decode("utf-8", "replace"),
                extra=about(charge_point=str(self.ordering_key), plugin=self.plugin_name),
            )
