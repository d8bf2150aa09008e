"""Random attacks, from a seed, on the charge points that may be hurt, on their sessions, and on the plugins.

Rule: an attack hurts and heals by itself; `checks` judges how the system bore it.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import gevent
from commander import TIMEOUT_S
from fleet import Fleet, Member
from gevent.pool import Pool
from inside import Inside
from truth import Truth

from chargehand import CentralSystem
from chargehand.protocol.handshake import HandshakeError
from chargehand.simulator import Client, Disconnected, delayed, refusing, silent

PLUGINS = ("Tags", "Meters", "back-office", "back-office-201")
SUBPROTOCOLS = ("ocpp1.6", "ocpp2.0.1")
STORM = 5  # crashes in a row, more than the restart intensity allows
GARBAGE = (
    "nonsense",
    "[2]",
    '[2,"x","Heartbeat"]',
    '[3,"nobody",{}]',
    '[2,"g","NoSuchAction",{}]',
    "[",
    "{}",
    "",
)


@dataclass(frozen=True, slots=True)
class HalfOpen:
    """A socket that went half-open, and the time until the system noticed; None if it did not."""

    identity: str
    found_after_s: float | None


@dataclass(frozen=True, slots=True)
class Kill:
    """A kill of an idle plugin, the first after a quiet time."""

    plugin: str
    at: float


class Attacks:
    """Makes `rate` attacks a second. `heard_of(id)` returns the time of the last online or offline event of a charge
    point.
    """

    def __init__(
        self,
        system: CentralSystem,
        inside: Inside,
        fleet: Fleet,
        truth: Truth,
        heard_of: Callable[[str], float],
        *,
        seed: int,
        rate: float,
        ping_interval_s: float,
        patience: float,
        reset_s: float,
    ) -> None:
        self.done: Counter[str] = Counter()
        self.half_open: list[HalfOpen] = []
        self.kills: list[Kill] = []
        self._inside = inside
        self._system = system
        self._fleet = fleet
        self._truth = truth
        self._heard_of = heard_of
        self._dice = random.Random(f"{seed}-attacks")
        self._rate = rate
        self._interval_s = ping_interval_s
        self._patience = patience
        self._reset_s = reset_s
        self._running = Pool()
        self._leader: gevent.Greenlet[..., None] | None = None

    def begin(self) -> None:
        """Start to attack."""
        self._leader = gevent.spawn(self._go_on)

    def end(self) -> None:
        """Stop, and return when the effects of all attacks have healed."""
        if self._leader is not None:
            self._leader.kill()  # it waits for its next turn
        self._running.join()
        for member in self._fleet.touched:
            self._inside.disarm(member.identity)

    def _go_on(self) -> None:
        attacks: list[tuple[str, Callable[[Member], None]]] = [
            ("cut", self._cut),
            ("cut", self._cut),
            ("half-open", self._go_half_open),
            ("abandoned", self._abandon),
            ("session raises", self._bomb),
            ("session raises on a call", self._trap),
            ("session raises on a call", self._trap),
            ("session crashes again and again", self._storm),
            ("session killed", self._kill_session),
            ("session hangs", self._hang_session),
            ("connected twice at once", self._intrude),
            ("connected twice at once", self._intrude),
            ("answers late, never, or with an error", self._answer_badly),
            ("garbage", self._garbage),
            ("plugin killed idle", self._kill_plugin),
            ("released by hand", self._release),
        ]
        touched = self._fleet.touched
        for name, attack in attacks:  # each attack at least once, however short the run
            self._spawn(name, attack, self._dice.choice(touched))
        while True:
            gevent.sleep(self._dice.expovariate(self._rate))
            name, attack = self._dice.choice(attacks)
            self._spawn(name, attack, self._dice.choice(touched))

    def _spawn(self, name: str, attack: Callable[[Member], None], member: Member) -> None:
        self._running.spawn(self._attempt, name, attack, member)

    def _attempt(self, name: str, attack: Callable[[Member], None], member: Member) -> None:
        try:
            attack(member)
        except (OSError, HandshakeError, Disconnected):
            return  # another attack has already done it
        self.done[name] += 1

    def _error(self) -> BaseException:
        return self._dice.choice(
            (RuntimeError("planted"), gevent.Timeout(1), gevent.GreenletExit(), ValueError("planted"))
        )

    # -- Sockets -----------------------------------------------------------------------------------

    def _cut(self, member: Member) -> None:
        member.charge_point.faults.cut(reset=self._dice.random() < 0.5)

    def _go_half_open(self, member: Member) -> None:
        """Make a charge point fall silent, often for so long that the system must notice."""
        if member.tally.deaf:
            return  # the first of two attacks would be healed by the second one
        patient = self._dice.random() < 0.7
        member.charge_point.faults.go_half_open()
        begun_at = time.monotonic()
        member.tally.deaf = True
        limit_s = (
            2 * (self._interval_s + self._patience) if patient else self._dice.uniform(0, self._interval_s)
        )
        while self._heard_of(member.identity) < begun_at and time.monotonic() < begun_at + limit_s:
            gevent.sleep(0.01)
        found_at = self._heard_of(member.identity)
        if found_at >= begun_at:
            self.half_open.append(HalfOpen(member.identity, found_at - begun_at))
        elif patient:
            self.half_open.append(HalfOpen(member.identity, None))
        member.tally.hears_again()
        member.charge_point.faults.recover()

    def _abandon(self, member: Member) -> None:
        member.charge_point.faults.abandon()

    def _intrude(self, member: Member) -> None:
        """Connect several more sockets with the charge point's id at once, of either version."""
        group = Pool()
        for _ in range(self._dice.randint(1, 3)):
            group.spawn(self._one_intruder, member.charge_point.url, self._dice.choice(SUBPROTOCOLS))
        group.join()

    def _one_intruder(self, url: str, subprotocol: str) -> None:
        try:
            client = Client.connect(url, subprotocols=(subprotocol,), timeout_s=5.0)
        except (OSError, HandshakeError):
            return
        try:
            client.send_text(b'[2,"i","Heartbeat",{}]')
            if self._dice.random() < 0.3:
                client.freeze()
                gevent.sleep(self._dice.uniform(0, 2 * self._interval_s))
                return
            with gevent.Timeout(self._dice.uniform(0, 1), exception=False):
                while client.receive() is not None:
                    pass
            client.close()
        except Disconnected:
            return
        finally:
            client.cut(reset=False)

    def _garbage(self, member: Member) -> None:
        if self._dice.random() < 0.2:
            member.charge_point.faults.send_raw(b"\x81\x05hello")  # unmasked: closes the connection
        else:
            member.charge_point.faults.send_text(self._dice.choice(GARBAGE))

    # -- Sessions ----------------------------------------------------------------------------------

    def _bomb(self, member: Member) -> None:
        self._inside.tell_bomb(member.identity, self._error())

    def _trap(self, member: Member) -> None:
        self._inside.set_trap(member.identity, self._error())

    def _storm(self, member: Member) -> None:
        for _ in range(STORM):
            self._inside.tell_bomb(member.identity, self._error())
            gevent.sleep(self._dice.uniform(0, 0.1))

    def _kill_session(self, member: Member) -> None:
        self._inside.kill_session(member.identity)

    def _hang_session(self, member: Member) -> None:
        self._inside.hang_session(member.identity)

    def _answer_badly(self, member: Member) -> None:
        """Have the charge point answer commands late, never, or with an error, for a while."""
        answers = member.charge_point.answers
        name = self._dice.choice(("DataTransfer", member.dialect.readable))
        right = member.charge_point.commands.answers()[name]
        wrong = (refusing(), silent, delayed(TIMEOUT_S * self._dice.uniform(0.5, 2), right))
        answers[name] = self._dice.choice(wrong)
        gevent.sleep(self._dice.uniform(0.5, 2))
        answers[name] = right

    # -- Plugins -----------------------------------------------------------------------------------

    def _kill_plugin(self, _: Member) -> None:
        name = self._dice.choice(PLUGINS)
        now = time.monotonic()
        starts = self._truth.starts.get(name, ())
        if self._inside.kill_plugin(name) and starts and now - starts[-1] > self._reset_s + 0.1:
            self.kills.append(Kill(name, now))

    def _release(self, _: Member) -> None:
        for row in self._system.quarantined():
            self._system.release(row["plugin"])
