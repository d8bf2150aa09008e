"""Leases of plugins of which one instance runs among all processes: claims of the coordinator, as on charge points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gevent

from .coordinator import CoordinatorUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from .coordinator import Coordinator

PREFIX = "\x1fplugin/"
"""Prefix of the name of a plugin among the ids of charge points, which have no control character."""


class PluginLeases:
    """Leases of this process. `lost` is called with the name of a plugin that must not run here any more."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._held: dict[str, int] = {}
        self.lost: Callable[[str], None] = lambda _: None

    def take(self, name: str) -> bool:
        """Take the lease of a plugin that no living process has; return whether it may run. Switches greenlets."""
        key = PREFIX + name
        try:
            if self._coordinator.find(key) not in ("", self._coordinator.node):
                return False
            claim = self._coordinator.claim(key)
        except CoordinatorUnavailable:
            return False
        self._held[name] = claim.epoch
        if claim.wait_s > 0:
            gevent.sleep(claim.wait_s)
        return self._coordinator.held and self._held.get(name) == claim.epoch

    def release(self, name: str) -> None:
        """Give a lease back, if this process has it."""
        epoch = self._held.pop(name, None)
        if epoch is not None:
            self._coordinator.release(PREFIX + name, epoch)

    def fenced(self, key: str, epoch: int) -> None:
        """Handle that another process has taken a lease with this epoch."""
        name = key.removeprefix(PREFIX)
        held = self._held.get(name)
        if held is not None and held < epoch:
            del self._held[name]
            self.lost(name)

    def suspend(self) -> None:
        """Handle the loss of this node's own lease: others may run the plugins."""
        names = list(self._held)
        self._held.clear()
        for name in names:
            self.lost(name)
