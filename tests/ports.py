"""Ports for servers of tests and benchmarks that must know their port before they start.

Each port is handed out once to all processes of the user, until the range has been used up. The range is below that of
the ports that the system chooses, so no connection of anybody takes one between two starts of a server.
"""

import fcntl
import os
import socket
import tempfile
from pathlib import Path

FIRST, LAST = 12_000, 32_000


def free_port() -> int:
    """Return a port of loopback that nothing listens on, and that no other test is given."""
    path = Path(tempfile.gettempdir()) / f"chargehand-ports-{os.getuid()}"
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        said = file.read()
        port = int(said) if said.isdecimal() else FIRST
        for _ in range(FIRST, LAST):
            port = port + 1 if FIRST <= port < LAST else FIRST
            if _can_listen(port):
                break
        else:
            raise OSError(f"no port between {FIRST} and {LAST} is free")
        file.seek(0)
        file.truncate()
        file.write(str(port))
    return port


def _can_listen(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
