"""Which plugin is told of what: a table made at start, from the plugins' own declarations."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from pykka import ActorDeadError

from ...config.errors import ChargehandError
from .shadow import ShadowCall

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..session.call import Call
    from ..session.cell import ChargePointCell
    from .cell import PluginCell


class ConflictingPlugins(ChargehandError, ValueError):
    """Two plugins claim the same action."""


class Router:
    """The routing table: (version, action) to the cell of the plugin that answers it; and who hears of the rest."""

    def __init__(self) -> None:
        self.passive: dict[tuple[str, str], PluginCell] = {}  # who answers (version, action)
        self.has_shadows = False
        self._shadows: dict[tuple[str, str], list[PluginCell]] = {}
        self._outcomes: dict[str, list[PluginCell]] = {}
        self._promoted: dict[str, int] = {}  # shadows by name, in order
        self._online: list[PluginCell] = []
        self._offline: list[PluginCell] = []

    def add(
        self,
        cell: PluginCell,
        *,
        passive: Iterable[tuple[str, str]] = (),
        outcomes: Iterable[str] = (),
        online: bool = False,
        offline: bool = False,
        last_resort: bool = False,
    ) -> None:
        """Enter a plugin's cell. `passive` are (version, action); `outcomes` are actions, "*" for all.

        A last_resort answers what nobody else claims. Raises `ConflictingPlugins` if another one claims an action too.
        """
        self._forget_the_dead()
        if cell.urn in self._promoted:  # before its supervisor was started again
            cell.promote()
        for key in passive:
            if cell.shadow:
                self.has_shadows = True
                self._shadows.setdefault(key, []).append(cell)
            else:
                self._claim(cell, key, last_resort=last_resort)
        for action in outcomes:
            self._outcomes.setdefault(action, []).append(cell)
        if online:
            self._online.append(cell)
        if offline:
            self._offline.append(cell)

    def _claim(self, cell: PluginCell, key: tuple[str, str], *, last_resort: bool) -> None:
        other = self.passive.get(key)
        if other is None or other.is_set():
            self.passive[key] = cell
            return
        mine, others = self._promoted.get(cell.urn, 0), self._promoted.get(other.urn, 0)
        if mine > others:  # the one that was promoted last answers
            self.passive[key] = cell
        elif not (last_resort or mine or others):
            raise ConflictingPlugins(f"{other.urn} and {cell.urn} both claim {key[1]} of OCPP {key[0]}")

    def _forget_the_dead(self) -> None:
        for cells in (*self._shadows.values(), *self._outcomes.values(), self._online, self._offline):
            cells[:] = [cell for cell in cells if not cell.is_set()]

    def find(self, version: str, action: str) -> PluginCell | None:
        """The plugin that answers an action; None if nobody does."""
        return self.passive.get((version, action))

    def shadows(self, version: str, action: str) -> list[PluginCell]:
        """The plugins that are only compared for an action."""
        return self._shadows.get((version, action), [])

    def tell_shadows(self, call: Call[Any], cell: ChargePointCell) -> list[ShadowCall]:
        """Tell the shadow plugins of a call, as far as they take it; return their copies of it."""
        told = []
        action = call.incoming.action.name
        for plugin in self.shadows(cell.session.rules.version.name, action):
            if plugin.ready(call.ordering_key, action):
                shadow = ShadowCall(call, cell, plugin.urn)
                if plugin.compare(shadow):
                    told.append(shadow)
        return told

    def promote(self, cell: PluginCell) -> None:
        """Let a shadow answer from now on; who answered before does not any more. It outlives the cell."""
        self._promoted[cell.urn] = 1 + max(self._promoted.values(), default=0)
        cell.promote()
        for key, cells in self._shadows.items():
            if cell in cells:
                cells.remove(cell)
                self.passive[key] = cell

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
    if cell.quarantined and not cell.takes_for_probe(fact):
        return  # it hears of nothing, and what it does not hear of does not wait for it either
    with contextlib.suppress(ActorDeadError):  # it was stopped for good
        cell.tell(fact)
