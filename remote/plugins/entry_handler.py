"""Handling of stream entries in a plugin host: read, tell the plugin, write back the outcome.

An entry is pending from when it is read until Redis has stored its answer, or it is left to the stream's next owner.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections import OrderedDict
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import UNSET, Raw

from ...actors.plugin.detached_call import Untried
from ...actors.runtime.failure import Failure, attempt
from ...actors.session.messages import AnswerSent, TicketEnded
from ...protocol.errors import OcppError, Refused
from ...protocol.log_fields import about
from ...protocol.payload import build, lenient
from ...protocol.session import Incoming
from ...store.events import decoded
from ..redis.address import RedisAway
from ..redis.script_batch import ScriptBatch
from .envelopes import (
    AnswerSeen,
    CallMade,
    EventLogged,
    OutcomeSeen,
    Seen,
    UnreadableEnvelope,
    Verdict,
    charge_point_of,
    decline_of,
    encode,
    error_of,
    read_envelope,
    ticket_of,
)
from .host_cell import RemoteAnsweredCall, RemoteCall, RemoteDelivery, RemoteEvent
from .streams import ANSWERS_LIMIT, ANSWERS_S, FINISH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...actors.runtime.timers import Clock
    from ...actors.session.charge_point import ChargePoint
    from ...actors.session.context import Observer
    from ...protocol.actions import Action, Version
    from ..redis.link import Link
    from .assignment import Assignment, Stream
    from .envelopes import AnyEnvelope
    from .host_cell import Place, PluginHostCell
    from .streams import Keys

logger = logging.getLogger(__name__)

KNOWN_LIMIT = 10_000
"""Answers that are cached, for entries that come again before Redis has stored them; and charge points."""
EVENT_S = 60.0
"""Seconds after which a event counts as handled, even if the plugin has not begun or ended it."""


NO_FACTS = Raw(b"{}")
"""Facts of a charge point of which nothing is known."""


class StreamEntry(NamedTuple):
    """Entry of a stream, as read."""

    stream: Stream
    id: bytes
    data: bytes


class EntryHandler:
    """Handler of the entries of a plugin host's streams. `cell` is the plugin's cell, replaced at its restart."""

    def __init__(
        self,
        link: Link,
        keys: Keys,
        group: str,
        versions: Mapping[str, Version],
        clock: Clock,
        observer: Observer,
        assignment: Assignment,
    ) -> None:
        self.cell: PluginHostCell
        self.stopping = False  # what has not begun is left to the next owner of its stream
        self._link = link
        self._ends = ScriptBatch(link, FINISH, group, ANSWERS_LIMIT, ANSWERS_S)
        self._keys = keys
        self._group = group
        self._versions = versions
        self._rows = {
            (version.name, row.name): row for version in versions.values() for row in version.actions.values()
        }
        self._clock = clock
        self._observer = observer
        self._assignment = assignment
        self._ahead_s = 0.0  # of the clock of Redis before the local one
        self._known: OrderedDict[str, bytes] = OrderedDict()
        self._charge_points: OrderedDict[str, tuple[bytes, ChargePoint]] = OrderedDict()

    def redis_is_at(self, time: float) -> None:
        """Note the time of Redis: ages of entries are counted by its clock."""
        self._ahead_s = time - self._clock.time()

    # -- In ------------------------------------------------------------------------------------------

    def take(self, entries: Iterable[StreamEntry], *, again: bool = False) -> None:
        """Handle entries that were read; with `again` an earlier owner may have answered them already.

        Switches greenlets. Raises `RedisAway`: entries not handled by then must be claimed again.
        """
        fresh: list[tuple[StreamEntry, AnyEnvelope]] = []
        keys: list[str] = []
        for entry in entries:
            if entry.id in entry.stream.pending:
                continue
            try:
                envelope = read_envelope(entry.data)
            except UnreadableEnvelope as error:
                self._observer.count("plugin_host_unreadable", "")
                logger.error("stream entry %s is unreadable and was dropped: %s", entry.id.decode(), error)  # noqa: TRY400 - no traceback needed
                self._drop((entry.stream.number, entry.id))
                continue
            fresh.append((entry, envelope))
            keys += _answered_before(envelope, again=again)
        if keys:
            found = self._link.ask("MGET", *map(self._keys.done, keys))
            with self._link.reading():
                answers = [None if answer is None else bytes(answer) for answer in found]
                known = list(zip(keys, answers, strict=True))
            for key, answer in known:
                if answer is not None:
                    self._remember(key, answer)
        for entry, envelope in fresh:
            if isinstance(envelope, EventLogged):
                self._begin_delivery(entry, envelope)
            elif isinstance(envelope, Seen):
                self._see(entry, envelope, again=again)
            else:
                self._begin(entry, envelope)

    def _begin(self, entry: StreamEntry, envelope: CallMade | OutcomeSeen) -> None:
        place = (entry.stream.number, entry.id)
        try:
            if isinstance(envelope, CallMade):
                message: RemoteCall | RemoteEvent | str = self._call(entry, envelope, place)
            else:
                message = self._outcome(envelope, place)
        except (UnreadableEnvelope, Refused) as error:
            message = f"the entry cannot be read: {error}"
        if isinstance(message, str):
            if message:
                logger.warning(
                    "%s of %s: %s",
                    type(envelope).__name__,
                    envelope.charge_point,
                    message,
                    extra=about(charge_point=envelope.charge_point),
                )
            if isinstance(envelope, CallMade):
                self._write(place, envelope, encode(Verdict(failed=message)), 0)
            else:
                self._drop(place)
            return
        # Else the plugin host stops, and the next owner of the stream takes the entry.
        if not self.cell.ended:
            entry.stream.pending[entry.id] = message
            self.cell.tell(message)

    def _call(self, entry: StreamEntry, envelope: CallMade, place: Place) -> RemoteCall | str:
        action = self._rows.get((envelope.ocpp, envelope.action))
        if action is None or not self.cell.spec.plugin.handler_of("passive", action.name, action.version):
            return f"{self.cell.urn} does not handle {envelope.action}"
        if not envelope.redelivered and self._is_fenced(entry.stream, envelope):
            return "another node has taken the charge point over"
        now = self._clock.monotonic()
        added_at = int(entry.id.partition(b"-")[0]) / 1000
        left_s = envelope.timeout_s - max(0.0, self._clock.time() + self._ahead_s - added_at)
        if left_s <= 0 and envelope.key not in self._known:
            self._observer.count("plugin_host_late", envelope.charge_point)
            return "its deadline passed before a plugin host read it"
        if not self.cell.try_admit(envelope.charge_point, action.name):
            return "its plugin is quarantined or was stopped"
        received_at = dt.datetime.fromtimestamp(envelope.received_at, dt.UTC)
        incoming = _incoming(envelope, action, received_at, envelope.naive_offset_min, now, now + left_s)
        facts = self._charge_point(envelope.charge_point, envelope.ocpp, envelope.facts)
        return RemoteCall(facts, incoming, envelope, received_at, place, self.cell, self._ended)

    def _begin_delivery(self, entry: StreamEntry, envelope: EventLogged) -> None:
        """Have a durable event handled, unless that was done before."""
        place = (entry.stream.number, entry.id)
        delivery = RemoteDelivery(envelope, place)
        known = self._known.get(envelope.key)
        if known is not None:
            self._observer.count("plugin_host_known", envelope.charge_point)
            self._write(place, envelope, known, envelope.keep_s)
            return
        try:
            event = decoded(envelope.name, bytes(envelope.event).decode())
        except (ValueError, KeyError) as error:
            logger.error("event of %s cannot be read: %s", envelope.charge_point, error)  # noqa: TRY400
            self._write(
                place, envelope, encode(Verdict(failed=f"the event cannot be read: {error}"[:500])), 0
            )
            return
        if not self.cell.ended:  # else the next owner of the stream takes it
            entry.stream.pending[entry.id] = delivery
            self.cell.deliver(event, partial(self._delivered, delivery))

    def _delivered(self, delivery: RemoteDelivery, outcome: Any) -> None:
        envelope, place = delivery.envelope, delivery.place
        if outcome is None:
            self._observer.count("plugin_host_handled", envelope.charge_point)
            self._write(place, envelope, b'{"response":{}}', envelope.keep_s)
        elif type(outcome) is Failure:
            self._observer.count("plugin_host_failed", envelope.charge_point)
            self._write(place, envelope, encode(Verdict(failed=outcome.text[:500])), 0)
        elif self.stopping:
            self._assignment.done(place)
        else:
            self._write(place, envelope, encode(Verdict(untried=outcome.why)), 0)

    def _see(self, entry: StreamEntry, envelope: Seen, *, again: bool) -> None:
        """Tell the plugin of answers and live events, each of them once and without waiting for it."""
        cell, plugin = self.cell, self.cell.spec.plugin
        # Those that an earlier owner had read may have been told.
        for item in () if again or cell.ended else envelope.items:
            if not isinstance(item, AnswerSeen):
                if plugin.handler_of("on", item.name) is not None:
                    try:
                        cell.hear(decoded(item.name, bytes(item.event).decode()))
                    except (ValueError, KeyError) as error:
                        logger.error("a live event cannot be read: %s", error)  # noqa: TRY400
                continue
            action = self._rows.get((item.ocpp, item.action))
            if action is None or plugin.handler_of("after", action.name, action.version) is None:
                continue
            try:
                fact = self._answer(item, action, envelope)
            except (UnreadableEnvelope, Refused) as error:
                logger.error("answer to %s of %s cannot be read: %s", item.action, item.charge_point, error)  # noqa: TRY400
                continue
            if not cell.quarantined or cell.try_as_trial(fact):
                cell.tell_event(fact)
        self._drop((entry.stream.number, entry.id))

    def _answer(self, seen: AnswerSeen, action: Action, envelope: Seen) -> AnswerSent:
        now = self._clock.monotonic()
        received_at = dt.datetime.fromtimestamp(seen.received_at, dt.UTC)
        incoming = _incoming(seen, action, received_at, envelope.naive_offset_min, now, now)
        incoming.open = False
        facts = self._charge_point(
            seen.charge_point, seen.ocpp, envelope.facts.get(seen.charge_point, NO_FACTS)
        )
        answer = _answer_of(seen)
        call = RemoteAnsweredCall(facts, incoming, seen, self.cell)
        return AnswerSent(call, answer)

    def _outcome(self, envelope: OutcomeSeen, place: Place) -> RemoteEvent | str:
        if not {"*", envelope.ticket.action} & set(self.cell.spec.plugin.actions_of("outcome")):
            return ""
        fact = TicketEnded(ticket_of(envelope, self._versions))
        if self.cell.quarantined and not self.cell.try_as_trial(fact):
            return "its plugin is quarantined"
        return RemoteEvent(
            envelope.charge_point, fact, place, self._clock.monotonic() + EVENT_S, self._event_done
        )

    def _is_fenced(self, stream: Stream, envelope: CallMade) -> bool:
        charge_point, epoch = envelope.charge_point, envelope.epoch
        if stream.fenced(charge_point, epoch):
            self._observer.count("plugin_host_fenced", charge_point)
            return True
        if epoch > stream.epochs.get(charge_point, 0):
            stream.epochs[charge_point] = epoch
            self._link.send("HSET", self._keys.epochs(stream.number, self._group), charge_point, epoch)
        return False

    def _charge_point(self, id_: str, ocpp: str, facts: Raw) -> ChargePoint:
        data = bytes(facts)
        found = self._charge_points.pop(id_, None)
        if found is None or found[0] != data:
            found = data, charge_point_of(id_, ocpp, self._versions, facts)
        self._charge_points[id_] = found
        if len(self._charge_points) > KNOWN_LIMIT:
            self._charge_points.popitem(last=False)
        return found[1]

    # -- Out -----------------------------------------------------------------------------------------

    def answer_known(self, call: RemoteCall) -> bool:
        """Answer a call with its stored answer, without its handler; return false if there is none."""
        answer = self._known.get(call.envelope.key)
        if answer is None:
            return False
        self._observer.count("plugin_host_known", call.ordering_key)
        call.incoming.open = False
        self._write(call.place, call.envelope, answer, call.envelope.keep_s)
        return True

    def _ended(self, call: RemoteCall, outcome: Any) -> None:
        """Handle the outcome of a handler, as the session does for a local call."""
        if not call.incoming.open:
            self._observer.count("late_answer", call.ordering_key)
            return
        if type(outcome) is Failure and outcome.killed:
            # The plugin host stops or the plugin was ended: the next owner of the stream answers.
            call.incoming.open = False
            self._assignment.done(call.place)
            return
        call.incoming.open = False
        keep_s = call.envelope.keep_s
        if type(outcome) is Untried:
            self._write(call.place, call.envelope, encode(Verdict(failed=outcome.why)), 0)
        elif type(outcome) is not Failure:
            data = attempt(build, call.incoming.action.response, outcome)
            if type(data) is not Failure:
                self._observer.count("plugin_host_handled", call.ordering_key)
                self.cell.note_success(call.ordering_key, call.action)
                self._write(call.place, call.envelope, b'{"response":' + data + b"}", keep_s)
                return
            self._log(
                call, "invalid answer", "The answer of the handler to %r is invalid: %s", call, data.error
            )
            self._fail(call, data.error, "the answer of its handler was invalid")
        elif isinstance(outcome.error, OcppError):
            error = outcome.error
            verdict = attempt(encode, Verdict(error=decline_of(error)))
            if type(verdict) is Failure:
                self._fail(call, verdict.error, "the details of its error cannot be encoded")
            else:
                self._observer.count("plugin_host_refused", call.ordering_key)
                if self.cell.on_trial:  # an intended refusal is a success of the handler
                    self.cell.note_success(call.ordering_key, call.action)
                self._write(call.place, call.envelope, verdict, keep_s)
        else:
            text = "The handler of %r failed:"
            self._log(call, "handler failed", text, call, exc_info=outcome.exc_info)
            self._fail(call, outcome.error, f"its handler failed: {outcome.text}")

    def _log(self, call: RemoteCall, reason: str, text: str, *args: object, exc_info: Any = None) -> None:
        """Log an error in a call, unless its charge point has caused too many."""
        context = self.cell.context
        if context is None:
            logger.error(text, *args, exc_info=exc_info)
        else:
            subject = str(call.ordering_key)
            extra = about(charge_point=subject, plugin=self.cell.urn)
            context.log_limit.log(
                logger, logging.ERROR, subject, reason, text, *args, exc_info=exc_info, extra=extra
            )

    def _fail(self, call: RemoteCall, error: Exception, why: str) -> None:
        self._observer.count("plugin_host_failed", call.ordering_key)
        if not getattr(error, "blameless", False):
            self.cell.note_failure(call.ordering_key, call.action, error)
        self._write(call.place, call.envelope, encode(Verdict(failed=why[:500])), 0)

    def sweep(self) -> None:
        """End pending entries whose deadline has passed."""
        now = self._clock.monotonic()
        for entry in self._assignment.pending:
            if isinstance(entry, RemoteEvent):
                if entry.due <= now:
                    logger.error(
                        "plugin %s: %r was not handled within %g s", self.cell.urn, entry.fact, EVENT_S
                    )
                    self._event_done(entry)
            elif isinstance(entry, RemoteDelivery):
                pass  # the cell watches its handler
            elif entry.incoming.open and entry.incoming.due <= now:
                logger.warning("%r was not answered in time", entry)
                entry.incoming.open = False
                entry.expire()
                self._fail(
                    entry, TimeoutError(f"no answer to {entry.action} in time"), "not answered in time"
                )

    def _event_done(self, event: RemoteEvent) -> None:
        self._drop(event.place)

    def _remember(self, key: str, answer: bytes) -> None:
        self._known[key] = answer
        if len(self._known) > KNOWN_LIMIT:
            self._known.popitem(last=False)

    def _write(self, place: Place, envelope: CallMade | EventLogged, verdict: bytes, keep_s: int) -> None:
        """Write the answer and remove the entry from its stream; a `keep_s` of 0 stores no answer."""
        if keep_s:
            self._remember(envelope.key, verdict)
        known = "" if envelope.is_lasting else envelope.key
        keys = self._keys
        names = (
            keys.stream(place[0], self._group),
            keys.done(envelope.key) if envelope.is_lasting else "",
            keys.answers(envelope.node),
        )
        arguments = (place[1].decode(), keep_s, encode(envelope.id).decode())
        self._ends.run(names, arguments, verdict, partial(self._written, place, known))

    def _drop(self, place: Place) -> None:
        names = (self._keys.stream(place[0], self._group), "", "")
        self._ends.run(names, (place[1].decode(), 0, ""), b"", partial(self._written, place, ""))

    def _written(self, place: Place, known: str, _found: Any, error: Exception | None) -> None:
        self._assignment.done(place)
        if error is None:
            self._known.pop(known, None)  # its entry cannot come again
        elif not isinstance(error, RedisAway):
            logger.error(
                "the answer to entry %s of stream %d could not be written: %s",
                place[1].decode(),
                place[0],
                error,
            )


def _incoming(
    envelope: CallMade | AnswerSeen,
    action: Action,
    received_at: dt.datetime,
    offset_min: int | None,
    now: float,
    due: float,
) -> Incoming:
    """Read the call of an envelope again, as its node did. Raises `Refused`."""
    request, deviations = lenient(
        action.request, envelope.payload, received_at=received_at, naive_zone=_zone(offset_min)
    )
    payload = bytes(envelope.payload)
    return Incoming(envelope.unique_id, action, request, payload, deviations, now, due)


@cache
def _zone(offset_min: int | None) -> dt.tzinfo | None:
    return None if offset_min is None else dt.timezone(dt.timedelta(minutes=offset_min))


def _answered_before(envelope: AnyEnvelope, *, again: bool) -> list[str]:
    """List the key under which an answer may be stored already; with `again` an earlier owner had the entry."""
    if isinstance(envelope, EventLogged) or (
        isinstance(envelope, CallMade) and (again or envelope.is_lasting)
    ):
        return [envelope.key]
    return []


def _answer_of(seen: AnswerSeen) -> bytes | OcppError:
    if seen.response is not UNSET:
        return bytes(seen.response)
    if seen.error is not UNSET:
        return error_of(seen.error)
    raise UnreadableEnvelope("neither response nor error")
