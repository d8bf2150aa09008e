"""Writer of the streams of the groups of plugin hosts.

Their number is stored in Redis. Nothing is written for a group without a living plugin host. The envelopes of a turn of
the hub are written by one command. Answers and live events are gathered for longer, many in an envelope, always before
what comes after them in their stream.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import gevent

from ...config.errors import ChargehandError
from ..redis.address import RedisAway
from ..redis.link import Link, RedisCommandRefused
from ..redis.script_batch import ScriptBatch
from .envelopes import Seen, UnreadableEnvelope, encode, facts_of, read_wants
from .streams import FULL, NOBODY, SEND, WANTED, partition_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from msgspec import Raw

    from ...actors.session.charge_point import ChargePoint
    from ..redis.address import Address
    from .envelopes import AnswerSeen, Envelope, EventSeen, Wants
    from .streams import Keys

logger = logging.getLogger(__name__)

GATHER_S = 0.01
"""Seconds for which answers and live events are gathered."""
GATHER_LIMIT = 100
"""Answers and live events of one stream that are written without waiting for more."""
SEEN_ENTRIES = 1000
"""Entries of a stream above which answers and live events are lost: the rest of it is for calls."""
UNWRITTEN_LIMIT = 10_000
"""Answers and live events that may be on their way to Redis; further ones are lost."""


class NobodyThere(ChargehandError):
    """No plugin host of the group was alive lately. `blameless`: no handler is to blame; `passing`: retry."""

    blameless = True
    passing = True


class StreamFull(ChargehandError):
    """A stream has reached its limit of messages. `blameless`: no handler is to blame; `passing`: retry."""

    blameless = True
    passing = True


class _Batch:
    """Answers and live events that are written to a stream together."""

    __slots__ = ("facts", "group", "items", "naive_offset_min")

    def __init__(self, group: str, naive_offset_min: int | None) -> None:
        self.group = group
        self.items: list[AnswerSeen | EventSeen] = []
        self.facts: dict[str, Raw] = {}
        self.naive_offset_min = naive_offset_min


class StreamWriter:
    """Writer of a node's streams.

    `down(why)` is called when the connection to Redis is lost; envelopes not written by then are not written.
    `wanted(wants)` is called with the wants of the living plugin hosts, by group, whenever they are known anew, and
    `lost(count)` for answers and live events that were not written.
    """

    def __init__(
        self,
        address: Address,
        name: str,
        keys: Keys,
        *,
        partitions: int,
        limit: int,
        down: Callable[[str], None],
        wanted: Callable[[Mapping[str, Sequence[Wants]]], None] = lambda _: None,
        lost: Callable[[int], None] = lambda _: None,
        naive_offset_min: int | None = 0,
    ) -> None:
        self.node = name
        self.link = Link(address, f"{name}-calls", up=self._up, down=self._down)
        self.partitions = 0  # until Redis has told the number
        self._sends = ScriptBatch(self.link, SEND)
        self._keys = keys
        self._wanted = partitions
        self._limit = limit
        self._told_down = down
        self._told_wanted = wanted
        self._told_lost = lost
        self._naive_offset_min = naive_offset_min
        self._batches: dict[str, _Batch] = {}  # by stream
        self._unwritten = 0
        self._gathering: Any = None

    def _up(self) -> None:
        # Runs in the link's own greenlet: answers come later, so they must not be waited for.
        self.link.send("SET", self._keys.partitions, self._wanted, "NX")
        self.link.send("GET", self._keys.partitions).rawlink(self._partitions_known)

    def _partitions_known(self, result: Any) -> None:
        if result.exception is not None:
            return  # the next connection asks again
        with suppress(RedisAway), self.link.reading():
            self.partitions = _number(result.value)
        if not self.partitions:
            return
        self.look_for_wants()
        if self.partitions != self._wanted:
            logger.warning(
                "redis.partitions is %d here, but %s is %d: using %d",
                self._wanted,
                self._keys.partitions,
                self.partitions,
                self.partitions,
            )

    def _down(self, why: str) -> None:
        self.partitions = 0
        self._told_down(why)

    def write(
        self, envelope: Envelope, group: str, then: Callable[[Any, Exception | None], None], key: str = ""
    ) -> None:
        """Write an envelope for a group; call `then(reply, error)` with the reply of Redis, as `refusal` reads it.

        Else the reply is the id of its entry. With a `key` it is the stored verdict in a list if there is one; then
        nothing is written.
        """
        if not self.partitions:
            why = self.link.why if not self.link.connected else "the number of streams is not known yet"
            then(None, RedisAway(why))
            return
        keys, stream = self._keys, self._stream(envelope.charge_point, group)
        if self._batches:
            self._write_batch(stream)
        names = (stream, keys.alive(group), keys.done(key) if key else "")
        self._sends.run(names, (self._limit,), encode(envelope), then)

    def _stream(self, charge_point_id: str, group: str) -> str:
        return self._keys.stream(partition_of(charge_point_id, self.partitions), group)

    # -- Answers and live events -----------------------------------------------------------------

    def gather(
        self,
        charge_point_id: str,
        item: AnswerSeen | EventSeen,
        group: str,
        charge_point: ChargePoint | None = None,
    ) -> None:
        """Write an answer or a live event for a group, soon and together with others; an answer has a charge point."""
        if not self.partitions or self._unwritten >= UNWRITTEN_LIMIT:
            self._told_lost(1)
            return
        stream = self._stream(charge_point_id, group)
        batch = self._batches.get(stream)
        if batch is None:
            batch = self._batches[stream] = _Batch(group, self._naive_offset_min)
        batch.items.append(item)
        if charge_point is not None and charge_point_id not in batch.facts:
            batch.facts[charge_point_id] = facts_of(charge_point)
        self._unwritten += 1
        if len(batch.items) >= GATHER_LIMIT:
            self._write_batch(stream)
        elif self._gathering is None:
            self._gathering = gevent.spawn_later(GATHER_S, self._write_batches)

    def _write_batches(self) -> None:
        self._gathering = None
        for stream in list(self._batches):
            self._write_batch(stream)

    def close(self) -> None:
        """Write what is gathered, and close the connection to Redis."""
        if self._gathering is not None:
            self._gathering.kill(block=False)
        self._write_batches()
        self._sends.flush()
        self.link.stop()

    def _write_batch(self, stream: str) -> None:
        batch = self._batches.pop(stream, None)
        if batch is None:
            return
        envelope = Seen(
            v=1,
            node=self.node,
            charge_point="",
            items=tuple(batch.items),
            facts=batch.facts,
            naive_offset_min=batch.naive_offset_min,
        )
        limit = min(self._limit // 2, SEEN_ENTRIES)
        names = (stream, self._keys.alive(batch.group), "")
        self._sends.run(names, (limit,), encode(envelope), partial(self._batch_written, len(batch.items)))

    def _batch_written(self, count: int, found: Any, error: Exception | None) -> None:
        self._unwritten -= count
        if error is not None or refusal(found) is not None:
            self._told_lost(count)

    # -- What plugin hosts want ------------------------------------------------------------------

    def look_for_wants(self) -> None:
        """Ask what the living plugin hosts of all groups want."""
        if self.partitions:
            sent = self.link.send("EVAL", WANTED, 1, self._keys.groups, self._keys.prefix)
            sent.rawlink(self._wants_known)

    def _wants_known(self, result: Any) -> None:
        if result.exception is not None:
            if isinstance(result.exception, RedisCommandRefused):
                logger.error("the wants of plugin hosts cannot be read: %s", result.exception)
            return
        found: dict[str, list[Wants]] = {}
        said: list[tuple[str, bytes]] = []
        try:
            with self.link.reading():
                for group, *parts in result.value:
                    found[group.decode()] = []
                    said += [(group.decode(), bytes(data)) for data in parts]
        except RedisAway:
            return
        for name, data in said:
            try:
                found[name].append(read_wants(data))
            except UnreadableEnvelope as error:
                logger.error("the wants of a plugin host of group %s are unreadable: %s", name, error)  # noqa: TRY400
        self._told_wanted(found)

    def look_for_entry(
        self, charge_point_id: str, group: str, entry: bytes, then: Callable[[bool], None]
    ) -> None:
        """Ask whether an entry is still in its stream; call `then(there)` if Redis says so."""
        if not self.partitions:
            return
        asked = self.link.send("XRANGE", self._stream(charge_point_id, group), entry, entry)
        asked.rawlink(lambda result: then(bool(result.value)) if result.exception is None else None)

    def look_for_readers(self, groups: Iterable[str], there: Callable[[str], None]) -> None:
        """Ask which of these groups have a plugin host again; call `there(group)` for each."""

        def looked(group: str, result: Any) -> None:
            if result.exception is None and result.value:
                there(group)

        for group in groups if self.partitions else ():
            self.link.send("EXISTS", self._keys.alive(group)).rawlink(partial(looked, group))


def _number(found: Any) -> int:
    number = int(found)
    if number < 1:
        raise ValueError(f"{number} streams")
    return number


def refusal(found: Any) -> Exception | None:
    """Return the error for the reply of Redis to an envelope; None if the envelope was written."""
    if found == NOBODY:
        return NobodyThere("no plugin host of its group was alive lately")
    return StreamFull("the stream has reached redis.stream_limit") if found == FULL else None
