"""Redelivery: messages that a fallback acknowledged are handed to their plugin later, in order.

The records of one charge point are redelivered one at a time, oldest first. While any of them waits, its further
transaction messages are spooled behind them (`Spool`), so that a plugin never sees a StopTransaction
before its StartTransaction.

A record that fails is tried again, later and later, for as long as it may be the plugin's fault. After `attempts` tries
it holds up only its own transaction any more; and if the plugin has taken other messages of its action since the first
try, the record is to blame and becomes a dead letter, where people can find it and put it back. With a StartTransaction
the rest of its transaction becomes dead letters, too.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec
from pykka import ActorDeadError

from ...protocol.errors import OcppError, Refused
from ...protocol.log_fields import about
from ...protocol.payload import lenient
from ...protocol.session import INFINITY, Incoming
from ..runtime.actor import Actor
from ..runtime.failure import Failure
from ..session.charge_point import ChargePoint
from .detached_call import RedeliveredCall, Untried
from .spool import RedeliverNow, SpoolGrew

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from ..session.context import RecordReceipt, SessionContext, SpooledMessage
    from ..session.directory import Directory
    from .spool import Spool

logger = logging.getLogger(__name__)

DOUBLINGS = 30
"""So often the wait for another try is doubled; `delay_max_s` is reached long before."""

READ_AHEAD = 1000
"""Records of all charge points together that are read before their turn: the database is asked for several at once."""

HERE_S = 1.0
"""Seconds for which a charge point's messages are redelivered without asking whether another process does now."""

LOOK_S = 5.0
"""Seconds between two looks for messages that other processes have spooled and left."""

LOOK_AHEAD = 100
"""Records behind one in trouble that are looked at for one of another transaction."""


class RedeliveryDue(msgspec.Struct, frozen=True, gc=False):
    """Event: it is time to try the messages of a charge point; void if another time was set since."""

    charge_point_id: str
    due: float


class TakeUp(msgspec.Struct, frozen=True, gc=False):
    """Command: look for what an earlier run left; the store could not say before."""


class RedeliveryEnded(msgspec.Struct, frozen=True, gc=False):
    """Event: a plugin has dealt with a record, or the record's time was over."""

    call: Any
    outcome: Any


class RecordGone(msgspec.Struct, frozen=True, gc=False):
    """Event: the store has taken a record out of the spool for good, or could not."""

    charge_point_id: str
    number: int
    error: Any


class Trouble:
    """State of a record that has failed: how often, when it is tried again, and what its plugin had taken before."""

    __slots__ = ("due", "failures", "taken_before")

    def __init__(self, taken_before: int) -> None:
        self.failures = 0
        self.due = 0.0
        self.taken_before = taken_before


class ChargePointBacklog:
    """State of a charge point with messages in the spool."""

    __slots__ = ("ahead", "due", "here_until", "put_off", "running", "trouble")

    def __init__(self) -> None:
        self.ahead: deque[SpooledMessage] = deque()  # what is read already, the oldest first
        self.here_until = 0.0
        self.due = 0.0  # when the next try is
        self.put_off = 0  # so often in a row, for reasons of which no record is to blame
        self.running: RedeliveredCall | int | None = (
            None  # or the number of the record that the store takes out
        )
        self.trouble: dict[int, Trouble] = {}  # by number


class Redelivery(Actor):
    """Actor that redelivers the spool. `delay_s` is the wait before the first try, doubled up to `delay_max_s`.

    With several processes `redelivered_here` returns those of some charge points whose messages this one redelivers; it
    may switch greenlets. Messages of the others are looked at again when their charge point connects here, or when
    this process has to redeliver them at one of its looks.
    """

    def __init__(
        self,
        context: SessionContext,
        spool: Spool,
        directory: Directory,
        *,
        delay_s: float,
        delay_max_s: float,
        attempts: int,
        redelivered_here: Callable[[Collection[str]], Collection[str]] | None = None,
    ) -> None:
        super().__init__()
        self._context = context
        self._spool = spool
        self._directory = directory
        self._delay_s = delay_s
        self._delay_max_s = delay_max_s
        self._attempts = attempts
        self._redelivered_here = redelivered_here
        self._backlogs: dict[str, ChargePointBacklog] = {}  # by charge point
        self._put_off = 0  # looks in a row that the store could not answer
        self._dead_letters_due = 0.0

    def on_start(self) -> None:
        """Take up what an earlier run left."""
        self._spool.attach(self._cell)
        self._take_up()

    def _take_up(self) -> None:
        context, others = self._context, self._redelivered_here
        now = context.clock.monotonic()
        try:
            if now >= self._dead_letters_due:
                self._spool.load()
                self._dead_letters_due = now + self._delay_max_s
            found: Collection[str] = self._spool.charge_points()
        except Exception as error:
            if not _passes(error):
                raise
            self._look_again(self._put_off_s(self._put_off))
            self._put_off += 1
            return
        self._put_off = 0
        for charge_point_id in found if others is None or not found else others(found):
            self._grew(charge_point_id)
        if others is not None:  # others spool too, and end before they have redelivered it
            self._look_again(LOOK_S)

    def _look_again(self, delay_s: float) -> None:
        context = self._context
        context.timers.call_at(context.clock.monotonic() + delay_s, lambda: self._tell(TakeUp()))

    def on_receive(self, message: Any) -> Any:
        """Deal with one of the messages above."""
        kind = type(message)
        if kind is SpoolGrew:
            self._grew(message.charge_point_id, older=message.older)
        elif kind is RedeliveryDue:
            backlog = self._backlogs.get(message.charge_point_id)
            if backlog is not None and backlog.due == message.due:
                self._next(message.charge_point_id)
        elif kind is RedeliveryEnded:
            self._ended(message.call, message.outcome)
        elif kind is RecordGone:
            self._gone(message.charge_point_id, message.number, message.error)
        elif kind is TakeUp:
            self._take_up()
        elif kind is RedeliverNow:
            for charge_point_id, backlog in list(self._backlogs.items()):
                backlog.put_off = 0
                for trouble in backlog.trouble.values():
                    trouble.due = 0.0
                self._next(charge_point_id)
        else:
            return super().on_receive(message)
        return None

    def _grew(self, charge_point_id: str, *, older: bool = False) -> None:
        backlog = self._backlogs.get(charge_point_id)
        if backlog is not None and older:
            backlog.ahead.clear()
        if backlog is None:
            self._backlogs[charge_point_id] = ChargePointBacklog()
            self._spool.put_behind(charge_point_id)
            self._later(charge_point_id, self._delay_s)
        elif backlog.trouble:
            self._next(charge_point_id)  # it may be of another transaction than what is in trouble

    def _later(self, charge_point_id: str, delay_s: float) -> None:
        self._at(charge_point_id, self._context.clock.monotonic() + delay_s)

    def _at(self, charge_point_id: str, due: float) -> None:
        self._backlogs[charge_point_id].due = due
        self._context.timers.call_at(due, lambda: self._tell(RedeliveryDue(charge_point_id, due)))

    def _put_off_s(self, times: int) -> float:
        return min(self._delay_max_s, self._delay_s * 2.0 ** min(times, DOUBLINGS))

    def _try_later(self, charge_point_id: str) -> None:
        """Put a charge point off for a reason of which no record is to blame, and of whose end nobody may tell."""
        backlog = self._backlogs[charge_point_id]
        self._later(charge_point_id, self._put_off_s(backlog.put_off))
        backlog.put_off += 1

    def _tell(self, message: Any) -> None:
        if not self._cell.ended:
            self._cell.tell(message)

    def _next(self, charge_point_id: str) -> None:
        backlog = self._backlogs.get(charge_point_id)
        if backlog is None or backlog.running is not None:
            return
        if self._redelivered_here is not None:
            now = self._context.clock.monotonic()
            if now >= backlog.here_until:
                if not self._redelivered_here([charge_point_id]):
                    # Another process does. Its further messages go behind these, should it connect here.
                    del self._backlogs[charge_point_id]
                    return
                backlog.here_until = now + HERE_S
                backlog.ahead.clear()  # another process may have had it meanwhile
        if backlog.trouble or not backlog.ahead:
            limit = LOOK_AHEAD if backlog.trouble else max(READ_AHEAD // len(self._backlogs), 1)
            try:
                records = self._spool.next_of(charge_point_id, limit)
            except Exception as error:
                if not _passes(error):
                    raise
                self._try_later(charge_point_id)
                return
            if not records:
                del self._backlogs[charge_point_id]
                return
            backlog.ahead = deque(records)
        record, due = self._choose(backlog, backlog.ahead)
        if record is not None:
            self._redeliver(charge_point_id, record)
        else:
            self._at(charge_point_id, due)

    def _choose(
        self, backlog: ChargePointBacklog, records: Iterable[SpooledMessage]
    ) -> tuple[SpooledMessage | None, float]:
        """Choose the next record that may be tried, or when one may; none before its transaction's earlier ones."""
        now = self._context.clock.monotonic()
        held: set[int] = set()
        due = INFINITY
        for record in records:
            transaction = self._spool.transaction_of(record) if backlog.trouble else None
            if transaction in held:
                continue
            trouble = backlog.trouble.get(record.number)
            if trouble is None or trouble.due <= now:
                return record, now
            due = min(due, trouble.due)
            if trouble.failures < self._attempts:
                break
            if transaction is not None:
                held.add(transaction)
        return None, due

    def _redeliver(self, charge_point_id: str, record: SpooledMessage) -> None:
        context = self._context
        if self._spool.is_dead(record):
            self._make_dead_letter(record, "the StartTransaction of its transaction is a dead letter")
            return
        action = self._spool.action_of(record)
        plugin: Any = context.router.passive.get(action) if action is not None else None
        # In quarantine it may be the probe that is let through.
        if (
            action is None
            or plugin is None
            or plugin.ended
            or (plugin.quarantined and not plugin.try_admit(charge_point_id, record.action))
        ):
            self._try_later(charge_point_id)
            return
        try:
            request, deviations = lenient(
                action.request,
                record.payload,
                received_at=record.received_at,
                naive_zone=context.rules.naive_zone,
            )
        except Refused as refused:
            self._make_dead_letter(record, str(refused))
            return
        cell = self._directory.find(charge_point_id)
        facts = cell.charge_point if cell is not None else ChargePoint(charge_point_id)
        incoming = Incoming(record.unique_id, action, request, record.payload, deviations, 0.0, INFINITY)
        call = RedeliveredCall(
            facts,
            incoming,
            record,
            plugin,
            lambda ended, outcome: self._tell(RedeliveryEnded(ended, outcome)),
        )
        self._backlogs[charge_point_id].running = call
        deadline_s = context.rules.deadlines_s.get(record.action, context.rules.default_deadline_s)
        due = context.clock.monotonic() + deadline_s
        try:
            plugin.tell(call)
        except ActorDeadError as dead:
            self._ended(call, Failure(dead))
            return
        context.timers.call_at(due, lambda: self._overdue(call))

    def _overdue(self, call: RedeliveredCall) -> None:
        backlog = self._backlogs.get(call.ordering_key)
        if backlog is None or backlog.running is not call:
            return
        call.expire()
        self._tell(RedeliveryEnded(call, Failure(TimeoutError("no answer in time"))))

    def _ended(self, call: RedeliveredCall, outcome: Any) -> None:
        charge_point_id = call.ordering_key
        backlog = self._backlogs.get(charge_point_id)
        if backlog is None or backlog.running is not call:
            return
        call.incoming.open = False
        context = self._context
        if type(outcome) is Untried:
            backlog.running = None
            self._try_later(charge_point_id)
            return
        failed = type(outcome) is Failure and not isinstance(outcome.error, OcppError)
        if not failed:
            context.observer.count("redelivered", charge_point_id)
            if type(outcome) is not Failure:
                call.plugin.note_success(charge_point_id, call.action)
            self._take_out(charge_point_id, call.number, context.store.unspool([call.number]))
            return
        context.observer.count("redelivery_failed", charge_point_id)
        backlog.running = None
        if _passes(outcome.error):  # the record is not to blame, and stays in the spool
            self._try_later(charge_point_id)
            return
        self._backlogs[charge_point_id] = self._backlogs.pop(
            charge_point_id
        )  # the next probe is another one's
        if call.plugin.on_trial and not getattr(outcome.error, "blameless", False):
            call.plugin.note_failure(charge_point_id, call.action, outcome.error)
        taken = call.plugin.handled_by_action.get(call.action, 0)
        trouble = backlog.trouble.setdefault(call.number, Trouble(taken))
        trouble.failures += 1
        never = getattr(outcome.error, "passing", True) is False  # the store says so of the record itself
        if trouble.failures >= self._attempts and (never or taken > trouble.taken_before):
            self._make_dead_letter(call.record, outcome.text)
            return
        delay_s = self._delay_s * 2.0 ** min(trouble.failures, DOUBLINGS)
        trouble.due = context.clock.monotonic() + min(self._delay_max_s, delay_s)
        self._next(charge_point_id)

    def _make_dead_letter(self, record: SpooledMessage, why: str) -> None:
        context, number, charge_point_id = self._context, record.number, record.charge_point_id
        text = "A spooled record of %s (number %d) is a dead letter: %s"
        context.log_limit.log(
            logger,
            logging.ERROR,
            charge_point_id,
            "dead letter",
            text,
            charge_point_id,
            number,
            why,
            extra=about(charge_point=charge_point_id),
        )
        context.observer.count("redelivery_dead_letter", charge_point_id)
        self._take_out(charge_point_id, number, self._spool.dead_letter(record, why))

    def _take_out(self, charge_point_id: str, number: int, receipt: RecordReceipt) -> None:
        # Not before the store has done it is the next one looked for: it might be the same.
        self._backlogs[charge_point_id].running = number
        receipt.then(lambda error: self._tell(RecordGone(charge_point_id, number, error)))

    def _gone(self, charge_point_id: str, number: int, error: Exception | None) -> None:
        backlog = self._backlogs.get(charge_point_id)
        if backlog is None or backlog.running != number:
            return  # the redelivery before this one waited for it
        backlog.running = None
        if error is None:
            backlog.put_off = 0
            backlog.trouble.pop(number, None)
            if backlog.ahead and backlog.ahead[0].number == number:
                backlog.ahead.popleft()
            else:
                backlog.ahead.clear()
            self._next(charge_point_id)
        else:
            text = "A record of %s stays in the spool, and is redelivered again: %s"
            self._context.log_limit.log(
                logger,
                logging.ERROR,
                charge_point_id,
                "spool",
                text,
                charge_point_id,
                error,
                extra=about(charge_point=charge_point_id),
            )
            self._try_later(charge_point_id)


def _passes(error: Exception) -> bool:
    """Return whether an error means that the store cannot work now, and may later."""
    return bool(getattr(error, "passing", False))
