"""Fallbacks to test with, for chargehand's own tests and for those of its users.

`Stage` runs plugins and charge points without sockets, on a `ManualClock`; `MemoryConnection` is a charge point's
connection with both ends in the test; `Recording` plays a recorded conversation on a stage; `StubStore` is a store that
fails and waits on demand.
"""

from .clock import ManualClock
from .connection import MemoryConnection
from .recording import Recording
from .stage import Stage
from .store import StubStore

__all__ = ["ManualClock", "MemoryConnection", "Recording", "Stage", "StubStore"]
