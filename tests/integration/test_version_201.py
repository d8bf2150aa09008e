"""Every message of OCPP 2.0.1 with a station that is made with PyPI `ocpp`, which judges what it receives."""

import json
from pathlib import Path
from queue import Empty

import pytest

from chargehand import CentralSystem, Plugin, Settings, passive, v201
from chargehand.protocol.actions import Sender
from chargehand.store.memory import MemoryStore

from ..hub import until
from .process import StepProcess
from .smallest import smallest_payload

CLIENT = Path(__file__).parent / "client201.py"
COMMANDS = [row.name for row in v201.VERSION.sent_by(Sender.CENTRAL_SYSTEM)]


def answering(row):
    @passive(row.request)
    def handle(_self, _call):
        return smallest_payload(f"{row.name}Response")

    return handle


AnsweringPlugin = type(
    "AnsweringPlugin",
    (Plugin,),
    {row.name: answering(row) for row in v201.VERSION.sent_by(Sender.CHARGE_POINT)},
)


def steps_until(station, step):
    """Let the hub run until the station has printed a step."""

    def seen():
        try:
            line = station._lines.get_nowait()
        except Empty:
            return None
        assert line is not None, "".join(station.printed)
        station.printed.append(line)
        if line.startswith('{"step"'):
            station.steps.append(json.loads(line))
            return station.steps[-1]["step"] == step
        return None

    until(seen, f"the step {step}")


@pytest.mark.slow
def test_every_message_is_understood_by_both_sides():
    store = MemoryStore()
    versions = {v201.VERSION.subprotocol: v201.VERSION}
    system = CentralSystem(
        Settings(port=0, policy="strict"), plugins=[AnsweringPlugin.spec()], store=store, versions=versions
    )
    system.start()
    station = StepProcess(str(CLIENT), f"ws://127.0.0.1:{system.port}/ocpp/CP1")
    try:
        steps_until(station, "ready")
        assert len(station.of("sent")) == 25
        for action in COMMANDS:
            payload = json.dumps(smallest_payload(f"{action}Request")).encode()
            ticket = system.send("CP1", system.prepare("CP1", action, payload), timeout_s=60.0)
            assert ticket.wait(60)
            assert ticket.result() is not None
            assert not ticket.deviations
            steps_until(station, "command")
        assert [one["action"] for one in station.of("command")] == COMMANDS
        assert not store.spooled()
    finally:
        station.close()
        system.stop()
        store.close()
