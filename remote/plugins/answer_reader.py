"""Reader of a node's stream of answers, whenever Redis is there."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import gevent

from ..redis.address import RedisAway
from ..redis.link import Link, RedisCommandRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..redis.address import Address

logger = logging.getLogger(__name__)

BLOCK_S = 1.0
"""Seconds that one look for answers waits in Redis for the first."""
ANSWERS_AT_ONCE = 512
RETRY_S = 0.2
"""Seconds before answers are looked for again when Redis has refused it."""


class AnswerReader:
    """Reader of a node's stream of answers.

    `take` is given each answer's bytes, and what leaves it or the reader is `failed`'s.

    `look_round` is called every `BLOCK_S`, or a little later.
    """

    def __init__(
        self,
        address: Address,
        name: str,
        stream: str,
        *,
        take: Callable[[bytes], None],
        look_round: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._link = Link(address, name, blocks_s=BLOCK_S)
        self._stream = stream
        self._take = take
        self._look_round = look_round
        self._failed = failed
        self._greenlet: Any = None

    def start(self) -> None:
        """Begin; it does not wait for Redis."""
        self._link.start()
        self._greenlet = gevent.spawn(self._run)
        self._greenlet.link_exception(lambda greenlet: self._failed(greenlet.exception))

    def stop(self) -> None:
        """Read no further, and let go of Redis."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
        self._link.stop()

    def _run(self) -> None:
        link, stream, last = self._link, self._stream, b"0"
        looked_at = time.monotonic()
        while True:
            if time.monotonic() > looked_at + BLOCK_S:
                looked_at = time.monotonic()
                self._look_round()
            if not link.connected:
                last = b"0"  # a Redis that has lost everything counts again; an answer may come twice
                link.wait(BLOCK_S)
                continue
            try:
                found = link.ask(
                    "XREAD", "COUNT", ANSWERS_AT_ONCE, "BLOCK", int(BLOCK_S * 1000), "STREAMS", stream, last
                )
            except RedisAway:
                continue
            except RedisCommandRefused as error:
                logger.error("%s cannot be read: %s", stream, error)  # noqa: TRY400 - the text says all
                gevent.sleep(RETRY_S)
                continue
            for entry, fields in found[0][1] if found else ():
                last = entry
                self._take(bytes(fields[1]))
