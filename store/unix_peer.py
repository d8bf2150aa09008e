"""User at the other end of a Unix socket: the file's mode keeps others out, and this says that it did."""

from __future__ import annotations

import os
import socket
import struct
from typing import Any

_CREDENTIALS = struct.Struct("3i")  # process, user, group: struct ucred of Linux
ROOT = 0


def refused_peer(sock: Any) -> str:
    """Return why the other end may not connect; "" if it is of our own user, of root, or cannot be known here."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return ""
    _, user, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    return "" if user in (ROOT, os.geteuid()) else f"it is of the user {user}, not of {os.geteuid()}"
