"""Plugin that reads the meter at the grid connection of a depot, and reports it to load management.

A meter that speaks another protocol takes the place of the file, which another program writes: `{"L1": 41.5, ...}`.
"""

import json
from pathlib import Path

from chargehand import Plugin

EVERY_S = 10.0


class SiteMeter(Plugin):
    """Reader of the meter of a site."""

    def __init__(self, file: str, site: str = "depot") -> None:
        super().__init__()
        self.file = Path(file)
        self.site = site

    def on_start(self) -> None:
        """Read it from now on."""
        self.read()

    def read(self) -> None:
        """Read it, and again later."""
        self.call_later(EVERY_S, self.read)
        self.system.report_meter(self.site, json.loads(self.file.read_text()))
