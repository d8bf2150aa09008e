"""Connection to Redis that is re-established; any greenlet sends over it, in order and pipelined.

One greenlet owns it: it connects, reads, and connects again, with backoff. While Redis is away everything fails at
once, so that nothing waits and nothing grows. A command that blocks in Redis needs a link of its own.
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import AsyncResult, Event

from ...config.errors import ChargehandError
from .address import RedisAway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .address import Address

logger = logging.getLogger(__name__)

READ_BYTES = 65_536
REPLY_S = 5.0
"""Seconds that Redis has to answer before the connection is taken to be dead."""
PATIENCE_MIN_S = 0.5
"""The shortest that is waited for an answer before it is looked again how long Redis has been silent."""
OUTSTANDING_LIMIT = 50_000
"""Commands that may wait for their answers; further ones fail."""
REPLY_BYTES = 134_217_728
"""Bytes that come without completing an answer before the connection is given up: more would fill the memory."""
LONG_BYTES = 1_048_576
"""Bytes of an unfinished answer above which others have their turn between two reads of it."""
BACKOFF_MIN_S = 0.05
BACKOFF_MAX_S = 2.0
WRONG_FORM = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""Errors of whoever reads an answer that has another form than was asked for."""


class RedisCommandRefused(ChargehandError):
    """Redis answered with an error: the command is wrong, or may not be used."""


class Link:
    """Connection to Redis. `up` and `down` are called in its greenlet when it has, and has lost, its connection.

    With `blocks_s` its commands may block for so long in Redis.
    """

    def __init__(
        self,
        address: Address,
        name: str,
        *,
        up: Callable[[], None] | None = None,
        down: Callable[[str], None] | None = None,
        blocks_s: float = 0.0,
    ) -> None:
        self._address = address
        self._name = name
        self._up = up
        self._down = down
        self._reply_s = REPLY_S + blocks_s
        self._waiting: deque[AsyncResult[Any]] = deque()
        self._silent_since = 0.0
        self._out: list[bytes] = []
        self._written = Event()
        self._connected = Event()
        self._connection: Any = None
        self._pack: Callable[[tuple[Any, ...]], bytes] | None = None
        self._owner: Any = None
        self._unread = ""  # why the connection was given up by whoever has read an answer, or waited for one
        self.why = "it is not started"

    @property
    def connected(self) -> bool:
        """True while connected."""
        return self._connection is not None

    def start(self) -> None:
        """Begin to connect; returns at once."""
        if self._owner is None:
            self._owner = gevent.spawn(self._run)

    def wait(self, timeout_s: float) -> bool:
        """Wait until there is a connection; false if there is none in time."""
        return bool(self._connected.wait(timeout_s))

    def stop(self) -> None:
        """Let go of the connection; what still waits for an answer fails."""
        owner, self._owner = self._owner, None
        if owner is not None:
            owner.kill()

    def send(self, *command: Any) -> AsyncResult[Any]:
        """Send a command; its result is the answer, `RedisAway` or `RedisCommandRefused`. Never blocks.

        Arguments are bytes, texts and numbers.
        """
        result: AsyncResult[Any] = AsyncResult()
        if self._connection is None or self._pack is None:
            result.set_exception(RedisAway(self.why))
        elif len(self._waiting) >= OUTSTANDING_LIMIT:
            result.set_exception(RedisAway(f"{OUTSTANDING_LIMIT} commands wait for their answers"))
        else:
            self._out.append(self._pack(command))
            if not self._waiting:
                self._silent_since = time.monotonic()
            self._waiting.append(result)
            self._written.set()
        return result

    def ask(self, *command: Any) -> Any:
        """Send a command and wait for its answer. Raises `RedisAway` or `RedisCommandRefused`."""
        return self.send(*command).get()

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Read an answer in a `with`; one of another form than was asked for ends the connection. Raises `RedisAway`.

        Whatever answers so is no Redis, or has lost count of what it was asked.
        """
        try:
            yield
        except WRONG_FORM as error:
            why = f"an answer cannot be read: {type(error).__name__}: {error}"[:200]
            if self._connection is not None:
                self._unread = why
                self._connection._sock.close()  # noqa: SLF001 - the reader sees it, and says why
            raise RedisAway(why) from error

    # -- The owner -------------------------------------------------------------------------------

    def _run(self) -> None:
        import hiredis  # noqa: PLC0415 - an extra

        self._pack = hiredis.pack_command
        tries = 0
        try:
            while True:
                try:
                    connection = self._address.connect(self._name)
                except RedisAway as error:
                    self.why = str(error)
                    tries += 1
                else:
                    begun = time.monotonic()
                    self._serve(connection, hiredis.Reader())
                    # One that ends at once, again and again, is not asked more often than one that is away.
                    tries = 0 if time.monotonic() - begun > BACKOFF_MAX_S else tries + 1
                wait_s = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2 ** min(tries, 10))
                gevent.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        finally:
            self._lose("the link was stopped")

    def _serve(self, connection: Any, reader: Any) -> None:
        import hiredis  # noqa: PLC0415 - an extra

        sock = connection._sock  # noqa: SLF001 - what redis-py reads with would be a Python call for each answer
        sock.settimeout(None)  # `_watch` looks: a timer for each read would cost more than the read
        self._connection = connection
        self._unread = ""
        self._out.clear()
        others = [gevent.spawn(self._write, sock), gevent.spawn(self._watch, sock)]
        why = "the link was stopped"
        try:
            logger.info("%s is connected to %s", self._name, self._address.shown)
            self._connected.set()
            if self._up is not None:
                self._up()
            self._read(sock, reader)
        except (OSError, EOFError, RedisAway, hiredis.HiredisError) as error:
            why = self._unread or str(error) or type(error).__name__
        except Exception as error:
            logger.exception("%s cannot understand %s", self._name, self._address.shown)
            why = f"{type(error).__name__}: {error}"
        finally:
            gevent.killall(others)
            connection.disconnect()
            self._lose(why)

    def _lose(self, why: str) -> None:
        if self._connection is None:
            return
        self._connection = None
        self._connected.clear()
        self.why = f"{self._address.shown}: {why}"
        if self._owner is not None:
            logger.warning("%s has lost %s", self._name, self.why)
        waiting, self._waiting = self._waiting, deque()
        for result in waiting:
            result.set_exception(RedisAway(self.why))
        if self._down is not None:
            self._down(self.why)

    def _patience_s(self) -> float:
        """Return the seconds that Redis may be silent from now on.

        Raises `RedisAway` when it was silent for too long.
        """
        if not self._waiting:
            return self._reply_s
        left_s = self._silent_since + self._reply_s - time.monotonic()
        if left_s <= 0:
            raise RedisAway(f"no answer within {self._reply_s:g} s")
        return max(PATIENCE_MIN_S, left_s)

    def _watch(self, sock: Any) -> None:
        """End a connection on which Redis is silent for too long."""
        try:
            while True:
                gevent.sleep(self._patience_s())
        except RedisAway as error:
            self._unread = str(error)
            sock.close()  # the reader sees it, and says why

    def _write(self, sock: Any) -> None:
        try:
            while True:
                self._written.wait()
                self._written.clear()
                out, self._out = self._out, []
                sock.sendall(b"".join(out))
        except OSError:
            sock.close()  # the reader sees it, and says so

    def _read(self, sock: Any, reader: Any) -> None:
        unfinished = 0
        while True:
            data = sock.recv(READ_BYTES)
            self._silent_since = time.monotonic()
            if not data:
                raise EOFError("Redis closed the connection")
            reader.feed(data)
            unfinished += len(data)
            if unfinished > REPLY_BYTES:
                raise RedisAway(f"an answer has more than {REPLY_BYTES} bytes")
            if unfinished > LONG_BYTES:
                gevent.sleep(
                    0
                )  # the socket of a fast Redis always has more, and would keep the hub for itself
            if self._take_replies(reader):
                unfinished = 0

    def _take_replies(self, reader: Any) -> bool:
        """Hand out the answers that are whole; return whether there were any. Raises `RedisAway`."""
        import hiredis  # noqa: PLC0415

        waiting, any_ = self._waiting, False
        while (reply := reader.gets()) is not False:
            any_ = True
            if not waiting:
                raise RedisAway("it answers what nobody has asked")
            result = waiting.popleft()
            if not isinstance(reply, hiredis.ReplyError):
                result.set(reply)
                continue
            result.set_exception(RedisCommandRefused(str(reply)))
            if str(reply).startswith(("READONLY", "LOADING", "MASTERDOWN")):
                raise RedisAway(str(reply))  # it is no master any more, or not yet
        return any_
