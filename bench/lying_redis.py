"""Redis that lies: a proxy in front of a real one, which answers the truth until it is told to lie.

Lies: answers of the wrong type, nonsense, answers that nobody asked for, silence, a connection that ends at once, an
answer that does not end, and errors.
"""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import gevent.socket
from gevent.server import StreamServer

from chargehand.tests.ports import free_port

REDIS = shutil.which("redis-server")
START_S = 120.0
READ_BYTES = 65_536
LIES = ("types", "nonsense", "unasked", "errors", "endless", "ends", "silence")
WRONG = (
    b":-1\r\n",
    b"*3\r\n:1\r\n$-1\r\n+x\r\n",
    b"$-1\r\n",
    b"+OK\r\n",
    b"$3\r\n\xff\x00\xfe\r\n",
    b"*0\r\n",
    b"*-1\r\n",
)


def missing() -> str:
    """Return why there is no Redis here; "" if there is one."""
    return "" if REDIS is not None else "skipped: there is no redis-server"


class Liar:
    """Proxy that lies for a while."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._lie = ""
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()
        self.url = f"redis://127.0.0.1:{self._server.server_port}/0"
        self._number = 0
        self.told = 0
        self.sent_mib = 0.0

    def lie(self, seconds: float) -> dict[str, float]:
        """Tell each lie for a share of the time, then the truth again; return what was told."""
        for lie in LIES:
            self._lie = lie
            gevent.sleep(seconds / len(LIES))
        self._lie = ""
        return {"lies": self.told, "MiB of an endless answer": round(self.sent_mib)}

    def close(self) -> None:
        """Stop."""
        self._server.stop(timeout=0)

    def _serve(self, sock: gevent.socket.socket, _: object) -> None:
        with contextlib.suppress(OSError):
            there = gevent.socket.create_connection(self._to)
            back = gevent.spawn(self._back, there, sock)
            try:
                while data := sock.recv(READ_BYTES):
                    if not self._lie:
                        there.sendall(data)
                    elif not self._answer(sock, data):
                        return
            finally:
                back.kill()
                there.close()
                sock.close()

    def _back(self, there: gevent.socket.socket, sock: gevent.socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := there.recv(READ_BYTES):
                sock.sendall(data)
            sock.close()

    def _answer(self, sock: gevent.socket.socket, data: bytes) -> bool:
        """Answer with a lie; return false to end the connection."""
        self.told += 1
        commands = max(1, data.count(b"\r\n*") + data.startswith(b"*"))
        match self._lie:
            case "types":
                for _ in range(commands):
                    self._number += 1
                    sock.sendall(WRONG[self._number % len(WRONG)])
            case "nonsense":
                sock.sendall(b"\x00\xff?what\r\n" * 10)
            case "unasked":
                sock.sendall(b"+OK\r\n" * (commands + 5))
            case "ends":
                return False
            case "endless":
                sock.sendall(b"$536870912\r\n")
                while self._lie == "endless":
                    sock.sendall(b"x" * 1_048_576)
                    self.sent_mib += 1
                return False
            case "errors":
                sock.sendall(b"-ERR no\r\n" * commands)
        return True


@contextlib.contextmanager
def liar(folder: Path) -> Iterator[Liar]:
    """Run a Redis without persistence, with a proxy in front."""
    assert REDIS is not None
    port = free_port()
    options = ["--port", str(port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
    process = subprocess.Popen([REDIS, *options], cwd=folder, stdout=subprocess.DEVNULL)
    proxy = None
    try:
        ends_at = time.monotonic() + START_S
        while time.monotonic() < ends_at:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            gevent.sleep(0.05)
        proxy = Liar(port)
        yield proxy
    finally:
        if proxy is not None:
            proxy.close()
        process.kill()
        process.wait()
