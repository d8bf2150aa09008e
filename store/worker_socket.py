"""Store of a worker process: its database is a socket to the store server.

A batch is one request, and so is a read; each is waited for, in the writer's thread and with a plain blocking socket. A
frame is a message in MessagePack, with its length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
from gevent.monkey import get_original  # reads what there was before; patches nothing

from ..protocol import framing
from ..protocol.framing import FrameReader, FrameTooLong
from .copying import Copy
from .durable import LARGEST_ID
from .rows import Kind, Row
from .search import FACT_IN_SQLITE, SORTED_READINGS
from .shared import REMOVALS_KEPT_S, SharedStore
from .sizes import Measurement
from .sqlite import NOW
from .store import RowRefused, StoreError
from .writer import RowsLeftOut

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .event_bounds import EventBounds
    from .records import StoreSize, Tag
    from .writer import Threads

new_socket: Callable[..., socket.socket] = get_original("socket", "socket")
"""Makes a socket that blocks a native thread, whether the host has patched sockets or not."""
AF_UNIX = 1

REQUEST_BYTES = 16 * 1024 * 1024
"""Rows of one request; a single row may be larger. A larger batch is several requests, one after the other."""
LARGEST_REQUEST_BYTES = 8 * REQUEST_BYTES
"""Bytes of a request over which its connection is closed: no worker sends such."""
ANSWER_BYTES = framing.LARGEST_BYTES
"""Longest answer in bytes: a query may find everything."""
READ_BYTES = 65_536
ANSWER_S = 60.0
"""Seconds that the other process has to answer; then the outcome is unknown, and all of it is written again."""


class Write(msgspec.Struct, frozen=True, array_like=True, tag="write", gc=False):
    """Rows to be stored, by kind."""

    rows: list[tuple[Kind, list[Row]]]


class Read(msgspec.Struct, frozen=True, array_like=True, tag="read", gc=False):
    """Query, with the values for its question marks."""

    query: str
    values: list[Any]


LeftOut = tuple[Kind, int, bool, str]


class Written(msgspec.Struct, frozen=True, array_like=True, tag="written", gc=False):
    """Answer to a write: all is durable but these: kind, place among the rows of the kind, whether it passes, why."""

    left_out: list[LeftOut]


class RowsFound(msgspec.Struct, frozen=True, array_like=True, tag="found", gc=False):
    """Rows that a query found."""

    rows: list[list[Any]]


class ReadFailed(msgspec.Struct, frozen=True, array_like=True, tag="failed", gc=False):
    """Answer to a read that failed; the text says why."""

    text: str


Request = Write | Read
Answer = Written | RowsFound | ReadFailed

_encode = msgspec.msgpack.Encoder().encode
_decode_answer: Callable[[bytes], Answer] = msgspec.msgpack.Decoder(Answer).decode


def frame_answer(message: Answer) -> bytes:
    """Encode an answer as a frame. Raises `FrameTooLong`."""
    return framing.frame(_encode(message), ANSWER_BYTES)


class WorkerDatabase:
    """Connection to the store server, for the writer's thread. Raises `StoreError` if there is none at first."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._rows: dict[Kind, list[Row]] = {}
        self._connect()

    def _connect(self) -> socket.socket:
        connection = new_socket(AF_UNIX)
        try:
            connection.settimeout(ANSWER_S)
            connection.connect(self._path)
        except OSError as error:
            connection.close()
            raise StoreError(f"the process that writes cannot be reached: {error}") from error
        self._socket = connection
        return connection

    def begin(self) -> None:
        """Begin a transaction."""
        self._rows = {}

    def write(self, kind: Kind, rows: Sequence[Row]) -> None:
        """Write rows of one kind, all or none.

        Raises `StoreError` if one is refused, anything else if it fails. Nothing is sent before `commit`, which tells
        of rows that were refused.
        """
        if kind is not Kind.BARRIER:
            self._rows.setdefault(kind, []).extend(rows)

    def commit(self) -> None:
        """Make the transaction durable, or raise; `RowsLeftOut` if some rows are durable and some are not."""
        rows, self._rows = self._rows, {}
        errors: dict[tuple[Kind, int], StoreError] = {}
        for first, request in _requests(rows):
            answer = self._ask(request)
            if not isinstance(answer, Written):
                self._fail("it has answered something else")
            for kind, place, passing, text in answer.left_out:
                error = StoreError(text) if passing else RowRefused(text)
                errors[kind, first.get(kind, 0) + place] = error
        if errors:
            raise RowsLeftOut(errors)

    def roll_back(self) -> None:
        """Roll the transaction back. Must not raise."""
        self._rows = {}

    def read(self, query: str, values: Sequence[Any]) -> list[Any]:
        """Read rows, outside a transaction. Raises `StoreError`."""
        answer = self._ask(_encode(Read(query, list(values))))
        if isinstance(answer, ReadFailed):
            raise StoreError(answer.text)
        if not isinstance(answer, RowsFound):
            self._fail("it has answered something else")
        return answer.rows

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, request: bytes) -> Answer:
        connection = self._socket or self._connect()
        try:
            connection.sendall(framing.frame(request, LARGEST_REQUEST_BYTES))
            return _decode_answer(self._receive(connection))
        except (OSError, FrameTooLong, msgspec.MsgspecError) as error:
            self._fail(str(error) or type(error).__name__)

    def _fail(self, why: str) -> NoReturn:
        """Close the connection and raise: a late answer must not be taken for another request's."""
        self.close()
        raise StoreError(f"the process that writes does not answer: {why}")

    @staticmethod
    def _receive(connection: socket.socket) -> bytes:
        # Each answer has a reader of its own: nothing that came with one is ever taken for the next.
        reader = FrameReader(ANSWER_BYTES)
        answers: list[bytes] = []
        while not answers:
            data = connection.recv(READ_BYTES)
            if not data:
                raise OSError("the store server has closed the connection")
            answers = reader.receive(data)
        if len(answers) > 1 or reader.waiting_bytes:
            raise OSError("the store server has sent more than one answer")
        return answers[0]


def _requests(rows: dict[Kind, list[Row]]) -> Iterator[tuple[dict[Kind, int], bytes]]:
    """Requests that are not much larger than they should be, each with the place of its first row of each kind."""
    if not rows:
        return
    request = _encode(Write(list(rows.items())))
    if len(request) <= REQUEST_BYTES:
        yield {}, request
        return
    first: dict[Kind, int] = {}
    some: list[tuple[Kind, list[Row]]] = []
    size = 0
    for kind, all_of_kind in rows.items():
        for place, row in enumerate(all_of_kind):
            more = len(_encode(row))
            if size and size + more > REQUEST_BYTES:
                yield first, _encode(Write(some))
                first, some, size = {}, [], 0
            if kind not in first:
                first[kind] = place
                some.append((kind, []))
            some[-1][1].append(row)
            size += more
    yield first, _encode(Write(some))


class WorkerStore(SharedStore):
    """Store of a worker process, behind a Unix socket.

    Made with `open`. The other process has SQLite, so the statements are SQLite's.
    """

    _file = ""
    fact = FACT_IN_SQLITE
    readings_by_time = SORTED_READINGS
    reserve = f"""
        UPDATE ids SET next = max(
            next, ?,
            1 + ifnull((SELECT max(id) FROM transactions), 0),
            1 + ifnull((SELECT max(transaction_id) FROM spool WHERE transaction_id <= {LARGEST_ID}), 0)
        ) + ? WHERE name = 'transaction' RETURNING next
    """  # noqa: S608 - a constant
    stored = (
        "SELECT id, stop_received_at IS NOT NULL FROM transactions "
        "WHERE id IN (SELECT value FROM json_each('[' || replace(?, ' ', ',') || ']'))"
    )
    purge = f"DELETE FROM books WHERE removed_at < {NOW} - {REMOVALS_KEPT_S}"  # noqa: S608 - constants

    @classmethod
    def open(
        cls,
        path: str,
        threads: Threads,
        *,
        first_transaction_id: int = 1,
        tags: Iterable[Tag] = (),
        bounds: EventBounds | None = None,
        origin: str = "",
        file: str = "",
    ) -> WorkerStore:
        """Connect to the socket; switches greenlets. `tags` are those of the settings, `file` is the other process's.

        Raises `StoreError` with one clear sentence.
        """
        store = cls(
            lambda: WorkerDatabase(path),
            threads,
            first_transaction_id=first_transaction_id,
            bounds=bounds,
            origin=origin,
        )
        store._file = file
        store.load(tags)
        return store

    def backup(self, path: str) -> None:
        """Write a consistent copy of everything into a new file, for its owner's eyes alone; switches greenlets."""
        if not self._file:
            super().backup(path)
        self._ask("SELECT 1")  # behind all that this process has appended before
        Copy(self._file, path).make()

    def measure(self) -> StoreSize | None:
        """Find out how large the store is, in another thread; switches greenlets."""
        return Measurement(self._file).make() if self._file else None
