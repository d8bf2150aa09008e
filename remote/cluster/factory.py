"""Which coordinator a process has: that of Redis, that of the parent whose worker it is, or none."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from ..redis.address import Address
from .redis_coordinator import RedisCoordinator
from .unix_coordinator import UnixCoordinator

if TYPE_CHECKING:
    from ...actors.runtime.timers import Clock
    from ...config.settings import RedisSettings
    from .coordinator import Coordinator


def node_name(begins: str = "") -> str:
    """A name for this process, new at each call: `begins` or the host's name, and what no other has."""
    return f"{begins or socket.gethostname()}-{os.getpid()}-{os.urandom(4).hex()}"


def open_coordinator(redis: RedisSettings, coordinator_server: str, clock: Clock) -> Coordinator | None:
    """Make it; `coordinator_server` is the path of the parent's socket. Raises `AddressError` for a wrong `redis.url`.

    With Redis the workers of one machine are nodes like any others.
    """
    name = node_name(redis.node)
    if redis.url:
        return RedisCoordinator(
            Address(redis.url), redis.prefix, name, clock, stream_limit=redis.stream_limit
        )
    return UnixCoordinator(coordinator_server, name, clock) if coordinator_server else None
