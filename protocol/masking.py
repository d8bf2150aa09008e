"""Masking of WebSocket payloads, and the keys for it (RFC 6455, section 5.3).

The one rule: the same XOR whichever way it is computed. The C extension of websockets does it. Without it big
integers do, several times as slow. It never loops over bytes.
"""

import os
from collections.abc import Callable

KEY_BYTES = 4
BATCH_KEYS = 256

_keys: list[bytes] = []
# A forked process must not mask with the keys that its parent still has in stock.
os.register_at_fork(after_in_child=_keys.clear)


def fresh_key() -> bytes:
    """Return four unpredictable bytes, new ones for every frame of a client. Safe from any thread.

    They come from the system's random source in batches: a call for each would cost as much as the masking.
    """
    while True:
        try:
            return _keys.pop()
        except IndexError:
            batch = os.urandom(KEY_BYTES * BATCH_KEYS)
            _keys.extend(batch[at : at + KEY_BYTES] for at in range(0, len(batch), KEY_BYTES))


def mask_by_integers(payload: bytes, key: bytes) -> bytes:
    """Return `payload` masked with the four bytes of `key`; the same call unmasks. Pure Python."""
    size = len(payload)
    keys = (key * (size // KEY_BYTES + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(keys, "little")).to_bytes(size, "little")


def choose_mask() -> Callable[[bytes, bytes], bytes]:
    """Return the fastest way of masking that this installation has. It takes the payload, then the key."""
    try:
        from websockets.speedups import apply_mask  # noqa: PLC0415
    except ImportError:  # it is compiled: a platform without a wheel and without a compiler has none
        return mask_by_integers
    return apply_mask


mask = choose_mask()
