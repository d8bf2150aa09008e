"""Writer of the streams of the groups of plugin hosts.

Their number is stored in Redis. Nothing is written for a group without a living plugin host.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from ...config.errors import ChargehandError
from ..redis.address import RedisAway
from ..redis.link import Link
from .envelopes import encode
from .streams import FULL, NOBODY, SEND, partition_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..redis.address import Address
    from .envelopes import Envelope
    from .streams import Keys

logger = logging.getLogger(__name__)


class NobodyThere(ChargehandError):
    """No plugin host of the group was alive lately. `blameless`: no handler is to blame; `passing`: retry."""

    blameless = True
    passing = True


class StreamFull(ChargehandError):
    """A stream has reached its limit of messages. `blameless`: no handler is to blame; `passing`: retry."""

    blameless = True
    passing = True


class StreamWriter:
    """Writer of a node's streams.

    `down(why)` is called when the connection to Redis is lost; envelopes not written by then are not written.
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
    ) -> None:
        self.link = Link(address, name, up=self._up, down=self._down)
        self.partitions = 0  # until Redis has told the number
        self._keys = keys
        self._wanted = partitions
        self._limit = limit
        self._told_down = down

    def _up(self) -> None:
        # Runs in the link's own greenlet: answers come later, so they must not be waited for.
        self.link.send("SET", self._keys.partitions, self._wanted, "NX")
        self.link.send("GET", self._keys.partitions).rawlink(self._partitions_known)

    def _partitions_known(self, result: Any) -> None:
        if result.exception is not None:
            return  # the next connection asks again
        self.partitions = int(result.value)
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

        With a `key`, the reply is the stored verdict if there is one; then nothing is written.
        """
        if not self.partitions:
            why = self.link.why if not self.link.connected else "the number of streams is not known yet"
            then(None, RedisAway(why))
            return
        keys = self._keys
        stream = keys.stream(partition_of(envelope.charge_point, self.partitions), group)
        names = (stream, keys.alive(group), keys.done(key)) if key else (stream, keys.alive(group))
        sent = self.link.send("EVAL", SEND, len(names), *names, self._limit, encode(envelope))
        sent.rawlink(lambda result: then(result.value, _error_of(result)))

    def look_for_readers(self, groups: Iterable[str], there: Callable[[str], None]) -> None:
        """Ask which of these groups have a plugin host again; call `there(group)` for each."""

        def looked(group: str, result: Any) -> None:
            if result.exception is None and result.value:
                there(group)

        for group in groups if self.partitions else ():
            self.link.send("EXISTS", self._keys.alive(group)).rawlink(partial(looked, group))


def refusal(found: Any) -> Exception | None:
    """Return the error for the reply of Redis to an envelope; None if the envelope was written."""
    if found == NOBODY:
        return NobodyThere("no plugin host of its group was alive lately")
    return StreamFull("the stream has reached redis.stream_limit") if found == FULL else None


def _error_of(result: Any) -> Exception | None:
    return result.exception  # type: ignore[no-any-return]
