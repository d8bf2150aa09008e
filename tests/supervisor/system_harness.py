"""A whole central system on a clock that a test moves, with charge points that have no sockets."""

import gevent

from chargehand import CentralSystem, DeadlineSettings, SessionSettings, Settings, SupervisionSettings
from chargehand.testing import ManualClock, MemoryConnection

from ..hub import settle

DEADLINE_S = 10.0


class SystemHarness:
    """Central system on a clock that a test moves; `supervision` and `sessions` are settings."""

    def __init__(self, *specs, store=None, sessions=None, **supervision):
        self.clock = ManualClock()
        self.system = CentralSystem(
            Settings(
                port=0,
                deadlines=DeadlineSettings(default_s=DEADLINE_S),
                sessions=SessionSettings(ping_interval_s=0, close_timeout_s=0.05, **(sessions or {})),
                supervision=SupervisionSettings(**supervision),
            ),
            plugins=specs,
            store=store,
            clock=self.clock,
        )

    def __enter__(self):
        self.system.start()
        self.clock.drive(self.system._parts.timers)
        return self

    def __exit__(self, *_):
        self.system.stop()
        settle()

    def connect(self, id_="CP1"):
        """Connect a charge point; return its end of the connection."""
        connection = MemoryConnection(settle=settle)
        connection.receiver = self.system._parts.sessions.attach(id_, "", connection)
        settle()
        return connection

    def cell(self, id_="CP1"):
        return self.system._parts.directory.find(id_)

    def advance(self, seconds):
        self.clock.advance(seconds, settle)
        settle()

    def count(self, name):
        return self.system.counters.counts.get(name, 0)

    def plugin(self, name):
        return self.system._parts.operations.plugin_cell(name)

    def described(self, name):
        """Return the row of a plugin in the supervision tree."""
        (plugins, *_) = self.system.describe()["children"]
        (row,) = (row for row in plugins["children"] if row["id"] == name)
        return row

    def live(self, coroutine):
        """Run a blocking function while the hub goes on, and return its value."""
        greenlet = gevent.spawn(coroutine)
        settle()
        return greenlet.get(timeout=60)
