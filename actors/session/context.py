"""Context that all sessions of one system share, and protocols of what sessions need of others."""

from __future__ import annotations

import datetime as dt
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from ..runtime.log_limit import LogLimit
from .meter import SessionMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ...protocol.actions import Action
    from ...protocol.events import DomainEvent
    from ...protocol.local_lists import LocalListFacts
    from ...protocol.session import SessionRules
    from ..runtime.scheduler import Scheduler
    from ..runtime.timers import Clock, Timers
    from .call import Call
    from .cell import ChargePointCell
    from .charge_point import ChargePoint
    from .tickets import Ticket


class RecordReceipt(Protocol):
    """Promise that a record will be durable."""

    @property
    def done(self) -> bool:
        """True when the outcome is known."""

    @property
    def error(self) -> Exception | None:
        """Error of the store, if the record could not be made durable."""

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until the record is durable; raises the error if it cannot be."""

    def then(self, callback: Callable[[Exception | None], None]) -> None:
        """Call `callback(error)` in the hub's thread when the outcome is known, perhaps at once."""


_from_timestamp, _UTC = dt.datetime.fromtimestamp, dt.UTC

CRASH_REPORTS = 100
"""Number of the last crash reports that are kept."""

APART_S = 0.1
"""Seconds for which the difference between the machine's two clocks is taken as known."""


class SpooledMessage(Protocol):
    """Message in the spool, as `store.records.Spooled` has it."""

    @property
    def number(self) -> int:
        """Primary key of the spooled message."""

    @property
    def charge_point_id(self) -> str:
        """Id of its charge point."""

    @property
    def action(self) -> str:
        """Name of the action."""

    @property
    def unique_id(self) -> str:
        """Message id."""

    @property
    def payload(self) -> bytes:
        """Payload in JSON, as sent."""

    @property
    def transaction_id(self) -> int | None:
        """Number allotted to a start of a transaction."""

    @property
    def version(self) -> str:
        """Name of its version of OCPP."""

    @property
    def received_at(self) -> dt.datetime:
        """Time of receipt."""


class ToldMessage(Protocol):
    """Last message of one kind that a charge point sent, as `store.records.Told` has it."""

    @property
    def version(self) -> str:
        """Name of its version of OCPP."""

    @property
    def action(self) -> str:
        """Name of its action."""

    @property
    def payload(self) -> bytes:
        """JSON, as it was sent."""


class OpenTransaction(Protocol):
    """Open transaction, as `store.records.Transaction` has it."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def charge_point_id(self) -> str:
        """Charge point that it belongs to."""

    @property
    def remote_id(self) -> str:
        """Id that its charge point gave it; "" if it has none but its number."""

    @property
    def evse_id(self) -> int | None:
        """EVSE that it is at; None if that is not known."""


class SessionStore(Protocol):
    """Store as a session needs it; nothing here blocks."""

    @property
    def others_write(self) -> bool:
        """True if other processes write to the same records."""

    def allot_transaction_id(
        self, charge_point_id: str, start: tuple[int, str, dt.datetime | str, int] | None
    ) -> int:
        """Allot the number of a transaction that starts: a new one, or that of the same start when it came before.

        `start` is connector, id tag, the charge point's time (as its text where that cannot be read) and the meter's
        reading; None if it could not be read.
        """

    def open_transaction(self, transaction_id: int) -> OpenTransaction | None:
        """Find an open transaction; None if none is known to be open with this id."""

    def spool(
        self,
        *,
        charge_point_id: str,
        version: str,
        action: str,
        unique_id: str,
        payload: bytes,
        transaction_id: int | None,
        received_at: dt.datetime,
        why: str,
        redeliver: bool = True,
    ) -> RecordReceipt:
        """Spool a transaction message that no handler took; with `redeliver` it is redelivered to its plugin."""

    def spooled(self, *, charge_point_id: str = "", limit: int = 1000) -> Sequence[SpooledMessage]:
        """List the messages that wait for redelivery, oldest first."""

    def spooled_charge_points(self) -> Sequence[str]:
        """List the charge points with messages that wait for redelivery."""

    def dead_letters(self, *, limit: int = 1000) -> Sequence[SpooledMessage]:
        """List the dead letters, oldest first."""

    def unspool(self, numbers: Sequence[int]) -> RecordReceipt:
        """Remove messages that their plugin has handled."""

    def requeue(self, numbers: Sequence[int]) -> RecordReceipt:
        """Put dead letters back into the spool, in their old places."""

    def dead_letter(self, number: int, why: str) -> RecordReceipt:
        """Make a message a dead letter: it needs a person, and is not redelivered any more."""

    def register(self, charge_point_id: str, status: str, version: str = "") -> RecordReceipt:
        """Persist the registration status that a BootNotification was answered with."""

    def note_told(
        self,
        charge_point_id: str,
        *,
        item: str,
        version: str,
        action: str,
        payload: bytes,
        received_at: dt.datetime,
    ) -> RecordReceipt:
        """Store the last message of one kind that a charge point sent, for the session after a restart."""

    def publish(self, event: DomainEvent) -> RecordReceipt:
        """Log a durable event that has no record."""

    def recall(self, charge_point_id: str, then: Callable[[Sequence[ToldMessage]], None]) -> None:
        """Call back in the hub with what a charge point told last, if there is something that can be read."""


class SpoolView(Protocol):
    """State of the spool, as sessions and supervisors see it; the redelivery owns it."""

    @property
    def behind(self) -> Collection[str]:
        """Charge points whose messages go behind those in the spool; for looks only."""

    @property
    def dead(self) -> Collection[tuple[str, Any]]:
        """Charge points and transactions of which a dead letter takes the further messages; for looks only."""

    def is_behind(self, charge_point_id: str, transaction: int | str | None) -> bool:
        """Return whether a message must be spooled because earlier ones have not been redelivered."""

    def put_behind(self, charge_point_id: str) -> None:
        """Have further messages of a charge point spooled, from before the store has the first one."""

    def spooled(self, charge_point_id: str) -> None:
        """Notify the redelivery that the store has a message of a charge point."""

    def redeliver_now(self) -> None:
        """Redeliver everything in the spool now, after a plugin was released."""


class DurableTickets(Protocol):
    """Tickets that outlive the process; nothing here blocks."""

    def persist(self, ticket: Ticket[Any]) -> None:
        """Persist a ticket that waits to be sent; sets `ticket.persisted` to its receipt."""

    def mark(self, ticket: Ticket[Any]) -> RecordReceipt:
        """Mark a ticket as sent, so that the next process does not send it again."""

    def survives(self, ticket: Ticket[Any]) -> bool:
        """Return whether the next process will send the ticket if this one ends now."""

    def forget(self, ticket: Ticket[Any], event: DomainEvent | None = None) -> None:
        """Delete a ticket that has its final state, and store the event of that in the same commit."""


class SessionHost(Protocol):
    """System as its sessions see it. Called in the hub; nothing here blocks."""

    def went_offline(self, charge_point: ChargePoint, code: int, reason: str) -> None:
        """Take note of a charge point whose last connection was closed, with the code and reason of the close."""

    def may_send(self, charge_point_id: str) -> bool:
        """Return whether a charge point may be sent commands now: false while another process could hold it."""

    def ticket_sent(self, ticket: Ticket[Any]) -> None:
        """Take note of a command that goes on the wire now."""

    def ticket_ended(self, ticket: Ticket[Any]) -> None:
        """Take note of a ticket that has its final state."""

    def local_list(self, charge_point_id: str) -> LocalListFacts | None:
        """Return what the local list of a charge point is made of; None where there are no lists."""


class NoHost:
    """Host that does nothing: sessions of one process, without callbacks."""

    def went_offline(self, charge_point: ChargePoint, code: int, reason: str) -> None:
        """No-op."""

    def may_send(self, charge_point_id: str) -> bool:  # noqa: ARG002 - as `SessionHost` has it
        """Return true: there is no other process."""
        return True

    def ticket_sent(self, ticket: Ticket[Any]) -> None:
        """No-op."""

    def ticket_ended(self, ticket: Ticket[Any]) -> None:
        """No-op."""

    def local_list(self, charge_point_id: str) -> LocalListFacts | None:  # noqa: ARG002 - as `SessionHost` has it
        """Return None: there is no store of tags."""
        return None


class Observer(Protocol):
    """Metrics sink, called synchronously in the hub; must be fast and must not raise."""

    def count(self, name: str, charge_point_id: str) -> None:
        """Count an event; `name` is one of those in docs/architecture.md."""


class CircuitBreakersView(Protocol):
    """Circuit breakers of one plugin, as far as a session looks at them."""

    @property
    def failing(self) -> Any:
        """Breakers that are not closed, or have counted failures; empty in the usual case."""


class PluginHandle(Protocol):
    """Cell of a plugin, as a session sees it."""

    @property
    def scheduler(self) -> Scheduler:
        """Scheduler of its hub."""

    @property
    def is_healthy(self) -> bool:
        """True if every call may be told to it, so that `try_admit` need not be asked."""

    @property
    def quarantined(self) -> bool:
        """True while the plugin is out of service."""

    @property
    def on_trial(self) -> bool:
        """True while the plugin is on trial after a quarantine."""

    @property
    def breakers(self) -> CircuitBreakersView:
        """Its circuit breakers."""

    def try_admit(self, charge_point_id: str, action: str) -> bool:
        """Return whether a call may be told to it now; uses up the trial call of a half-open breaker."""

    def tell(self, message: Any) -> None:
        """Put a message into its inbox."""

    def pass_on(self, call: Call[Any], request: Any = None) -> Any:
        """Return the typed answer of the next plugin to a call, or to a request in its place; switches greenlets."""

    def interrupt(self, call: Call[Any]) -> None:
        """End the handler of a call at its deadline, or do not start it."""

    def note_success(self, charge_point_id: str, action: str) -> None:
        """Count a call that was handled well."""

    def note_failure(self, charge_point_id: str, action: str, error: Exception) -> None:
        """Count a call that its handler could not handle."""


class PassedOn(Protocol):
    """Call as the plugin has it that it was passed on to."""

    @property
    def waits(self) -> bool:
        """True until the handler that passed it on has its answer."""

    def expire(self) -> None:
        """End the wait: the time of the call is over."""


class ShadowedCall(Protocol):
    """Copy of a call for a shadow plugin."""

    def real(self, answer: bytes) -> None:
        """Take the answer that was sent, to be compared."""


class RouterView(Protocol):
    """Routing table, as a session sees it."""

    has_shadows: bool

    @property
    def after(self) -> Mapping[Action, Sequence[Any]]:
        """Plugins by the row whose answers they want to see."""

    watched: bool
    """True if anybody looks at answers, or at events that may be of one."""

    @property
    def listeners(self) -> Mapping[type[DomainEvent], Sequence[Any]]:
        """Listeners to live events, by kind."""

    def tell_answer(self, fact: Any) -> None:
        """Tell the plugins that look at answers of this row which one was sent."""

    def publish(self, event: DomainEvent) -> None:
        """Tell those who listen to a live event."""

    @property
    def passive(self) -> Mapping[Action, PluginHandle]:
        """Plugins by the row that they answer."""

    def tell_shadows(self, call: Call[Any], cell: ChargePointCell) -> Sequence[ShadowedCall]:
        """Tell the shadow plugins of a call; return their copies of it."""

    def tell_outcome(self, action: str, fact: Any) -> None:
        """Tell the plugins with a handler how a command of this action has ended."""


class SessionContext:
    """Context of all sessions of one system. Nothing is global, so that one process can run two systems."""

    def __init__(
        self,
        *,
        rules: SessionRules,
        more_rules: Mapping[str, SessionRules] | None = None,
        scheduler: Scheduler,
        timers: Timers,
        router: RouterView,
        store: SessionStore,
        spool: SpoolView,
        observer: Observer,
        calls_in_flight_limit: int = 16,
        inbox_limit: int = 256,
        id_tag_status: str = "Accepted",
        recorder_bytes: int = 8192,
        clock_tolerance_s: float = 600.0,
        events_s: float = 0.0,
        log_limit: LogLimit | None = None,
        durable_tickets: DurableTickets | None = None,
        host: SessionHost | None = None,
        meter: SessionMeter | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.timers = timers
        self.clock: Clock = timers.clock
        # By subprotocol: the version belongs to the connection.
        self.rules_of: Mapping[str, SessionRules] = {
            subprotocol: replace(one, date_of=self.date_of)
            for subprotocol, one in {rules.version.subprotocol: rules, **(more_rules or {})}.items()
        }
        self.rules = self.rules_of[rules.version.subprotocol]
        self.router = router
        self.store = store
        self.spool = spool
        self.observer = observer
        self.calls_in_flight_limit = calls_in_flight_limit
        self.inbox_limit = inbox_limit
        self.id_tag_status = id_tag_status
        self.recorder_bytes = recorder_bytes
        self.clock_tolerance_s = clock_tolerance_s  # by which a charge point's clock may be slow
        self.log_limit = log_limit or LogLimit(timers)
        self.events_s = events_s or rules.default_deadline_s  # deadline of event handlers and of shadows
        self.crash_reports: deque[dict[str, object]] = deque(maxlen=CRASH_REPORTS)
        self.durable_tickets = durable_tickets  # None unless the store is durable
        self.host: SessionHost = host or NoHost()
        self.meter = meter or SessionMeter(one.version for one in self.rules_of.values())
        self.calls = self.meter.calls  # at hand: each call is counted
        self._apart_s = 0.0  # from the monotonic time to the Unix time
        self._apart_until = -float("inf")

    def date_of(self, monotonic: float) -> dt.datetime:
        """Convert a monotonic time to UTC."""
        if monotonic >= self._apart_until:  # both clocks are read seldom: this runs for each message
            clock = self.clock
            now = clock.monotonic()
            self._apart_s, self._apart_until = clock.time() - now, now + APART_S
        return _from_timestamp(self._apart_s + monotonic, _UTC)

    def now(self) -> dt.datetime:
        """Return the UTC time now."""
        return _from_timestamp(self.clock.time(), _UTC)

    def time_text(self) -> str:
        """Return the time now in OCPP's format: whole seconds, UTC."""
        return dt.datetime.fromtimestamp(int(self.clock.time()), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
