"""Facts that the parent process hands to each worker process, beside the settings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True)
class Worker:
    """Worker process: one of several that serve the same ports.

    `store_path` is the socket of the process that writes the store, empty if each process opens it itself;
    `coordinator_path` is the socket of the coordinator server. `first` is true for the process that enters the tags of
    the settings into the store; a restarted one leaves them alone. `all` is the parent's view of all processes,
    `reloads` the number of times that they were to read the files of TLS again; `reload_all` has them do it once more.
    Every `beat_s` seconds the process tells its parent that its hub runs; 0 for never.
    """

    number: int
    store_path: str
    coordinator_path: str
    first: bool
    all: Sequence[dict[str, Any]] = field(default_factory=tuple)
    reloads: int = 0
    beat_s: float = 0.0
    reload_all: Callable[[], None] | None = None
