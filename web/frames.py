"""Frames of one charge point as they pass: server-sent events, or what came since a cursor.

One rule: they are read out of its flight recorder, redacted as that is, so that nobody who watches costs the message
path anything. Another process of the cluster is asked for those of its charge points.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import gevent
import msgspec

from .cluster_proxy import holder
from .events import EVENT_STREAM, QUIET_S, StreamLimit
from .operations import operation, text
from .requests import Problem, Query, Stopping
from .resources import INNER, Resource, answer
from .views import JSON, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import falcon

    from ..system.central_system import CentralSystem
    from .requests import Stop

LOOK_S = 0.1
"""Seconds between two looks at a flight recorder."""
LOOK_ELSEWHERE_S = 0.5
"""Seconds between two looks at that of another process, or for a charge point that is away."""
FOUND = 200


class FrameRow(msgspec.Struct, frozen=True, kw_only=True):
    """Row of a flight recorder: a frame, or an event of the connection."""

    at: dt.datetime
    kind: str
    """`in`, `out` (the session's own), `answer` (a plugin's), or the name of an event such as `connected`, `closed`."""
    data: str


class FramesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Rows since a cursor, oldest first; `next` is the `after` of the next ones. `missed`: some may be missing."""

    frames: list[FrameRow]
    next: str
    missed: bool


class Frames(Resource):
    """`/api/v1/charge-points/{id}/frames`."""

    any_node = True

    def __init__(self, system: CentralSystem, stop: Stop, streams: StreamLimit) -> None:
        super().__init__(system)
        self._stop = stop
        self._streams = streams

    @operation(
        "followFrames",
        "charge points",
        query=(text("after", "`next` of the answer before; from now on without it"),),
        answer=FramesAnswer,
        content={EVENT_STREAM: str},
        problems={
            409: "sessions.recorder_bytes is 0: nothing is recorded",
            503: "http.event_streams are open, or its node does not answer",
        },
    )
    def on_get(self, request: falcon.Request, response: falcon.Response, charge_point: str) -> None:
        """Stream the frames of a charge point from now on, or from `Last-Event-ID`; secrets in them are masked.

        `event` is `frame`, `data` its `at`, `kind` and `data`; `missed` says that some may be missing. For `Accept:
        application/json` the answer is what came since `after`, and the cursor of the next request.
        """
        after = Query(request, "after").text("after") or request.get_header("Last-Event-ID") or ""
        if request.env.get(INNER):
            answer(response, self._own(charge_point, _Place.parse(after)))
            return
        found = self._since(charge_point, _Place.parse(after))
        if request.get_header("Accept") == JSON:
            answer(response, found)
            return
        self._streams.check()
        response.content_type = EVENT_STREAM
        response.cache_control = ["no-store"]
        response.stream = self._stream(charge_point, found, request.context.still_valid)

    def _stream(
        self, charge_point: str, found: FramesAnswer, still_valid: Callable[[], bool]
    ) -> Iterator[bytes]:
        """Yield the stream until its token or its login has ended."""
        with self._streams.opened(), contextlib.suppress(Stopping):
            yield b": the frames from now on\n\n"
            quiet_s = 0.0
            while still_valid():
                if found.missed:
                    yield b"event: missed\ndata: {}\n\n"
                if found.frames:
                    yield _written(found)
                    quiet_s = 0.0
                elif quiet_s >= QUIET_S:
                    yield b":\n\n"
                    quiet_s = 0.0
                place = _Place.parse(found.next)
                known = self._system.charge_point(charge_point)
                pause_s = LOOK_S if known is not None and known.connected else LOOK_ELSEWHERE_S
                quiet_s += pause_s
                with self._stop.interrupts():
                    gevent.sleep(pause_s)
                try:
                    with self._stop.interrupts():
                        found = self._since(charge_point, place)
                except Problem:  # it is forgotten, or its node does not answer now
                    found = FramesAnswer(frames=[], next=found.next, missed=False)

    @property
    def _node(self) -> str:
        cluster = self._system.cluster
        return "" if cluster is None else cluster.node

    def _since(self, charge_point: str, place: _Place) -> FramesAnswer:
        """Return what came since a place, wherever the charge point is connected."""
        cluster = self._system.cluster
        node = "" if cluster is None else holder(self._system, cluster, charge_point)
        if cluster is None or not node:
            return self._own(charge_point, place)
        path = f"/api/v1/charge-points/{quote(charge_point, safe='')}/frames"
        reply = cluster.ask(node, "GET", path, urlencode({"after": str(place)}))
        if reply is None or reply.status != FOUND:
            raise Problem(503, "Not answered", f"node {node}, which owns the charge point, did not answer")
        return msgspec.json.decode(reply.body, type=FramesAnswer)

    def _own(self, charge_point: str, place: _Place) -> FramesAnswer:
        """Return what the recorder of this process has since a place, which may be in that of another one."""
        if not self._system.settings.sessions.recorder_bytes:
            raise Problem(409, "Not recorded", "sessions.recorder_bytes is 0: no frames are recorded")
        here = place.node == self._node
        after = place.monotonic if here else -math.inf if place.node else None
        found = self._system.frames(charge_point, after)
        if found is None:
            if not self._system.knows(charge_point):
                raise Problem(404, "Unknown charge point", f"{charge_point} is not known here")
            return FramesAnswer(frames=[], next=str(_Place(self._node, -math.inf, place.time)), missed=False)
        rows = [row for row in found.rows if here or row["at"] > place.time]
        time = rows[-1]["at"] if rows else place.time
        return FramesAnswer(
            frames=[
                FrameRow(at=dt.datetime.fromtimestamp(row["at"], dt.UTC), kind=row["kind"], data=row["data"])
                for row in rows
            ],
            next=str(_Place(self._node, found.next, time)),
            missed=found.missed,
        )


class _Place(msgspec.Struct, frozen=True):
    """Place in the frames of a charge point: node, its monotonic clock, and the time of the last row."""

    node: str = ""
    monotonic: float | None = None
    time: float = 0.0

    def __str__(self) -> str:
        return f"{self.monotonic!r}/{self.time!r}/{self.node}"

    @classmethod
    def parse(cls, text: str) -> _Place:
        """Read a cursor; the empty one is now. Raises `Problem` 400."""
        if not text:
            return cls()
        try:
            monotonic, time, node = text.split("/", 2)
            place = cls(node, None if monotonic == "None" else float(monotonic), float(time))
        except ValueError:
            place = cls("", math.nan, math.nan)
        if math.isnan(place.monotonic or 0.0) or math.isnan(place.time):
            raise Problem(400, "Bad query", "after must be the `next` of the answer before")
        return place


def _written(found: FramesAnswer) -> bytes:
    """Write rows as server-sent events; the last one has the cursor."""
    rows = [b"event: frame\ndata: %b\n\n" % encode(row) for row in found.frames]
    rows[-1] = b"id: %b\n%b" % (found.next.encode(), rows[-1])
    return b"".join(rows)
