"""Plugins of the scope "cluster": this process runs those whose leases it has, and takes the leases that nobody has."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ..actors.runtime.actor import Actor
from ..store.store import StoreError
from ..supervisor.plugins import RenewPlugin, StartPlugin, StopPlugin

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..actors.plugin.cell import PluginCell
    from ..actors.plugin.plugin import Plugin, PluginSpec
    from ..actors.plugin.routing import Router
    from ..actors.runtime.cell import Cell
    from ..actors.runtime.timers import Timers
    from ..protocol.events import DomainEvent
    from ..remote.cluster.live_events import LiveEvents
    from ..remote.cluster.plugin_leases import PluginLeases
    from ..supervisor.child import ChildSpec
    from .durable_events import DurableEvents

logger = logging.getLogger(__name__)

TAKE_S = 0.5
"""Seconds between two looks for leases that nobody has."""


class ClusterPlugin(NamedTuple):
    """Plugin of the scope "cluster"."""

    child: ChildSpec
    plugin: type[Plugin]

    @property
    def consumes(self) -> bool:
        """True if it has handlers of durable events."""
        return bool(self.plugin.durable_events_heard())


class Look(msgspec.Struct, frozen=True, gc=False):
    """Time to look for leases."""


class LeaseLost(msgspec.Struct, frozen=True, gc=False):
    """Event: another process may run a plugin now."""

    name: str


class PluginMade(msgspec.Struct, frozen=True, gc=False):
    """Event: a plugin is about to start here."""

    name: str
    cell: Any


class PluginStopped(msgspec.Struct, frozen=True, gc=False):
    """Event: a plugin has stopped here."""

    name: str


class _Running:
    """Plugin that runs here, and what ends the events of other nodes."""

    __slots__ = ("cell", "end_others", "kinds")

    def __init__(self, cell: PluginCell, kinds: Sequence[type[DomainEvent]], end: Callable[[], None]) -> None:
        self.cell = cell
        self.kinds = kinds
        self.end_others = end


class ClusterPlugins(Actor):
    """Actor that has the plugins with a lease here started and stopped by their `supervisor`. `specs` are by name.

    `child_of` makes the child spec of a plugin.
    """

    def __init__(
        self,
        specs: dict[str, ClusterPlugin],
        child_of: Callable[[PluginSpec], ChildSpec],
        supervisor: Callable[[], Cell | None],
        *,
        timers: Timers,
        leases: PluginLeases,
        live_events: LiveEvents,
        router: Router,
        events: DurableEvents,
    ) -> None:
        super().__init__()
        self._specs = specs
        self._child_of = child_of
        self._supervisor = supervisor
        self._timers = timers
        self._leases = leases
        self._live_events = live_events
        self._router = router
        self._events = events
        self._running: dict[str, _Running | None] = {}  # None while it starts
        self._stopping: set[str] = set()

    def plugin(self, name: str) -> type[Plugin] | None:
        """Return the class of a plugin, wherever it runs; None if there is none of the name."""
        known = self._specs.get(name)
        return None if known is None else known.plugin

    def on_start(self) -> None:
        """Look for leases from now on."""
        self._leases.lost = lambda name: self._tell(LeaseLost(name))
        self._tell(Look())

    def on_stop(self) -> None:
        """Give back all leases: the plugins have been stopped before."""
        for name in self._specs:
            self._leases.release(name)

    def on_receive(self, message: Any) -> Any:
        """Take leases, and stop what has lost its own."""
        if type(message) is Look:
            for name in self._specs:
                if name not in self._running and name not in self._stopping and self._leases.take(name):
                    self._begin(name)
            self._timers.call_at(self._timers.clock.monotonic() + TAKE_S, lambda: self._tell(Look()))
        elif type(message) is LeaseLost:
            self._end(message.name)
        elif type(message) is RenewPlugin:
            self._renew(message.spec)
        elif type(message) is PluginMade:
            self._made(message)
        elif type(message) is PluginStopped:
            self._stopping.discard(message.name)
            self._events.consumers_changed()
        else:
            return super().on_receive(message)
        return None

    def _tell(self, message: Any) -> None:
        if not self._cell.ended:
            self._cell.tell(message)

    def _begin(self, name: str) -> None:
        supervisor = self._supervisor()
        if supervisor is None or supervisor.ended:
            return
        known = self._specs[name]
        spec = known.child
        if known.consumes:
            # Before it starts: what is stored from now on, by whichever process, comes to it.
            try:
                self._events.register(name)
            except StoreError as error:
                logger.warning("plugin %s cannot run here yet: %s", name, error)
                return
        logger.info("plugin %s runs here: its lease was taken", name)
        self._running[name] = None
        supervisor.tell(StartPlugin(replace(spec, make=partial(self._make, name, spec))))

    def _renew(self, spec: PluginSpec) -> None:
        """Take a spec with other arguments, and have the plugin started again if it runs here."""
        self._specs[spec.name] = ClusterPlugin(self._child_of(spec), spec.plugin)
        supervisor = self._supervisor()
        if spec.name in self._running and supervisor is not None and not supervisor.ended:
            supervisor.tell(RenewPlugin(spec))

    def _make(self, name: str, spec: ChildSpec, scheduler: Any, watch: Any) -> Cell:
        cell: Any = spec.make(scheduler, watch)
        self._tell(PluginMade(name, cell))  # in the supervisor's turn
        return cell  # type: ignore[no-any-return]

    def _made(self, message: PluginMade) -> None:
        if message.name in self._running:
            cell, kinds = message.cell, message.cell.spec.plugin.events_heard()
            self._running[message.name] = _Running(cell, kinds, self._live_events.want(kinds, cell.hear))
            self._events.consumers_changed()

    def _end(self, name: str) -> None:
        supervisor = self._supervisor()
        if name not in self._running or supervisor is None or supervisor.ended:
            return
        logger.warning("plugin %s stops here: its lease was lost", name)
        running = self._running.pop(name)
        self._stopping.add(name)
        if running is not None:
            running.end_others()
            for kind in running.kinds:
                self._router.unlisten(kind, running.cell.hear)
        supervisor.tell(StopPlugin(name, lambda: self._tell(PluginStopped(name))))
