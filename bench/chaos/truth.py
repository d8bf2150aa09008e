"""What the plugins were given: the truth that the answers on the wire must agree with.

The one rule: it outlives the plugins, and holds nothing but facts that they have noted.
"""

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Truth:
    """`kept` has, by charge point, the numbers of the transaction messages that a plugin dealt with, in that order."""

    kept: dict[str, list[int]] = field(default_factory=dict)
    starts: dict[str, list[float]] = field(default_factory=dict)  # by plugin: when its `on_start` ran
    fates: dict[str, int] = field(default_factory=dict)  # how handlers misbehaved, and how often
    outcomes: dict[str, int] = field(
        default_factory=dict
    )  # how often the end of a ticket was heard, by its id

    def keep(self, charge_point_id: str, number: int) -> None:
        """A plugin has a transaction message."""
        self.kept.setdefault(charge_point_id, []).append(number)

    def started(self, plugin: str) -> None:
        """A plugin has started."""
        self.starts.setdefault(plugin, []).append(time.monotonic())

    def fate(self, name: str) -> None:
        """A handler misbehaved."""
        self.fates[name] = self.fates.get(name, 0) + 1

    def heard(self, ticket_id: str) -> None:
        """A plugin heard how a ticket ended."""
        self.outcomes[ticket_id] = self.outcomes.get(ticket_id, 0) + 1
