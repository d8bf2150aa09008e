"""Reader of a node's stream of answers from plugin hosts."""

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
"""Seconds that one read blocks in Redis for the first answer."""
ANSWERS_AT_ONCE = 512
RETRY_S = 0.2
"""Seconds before the next read when Redis has refused one."""


class AnswerReader:
    """Reader of a node's stream of answers.

    `take(data)` is called with each answer, `failed(error)` with an exception that leaves `take` or the reader, and
    `look_round()` every `BLOCK_S`, or a little later.
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
        """Start reading; does not wait for Redis."""
        self._link.start()
        self._greenlet = gevent.spawn(self._run)
        self._greenlet.link_exception(lambda greenlet: self._failed(greenlet.exception))

    def stop(self) -> None:
        """Stop reading and close the connection to Redis."""
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
                # A Redis that has lost its data counts from 0 again. An answer may come twice.
                last = b"0"
                link.wait(BLOCK_S)
                continue
            try:
                found = link.ask(
                    "XREAD", "COUNT", ANSWERS_AT_ONCE, "BLOCK", int(BLOCK_S * 1000), "STREAMS", stream, last
                )
                with link.reading():
                    answers = [(entry, bytes(fields[1])) for entry, fields in found[0][1]] if found else []
            except RedisAway:
                continue
            except RedisCommandRefused as error:
                logger.error("%s cannot be read: %s", stream, error)  # noqa: TRY400 - the text says all
                gevent.sleep(RETRY_S)
                continue
            for entry, data in answers:
                last = entry
                self._take(data)
