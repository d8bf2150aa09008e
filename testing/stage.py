"""Plugins and charge points without sockets, on a clock that stands still: a place to test plugins in a few lines.

    def test_a_known_tag_may_charge():
        with Stage(Tags.spec(known=frozenset({"T1"}))) as stage:
            charge_point = stage.connect("CP1")
            answer = charge_point.call("Authorize", {"idTag": "T1"})
            assert answer == [3, "1", {"idTagInfo": {"status": "Accepted"}}]

The sessions, the plugins and everything between them are the real ones; the supervisors, the replay of what fallbacks
acknowledged, and the sockets are left out. Nothing waits: after each step everything that can run has run. Simulated
charge points may stand on it too, and an hour of charging takes as long as its messages do.
"""

from __future__ import annotations

import inspect
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, TypeVar

import gevent

from ..actors.plugin.alerts import raise_alert
from ..actors.plugin.cell import PluginCell
from ..actors.plugin.plugin import PluginSpec
from ..actors.plugin.plugin_system import PluginSystem
from ..actors.plugin.resources import ResourceRequest, find_route
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
from ..actors.session.recorder import recording_of
from ..actors.session.tickets import Ticket, TicketRegistry, TicketState
from ..config.sessions import SessionSettings
from ..config.settings import Settings
from ..protocol.events import SiteMetered
from ..protocol.payload import typed
from ..protocol.session import Registration, Session, SessionRules
from ..protocol.versions import VERSIONS
from ..protocol.websocket import CloseCode
from ..simulator.models import MODELS
from ..store.memory import MemoryStore
from ..system.assessment import Assessment, limits_of
from ..system.event_reader import EventReader
from ..system.plugin_packages import load_class
from ..system.tree import spec_of
from .clock import ManualClock
from .connection import CALL, MemoryConnection, nothing
from .events import StageEvents

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ..actors.plugin.plugin import Plugin
    from ..actors.session.charge_point import ChargePoint
    from ..protocol.actions import Request
    from ..protocol.message import Message
    from ..simulator.models import AnyChargePoint
    from ..store.records import Cost
    from ..store.records import Transaction as TransactionRecord
    from ..store.store import Receipt, Store

P = TypeVar("P", bound="Plugin")
R = TypeVar("R", bound="Message")

CLOSE_POLICY = CloseCode.POLICY_VIOLATION
RECORDER_BYTES = 1 << 24
"""Bound of what is recorded of a charge point: more than a test will want."""
QUIET_PASSES = 8
"""So many times in a row the hub must have nothing to run before a stage counts as settled."""


class Stage(PluginSystem):
    """System without sockets and supervisors, for tests. Use it with `with`, or `start` and `stop` it.

    `plugins` are specs or classes; the first that claims an action answers it. With `bundled` those that come with
    chargehand answer what no other does, so that there are transactions and their events. A handler may send active
    calls with `self.system`, which is the stage. `counts` has how often what happened, `limits` are those of
    `SessionContext`. `rules` are those of the only version of OCPP that it speaks; without them it speaks all.
    """

    def __init__(
        self,
        *plugins: PluginSpec | type[Plugin],
        bundled: bool = False,
        settings: Settings | None = None,
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
        self.connections: dict[str, list[MemoryConnection]] = {}  # of each charge point, oldest first
        self.crashes: list[Exit] = []  # of sessions; the next step raises the first of them
        self.settings = settings or Settings()
        self._specs = [spec_of(plugin) for plugin in plugins]
        self._bundled = bundled
        self._simulated: list[AnyChargePoint] = []
        defaults = SessionSettings()
        self._limits = CommandDefaults(
            command_timeout_s, defaults.command_expires_s, defaults.effect_timeout_s
        )
        self._tickets = TicketRegistry("stage", defaults.tickets_kept)
        self._scheduler = Scheduler()
        self._router = Router()
        self.timers = Timers(self.clock)
        self.clock.drive(self.timers)
        all_rules = (
            [SessionRules(version=version) for version in VERSIONS.values()] if rules is None else [rules]
        )
        versions = {one.version.subprotocol: one.version for one in all_rules}
        options: dict[str, Any] = {
            "recorder_bytes": RECORDER_BYTES,
            "more_rules": {one.version.subprotocol: one for one in all_rules[1:]},
        }
        # No redelivery is attached: messages behind a spooled one go to their plugin at once.
        self.spool = Spool(self.store, versions.values())
        self._assessment = assessment = Assessment(
            self.store, versions, limits_of(self.settings.back_office), self.settings.naive_zone
        )
        self.events = StageEvents(EventReader(self.store, assessment), self._router, self.timers)
        self.context = SessionContext(
            rules=all_rules[0],
            scheduler=self._scheduler,
            timers=self.timers,
            router=self._router,
            store=self.store,
            spool=self.spool,
            observer=self,
            **(options | limits),
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
        for spec in self._specs:
            self._start_plugin(spec)
        for class_name in self.settings.bundled_plugins if self._bundled else ():
            bundled: PluginSpec | None = load_class(class_name).bundled(self.settings, self.store)
            if bundled is not None:
                timed = "now" in inspect.signature(bundled.plugin).parameters
                options = {**bundled.kwargs, "now": self.context.now} if timed else bundled.kwargs
                self._start_plugin(replace(bundled, kwargs=options))

    def _start_plugin(self, spec: PluginSpec) -> None:
        versions = [rules.version for rules in self.context.rules_of.values()]
        now, context = self.clock.monotonic, self.context
        cell = PluginCell(self._scheduler, spec, self, self._plugin_ended, now, context=context)
        self._router.add_plugin(cell, versions, last_resort=True)
        self.plugins.append(cell)
        cell.start()

    def stop(self) -> None:
        """End everything; handlers that are blocked are killed."""
        for charge_point in self._simulated:
            charge_point.close()
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
        connection = self.attach(
            charge_point_id, name=name, registration=registration, subprotocol=subprotocol, settle=self.settle
        )
        self.settle()
        return connection

    def simulate(
        self,
        charge_point_id: str,
        *,
        version: str = "",
        connectors: int = 2,
        interval_s: int = 60,
        misbehaviour: Iterable[str] = (),
        **options: Any,
    ) -> AnyChargePoint:
        """Make a simulated charge point that stands on the stage; it has connected and booted.

        It speaks the version of this name, by default the first. Its time is that of the stage: while a vehicle
        charges, `advance` makes its meter values, one each `interval_s` seconds. `connectors` are EVSEs where there are
        such, `misbehaviour` names faults that it shows, `options` are those of its class in `simulator`.
        """

        def dial(identity: str, subprotocols: Sequence[str]) -> MemoryConnection:
            agreed = next((name for name in subprotocols if name in self.context.rules_of), None)
            if agreed is None:
                raise ConnectionRefusedError(f"the stage speaks none of {', '.join(subprotocols)}")
            return self.attach(identity, subprotocol=agreed)

        model = MODELS[version or next(iter(MODELS))]
        charge_point, _ = model.make(
            "ws://stage",
            charge_point_id,
            connectors,
            interval_s,
            misbehaviour,
            timers=self.timers,
            dial=dial,
            **options,
        )
        self._simulated.append(charge_point)
        charge_point.connect()
        charge_point.boot()
        self.settle()
        return charge_point

    def attach(
        self,
        charge_point_id: str,
        *,
        name: str = "",
        registration: Registration | None = None,
        subprotocol: str = "",
        settle: Callable[[], None] = nothing,
    ) -> MemoryConnection:
        """Connect a charge point as `connect` does, for a player: it lets the others run itself, with `settle`."""
        cell = self.cells.get(charge_point_id)
        known = cell is not None and not cell.ended
        if cell is None or not known:
            cell = self._new(charge_point_id, name, registration)
        connection = MemoryConnection(cell, subprotocol=subprotocol, settle=settle)
        self.connections.setdefault(charge_point_id, []).append(connection)
        old = cell.attach(connection)
        if old is not None:
            old.close(CLOSE_POLICY, "a newer connection took over")
        if not known:
            cell.start(wait=False)
        return connection

    def actor(self, plugin: type[P]) -> P:
        """Return the running instance of a plugin. Raises LookupError if there is none."""
        for cell in self.plugins:
            if isinstance(cell.actor, plugin):
                return cell.actor
        raise LookupError(f"no {plugin.__name__} runs on the stage")

    def request(self, plugin: str, method: str, path: str, body: bytes = b"", **query: str) -> Any:
        """Ask a plugin, by its name, for one of its HTTP resources; return what its handler returns, not yet as JSON.

        Raises what the handler raises, and LookupError for a plugin or a resource that is not there.
        """
        cell = next((one for one in self.plugins if one.urn == plugin), None)
        if cell is None:
            raise LookupError(f"no plugin {plugin} runs on the stage")
        route, members, _ = find_route(cell.spec.plugin.resources(), method, tuple(path.split("/")))
        if route is None:
            raise LookupError(f"the plugin {plugin} has no resource {method} {path}")
        asked = ResourceRequest(method=method, path=dict(members), query=query, body=body, token="stage")  # noqa: S106
        return cell.ask_resource(route.handler, asked)

    def recording(self, charge_point_id: str) -> str:
        """Return the recording of a charge point that has connected, as `Recording` and `Replay` read it."""
        return recording_of(self.cells[charge_point_id])

    def sent(self, charge_point_id: str, request: type[Request[R]]) -> list[Request[R]]:
        """Return the requests of a kind that a charge point was sent, oldest first: `v16.UnlockConnector`."""
        action: Any = request.__action__
        frames = [
            frame for connection in self.connections.get(charge_point_id, ()) for frame in connection.sent()
        ]
        return [
            typed(action.request, frame[3])
            for frame in frames
            if frame[0] == CALL and frame[2] == action.name
        ]

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

    def price_with(self, pricer: Callable[[TransactionRecord], Cost | None] | None) -> None:
        """Price closed transactions in events with a function; None: no more."""
        self._assessment.pricer = pricer

    def idle_since(self, transaction: TransactionRecord) -> dt.datetime | None:
        """Return when the last energy of a transaction had come, by its readings; None if they do not say."""
        return self._assessment.idle_since(transaction)

    def assessed(self, transaction: TransactionRecord) -> TransactionRecord:
        """Return a transaction with its energy, derived if it was not yet."""
        return self._assessment.assessed(transaction)

    def raise_alert(self, charge_point_id: str, **alert: Any) -> Receipt:
        """Raise an alert, as the system does."""
        return raise_alert(self.context, self.store, charge_point_id, **alert)

    def report_meter(self, site: str, currents_a: Mapping[str, float]) -> None:
        """Report what a site draws at its grid connection, as the system does."""
        self._router.publish(SiteMetered(at=self.context.now(), site=site, currents_a=dict(currents_a)))

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
        while self.events.deliver():
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
