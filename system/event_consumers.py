"""Delivery of durable events: each consumer gets what this process stored, and what ended processes have left.

A consumer is a plugin with `@on` for a durable event, or a subscription with a name. It has a position for each origin
in the store, behind which events are delivered again after a crash: at least once, and in order for each charge point.
An event that fails is tried again later, and those of its charge point behind it wait; after `attempts` it is a dead
letter. Nothing is lost while a plugin is in quarantine: its consumer waits.

Calls of charge points go before events: these are handed out when the hub has nothing else to do, and a few of them
whatever it does. What they are made of is read then: the log is the queue.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, cast

import msgspec

from ..actors.plugin.detached_call import Untried
from ..actors.plugin.retry import GiveUp, RetryLater
from ..actors.runtime.actor import Actor
from ..actors.runtime.failure import Failure
from ..protocol.events import DomainEvent, EventsDropped
from ..protocol.log_fields import about
from ..store.events import CORRECTED, DURABLE_EVENTS, EVENTS, decoded
from ..store.store import StoreError
from .by_hand import DeadLetterNotFound
from .consumer import UNREAD, Consumer
from .durable_events import (
    ChargePointMoved,
    ConsumerElsewhere,
    ConsumerProgress,
    ConsumersChanged,
    EventNotDelivered,
    Listening,
    RetryEvent,
    Subscribed,
)
from .event_reader import READ_AT_ONCE
from .event_targets import PluginTarget
from .idle_turns import IdleTurns

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from ..actors.plugin.routing import Router
    from ..actors.session.context import SessionContext
    from ..store.event_log import Elsewhere, Origin
    from ..store.store import LoggedEvent
    from .consumer import Delivery
    from .durable_events import DurableEvents
    from .event_reader import EventReader
    from .event_targets import Target

logger = logging.getLogger(__name__)

WINDOW = 1000
"""Events that a consumer may have on their way, of all origins; further ones stay in the log.

Each origin has its share: what waits for others of another origin does not keep those from being read.
"""
AT_ONCE = 16
"""Events that a consumer is told of in one turn of a hub that has time left."""
AT_ONCE_BUSY = 3
"""Events that one consumer is told of in a turn of a busy hub: 150 a second, more than any network has for long."""
TURN_S = 0.001
"""Seconds after which a turn makes no further events."""
MADE = 500
"""Events that were made and are kept: consumers that are nearly equally far share them."""
SETTLE_S = 1.0
"""Seconds for which a correction waits for further ones of its transaction, while nothing is behind it."""
STORE_S = 0.5
"""Seconds after which positions that have changed are stored."""
SOON_S = 0.01
"""Least seconds after which an event is delivered again."""
UNTRIED_S = 1.0
"""Seconds after which a consumer that could not be told anything is looked at again."""
PRUNE_S = 60.0
"""Seconds between two looks at what is to be dropped from the log."""
PRUNE_STEP_S = 0.2
"""Seconds between two steps while there is more to drop."""
ADOPT_S = 3.0
"""Seconds between two looks for processes that have ended; there are such only where several share the store."""
FORGET_AFTER = dt.timedelta(hours=1)
"""Time since its begin after which a process that has ended without events is forgotten."""
EVERYWHERE_S = 0.25
"""Seconds between two looks for events of other processes, for consumers that get the events of all."""
SETTLED = dt.timedelta(seconds=2)
"""Age of an event of a charge point that has moved, from which on older ones of the process before are stored."""
CERTAIN_S = 10.0
"""Seconds after a charge point has connected within which the process before may still store events of it."""
ELSEWHERE_S = 0.5
"""Seconds between two looks whether a charge point that came from another process has events to come from there."""


class LookEverywhere(msgspec.Struct, frozen=True, gc=False):
    """Time to look for events that other processes have stored, for consumers that get the events of all."""


class TakeTurn(msgspec.Struct, frozen=True, gc=False):
    """Time to read the log if it grew, and to hand events out."""

    idle: bool


class LogGrew(msgspec.Struct, frozen=True, gc=False):
    """Time to look at the log of this process again."""


class Settled(msgspec.Struct, frozen=True, gc=False):
    """Corrections of a consumer have waited for long enough."""

    consumer: Any


class Wake(msgspec.Struct, frozen=True, gc=False):
    """Time to look at a consumer again; at one of its charge points, if one is given."""

    consumer: Any
    charge_point_id: str | None = None


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """A consumer has dealt with an event."""

    consumer: Any
    delivery: Any
    outcome: Any


class SetAside(msgspec.Struct, frozen=True, gc=False):
    """The store has made an event a dead letter, or could not."""

    consumer: Any
    delivery: Any
    error: Any


class StorePositions(msgspec.Struct, frozen=True, gc=False):
    """Time to store positions."""


class Prune(msgspec.Struct, frozen=True, gc=False):
    """Time to drop old events."""


class Adopt(msgspec.Struct, frozen=True, gc=False):
    """Time to look for what ended processes have left."""


class _Entry:
    """Consumer with its target."""

    __slots__ = (
        "elsewhere", "elsewhere_due", "ended", "everywhere", "full", "looked_at", "origin_of", "ours", "settles",
        "state", "target", "waking",
    )  # fmt: skip

    def __init__(self, state: Consumer, target: Target, *, everywhere: bool = False) -> None:
        # Gets the events of all processes; `origin_of` has where the last event of each charge point was from.
        self.everywhere = everywhere
        self.looked_at: dt.datetime | None = None  # for origins, since the log was read to its end
        self.origin_of: dict[str, int] = {}
        self.state = state
        self.target = target
        self.waking = False
        self.settles = False  # it is looked at again when its first correction has settled
        self.full: set[int] = set()  # origins with more to read, when some of their events are done
        self.ended: set[int] = set()  # origins of ended processes that are read to their end
        self.elsewhere: Elsewhere | None = None  # what other processes have to deliver
        self.elsewhere_due = 0.0  # when it is looked at again for those that wait
        # Charge points that are here for a while: other processes store the end of a command, or what was done by hand,
        # at most. So it is not looked for at each of their events.
        self.ours: set[str] = set()

    def seen(self, origin: int) -> int:
        """Return the last number of an origin that was read; 0 if its events are not taken."""
        return self.state.seen(origin) if self.state.follows(origin) else 0


class EventConsumers(Actor):
    """Actor that delivers the durable events of this process, and those that ended ones have left.

    `living` are the names of the processes that share the store, None if this is the only one. `keep_number` and
    `keep_days` bound the log; 0 sets no limit.
    """

    def __init__(
        self,
        context: SessionContext,
        router: Router,
        reader: EventReader,
        events: DurableEvents,
        *,
        attempts: int,
        delay_s: float,
        delay_max_s: float,
        keep_number: int,
        keep_days: float,
        living: Callable[[], Collection[str]] | None = None,
    ) -> None:
        super().__init__()
        self._context = context
        self._router = router
        self._reader = reader
        self._log = reader.log
        self._events = events
        self._attempts = attempts
        self._delay_s = delay_s
        self._delay_max_s = delay_max_s
        self._keep_number = keep_number
        self._keep_days = keep_days
        self._living = living
        self._entries: dict[str, _Entry] = {}
        self._names: dict[int, str] = {}  # of origins
        self._pruned: dict[int, int] = {}
        self._chunks: dict[tuple[int, int], Sequence[LoggedEvent]] = {}
        self._made: OrderedDict[tuple[int, int], DomainEvent | None] = OrderedDict()
        self._tail: int | None = None  # what those who listen have had; None if nobody does
        self._grown = True
        self._told = ""  # the consumer that was told last in a busy hub
        self._turns = IdleTurns(lambda idle: self._tell(TakeTurn(idle)))
        self._storing = False
        self._adopting = False
        self._handlers: Mapping[type, Callable[[Any], None]] = {
            TakeTurn: self._take_turn,
            LogGrew: lambda _: self._heard(),
            Settled: self._settled,
            Delivered: self._delivered,
            Wake: self._wake,
            StorePositions: self._store_positions,
            SetAside: self._set_aside,
            Subscribed: self._subscribed,
            Listening: self._listening,
            ChargePointMoved: self._moved,
            Adopt: self._adopt,
            RetryEvent: self._retry,
            Prune: self._prune,
            ConsumersChanged: self._consumers_changed,
            LookEverywhere: self._look_everywhere,
        }
        self._looking = False
        self._here_since: dict[str, float] = {}  # of charge points, on the monotonic clock

    def on_start(self) -> None:
        """Enter all consumers, and take up what an earlier life left."""
        self._events.attach(self._cell)
        self._enter_all()
        self._later(PRUNE_S, Prune())

    def on_stop(self) -> None:
        """Hand over the positions, so that the next life delivers little again."""
        self._log.watch(None)
        self._turns.close()
        self._store_positions(None)

    def on_receive(self, message: Any) -> Any:
        """Handle one of the messages above."""
        handle = self._handlers.get(type(message))
        if handle is None:
            return super().on_receive(message)
        handle(message)
        return None

    def progress(self) -> list[ConsumerProgress]:
        """List how far each consumer is; events of no interest to it count until they are read."""
        number, last = self._log.number, self._log.last
        found = []
        for name, entry in self._entries.items():
            state = entry.state
            own = max(0, last - state.position(number)) if state.follows(number) else 0
            others = sum(state.undone(origin) for origin in state.origins if origin != number)
            found.append(ConsumerProgress(name, state.taken, own + others))
        return found

    def _take_turn(self, turn: TakeTurn) -> None:
        if self._grown:
            self._feed_all()
        names = list(self._entries)
        # In a busy hub the others are first in the next turn.
        first = names.index(self._told) + 1 if self._told in names else 0
        for name in names[first:] + names[:first]:
            entry = self._entries.get(name)
            if entry is not None and self._hand_out(entry, AT_ONCE if turn.idle else AT_ONCE_BUSY):
                self._turns.ask()
                if not turn.idle:
                    self._told = name
                    return

    def _listening(self, message: Listening) -> None:
        if self._tail is None:
            self._tail = message.after
        self._heard()

    def _moved(self, message: ChargePointMoved) -> None:
        for entry in self._entries.values():
            entry.ours.discard(message.charge_point_id)
        if message.here and self._entries:
            self._here_since[message.charge_point_id] = self._context.clock.monotonic()
        else:
            self._here_since.pop(message.charge_point_id, None)

    # -- Messages to itself ------------------------------------------------------------------------

    def _tell(self, message: Any) -> None:
        if not self._cell.ended:
            self._cell.tell(message)

    def _later(self, seconds: float, message: Any) -> None:
        due = self._context.clock.monotonic() + seconds
        self._context.timers.call_at(due, lambda: self._tell(message))

    def _heard(self) -> None:
        """Read the log in a turn to come; until then nothing more is to be heard."""
        self._grown = True
        self._log.watch(None)
        self._turns.ask()

    # -- Consumers and their origins ---------------------------------------------------------------

    def _enter_all(self) -> None:
        """Enter new consumers, and adopt what ended processes have left to any; again later if the store is away."""
        targets: dict[str, tuple[Iterable[type[DomainEvent]], Target]] = {
            name: (
                cell.spec.plugin.durable_events_heard(),
                PluginTarget(self._router, name, everywhere=cell.spec.scope == "cluster"),
            )
            for name, cell in self._router.consumers.items()
            if not cell.ended
        }
        targets |= {one.name: (one.kinds, one) for one in self._events.subscriptions if not one.closed}
        try:
            for name, (kinds, target) in targets.items():
                known = self._entries.get(name)
                if known is None or (known.target is not target and not isinstance(target, PluginTarget)):
                    self._enter(name, kinds, target)
            if self._entries:
                self._adopt_all()
        except StoreError as error:
            if not error.passing:
                raise
            logger.warning("consumers of events cannot be entered yet: %s", error)
            self._adopt_later(self._delay_max_s)
        if self._entries:
            if self._living is not None:
                self._adopt_later(ADOPT_S)
            if not self._looking and any(entry.everywhere for entry in self._entries.values()):
                self._looking = True
                self._later(EVERYWHERE_S, LookEverywhere())
        self._heard()

    def _consumers_changed(self, _: ConsumersChanged) -> None:
        self._store_positions(None)
        for name, entry in list(self._entries.items()):
            cell = self._router.consumers.get(name)
            if isinstance(entry.target, PluginTarget) and (cell is None or cell.ended):
                del self._entries[name]
        self._enter_all()

    def _look_everywhere(self, _: LookEverywhere) -> None:
        self._looking = False
        if any(entry.everywhere for entry in self._entries.values()):
            self._enter_all()

    def _subscribed(self, _: Subscribed) -> None:
        self._enter_all()

    def _adopt(self, _: Adopt) -> None:
        self._adopting = False
        self._enter_all()

    def _adopt_later(self, seconds: float) -> None:
        if not self._adopting:
            self._adopting = True
            self._later(seconds, Adopt())

    def _enter(self, name: str, kinds: Iterable[type[DomainEvent]], target: Target) -> None:
        everywhere = isinstance(target, PluginTarget) and target.everywhere and self._living is not None
        state = Consumer(
            name,
            kinds,
            sorted_already=everywhere,
            attempts=self._attempts,
            delay_s=self._delay_s,
            delay_max_s=self._delay_max_s,
        )
        self._names[self._log.number] = self._log.origin
        after = getattr(target, "after", None)
        position = self._log.register(name, after)[self._log.number].number
        if everywhere:
            self._entries[name] = _Entry(state, target, everywhere=True)
            return
        known = self._entries.get(name)
        if known is not None:  # a subscription was closed, and its name is used again
            position = max(position, known.state.position(self._log.number))
        state.follow(self._log.number, position)
        self._entries[name] = _Entry(state, target)

    def _adopt_all(self) -> None:
        """Take over the origins of ended processes."""
        living = None if self._living is None else set(self._living())
        looked_at = self._context.now()
        origins = self._log.origins()
        self._names = {origin.number: origin.name for origin in origins}
        self._pruned = {origin.number: origin.pruned_to for origin in origins}
        for entry in self._entries.values():
            if entry.everywhere:
                self._take_all(entry, origins)
                entry.looked_at = looked_at
        if living is not None and self._log.origin not in living:
            return  # it is not known who lives
        others = [origin for origin in origins if origin.number != self._log.number]
        ended = [origin for origin in others if living is None or origin.name not in living]
        for entry in self._entries.values():
            if entry.everywhere:
                continue
            entry.ended -= {origin.number for origin in others if origin.last > entry.seen(origin.number)}
            if living is not None:
                self._give_back(entry, [origin for origin in others if origin.name in living])
            self._take_over(entry, ended, living)
        for origin in ended:
            self._log.forget_ended(origin, self._context.now() - FORGET_AFTER)

    def _take_all(self, entry: _Entry, origins: Sequence[Origin]) -> None:
        """Take the origins of all processes for a consumer that only this one has: the lease of its plugin is here."""
        wanted = [origin.number for origin in origins if not entry.state.follows(origin.number)]
        positions = self._log.positions(entry.state.name) if wanted else {}
        for number in wanted:
            known = positions.get(number)
            if known is not None and known.owner == self._log.origin:
                position: int | None = known.number
            else:
                owner = None if known is None else known.owner
                position = self._log.adopt(entry.state.name, number, owner)
            if position is not None:
                entry.state.follow(number, position)

    def _give_back(self, entry: _Entry, returned: Sequence[Origin]) -> None:
        """Leave origins whose processes had no lease for a while, and have one again; take back our own."""
        for origin in returned:
            if entry.state.follows(origin.number) and entry.state.is_done(origin.number):
                entry.state.leave(origin.number)
                entry.ended.discard(origin.number)
        own = self._log.positions(entry.state.name).get(self._log.number)
        if own is not None and own.owner not in ("", self._log.origin):
            self._log.adopt(entry.state.name, self._log.number, own.owner)

    def _take_over(self, entry: _Entry, ended: Sequence[Origin], living: Collection[str] | None) -> None:
        """Take over for a consumer what ended processes have left, unless another process is faster."""
        name = entry.state.name
        wanted = [
            origin
            for origin in ended
            if (origin.last or origin.pruned_to) and not entry.state.follows(origin.number)
        ]
        positions = self._log.positions(name) if wanted else {}
        for origin in wanted:
            known = positions.get(origin.number)
            if known is not None and known.number >= max(origin.last, origin.pruned_to):
                continue
            owner = None if known is None else known.owner
            position: int | None = None
            if owner == self._log.origin and known is not None:
                position = known.number
            elif owner is None or living is None or owner not in living:
                position = self._log.adopt(name, origin.number, owner)
            if position is not None:
                logger.info("%s takes up the events of %s behind %d", name, origin.name, position)
                entry.state.follow(origin.number, position)
                entry.elsewhere = None

    # -- Feeding -----------------------------------------------------------------------------------

    def _feed_all(self) -> None:
        self._grown = False
        own = self._log.number
        if self._entries or self._tail is not None:
            self._log.watch(self._heard)  # before it is read: what comes later is heard of
        try:
            for entry in list(self._entries.values()):
                self._feed(entry)
            self._publish()
            if (
                self._entries
                and self._tail is None
                and all(own in one.full for one in self._entries.values())
            ):
                self._log.watch(None)  # it is read when some of the events are done
        except StoreError as error:
            if not error.passing:
                raise
            logger.warning("the log of events cannot be read now: %s", error)
            self._later(UNTRIED_S, LogGrew())
        finally:
            self._chunks.clear()

    def _read(self, origin: int, after: int) -> Sequence[LoggedEvent]:
        """Read events; consumers that are equally far share what is read."""
        found = self._chunks.get((origin, after))
        if found is None:
            found = self._chunks[origin, after] = self._reader.read(origin, after)
        return found

    def _add(self, state: Consumer, origin: int, logged: LoggedEvent) -> None:
        """Add a row of the log to what a consumer has to get."""
        if logged.kind == CORRECTED:
            state.add(
                origin,
                logged.number,
                logged.logged_at,
                logged,
                corrects=logged.transaction_id,
                settled_at=self._context.clock.monotonic() + SETTLE_S,
            )
        else:
            state.add(origin, logged.number, logged.logged_at, logged)

    def _event(self, origin: int, logged: LoggedEvent) -> DomainEvent | None:
        """Make an event, or take the one that another consumer had; None for one that there is no more."""
        key = origin, logged.number
        if key in self._made:
            return self._made[key]
        event = self._reader.whole(logged, self._names.get(origin, ""))
        self._made[key] = event
        if len(self._made) > MADE:
            self._made.popitem(last=False)
        return event

    def _feed(self, entry: _Entry) -> None:
        if entry.everywhere:
            self._feed_everywhere(entry)
            return
        state = entry.state
        wanted = {kind.__name__ for kind in state.kinds}
        origins = state.origins
        share = max(WINDOW // len(origins), 1)
        for origin in origins if not getattr(entry.target, "closed", False) else ():
            if origin in entry.ended or (origin in entry.full and state.undone(origin) > share // 2):
                continue
            entry.full.discard(origin)
            if self._pruned.get(origin, 0) > state.seen(origin):
                self._dropped(state, origin, state.seen(origin))
            while state.undone(origin) < share:
                rows = self._read(origin, state.seen(origin))
                for logged in rows:
                    if logged.kind in wanted:
                        self._add(state, origin, logged)
                    else:
                        self._skip(state, origin, logged)
                if len(rows) < READ_AT_ONCE:
                    state.read_to(origin, None)
                    if origin != self._log.number:
                        entry.ended.add(origin)
                    break
                state.read_to(origin, rows[-1].logged_at)
            else:
                entry.full.add(origin)
        self._deliver(entry)
        self._store_later()

    def _feed_everywhere(self, entry: _Entry) -> None:
        """Feed a consumer with the events of all processes, in the order of their times, once for each look."""
        state = entry.state
        wanted = {kind.__name__ for kind in state.kinds}
        while (looked_at := entry.looked_at) is not None and len(state) < WINDOW:
            for origin in state.origins:
                if self._pruned.get(origin, 0) > state.seen(origin):
                    self._dropped(state, origin, state.seen(origin))
            rows = self._reader.read_all({origin: state.seen(origin) for origin in state.origins})
            if not rows:
                entry.looked_at = None
            settled_before = self._context.now() - SETTLED
            for origin, logged in rows:
                moved = entry.origin_of.get(logged.charge_point_id, origin) != origin
                # An older one may be stored meanwhile: by a process that is not known yet, by the one before.
                if logged.logged_at > (settled_before if moved else looked_at):
                    entry.looked_at = None
                    break
                if logged.charge_point_id:
                    entry.origin_of[logged.charge_point_id] = origin
                if logged.kind in wanted:
                    self._add(state, origin, logged)
                else:
                    self._skip(state, origin, logged)
        self._deliver(entry)
        self._store_later()

    def _skip(self, state: Consumer, origin: int, logged: LoggedEvent) -> None:
        """Pass over an event that a consumer does not want; one that only a newer program knows stays for that."""
        if logged.kind not in EVENTS and origin != self._log.number:
            name = self._names.get(origin, "")
            self._context.observer.count("event_dead_letter", logged.charge_point_id)
            why = f"a newer chargehand has logged it, and this one knows no event {logged.kind}"
            logger.warning("event %s:%d is a dead letter for %s: %s", name, logged.number, state.name, why)
            self._log.set_aside_unknown(state.name, name, logged, why)
        state.skip(origin, logged.number)

    def _dropped(self, state: Consumer, origin: int, after: int) -> None:
        """Tell a consumer that was behind the retention what is gone."""
        pruned_to, name = self._pruned[origin], self._names.get(origin, "")
        self._context.observer.count("events_dropped", "")
        logger.error(
            "consumer %s: events %d to %d of %s were dropped before it had them (events.keep_number, "
            "events.keep_days)",
            state.name,
            after + 1,
            pruned_to,
            name,
        )
        if EventsDropped in state.kinds:
            event = EventsDropped(
                at=self._context.now(),
                id=f"{name}:{pruned_to}",
                first=f"{name}:{after + 1}",
                last=f"{name}:{pruned_to}",
                count=pruned_to - after,
            )
            state.add(origin, pruned_to, UNREAD, event)
        else:
            state.skip(origin, pruned_to)

    def _publish(self) -> None:
        """Tell those who listen to durable events as they come."""
        if self._tail is None:
            return
        if not any(kind in self._router.listeners for kind in DURABLE_EVENTS):
            self._tail = None
            if not self._entries:
                self._log.watch(None)
            return
        listened = {kind.__name__ for kind in self._router.listeners}
        rows = self._read(self._log.number, self._tail)
        while rows:
            for logged in rows:
                self._tail = logged.number
                event = self._event(self._log.number, logged) if logged.kind in listened else None
                if event is not None:
                    self._router.publish(event)
            rows = self._read(self._log.number, self._tail)

    # -- Delivering --------------------------------------------------------------------------------

    def _deliver(self, entry: _Entry) -> None:
        """Hand out in a turn to come what a consumer has to get."""
        if len(entry.state):
            self._turns.ask()

    def _hand_out(self, entry: _Entry, at_once: int) -> bool:
        """Tell a consumer of some events that are due; return whether there may be more of them."""
        state = entry.state
        if not len(state) or entry.waking:
            return False
        if not entry.target.ready():
            if not getattr(entry.target, "closed", False):
                entry.waking = True
                self._later(UNTRIED_S, Wake(entry))
            return False
        now = self._context.clock.monotonic()
        ends_at = now + TURN_S
        for delivery in state.due(now):
            if self._is_elsewhere(entry, delivery):
                self._again(entry, delivery, ELSEWHERE_S)
                continue
            event = self._made_of(entry, delivery)
            if event is not None:
                entry.target.deliver(event, self._ended(entry, delivery))
            at_once -= 1
            if not at_once or self._context.clock.monotonic() > ends_at:
                return True
        self._settle_later(entry, now)
        return False

    def _made_of(self, entry: _Entry, delivery: Delivery) -> DomainEvent | None:
        """Return the event of a delivery; None if there is none any more, or it cannot be read now."""
        if isinstance(delivery.event, DomainEvent):
            return delivery.event
        try:
            event = self._event(delivery.origin, delivery.event)
        except StoreError as error:
            if not error.passing:
                raise
            logger.warning("an event cannot be read now: %s", error)
            self._again(entry, delivery, UNTRIED_S)
            return None
        if event is None:
            entry.state.done(delivery)
            self._go_on(entry, delivery.origin)
        else:
            delivery.event = event
        return event

    def _settle_later(self, entry: _Entry, now: float) -> None:
        settled_at = entry.state.settled_at
        if settled_at is not None and not entry.settles:
            entry.settles = True
            self._later(settled_at - now, Settled(entry))

    def _settled(self, message: Settled) -> None:
        message.consumer.settles = False
        if self._is_current(message.consumer):
            self._deliver(message.consumer)

    def _ended(self, entry: _Entry, delivery: Delivery) -> Callable[[Any], None]:
        return lambda outcome: self._tell(Delivered(entry, delivery, outcome))

    def _is_elsewhere(self, entry: _Entry, delivery: Delivery) -> bool:
        """Return whether another process has older events of the charge point to deliver to this consumer."""
        # Of an origin that was taken over too: another process may have taken over an older one.
        if self._living is None or entry.everywhere:
            return False
        charge_point_id = delivery.charge_point_id
        if not charge_point_id:
            return False
        known, certain = entry.elsewhere, charge_point_id in entry.ours
        now = self._context.clock.monotonic()
        try:
            if known is None or now >= entry.elsewhere_due or (known.looked_at < delivery.at and not certain):
                known = entry.elsewhere = self._log.elsewhere(entry.state.name, entry.state.origins)
                entry.elsewhere_due = now + ELSEWHERE_S
        except StoreError:
            return True
        oldest = known.oldest.get(charge_point_id)
        elsewhere = oldest is not None and oldest < delivery.at
        here_since = self._here_since.get(charge_point_id)
        if not elsewhere and here_since is not None and here_since + CERTAIN_S < now:
            entry.ours.add(charge_point_id)
        return elsewhere

    def _again(self, entry: _Entry, delivery: Delivery, seconds: float) -> None:
        entry.state.wait(delivery, self._context.clock.monotonic() + seconds)
        self._later(seconds, Wake(entry, delivery.charge_point_id))

    def _is_current(self, entry: _Entry) -> bool:
        return self._entries.get(entry.state.name) is entry

    def _wake(self, message: Wake) -> None:
        entry = message.consumer
        if not self._is_current(entry):
            return
        if message.charge_point_id is None:
            entry.waking = False
        else:
            entry.state.wake(message.charge_point_id)
        self._deliver(entry)

    def _delivered(self, message: Delivered) -> None:
        entry, delivery, outcome = message.consumer, message.delivery, message.outcome
        if not self._is_current(entry):
            return
        state, context = entry.state, self._context
        charge_point_id = delivery.charge_point_id
        if outcome is None:
            state.done(delivery)
            self._go_on(entry, delivery.origin)
        elif type(outcome) is Untried:
            self._again(entry, delivery, UNTRIED_S)
        elif isinstance(outcome.error, RetryLater):
            self._again(entry, delivery, max(outcome.error.seconds, SOON_S))
        elif isinstance(outcome.error, GiveUp):
            self._make_dead_letter(entry, delivery, str(outcome.error))
        elif getattr(outcome.error, "blameless", False) and getattr(outcome.error, "passing", False):
            self._again(entry, delivery, min(self._delay_max_s, UNTRIED_S))
        else:
            context.observer.count("event_failed", charge_point_id)
            text = "consumer %s failed at event %s (%s), try %d: %s"
            name, event = state.name, delivery.event
            now = context.clock.monotonic()
            again = state.failed(delivery, now)
            what = (name, getattr(event, "id", ""), type(event).__name__, delivery.failures, outcome.text)
            context.log_limit.log(
                logger,
                logging.ERROR,
                charge_point_id,
                f"event {name}",
                text,
                *what,
                extra=about(charge_point=charge_point_id),
            )
            if again:
                self._later(delivery.due - now, Wake(entry, charge_point_id))
            else:
                self._make_dead_letter(entry, delivery, outcome.text)

    def _make_dead_letter(self, entry: _Entry, delivery: Delivery, why: str) -> None:
        self._context.observer.count("event_dead_letter", delivery.charge_point_id)
        # It was handed out, so it was made.
        receipt = self._log.set_aside(entry.state.name, cast("DomainEvent", delivery.event), why)
        receipt.then(lambda error: self._tell(SetAside(entry, delivery, error)))

    def _set_aside(self, message: SetAside) -> None:
        entry = message.consumer
        if not self._is_current(entry):
            return
        if message.error is None:
            entry.state.done(message.delivery)
            self._go_on(entry, message.delivery.origin)
        else:
            self._again(entry, message.delivery, self._delay_max_s)

    def _go_on(self, entry: _Entry, origin: int) -> None:
        state = entry.state
        if entry.everywhere:
            if len(state) == WINDOW // 2:  # below a full window there was nothing more to read
                self._heard()
        elif origin in entry.full and state.undone(origin) <= max(WINDOW // len(state.origins), 1) // 2:
            self._heard()
        self._deliver(entry)
        self._store_later()

    def _retry(self, message: RetryEvent) -> None:
        """Deliver the event of a dead letter once more, whatever else its consumer has."""
        number, told = message.number, message.told
        letters = [one for one in self._log.dead_letters(after=number - 1, limit=1) if one.number == number]
        if not letters:
            told.set_exception(DeadLetterNotFound(f"there is no dead event {number}"))
            return
        (letter,) = letters
        entry = self._entries.get(letter.consumer)
        if entry is None:
            told.set_exception(ConsumerElsewhere(f"the consumer {letter.consumer} does not run here"))
            return

        def ended(outcome: Any) -> None:
            if outcome is None:
                self._log.forget_dead_letters([number]).then(
                    lambda error: told.set(None) if error is None else told.set_exception(error)
                )
            else:
                why = outcome.text if type(outcome) is Failure else outcome.why
                told.set_exception(EventNotDelivered(f"{letter.consumer} does not take it: {why}"))

        try:
            event = decoded(letter.kind, letter.data)
        except ValueError as error:
            told.set_exception(EventNotDelivered(f"{letter.consumer} is not told: {error}"))
            return
        entry.target.deliver(event, ended)

    # -- Positions, and retention --------------------------------------------------------------------

    def _store_later(self) -> None:
        if not self._storing:
            self._storing = True
            self._later(STORE_S, StorePositions())

    def _store_positions(self, _: StorePositions | None) -> None:
        self._storing = False
        for name, entry in self._entries.items():
            for origin, position in entry.state.positions().items():
                receipt = self._log.advance(name, origin, position)
                receipt.then(_note_unstored(entry.state, origin, position))

    def _prune(self, _: Prune) -> None:
        since = None
        if self._keep_days:
            since = self._context.now() - dt.timedelta(days=self._keep_days)
        more = False
        try:
            if self._keep_number or since is not None:
                more = self._log.prune(keep=self._keep_number, since=since)
            if self._entries and not more:
                self._pruned = {origin.number: origin.pruned_to for origin in self._log.origins()}
        except StoreError as error:
            logger.warning("old events cannot be dropped now: %s", error)
        self._later(PRUNE_STEP_S if more else PRUNE_S, Prune())


def _note_unstored(state: Consumer, origin: int, position: int) -> Callable[[Exception | None], None]:
    def note(error: Exception | None) -> None:
        if error is not None:
            state.unstored(origin, position)

    return note
