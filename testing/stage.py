"""Plugins and charge points without sockets, on a clock that stands still: a place to test plugins in a few lines.

    def test_a_known_tag_may_charge():
        with Stage(Tags.spec(known=frozenset({"T1"}))) as stage:
            charge_point = stage.connect("CP1")
            answer = charge_point.call("Authorize", {"idTag": "T1"})
            assert answer == [3, "1", {"idTagInfo": {"status": "Accepted"}}]

The sessions, the plugins and everything between them are the real ones; the supervisors, the replay of what fallbacks
acknowledged, and the sockets are left out. Nothing waits: after each step everything that can run has run.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Self

import gevent

from ..actors.plugin.alerts import raise_alert
from ..actors.plugin.cell import PluginCell
from ..actors.plugin.plugin import PluginSpec
from ..actors.plugin.plugin_system import PluginSystem
from ..actors.plugin.routing import Router
from ..actors.plugin.spool import Spool
from ..actors.runtime.cell import Cell, Ending, Exit
from ..actors.runtime.scheduler import Scheduler
from ..actors.runtime.timers import Timers
from ..actors.session.actor import SessionActor
from ..actors.session.cell import ChargePointCell
from ..actors.session.charge_point import ChargePoint
from ..actors.session.commands import CommandDefaults, make_ticket
from ..actors.session.context import SessionContext
from ..actors.session.messages import CancelCommand, SendCommand, TicketEnded
from ..actors.session.tickets import Ticket, TicketRegistry, TicketState
from ..config.sessions import SessionSettings
from ..protocol.session import Registration, Session, SessionRules
from ..protocol.versions import VERSIONS
from ..protocol.websocket import CloseCode
from ..store.memory import MemoryStore
from .clock import ManualClock
from .connection import MemoryConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..actors.plugin.plugin import Plugin
    from ..actors.session.charge_point import ChargePoint
    from ..store.store import Receipt, Store

CLOSE_POLICY = CloseCode.POLICY_VIOLATION
QUIET_PASSES = 8
"""So many times in a row the hub must have nothing to run before a stage counts as settled."""


class Stage(PluginSystem):
    """System without sockets and supervisors, for tests. Use it with `with`, or `start` and `stop` it.

    `plugins` are specs or classes; the first that claims an action answers it. A handler may send active calls with
    `self.system`, which is the stage. `counts` has how often what happened, `limits` are those of `SessionContext`.
    """

    def __init__(
        self,
        *plugins: PluginSpec | type[Plugin],
        rules: SessionRules | None = None,
        store: Store | None = None,
        clock: ManualClock | None = None,
        command_timeout_s: float = 60.0,
        **limits: Any,
    ) -> None:
        self.clock = clock or ManualClock()
        self._records = store or MemoryStore()
        self.counts: Counter[str] = Counter()
        self.plugins: list[PluginCell] = []
        self.cells: dict[str, ChargePointCell] = {}
        self.crashes: list[Exit] = []  # of sessions; the next step raises the first of them
        self._specs = [plugin if isinstance(plugin, PluginSpec) else plugin.spec() for plugin in plugins]
        defaults = SessionSettings()
        self._limits = CommandDefaults(
            command_timeout_s, defaults.command_expires_s, defaults.effect_timeout_s
        )
        self._tickets = TicketRegistry("stage")
        self._scheduler = Scheduler()
        self._router = Router()
        timers = Timers(self.clock)
        self.clock.drive(timers)
        # No redelivery is attached: messages behind a spooled one go to their plugin at once.
        rules = rules or SessionRules(version=next(iter(VERSIONS.values())))
        self.spool = Spool(self.store, [rules.version])
        self.context = SessionContext(
            rules=rules,
            scheduler=self._scheduler,
            timers=timers,
            router=self._router,
            store=self.store,
            spool=self.spool,
            observer=self,
            **limits,
        )

    @property
    def store(self) -> Store:
        """Store of the stage."""
        return self._records

    def count(self, name: str, _charge_point_id: str) -> None:
        """Count what sessions report; see `Observer`."""
        self.counts[name] += 1

    # -- Start and stop ------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the plugins; raises what left an `on_start`."""
        started = False
        try:
            self._start_plugins()
            started = True
        finally:
            if not started:
                self.stop()

    def _start_plugins(self) -> None:
        versions = [rules.version for rules in self.context.rules_of.values()]
        for spec in self._specs:
            now, context = self.clock.monotonic, self.context
            cell = PluginCell(self._scheduler, spec, self, self._plugin_ended, now, context=context)
            self._router.add_plugin(cell, versions, last_resort=True)
            self.plugins.append(cell)
            cell.start()

    def stop(self) -> None:
        """End everything; handlers that are blocked are killed."""
        for session in self.cells.values():
            session.kill()
            session.end()
        for plugin in self.plugins:
            plugin.watch = None
            plugin.ref.stop(block=False)
        self._let_run()
        for plugin in self.plugins:
            plugin.kill()  # one that has not stopped by now is blocked
            plugin.end()
        self._scheduler.close()
        self._let_run()

    # -- The play ------------------------------------------------------------------------------

    def connect(
        self,
        charge_point_id: str,
        *,
        name: str = "",
        registration: Registration | None = None,
        subprotocol: str = "",
    ) -> MemoryConnection:
        """Connect a charge point, and return the connection with the charge point's end of it.

        One that has a connection gets a second one, which takes over. `registration` is what the store would know of a
        new one; `subprotocol` is the agreed one, empty for that of the stage's first version.
        """
        cell = self.cells.get(charge_point_id)
        known = cell is not None and not cell.ended
        if cell is None or not known:
            cell = self._new(charge_point_id, name, registration)
        connection = MemoryConnection(cell, subprotocol=subprotocol, settle=self.settle)
        old = cell.attach(connection)
        if old is not None:
            old.close(CLOSE_POLICY, "a newer connection took over")
        if not known:
            cell.start(wait=False)
        self.settle()
        return connection

    def _new(self, charge_point_id: str, name: str, registration: Registration | None) -> ChargePointCell:
        context = self.context
        facts = ChargePoint(charge_point_id, name, context.rules.version.name)
        facts.registration = registration
        session = Session(context.rules, f"stage-{len(self.cells)}-", registration)
        cell = ChargePointCell(context, facts, session, SessionActor.maker(), self._session_ended)
        self.cells[charge_point_id] = cell
        return cell

    def charge_points(self) -> list[ChargePoint]:
        """List the charge points that have connected."""
        return [cell.charge_point for cell in self.cells.values()]

    def charge_point(self, charge_point_id: str) -> ChargePoint | None:
        """Return the facts of a charge point; None if it has not connected."""
        cell = self.cells.get(charge_point_id)
        return None if cell is None else cell.charge_point

    def knows(self, charge_point_id: str) -> bool:
        """Return whether a charge point has connected, or has booted as its store has it."""
        return charge_point_id in self.cells or self.store.registration(charge_point_id) is not None

    def _send(
        self,
        charge_point: str,
        request: Any,
        *,
        timeout_s: float | None = None,
        when_offline: str = "fail",
        expires_in_s: float | None = None,
        until_effect: bool = False,
        effect_timeout_s: float | None = None,
    ) -> Ticket[Any]:
        # It is on its way after the next step.
        versions = {key: rules.version for key, rules in self.context.rules_of.items()}
        ticket: Ticket[Any] = make_ticket(
            self._tickets.new_id,
            charge_point,
            request,
            limits=self._limits,
            created_at=self.clock.time(),
            cancel=self._cancel,
            home=self._scheduler.inlet,
            timeout_s=timeout_s,
            when_offline=when_offline,
            expires_in_s=expires_in_s,
            until_effect=until_effect,
            effect_timeout_s=effect_timeout_s,
            versions=versions,
        )
        self._tickets.add(ticket)
        cell = self.cells.get(charge_point)
        if cell is None or cell.ended:
            ticket.end(TicketState.NEVER_SENT, self.clock.time(), "the charge point is not connected")
            self.context.router.tell_outcome(ticket.action, TicketEnded(ticket))
        else:
            cell.tell(SendCommand(ticket))
        return ticket

    def raise_alert(self, charge_point_id: str, **alert: Any) -> Receipt:
        """Raise an alert, as the system does."""
        return raise_alert(self.context, self.store, charge_point_id, **alert)

    def tickets(self, charge_point_id: str = "", *, open_only: bool = False) -> list[Ticket[Any]]:
        """List tickets, newest first, as the system does."""
        return self._tickets.tickets(charge_point_id, open_only=open_only)

    def _cancel(self, ticket: Ticket[Any]) -> None:
        cell = self.cells[ticket.charge_point_id]
        if not cell.ended:
            cell.tell(CancelCommand(ticket))

    def advance(self, seconds: float) -> None:
        """Let time pass, with all that is due in it."""
        self.clock.advance(seconds, self.settle)

    def settle(self) -> None:
        """Let everything run that can. Raises what crashed a session, for that is always a fault."""
        self._let_run()
        if self.crashes:
            failure = self.crashes.pop(0).failure
            raise failure.error if failure is not None else AssertionError("a session ended")

    def wait_for(self, condition: Callable[[], Any], timeout_s: float = 5.0) -> None:
        """Let real time pass until a condition holds: for handlers that wait for native threads or sockets."""
        with gevent.Timeout(timeout_s, AssertionError(f"not within {timeout_s} s")):
            while not condition():
                gevent.sleep(0.001)

    # -- Inside --------------------------------------------------------------------------------

    def _let_run(self) -> None:
        quiet = 0
        while quiet < QUIET_PASSES:
            gevent.sleep(0)
            quiet = 0 if self._scheduler.busy else quiet + 1

    def _session_ended(self, cell: Cell, exit_: Exit) -> None:
        cell.end()
        if exit_.ending is Ending.CRASH:
            self.crashes.append(exit_)

    @staticmethod
    def _plugin_ended(cell: Cell, _exit: Exit) -> None:
        cell.start(wait=False)
