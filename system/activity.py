"""Activity of one process: who keeps it busy, where messages wait, and which handlers take long.

Nothing is counted for it on the way of a message: rates come from the flight recorders, depths from the inboxes, and a
sample is taken when somebody asks, in small steps.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, Literal

import gevent
import msgspec

from ..actors.plugin.cell import PluginCell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..actors.session.cell import ChargePointCell
    from .parts import Parts

AT_A_TIME = 200
"""Charge points that are looked at before others have their turn."""
WINDOW_S = 10.0
"""Seconds over which the messages of a charge point are counted."""
LONG_S = 1.0
"""Seconds after which a handler counts as one that takes long."""
OTHER = "other"
ALONE = 1
"""Number of the only process of a node."""


class BusyChargePoint(msgspec.Struct, frozen=True, kw_only=True):
    """Charge point with its messages in a second, over the last ten, and those that wait in its inbox."""

    charge_point: str
    messages_per_s: float
    inbox: int
    paused: bool
    """True if its socket is not read at the moment."""
    worker: int


class SlowHandler(msgspec.Struct, frozen=True, kw_only=True):
    """Handler that has not ended.

    `running`: it runs or blocks; `later`: it has returned and will answer later; `queued`: it has not begun, as others
    take the plugin's `concurrency` or the charge point's turn.
    """

    plugin: str
    charge_point: str
    action: str
    state: Literal["running", "later", "queued"]
    seconds: float
    worker: int


class PluginActivity(msgspec.Struct, frozen=True, kw_only=True):
    """Messages that wait for a plugin, and its handlers that run, of as many as may at a time."""

    plugin: str
    inbox: int
    running: int
    concurrency: int
    quarantined: bool
    worker: int


class ProcessActivity(msgspec.Struct, frozen=True, kw_only=True):
    """Activity of one process. Numbers of calls and commands count up from its start."""

    worker: int
    at: float
    """Time of the sample by a clock that only goes forward, in seconds: rates are differences over it."""
    connected: int
    calls: dict[str, int]
    """Calls by action, whatever their outcome."""
    commands: int
    """Commands that ended."""
    open_commands: int
    busiest: list[BusyChargePoint]
    inboxes: list[BusyChargePoint]
    """Charge points with the most waiting messages."""
    plugins: list[PluginActivity]
    handlers: list[SlowHandler]
    """Handlers that take longer than a second, the slowest first."""


class Activity:
    """Activity of the process that has these parts. Belongs to the hub's thread."""

    def __init__(self, parts: Parts, worker: int) -> None:
        self._parts = parts
        self._worker = worker

    def sample(self, limit: int) -> ProcessActivity:
        """Look at everything once; `limit` bounds each list. Switches greenlets."""
        now = self._parts.context.clock.monotonic()
        found: list[BusyChargePoint] = []
        slow: list[SlowHandler] = []
        connected = 0
        for number, cell in enumerate(list(self._parts.directory), 1):
            if number % AT_A_TIME == 0:
                gevent.sleep(0)
            connected += cell.connection is not None
            row = self._row(cell, now)
            if row is not None:
                found.append(row)
            slow += self._slow_calls(cell, now)
        plugins = list(self._plugins(now, slow))
        meter = self._parts.context.meter
        calls: dict[str, int] = {}
        for action, told in meter.calls.items():
            number = told.answered + told.refused + told.fallback + told.rejected + told.unanswered
            if number:
                calls[action.name] = calls.get(action.name, 0) + number
        unknown = sum(meter.unknown_calls.values())
        return ProcessActivity(
            worker=self._worker,
            at=now,
            connected=connected,
            calls=calls | ({OTHER: unknown} if unknown else {}),
            commands=sum(meter.commands.values()),
            open_commands=sum(1 for _ in self._parts.registry.open_tickets()),
            busiest=busiest(found, limit),
            inboxes=inboxes(found, limit),
            plugins=plugins,
            handlers=slowest(slow, limit),
        )

    def _row(self, cell: ChargePointCell, now: float) -> BusyChargePoint | None:
        """Return the row of a charge point; None for one that does nothing."""
        rate = 0.0 if cell.recorder is None else cell.recorder.rate(now - WINDOW_S, now)
        inbox = cell.depth
        if not rate and not inbox:
            return None
        connection = cell.connection
        return BusyChargePoint(
            charge_point=cell.charge_point.id,
            messages_per_s=round(rate, 3),
            inbox=inbox,
            paused=connection is not None and bool(connection.paused),
            worker=self._worker,
        )

    def _slow_calls(self, cell: ChargePointCell, now: float) -> Iterator[SlowHandler]:
        for incoming, call in list(cell.session.incoming.items()):
            some: Any = call
            if some is None or some.plugin is None or now - some.started_at < LONG_S:
                continue
            begun = some.running is not None or some.started_at != incoming.received_at
            state: Literal["running", "later", "queued"] = "queued"
            if begun:
                state = "later" if some.running is None else "running"
            yield SlowHandler(
                plugin=str(some.plugin.urn),
                charge_point=cell.charge_point.id,
                action=some.action,
                state=state,
                seconds=round(now - some.started_at, 3),
                worker=self._worker,
            )

    def _plugins(self, now: float, slow: list[SlowHandler]) -> Iterator[PluginActivity]:
        """Yield the plugins, and add their handlers of events that take long."""
        cell: Any = self._parts.tree.cells.get("plugins")
        supervisor = None if cell is None else cell.actor
        for child in () if supervisor is None else list(supervisor.children):
            plugin = child.cell
            if not isinstance(plugin, PluginCell):
                continue
            for what, key, begun_at in plugin.event_handlers():
                if now - begun_at >= LONG_S:
                    slow.append(
                        SlowHandler(
                            plugin=child.spec.id,
                            charge_point=key if isinstance(key, str) else "",
                            action=what,
                            state="running",
                            seconds=round(now - begun_at, 3),
                            worker=self._worker,
                        )
                    )
            yield PluginActivity(
                plugin=child.spec.id,
                inbox=plugin.depth,
                running=len(plugin.ordering_keys),
                concurrency=plugin.concurrency,
                quarantined=plugin.quarantined,
                worker=self._worker,
            )


def busiest(rows: list[BusyChargePoint], limit: int) -> list[BusyChargePoint]:
    """Return the charge points with the most messages in a second."""
    chosen = heapq.nsmallest(limit, rows, key=lambda row: (-row.messages_per_s, row.charge_point))
    return [row for row in chosen if row.messages_per_s]


def inboxes(rows: list[BusyChargePoint], limit: int) -> list[BusyChargePoint]:
    """Return the charge points with the most waiting messages."""
    chosen = heapq.nsmallest(limit, rows, key=lambda row: (-row.inbox, row.charge_point))
    return [row for row in chosen if row.inbox]


def slowest(rows: list[SlowHandler], limit: int) -> list[SlowHandler]:
    """Return the handlers that have taken longest."""
    return heapq.nsmallest(limit, rows, key=lambda row: -row.seconds)
