"""Private PostgreSQL server for tests and benchmarks: in a folder, on a free port of loopback, removed when closed.

Of an installed server only the programs are used. PostgreSQL refuses to run as root; then it runs as another user.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .ports import free_port

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

PROGRAMS = "/usr/lib/postgresql/*/bin"
"""Folders of PostgreSQL in Debian; elsewhere its programs are found by the PATH."""
USERS = ("postgres", "nobody")
LIMIT_S = 120.0


class NoPostgres(Exception):
    """Reason why no PostgreSQL can be started here."""


def find_programs() -> Path:
    """Return the folder of initdb, pg_ctl and postgres of the newest version. Raises `NoPostgres`."""
    for folder in sorted(Path("/").glob(PROGRAMS[1:]), key=_version, reverse=True):
        if (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    if found is None:
        raise NoPostgres(f"no PostgreSQL is installed: there is no initdb in {PROGRAMS} nor on the PATH")
    return Path(found).resolve().parent


def _version(folder: Path) -> float:
    try:
        return float(folder.parent.name)
    except ValueError:
        return 0.0


class PostgresProcess:
    """Running server with an empty database. Close it, or use it as a context manager. Raises `NoPostgres`.

    With `fsync` off it is faster, and loses data when the machine itself fails.
    """

    def __init__(self, *, fsync: bool = False) -> None:
        self._programs = find_programs()
        self._user = _user()
        self.folder = Path(tempfile.mkdtemp(prefix="chargehand-postgres-"))
        try:
            if self._user is not None:
                os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
            self.port = free_port()
            self._options = f"-c fsync={'on' if fsync else 'off'} -c listen_addresses=127.0.0.1"
            self._run(
                "initdb",
                "--auth=trust",
                "--username=chargehand",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            )
            self.start()
        except (OSError, subprocess.SubprocessError) as error:
            self.close()
            raise NoPostgres(f"PostgreSQL could not be started: {error}") from error

    @property
    def url(self) -> str:
        """URL of its database."""
        return f"postgresql://chargehand@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        """Process id of the server's first process."""
        return int((self._data / "postmaster.pid").read_text().split("\n")[0])

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        """Start the server on the same port with the same data; return when it accepts connections."""
        log, options = str(self.folder / "log"), f"{self._options} -p {self.port} -k {self.folder}"
        self._run("pg_ctl", "-w", "-s", "-l", log, "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server: "fast" as an operator does, "immediate" as if its machine had failed."""
        self._run("pg_ctl", "-w", "-s", "-m", mode, "stop")

    def freeze(self) -> None:
        """Suspend the server's processes, with open sockets, until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the suspended processes go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        first = self.pid
        for entry in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parent = int(entry.read_text(errors="replace").rpartition(")")[2].split()[1])
                if first in (parent, int(entry.parent.name)):
                    os.kill(int(entry.parent.name), number)

    def clear(self) -> None:
        """Remove everything that chargehand has made in the database."""
        self.sql("DROP SCHEMA IF EXISTS chargehand CASCADE")

    def sql(self, statement: str) -> str:
        """Run a statement as the database's owner; return the output of psql: columns separated by |, no headings."""
        return self._run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement, self.url).strip()

    def close(self) -> None:
        """End the server, and remove its folder."""
        with contextlib.suppress(OSError, subprocess.SubprocessError, ValueError):
            self.thaw()
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, program: str, *arguments: str) -> str:
        user: dict[str, Any] = {}
        if self._user is not None:
            user = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            cwd=self.folder,
            env={"PGDATA": str(self._data), "PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if program == "psql" else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL
            if program == "pg_ctl"
            else subprocess.PIPE,  # its server would hold a pipe open
            text=True,
            timeout=LIMIT_S,
            check=False,
            **user,
        )
        if done.returncode:
            log = self.folder / "log"
            said = done.stderr or (log.read_text(errors="replace")[-500:] if log.exists() else "")
            raise subprocess.SubprocessError(f"{program} ended with {done.returncode}: {said.strip()}")
        return done.stdout or ""


def _user() -> pwd.struct_passwd | None:
    """Choose the user to run PostgreSQL as; None for the present one."""
    if os.geteuid() != 0:
        return None
    for name in USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoPostgres(f"PostgreSQL refuses root, and there is no user {' or '.join(USERS)}")
