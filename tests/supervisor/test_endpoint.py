"""A listening socket as an actor: bound when it starts, closed however it ends."""

import pytest

from chargehand.actors.runtime.cell import Cell, CellPhase
from chargehand.actors.runtime.scheduler import Scheduler
from chargehand.supervisor.endpoint import Endpoint

from ..hub import settle


class RecordingSocket:
    """Notes the calls of its methods; a port of 0 becomes 4711, a port of 1 is taken."""

    def __init__(self, address, log):
        self.address = address
        self.log = log

    def start(self):
        host, port = self.address
        if port == 1:
            raise OSError("the port is taken")
        self.address = (host, port or 4711)
        self.log.append(("start", self.address))

    def close(self):
        self.log.append(("close", self.address))


@pytest.fixture
def log():
    return []


@pytest.fixture
def ports():
    return {"ws": 0}


@pytest.fixture
def cell(log, ports):
    make = Endpoint.maker(lambda address: RecordingSocket(address, log), ports, "ws", "localhost")
    cell = Cell(Scheduler(spare=0), "ws", make, lambda *_: None)
    yield cell
    cell.kill()
    cell.end()
    settle()


def test_it_binds_when_it_starts_and_tells_the_port(cell, log, ports):
    cell.start()
    assert log == [("start", ("localhost", 4711))]
    assert ports == {"ws": 4711}


@pytest.mark.parametrize("how", ["stop", "crash", "kill"])
def test_it_closes_its_socket_however_it_ends(cell, log, how):
    cell.start()
    if how == "stop":
        cell.ref.stop(timeout=60)
    elif how == "kill":
        cell.kill()
    else:
        cell.actor.on_receive = lambda _: {}["a planted fault"]
        cell.tell("crash")
        settle()
    assert log[1:] == [("close", ("localhost", 4711))]


def test_started_again_it_takes_the_port_that_it_had(cell, log):
    cell.start()
    cell.kill()
    cell.start()
    assert log[2] == ("start", ("localhost", 4711))


def test_a_port_that_is_taken_fails_the_start_and_leaves_no_socket(cell, log, ports):
    ports["ws"] = 1
    with pytest.raises(OSError, match="the port is taken"):
        cell.start()
    assert cell.phase is CellPhase.VACANT
    assert log == [("close", ("localhost", 1))]
