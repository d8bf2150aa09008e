"""Record of everything that the plugins were given: the answers on the wire must agree with it.

Rule: it outlives the plugins, and holds only facts that they have noted.
"""

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Truth:
    """Facts noted by plugins. `kept` has the numbers of the handled transaction messages by charge point, in order."""

    kept: dict[str, list[int]] = field(default_factory=dict)
    starts: dict[str, list[float]] = field(default_factory=dict)  # by plugin: times of its `on_start`
    fates: dict[str, int] = field(default_factory=dict)  # misbehaviours of handlers, counted
    outcomes: dict[str, int] = field(default_factory=dict)  # by ticket id: times that its end was told

    def keep(self, charge_point_id: str, number: int) -> None:
        """Note that a plugin handled a transaction message."""
        self.kept.setdefault(charge_point_id, []).append(number)

    def started(self, plugin: str) -> None:
        """Note that a plugin started."""
        self.starts.setdefault(plugin, []).append(time.monotonic())

    def fate(self, name: str) -> None:
        """Note that a handler misbehaved."""
        self.fates[name] = self.fates.get(name, 0) + 1

    def heard(self, ticket_id: str) -> None:
        """Note that a plugin was told the end of a ticket."""
        self.outcomes[ticket_id] = self.outcomes.get(ticket_id, 0) + 1
