"""Coordinator of a worker process: a connection to the coordinator server that is re-established."""

from __future__ import annotations

import logging
import random
import socket
from typing import TYPE_CHECKING, Any

import gevent
import gevent.socket
from gevent.event import AsyncResult

from .coordinator import LEASE_S, MESSAGE_BYTES, Claim, CoordinatorUnavailable, Verified
from .lease import Lease, Renewal, chunks
from .unix_protocol import (
    ChargePointsPart,
    Checked,
    Enumerate,
    Fenced,
    Find,
    Frame,
    Gone,
    Hello,
    NodeFound,
    NoLease,
    Pipe,
    PipeError,
    Release,
    Renew,
    Renewed,
    Take,
    Taken,
    Tell,
    Told,
    Verify,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ...actors.runtime.timers import Clock
    from .coordinator import CoordinatorListener

logger = logging.getLogger(__name__)

ANSWER_S = 5.0
"""Seconds that the coordinator server has to answer."""
OUTSTANDING_LIMIT = 50_000
"""Questions that may wait for their answers; further ones fail."""
RENEWALS_LIMIT = 8
"""Renewals that may wait for their answers; none is sent meanwhile."""
BACKOFF_MIN_S = 0.02
BACKOFF_MAX_S = 1.0
STOP_S = 0.5
NO_LEASE = "this worker has no lease"


class UnixCoordinator:
    """Coordinator behind a Unix socket. `path` is that of the `CoordinatorServer`."""

    def __init__(self, path: str, node: str, clock: Clock, *, lease_s: float = LEASE_S) -> None:
        self.node = node
        self.lease = Lease(clock, node, lease_s)
        self._path = path
        self._listener: CoordinatorListener | None = None
        self._pipe: Pipe | None = None
        self._owner: Any = None
        self._waiting: dict[int, AsyncResult[Any]] = {}
        self._parts: dict[int, dict[str, str]] = {}
        self._number = 0
        self._renewing = 0
        self._why = "it is not connected yet"

    def start(self, listener: CoordinatorListener) -> None:
        """Start; returns at once. The other methods work as soon as there is a lease."""
        self._listener = listener
        self._owner = gevent.spawn(self._run)
        self.lease.start(listener, self._renew)

    def stop(self) -> None:
        """Give back the lease and all claims, as far as that can be said at once. Switches greenlets for a moment."""
        self._listener = None
        self.lease.stop()
        if self._pipe is not None:
            self._pipe.flush(STOP_S)
        if self._owner is not None:
            self._owner.kill()

    @property
    def held(self) -> bool:
        """True while this node has its lease; cheap, read before each command."""
        return self.lease.held

    @property
    def trouble(self) -> str:
        """Text why the coordinator server cannot be reached now; "" if it can."""
        return self._why if self._pipe is None else ""

    def claim(self, charge_point_id: str) -> Claim:
        """Claim a charge point. Switches greenlets. Raises `CoordinatorUnavailable`, at once without a lease."""
        with self.lease.claiming(charge_point_id):
            taken = self._ask(Take(self._next(), charge_point_id, self.lease.seen))
        self.lease.saw(taken.epoch)
        if taken.previous:
            self.lease.met(taken.previous)
        return Claim(taken.epoch, taken.previous, taken.wait_s)

    def release(self, charge_point_id: str, epoch: int) -> None:
        """Release a charge point, unless another node has claimed it since. Never blocks; may be lost."""
        if self._pipe is not None and not self._pipe.full:
            self._pipe.send(Release(charge_point_id, epoch))

    def verify(self, claims: Mapping[str, int]) -> Verified:
        """Verify claims (charge point to epoch); unowned charge points become ours again."""
        others: frozenset[str] = frozenset()
        wait_s = 0.0
        for part in chunks(claims.items()):
            checked = self._ask(Verify(self._next(), dict(part)))
            others |= checked.others
            wait_s = max(wait_s, checked.wait_s)
        return Verified(others, wait_s)

    def find(self, charge_point_id: str) -> str:
        """Find the live node that holds a charge point, or "". Switches greenlets. Raises `CoordinatorUnavailable`."""
        node: str = self._ask(Find(self._next(), charge_point_id)).node
        return node

    def send(self, node: str, message: bytes) -> None:
        """Send to a node, at most once and in order. Never blocks. Raises `CoordinatorUnavailable` at once."""
        if len(message) > MESSAGE_BYTES:
            raise ValueError(f"a message of {len(message)} bytes is longer than {MESSAGE_BYTES}")
        if self._pipe is None:
            raise CoordinatorUnavailable(self._why)
        if self._pipe.full:
            raise CoordinatorUnavailable("the coordinator server does not read its messages")
        self._pipe.send(Tell(node, message))
        self.lease.met(node)

    def nodes(self) -> Iterable[str]:
        """List the nodes with a lease as of the last renewal, this one included."""
        return self.lease.nodes

    def charge_points(self) -> Mapping[str, str]:
        """Return the node of each held charge point. Switches greenlets. Raises `CoordinatorUnavailable`."""
        number = self._next()
        self._parts[number] = {}
        try:
            self._ask(Enumerate(number))
            return self._parts[number]
        finally:
            del self._parts[number]

    # -- Questions -------------------------------------------------------------------------------

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _ask(self, frame: Any) -> Any:
        if self._pipe is None or not self.held:
            raise CoordinatorUnavailable(self._why if self._pipe is None else NO_LEASE)
        if len(self._waiting) >= OUTSTANDING_LIMIT:
            raise CoordinatorUnavailable(f"{OUTSTANDING_LIMIT} questions wait for their answers")
        result: AsyncResult[Any] = AsyncResult()
        self._waiting[frame.number] = result
        self._pipe.send(frame)
        try:
            answer = result.get(timeout=ANSWER_S)
        except gevent.Timeout:
            raise CoordinatorUnavailable(
                f"the coordinator server gave no answer within {ANSWER_S:g} s"
            ) from None
        finally:
            self._waiting.pop(frame.number, None)
        if isinstance(answer, NoLease):
            raise CoordinatorUnavailable(NO_LEASE)
        return answer

    def _renew(self) -> None:
        pipe = self._pipe
        if pipe is None or self._renewing >= RENEWALS_LIMIT:
            return
        sent_at, acks = self.lease.sending()
        number = self._next()
        result: AsyncResult[Any] = AsyncResult()
        self._waiting[number] = result
        self._renewing += 1
        pipe.send(Renew(number, self.lease.seen, acks))
        # Earlier requests are answered first: so a claim is stored by its caller before its fence is handled.
        result.rawlink(lambda result: self._renewed(number, pipe, sent_at, result))

    def _renewed(self, number: int, pipe: Pipe, sent_at: float, result: AsyncResult[Any]) -> None:
        self._waiting.pop(number, None)
        self._renewing -= 1
        if pipe is self._pipe and result.exception is None:  # else it ended right after it answered
            new: Any = result.value
            self.lease.renewed(
                sent_at, Renewal(new.server, new.lapsed, new.young_s, new.nodes, new.fences, new.more)
            )

    # -- The connection --------------------------------------------------------------------------

    def _run(self) -> None:
        tries = 0
        while True:
            sock = gevent.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.connect(self._path)
            except OSError as error:
                sock.close()
                self._why = f"{self._path}: {error.strerror or error}"
                tries += 1
            else:
                tries = 0
                self._serve(Pipe(sock, Told))
            wait_s = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2 ** min(tries, 10))
            gevent.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret

    def _serve(self, pipe: Pipe) -> None:
        why = "the coordinator was stopped"
        try:
            self._pipe = pipe
            pipe.send(Hello(self.node))
            self._renew()
            logger.debug("%s is connected to %s", self.node, self._path)
            while True:
                self._take(pipe.receive())
        except (OSError, EOFError, PipeError) as error:
            why = str(error)
        finally:
            self._pipe = None
            self._why = f"{self._path}: {why}"
            self.lease.end()  # from the close on the coordinator server gives our charge points to other workers
            pipe.close()
            waiting, self._waiting = self._waiting, {}
            for result in waiting.values():
                result.set_exception(CoordinatorUnavailable(self._why))
            if self._listener is not None:
                logger.warning("%s has lost %s", self.node, self._why)

    def _take(self, frame: Frame) -> None:
        match frame:
            case ChargePointsPart(number, charge_points, more):
                if number in self._parts:
                    self._parts[number].update(charge_points)
                if not more:
                    self._answer(number, frame)
            case Renewed(number) | Taken(number) | Checked(number) | NodeFound(number) | NoLease(number):
                self._answer(number, frame)
            case Tell(sender, message):
                if self._listener is not None:
                    self._listener.received(sender, message)
            case Fenced(charge_point_id, epoch):
                self.lease.fenced(charge_point_id, epoch)
            case Gone(node):
                self.lease.lost(node)

    def _answer(self, number: int, frame: Frame) -> None:
        result = self._waiting.get(number)
        if result is not None:
            result.set(frame)
