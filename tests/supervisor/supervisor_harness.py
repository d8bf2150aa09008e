"""Supervisor on a manual clock, with scripted children."""

from gevent.event import Event

from chargehand import ChildSpec, Policy, Strategy, Supervisor
from chargehand.actors.runtime.actor import Actor
from chargehand.actors.runtime.cell import Cell
from chargehand.actors.runtime.scheduler import Scheduler
from chargehand.actors.runtime.timers import Timers
from chargehand.testing import ManualClock

from ..hub import settle

EAGER = Policy(intensity=100, backoff_min_s=0.0)
SLOW = Policy(intensity=100, backoff_min_s=1.0, backoff_max_s=4.0, jitter=0.0)
STARTS = "starts"
STOPS = "stops"


class Child(Actor):
    """Notes its life, and ends as the test says. `faults` has, by name, the exception for its `on_start`."""

    def __init__(self, name, log, faults):
        super().__init__()
        self.name = name
        self.log = log
        self.faults = faults

    def on_start(self):
        if self.faults.get(self.name):
            raise self.faults[self.name].pop(0)
        self.log.append((STARTS, self.name))

    def on_stop(self):
        self.log.append((STOPS, self.name))

    def on_receive(self, message):
        if isinstance(message, Exception):
            raise message
        if isinstance(message, Event):
            message.wait()
        elif message == "stop":
            self.stop()
        return message


class SupervisorHarness:
    """Supervisor on a manual clock, with a log of its exits and restarts."""

    def __init__(self):
        self.clock = ManualClock()
        self.timers = Timers(self.clock)
        self.clock.drive(self.timers)
        self.scheduler = Scheduler(spare=0)
        self.log = []
        self.faults = {}
        self.exits = []
        self.root = None

    def spec(self, name, **options):
        return ChildSpec.of(Child, name, self.log, self.faults, id=name, **{"shutdown_s": 5.0, **options})

    def cell(self, specs, strategy=Strategy.ONE_FOR_ONE, policy=EAGER, **options):
        make = Supervisor.maker(specs, self.timers, strategy, policy, **options)
        self.root = Cell(self.scheduler, "root", make, lambda _, exit_: self.exits.append(exit_))
        return self.root

    def start(self, *names, strategy=Strategy.ONE_FOR_ONE, policy=EAGER, per_child=False, **options):
        specs = [name if isinstance(name, ChildSpec) else self.spec(name, **options) for name in names]
        self.cell(specs, strategy, policy, per_child=per_child).start()

    def child(self, name):
        return next(child for child in self.root.actor.children if child.spec.id == name)

    def tell(self, name, message):
        self.child(name).cell.tell(message)
        settle()

    def end(self, name, how):
        """Let a child end: "normal", "crash" or "kill"."""
        if how == "kill":
            self.child(name).cell.kill()
        else:
            self.child(name).cell.tell("stop" if how == "normal" else ValueError("a planted fault"))
        settle()

    def taken(self):
        log, self.log[:] = list(self.log), []
        return log

    def names(self):
        return [child.spec.id for child in self.root.actor.children]


def starts(*names):
    return [(STARTS, name) for name in names]


def stops(*names):
    return [(STOPS, name) for name in names]
