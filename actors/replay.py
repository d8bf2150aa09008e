"""What a stand-in acknowledged is handed to its plugin after all, in order.

The records of one charge point are replayed one at a time, oldest first. While any of them waits, its further
transaction messages
are spooled behind them (`Services.spool_owners`), so that a plugin never sees a StopTransaction before its
StartTransaction. A
record that fails again and again is set aside, where people can find it, and the next one goes on.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import msgspec
from pykka import ActorDeadError

from ..protocol.errors import OcppError, Refused
from ..protocol.payload import lenient
from ..protocol.session import INFINITY, Incoming
from .actor import Actor
from .call import Call
from .charge_point import ChargePoint
from .failure import Failure

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from .directory import Directory
    from .services import Receipt, Services, SpooledMessage

logger = logging.getLogger(__name__)


class SpoolGrew(msgspec.Struct, frozen=True, gc=False):
    """A record of a charge point is in the spool now."""

    charge_point_id: str


class ReplayDue(msgspec.Struct, frozen=True, gc=False):
    """It is time to try the records of a charge point; unless another time was set since."""

    charge_point_id: str
    due: float


class ReplayNow(msgspec.Struct, frozen=True, gc=False):
    """Try all that waits: a plugin has been released."""


class TakeUp(msgspec.Struct, frozen=True, gc=False):
    """Look for what an earlier run left: the store could not say before."""


class ReplayEnded(msgspec.Struct, frozen=True, gc=False):
    """A plugin has dealt with a record, or its time was over."""

    call: Any
    outcome: Any


class RecordGone(msgspec.Struct, frozen=True, gc=False):
    """The store has taken a record out of the spool for good, or could not."""

    charge_point_id: str
    number: int
    error: Any


class ReplayedCall(Call[Any]):
    """A call that was acknowledged long ago: its answer goes nowhere, its success takes it out of the spool."""

    __slots__ = ("_ended", "_received_at", "number")

    def __init__(
        self,
        facts: ChargePoint,
        incoming: Incoming,
        record: SpooledMessage,
        ended: Callable[[ReplayedCall, Any], None],
    ) -> None:
        self.number = record.number
        self._received_at = record.received_at
        self._ended = ended
        self.incoming = incoming
        self.request = incoming.request
        self.charge_point = facts
        self.transaction_id = record.transaction_id
        self.lane = facts.id
        self.running = None
        self.stood_in = False
        self.plugin = None
        self.shadows = None
        self.given_away = False

    @property
    def received_at(self) -> dt.datetime:
        """When it was received, which may be long ago."""
        return self._received_at

    @property
    def replayed(self) -> bool:
        """That it was acknowledged by a stand-in before."""
        return True

    def finish(self, outcome: Any) -> None:
        """Hand the outcome to the replayer."""
        self._ended(self, outcome)


class Replayer(Actor):
    """See the head of this file. `delay_s` is the wait before the first try, doubled up to `delay_max_s`."""

    def __init__(
        self, services: Services, directory: Directory, *, delay_s: float, delay_max_s: float, attempts: int
    ) -> None:
        super().__init__()
        self._services = services
        self._directory = directory
        self._delay_s = delay_s
        self._delay_max_s = delay_max_s
        self._attempts = attempts
        self._failures: dict[str, int] = {}  # in a row, of every charge point with something in the spool
        self._due: dict[str, float] = {}  # when the next try is
        self._running: dict[
            str, ReplayedCall | int
        ] = {}  # or the number of the record that the store takes out

    def on_start(self) -> None:
        """Take up what an earlier run left."""
        self._take_up()

    def _take_up(self) -> None:
        services = self._services
        try:
            found = services.ledger.spooled_charge_points()
        except Exception as error:
            if not _passes(error):
                raise
            due = services.clock.monotonic() + self._delay_max_s
            services.timers.call_at(due, lambda: self._tell(TakeUp()))
            return
        for charge_point_id in found:
            self._grew(charge_point_id)

    def on_receive(self, message: Any) -> Any:
        """Deal with one of the messages above."""
        kind = type(message)
        if kind is SpoolGrew:
            self._grew(message.charge_point_id)
        elif kind is ReplayDue:
            if self._due.get(message.charge_point_id) == message.due:
                self._next(message.charge_point_id)
        elif kind is ReplayEnded:
            self._ended(message.call, message.outcome)
        elif kind is RecordGone:
            self._gone(message.charge_point_id, message.number, message.error)
        elif kind is TakeUp:
            self._take_up()
        elif kind is ReplayNow:
            for charge_point_id in list(self._failures):
                self._next(charge_point_id)
        else:
            return super().on_receive(message)
        return None

    def _grew(self, charge_point_id: str) -> None:
        if charge_point_id not in self._failures:
            self._failures[charge_point_id] = 0
            self._services.spool_owners.add(charge_point_id)
            self._later(charge_point_id, self._delay_s)

    def _later(self, charge_point_id: str, delay_s: float) -> None:
        due = self._due[charge_point_id] = self._services.clock.monotonic() + delay_s
        self._services.timers.call_at(due, lambda: self._tell(ReplayDue(charge_point_id, due)))

    def _tell(self, message: Any) -> None:
        if not self._cell.is_set():
            self._cell.tell(message)

    def _next(self, charge_point_id: str) -> None:
        if charge_point_id in self._running or charge_point_id not in self._failures:
            return
        try:
            records = self._services.ledger.spooled(charge_point_id=charge_point_id, limit=1)
        except Exception as error:
            if not _passes(error):
                raise
            self._later(charge_point_id, self._delay_max_s)
            return
        if not records:
            del self._failures[charge_point_id]
            del self._due[charge_point_id]
            self._services.spool_owners.discard(charge_point_id)
            return
        self._replay(charge_point_id, records[0])

    def _replay(self, charge_point_id: str, record: SpooledMessage) -> None:
        services = self._services
        version = services.rules.version
        plugin = services.router.find(version.name, record.action)
        if plugin is None or plugin.quarantined or plugin.is_set():
            self._later(charge_point_id, self._delay_max_s)
            return
        action = version.actions[record.action]
        try:
            request, deviations = lenient(action.request, record.payload)
        except Refused as refused:
            self._set_aside(record.number, charge_point_id, str(refused))
            return
        cell = self._directory.find(charge_point_id)
        facts = cell.charge_point if cell is not None else ChargePoint(charge_point_id)
        incoming = Incoming(record.unique_id, action, request, record.payload, deviations, 0.0, INFINITY)
        call = ReplayedCall(
            facts, incoming, record, lambda ended, outcome: self._tell(ReplayEnded(ended, outcome))
        )
        self._running[charge_point_id] = call
        deadline_s = services.rules.deadlines_s.get(record.action, services.rules.default_deadline_s)
        due = services.clock.monotonic() + deadline_s
        try:
            plugin.tell(call)
        except ActorDeadError as dead:
            self._ended(call, Failure(dead))
            return
        services.timers.call_at(due, lambda: self._overdue(call))

    def _overdue(self, call: ReplayedCall) -> None:
        if self._running.get(call.lane) is not call:
            return
        incoming = call.incoming
        plugin = self._services.router.find(self._services.rules.version.name, incoming.action.name)
        if plugin is not None:
            plugin.interrupt(call)
        self._tell(ReplayEnded(call, Failure(TimeoutError("no answer in time"))))

    def _ended(self, call: ReplayedCall, outcome: Any) -> None:
        charge_point_id = call.lane
        if self._running.get(charge_point_id) is not call:
            return
        call.incoming.open = False
        services = self._services
        failed = type(outcome) is Failure and not isinstance(outcome.error, OcppError)
        if not failed:
            services.observer.count("replayed", charge_point_id)
            self._take_out(charge_point_id, call.number, services.ledger.unspool([call.number]))
            return
        services.observer.count("replay_failed", charge_point_id)
        if _passes(outcome.error):  # the record is not to blame, and is not set aside for it
            del self._running[charge_point_id]
            self._later(charge_point_id, self._delay_max_s)
            return
        failures = self._failures[charge_point_id] = self._failures[charge_point_id] + 1
        if failures >= self._attempts:
            self._set_aside(call.number, charge_point_id, outcome.text)
        else:
            del self._running[charge_point_id]
            self._later(charge_point_id, min(self._delay_max_s, self._delay_s * 2.0**failures))

    def _set_aside(self, number: int, charge_point_id: str, why: str) -> None:
        logger.error("A spooled record of %s (number %d) is set aside: %s", charge_point_id, number, why)
        self._services.observer.count("replay_set_aside", charge_point_id)
        self._take_out(charge_point_id, number, self._services.ledger.set_aside(number, why))

    def _take_out(self, charge_point_id: str, number: int, receipt: Receipt) -> None:
        # Not before the store has done it is the next one looked for: it might be the same.
        self._running[charge_point_id] = number
        receipt.then(lambda error: self._tell(RecordGone(charge_point_id, number, error)))

    def _gone(self, charge_point_id: str, number: int, error: Exception | None) -> None:
        if self._running.get(charge_point_id) != number:
            return  # it was the replayer before this one that waited for it
        del self._running[charge_point_id]
        if error is None:
            self._failures[charge_point_id] = 0
            self._next(charge_point_id)
        else:
            logger.error(
                "A record of %s stays in the spool, and is replayed again: %s", charge_point_id, error
            )
            self._later(charge_point_id, self._delay_max_s)


def _passes(error: Exception) -> bool:
    """Whether it says that the store cannot do its work now, and may later."""
    return bool(getattr(error, "passing", False))
