"""Plugin that measures how late its hub is: the excess of a millisecond's sleep is the delay of every greenlet.

    HUB_LAG=FILE python -m chargehand serve --plugin hub_lag:HubLag

The measurements are written to the file when the server stops.
"""

import json
import os
import time
from pathlib import Path

import gevent

from chargehand import Plugin

STEP_S = 0.001
SETTLING_S = 6.0
"""Seconds after the start that are not counted, for the connections to be made."""


class HubLag(Plugin):
    """Measures the delay of the hub and writes a summary when it stops."""

    def on_start(self) -> None:
        """Start to measure."""
        self._late_ms: list[float] = []
        self._measuring = gevent.spawn(self._measure)

    def _measure(self) -> None:
        begun = time.perf_counter()
        while True:
            before = time.perf_counter()
            gevent.sleep(STEP_S)
            after = time.perf_counter()
            if after - begun > SETTLING_S:
                self._late_ms.append(1000 * (after - before - STEP_S))

    def on_stop(self) -> None:
        """Write the measurements."""
        self._measuring.kill()
        Path(os.environ["HUB_LAG"]).write_text(json.dumps(self._late_ms))
