"""Plugin that forwards calls to plugin hosts through streams in Redis, and takes their answers.

It answers nothing by itself and waits for nothing. While Redis is away, no plugin host is alive or a stream is full, a
call fails at once, so that its fallback answers. Spooled messages are redelivered when the plugin hosts are back.

Plugin hosts say what else they want. Answers (`@after`) and live events are forwarded as they come, or lost; each group
that wants durable events is a consumer, which has its own position in the store.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

import msgspec
from msgspec import Raw

from ...actors.plugin.detached_call import Untried
from ...actors.plugin.plugin import (
    CONCURRENCY,
    Plugin,
    PluginSpec,
    on_outcome,
    passive,
)
from ...actors.runtime.failure import Failure
from ...actors.session.messages import AnswerSent, EventPublished
from ...actors.session.tickets import Ticket
from ...protocol.actions import Sender
from ...protocol.errors import OcppError
from ...protocol.events import LIVE, ChargePointOffline
from ...protocol.versions import VERSIONS
from ...store.events import EVENTS, encoded
from ..redis.address import Address, RedisAway, process_name
from .answer_reader import AnswerReader
from .envelopes import (
    KEEP_S,
    KEEP_TRANSACTION_S,
    AnswerSeen,
    CallMade,
    Envelope,
    EventLogged,
    EventSeen,
    Fault,
    OutcomeSeen,
    UnreadableEnvelope,
    decline_of,
    facts_of,
    outcome_of,
    read_answer,
    read_verdict,
    ticket_facts,
)
from .stream_writer import NobodyThere, StreamFull, StreamWriter, refusal
from .streams import DEFAULT_GROUP, Keys, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ...actors.plugin.cell import PluginCell
    from ...actors.session.call import Call, Later
    from ...actors.session.context import Observer
    from ...protocol.actions import Action, Version
    from ...protocol.events import DomainEvent
    from .envelopes import Verdict, Wants

logger = logging.getLogger(__name__)

ALL = "*"

LOST_S = 5.0
"""Seconds after which a durable event without an answer is looked for in its stream."""


class _ReaderFailed(msgspec.Struct, frozen=True, gc=False):
    """Event: the reader of answers has failed."""

    error: Exception


class _NoObserver:
    """Observer that counts nothing."""

    def count(self, name: str, charge_point_id: str) -> None:
        """No-op."""


class _Delivery:
    """Durable event on its way to a group; `gone` is true if it was not in its stream when it was looked for."""

    __slots__ = ("charge_point_id", "ended", "entry", "gone", "group", "look_at")

    def __init__(self, group: str, charge_point_id: str, ended: Callable[[Any], None]) -> None:
        self.group = group
        self.charge_point_id = charge_point_id
        self.ended = ended
        self.entry: bytes | None = None  # its id in the stream, once it is there
        self.look_at = 0.0
        self.gone = False


class HostGroup:
    """Group of plugin hosts as a consumer of durable events."""

    def __init__(self, remote: Remote, group: str, kinds: Sequence[type[DomainEvent]]) -> None:
        self.name = f"plugin-hosts/{group}"
        self.kinds = tuple(kinds)
        self.closed = False
        self._remote = remote
        self._group = group

    def ready(self) -> bool:
        """Return whether a plugin host of the group is alive."""
        return not self.closed and self._remote.reaches(self._group)

    def deliver(self, event: DomainEvent, ended: Callable[[Any], None]) -> None:
        """Send the group an event; `ended` is called with None, a `Failure` or `Untried`."""
        self._remote.deliver(self._group, event, ended)


class Remote(Plugin):
    """Plugin that forwards calls to plugin hosts.

    Made by `Remote.spec`, which gives it the actions that it claims.
    """

    passes_on: ClassVar[bool] = True
    outcomes_once: ClassVar[bool] = True

    def __init__(
        self,
        url: str,
        *,
        groups: Mapping[str, str],
        prefix: str = "chargehand",
        node: str = "",
        partitions: int = 16,
        stream_limit: int = 10_000,
        deadline_s: float = 10.0,
        naive_zone: dt.tzinfo | None = dt.UTC,
        epoch_of: Callable[[str], int] = lambda _: 0,
        observer: Observer | None = None,
        back: Callable[[], None] = lambda: None,
        watch: Callable[[PluginCell, Iterable[Action], Iterable[type[DomainEvent]]], None] = lambda *_: None,
        consume: Callable[[HostGroup], None] = lambda _: None,
        versions: Iterable[Version] = tuple(VERSIONS.values()),
    ) -> None:
        super().__init__()
        address = Address(url)
        self._watch = watch
        self._consume = consume
        self._rows = {
            (row.name, version.name): row
            for version in versions
            for row in version.sent_by(Sender.CHARGE_POINT)
        }
        self._wants: Mapping[str, Sequence[Wants]] = {}  # by group with living plugin hosts
        self._after: dict[Action, list[str]] = {}  # groups that look at answers
        self._events: dict[type[DomainEvent], list[str]] = {}  # groups that hear live events
        self._consumers: dict[str, HostGroup] = {}  # by group
        self._deliveries: dict[str, _Delivery] = {}
        self._groups = groups
        self.node = process_name(node)
        self._deadline_s = deadline_s
        offset = None if naive_zone is None else naive_zone.utcoffset(None)
        self._naive_offset_min = None if offset is None else int(offset.total_seconds()) // 60
        self._epoch_of = epoch_of
        self._epochs: dict[str, int] = {}  # of connected charge points, kept when their claims are released
        self._observer = observer or _NoObserver()
        self._back = back
        self._open: dict[str, Later[Any]] = {}
        self._numbers = itertools.count(1)
        self._cut_off: set[str] = set()  # groups that the last call could not be sent to
        keys = Keys(prefix)
        self._streams = StreamWriter(
            address,
            self.node,
            keys,
            partitions=partitions,
            limit=stream_limit,
            down=self._lost_redis,
            wanted=self._wanted,
            lost=self._lost,
            naive_offset_min=self._naive_offset_min,
        )
        self._answers = AnswerReader(
            address,
            f"{self.node}-answers",
            keys.answers(self.node),
            take=self._answered,
            look_round=self._look_round,
            failed=self._reader_failed,
        )

    @classmethod
    def spec(
        cls,
        *args: Any,
        concurrency: int = CONCURRENCY,
        name: str = "remote",
        shadow: bool = False,
        actions: Iterable[str] = (ALL,),
        groups: Mapping[str, str] | None = None,
        others: Iterable[str] = (),
        versions: Mapping[str, Version] = VERSIONS,
        **kwargs: Any,
    ) -> PluginSpec:
        """Make the spec of a forwarding plugin for `actions`; "*" is all that charge points send, except `others`.

        `groups` names the group of plugin hosts by action, where it is not "default"; "*" names that of the rest.
        The first argument is the URL of Redis. Raises ValueError for an action that charge points do not send.
        """
        possible = {row.name for version in versions.values() for row in version.sent_by(Sender.CHARGE_POINT)}
        groups, claimed = dict(groups or {}), set(actions)
        for action in sorted((claimed | set(groups)) - possible - {ALL}):
            raise ValueError(f"remote: {action} is not an action that charge points send")
        if ALL in claimed:
            claimed |= possible - set(others)
        claimed.discard(ALL)
        rest = groups.get(ALL, DEFAULT_GROUP)
        kwargs["groups"] = {action: groups.get(action, rest) for action in sorted(claimed)}
        kwargs["versions"] = tuple(dict.fromkeys(versions.values()))

        def forward(self: Remote, call: Call[Any]) -> None:
            self.forward(call)

        for action in sorted(claimed):
            forward = passive(action)(forward)
        kind = type(cls.__name__, (cls,), {"forward_call": forward, "__module__": cls.__module__})
        return PluginSpec(kind, args, kwargs, concurrency, name, shadow)

    # -- Start and stop ----------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Start to connect to Redis; does not wait for it."""
        self._watch(cast("PluginCell", self._cell), (), (ChargePointOffline,))
        self._streams.link.start()
        self._answers.start()

    def on_stop(self) -> None:
        """Close the connections to Redis."""
        self._close()

    def on_failure(self, *_: object) -> None:
        """Close the connections to Redis."""
        self._close()

    def on_killed(self) -> None:
        """Close the connections to Redis."""
        self._close()

    def _close(self) -> None:
        for consumer in self._consumers.values():
            consumer.closed = True
        self._watch(cast("PluginCell", self._cell), (), ())
        self._lost_redis("the forwarding plugin has stopped")
        self._answers.stop()
        self._streams.close()

    def _reader_failed(self, error: Exception) -> None:
        if not self._cell.ended:
            self._cell.tell(_ReaderFailed(error))

    def receive(self, message: Any) -> Any:
        """Forward an answer or a live event; all else is handled as in any plugin."""
        kind = type(message)
        if kind is AnswerSent:
            return self._answer_seen(message)
        if kind is EventPublished:
            return self._event_seen(message.event)
        return super().receive(message)

    def on_receive(self, message: Any) -> Any:
        """Fail when the reader of answers has failed."""
        if type(message) is _ReaderFailed:
            raise message.error
        return super().on_receive(message)

    def _lost_redis(self, why: str) -> None:
        self._wants = {}
        waiting, self._open = self._open, {}
        for later in waiting.values():
            later.fail(RedisAway(why))
        deliveries, self._deliveries = self._deliveries, {}
        for delivery in deliveries.values():
            delivery.ended(Untried(why))

    # -- What plugin hosts want ----------------------------------------------------------------------

    def _wanted(self, found: Mapping[str, Sequence[Wants]]) -> None:
        """Look at answers and hear events as the living plugin hosts want, and be their consumer."""
        if found == self._wants:
            return
        self._wants = found
        after: dict[Action, list[str]] = {}
        events: dict[type[DomainEvent], list[str]] = {}
        for group, wants in found.items():
            actions = {pair for want in wants for pair in want.after}
            for (name, version), row in self._rows.items():
                if (name, version) in actions or (name, "") in actions:
                    after.setdefault(row, []).append(group)
            kinds = sorted({name for want in wants for name in want.on if name in EVENTS})
            for kind in map(EVENTS.__getitem__, kinds):
                if kind in LIVE:
                    events.setdefault(kind, []).append(group)
            self._consume_for(group, [EVENTS[name] for name in kinds if EVENTS[name] not in LIVE])
        if (after, events) != (self._after, self._events):
            self._after, self._events = after, events
            self._watch(cast("PluginCell", self._cell), after, {*events, ChargePointOffline})

    def _consume_for(self, group: str, kinds: Sequence[type[DomainEvent]]) -> None:
        known = self._consumers.get(group)
        if known is not None:
            if known.kinds == tuple(kinds):
                return
            known.closed = True
            del self._consumers[group]
        if kinds:
            consumer = self._consumers[group] = HostGroup(self, group, kinds)
            self._consume(consumer)

    # -- Answers and live events -----------------------------------------------------------------------

    def _answer_seen(self, fact: AnswerSent) -> None:
        call: Any = fact.call
        answer = fact.answer
        item = AnswerSeen(
            charge_point=call.ordering_key,
            ocpp=call.charge_point.version,
            action=call.action,
            unique_id=call.unique_id,
            payload=Raw(call.payload),
            received_at=call.received_at.timestamp(),
            response=msgspec.UNSET if isinstance(answer, OcppError) else Raw(answer),
            error=decline_of(answer) if isinstance(answer, OcppError) else msgspec.UNSET,
            fallback=call.fallback,
            transaction_id=call.transaction_id,
        )
        for group in self._after.get(call.incoming.action, ()):
            self._streams.gather(call.ordering_key, item, group, call.charge_point)

    def _event_seen(self, event: DomainEvent) -> None:
        if type(event) is ChargePointOffline:
            self._epochs.pop(event.charge_point_id, None)
        item = EventSeen(type(event).__name__, Raw(encoded(event).encode()))
        for group in self._events.get(type(event), ()):
            self._streams.gather(event.charge_point_id, item, group)

    def _lost(self, count: int) -> None:
        for _ in range(count):
            self._observer.count("remote_event_lost", "")

    # -- Durable events --------------------------------------------------------------------------------

    def reaches(self, group: str) -> bool:
        """Return whether a plugin host of a group is alive."""
        return group in self._wants

    def deliver(self, group: str, event: DomainEvent, ended: Callable[[Any], None]) -> None:
        """Send a durable event to a group; `ended` is called with None, a `Failure` or `Untried`."""
        id_ = f"{self.node}-{next(self._numbers)}"
        name = type(event).__name__
        key = key_of(b"event", group.encode(), name.encode(), event.id.encode())
        envelope = EventLogged(
            v=1,
            id=id_,
            node=self.node,
            charge_point=event.charge_point_id,
            name=name,
            event=Raw(encoded(event).encode()),
            key=key,
            keep_s=KEEP_TRANSACTION_S,
        )
        self._deliveries[id_] = _Delivery(group, event.charge_point_id, ended)
        self._streams.write(envelope, group, partial(self._delivery_sent, id_), key)

    def _delivery_sent(self, id_: str, found: Any, error: Exception | None) -> None:
        if error is None and isinstance(found, list):  # a plugin host had it before
            with contextlib.suppress(UnreadableEnvelope):
                self._delivered(id_, read_verdict(found[0]))
                return
        why = error if error is not None else refusal(found)
        delivery = self._deliveries.get(id_)
        if delivery is None:
            return
        if why is not None:
            del self._deliveries[id_]
            delivery.ended(Untried(str(why)))
        else:
            delivery.entry, delivery.look_at = found, time.monotonic() + LOST_S

    def _delivered(self, id_: str, verdict: Verdict) -> None:
        delivery = self._deliveries.pop(id_, None)
        if delivery is None:
            return
        if verdict.untried is not msgspec.UNSET:
            delivery.ended(Untried(verdict.untried))
            return
        outcome = outcome_of(verdict)
        delivery.ended(Failure(outcome) if isinstance(outcome, Exception) else None)

    def _look_for_deliveries(self) -> None:
        """Look for events that were not answered: one that is not in its stream any more is delivered again."""
        now = time.monotonic()
        for id_, delivery in list(self._deliveries.items()):
            if delivery.entry is not None and delivery.look_at <= now:
                delivery.look_at = now + LOST_S
                self._streams.look_for_entry(
                    delivery.charge_point_id, delivery.group, delivery.entry, partial(self._looked_for, id_)
                )

    def _looked_for(self, id_: str, there: bool) -> None:  # noqa: FBT001 - the answer to a question
        delivery = self._deliveries.get(id_)
        if delivery is None:
            return
        if there or not delivery.gone:  # its answer may be on its way
            delivery.gone = not there
            return
        del self._deliveries[id_]
        delivery.ended(Untried("its answer was lost"))

    # -- Out -----------------------------------------------------------------------------------------

    def forward(self, call: Call[Any]) -> None:
        """Send a call to its group of plugin hosts; its answer comes later."""
        later = call.later()
        incoming, id_ = call.incoming, f"{self.node}-{next(self._numbers)}"
        received_at = call.received_at.timestamp()
        if call.redelivered:
            timeout_s, deadline_at = self._deadline_s, time.time() + self._deadline_s
        else:
            timeout_s = incoming.due - incoming.received_at
            deadline_at = received_at + timeout_s
        transaction = incoming.action.transaction
        key = id_
        if transaction:
            key = key_of(call.ordering_key.encode(), call.unique_id.encode(), call.payload)
        envelope = CallMade(
            v=1,
            id=id_,
            node=self.node,
            charge_point=call.ordering_key,
            epoch=self._epoch(call.ordering_key),
            ocpp=call.charge_point.version,
            action=call.action,
            unique_id=call.unique_id,
            payload=Raw(call.payload),
            received_at=received_at,
            deadline_at=deadline_at,
            timeout_s=timeout_s,
            key=key,
            keep_s=KEEP_TRANSACTION_S if transaction else KEEP_S,
            transaction_id=call.transaction_id,
            redelivered=call.redelivered,
            naive_offset_min=self._naive_offset_min,
            deviations=tuple(
                Fault(found.path, found.code, found.text, found.value) for found in call.deviations
            ),
            facts=facts_of(call.charge_point),
        )
        self._open[id_] = later
        stored = key if transaction else ""
        self._streams.write(envelope, self._groups[call.action], partial(self._sent, id_, call), stored)

    def _epoch(self, charge_point_id: str) -> int:
        """Return the epoch of our current or last claim; a claim is released before its last events are forwarded."""
        epoch = self._epoch_of(charge_point_id)
        if epoch:
            self._epochs[charge_point_id] = epoch
        return epoch or self._epochs.get(charge_point_id, 0)

    def _sent(self, id_: str, call: Call[Any], found: Any, error: Exception | None) -> None:
        charge_point_id, group = call.ordering_key, self._groups[call.action]
        if error is None and isinstance(found, list):  # it was answered before
            self._observer.count("remote_known", charge_point_id)
            self._settle(id_, found[0])
            return
        why = error if error is not None else refusal(found)
        if why is None:
            self._observer.count("remote_forwarded", charge_point_id)
            self._reached(group)
            return
        if not isinstance(why, StreamFull):
            self._cut_off.add(group)
        kind = type(why)
        self._observer.count(
            "remote_nobody"
            if kind is NobodyThere
            else "remote_full"
            if kind is StreamFull
            else "remote_away",
            charge_point_id,
        )
        later = self._open.pop(id_, None)
        if later is not None:
            later.fail(why)

    def _reached(self, group: str) -> None:
        """Have the spool redelivered if the group could not be reached before."""
        if group in self._cut_off:
            self._cut_off.discard(group)
            self._back()

    # -- Events: lost while Redis does not take them --------------------------------------------------

    @on_outcome()
    def outcome_seen(self, ticket: Ticket[Any]) -> None:
        """Write the event for every group."""
        self._tell(ticket.charge_point_id, OutcomeSeen, ticket=ticket_facts(ticket))

    def _tell(self, charge_point_id: str, kind: type[Envelope], **members: Any) -> None:
        envelope = kind(
            v=1,
            node=self.node,
            charge_point=charge_point_id,
            epoch=self._epoch(charge_point_id),
            **members,
        )
        for group in sorted({*self._groups.values(), *self._wants}):
            self._streams.write(envelope, group, partial(self._told, charge_point_id))

    def _told(self, charge_point_id: str, found: Any, error: Exception | None) -> None:
        if error is not None or refusal(found) is not None:
            self._observer.count("remote_event_lost", charge_point_id)

    # -- Back ----------------------------------------------------------------------------------------

    def _look_round(self) -> None:
        """Look for groups that have a plugin host again, and forget calls that have been answered."""
        self._streams.look_for_readers(self._cut_off, self._reached)
        self._streams.look_for_wants()
        self._look_for_deliveries()
        for id_ in [id_ for id_, later in self._open.items() if not later.call.open]:
            del self._open[id_]

    def _answered(self, data: bytes) -> None:
        try:
            answer = read_answer(data)
        except UnreadableEnvelope as error:
            self._observer.count("remote_unreadable", "")
            logger.error("an answer from a plugin host is unreadable: %s", error)  # noqa: TRY400
            return
        later = self._open.pop(answer.id, None)
        if answer.id in self._deliveries:
            self._delivered(answer.id, answer)
        elif later is None:
            self._observer.count("remote_late", "")  # its deadline has passed, or it was answered before
        else:
            _end(later, outcome_of(answer))

    def _settle(self, id_: str, stored: bytes) -> None:
        later = self._open.pop(id_, None)
        if later is not None:
            with contextlib.suppress(UnreadableEnvelope):  # the fallback answers at its deadline
                _end(later, outcome_of(read_verdict(stored)))


def _end(later: Later[Any], outcome: bytes | Exception) -> None:
    # Not by the handle's own methods, which may be called in any thread.
    later.call.finish(Failure(outcome) if isinstance(outcome, Exception) else outcome)
