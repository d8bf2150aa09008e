"""Plugin that forwards calls to plugin hosts through streams in Redis, and takes their answers.

It answers nothing by itself and waits for nothing. While Redis is away, no plugin host is alive or a stream is full, a
call fails at once, so that its fallback answers. Spooled messages are redelivered when the plugin hosts are back.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from msgspec import Raw

from ...actors.plugin.plugin import (
    CONCURRENCY,
    Plugin,
    PluginSpec,
    on_offline,
    on_online,
    on_outcome,
    passive,
)
from ...actors.runtime.failure import Failure
from ...actors.session.tickets import Ticket
from ...protocol.actions import Sender
from ...protocol.versions import VERSIONS
from ..redis.address import Address, RedisAway, process_name
from .answer_reader import AnswerReader
from .envelopes import (
    KEEP_S,
    KEEP_TRANSACTION_S,
    CallMade,
    CameOnline,
    Envelope,
    Fault,
    LeftOffline,
    OutcomeSeen,
    UnreadableEnvelope,
    facts_of,
    outcome_of,
    read_answer,
    read_verdict,
    ticket_facts,
)
from .stream_writer import NobodyThere, StreamFull, StreamWriter, refusal
from .streams import DEFAULT_GROUP, Keys, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ...actors.session.call import Call, Later
    from ...actors.session.charge_point import ChargePoint
    from ...actors.session.context import Observer
    from ...protocol.actions import Version

logger = logging.getLogger(__name__)

ALL = "*"


class _ReaderFailed(msgspec.Struct, frozen=True, gc=False):
    """Event: the reader of answers has failed."""

    error: Exception


class _NoObserver:
    """Observer that counts nothing."""

    def count(self, name: str, charge_point_id: str) -> None:
        """No-op."""


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
    ) -> None:
        super().__init__()
        address = Address(url)
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
            f"{self.node}-calls",
            keys,
            partitions=partitions,
            limit=stream_limit,
            down=self._fail_all,
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

        def forward(self: Remote, call: Call[Any]) -> None:
            self.forward(call)

        for action in sorted(claimed):
            forward = passive(action)(forward)
        kind = type(cls.__name__, (cls,), {"forward_call": forward, "__module__": cls.__module__})
        return PluginSpec(kind, args, kwargs, concurrency, name, shadow)

    # -- Start and stop ----------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Start to connect to Redis; does not wait for it."""
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
        self._fail_all("the forwarding plugin has stopped")
        self._answers.stop()
        self._streams.link.stop()

    def _reader_failed(self, error: Exception) -> None:
        if not self._cell.ended:
            self._cell.tell(_ReaderFailed(error))

    def on_receive(self, message: Any) -> Any:
        """Fail when the reader of answers has failed."""
        if type(message) is _ReaderFailed:
            raise message.error
        return super().on_receive(message)

    def _fail_all(self, why: str) -> None:
        waiting, self._open = self._open, {}
        for later in waiting.values():
            later.fail(RedisAway(why))

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
        what = (call.ordering_key.encode(), call.unique_id.encode(), call.payload)
        key = key_of(*what) if transaction else key_of(*what, id_.encode())
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
        self._streams.write(envelope, self._groups[call.action], partial(self._sent, id_, call), key)

    def _epoch(self, charge_point_id: str) -> int:
        """Return the epoch of our current or last claim; a claim is released before its last events are forwarded."""
        epoch = self._epoch_of(charge_point_id)
        if epoch:
            self._epochs[charge_point_id] = epoch
        return epoch or self._epochs.get(charge_point_id, 0)

    def _sent(self, id_: str, call: Call[Any], found: Any, error: Exception | None) -> None:
        charge_point_id, group = call.ordering_key, self._groups[call.action]
        if error is None and isinstance(found, bytes):  # it was answered before
            self._observer.count("remote_known", charge_point_id)
            self._settle(id_, found)
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

    @on_online
    def came_online(self, charge_point: ChargePoint) -> None:
        """Write the event for every group."""
        self._tell(charge_point.id, CameOnline, ocpp=charge_point.version, facts=facts_of(charge_point))

    @on_offline
    def left_offline(self, charge_point: ChargePoint) -> None:
        """Write the event for every group."""
        self._tell(charge_point.id, LeftOffline, ocpp=charge_point.version, facts=facts_of(charge_point))
        self._epochs.pop(charge_point.id, None)

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
        for group in sorted(set(self._groups.values())):
            self._streams.write(envelope, group, partial(self._told, charge_point_id))

    def _told(self, charge_point_id: str, found: Any, error: Exception | None) -> None:
        if error is not None or refusal(found) is not None:
            self._observer.count("remote_event_lost", charge_point_id)

    # -- Back ----------------------------------------------------------------------------------------

    def _look_round(self) -> None:
        """Look for groups that have a plugin host again, and forget calls that have been answered."""
        self._streams.look_for_readers(self._cut_off, self._reached)
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
        if later is None:
            self._observer.count("remote_late", "")  # its deadline has passed, or it was answered before
        else:
            _end(later, outcome_of(answer))

    def _settle(self, id_: str, stored: bytes) -> None:
        later = self._open.pop(id_, None)
        if later is not None:
            with contextlib.suppress(UnreadableEnvelope):  # the fallback answers at its deadline
                _end(later, outcome_of(read_verdict(stored)))


def _end(later: Later[Any], outcome: bytes | Exception) -> None:
    if isinstance(outcome, Exception):
        later.call.finish(Failure(outcome))
    else:
        later.answer(outcome)
