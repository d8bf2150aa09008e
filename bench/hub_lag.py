"""A plugin that measures how late its hub is: the longer a millisecond's sleep takes, the longer everybody waits.

    HUB_LAG=FILE python -m chargehand serve --plugin hub_lag:HubLag

What it has measured is in the file when the server has stopped. Its one rule: it does nothing else.
"""

import json
import os
import time
from pathlib import Path

import gevent

from chargehand import Plugin

STEP_S = 0.001
SETTLING_S = 6.0
"""Seconds after the start that are not counted: connections are made in them."""


class HubLag(Plugin):
    """See the head of this file."""

    def on_start(self) -> None:
        """Begin to measure."""
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
        """Write down what was found."""
        self._measuring.kill()
        Path(os.environ["HUB_LAG"]).write_text(json.dumps(self._late_ms))
