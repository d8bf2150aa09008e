"""Supervisor of plugins: one_for_one, with a budget for each; it never gives up because of one of them.

A plugin over its budget is quarantined: it gets no messages, fallbacks answer, transaction messages are spooled. After
`quarantine_s` it is started again and gets one trial call: a success releases it, a failure quarantines it for twice as
long. An operator can release it at once. After a time without failures the next quarantine is a short one again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from ..actors.plugin.cell import PluginCell
from ..actors.plugin.circuit_breaker import CircuitBreakerPolicy
from ..actors.plugin.plugin import PluginSpec
from ..actors.runtime.cell import CellPhase, Ending, Exit
from ..protocol.events import PluginQuarantined, PluginReleased
from ..protocol.log_fields import about
from .child import Child, ChildSpec
from .rules import Budget
from .supervisor import Supervisor

if TYPE_CHECKING:
    from ..actors.plugin.plugin_system import PluginSystem
    from ..actors.session.context import SessionContext

logger = logging.getLogger(__name__)

DOUBLINGS = 6
"""Limit of the doublings of a quarantine: 64 times its first length."""


class ReleasePlugin(msgspec.Struct, frozen=True, gc=False):
    """Command: release a plugin from quarantine; with a `number`, only from the quarantine of that number."""

    name: str
    number: int = 0


class StartTrial(msgspec.Struct, frozen=True, gc=False):
    """Command: end the wait of the quarantine of this number, and let one trial call pass."""

    name: str
    number: int


class StartPlugin(msgspec.Struct, frozen=True, gc=False):
    """Command: start one more plugin; it is restarted as the others are."""

    spec: ChildSpec


class RenewPlugin(msgspec.Struct, frozen=True, gc=False):
    """Command: start a plugin again with a spec that has other arguments; its messages wait meanwhile."""

    spec: PluginSpec


class StopPlugin(msgspec.Struct, frozen=True, gc=False):
    """Command: stop a plugin that was started by `StartPlugin`; `then` is called when it has stopped."""

    name: str
    then: Any


@dataclass(slots=True)
class Quarantine:
    """Record of a plugin's quarantines: their number, those in a row, and the last one."""

    times: int = 0
    in_a_row: int = 0
    length_s: float = 0.0
    ended_at: float = float("-inf")


class PluginSupervisor(Supervisor):
    """Supervisor of plugins. With a `quarantine_s` of 0 only an operator releases a plugin."""

    def __init__(self, *args: Any, context: SessionContext, quarantine_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._context = context
        self._quarantine_s = quarantine_s
        self._quarantines: dict[str, Quarantine] = {}  # by plugin

    def over_budget(self, child: Child) -> None:
        """Quarantine a plugin; any other child is restarted at once, with a new budget."""
        cell = child.cell
        if not isinstance(cell, PluginCell):
            child.budget = Budget(self.policy)
            self._restart(child)
            return
        logger.error(
            "Plugin %s failed too often and is quarantined: %s",
            child.spec.id,
            child.last_crash,
            extra=about(plugin=child.spec.id),
        )
        self._quarantine(child.spec.id, cell)

    def _restart(self, child: Child) -> None:
        super()._restart(child)
        if isinstance(child.cell, PluginCell) and child.cell.actor is not None:
            self._context.observer.count("plugin_restarted", "")

    def _ended(self, child: Child, exit_: Exit) -> None:
        cell = child.cell
        if isinstance(cell, PluginCell) and exit_.ending is not Ending.NORMAL:
            self._context.observer.count("plugin_crashed", "")
        if isinstance(cell, PluginCell) and cell.threads_stuck and not cell.quarantined:
            child.last_crash = exit_.failure.text if exit_.failure is not None else ""
            self.over_budget(child)  # a restart would give it no thread
            return
        if not (isinstance(cell, PluginCell) and cell.quarantined):
            super()._ended(child, exit_)
            return
        if exit_.failure is not None:
            child.last_crash = exit_.failure.text
        logger.error(
            "Plugin %s failed its trial call and stays in quarantine: %s",
            child.spec.id,
            child.last_crash,
            extra=about(plugin=child.spec.id),
        )
        self._quarantine(child.spec.id, cell)

    def _quarantine(self, name: str, cell: PluginCell) -> None:
        now = self._timers.clock.monotonic()
        quarantine = self._quarantines.setdefault(name, Quarantine())
        if now - quarantine.ended_at > max(self.policy.reset_s, quarantine.length_s) and not cell.quarantined:
            quarantine.in_a_row = 0
        quarantine.in_a_row += 1
        quarantine.times += 1
        quarantine.length_s = self._quarantine_s * 2 ** min(quarantine.in_a_row - 1, DOUBLINGS)
        self._context.observer.count("plugin_quarantined", "")
        context = self._context
        crash = next((str(child.last_crash) for child in self.children if child.spec.id == name), "")
        event = PluginQuarantined(at=context.date_of(now), plugin=name, reason=crash)
        context.router.publish(event)
        cell.quarantined = True
        cell.end_trial()
        cell.drain("its plugin is quarantined")
        if self._quarantine_s > 0:
            trial = StartTrial(name, quarantine.times)
            self._timers.call_at(now + quarantine.length_s, lambda: self._tell(trial))

    def _tell(self, message: Any) -> None:
        if not self._cell.ended:
            self._cell.tell(message)

    def on_receive(self, message: Any) -> Any:
        """Release a plugin, start its trial, or handle the end of a child."""
        if type(message) is StartPlugin:
            return self._start_plugin(message.spec)
        if type(message) is RenewPlugin:
            return self._renew(message.spec)
        if type(message) is StopPlugin:
            return self._stop_plugin(message)
        if type(message) not in (ReleasePlugin, StartTrial):
            return super().on_receive(message)
        quarantine = self._quarantines.get(message.name, Quarantine())
        for child in self.children:
            if child.spec.id == message.name and message.number in (0, quarantine.times):
                return (
                    self._release(child)
                    if type(message) is ReleasePlugin
                    else self._start_trial(child, message.number)
                )
        return False

    def _start_plugin(self, spec: ChildSpec) -> None:
        child = Child(spec, spec.make(self._cell.scheduler, self._watch), self.policy)
        self.children.append(child)
        super()._restart(child)

    def _renew(self, spec: PluginSpec) -> None:
        for child in self.children:
            cell = child.cell
            if child.spec.id != spec.name or not isinstance(cell, PluginCell):
                continue
            cell.renew(spec)
            if not cell.quarantined:  # else its next trial is with the new settings
                logger.info("plugin %s is started with its new settings", spec.name)
                self._restart(child)

    def _stop_plugin(self, message: StopPlugin) -> None:
        for child in [child for child in self.children if child.spec.id == message.name]:
            child.stop()
            child.cell.end()
            self.children.remove(child)
        message.then()

    def _start_trial(self, child: Child, number: int) -> None:
        cell: Any = child.cell
        if not cell.quarantined:
            return
        name = child.spec.id
        logger.warning(
            "Plugin %s is on trial: restarted, and one trial call may pass", name, extra=about(plugin=name)
        )
        cell.begin_trial(lambda: self._tell(ReleasePlugin(name, number)))
        child.budget.total += 1
        self._restart(child)
        if cell.on_trial:
            self._context.spool.redeliver_now()  # a spooled message may be the trial call

    def _release(self, child: Child) -> bool:
        cell: Any = child.cell
        if not getattr(cell, "quarantined", False):
            return False
        logger.warning(
            "Plugin %s is released from quarantine", child.spec.id, extra=about(plugin=child.spec.id)
        )
        restarts = child.budget.total
        child.budget = Budget(self.policy)
        child.budget.total = restarts
        cell.breakers.clear()
        cell.quarantined = False
        cell.end_trial()
        self._quarantines[child.spec.id].ended_at = self._timers.clock.monotonic()
        if cell.phase is CellPhase.VACANT:
            child.budget.total += 1
            self._restart(child)
        if not cell.quarantined:
            self._context.observer.count("plugin_released", "")
            released_at = self._context.date_of(self._timers.clock.monotonic())
            self._context.router.publish(PluginReleased(at=released_at, plugin=child.spec.id))
            self._context.spool.redeliver_now()
        return True

    def quarantined(self) -> list[dict[str, Any]]:
        """List the plugins in quarantine, with their last crash."""
        return [
            {
                "plugin": child.spec.id,
                "last_crash": child.last_crash,
                "times": self._quarantines[child.spec.id].times,
            }
            for child in self.children
            if getattr(child.cell, "quarantined", False)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSpecFactory:
    """Factory of child specs for the plugins of one system."""

    system: PluginSystem
    context: SessionContext
    start_s: float
    shutdown_s: float
    breaker_policy: CircuitBreakerPolicy

    def child(self, spec: PluginSpec, *, last_resort: bool = False) -> ChildSpec:
        """Make the child spec of a plugin; its cell is added to the router when it is made."""
        context = self.context

        def make(scheduler: Any, watch: Any) -> PluginCell:
            now = context.clock.monotonic
            cell = PluginCell(scheduler, spec, self.system, watch, now, self.breaker_policy, context=context)
            # The context has a view of the routing table; here it is filled, so it is the `Router` itself.
            router: Any = context.router
            versions = [rules.version for rules in context.rules_of.values()]
            router.add_plugin(cell, versions, last_resort=last_resort)
            return cell

        shutdown_s = self.shutdown_s if spec.shutdown_s is None else spec.shutdown_s
        return ChildSpec(id=spec.name, make=make, shutdown_s=shutdown_s, start_s=self.start_s)
