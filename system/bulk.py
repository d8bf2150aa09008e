"""Bulk commands: one request or verb to many charge points, so many at a time, with a result for each.

The one rule: nothing here waits for anybody but itself. A bulk has a greenlet of its own; whoever made it may watch it,
wait for it or forget it, and what it keeps is bounded.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import Counter
from collections.abc import Sized
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import gevent
from gevent.event import Event

from ..actors.runtime.future import wait_until, wake_all
from ..actors.session.tickets import TicketState
from ..config.errors import ChargehandError
from ..protocol.effects import Effect
from ..protocol.verbs import Verb
from .charge_point_filter import ChargePointFilter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..actors.session.command_sender import SendOptions
    from ..actors.session.commands import PreparedCommand
    from ..actors.session.tickets import Ticket
    from ..protocol.message import Message
    from .charge_point_filter import ChargePointChooser
    from .commands import Commands

logger = logging.getLogger(__name__)

AT_A_TIME = 20
"""Commands made before others have their turn."""
TURN_S = 1e-6
"""Sleep that lets the hub look at its sockets and timers, too: after `sleep(0)` it may run this greenlet next."""
PAGE = 100
"""Results that an iteration takes at a time."""


class TooManyBulks(ChargehandError, RuntimeError):
    """Error: as many bulk commands as are kept are running (`bulk.kept`)."""


class BulkResult(NamedTuple):
    """Outcome of a bulk command at one charge point. `number` counts in the order in which they ended.

    `ticket_id` is empty if no command was made, `effect` None if it was not waited for. `code` is that of a CALLERROR.
    """

    number: int
    charge_point_id: str
    state: TicketState
    ticket_id: str = ""
    response: Message | None = None
    code: Any = None
    reason: str = ""
    effect: Effect | None = None
    version: str = ""

    @property
    def ok(self) -> bool:
        """True if the charge point answered validly, and did what was waited for, whatever its answer says."""
        answered = self.state is TicketState.ANSWERED and self.response is not None
        return answered and self.effect in (None, Effect.DONE)


class BulkProgress(NamedTuple):
    """Counts of a bulk command. `total` is None until all charge points are chosen.

    `open` commands are under way, `waiting` of them for charge points that are away. `states` counts ended ones by the
    state of their ticket, `statuses` the answers by their status, `effects` what was waited for. `dropped` are results
    that are not kept any more, `failure` says why charge points could not be chosen.
    """

    total: int | None
    open: int
    waiting: int
    ended: int
    ok: int
    states: dict[str, int]
    statuses: dict[str, int]
    effects: dict[str, int]
    dropped: int
    done: bool
    cancelled: bool
    failure: str


class Bulk:
    """Bulk command that runs or has ended; made by `system.send_many`. Iterating yields each result as it ends.

    At most `at_once` commands are under way; those that wait for charge points which are away do not count. Its
    methods may be called from any greenlet and any native thread.
    """

    any_thread: ClassVar[bool] = True

    def __init__(
        self,
        id_: str,
        choose: Callable[[], Iterable[str]],
        request: PreparedCommand[Any] | Verb,
        *,
        commands: Commands,
        is_away: Callable[[str], bool],
        knows: Callable[[str], bool],
        at_once: int,
        results_kept: int,
        created_at: float,
        options: SendOptions,
    ) -> None:
        self.id = id_
        self.name = request.name if isinstance(request, Verb) else request.row.name
        self.at_once = at_once
        self.created_at = created_at
        self._choose = choose
        self._request = request
        self._commands = commands
        self._is_away = is_away
        self._knows = knows
        self._queues = options.get("when_offline") == "queue"
        self._options = options
        self._results_kept = results_kept
        self._room = Event()
        self._tickets: dict[str, Ticket[Any]] = {}
        self._absent: set[str] = set()  # tickets that wait for a charge point that is away
        self._results: dict[int, BulkResult] = {}
        self._ended = self._ok = 0
        self._states: Counter[str] = Counter()
        self._statuses: Counter[str] = Counter()
        self._effects: Counter[str] = Counter()
        self._total: int | None = None
        self._all_made = False
        self._cancelled = False
        self._failure = ""
        self._waiters: list[Callable[[], None]] = []

    # -- For everybody ------------------------------------------------------------------------------

    @property
    def command(self) -> str:
        """Action or verb of its commands."""
        return self.name

    @property
    def at_most_at_once(self) -> int:
        """Number of commands that are under way at most, as `send_many` was told."""
        return self.at_once

    @property
    def done(self) -> bool:
        """True when there is a result for every charge point."""
        return self._all_made and not self._tickets

    @property
    def progress(self) -> BulkProgress:
        """Counts of this moment."""
        return BulkProgress(
            total=self._total,
            open=len(self._tickets),
            waiting=len(self._absent),
            ended=self._ended,
            ok=self._ok,
            states=dict(self._states),
            statuses=dict(self._statuses),
            effects=dict(self._effects),
            dropped=self._ended - len(self._results),
            done=self.done,
            cancelled=self._cancelled,
            failure=self._failure,
        )

    def results(self, after: int = 0, limit: int | None = None) -> Sequence[BulkResult]:
        """List the results behind a number, in the order in which they ended; those that are not kept are left out."""
        last = self._ended
        first = max(after + 1, last - len(self._results) + 1)
        numbers = range(first, last + 1 if limit is None else min(last + 1, first + limit))
        return [result for number in numbers if (result := self._results.get(number)) is not None]

    def __iter__(self) -> Iterator[BulkResult]:
        after = 0
        while True:
            self.wait_for(after)
            found = self.results(after, PAGE)
            if not found:
                return
            yield from found
            after = found[-1].number

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until there is a result for every charge point; return false if `timeout_s` passed before."""
        return self._wait(lambda: self.done, timeout_s)

    def wait_for(self, after: int, timeout_s: float | None = None) -> bool:
        """Wait for a result behind a number, or for the end; return false if `timeout_s` passed before."""
        return self._wait(lambda: self._ended > after or self.done, timeout_s)

    def cancel(self) -> None:
        """Send no further commands, and cancel those that are not on the wire yet. Never blocks."""
        self._cancelled = True
        self._commands.in_hub(self._stop_sending, None)

    def _wait(self, ready: Callable[[], bool], timeout_s: float | None) -> bool:
        ends_at = None if timeout_s is None else time.monotonic() + timeout_s
        while not ready():
            left_s = None if ends_at is None else ends_at - time.monotonic()
            if left_s is not None and left_s <= 0:
                return False
            wait_until(ready, self._waiters, left_s, self._commands.home)  # or until the next result
        return True

    # -- Inside: all of it in the hub's thread -------------------------------------------------------

    def run(self) -> None:
        """Send the commands. Returns when all are made; runs in a greenlet of its own."""
        failure = "the central system has stopped"
        try:
            self._send_all()
            failure = ""
        except Exception as error:  # of the ids that were given, the store or the coordinator
            failure = str(error)
            logger.exception("bulk %s of %s: charge points cannot be chosen", self.id, self.name)
        finally:
            self._choose = tuple
            self._failure = failure
            self._all_made = True
            self._wake()

    def _send_all(self) -> None:
        seen = set()
        chosen: Iterable[str] = self._choose()
        if isinstance(chosen, Sized):
            chosen = list(dict.fromkeys(chosen))
            self._total = len(chosen)
        for number, charge_point_id in enumerate(chosen, 1):
            if self._cancelled and self._total is None:
                break  # there may be no end of them
            if charge_point_id in seen:
                continue
            seen.add(charge_point_id)
            self._wait_for_room()
            self._make(charge_point_id)
            if number % AT_A_TIME == 0:
                gevent.sleep(TURN_S)
        self._total = len(seen)

    def _wait_for_room(self) -> None:
        while len(self._tickets) - len(self._absent) >= self.at_once and not self._cancelled:
            self._room.clear()
            self._room.wait()

    def _make(self, charge_point_id: str) -> None:
        """Send the command to one charge point."""
        if self._cancelled:
            self._add(charge_point_id, TicketState.CANCELLED, reason="the bulk command was cancelled")
            return
        if self._queues and not self._knows(charge_point_id):
            reason = f"{charge_point_id} has never been here"
            self._add(charge_point_id, TicketState.NEVER_SENT, reason=reason)
            return
        try:
            absent = self._queues and self._is_away(charge_point_id)
            ticket = self._commands.send(charge_point_id, self._request, **self._options)
        except (
            ChargehandError,
            RuntimeError,
        ) as error:  # its version has no such message, or the system stops
            self._add(charge_point_id, TicketState.NEVER_SENT, reason=str(error))
            return
        self._tickets[ticket.id] = ticket
        if absent:
            self._absent.add(ticket.id)
        ticket.when_settled(lambda: self._settled(ticket))

    def _settled(self, ticket: Ticket[Any]) -> None:
        del self._tickets[ticket.id]
        self._absent.discard(ticket.id)
        self._add(
            ticket.charge_point_id,
            ticket.state,
            ticket_id=ticket.id,
            response=ticket.response,
            code=ticket.code,
            reason=ticket.reason,
            effect=ticket.effect,
            version=ticket.version,
        )
        self._room.set()

    def _add(self, charge_point_id: str, state: TicketState, **more: Any) -> None:
        """Add a result, and drop the oldest one over the bound."""
        self._ended += 1
        result = BulkResult(self._ended, charge_point_id, state, **more)
        self._results[result.number] = result
        if len(self._results) > self._results_kept:
            del self._results[next(iter(self._results))]
        self._ok += result.ok
        self._states[state] += 1
        status = getattr(result.response, "status", None)
        if status is not None:
            self._statuses[str(status)] += 1
        if result.effect is not None:
            self._effects[result.effect] += 1
        self._wake()

    def _stop_sending(self, _: None) -> None:
        self._room.set()
        for ticket in list(self._tickets.values()):
            ticket.cancel()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        wake_all(waiters)

    def __repr__(self) -> str:
        return f"<Bulk {self.id} {self.name}: {self._ended} of {self._total} ended>"


class Bulks:
    """Bulk commands of a system: the last `kept` ones, all that run among them.

    `spawn` starts a greenlet that ends with the system; `now` gives the seconds since 1970.
    """

    def __init__(
        self,
        *,
        commands: Commands,
        chooser: ChargePointChooser,
        knows: Callable[[str], bool],
        spawn: Callable[[Callable[[], None]], object],
        now: Callable[[], float],
        prefix: str,
        at_once: int,
        results_kept: int,
        kept: int,
    ) -> None:
        self._commands = commands
        self._chooser = chooser
        self._knows = knows
        self._spawn = spawn
        self._now = now
        self._prefix = prefix
        self._at_once = at_once
        self._results_kept = results_kept
        self._kept = kept
        self._numbers = itertools.count(1)
        self._bulks: dict[str, Bulk] = {}

    def send(
        self,
        charge_points: Iterable[str] | ChargePointFilter,
        request: Any,
        *,
        at_once: int | None = None,
        **options: Any,
    ) -> Bulk:
        """Start a bulk command, as `CentralSystem.send_many` describes."""
        if isinstance(charge_points, str | bytes):
            raise TypeError(f"charge_points are ids or a filter, not the text {charge_points!r}")
        at_once = self._at_once if at_once is None else at_once
        if at_once < 1:
            raise ValueError(f"at_most_at_once must be at least 1, not {at_once}")
        command = self._commands.check(request, **options)
        self._make_room()
        chosen = charge_points
        bulk = Bulk(
            f"{self._prefix}-b{next(self._numbers)}",
            lambda: self._chooser.choose(chosen) if isinstance(chosen, ChargePointFilter) else chosen,
            command,
            commands=self._commands,
            is_away=self._chooser.is_away,
            knows=self._knows,
            at_once=at_once,
            results_kept=self._results_kept,
            created_at=self._now(),
            options=options,  # type: ignore[arg-type]
        )
        self._bulks[bulk.id] = bulk
        self._commands.in_hub(self._start, bulk)
        return bulk

    def _start(self, bulk: Bulk) -> None:
        self._spawn(bulk.run)

    def _make_room(self) -> None:
        if len(self._bulks) >= self._kept:
            ended = next((bulk.id for bulk in self._bulks.values() if bulk.done), None)
            if ended is None:
                raise TooManyBulks(f"{len(self._bulks)} bulk commands are running already (bulk.kept)")
            del self._bulks[ended]

    def find(self, bulk_id: str) -> Bulk | None:
        """Find a bulk command by its id; None if it is unknown, or ended long ago."""
        return self._bulks.get(bulk_id)

    def all(self) -> list[Bulk]:
        """List the bulk commands that are kept, newest first."""
        return list(reversed(self._bulks.values()))
