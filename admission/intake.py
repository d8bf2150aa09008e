"""Intake: which sockets are taken at all, before anything is read from them.

By descriptors that are left, by memory, by connections and handshakes of an address. The one rule: whoever is turned
away costs no greenlet and no state of its own.
"""

from __future__ import annotations

import logging
import math
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from ..transport.gate import Refusal
from .security_events import CONNECTS_TOO_OFTEN
from .token_bucket import TokenBuckets

if TYPE_CHECKING:
    from ..actors.runtime.log_limit import LogLimit
    from ..actors.runtime.timers import Clock
    from ..actors.session.context import Observer
    from ..config.sessions import SessionSettings
    from .security_events import SecurityEvents

logger = logging.getLogger(__name__)

RETRY_S = "30"
IPV6_NETWORK_BITS = 64
"""Bits of an IPv6 address that one subscriber has; who has them has all addresses below."""


def network_of(peer: str) -> str:
    """Return the address of a peer ("address:port") as it is counted: of IPv6 its network."""
    host = peer.rpartition(":")[0]
    return _network(host) if ":" in host else host


@lru_cache(maxsize=4096)
def _network(host: str) -> str:
    try:
        address: IPv4Address | IPv6Address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv4Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    shift = address.max_prefixlen - IPV6_NETWORK_BITS
    return f"{IPv6Address(int(address) >> shift << shift)}/{IPV6_NETWORK_BITS}"


class Intake:
    """Limits of sockets of one process, for all endpoints of charge points. For the hub's thread.

    `descriptors` is how many the process may have, `reserved` how many of them are not for charge points.
    """

    def __init__(
        self,
        settings: SessionSettings,
        *,
        descriptors: int,
        reserved: int,
        clock: Clock,
        observer: Observer,
        log_limit: LogLimit,
        security_events: SecurityEvents | None = None,
    ) -> None:
        self.take(settings)
        self._descriptors = descriptors
        self._last = descriptors - min(reserved, descriptors // 4)  # the first that is reserved
        self._clock = clock
        self._observer = observer
        self._log_limit = log_limit
        self._security_events = security_events
        self._open: dict[str, int] = {}  # connections by address
        self.memory_is_short = False
        """True while no connection is taken for `resources.memory_accept`."""

    def take(self, settings: SessionSettings) -> None:
        """Take the limits of other settings from now on."""
        self._limit = settings.connections_per_address
        self._handshakes = TokenBuckets(settings.address_rate, settings.address_burst)

    def accept(self, descriptor: int, peer: str) -> Refusal | None:
        """Refuse a socket that the process has no room for. The kernel gives the lowest descriptor that is free."""
        if descriptor >= self._last:
            self._observer.count("connection_refused_descriptors", peer)
            self._say(
                "connections are refused: %d of %d file descriptors are in use, and the rest is kept for HTTP, the "
                "store and logs; raise `ulimit -n` (resources.descriptors_reserved)",
                self._last,
                self._descriptors,
            )
            return _no_room(
                "the central system has no room for more connections", "resources.descriptors_reserved"
            )
        if self.memory_is_short:
            self._observer.count("connection_refused_memory", peer)
            return _no_room("the central system is short of memory", "resources.memory_accept")
        return None

    def used_up(self, error: OSError) -> None:
        """Count that nothing could be accepted, for not even a reserved descriptor was left."""
        self._observer.count("accept_failed", "")
        self._say("connections wait to be accepted: %s; raise `ulimit -n`, %d now", error, self._descriptors)

    def _say(self, text: str, *args: object) -> None:
        self._log_limit.log(logger, logging.WARNING, "file descriptors", "used up", text, *args)

    def enter(self, peer: str) -> Refusal | None:
        """Count a connection of a client, and its handshake; or refuse it, which counts nothing open."""
        address, now = network_of(peer), self._clock.monotonic()
        wait_s = self._handshakes.take(address, now)
        if wait_s > 0:
            self._observer.count("connection_refused_rate", peer)
            return self._too_many(peer, "this address connects too often", wait_s, "sessions.address_rate")
        count = self._open.get(address, 0)
        if 0 < self._limit <= count:
            self._observer.count("connection_refused_address", peer)
            reason = "this address has too many connections"
            return self._too_many(peer, reason, float(RETRY_S), "sessions.connections_per_address")
        self._open[address] = count + 1
        return None

    def _too_many(self, peer: str, reason: str, wait_s: float, setting: str) -> Refusal:
        if self._security_events is not None:
            self._security_events.note(CONNECTS_TOO_OFTEN, reason, peer=peer)
        return Refusal(429, reason, (("Retry-After", str(math.ceil(wait_s))),), detail=setting)

    def leave(self, peer: str) -> None:
        """Note the end of a connection that was counted."""
        address = network_of(peer)
        count = self._open.get(address, 0) - 1
        if count > 0:
            self._open[address] = count
        else:
            self._open.pop(address, None)

    @property
    def addresses(self) -> int:
        """Number of addresses with open connections."""
        return len(self._open)


def _no_room(reason: str, setting: str) -> Refusal:
    return Refusal(503, reason, (("Retry-After", RETRY_S),), detail=setting)
