"""Store server: the process that writes the SQLite file for all worker processes.

A native thread owns the sockets and the database; nothing of it runs in the hub. Rows that arrive from any worker
process while the last batch is written, and within `COMMIT_WINDOW_S` of its start, form the next batch and share a
commit: two workers cost no more waits for the disk than one.
"""

from __future__ import annotations

import contextlib
import os
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec
from gevent import get_hub
from gevent.event import AsyncResult
from gevent.monkey import get_original  # reads what there was before; patches nothing

from ..protocol.framing import FrameReader, FrameTooLong
from .unix_peer import refused_peer
from .worker_socket import (
    AF_UNIX,
    LARGEST_REQUEST_BYTES,
    Answer,
    LeftOut,
    Read,
    ReadFailed,
    Request,
    RowsFound,
    Write,
    Written,
    frame_answer,
    new_socket,
)
from .writer import COMMIT_WINDOW_S, store_rows

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from .rows import Kind, Row
    from .writer import Database, Threads

new_poll: Callable[[], Any] = get_original("select", "poll")
READABLE, WRITABLE = 1, 4  # POSIX's POLLIN and POLLOUT

READ_BYTES = 262_144

_decode_request: Callable[[bytes], Request] = msgspec.msgpack.Decoder(Request).decode


class WorkerConnection:
    """Connection of a worker process: part of its next request, and what it has not taken yet of an answer."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.number: int = sock.fileno()
        self.gone = False
        self._reader = FrameReader(LARGEST_REQUEST_BYTES)
        self._outbox = bytearray()

    def receive(self) -> list[Request]:
        """Read the socket; return the requests that are whole now.

        Raises OSError, EOFError at the end, and `FrameTooLong` or `MsgspecError` for an invalid request.
        """
        data = self.sock.recv(READ_BYTES)
        if not data:
            raise EOFError
        return [_decode_request(message) for message in self._reader.receive(data)]

    def send(self, answer: Answer) -> bool:
        """Send what the socket takes; false if something is left for `flush`. Raises OSError, `FrameTooLong`."""
        self._outbox += frame_answer(answer)
        return self.flush()

    def flush(self) -> bool:
        """Send what is left, as far as the socket takes it; true if that was all. Raises OSError."""
        with contextlib.suppress(BlockingIOError):
            while self._outbox:
                sent = self.sock.send(self._outbox)
                del self._outbox[:sent]
        return not self._outbox


class StoreServer:
    """Writer of the SQLite file for the worker processes.

    `open_` makes the database, in the thread; `path` is a Unix socket, made again.

    `failed(error)` is called in the hub if the thread ends by itself, which is a fault of ours.
    """

    def __init__(
        self,
        path: str,
        open_: Callable[[], Database],
        threads: Threads,
        *,
        failed: Callable[[Exception], None],
    ) -> None:
        self._path = path
        self._open = open_
        self._threads = threads
        self._failed = failed
        self._failure: Exception | None = None
        self._connections: dict[int, WorkerConnection] = {}
        self._poll: Any = new_poll()
        self._stopping = False
        self._ended = threads.native_lock()
        self._ended.acquire()
        self._opened: AsyncResult[None] = AsyncResult()
        self._back: Any = None

    def start(self) -> None:
        """Open the database and listen; switches greenlets. Raises what went wrong."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)  # noqa: PTH108 - one that was killed has left it
        self._listener = new_socket(AF_UNIX)
        self._wakes, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._back = get_hub().loop.async_()
        self._back.start(self._told)
        opened = False
        try:
            self._listener.bind(self._path)
            os.chmod(self._path, 0o600)  # noqa: PTH101 - before anybody can connect
            self._listener.setblocking(False)  # noqa: FBT003 - the socket's own
            self._listener.listen()
            self._threads.start_native_thread(self._run, ())
            self._opened.get()
            opened = True
        finally:
            if not opened:
                self._let_go()

    def stop(self) -> None:
        """Close all connections and the database. Blocks the hub until the current batch is written."""
        if self._back is None or self._stopping:
            return
        self._stopping = True
        os.write(self._wake, b"\0")
        self._ended.acquire()
        self._let_go()

    def _let_go(self) -> None:
        self._stopping = True
        self._back.stop()
        self._back.close()
        self._listener.close()
        os.close(self._wake)
        os.close(self._wakes)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)  # noqa: PTH108 - text, as it was given

    def _told(self) -> None:
        """Take note, in the hub, that the thread has opened the database, or ended."""
        error = self._failure
        if self._opened.ready():
            if error is not None and not self._stopping:
                self._failed(error)
        elif error is not None:
            self._opened.set_exception(error)
        else:
            self._opened.set(None)

    # -- In the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        database: Database | None = None
        try:
            database = self._open()
            self._back.send()
            self._serve(database)
        except Exception as error:  # noqa: BLE001 - whatever it is, the hub is told
            self._failure = error
        finally:
            for connection in list(self._connections.values()):
                self._drop(connection)
            if database is not None:
                database.close()
            if self._failure is not None:
                self._back.send()
            self._ended.release()

    def _serve(self, database: Database) -> None:
        poll, listener = self._poll, self._listener.fileno()
        poll.register(listener, READABLE)
        poll.register(self._wakes, READABLE)
        asked: list[tuple[WorkerConnection, Request]] = []
        begun_at = 0.0
        while not self._stopping:
            left_s = begun_at + COMMIT_WINDOW_S - monotonic()
            for number, events in poll.poll(1000 * max(left_s, 0.0) if asked else None):
                if number == listener:
                    self._accept()
                elif number in self._connections:
                    connection = self._connections[number]
                    asked += ((connection, request) for request in self._hear(connection, events))
            # Rows of several workers are gathered, as each has gathered its own; who asks something does not wait.
            gathered = begun_at + COMMIT_WINDOW_S <= monotonic() or any(type(one) is Read for _, one in asked)
            if asked and gathered:
                begun_at = monotonic()
                self._answer(database, asked)
                asked = []

    def _accept(self) -> None:
        with contextlib.suppress(
            OSError
        ):  # the worker has left again, or no descriptor is free: it tries again
            sock, _ = self._listener.accept()
            if refused_peer(sock):
                sock.close()
                return
            sock.setblocking(False)  # noqa: FBT003 - the socket's own
            connection = WorkerConnection(sock)
            self._connections[connection.number] = connection
            self._poll.register(connection.number, READABLE)

    def _drop(self, connection: WorkerConnection) -> None:
        with contextlib.suppress(KeyError):  # it is not watched any more
            self._poll.unregister(connection.number)
        del self._connections[connection.number]
        connection.gone = True
        connection.sock.close()

    def _hear(self, connection: WorkerConnection, events: int) -> Iterator[Request]:
        """Read a worker process's requests; none while it has not taken an answer."""
        try:
            if events & WRITABLE:
                if connection.flush():
                    self._poll.register(connection.number, READABLE)
                return
            requests = connection.receive()
        except BlockingIOError:
            return
        except (OSError, EOFError, FrameTooLong, msgspec.MsgspecError):
            self._drop(connection)
            return
        yield from requests

    def _answer(self, database: Database, asked: list[tuple[WorkerConnection, Request]]) -> None:
        writes = [(connection, request) for connection, request in asked if isinstance(request, Write)]
        for connection, left_out in _store(database, writes).items():
            self._send(connection, Written(left_out))
        for connection, request in asked:
            if isinstance(request, Read):
                self._send(connection, _read(database, request))

    def _send(self, connection: WorkerConnection, answer: Answer) -> None:
        if connection.gone:  # it has ended since it asked; its rows are stored
            return
        try:
            if not connection.send(answer):
                self._poll.register(connection.number, WRITABLE)
        except (OSError, FrameTooLong):
            self._drop(connection)


def _store(
    database: Database, writes: list[tuple[WorkerConnection, Write]]
) -> dict[WorkerConnection, list[LeftOut]]:
    """Write the rows of all worker processes as one batch; return what was left out, by connection."""
    rows: dict[Kind, list[Row]] = {}
    owners: dict[Kind, list[tuple[int, WorkerConnection]]] = {}  # whose rows begin where
    for connection, request in writes:
        for kind, some in request.rows:
            owners.setdefault(kind, []).append((len(rows.setdefault(kind, [])), connection))
            rows[kind] += some
    left_out: dict[WorkerConnection, list[LeftOut]] = {connection: [] for connection, _ in writes}
    for (kind, place), error in (store_rows(database, rows) if rows else {}).items():
        first, connection = next(owner for owner in reversed(owners[kind]) if owner[0] <= place)
        left_out[connection].append((kind, place - first, error.passing, _text(error)))
    return left_out


def _read(database: Database, request: Read) -> Answer:
    try:
        return RowsFound([list(row) for row in database.read(request.query, request.values)])
    except Exception as error:  # noqa: BLE001 - the worker process is told
        return ReadFailed(_text(error))


def _text(error: Exception) -> str:
    return str(error).encode("utf-8", "backslashreplace").decode()
