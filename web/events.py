"""Events as a stream: server-sent events, as HTML's `EventSource` reads them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ..store.events import EVENTS, encoded
from ..system.event_stream import WrongCursor, parse
from .requests import Problem, Query, Stopping
from .resources import Resource

if TYPE_CHECKING:
    from collections.abc import Iterator

    import falcon

    from ..protocol.events import DomainEvent
    from ..system.central_system import CentralSystem
    from .requests import Stop

EVENT_STREAM = "text/event-stream"

QUIET_S = 15.0
"""Seconds without an event after which a comment is sent: proxies keep the stream, and one that was left is noticed."""


class Events(Resource):
    """`/api/v1/events`."""

    def __init__(self, system: CentralSystem, stop: Stop) -> None:
        super().__init__(system)
        self._stop = stop
        self._streams = 0

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        """Stream events, from now on: `event` is the kind, `data` its JSON.

        Durable events, of all processes that share the store, have an `id`: a client that sends the last one as
        `Last-Event-ID`, as `EventSource` does by itself, gets those that came since first. Live events are those of
        all processes, too; of what a client does not read in time the newest is dropped and counted. `kind` has the
        wanted kinds, separated by commas, all by default; `charge_point` limits the stream to one charge point. 400
        for a `Last-Event-ID` that is none; 503: `http.event_streams` are open.
        """
        query = Query(request, "kind", "charge_point")
        names = [name for name in query.text("kind").split(",") if name] or list(EVENTS)
        for name in names:
            if name not in EVENTS:
                raise Problem(400, "Bad request", f"kind {name} is not one of: {', '.join(EVENTS)}")
        most = self._system.settings.http.event_streams
        if self._streams >= most:
            raise Problem(503, "Too many streams", f"{most} event streams are open (http.event_streams)")
        after = request.get_header("Last-Event-ID") or ""
        if after:
            try:
                parse(after)
            except WrongCursor as error:
                raise Problem(400, "Bad request", f"Last-Event-ID: {error}") from error
        response.content_type = EVENT_STREAM
        response.cache_control = ["no-store"]
        response.stream = self._stream([EVENTS[name] for name in names], query.text("charge_point"), after)

    def _stream(self, kinds: list[type[DomainEvent]], charge_point_id: str, after: str) -> Iterator[bytes]:
        self._streams += 1
        stream = None
        try:
            stream = self._system.event_stream(kinds, after=after, charge_point_id=charge_point_id)
            yield b": the events from now on\n\n"
            with contextlib.suppress(Stopping):
                while not stream.closed:
                    with self._stop.interrupts():
                        found = stream.next(QUIET_S)
                    if found is None:
                        yield b":\n\n"
                    else:
                        yield _frame(*found)
        finally:
            if stream is not None:
                stream.close()
            self._streams -= 1


def _frame(cursor: str, event: DomainEvent) -> bytes:
    id_ = b"id: %b\n" % cursor.encode() if cursor else b""
    name = type(event).__name__.encode()
    return b"%bevent: %b\ndata: %b\n\n" % (id_, name, encoded(event).encode())
