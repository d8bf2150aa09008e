"""The way to the workers: the streams of a group in Redis, as many as Redis says; none is written that nobody reads."""

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
    """No worker of the group has been there lately. `blameless`: no handler is to blame for it, and it passes."""

    blameless = True
    passing = True


class StreamFull(ChargehandError):
    """As many messages as may wait in a stream, wait there. `blameless`: no handler is to blame, and it passes."""

    blameless = True
    passing = True


class StreamWriter:
    """Writer of a node's streams.

    `down` is told why when Redis goes away; what was not written then is not written.
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
        self.partitions = 0  # until Redis has said it
        self._keys = keys
        self._wanted = partitions
        self._limit = limit
        self._told_down = down

    def _up(self) -> None:
        # In the link's own greenlet: what is asked here is answered later.
        self.link.send("SET", self._keys.partitions, self._wanted, "NX")
        self.link.send("GET", self._keys.partitions).rawlink(self._partitions_known)

    def _partitions_known(self, result: Any) -> None:
        if result.exception is not None:
            return  # the next connection asks again
        self.partitions = int(result.value)
        if self.partitions != self._wanted:
            logger.warning(
                "%s says %d, so that it is %d streams, not %d",
                self._keys.partitions,
                self.partitions,
                self.partitions,
                self._wanted,
            )

    def _down(self, why: str) -> None:
        self.partitions = 0
        self._told_down(why)

    def write(
        self, envelope: Envelope, group: str, then: Callable[[Any, Exception | None], None], key: str = ""
    ) -> None:
        """Write an envelope for a group, and tell `then` what Redis has said (see `refusal`), or what went wrong.

        With a `key`, Redis says the verdict instead if there is one already.
        """
        if not self.partitions:
            why = self.link.why if not self.link.connected else "it has only just connected"
            then(None, RedisAway(why))
            return
        keys = self._keys
        stream = keys.stream(partition_of(envelope.charge_point, self.partitions), group)
        names = (stream, keys.alive(group), keys.done(key)) if key else (stream, keys.alive(group))
        sent = self.link.send("EVAL", SEND, len(names), *names, self._limit, encode(envelope))
        sent.rawlink(lambda result: then(result.value, _error_of(result)))

    def look_for_readers(self, groups: Iterable[str], there: Callable[[str], None]) -> None:
        """Ask which of these groups have a worker again, and tell `there` of each."""

        def looked(group: str, result: Any) -> None:
            if result.exception is None and result.value:
                there(group)

        for group in groups if self.partitions else ():
            self.link.send("EXISTS", self._keys.alive(group)).rawlink(partial(looked, group))


def refusal(found: Any) -> Exception | None:
    """Why an envelope was not written, by what Redis has said; None if it was."""
    if found == NOBODY:
        return NobodyThere("no worker has been there lately")
    return StreamFull("as many messages as may wait, wait already") if found == FULL else None


def _error_of(result: Any) -> Exception | None:
    return result.exception  # type: ignore[no-any-return]
