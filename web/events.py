"""Events as a stream: server-sent events, as HTML's `EventSource` reads them."""

from __future__ import annotations

import contextlib
import json
from collections import OrderedDict
from typing import TYPE_CHECKING

import gevent
import msgspec

from ..store.events import EVENTS
from ..system.event_stream import WrongCursor, parse
from .event_views import domain_event
from .operations import CHARGE_POINT, operation, text
from .requests import Problem, Query, Stopping
from .resources import Resource
from .views import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import falcon

    from ..protocol.events import DomainEvent
    from ..system.central_system import CentralSystem
    from .requests import Stop

EVENT_STREAM = "text/event-stream"

LOOK_S = 1.0
"""Seconds between two looks whether the token, or the login of the page, of a quiet stream is still valid."""
QUIET_S = 15.0
"""Seconds without an event after which a comment is sent: proxies keep the stream, and one that was left is noticed."""


GATHER_S = 0.02
"""Seconds between two pieces of a stream: what happens meanwhile is sent together."""
BUSY_GATHER_S, BUSY = 0.1, 5
"""Seconds instead, where a piece had so many events: writing to many viewers costs by the piece."""
EVENTS_AT_ONCE = 1000
WRITTEN_LIMIT = 500
"""Events whose text is kept for other streams."""


class StreamLimit:
    """Number of open streams of all kinds, bounded by `http.event_streams`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.open = 0

    def check(self) -> None:
        """Raise `Problem` 503 if there are as many streams as may be."""
        if self.open >= self._most:
            raise Problem(
                503, "Too many streams", f"{self._most} event streams are open (http.event_streams)"
            )

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Count a stream while it is open."""
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1


class Events(Resource):
    """`/api/v1/events`."""

    def __init__(self, system: CentralSystem, stop: Stop, streams: StreamLimit) -> None:
        super().__init__(system)
        self._stop = stop
        self._streams = streams
        self._written: OrderedDict[int, tuple[DomainEvent, bytes]] = OrderedDict()  # by the id of the object

    @operation(
        "streamEvents",
        "events",
        query=(text("kind", "Wanted kinds, separated by commas; all without it"), CHARGE_POINT),
        content={EVENT_STREAM: str},
        problems={503: "http.event_streams are open"},
    )
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
        self._streams.check()
        after = request.get_header("Last-Event-ID") or ""
        if after:
            try:
                parse(after)
            except WrongCursor as error:
                raise Problem(400, "Bad request", f"Last-Event-ID: {error}") from error
        response.content_type = EVENT_STREAM
        response.cache_control = ["no-store"]
        kinds, charge_point_id = [EVENTS[name] for name in names], query.text("charge_point")
        response.stream = self._stream(kinds, charge_point_id, after, request.context.still_valid)

    def _stream(
        self,
        kinds: list[type[DomainEvent]],
        charge_point_id: str,
        after: str,
        still_valid: Callable[[], bool],
    ) -> Iterator[bytes]:
        """Yield the stream until it is closed, or its token or its login has ended."""
        quiet_s = 0.0
        with self._streams.opened():
            stream = self._system.event_stream(kinds, after=after, charge_point_id=charge_point_id)
            with contextlib.closing(stream), contextlib.suppress(Stopping):
                yield b": the events from now on\n\n"
                while not stream.closed and still_valid():
                    with self._stop.interrupts():
                        found = stream.next_some(LOOK_S, EVENTS_AT_ONCE)
                    quiet_s = 0.0 if found else quiet_s + LOOK_S
                    if not found:
                        if quiet_s >= QUIET_S:
                            quiet_s = 0.0
                            yield b":\n\n"
                        continue
                    yield b"".join([self._frame(cursor, event) for cursor, event in found])
                    with self._stop.interrupts():
                        gevent.sleep(GATHER_S if len(found) < BUSY else BUSY_GATHER_S)

    def _frame(self, cursor: str, event: DomainEvent) -> bytes:
        """Write an event; what it is made of is kept for the other streams, which have the same one soon."""
        known = self._written.get(id(event))
        if known is None:
            view = domain_event(event, self._system.assessment.limits)
            try:
                data = encode(view)
            except UnicodeEncodeError:  # lone surrogates, which are no UTF-8, as their escapes
                data = json.dumps(msgspec.to_builtins(view)).encode()
            text = b"event: %b\ndata: %b\n\n" % (type(event).__name__.encode(), data)
            known = self._written[id(event)] = event, text
            if len(self._written) > WRITTEN_LIMIT:
                self._written.popitem(last=False)
        return b"id: %b\n%b" % (cursor.encode(), known[1]) if cursor else known[1]
