"""The command `tail`: events and frames of charge points, as they pass."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, NamedTuple

import click

from ..protocol.text import escaped
from .api import NoAnswer, asks_server
from .completion import charge_points_like
from .escape import as_json, escaped_json
from .event_stream import follow
from .failures import CommandFailed
from .options import JSON
from .output import when

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .api import Api
    from .event_stream import StreamedEvent

RETRY_S = 1.0
"""Seconds before a stream that was lost is asked for again."""
FRAME, MISSED = "frame", "missed"
UNSHOWN = frozenset({"kind", "id", "schema"})
"""Members of events that people are not shown: the kind stands in front, the others are for programs."""
ARROWS = {"in": "->", "out": "<-", "answer": "<-"}
"""Directions of frames, seen from the charge point at the left."""


class Source(NamedTuple):
    """Stream to be read: its path, its parameters, and the charge point whose frames it has."""

    path: tuple[str, ...]
    query: dict[str, str]
    charge_point: str = ""


class Notice(NamedTuple):
    """Text about a stream, for standard error."""

    text: str


def sources(charge_points: Sequence[str], kinds: Sequence[str], *, frames: bool) -> list[Source]:
    """Choose the streams: one for all events, and one for the frames of each charge point."""
    query = {"kind": ",".join(kinds)} if kinds else {}
    if len(charge_points) == 1:
        query["charge_point"] = charge_points[0]
    events = [] if frames and not kinds else [Source(("events",), query)]
    return events + [Source(("charge-points", id_, "frames"), {}, id_) for id_ in charge_points if frames]


class Tail:
    """Streams that are read at once, each in a thread; what comes is iterated over, in the order in which it came.

    A stream that is lost is asked for again, behind its last event. Iteration raises `CommandFailed` for one that is
    refused.
    """

    def __init__(
        self, api: Api, sources_: Sequence[Source], wait: Callable[[float], object] | None = None
    ) -> None:
        self._api = api
        self._sources = sources_
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._came: queue.SimpleQueue[tuple[Source, StreamedEvent] | Notice | CommandFailed] = (
            queue.SimpleQueue()
        )

    def __iter__(self) -> Iterator[tuple[Source, StreamedEvent] | Notice]:
        for source in self._sources:
            threading.Thread(target=self._read, args=(source,), daemon=True).start()
        while True:
            came = self._came.get()
            if isinstance(came, CommandFailed):
                raise came
            yield came

    def close(self) -> None:
        """Ask for no lost stream again."""
        self._stopped.set()

    def _read(self, source: Source) -> None:
        after, known, told = "", False, False
        while not self._stopped.is_set():
            try:
                for event in follow(self._api, *source.path, after=after, **source.query):
                    if event is None:
                        if told:
                            self._came.put(Notice("the server answers again"))
                        known, told = True, False
                    else:
                        after = event.cursor or after
                        self._came.put((source, event))
                lost = "the server has ended the stream"
            except NoAnswer as error:
                if not known:
                    self._came.put(error)
                    return
                lost = error.format_message()
            except CommandFailed as error:
                self._came.put(error)
                return
            if not told:
                told = True
                self._came.put(Notice(f"{lost}; it is asked for again until it answers"))
            self._wait(RETRY_S)


def line_of(source: Source, event: StreamedEvent) -> str:
    """Write an event or a frame as a line for people."""
    data = dict(event.data)
    at = when(data.pop("at", ""), "milliseconds")
    if event.name == FRAME and source.charge_point:
        kind, text = data["kind"], escaped(data["data"])
        shown = f"{ARROWS[kind]} {text}" if kind in ARROWS else f"{kind} {text}"
        return f"{at} {escaped(source.charge_point)} {shown}"
    if event.name == MISSED and source.charge_point:
        return f"{escaped(source.charge_point)} frames may be missing here"
    named = data.pop("charge_point", "")
    data = {name: value for name, value in data.items() if name not in UNSHOWN and value not in ("", None)}
    return " ".join(part for part in (at, escaped(str(named)), event.name, as_json(data)) if part)


def json_of(source: Source, event: StreamedEvent) -> str:
    """Write an event or a frame as a line of JSON."""
    whose = {"charge_point": source.charge_point} if source.charge_point else {}
    return escaped_json(as_json({"event": event.name, **whose, **event.data}))


def _kinds(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Complete the kind of an event."""
    from ..store.events import EVENTS  # noqa: PLC0415 - only for completion

    return sorted(name for name in EVENTS if name.startswith(incomplete))


@click.command()
@click.argument("charge_points", metavar="[CP]...", nargs=-1, shell_complete=charge_points_like)
@click.option(
    "--frames", is_flag=True, help="Frames of the charge points that are named, in place of events."
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    shell_complete=_kinds,
    help="Events of this kind, as StatusChanged; repeatable.",
)
@JSON
@asks_server
def tail(
    api: Api, *, charge_points: tuple[str, ...], frames: bool, kinds: tuple[str, ...], json: bool
) -> None:
    """Print events as they happen, of all charge points or of those that are named, until Ctrl-C.

    With --frames each frame and each event of the connection is a line: -> comes from the charge point, <- goes to it;
    secrets are masked. With --kind, too, both are printed. With --json each line is an object. A server that goes away
    is asked again until it is back; durable events of the meantime are not lost.
    """
    if frames and not charge_points:
        raise click.UsageError("--frames needs the charge points that are meant: chargehand tail --frames CP")
    chosen = frozenset(charge_points)
    following = Tail(api, sources(charge_points, kinds, frames=frames))
    try:
        for came in following:
            if isinstance(came, Notice):
                click.echo(f"chargehand: {escaped(came.text)}", err=True)
                continue
            source, event = came
            if chosen and not source.charge_point and event.data.get("charge_point") not in chosen:
                continue
            click.echo(json_of(source, event) if json else line_of(source, event))
    except KeyboardInterrupt:
        pass
    finally:
        following.close()
