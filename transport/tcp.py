"""What the kernel knows of a peer that we do not read from: whether it has ended, and whether it acknowledges."""

from __future__ import annotations

import socket
import struct
import sys
from typing import Any

ESTABLISHED = 1  # linux/tcp_states.h
_INFO = struct.Struct("=B x B 53x I")
"""Of linux/tcp.h's `tcp_info`: the state, how often what waits for its acknowledgement was sent again, and the
milliseconds since the last one came."""

TICK_S = 0.01
"""The kernel's clock may be as far behind."""


def peer_is_gone(sock: Any, silent_s: float) -> bool:
    """Whether the peer has ended the stream, or leaves unacknowledged what it was sent `silent_s` ago.

    Only Linux tells; elsewhere no peer is gone.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
        state, sent_again, acknowledged_ms = _INFO.unpack(info)
    except (OSError, ValueError, struct.error):
        return False  # closed under our hands, or no TCP at all: whoever reads or writes next hears of it
    silent = sent_again > 0 and acknowledged_ms / 1000 >= silent_s - TICK_S
    return silent or bool(state != ESTABLISHED)
