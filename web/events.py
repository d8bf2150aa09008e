"""Live events as a stream: server-sent events, as HTML's `EventSource` reads them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec

from ..protocol.events import EVENTS
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
        """Stream the live events of this process, from now on: `event` is the kind, `data` its JSON.

        `kind` has the wanted kinds, separated by commas, all by default; `charge_point` limits the stream to one charge
        point. Of what a client does not read in time the newest is dropped and counted. 503: `http.event_streams` are
        open.
        """
        query = Query(request, "kind", "charge_point")
        names = [name for name in query.text("kind").split(",") if name] or list(EVENTS)
        for name in names:
            if name not in EVENTS:
                raise Problem(400, "Bad request", f"kind {name} is not one of: {', '.join(EVENTS)}")
        most = self._system.settings.http.event_streams
        if self._streams >= most:
            raise Problem(503, "Too many streams", f"{most} event streams are open (http.event_streams)")
        response.content_type = EVENT_STREAM
        response.cache_control = ["no-store"]
        response.stream = self._stream([EVENTS[name] for name in names], query.text("charge_point"))

    def _stream(self, kinds: list[type[DomainEvent]], charge_point_id: str) -> Iterator[bytes]:
        encode = msgspec.json.Encoder().encode
        subscription = self._system.subscribe(kinds, charge_point_id=charge_point_id)
        self._streams += 1
        try:
            yield b": the events from now on\n\n"
            with contextlib.suppress(Stopping):
                while not subscription.closed:
                    with self._stop.interrupts():
                        event = subscription.next(QUIET_S)
                    if event is None:
                        yield b":\n\n"
                    else:
                        name = type(event).__name__.encode()
                        yield b"event: %b\ndata: %b\n\n" % (name, encode(event))
        finally:
            subscription.close()
            self._streams -= 1
