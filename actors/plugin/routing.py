"""Which plugin is told of what: a table made at start, from the plugins' own declarations."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from pykka import ActorDeadError

from ...config.errors import ChargehandError
from .shadow import ShadowCall

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...protocol.actions import Action, Version
    from ..session.call import Call
    from ..session.cell import ChargePointCell
    from .cell import PluginCell
    from .plugin import PluginSpec


class ConflictingPlugins(ChargehandError, ValueError):
    """Two plugins claim the same action."""


def claimed_rows(spec: PluginSpec, versions: Iterable[Version], *, last_resort: bool = False) -> list[Action]:
    """List the rows that a plugin answers: a name means that action in every version that has it.

    Raises ValueError for a name that no version has, except for a last_resort: it is for its own versions.
    """
    versions = list(dict.fromkeys(versions))
    rows: list[Action] = []
    for action in spec.plugin.actions_of("passive"):
        found = [version.actions[action] for version in versions if action in version.actions]
        if not found and not last_resort:
            names = " or ".join(version.name for version in versions)
            raise ValueError(f"plugin {spec.name}: {action} is not an action of OCPP {names}")
        rows += found
    return rows


class Router:
    """The routing table: the row of an action to the cell of the plugin that answers it; and who hears of the rest."""

    def __init__(self) -> None:
        self.passive: dict[Action, PluginCell] = {}
        self.has_shadows = False
        self._shadows: dict[Action, list[PluginCell]] = {}
        self._outcomes: dict[str, list[PluginCell]] = {}
        self._promoted: dict[str, int] = {}  # shadows by name, in order
        self._online: list[PluginCell] = []
        self._offline: list[PluginCell] = []

    def add_plugin(self, cell: PluginCell, versions: Iterable[Version], *, last_resort: bool = False) -> None:
        """Enter a plugin's cell with all its handlers, for these versions; raises as `claimed_rows` and `add` do."""
        plugin = cell.spec.plugin
        self.add(
            cell,
            passive=claimed_rows(cell.spec, versions, last_resort=last_resort),
            outcomes=plugin.actions_of("outcome"),
            online=bool(plugin.actions_of("online")),
            offline=bool(plugin.actions_of("offline")),
            last_resort=last_resort,
        )

    def add(
        self,
        cell: PluginCell,
        *,
        passive: Iterable[Action] = (),
        outcomes: Iterable[str] = (),
        online: bool = False,
        offline: bool = False,
        last_resort: bool = False,
    ) -> None:
        """Enter a plugin's cell. `passive` are rows; `outcomes` are actions, "*" for all.

        A last_resort answers what nobody else claims. Raises `ConflictingPlugins` if another one claims an action too.
        """
        self._forget_the_dead()
        if cell.urn in self._promoted:  # before its supervisor was started again
            cell.promote()
        for row in passive:
            if cell.shadow:
                self.has_shadows = True
                self._shadows.setdefault(row, []).append(cell)
            else:
                self._claim(cell, row, last_resort=last_resort)
        for action in outcomes:
            self._outcomes.setdefault(action, []).append(cell)
        if online:
            self._online.append(cell)
        if offline:
            self._offline.append(cell)

    def _claim(self, cell: PluginCell, row: Action, *, last_resort: bool) -> None:
        other = self.passive.get(row)
        if other is None or other.ended:
            self.passive[row] = cell
            return
        mine, others = self._promoted.get(cell.urn, 0), self._promoted.get(other.urn, 0)
        if mine > others:  # the one that was promoted last answers
            self.passive[row] = cell
        elif not (last_resort or mine or others):
            raise ConflictingPlugins(
                f"{other.urn} and {cell.urn} both claim {row.name} of OCPP {row.version}"
            )

    def _forget_the_dead(self) -> None:
        for cells in (*self._shadows.values(), *self._outcomes.values(), self._online, self._offline):
            cells[:] = [cell for cell in cells if not cell.ended]

    def find(self, row: Action) -> PluginCell | None:
        """The plugin that answers an action; None if nobody does."""
        return self.passive.get(row)

    def shadows(self, row: Action) -> list[PluginCell]:
        """The plugins that are only compared for an action."""
        return self._shadows.get(row, [])

    def tell_shadows(self, call: Call[Any], cell: ChargePointCell) -> list[ShadowCall]:
        """Tell the shadow plugins of a call, as far as they take it; return their copies of it."""
        told = []
        row = call.incoming.action
        for plugin in self.shadows(row):
            if plugin.try_admit(call.ordering_key, row.name):
                shadow = ShadowCall(call, cell, plugin.urn)
                if plugin.compare(shadow):
                    told.append(shadow)
        return told

    def promote(self, cell: PluginCell) -> None:
        """Let a shadow answer from now on; who answered before does not any more. It outlives the cell."""
        self._promoted[cell.urn] = 1 + max(self._promoted.values(), default=0)
        cell.promote()
        for row, cells in self._shadows.items():
            if cell in cells:
                cells.remove(cell)
                self.passive[row] = cell

    def tell_outcome(self, action: str, fact: Any) -> None:
        """Tell whoever wants to know how calls of this action end."""
        for cell in dict.fromkeys((*self._outcomes.get(action, ()), *self._outcomes.get("*", ()))):
            _tell(cell, fact)

    def tell_online(self, fact: Any) -> None:
        """Tell whoever wants to know that a charge point has come."""
        for cell in self._online:
            _tell(cell, fact)

    def tell_offline(self, fact: Any) -> None:
        """Tell whoever wants to know that a charge point has gone."""
        for cell in self._offline:
            _tell(cell, fact)


def _tell(cell: PluginCell, fact: Any) -> None:
    if cell.quarantined and not cell.try_as_trial(fact):
        return  # it hears of nothing, and what it does not hear of does not wait for it either
    with contextlib.suppress(ActorDeadError):  # it was stopped for good
        cell.tell(fact)
