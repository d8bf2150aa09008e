"""Seal of messages between nodes: a code of authentication over what is said, by whom, to whom, and in which order.

Whoever may write to Redis could otherwise command every charge point. A sealed message counts once, for its receiver
only: names of nodes are new at each start, and the numbers of a sender rise. Contents can be read by whoever may read
Redis; TLS and access rules keep those away.
"""

from __future__ import annotations

import time
from hashlib import blake2b
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

from ...config.errors import ChargehandError

if TYPE_CHECKING:
    from collections.abc import Callable

MARK: Final = b"\xc1s1"  # no message begins so: MessagePack never uses its first byte
NUMBER_BYTES, CODE_BYTES = 8, 32
SEAL_BYTES: Final = len(MARK) + NUMBER_BYTES + CODE_BYTES
"""Bytes that a seal adds to a message."""
SENDERS_LIMIT: Final = 10_000
"""Senders whose last numbers are kept; of more the one that was silent for longest is forgotten."""


class SealBroken(ChargehandError):
    """Message that no node with the same secret has sent to this one, or that was sent before."""


class Seal:
    """Seal of one node's messages by a shared secret; with an empty one messages are sent, and taken, as they are."""

    def __init__(self, secret: str, node: str, clock: Callable[[], int] = time.time_ns) -> None:
        self._node = node.encode()
        self._key = blake2b(secret.encode(), digest_size=64, person=b"chargehand-nodes").digest()
        self._sealed = bool(secret)
        self._clock = clock
        self._number = 0
        self._last: dict[str, int] = {}  # by sender, the last heard one last

    def seal(self, receiver: str, message: bytes) -> bytes:
        """Seal a message to a node."""
        if not self._sealed:
            return message
        self._number = max(self._number + 1, self._clock())
        number = self._number.to_bytes(NUMBER_BYTES, "big")
        return b"".join((MARK, number, self._code(self._node, receiver.encode(), number, message), message))

    def open(self, sender: str, data: bytes) -> bytes:
        """Return the message of a sender. Raises `SealBroken`."""
        marked = data.startswith(MARK)
        if not self._sealed:
            if marked:
                raise SealBroken("it is sealed, and redis.secret is empty here")
            return data
        if not marked or len(data) < SEAL_BYTES:
            raise SealBroken("it has no seal (redis.secret)")
        number_at, code_at = len(MARK), len(MARK) + NUMBER_BYTES
        number, code, message = data[number_at:code_at], data[code_at:SEAL_BYTES], data[SEAL_BYTES:]
        wanted = self._code(sender.encode("utf-8", "replace"), self._node, number, message)
        if not compare_digest(code, wanted):
            raise SealBroken("its seal is broken: another secret (redis.secret), or no node has sent it")
        count = int.from_bytes(number, "big")
        if count <= self._last.get(sender, 0):
            raise SealBroken("it was sent before")
        self._last.pop(sender, None)
        self._last[sender] = count
        if len(self._last) > SENDERS_LIMIT:
            del self._last[next(iter(self._last))]
        return message

    def _code(self, *parts: bytes) -> bytes:
        state = blake2b(key=self._key, digest_size=CODE_BYTES)
        for part in parts:
            state.update(len(part).to_bytes(8, "big"))
            state.update(part)
        return state.digest()
