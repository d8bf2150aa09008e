"""Bounds of charge points in the store: what each may draw, for the next instance of the plugin, wherever it runs.

Each instance writes records of its own, so that none hides what another one has sent; the first limit that a charge
point confirms replaces those of earlier instances.

The one rule: a higher bound is durable before the limit is sent.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from ... import PluginFact

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from ... import Receipt, Store

STORE_S = 30.0
"""Seconds that the store has to make a bound durable, or the limit is not sent."""


class BoundRecords:
    """Records of one instance of a plugin; instances are in order of their start.

    `heard` is called with the charge point and the bound of a record of another instance, and whether that is a later
    one: then this instance is none any more.
    """

    def __init__(
        self, store: Store, plugin: str, now: dt.datetime, heard: Callable[[str, int | None, bool], object]
    ) -> None:
        self._facts = store.collections.plugin_facts
        self._plugin = plugin
        self._heard = heard
        store.follow_now().wait(STORE_S)
        others = [one.name for one in self._facts if one.plugin == plugin]
        stamp = max([int(now.timestamp() * 1000), *(int(name.partition("-")[0], 16) + 1 for name in others)])
        self._instance = f"{stamp:012x}-{secrets.token_hex(4)}"
        self.end: Callable[[], None] = self._facts.watch(self._entered)

    def bound_of(self, charge_point_id: str) -> int | None:
        """Return the highest bound that any instance has stored; None if nobody knows."""
        bounds = [self._tenths(one) for one in self._of(charge_point_id)]
        return None if None in bounds else max((one for one in bounds if one is not None), default=None)

    def put(self, charge_point_id: str, tenths: int | None) -> Receipt:
        """Store a bound, None for all that the charge point can draw."""
        return self._facts.put(
            PluginFact(
                plugin=self._plugin,
                name=self._instance,
                charge_point_id=charge_point_id,
                data={"tenths_a": tenths},
            )
        )

    def put_confirmed(self, charge_point_id: str, tenths: int | None) -> None:
        """Store the bound of a limit that was confirmed, in the place of those of earlier instances."""
        before = self._of(charge_point_id)
        known = [self._tenths(one) for one in before if one.name == self._instance]
        if known != [tenths]:
            self.put(charge_point_id, tenths)
        for one in before:
            if one.name < self._instance:
                self._facts.remove(self._facts.key(one))

    def forget(self, charge_point_ids: set[str]) -> None:
        """Remove the records of charge points but these: they belong to no site any more."""
        for one in self._facts:
            if one.plugin == self._plugin and one.charge_point_id not in charge_point_ids:
                self._facts.remove(self._facts.key(one))

    def _of(self, charge_point_id: str) -> list[PluginFact]:
        return [one for one in self._facts.of(charge_point_id) if one.plugin == self._plugin]

    @staticmethod
    def _tenths(fact: PluginFact) -> int | None:
        told = fact.data.get("tenths_a")
        return told if isinstance(told, int) else None

    def _entered(self, fact: PluginFact) -> None:
        if fact.plugin == self._plugin and fact.name != self._instance:
            self._heard(fact.charge_point_id, self._tenths(fact), fact.name > self._instance)
