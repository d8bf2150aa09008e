"""The supervisor of plugins: one_for_one, a budget each, and it never gives up because of one of them.

A plugin over its budget is quarantined: nothing is told to it, stand-ins answer, transaction messages are
spooled. After
`quarantine_s`, or by command, it is started again; if it fails again, the next quarantine is twice as long.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from ..actors.cell import Phase
from ..actors.faults import FaultPolicy
from ..actors.plugin_cell import PluginCell
from ..actors.replay import ReplayNow
from .child import Child, ChildSpec
from .rules import Budget
from .supervisor import Supervisor

if TYPE_CHECKING:
    from ..actors.plugin import Caller, PluginSpec
    from ..actors.services import Services

logger = logging.getLogger(__name__)

DOUBLINGS = 6
"""So often a quarantine is made longer: 64 times at the most."""


class Release(msgspec.Struct, frozen=True, gc=False):
    """Start a quarantined plugin again, if it still is (and, when a timer says so, in the same quarantine)."""

    name: str
    number: int = 0


class PluginSupervisor(Supervisor):
    """See the head of this file. With a `quarantine_s` of 0 release is left to people."""

    def __init__(self, *args: Any, services: Services, quarantine_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._services = services
        self._quarantine_s = quarantine_s
        self._quarantines: dict[str, int] = {}  # how many a plugin has had

    def over_budget(self, child: Child) -> None:
        """Quarantine a plugin; whatever else is supervised here is started again at once, with a new budget."""
        cell = child.cell
        if not isinstance(cell, PluginCell):
            child.budget = Budget(self.policy)
            self._restart(child)
            return
        name = child.spec.id
        number = self._quarantines[name] = self._quarantines.get(name, 0) + 1
        logger.error("Plugin %s failed too often and is quarantined: %s", name, child.last_crash)
        self._services.observer.count("plugin_quarantined", "")
        cell.quarantined = True
        cell.drain("its plugin is quarantined")
        if self._quarantine_s > 0:
            wait_s = self._quarantine_s * 2 ** min(number - 1, DOUBLINGS)
            due = self._timers.clock.monotonic() + wait_s
            self._timers.call_at(due, lambda: self._tell(Release(name, number)))

    def _tell(self, message: Any) -> None:
        if not self._cell.is_set():
            self._cell.tell(message)

    def on_receive(self, message: Any) -> Any:
        """Release a plugin, or deal with one that ended."""
        if type(message) is not Release:
            return super().on_receive(message)
        for child in self.children:
            if child.spec.id == message.name and message.number in (0, self._quarantines.get(message.name)):
                return self._release(child)
        return False

    def _release(self, child: Child) -> bool:
        cell: Any = child.cell
        if not getattr(cell, "quarantined", False):
            return False
        logger.warning("Plugin %s is released from quarantine", child.spec.id)
        child.budget = Budget(self.policy)
        child.budget.total = self._quarantines[child.spec.id]
        cell.faults.clear()
        cell.quarantined = False
        if cell.phase is Phase.VACANT:
            self._restart(child)
        if not cell.quarantined:
            self._services.observer.count("plugin_released", "")
            self._services.replay_now(ReplayNow())
        return True

    def quarantined(self) -> list[dict[str, Any]]:
        """The plugins in quarantine, and why."""
        return [
            {
                "plugin": child.spec.id,
                "last_crash": child.last_crash,
                "times": self._quarantines[child.spec.id],
            }
            for child in self.children
            if getattr(child.cell, "quarantined", False)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginPlaces:
    """What every plugin of a system is put into."""

    system: Caller
    services: Services
    start_s: float
    shutdown_s: float
    faults: FaultPolicy

    def child(self, spec: PluginSpec, *, fallback: bool = False) -> ChildSpec:
        """The child spec of a plugin; its cell is entered in the router when it is made."""
        plugin, services = spec.plugin, self.services

        def make(scheduler: Any, watch: Any) -> PluginCell:
            now = services.clock.monotonic
            cell = PluginCell(scheduler, spec, self.system, watch, now, self.faults, services=services)
            version = services.rules.version
            for action in plugin.actions_of("passive"):
                if action not in version.actions:
                    raise ValueError(f"plugin {spec.name}: {action} is not an action of OCPP {version.name}")
            services.router.add(
                cell,
                passive=[(version.name, action) for action in plugin.actions_of("passive")],
                outcomes=plugin.actions_of("outcome"),
                online=bool(plugin.actions_of("online")),
                offline=bool(plugin.actions_of("offline")),
                fallback=fallback,
            )
            return cell

        shutdown_s = self.shutdown_s if spec.shutdown_s is None else spec.shutdown_s
        return ChildSpec(id=spec.name, make=make, shutdown_s=shutdown_s, start_s=self.start_s)
