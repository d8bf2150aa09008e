"""A plugin with a database that goes away and comes back, and what its supervisor makes of that.

Run it:    python examples/database.py
The plugin does not reconnect, retry or catch anything: it connects in `on_start`, and crashes.
"""

import logging
import sqlite3
import tempfile
import time
from pathlib import Path

import gevent

from chargehand import (
    Call,
    CentralSystem,
    DeadlineSettings,
    Plugin,
    Settings,
    SupervisionSettings,
    passive,
    v16,
)
from chargehand.simulator import CallFailed, ChargePoint


class Tags(Plugin):
    """Looks id tags up in a database. The whole plugin is blocking: it lives in native threads."""

    def __init__(self, path: Path) -> None:  # runs again at each restart, but connects to nothing yet
        super().__init__()
        self.path = path

    def on_start(self) -> None:
        """Connect, or fail: then the supervisor tries again, later and later."""
        self.database = sqlite3.connect(
            f"file:{self.path}?mode=rw", uri=True, check_same_thread=False, timeout=1
        )
        self.database.execute("SELECT 1 FROM tags")

    def on_stop(self) -> None:
        """Hang up."""
        self.database.close()

    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]) -> dict[str, object]:
        """Look the tag up; whatever that raises is this call's failure, and the fallback answers."""
        if not self.path.exists():  # a server would have closed the connection
            raise ConnectionError("the database is away")
        row = self.database.execute("SELECT status FROM tags WHERE id = ?", (call.request.id_tag,)).fetchone()
        return {"idTagInfo": {"status": row[0] if row else "Invalid"}}


SETTINGS = Settings(
    port=0,
    deadlines=DeadlineSettings(default_s=5),
    supervision=SupervisionSettings(
        intensity=2,  # restarts in a row, before it is quarantined
        failing_charge_points=1,  # one charge point that it fails for is enough here
        handler_failures=1,
        trial_call_s=0.1,
        quarantine_s=0.5,
    ),
)


def answer(charge_point: ChargePoint) -> str:
    """Ask for a tag, and return what came: the plugin's answer, or the fallback's."""
    try:
        return str(charge_point.send(v16.Authorize(id_tag="T1")).id_tag_info.status)
    except CallFailed:
        return "fallback answer"


def main() -> None:
    """Take the database away, and bring it back."""
    logging.basicConfig(level=logging.CRITICAL)  # ERROR shows every crash with its reason
    with tempfile.TemporaryDirectory() as folder:
        path, away = Path(folder, "tags.db"), Path(folder, "away.db")
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE tags (id TEXT PRIMARY KEY, status TEXT)")
            database.execute("INSERT INTO tags VALUES ('T1', 'Accepted')")
        database.close()
        plugins = [Tags.spec(path, blocking=True, threads=4)]
        with (
            CentralSystem(SETTINGS, plugins=plugins) as system,
            ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp/", "CP1") as charge_point,
        ):
            print("the database is there:  ", answer(charge_point))

            path.rename(away)
            print("it has gone away:       ", answer(charge_point))
            while not system.quarantined():  # it crashes, is restarted, cannot connect, and is given a rest
                answer(charge_point)
                gevent.sleep(0.05)
            print("the plugin is:          ", "quarantined")
            began = time.monotonic()
            answered = answer(charge_point)
            print("nobody waits for it:    ", answered, "at once" if time.monotonic() - began < 1 else "late")

            away.rename(path)
            while answer(charge_point) != "Accepted":  # after the quarantine one trial call is let through
                gevent.sleep(0.05)
            print("it is back:             ", answer(charge_point))
            while system.quarantined():
                gevent.sleep(0.05)
            print("plugins in quarantine:  ", len(system.quarantined()))


if __name__ == "__main__":
    main()
