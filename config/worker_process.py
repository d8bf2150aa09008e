"""What the parent of several workers hands to each of them, beside the settings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True)
class Worker:
    """One of several processes that serve the same ports.

    `store_path` is the socket of the process that writes, empty if each has its own way to the store; `coordinator_path`
    that of the broker between them. `first` says that the tags of the settings are to be entered into the store: one
    that is started again leaves what was changed since. `all` is the parent's picture of all of them, kept up to date.
    """

    number: int
    store_path: str
    coordinator_path: str
    first: bool
    all: Sequence[dict[str, Any]] = field(default_factory=tuple)
