"""Charge points of the run, each under load from a greenlet of its own.

Rule: a charge point behaves well and sends a transaction message again until it is acknowledged; every fault is
made by `attacks`.
"""

import datetime as dt
import random
from collections.abc import Callable, Iterator
from typing import Any

import gevent
from dialects import DIALECTS, LOAD_VENDOR, Make, simulated
from gevent.pool import Pool
from mischief import UNTOUCHED
from tally import Tally

from chargehand.simulator import CallDeclined, CallFailed, Disconnected, Kind

TOUCHED = "rough-"
UNTOUCHED_EVERY = 5
MIXED = "mixed"
PAIR = (
    2  # charge points of one version in a row: in a mixed fleet the untouched ones are of both versions, too
)
CONNECTING = 50  # connecting at the same time
ANSWER_S = 3.0  # longest time that an answer may take
ONLINE_S = 1.0
GIVE_UP_S = 20.0  # after the load, until the last transaction message must be acknowledged


class Member:
    """Charge point with its tally and the ids of its own transactions."""

    def __init__(self, url: str, number: int, seed: int, pause_s: float, ocpp: str, patience: float) -> None:
        self.untouched = number % UNTOUCHED_EVERY == 0
        self.identity = f"{UNTOUCHED if self.untouched else TOUCHED}{number}"
        self.dice = random.Random(f"{seed}-{self.identity}")
        self.pause_s = pause_s
        self.tally = Tally(self.identity)
        self.acknowledged: list[int] = []  # numbers of transaction messages
        self.transactions: list[int] = []  # ids
        self.wrong: list[str] = []  # answers to another request
        self.unsent = 0
        self.stopping = False
        self.dialect = DIALECTS[ocpp]
        self.charge_point = simulated(self.dialect, url, self.identity, ANSWER_S * patience)
        self._number = 0
        self._count = 0
        record = self.charge_point.record
        add, note = record.add, self.tally.note

        def tapped(kind: Kind, data: bytes) -> None:
            note(kind, data)
            add(kind, data)

        record.add = tapped  # type: ignore[method-assign]

    def begin(self) -> None:
        """Connect and boot."""
        self.charge_point.connect()
        self.charge_point.boot()

    def load(self) -> None:
        """Send messages until the load is ended; the last transaction is finished."""
        choices: tuple[Callable[[], object], ...] = (
            lambda: self.charge_point.send(self.dialect.heartbeat()),
            self._authorize,
            self._status,
            self._data,
            self._data,
            self._transaction,
        )
        while not self.stopping:
            gevent.sleep(self.dice.uniform(0, 2 * self.pause_s))
            try:
                self.dice.choice(choices)()
            except Disconnected:
                self._wait_online()
            except CallFailed:
                continue  # the tally decides if an answer was due

    def _wait_online(self) -> None:
        try:
            self.charge_point.wait_online(ONLINE_S)
        except TimeoutError:
            gevent.sleep(0)

    def _authorize(self) -> None:
        self.charge_point.send(self.dialect.authorize(f"TAG{self.dice.randrange(100)}"))

    def _status(self) -> None:
        self.charge_point.send(self.dialect.status(self.dice))

    def _data(self) -> None:
        token = f"{self.identity}/{self.dice.getrandbits(32):x}"
        response = self.charge_point.send(self.dialect.data(LOAD_VENDOR, token))
        if response.data != token:
            self.wrong.append(f"{self.identity} sent {token} and was answered {response.data}")

    # -- Transactions --------------------------------------------------------------------------

    def _transaction(self) -> None:
        self._count += 1
        allotted = None
        name = f"{self.identity}-{self._count}"
        for number in self.dialect.transaction(name, self.dice.randrange(4), self._deliver):
            allotted = number
            gevent.sleep(self.dice.uniform(0, self.pause_s))
        if allotted is not None:
            self.transactions.append(allotted)

    def _deliver(self, make: Make) -> Any:
        """Send a transaction message until it is acknowledged; return None if it never was."""
        self._number += 1
        request = make(self._number, dt.datetime.now(dt.UTC).replace(microsecond=0))
        waited_s = 0.0
        while waited_s < GIVE_UP_S:
            try:
                response = self.charge_point.send(request)
            except CallDeclined:
                break  # the tally has noted it
            except Disconnected:
                self._wait_online()
            except CallFailed:
                gevent.sleep(0)
            else:
                self.acknowledged.append(self._number)
                return response
            waited_s += 0.05 if self.stopping else 0.0
            gevent.sleep(0.05)
        self.unsent += 1
        return None

    def close(self) -> None:
        """Close the charge point and its greenlets."""
        self.tally.leaving = True
        self.charge_point.close()


class Fleet:
    """All charge points of the run; every fifth one is untouched. In a mixed one half of them is of each version."""

    def __init__(self, url: str, count: int, seed: int, pause_s: float, ocpp: str, patience: float) -> None:
        versions = tuple(DIALECTS) if ocpp == MIXED else (ocpp,)
        self.members = [
            Member(url, number, seed, pause_s, versions[number // PAIR % len(versions)], patience)
            for number in range(count)
        ]
        self._loads = Pool()

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)

    @property
    def touched(self) -> list[Member]:
        """Charge points that may be attacked."""
        return [member for member in self.members if not member.untouched]

    @property
    def untouched(self) -> list[Member]:
        """Charge points that must not be affected by anything."""
        return [member for member in self.members if member.untouched]

    def begin(self) -> None:
        """Connect and boot all charge points, and start the load."""
        pool = Pool(CONNECTING)
        for greenlet in [pool.spawn(member.begin) for member in self.members]:
            greenlet.get()
        for member in self.members:
            self._loads.spawn(member.load)

    def end_load(self) -> None:
        """Stop the load; return when every charge point has finished its current work."""
        for member in self.members:
            member.stopping = True
        self._loads.join()

    def close(self) -> None:
        """Close all charge points."""
        Pool(CONNECTING).map(Member.close, self.members)
