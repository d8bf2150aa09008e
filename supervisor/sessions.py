"""Supervisor of all sessions: one child per charge point, made when it connects, each with a budget of its own.

It never gives up: a charge point whose session keeps crashing is disconnected, and starts afresh when it reconnects.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections import deque
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import gevent

from ..actors.runtime.cell import Cell, CellPhase, Ending, Exit
from ..actors.runtime.failure import Failure
from ..actors.session.actor import SessionActor
from ..actors.session.cell import ChargePointCell
from ..actors.session.charge_point import ChargePoint
from ..protocol.events import SessionRestarted
from ..protocol.log_fields import about
from ..protocol.session import Session
from ..protocol.websocket import CloseCode
from .rules import Budget, Policy
from .supervisor import Branch, ChildEnded, RestartDue

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..actors.session.connection import Connection
    from ..actors.session.context import SessionContext
    from ..actors.session.directory import Directory
    from ..protocol.session import Registration

logger = logging.getLogger(__name__)

GIVEN_UP_REMEMBERED = 20
"""Limit of given-up sessions that are listed in the tree."""

KEEP_UNBOOTED = 1000
"""Default of the setting `sessions.keep_unbooted`."""
POLL_S = 0.01
LOOKS = 4
"""Hang checks per `hang_s`."""
CLOSE_EACH_S = 0.003
CLOSE_GOING_AWAY = CloseCode.GOING_AWAY
CLOSE_POLICY = CloseCode.POLICY_VIOLATION
CLOSE_INTERNAL = CloseCode.INTERNAL_ERROR


class Hanging:
    """Session with a blocked handler: since when, and whether it was killed."""

    __slots__ = ("killed", "message", "since")

    def __init__(self, message: object, since: float) -> None:
        self.message = message
        self.since = since
        self.killed = False


class Sessions:
    """Sessions of one system: makes cells, attaches connections to them, and removes those offline for long.

    `registration_of` asks the store for a charge point's registration.
    """

    def __init__(
        self,
        context: SessionContext,
        directory: Directory,
        *,
        keep_offline_s: float,
        close_timeout_s: float,
        close_spread_s: float = 0.0,
        keep_unbooted: int = KEEP_UNBOOTED,
        registration_of: Callable[[str], Registration | None],
        id_prefix: str,
    ) -> None:
        self.context = context
        self.directory = directory
        self.watch: Callable[[Cell, Exit], None] | None = None
        self._keep_offline_s = keep_offline_s
        self._close_timeout_s = close_timeout_s
        self._close_spread_s = close_spread_s
        self._keep_unbooted = keep_unbooted
        self._registration_of = registration_of
        self._id_prefix = id_prefix
        self._numbers = itertools.count(1)
        self._make = SessionActor.maker()

    def attach(self, charge_point_id: str, name: str, connection: Connection) -> ChargePointCell:
        """Attach a new connection to a charge point's session; it takes over from the old one, if any."""
        known = self.directory.find(charge_point_id)
        cell = known or self._new(charge_point_id, name)
        if known is not None and known.newest is None:
            # the charge point may have booted at another node meanwhile
            registration = self._registration_of(charge_point_id)
            known.session.registration = known.charge_point.registration = registration
            if self.context.store.others_write:
                # ... and have told its statuses there: what it told here before would be shown, and compared with.
                known.charge_point.forget_told()
                self.context.store.recall(charge_point_id, known.recall)
        self.directory.note_online(charge_point_id)
        old = cell.attach(connection)
        if old is not None:  # after the new one was attached, so that the charge point does not seem offline
            old.close(CLOSE_POLICY, "a newer connection took over")
        if known is None and self.watch is not None:
            cell.start(wait=False)
        return cell

    def _new(self, charge_point_id: str, name: str) -> ChargePointCell:
        context = self.context
        for stranger in self.directory.unbooted_above(self._keep_unbooted):
            context.observer.count("unbooted_forgotten", stranger.charge_point.id)
            self.let_go(stranger)
        registration = self._registration_of(charge_point_id)
        charge_point = ChargePoint(charge_point_id, name, context.rules.version.name)
        charge_point.registration = registration
        # A prefix of its own: commands of an earlier cell of this charge point may still be answered.
        prefix = f"{self._id_prefix}-{next(self._numbers):x}-"
        session = Session(context.rules, prefix, registration)
        cell = ChargePointCell(context, charge_point, session, self._make, self.watch)
        self.directory.add(cell)
        context.store.recall(charge_point_id, cell.recall)
        return cell

    def create_offline(self, charge_point_id: str) -> ChargePointCell:
        """Make the cell of a charge point that is not connected, so that commands can wait for it."""
        cell = self._new(charge_point_id, "")
        self.directory.note_offline(charge_point_id, self.context.clock.monotonic())
        cell.start(wait=False)
        return cell

    def ping_and_wait(self, charge_point_id: str, timeout_s: float) -> bool:
        """Ping a charge point; return whether its connection is alive. Switches greenlets."""
        silent = None
        while True:
            cell = self.directory.find(charge_point_id)
            newest = cell.newest if cell is not None else None
            if newest is None or newest is silent:
                return False
            if newest.ping_and_wait(timeout_s):
                return True
            silent = newest  # with a newer connection meanwhile, ping that one

    def close_all(self) -> None:
        """End all commands, close all connections, wait for the closing handshakes, and end all cells.

        The closes are spread over `close_spread_s` (less for few connections), so that not all reconnect at once.
        """
        clock = self.context.clock
        for cell in self.directory:
            cell.command_state().detach_all("the central system stops")
        cells = [cell for cell in self.directory if cell.newest is not None]
        spread_s = min(self._close_spread_s, len(cells) * CLOSE_EACH_S)
        begun_at = clock.monotonic()
        for number, cell in enumerate(cells):
            due = begun_at + spread_s * number / len(cells)
            if due > clock.monotonic() + POLL_S:
                gevent.sleep(due - clock.monotonic())
            if cell.newest is not None:
                cell.newest.close(CLOSE_GOING_AWAY, "the central system stops")
        ends_at = clock.monotonic() + self._close_timeout_s
        # A session that waits for its restart cannot handle the end of its connection.
        while any(cell.newest is not None and cell.phase is CellPhase.RUNNING for cell in cells):
            if clock.monotonic() >= ends_at:
                break
            gevent.sleep(POLL_S)
        for cell in self.directory:
            self.let_go(cell)

    def sweep(self, now: float) -> None:
        """Remove charge points that have been offline for `keep_offline_s`."""
        for cell in self.directory.offline_since(now - self._keep_offline_s):
            self.let_go(cell)

    def let_go(self, cell: ChargePointCell) -> None:
        """End a cell; its registration and transactions are in the store."""
        self.directory.remove(cell.charge_point.id)
        cell.kill()
        cell.end()


class SessionSupervisor(Branch):
    """Supervisor that restarts crashed sessions, with the same connection and inbox."""

    def __init__(
        self, sessions: Sessions, policy: Policy, chance: random.Random | None = None, *, hang_s: float = 10.0
    ) -> None:
        super().__init__()
        self._hang_s = hang_s
        self._hanging: dict[ChargePointCell, Hanging] = {}
        self._sessions = sessions
        self._policy = policy
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        # Of sessions that have crashed; weak references, as cells are removed elsewhere.
        self._budgets: WeakKeyDictionary[ChargePointCell, Budget] = WeakKeyDictionary()
        self._last_crash: WeakKeyDictionary[ChargePointCell, str] = WeakKeyDictionary()
        self._given_up: deque[dict[str, Any]] = deque(maxlen=GIVEN_UP_REMEMBERED)

    def on_start(self) -> None:
        """Take over the sessions of an earlier run of this supervisor."""
        self._sessions.watch = self._watch
        for cell in self._sessions.directory:
            cell.watch = self._watch
            if cell.phase is CellPhase.VACANT:  # the session ended while there was no supervisor
                cell.waiting = False
                cell.start(wait=False)
        self._look_again()

    def _look_again(self) -> None:
        timers = self._sessions.context.timers
        timers.call_at(timers.clock.monotonic() + self._hang_s / LOOKS, self._look)

    def _look(self) -> None:
        """Kill the handlers of sessions that hang; only blocked runners are checked, not all sessions."""
        if self._cell.ended or self._cell.actor is not self:
            return
        context = self._sessions.context
        now, before, self._hanging = context.clock.monotonic(), self._hanging, {}
        for cell in context.scheduler.blocked():
            if not isinstance(cell, ChargePointCell):
                continue
            seen = before.get(cell)
            if seen is None or seen.message is not cell.current_message:
                seen = Hanging(cell.current_message, now)
            self._hanging[cell] = seen
            if now - seen.since < self._hang_s:
                continue
            if seen.killed:  # it ignored its kill
                cell.abandon()
                continue
            seen.killed = True
            logger.error(
                "The session of %s hangs in %r; killing it",
                cell.urn,
                cell.current_message,
                extra=about(charge_point=cell.urn),
            )
            context.observer.count("session_hung", cell.charge_point.id)
            cell.kill()
        self._look_again()

    def on_stop(self) -> None:
        """Close every connection and end every cell."""
        self._sessions.close_all()
        self._sessions.watch = None

    def _watch(self, cell: Cell, exit_: Exit) -> None:
        if not self._cell.ended and not cell.ended:
            self._cell.tell(ChildEnded(cell, exit_))

    def on_receive(self, message: Any) -> Any:
        """Handle the end of a session, or the end of its backoff."""
        if type(message) is ChildEnded:
            cell: Any = message.cell
            if cell.phase is CellPhase.VACANT:
                self._ended(cell, message.exit)
        elif type(message) is RestartDue:
            due: Any = message.cell
            if due.phase is CellPhase.VACANT and due.waiting:
                self._restart(due)
        else:
            return super().on_receive(message)
        return None

    def _ended(self, cell: ChargePointCell, exit_: Exit) -> None:
        if (
            exit_.ending is Ending.NORMAL
        ):  # its actor was stopped: the session is removed, and made again at the next connection
            connection = cell.newest
            self._sessions.let_go(cell)
            if connection is not None:
                connection.close(CLOSE_GOING_AWAY, "the session was stopped")
            return
        context = self._sessions.context
        context.observer.count("session_crashed", cell.charge_point.id)
        self._last_crash[cell] = exit_.failure.text if exit_.failure is not None else str(exit_.ending)
        budget = self._budgets.get(cell)
        if budget is None:
            budget = self._budgets[cell] = Budget(self._policy)
        now = context.clock.monotonic()
        if not budget.spend(now):
            self._give_up(cell)
            return
        delay_s = budget.delay_s(self._chance)
        if delay_s > 0:
            cell.waiting = True
            context.timers.call_at(now + delay_s, lambda: self._tell_due(cell))
        else:
            self._restart(cell)

    def _tell_due(self, cell: ChargePointCell) -> None:
        if not self._cell.ended and not cell.ended:
            self._cell.tell(RestartDue(cell))

    def _restart(self, cell: ChargePointCell) -> None:
        cell.waiting = False
        cell.event("restart", f"after {self._last_crash.get(cell)}")
        try:
            cell.start()
        except Exception as error:  # noqa: BLE001 - not a kill: that is meant for this supervisor
            failure = Failure(error)
            cell.log(failure)
            self._ended(cell, Exit(Ending.CRASH, failure, None, started=False))
            return
        self._sessions.context.observer.count("session_restarted", cell.charge_point.id)
        logger.warning(
            "The session of %s was restarted after %s",
            cell.urn,
            self._last_crash.get(cell),
            extra=about(charge_point=cell.urn),
        )
        context = self._sessions.context
        if SessionRestarted in context.router.listeners:
            now = context.date_of(context.clock.monotonic())
            reason = str(self._last_crash.get(cell))
            context.router.publish(SessionRestarted(at=now, charge_point_id=cell.urn, reason=reason))

    def _give_up(self, cell: ChargePointCell) -> None:
        logger.error(
            "The session of %s crashed too often (supervision.intensity); closing its connection",
            cell.urn,
            extra=about(charge_point=cell.urn),
        )
        self._sessions.context.observer.count("session_given_up", cell.charge_point.id)
        connection = cell.newest
        budget = self._budgets.pop(cell)
        self._given_up.append(
            {
                "id": cell.urn,
                "state": "given up",
                "restarts": budget.total - 1,  # the last crash had no error
                "last_crash": self._last_crash.pop(cell, ""),
                "time": self._sessions.context.time_text(),
            }
        )
        self._sessions.let_go(cell)
        if connection is not None:
            connection.close(CLOSE_INTERNAL, "the session failed")

    def describe(self) -> dict[str, Any]:
        """Count the sessions, and list those that crashed and the last ones that were given up."""
        directory = self._sessions.directory
        crashed = [
            {
                "id": cell.urn,
                "state": "waiting" if cell.waiting else str(cell.phase),
                "restarts": budget.total,
                "inbox": cell.depth,
                "last_crash": self._last_crash.get(cell, ""),
            }
            for cell, budget in list(self._budgets.items())
            if not cell.ended
        ]
        return {
            "sessions": len(directory),
            "connected": directory.connected,
            "crashed": crashed,
            "given_up": list(self._given_up),
        }
