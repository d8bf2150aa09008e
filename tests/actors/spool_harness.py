"""Stage with a redelivery actor, and functions for the handler of its plugin."""

from chargehand.actors.plugin.redelivery import Redelivery
from chargehand.actors.runtime.cell import Cell
from chargehand.testing import Stage, StubStore

from ..faults import PlantedFault
from .messages_of_v16 import METER_VALUES, STOP
from .recording_plugin import RecordingPlugin

DELAY_S, DELAY_MAX_S, ATTEMPTS = 1.0, 8.0, 4
DEADLINE_S = 10.0
CONF = {"StartTransaction": {"idTagInfo": {"status": "Accepted"}, "transactionId": 1}}


def fail(call):
    raise PlantedFault


def answer(call):
    return CONF.get(call.action, {})


class SpoolHarness:
    """Stage with a redelivery actor. `handle(call)` is the plugin's handler; `seen` are the calls that it was given.

    `elsewhere` are charge points whose messages another process redelivers.
    """

    def __init__(self, store=None):
        self.handle = answer
        self.seen = []
        self.store = store or StubStore()
        self.stage = Stage(
            RecordingPlugin.spec([lambda: self.handle(self.seen[-1])], self.seen), store=self.store
        )
        self.stage.start()
        context = self.context = self.stage.context
        self.known = True
        self.elsewhere = set()
        self.exits = []
        make = Redelivery.maker(
            context,
            self.stage.spool,
            self,
            delay_s=DELAY_S,
            delay_max_s=DELAY_MAX_S,
            attempts=ATTEMPTS,
            redelivered_here=lambda found: set(found) - self.elsewhere,
        )
        self.cell = Cell(context.scheduler, "redelivery", make, lambda _, exit_: self.exits.append(exit_))
        self.cell.start()

    def find(self, charge_point_id):
        """Return the cell of a charge point, as a directory does."""
        return self.stage.cells.get(charge_point_id) if self.known else None

    def advance(self, seconds):
        self.stage.advance(seconds)

    @property
    def redelivered(self):
        """Unique ids of the redelivered calls, in order."""
        return [call.unique_id for call in self.seen if call.redelivered]

    @property
    def spooled(self):
        return [record.unique_id for record in self.store.spooled()]

    def count(self, name):
        return self.stage.counts[name]

    def close(self):
        self.cell.kill()
        self.cell.end()
        self.stage.stop()


def stop(number):
    return {**STOP, "meterStop": number}


def spool(spool_harness, charge_point, *ids, action="MeterValues", payload=METER_VALUES):
    """Have a fallback acknowledge calls with these ids."""
    handle, spool_harness.handle = spool_harness.handle, fail
    for unique_id in ids:
        assert charge_point.call(action, payload, unique_id)[0] == 3
    spool_harness.handle = handle


def only(unique_id):
    """Return a handler that fails for one message and accepts the others."""
    return lambda call: fail(call) if call.unique_id == unique_id else answer(call)
