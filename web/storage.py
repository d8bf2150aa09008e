"""The spool with its dead letters, and the backup of the store's file.

A backup is first made whole beside the file, so what is sent is one moment, however slow its receiver is. Its name is
removed before the first byte is sent: nothing is left of it when this process is killed then.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import falcon
import msgspec
from gevent import get_hub

from ..store.store import NoBackup, StoreError
from ..system.by_hand import DeadLetterNotFound
from ..system.durable_events import RETRY_S, ConsumerElsewhere, EventNotDelivered
from .event_views import DeadEvent, dead_event
from .operations import NOT_STORED, Parameter, limit, operation
from .requests import Problem, Query
from .resources import DEFAULT_LIMIT, INNER, MAX_LIMIT, Resource, answer, viewed
from .siblings import OK, problem_of, replies_to
from .transaction_views import SpooledView, spooled
from .views import View

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    import falcon

    from ..system.central_system import CentralSystem
    from .requests import Stop

logger = logging.getLogger(__name__)


class SpoolPage(View):
    """Messages that wait, the oldest first, and a page of dead letters; `next` is the number behind which it goes on.

    `dead_events` are events that their consumer could not take; they have numbers of their own.
    """

    waiting: list[SpooledView]
    dead_letters: list[SpooledView]
    dead_events: list[DeadEvent]
    more: bool
    next: int | None


class Retried(View):
    """Numbers of the messages that wait again."""

    retried: list[int]


class RetriedEvent(View):
    """Number of the dead event that was delivered."""

    retried: int


class ForgottenEvent(View):
    """Number of the dead event that was forgotten."""

    forgotten: int


NUMBER_BEHIND = Parameter("after", Annotated[int, msgspec.Meta(ge=0)], "`next` of the page before", 0)


class SpoolResource(Resource):
    """`/api/v1/spool`; with `/retry` and `/{number}/retry` dead letters are redelivered."""

    @operation("getSpool", "spool", query=(NUMBER_BEHIND, limit()), answer=SpoolPage)
    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """List the messages that wait for redelivery, and the dead letters; the oldest first.

        `after` is the number behind which the next page of the dead letters begins: `next` of this one, if there are
        `more`. `dead_events` are events that their consumer could not take, the oldest first; they have numbers of
        their own.
        """
        query = Query(request, "after", "limit")
        most = query.whole("limit", default=DEFAULT_LIMIT, most=MAX_LIMIT)
        after = query.whole("after", default=0, least=0, most=2**63 - 1)
        store = self._system.store
        waiting, dead_letters = store.spooled(limit=most), store.dead_letters(after=after, limit=most + 1)
        more = len(dead_letters) > most
        limits = self._system.assessment.limits
        answer(
            response,
            {
                "waiting": viewed(spooled(record) for record in waiting),
                "dead_letters": viewed(spooled(record) for record in dead_letters[:most]),
                "dead_events": viewed(
                    dead_event(letter, limits) for letter in store.event_log.dead_letters(limit=most)
                ),
                "more": more,
                "next": dead_letters[most - 1].number if more else None,
            },
        )

    @operation("retryAll", "spool", answer=Retried, problems=NOT_STORED)
    def on_post_retry_all(self, request: falcon.Request, response: falcon.Response) -> None:
        """Hand all dead letters to its plugins again."""
        Query(request)
        answer(response, {"retried": self._retry(None)})

    @operation("retryDeadLetter", "spool", answer=Retried, problems=NOT_STORED)
    def on_post_retry(self, request: falcon.Request, response: falcon.Response, number: str) -> None:
        """Hand one message to its plugin again, with the rest of its transaction; 200 when that is durable."""
        Query(request)
        known = number.isascii() and number.isdigit()
        retried = self._retry([int(number)]) if known else []
        if not retried:
            raise Problem(404, "Not a dead letter", f"message {number} is no dead letter")
        answer(response, {"retried": retried})

    @operation(
        "retryDeadEvent",
        "spool",
        answer=RetriedEvent,
        problems=NOT_STORED | {409: "It is not taken, or its consumer does not run in this process"},
    )
    def on_post_retry_event(self, request: falcon.Request, response: falcon.Response, number: str) -> None:
        """Deliver the event of a dead letter to its consumer once more; 200 when it was taken, 409 if it is not."""
        Query(request)
        try:
            self._system.retry_event(self._event(number))
        except ConsumerElsewhere as error:
            self._retry_elsewhere(request, error)
        except EventNotDelivered as error:
            raise Problem(409, "Not delivered", str(error)) from error
        except DeadLetterNotFound as error:
            raise Problem(404, "Not a dead event", str(error)) from error
        answer(response, {"retried": int(number)})

    def _retry_elsewhere(self, request: falcon.Request, error: Exception) -> None:
        """Have another worker process of the node deliver an event, whose consumer does not run in this one."""
        problem = Problem(409, "Not delivered", str(error))
        replies = {} if request.env.get(INNER) else replies_to(self._system, request, timeout_s=RETRY_S)
        for reply in replies.values():
            if reply.status == OK:
                return
            problem = problem_of(reply)
        raise problem

    @operation("forgetDeadEvent", "spool", answer=ForgottenEvent, problems=NOT_STORED)
    def on_delete_event(self, request: falcon.Request, response: falcon.Response, number: str) -> None:
        """Forget the event of a dead letter for good; 200 when that is durable."""
        Query(request)
        wanted, log = self._event(number), self._system.store.event_log
        if not any(one.number == wanted for one in log.dead_letters(after=wanted - 1, limit=1)):
            raise Problem(404, "Not a dead event", f"there is no dead event {number}")
        log.forget_dead_letters([wanted]).wait(STORE_S)
        answer(response, {"forgotten": wanted})

    @staticmethod
    def _event(number: str) -> int:
        if not (number.isascii() and number.isdigit()) or len(number) > NUMBER_DIGITS:
            raise Problem(404, "Not a dead event", f"there is no dead event {number}")
        return int(number)

    def _retry(self, numbers: Collection[int] | None) -> list[int]:
        return self._system.retry_spooled(numbers)


STORE_S = 30.0
"""Seconds that the store has to forget a dead event."""
NUMBER_DIGITS = 18
"""Digits of the largest number of a dead event."""
COPY_FILE = "chargehand.sqlite.copy"
"""The copy in the data folder, while it is made."""
SQLITE = "application/vnd.sqlite3"
DUMP = "application/octet-stream"
CHUNK_BYTES = 1 << 18


def copy_path(system: CentralSystem) -> Path:
    """Return the path of the copy while it is made; each worker process has its own."""
    worker = system.worker
    name = COPY_FILE if worker is None else f"{COPY_FILE}.{worker.number}"
    return Path(system.settings.data) / name


def remove_leftover(system: CentralSystem) -> None:
    """Remove the copy: that of a process that was killed, or the name of one that is open."""
    path = copy_path(system)
    with suppress(OSError):
        for end in ("", "-journal", "-wal", "-shm"):
            path.with_name(f"{path.name}{end}").unlink(missing_ok=True)


class Backup(Resource):
    """`/api/v1/backup`: one at a time."""

    def __init__(self, system: CentralSystem, stop: Stop) -> None:
        super().__init__(system)
        self._stop = stop
        self._busy = False

    @operation(
        "makeBackup",
        "operation",
        content={SQLITE: bytes, DUMP: bytes},
        problems={
            409: "The store is no file, or another backup is being made",
            503: "The central system stops",
            507: "There is no room for it, or it could not be made",
        },
    )
    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        """Make a consistent copy of the store's file, and answer with it."""
        Query(request)
        if self._busy:
            raise Problem(409, "Busy", "another backup is being made")
        if self._system.watermarks.disk_is_low:
            text = "the disk has no room for a copy (resources.disk_free_bytes)"
            raise Problem(507, "No backup", text)
        self._busy = True
        handed_over = False
        try:
            copy = self._copy()
            response.set_stream(copy, copy.length)
            response.content_type = SQLITE if self._system.store.backup_suffix == ".sqlite" else DUMP
            handed_over = True
        finally:
            if not handed_over:
                self._over()

    def _over(self) -> None:
        self._busy = False

    def _copy(self) -> CopyStream:
        path = copy_path(self._system)
        try:
            with self._stop.interrupts():
                self._system.store.backup(str(path))
            try:
                copy = CopyStream(path, self._over)
            finally:
                remove_leftover(self._system)
        except NoBackup as error:
            raise Problem(409, "No backup of this store", str(error)) from error
        except (StoreError, OSError) as error:
            logger.error("Backup failed: %s", error)  # noqa: TRY400 - a full disk needs no traceback
            raise Problem(507, "No backup", str(error)) from error
        logger.info("Backup of %d bytes made, being sent", copy.length)
        return copy


class CopyStream:
    """The bytes of a file, whose name may be taken away then; `closed` is called at its end. Raises OSError."""

    def __init__(self, path: Path, closed: Callable[[], None]) -> None:
        self._file = path.open("rb", buffering=0)
        self._closed = closed
        self._reading: Any = None
        self.length = os.fstat(self._file.fileno()).st_size

    def __iter__(self) -> Iterator[bytes]:
        pool = get_hub().threadpool
        while True:
            self._reading = pool.spawn(self._file.read, CHUNK_BYTES)
            chunk = self._reading.get()
            if not chunk:
                return
            yield chunk

    def close(self) -> None:
        """Close the file; WSGI calls this at every end of a request."""
        if self._reading is not None:
            self._reading.wait()  # a thread must not read a descriptor that belongs to another file by then
        get_hub().threadpool.spawn(
            self._file.close
        ).wait()  # its blocks are given back: with many that takes long
        self._closed()
