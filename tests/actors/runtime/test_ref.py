"""A ref behaves as pykka's to its users, and points at a cell."""

import pykka
import pytest

from chargehand.actors.runtime.actor import Actor
from chargehand.actors.runtime.cell import Cell
from chargehand.actors.runtime.ref import Ref
from chargehand.actors.runtime.scheduler import Scheduler

from ...hub import settle


class EchoActor(Actor):
    """Answers each message with itself."""

    def on_receive(self, message):
        if isinstance(message, Exception):
            raise message
        return message


@pytest.fixture
def cell():
    cell = Cell(Scheduler(spare=0), "echo-1", EchoActor.maker(), lambda *_: None)
    yield cell
    cell.kill()
    cell.end()
    settle()


def test_it_is_a_ref_of_pykka(cell):
    assert isinstance(cell.ref, pykka.ActorRef)
    assert cell.ref.actor_urn == "echo-1"
    assert str(cell.ref) == "echo-1"
    assert repr(cell.ref) == "<ActorRef for echo-1>"


def test_refs_are_equal_when_they_point_at_the_same_cell(cell):
    other = Cell(Scheduler(spare=0), "echo-1", EchoActor.maker())
    assert cell.ref == Ref(cell)
    assert hash(cell.ref) == hash(Ref(cell))
    assert cell.ref != other.ref
    assert cell.ref != "echo-1"


def test_there_is_one_ref_a_cell_and_it_is_made_when_it_is_wanted(cell):
    assert cell._ref is None
    assert cell.ref is cell.ref


def test_it_knows_the_class_of_the_actor_that_runs(cell):
    assert cell.ref.actor_class is Actor
    cell.start()
    assert cell.ref.actor_class is EchoActor


def test_the_actor_knows_its_ref(cell):
    cell.start()
    assert cell.actor.actor_ref is cell.ref
    assert str(cell.actor) == "echo-1"


def test_what_is_sent_before_the_first_start_waits(cell):
    assert cell.ref.is_alive()
    future = cell.ref.ask("early", block=False)
    settle()
    assert not future.done()
    cell.start()
    assert future.get(timeout=60) == "early"


def test_it_is_alive_while_its_actor_waits_for_a_restart(cell):
    cell.start()
    cell.ref.tell(ValueError("crash"))
    settle()
    assert cell.actor is None
    assert cell.ref.is_alive()
    cell.ref.tell("waits")
    assert cell.depth == 1


def test_a_proxy_of_an_actor_that_waits_for_a_restart_cannot_be_made(cell):
    with pytest.raises(pykka.ActorDeadError):
        cell.ref.proxy()


def test_a_stop_during_a_wait_for_a_restart_ends_the_next_actor(cell):
    cell.start()
    cell.ref.tell(ValueError("crash"))
    settle()
    stopped = cell.ref.stop(block=False)
    cell.start()
    assert stopped.get(timeout=60) is True


def test_actors_of_one_class_have_urns_of_their_own():
    one, two = EchoActor.start(), EchoActor.start()
    assert one.actor_urn != two.actor_urn
    assert one.actor_urn.startswith("EchoActor-")
    one.stop()
    two.stop()
