"""Faults that no system may have, planted one at a time: a run with one of them must fail.

Rule: a plant makes one fault, once, in a system and a fleet that are otherwise sound, and reports if it could not.
"""

from collections.abc import Callable
from typing import Any

import gevent
from commander import Commander
from fleet import Fleet, Member
from gevent.event import Event
from inside import Inside

from chargehand.simulator import delayed

SLOW_S = 0.1
LATE_S = 1.5
TRIES = 600


class NotPlanted(Exception):
    """No occasion for the planted fault came."""


class Silent:
    """Codec of a connection that omits one answer."""

    def __init__(self, codec: Any) -> None:
        self._codec = codec
        self._left_out = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codec, name)

    def text(self, data: bytes) -> bytes:
        """Frame a text; the first answer becomes empty."""
        if not self._left_out and data.startswith(b"[3"):
            self._left_out = True
            return b""
        framed: bytes = self._codec.text(data)
        return framed


def drop_an_answer(inside: Inside, fleet: Fleet, _commander: Commander, _patience: float) -> None:
    """Drop the answer to one CALL."""
    connection: Any = _cell(inside, fleet.untouched[0]).connection
    connection.codec = Silent(connection.codec)


def leave_a_ticket_open(inside: Inside, fleet: Fleet, commander: Commander, _patience: float) -> None:
    """Lose a command that waits in a session's queue."""
    member = fleet.untouched[0]
    issues = [commander.send(member, "echo") for _ in range(5)]
    gevent.sleep(0)
    calls: Any = _cell(inside, member).session.calls
    if calls is None or not any(calls.remove(issue.ticket) is not None for issue in issues):
        raise NotPlanted("no call was waiting")


def leak_a_greenlet(_inside: Inside, _fleet: Fleet, _commander: Commander, _patience: float) -> None:
    """Leave a greenlet behind that never returns."""
    gevent.spawn(Event().wait)


def swap_two_responses(inside: Inside, fleet: Fleet, commander: Commander, _patience: float) -> None:
    """Exchange the outstanding commands of two charge points, so that each ticket gets the other's response."""
    members = fleet.untouched[:2]
    for member in members:
        answers = member.charge_point.answers
        answers["DataTransfer"] = delayed(SLOW_S, member.charge_point.commands.answers()["DataTransfer"])
        commander.send(member, "echo")
    gevent.sleep(SLOW_S / 2)
    queues: list[Any] = [_cell(inside, member).session.calls for member in members]
    on_wire = [queue.on_wire if queue is not None else None for queue in queues]
    if any(one is None or one.action.name != "DataTransfer" for one in on_wire):
        raise NotPlanted("other calls were on the wire")
    on_wire[0].owner, on_wire[1].owner = on_wire[1].owner, on_wire[0].owner


def drop_a_socket(_inside: Inside, fleet: Fleet, _commander: Commander, _patience: float) -> None:
    """Cut the connection of an untouched charge point."""
    fleet.untouched[0].charge_point.faults.cut()


class Slow:
    """Receiver of a connection that delays every message."""

    def __init__(self, receiver: Any, late_s: float) -> None:
        self._receiver = receiver
        self._late_s = late_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self._receiver, name)

    def deliver(self, connection: Any, data: bytes) -> None:
        """Deliver a message late."""
        gevent.spawn_later(self._late_s, self._receiver.deliver, connection, data)


def answer_late(inside: Inside, fleet: Fleet, _commander: Commander, patience: float) -> None:
    """Answer an untouched charge point slowly."""
    connection: Any = _cell(inside, fleet.untouched[0]).connection
    connection._receiver = Slow(connection._receiver, LATE_S * patience)  # noqa: SLF001


def leave_hangs_alone(inside: Inside, fleet: Fleet, _commander: Commander, _patience: float) -> None:
    """Let a session hang without a limit; end the hang by hand when it was seen."""
    with inside.hangs_left_alone():
        inside.hang_session(fleet.untouched[0].identity)
    inside.kill_session(fleet.untouched[0].identity)


def _cell(inside: Inside, member: Member) -> Any:
    cell = inside.session(member.identity)
    if cell is None or cell.connection is None:
        raise NotPlanted(f"{member.identity} is not there")
    return cell


PLANTS: dict[str, Callable[[Inside, Fleet, Commander, float], None]] = {
    "dropped-answer": drop_an_answer,
    "open-ticket": leave_a_ticket_open,
    "leaked-greenlet": leak_a_greenlet,
    "swapped-response": swap_two_responses,
    "dropped-socket": drop_a_socket,
    "late-answers": answer_late,
    "hung-session": leave_hangs_alone,
}


def plant(name: str, inside: Inside, fleet: Fleet, commander: Commander, patience: float) -> None:
    """Plant a fault, trying again until there is an occasion for it. Raises NotPlanted."""
    for _ in range(TRIES):
        try:
            PLANTS[name](inside, fleet, commander, patience)
        except NotPlanted:
            gevent.sleep(SLOW_S)
        else:
            return
    raise NotPlanted(name)
