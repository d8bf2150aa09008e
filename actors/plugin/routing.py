"""Routing table: plugins by action and event, made at start from the plugins' declarations."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pykka import ActorDeadError

from ...config.errors import ChargehandError
from ...protocol.events import OF_CONNECTIONS, DomainEvent
from .shadow import ShadowCall

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...protocol.actions import Action, Version
    from ..session.call import Call
    from ..session.cell import ChargePointCell
    from .cell import PluginCell
    from .plugin import PluginSpec


logger = logging.getLogger(__name__)

Listener = Callable[[DomainEvent], None]
"""Function that is told of live events."""


class UnknownHandler(ChargehandError, ValueError):
    """A plugin has a handler for an action that no version of the system has."""


def claimed_rows(
    spec: PluginSpec, versions: Iterable[Version], kind: str = "passive", *, last_resort: bool = False
) -> list[Action]:
    """List the rows that a plugin has handlers of a kind for.

    A name means that action in every version that has it, a request of one version only that one. Raises
    `UnknownHandler` for a name that no version has, except for a last_resort, which serves its own versions.
    """
    versions = list(dict.fromkeys(versions))
    rows: list[Action] = []
    for found_kind, action, name in spec.plugin.handlers:
        if found_kind != kind:
            continue
        having = [version for version in versions if action in version.actions]
        found = [version.actions[action] for version in having if name in ("", version.name)]
        if not having and not last_resort:
            names = " or ".join(version.name for version in versions)
            raise UnknownHandler(f"plugin {spec.name}: {action} is not an action of OCPP {names}")
        rows += found
    return list(dict.fromkeys(rows))


class Router:
    """Routing table: the row of an action to the plugins that answer it, in order, and who hears of the rest.

    `passive` has the first plugin of each row, `after` those that look at its answers, `listeners` has who is told of
    live events, by kind. `watched` is true if anybody looks at answers, or at events that may be of one. `consumers`
    has the plugins that handle durable events, by name, `authenticators` those that decide who may connect, in order.
    """

    def __init__(self) -> None:
        self.passive: dict[Action, PluginCell] = {}
        self.after: dict[Action, list[PluginCell]] = {}
        self.listeners: dict[type[DomainEvent], list[Listener]] = {}
        self.watched = False
        self.consumers: dict[str, PluginCell] = {}
        self.authenticators: dict[str, PluginCell] = {}
        self.has_shadows = False
        self._chains: dict[Action, dict[str, PluginCell]] = {}  # by name, the back office last
        self._shadows: dict[Action, list[PluginCell]] = {}
        self._outcomes: dict[str, list[PluginCell]] = {}
        self._promoted: dict[str, int] = {}  # shadows by name, in order
        self._by_name: dict[str, PluginCell] = {}

    def add_plugin(self, cell: PluginCell, versions: Iterable[Version], *, last_resort: bool = False) -> None:
        """Enter a plugin's cell with all its handlers, for these versions; raises as `claimed_rows` and `add` do."""
        plugin = cell.spec.plugin
        self._by_name[cell.urn] = cell
        if plugin.actions_of("authenticate") and not cell.shadow:
            self.authenticators[cell.urn] = cell  # in its old place, if it is started again
        self.add(
            cell,
            passive=claimed_rows(cell.spec, versions, last_resort=last_resort),
            outcomes=plugin.actions_of("outcome"),
            after=claimed_rows(cell.spec, versions, "after", last_resort=last_resort),
            events=plugin.events_heard(),
            consumes=bool(plugin.durable_events_heard()),
            last_resort=last_resort,
        )

    def plugin(self, name: str) -> PluginCell | None:
        """Find a plugin by its name; None if there is none, or it has ended."""
        cell = self._by_name.get(name)
        return None if cell is None or cell.ended else cell

    def add(
        self,
        cell: PluginCell,
        *,
        passive: Iterable[Action] = (),
        outcomes: Iterable[str] = (),
        after: Iterable[Action] = (),
        events: Iterable[type[DomainEvent]] = (),
        consumes: bool = False,
        last_resort: bool = False,
    ) -> None:
        """Enter a plugin's cell. `passive` and `after` are rows; `outcomes` are actions, "*" for all.

        One that `consumes` handles durable events, which a shadow does not.

        Of several plugins that answer an action the first that was entered has the calls, and may pass them on to the
        next. What a plugin takes from a last_resort is logged in a line.
        """
        self._remove_ended()
        if cell.urn in self._promoted:  # promoted before its supervisor was restarted
            cell.promote()
        for row in passive:
            if cell.shadow:
                self.has_shadows = True
                self._shadows.setdefault(row, []).append(cell)
            else:
                self._claim(cell, row, last_resort=last_resort)
        for action in outcomes:
            self._outcomes.setdefault(action, []).append(cell)
        for row in after:
            self.after.setdefault(row, []).append(cell)
        if consumes and not cell.shadow:
            self.consumers[cell.urn] = cell
        for kind in events:
            self.listen(kind, cell.hear)
        self.watched = self._watches()

    def listen(self, kind: type[DomainEvent], listener: Listener) -> None:
        """Tell a listener of live events of a kind, in the hub, from now on. It must be fast and must not raise."""
        self.listeners.setdefault(kind, []).append(listener)
        self.watched = self._watches()

    def _watches(self) -> bool:
        return bool(self.after) or any(kind not in OF_CONNECTIONS for kind in self.listeners)

    def unlisten(self, kind: type[DomainEvent], listener: Listener) -> None:
        """Tell a listener no more."""
        listeners = self.listeners.get(kind, [])
        if listener in listeners:
            listeners.remove(listener)
        if not listeners:
            self.listeners.pop(kind, None)
        self.watched = self._watches()

    def watch(
        self, cell: PluginCell, after: Iterable[Action] = (), events: Iterable[type[DomainEvent]] = ()
    ) -> None:
        """Have a plugin see the answers of these rows and these live events from now on, and no others."""
        for row, cells in list(self.after.items()):
            if cell in cells:
                cells.remove(cell)
            if not cells:
                del self.after[row]
        for kind in list(self.listeners):
            self.unlisten(kind, cell.hear)
        for row in after:
            self.after.setdefault(row, []).append(cell)
        for kind in events:
            self.listen(kind, cell.hear)
        self.watched = self._watches()

    def publish(self, event: DomainEvent) -> None:
        """Tell those who listen to a live event."""
        for listener in list(self.listeners.get(type(event), ())):
            listener(event)

    def _claim(self, cell: PluginCell, row: Action, *, last_resort: bool) -> None:
        chain = self._chains.setdefault(row, {})
        first = next(iter(chain.values()), None)
        chain[cell.urn] = cell  # in its old place, if it is started again
        if last_resort and first is not None and first is not cell:
            logger.info("%s is answered by %s, in the place of %s", row.name, first.urn, cell.urn)
        cells = self._in_order(row)
        self.passive[row] = next((one for one in cells if not one.ended), cells[0])

    def _in_order(self, row: Action) -> list[PluginCell]:
        """List the plugins of a row: the one that was promoted last first, else as they were entered."""
        cells = self._chains.get(row, {}).values()
        return sorted(cells, key=lambda cell: -self._promoted.get(cell.urn, 0))

    def next_of(self, row: Action, cell: PluginCell) -> PluginCell | None:
        """Find the plugin that follows another one; None if there is none."""
        cells = self._in_order(row)
        place = cells.index(cell) + 1 if cell in cells else len(cells)
        return next((following for following in cells[place:] if not following.ended), None)

    def _remove_ended(self) -> None:
        for cells in (*self._shadows.values(), *self._outcomes.values(), *self.after.values()):
            cells[:] = [cell for cell in cells if not cell.ended]
        for listeners in self.listeners.values():
            listeners[:] = [
                one for one in listeners if not getattr(getattr(one, "__self__", None), "ended", False)
            ]

    def find(self, row: Action) -> PluginCell | None:
        """Return the plugin that answers an action; None if none does."""
        return self.passive.get(row)

    def shadows(self, row: Action) -> list[PluginCell]:
        """Return the shadow plugins of an action."""
        return self._shadows.get(row, [])

    def tell_shadows(self, call: Call[Any], cell: ChargePointCell) -> list[ShadowCall]:
        """Tell the shadow plugins of a call, unless their backlog is full; return their copies of it."""
        told = []
        row = call.incoming.action
        for plugin in self.shadows(row):
            if plugin.try_admit(call.ordering_key, row.name):
                shadow = ShadowCall(call, cell, plugin.urn)
                if plugin.compare(shadow):
                    told.append(shadow)
        return told

    def promote(self, cell: PluginCell) -> None:
        """Make a shadow answer in place of the plugin that did. Holds over restarts of the cell."""
        self._promoted[cell.urn] = 1 + max(self._promoted.values(), default=0)
        cell.promote()
        for row, cells in self._shadows.items():
            if cell in cells:
                cells.remove(cell)
                self._chains.setdefault(row, {})[cell.urn] = cell
                self.passive[row] = cell

    def tell_outcome(self, action: str, fact: Any, *, elsewhere: bool = False) -> None:
        """Tell the plugins that listen how commands of this action end.

        One that ended `elsewhere`, at another node, is not told to plugins that have heard of it there.
        """
        for cell in dict.fromkeys((*self._outcomes.get(action, ()), *self._outcomes.get("*", ()))):
            if not (elsewhere and cell.spec.plugin.outcomes_once):
                _tell(cell, fact)

    def tell_answer(self, fact: Any) -> None:
        """Tell the plugins that look at answers of this row which one was sent."""
        for cell in self.after.get(fact.call.incoming.action, ()):
            if cell.quarantined and not cell.try_as_trial(fact):
                continue
            cell.tell_event(fact)


def _tell(cell: PluginCell, fact: Any) -> None:
    if cell.quarantined and not cell.try_as_trial(fact):
        return  # events are not kept for a plugin in quarantine
    with contextlib.suppress(ActorDeadError):  # the plugin has stopped for good
        cell.tell(fact)
