"""Coordinator among nodes: Redis stores which node holds each charge point.

Two links: one for commands, one that waits for messages to this node. Steps that must be atomic are scripts.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
from itertools import chain
from typing import TYPE_CHECKING, Any

import gevent

from ..redis.address import RedisAway
from ..redis.link import Link, RedisCommandRefused
from . import scripts
from .coordinator import (
    DRIFT_S,
    LEASE_S,
    LINK,
    MESSAGE_BYTES,
    OLDEST_LINK,
    Claim,
    CoordinatorUnavailable,
    Verified,
)
from .lease import CHUNK, Lease, Renewal, chunks
from .seal import SEAL_BYTES, Seal, SealBroken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gevent.event import AsyncResult

    from ...actors.runtime.timers import Clock
    from ..redis.address import Address
    from .coordinator import CoordinatorListener

logger = logging.getLogger(__name__)

BLOCK_S = 2.0
"""Seconds that one read of the inbox waits in Redis."""
READ_COUNT = 100
"""Messages that are read at once."""
STREAM_LIMIT = 10_000
KEEP_S = 600.0
"""Seconds that Redis keeps messages to a node that does not read them."""
RETRY_S = 1.0
STOP_S = 0.5
"""Seconds that a stop waits for Redis to take the lease back."""
CONNECTED_S = 60.0
WARN_S = 10.0
"""Seconds between two lines about entries that were not taken."""
NO_LEASE = "this node has no lease"
SHA = {script: hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest() for script in scripts.ALL}


class RedisCoordinator:
    """Coordinator in Redis. All nodes must agree on `prefix`, `lease_s` and `secret`, which seals their messages."""

    def __init__(
        self,
        address: Address,
        prefix: str,
        node: str,
        clock: Clock,
        *,
        stream_limit: int = STREAM_LIMIT,
        lease_s: float = LEASE_S,
        secret: str = "",
        links: tuple[int, int] = (LINK, OLDEST_LINK),
    ) -> None:
        self.node = node
        self._seal = Seal(secret, node)
        self._links = links
        self._clock = clock
        self._warn_at = -math.inf
        self._not_taken = 0
        self.lease = Lease(clock, node, lease_s)
        self._prefix = prefix
        self._inbox = f"{prefix}:in:{node}"
        self._read = b"0-0"
        self._listener: CoordinatorListener | None = None
        self._reader: Any = None
        self._refused = ""
        name = f"{prefix}:{node}"
        self._commands = Link(address, name, up=self._connected)
        self._messages = Link(address, f"{name}:in", blocks_s=BLOCK_S)
        milliseconds = (round(seconds * 1000) for seconds in (lease_s, DRIFT_S))
        self._arguments = (prefix, node, *milliseconds, stream_limit, round(KEEP_S * 1000))

    def start(self, listener: CoordinatorListener) -> None:
        """Start; returns at once. The other methods work as soon as there is a lease."""
        self._listener = listener
        self._commands.start()
        self._messages.start()
        self._reader = gevent.spawn(self._read_messages)
        self.lease.start(listener, self._renew)

    def stop(self) -> None:
        """Give back the lease and all claims, as far as that can be said at once. Switches greenlets for a moment."""
        self._listener = None
        self.lease.stop()
        self._messages.stop()
        if self._reader is not None:
            self._reader.kill()
        self._run(scripts.STOP).wait(STOP_S)
        self._commands.stop()

    @property
    def held(self) -> bool:
        """True while this node has its lease; cheap, read before each command."""
        return self.lease.held

    @property
    def trouble(self) -> str:
        """Text why Redis cannot be reached now, or refuses what is asked; "" if it does not."""
        return self._refused or ("" if self._commands.connected else self._commands.why)

    def claim(self, charge_point_id: str) -> Claim:
        """Claim a charge point. Switches greenlets. Raises `CoordinatorUnavailable`, at once without a lease."""
        with self.lease.claiming(charge_point_id):
            found = self._with_lease(self._ask(scripts.CLAIM, charge_point_id, self.lease.seen))
        with self._reading():
            epoch, previous, wait_ms = found
            claim = Claim(int(epoch), previous.decode(), int(wait_ms) / 1000)
        self.lease.saw(claim.epoch)
        if claim.previous:
            self.lease.met(claim.previous)
        return claim

    def release(self, charge_point_id: str, epoch: int) -> None:
        """Release a charge point, unless another node has claimed it since. Never blocks; may be lost."""
        self._run(scripts.RELEASE, charge_point_id, epoch)

    def verify(self, claims: Mapping[str, int]) -> Verified:
        """Verify claims (charge point to epoch); unowned charge points become ours again."""
        others: set[str] = set()
        wait_s = 0.0
        for part in chunks(claims.items()):
            answer = self._with_lease(self._ask(scripts.VERIFY, *chain.from_iterable(part)))
            with self._reading():
                wait_ms, found = answer
                others.update(one.decode() for one in found)
                wait_s = max(wait_s, int(wait_ms) / 1000)
        return Verified(frozenset(others), wait_s)

    def find(self, charge_point_id: str) -> str:
        """Find the live node that holds a charge point, or "". Switches greenlets. Raises `CoordinatorUnavailable`."""
        found = self._ask(scripts.FIND, charge_point_id)
        with self._reading():
            return str(found.decode())

    def send(self, node: str, message: bytes) -> None:
        """Send to a node, at most once and in order. Never blocks. Raises `CoordinatorUnavailable` at once."""
        if len(message) > MESSAGE_BYTES:
            raise ValueError(f"a message of {len(message)} bytes is longer than {MESSAGE_BYTES}")
        result = self._run(scripts.SEND, node, self._seal.seal(node, message))
        if result.ready():  # it has failed at once
            raise CoordinatorUnavailable(str(result.exception))
        self.lease.met(node)

    def nodes(self) -> Iterable[str]:
        """List the nodes with a lease as of the last renewal, this one included."""
        return self.lease.nodes

    def charge_points(self) -> Mapping[str, str]:
        """Return the node of each held charge point. Switches greenlets. Raises `CoordinatorUnavailable`."""
        nodes = self._ask(scripts.NODES)
        with self._reading():
            living = {node.decode() for node in nodes}
        found: dict[str, str] = {}
        cursor = b"0"
        while True:
            part = self._get(self._commands.send("HSCAN", f"{self._prefix}:cps", cursor, "COUNT", CHUNK))
            with self._reading():
                cursor, pairs = part
                for charge_point_id, value in _pairs(pairs):
                    node = value.decode().partition(" ")[2]
                    if node in living:
                        found[charge_point_id.decode()] = node
            if cursor == b"0":
                return found

    # -- Commands --------------------------------------------------------------------------------

    def _run(self, script: str, *arguments: Any) -> AsyncResult[Any]:
        return self._commands.send("EVALSHA", SHA[script], 0, *self._arguments, *arguments)

    def _ask(self, script: str, *arguments: Any) -> Any:
        if not self.held:
            raise CoordinatorUnavailable(
                self._refused or (NO_LEASE if self._commands.connected else self._commands.why)
            )
        return self._get(self._run(script, *arguments))

    def _get(self, result: AsyncResult[Any]) -> Any:
        try:
            return result.get()
        except (RedisAway, RedisCommandRefused) as error:
            raise CoordinatorUnavailable(str(error)) from error

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Read an answer. Raises `CoordinatorUnavailable` for one that cannot be read."""
        try:
            with self._commands.reading():
                yield
        except RedisAway as error:
            raise CoordinatorUnavailable(str(error)) from error

    def _with_lease(self, found: Any) -> Any:
        if found is None:
            raise CoordinatorUnavailable(NO_LEASE)
        return found

    def _connected(self) -> None:
        self._load()
        self._renew()

    def _load(self) -> None:
        for script in scripts.ALL:
            self._commands.send("SCRIPT", "LOAD", script)

    # -- The lease -------------------------------------------------------------------------------

    def _renew(self) -> None:
        if not self._commands.connected:
            return
        sent_at, acks = self.lease.sending()
        pairs = chain.from_iterable(acks.items())
        result = self._run(scripts.RENEW, self.lease.seen, self._read, CHUNK, *self._links, *pairs)
        result.rawlink(lambda result: self._renewed(sent_at, result))

    def _renewed(self, sent_at: float, result: AsyncResult[Any]) -> None:
        error = result.exception
        if error is not None:
            if isinstance(error, RedisCommandRefused):
                self._refuse(str(error))
            return
        answer: Any = result.value
        if answer[:1] == [b"refused"]:
            self._refuse_link(*answer[1:])
            return
        self._refused = ""
        with contextlib.suppress(RedisAway):  # the next connection renews
            with self._commands.reading():
                renewal = _renewal(answer)
            self.lease.renewed(sent_at, renewal)

    def _refuse(self, why: str) -> None:
        if why.startswith("NOSCRIPT"):
            self._load()
            self._renew()
        elif why != self._refused:
            self._refused = why
            logger.error("%s refuses the lease of %s: %s", self._prefix, self.node, why)

    def _refuse_link(self, node: bytes, told: bytes) -> None:
        newest, oldest = self._links
        its = f"link {told.decode(errors='replace')}" if told else "the link of an older chargehand"
        why = (
            f"node {node.decode(errors='replace')} speaks {its}, and this one link {newest} (oldest {oldest}): "
            "stop the nodes of the other version first"
        )
        self._refuse(why)
        if self._listener is not None:
            self._listener.refused(why)

    # -- Messages to this node -------------------------------------------------------------------

    def _read_messages(self) -> None:
        while True:
            self._messages.wait(CONNECTED_S)
            try:
                self._begin_again_if_forgotten()
                while True:
                    self._read_some()
            except RedisAway:
                gevent.sleep(0)  # the link connects again, or says that it has not
            except RedisCommandRefused as error:
                logger.warning("%s cannot be read: %s", self._inbox, error)
                gevent.sleep(RETRY_S)

    def _begin_again_if_forgotten(self) -> None:
        newest = self._messages.ask("XREVRANGE", self._inbox, "+", "-", "COUNT", 1)
        with self._messages.reading():
            if not newest or _order(newest[0][0]) < _order(self._read):
                self._read = b"0-0"  # a Redis whose clock stands before that of the one before

    def _read_some(self) -> None:
        blocks_ms = round(BLOCK_S * 1000)
        found = self._messages.ask(
            "XREAD", "COUNT", READ_COUNT, "BLOCK", blocks_ms, "STREAMS", self._inbox, self._read
        )
        with self._messages.reading():
            entries = (
                [(entry, _order(entry), dict(_pairs(pairs))) for entry, pairs in found[0][1]] if found else []
            )
        for entry, _, pairs in entries:
            self._read = entry
            self._take(pairs)

    def _take(self, entry: Mapping[bytes, bytes]) -> None:
        if self._listener is None:
            return
        match entry:
            case {b"from": sender, b"message": message} if len(message) <= MESSAGE_BYTES + SEAL_BYTES:
                node = sender.decode(errors="replace")
                try:
                    opened = self._seal.open(node, message)
                except SealBroken as error:
                    self._warn(f"a message of {node} was not taken: {error}")
                else:
                    self._listener.received(node, opened)
            case {b"fenced": charge_point_id, b"epoch": epoch} if epoch.isdigit():
                self.lease.fenced(charge_point_id.decode(errors="replace"), int(epoch))
            case _:
                self._warn("an entry in an unknown format was not taken")

    def _warn(self, why: str) -> None:
        """Log that an entry was not taken; at most once in a while, with the number of those since."""
        self._not_taken += 1
        if self._clock.monotonic() >= self._warn_at:
            self._warn_at = self._clock.monotonic() + WARN_S
            logger.warning("%s: %s (%d since the last such line)", self._inbox, why, self._not_taken)
            self._not_taken = 0


def _renewal(answer: Any) -> Renewal:
    run, lapsed, young_ms, nodes, fences, more = answer
    return Renewal(
        server=run.decode(),
        lapsed=bool(lapsed),
        young_s=int(young_ms) / 1000,
        nodes=frozenset(node.decode() for node in nodes),
        fences={one.decode(): int(float(epoch)) for one, epoch in _pairs(fences)},
        more=bool(more),
    )


def _pairs(flat: list[bytes]) -> Iterable[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _order(entry: bytes) -> tuple[int, int]:
    first, _, second = entry.partition(b"-")
    return int(first), int(second)
