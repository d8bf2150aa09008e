"""Actor that executes scripted messages, and a harness for cells."""

from gevent.event import Event

from chargehand.actors.runtime.actor import Actor
from chargehand.actors.runtime.cell import Cell
from chargehand.actors.runtime.scheduler import Scheduler

from ..hub import until


class RecordingActor(Actor):
    """Notes its starts, messages and ends in a list that outlives it."""

    def __init__(self, log):
        super().__init__()
        self.log = log

    def on_start(self):
        self.log.append("on_start")

    def on_stop(self):
        self.log.append("on_stop")

    def on_failure(self, kind, error, traceback):
        self.log.append(("on_failure", kind))

    def on_killed(self):
        self.log.append("on_killed")


class ScriptedActor(RecordingActor):
    """Executes scripted messages, and notes them too."""

    def __init__(self, log, number=0):
        super().__init__(log)
        log.append("init")

    def on_receive(self, message):
        if isinstance(message, BaseException):
            raise message
        if isinstance(message, Event):
            self.log.append("blocked")
            message.wait()
            self.log.append("unblocked")
        elif callable(message):
            return message(self)
        else:
            self.log.append(message)
        return message


class CellHarness:
    """Scheduler, cells on it, and the exits that a watcher saw."""

    def __init__(self):
        self.scheduler = Scheduler(spare=0)
        self.log = []
        self.exits = []
        self.cells = []

    def cell(self, actor=ScriptedActor, *arguments, watched=True):
        make = actor.maker(self.log, *arguments)
        cell = Cell(self.scheduler, "probe", make, self.watch if watched else None)
        self.cells.append(cell)
        return cell

    def watch(self, cell, exit_):
        self.exits.append(exit_)

    def started(self, actor=ScriptedActor, *arguments, watched=True):
        cell = self.cell(actor, *arguments, watched=watched)
        cell.start()
        return cell


def last_ending(cell_harness):
    return until(lambda: cell_harness.exits)[-1].ending
