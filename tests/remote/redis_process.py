"""Real redis-server on a free port, which a test may kill, suspend, and start again."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

import gevent.socket

from ..ports import free_port

REDIS = shutil.which("redis-server")
START_S = 60.0
POLL_S = 0.01


class RedisProcess:
    """Redis server without persistence. `options` are those of its command line."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, file: Path | None = None) -> None:
        """Start the server, empty, and wait until it listens. `file` is its configuration."""
        assert REDIS is not None
        own = [] if "--port" in self._options or file else ["--port", str(self.port)]
        keep_nothing = [] if file else ["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
        command = [REDIS, *([str(file)] if file else []), *own, *keep_nothing, *self._options]
        self._process = subprocess.Popen(command, cwd=self._folder, stdout=subprocess.DEVNULL)
        ends_at = time.monotonic() + START_S
        while True:
            with gevent.socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._process.poll() is None, "redis-server has ended at once"
            assert time.monotonic() < ends_at, "redis-server does not listen"
            gevent.sleep(POLL_S)

    def kill(self) -> None:
        """Kill the server; all its data is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
