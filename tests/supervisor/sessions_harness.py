"""Sessions and their supervisor without sockets, and the fault that tests plant."""

from chargehand import Policy, v16
from chargehand.actors.runtime.cell import Cell
from chargehand.actors.session.context import NoHost
from chargehand.actors.session.directory import Directory
from chargehand.actors.session.messages import SendCommand
from chargehand.actors.session.tickets import Ticket
from chargehand.supervisor.sessions import Sessions, SessionSupervisor
from chargehand.testing import ManualClock, MemoryConnection, Stage, StubStore

from ..actors.messages_of_v16 import PASSIVE
from ..actors.recording_plugin import RecordingPlugin
from ..hub import settle

TIME_ANSWER = {"currentTime": "2026-01-01T00:00:00Z"}
POLICY = Policy(intensity=3, period_s=5.0, backoff_min_s=1.0, jitter=0.0, reset_s=60.0)
CRASH = '"crash"'


class DirectoryHost(NoHost):
    """Host that tells the directory of disconnections."""

    def __init__(self, directory, clock):
        self._directory, self._clock = directory, clock

    def went_offline(self, charge_point, code, reason):
        self._directory.note_offline(charge_point.id, self._clock.monotonic())


class SessionsHarness:
    """Sessions and their supervisor, on a stage that has the plugins, the clock and the store."""

    def __init__(self, way, log):
        self.store = StubStore()
        self.clock = ManualClock()
        self.directory = Directory()
        host = DirectoryHost(self.directory, self.clock)
        self.stage = Stage(RecordingPlugin.spec(way, log), store=self.store, clock=self.clock, host=host)
        self.stage.start()
        context = self.stage.context
        self.known = {}
        self.sessions = Sessions(
            context,
            self.directory,
            keep_offline_s=100.0,
            keep_unbooted=3,
            close_timeout_s=0.05,
            registration_of=self.known.get,
            id_prefix="harness",
        )
        self.exits = []
        make = SessionSupervisor.maker(self.sessions, POLICY)
        self.supervisor = Cell(context.scheduler, "sessions", make, lambda _, exit_: self.exits.append(exit_))
        self.supervisor.start()

    def connect(self, id_="CP1"):
        connection = MemoryConnection(settle=settle)
        connection.receiver = self.sessions.attach(id_, "", connection)
        settle()
        return connection

    def cell(self, id_="CP1"):
        return self.directory.find(id_)

    def call(self, id_="CP1", **options):
        clock = self.clock
        ticket = Ticket(
            f"t-{len(id_)}-{clock.time()}",
            id_,
            "GetLocalListVersion",
            v16.GetLocalListVersion(),
            b"{}",
            **{"timeout_s": 60.0, "created_at": clock.time(), **options},
        )
        self.cell(id_).tell(SendCommand(ticket))
        settle()
        return ticket

    def advance(self, seconds):
        self.clock.advance(seconds, settle)
        settle()

    def count(self, name):
        return self.stage.counts[name]

    def close(self):
        self.supervisor.ref.stop(block=False)
        if not self.supervisor.join(60):
            self.supervisor.kill()
        self.supervisor.end()
        for cell in self.directory:
            self.sessions.let_go(cell)
        self.stage.stop()


def crash(charge_point, action="Heartbeat", payload=None, unique_id="crash"):
    return charge_point.call(action, PASSIVE[action] if payload is None else payload, unique_id)
