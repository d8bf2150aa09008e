"""Connections to PostgreSQL for a native thread beneath greenlets: libpq, and nothing of Python's that waits.

psycopg's own connections wait with `select`, which the host may have patched; its wrapper of libpq does not. A query
blocks in C, without the interpreter's lock. To connect must not: as psycopg wraps it, it would hold that lock while it
looks names up and while it waits. So names are looked up before, and the steps of connecting are waited for here.
"""

from __future__ import annotations

import os
import select
import time
from typing import TYPE_CHECKING, Any

from gevent.monkey import get_original  # reads what there was before; patches nothing

from ..config.errors import ChargehandError
from ..config.rendering import without_password
from .store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg.pq.abc import PGconn, PGresult

look_up = get_original("socket", "getaddrinfo")
make_poll = get_original("select", "poll")
make_socket = get_original("socket", "socket")

CONNECT_S = 3
"""Seconds that an address has to answer, unless the URL says `connect_timeout`."""

DEFAULTS: dict[str, Any] = {
    "application_name": "chargehand-store",
    "target_session_attrs": "read-write",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""Connection parameters that detect a dead server within about 11 s; those of the URL take precedence."""

MISSING = "a store at postgresql:// needs psycopg, which is not installed: pip install 'chargehand[postgres]'"

REFUSED = ("21", "22", "23", "54")
"""Classes of SQLSTATE that blame the data: of one row, not of the server."""


class QueryFailed(ChargehandError):
    """Query failed at the server or on the connection. `state` is its SQLSTATE; empty if the connection is lost."""

    def __init__(self, text: str, state: str = "") -> None:
        super().__init__(text)
        self.state = state

    @property
    def refused(self) -> bool:
        """True if the data of the query is to blame."""
        return self.state.startswith(REFUSED)


class DatabaseAddress:
    """Address of a database, from its URL. Raises `StoreError` if it is none, or if psycopg is not there."""

    def __init__(self, url: str) -> None:
        try:
            from psycopg import ProgrammingError  # noqa: PLC0415 - an extra
            from psycopg.conninfo import conninfo_to_dict, make_conninfo  # noqa: PLC0415
        except ImportError as error:
            raise StoreError(MISSING) from error
        self.shown = without_password(url)
        self._conninfo = make_conninfo
        try:
            given = conninfo_to_dict(url)
        except ProgrammingError:
            given = None
        # Outside the handler: libpq quotes the parts that it cannot parse, a password included.
        if given is None:
            raise StoreError(f"{self.shown}: not a URL as PostgreSQL has them: {_fault(self.shown)}")
        self._given: dict[str, Any] = {**DEFAULTS, **given, "client_encoding": "UTF8"}
        self._timeout_s = float(self._given.get("connect_timeout") or 0) or CONNECT_S

    def for_programs(self, application: str) -> tuple[str, dict[str, str]]:
        """Return what programs of PostgreSQL connect with: parameters, and variables with what nobody may see."""
        given = {**self._given, "application_name": application}
        password = given.pop("password", None)
        return self._conninfo("", **given), {} if password is None else {"PGPASSWORD": str(password)}

    def connect(self) -> PGconn:
        """Connect to the first address that accepts us. Raises `StoreError` with the error of each of them."""
        from psycopg import Error  # noqa: PLC0415 - an extra

        faults = []
        for name, arguments in self._hosts():
            try:
                for more in self._addresses(arguments):
                    try:
                        return self._connect(self._conninfo("", **{**self._given, **arguments, **more}))
                    except (QueryFailed, Error) as error:
                        faults.append(one_line(str(error).encode()))
            except OSError as error:
                faults.append(f"{name}: {error.strerror or error}")
            except UnicodeError as error:  # no name that anybody could have
                faults.append(f"{name}: {error}")
        raise StoreError(f"{self.shown}: {'; '.join(dict.fromkeys(faults))}")

    def _hosts(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each host of the URL by itself; libpq would look up and try them all in one step."""
        hosts = str(self._given.get("host") or "").split(",")
        if self._given.get("hostaddr"):
            yield hosts[0], {}
            return
        ports = str(self._given.get("port") or "").split(",")
        for number, host in enumerate(hosts):
            port = ports[number] if len(ports) > 1 and number < len(ports) else ports[0]
            yield host, {"host": host or None, "port": port or None}

    @staticmethod
    def _addresses(arguments: dict[str, Any]) -> list[dict[str, str]]:
        host = arguments.get("host")
        if not host or host.startswith(("/", "@")):  # a Unix socket
            return [{}]
        found = look_up(host, None, 0, 1)  # of a stream
        return [{"hostaddr": address} for address in dict.fromkeys(str(entry[4][0]) for entry in found)]

    def _connect(self, conninfo: str) -> PGconn:
        from psycopg import pq  # noqa: PLC0415 - an extra

        connection = pq.PGconn.connect_start(conninfo.encode())
        ends_at = time.monotonic() + self._timeout_s
        wanted = pq.PollingStatus.WRITING
        while wanted != pq.PollingStatus.OK:
            if connection.status == pq.ConnStatus.BAD or wanted == pq.PollingStatus.FAILED:
                text = one_line(connection.error_message)
                connection.finish()
                raise QueryFailed(text)
            poll = make_poll()
            event = select.POLLOUT if wanted == pq.PollingStatus.WRITING else select.POLLIN
            poll.register(connection.socket, event)
            if not poll.poll(max(0.0, ends_at - time.monotonic()) * 1000):
                where = connection.host.decode()
                connection.finish()
                raise QueryFailed(f"{where} did not answer within {self._timeout_s:g} s")
            wanted = pq.PollingStatus(connection.connect_poll())
        return connection


def run(connection: PGconn, text: bytes) -> PGresult:
    """Run statements that begin nowhere and give nothing; the result of the last. Raises `QueryFailed`."""
    return _judged(connection, lambda: connection.exec_(text))


def read(connection: PGconn, query: str, values: list[bytes | None]) -> list[tuple[Any, ...]]:
    """Run one statement with values for $1 and so on; its rows, numbers as int and the rest as text.

    Raises `QueryFailed`.
    """
    result = _judged(connection, lambda: connection.exec_params(query.encode(), values))
    takers = [TAKERS.get(result.ftype(column), bytes.decode) for column in range(result.nfields)]
    rows = []
    for number in range(result.ntuples):
        cells = (result.get_value(number, column) for column in range(result.nfields))
        rows.append(
            tuple(None if cell is None else take(cell) for cell, take in zip(cells, takers, strict=True))
        )
    return rows


def _number(cell: bytes) -> int | float:
    return float(cell) if b"." in cell else int(cell)


def _bytes(cell: bytes) -> bytes:
    return bytes.fromhex(cell[2:].decode())


TAKERS: dict[int, Callable[[bytes], Any]] = {20: int, 21: int, 23: int, 1700: _number, 17: _bytes}
"""Conversions of a cell by its type: int8, int2, int4, numeric and bytea; of any other its text is taken."""


def literal(connection: PGconn, text: bytes) -> bytes:
    """Quote a text so that it can stand in a statement."""
    from psycopg import pq  # noqa: PLC0415 - an extra

    return bytes(pq.Escaping(connection).escape_literal(text))


def lost(connection: PGconn) -> bool:
    """Return whether a connection is lost."""
    from psycopg import pq  # noqa: PLC0415 - an extra

    return bool(connection.status == pq.ConnStatus.BAD)


def _judged(connection: PGconn, execute: Callable[[], PGresult]) -> PGresult:
    from psycopg import Error, pq  # noqa: PLC0415 - an extra

    try:
        result = execute()
    except Error as error:  # the connection was lost before
        raise QueryFailed(one_line(str(error).encode())) from error
    if result.status not in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK):
        state = result.error_field(pq.DiagnosticField.SQLSTATE)
        text = one_line(result.error_message) or one_line(connection.error_message)
        raise QueryFailed(text or "the connection is lost", (state or b"").decode())
    return result


class ResponseTimeout:
    """Ends a connection whose server has been silent for too long: a thread that waits for it in C gets an error then.

    The thread arms it while it waits, the hub fires it. `lock` is a native one, which the hub never waits for.
    """

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self._number = -1  # of the socket that is waited for
        self._since = 0.0

    def hold(self, connection: PGconn) -> None:
        """Begin to wait for a connection. In the thread."""
        self._since = time.monotonic()
        self._number = connection.socket if not lost(connection) else -1

    def let_go(self) -> None:
        """End it; the connection may be closed then. In the thread."""
        with self._lock:
            self._number = -1

    def pull(self, longer_than_s: float) -> None:
        """End a wait that is longer. In the hub."""
        if self._number >= 0 and time.monotonic() - self._since > longer_than_s and self._lock.acquire(False):  # noqa: FBT003
            try:
                if self._number >= 0:
                    with make_socket(fileno=os.dup(self._number)) as other:
                        other.shutdown(2)
                    self._number = -1
            except OSError:
                self._number = -1  # it has ended meanwhile
            finally:
                self._lock.release()


def one_line(text: bytes) -> str:
    """Write libpq's message in one line."""
    return " ".join(text.decode("utf-8", "replace").split())


def _fault(shown: str) -> str:
    """Return libpq's complaint about a URL whose password is already masked."""
    from psycopg import ProgrammingError  # noqa: PLC0415 - an extra
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    try:
        conninfo_to_dict(shown)
    except ProgrammingError as error:
        return " ".join(str(error).split())
    return "what is special in a password must be written as %40 and the like"
