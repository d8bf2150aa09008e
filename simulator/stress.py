"""Load on a central system, of any maker: many connections, each with so many messages a second, and their latencies.

The one rule: a latency counts from when a message was due, not from when it could be sent. A connection has one CALL
on the wire at a time, as OCPP has it; what is due meanwhile waits, and its wait is the central system's.
"""

from __future__ import annotations

import base64
import datetime as dt
import itertools
import json
import math
import random
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import gevent
from gevent.event import Event
from gevent.pool import Group, Pool

from ..protocol.handshake import HandshakeError
from .client import Client
from .errors import Disconnected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from gevent import ssl

CONNECTING = 50
"""Connections that are being made at the same time."""
ANSWER_S = 30.0
GROWTH = 1.02
"""Width of a class of latencies: each is 2 % above the one before, so a percentile is right to 2 %."""
FINEST_S = 0.00001
LOOK_S = 0.01
TURN = 64
"""Messages after which answers are read, if not before."""
ACCEPTED = "Accepted"
SUBPROTOCOLS = {"1.6": "ocpp1.6", "2.0.1": "ocpp2.0.1"}
VENDOR = "chargehand stress"


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


BOOTS: Mapping[str, dict[str, Any]] = {
    "1.6": {"chargePointVendor": "Chargehand", "chargePointModel": "Stress"},
    "2.0.1": {"chargingStation": {"vendorName": "Chargehand", "model": "Stress"}, "reason": "PowerUp"},
}
PAYLOADS: Mapping[str, Mapping[str, Callable[[], dict[str, Any]]]] = {
    "1.6": {
        "Heartbeat": dict,
        "Authorize": lambda: {"idTag": "STRESS"},
        "StatusNotification": lambda: {
            "connectorId": 1,
            "errorCode": "NoError",
            "status": "Available",
            "timestamp": _now(),
        },
        "MeterValues": lambda: {
            "connectorId": 1,
            "meterValue": [{"timestamp": _now(), "sampledValue": [{"value": "1234", "unit": "Wh"}]}],
        },
        "DataTransfer": lambda: {"vendorId": VENDOR, "data": "x" * 64},
    },
    "2.0.1": {
        "Heartbeat": dict,
        "Authorize": lambda: {"idToken": {"idToken": "STRESS", "type": "ISO14443"}},
        "StatusNotification": lambda: {
            "timestamp": _now(),
            "connectorStatus": "Available",
            "evseId": 1,
            "connectorId": 1,
        },
        "MeterValues": lambda: {
            "evseId": 1,
            "meterValue": [{"timestamp": _now(), "sampledValue": [{"value": 1234}]}],
        },
        "DataTransfer": lambda: {"vendorId": VENDOR, "data": "x" * 64},
    },
}
"""Messages of the load, by version and action."""
ACTIONS = tuple(PAYLOADS["1.6"])


class Latencies:
    """Latencies, counted in classes that grow by 2 %."""

    def __init__(self) -> None:
        self.count = 0
        self.total_s = 0.0
        self.most_s = 0.0
        self._classes: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Count one."""
        self.count += 1
        self.total_s += seconds
        self.most_s = max(self.most_s, seconds)
        self._classes[int(math.log(max(seconds, FINEST_S) / FINEST_S, GROWTH))] += 1

    def merge(self, other: Latencies) -> None:
        """Add those of another."""
        self.count += other.count
        self.total_s += other.total_s
        self.most_s = max(self.most_s, other.most_s)
        self._classes.update(other._classes)

    @property
    def mean_s(self) -> float:
        """Mean; 0 without any."""
        return self.total_s / self.count if self.count else 0.0

    def percentile(self, which: float) -> float:
        """Return the seconds that so many percent are not above, 2 % too much at most; 0 without any."""
        wanted, seen = self.count * which / 100, 0
        for number in sorted(self._classes):
            seen += self._classes[number]
            if seen >= wanted:
                return min(FINEST_S * GROWTH ** (number + 1), self.most_s)
        return 0.0

    def histogram(self) -> list[tuple[float, int]]:
        """Return upper bounds in seconds, each twice the one before, and how many are below each and not before."""
        found: Counter[int] = Counter()
        for number, count in self._classes.items():
            found[int(math.log2(GROWTH) * number)] += count
        if not found:
            return []
        return [(FINEST_S * 2 ** (one + 1), found[one]) for one in range(min(found), max(found) + 1)]


@dataclass(slots=True)
class Counts:
    """Counts of some time."""

    sent: int = 0
    answered: int = 0
    refused: int = 0
    """CALLERRORs."""
    unanswered: int = 0
    """Messages without an answer within 30 s, or whose connection was lost."""
    lost: int = 0
    """Connections that were lost."""
    failed: int = 0
    """Connections that could not be made, or whose boot was not accepted."""
    latencies: Latencies = field(default_factory=Latencies)

    @property
    def faults(self) -> int:
        """Number of all that should not have happened."""
        return self.refused + self.unanswered + self.lost + self.failed

    def merge(self, other: Counts) -> None:
        """Add those of another time."""
        for name in ("sent", "answered", "refused", "unanswered", "lost", "failed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.latencies.merge(other.latencies)


class Connection:
    """Connection with one CALL on the wire at a time; one greenlet reads, the pacer sends."""

    __slots__ = (
        "_client",
        "_ids",
        "_load",
        "_ocpp",
        "_sent_id",
        "_wait",
        "booted",
        "due",
        "name",
        "open",
        "sent_at",
    )

    def __init__(self, load: Load, name: str, ocpp: str) -> None:
        self.name = name
        self.open = False
        self.booted = Event()
        self.due: float | None = None
        self.sent_at = 0.0
        self._load = load
        self._ocpp = ocpp
        self._client: Any = None
        self._ids = itertools.count(1)
        self._sent_id = ""
        self._wait: deque[float] = deque()

    def connect(self) -> bool:
        """Connect and boot; return true if it was accepted. What goes wrong is counted, and its first text kept."""
        try:
            self._client = self._load.dial(self.name, SUBPROTOCOLS[self._ocpp])
        except (OSError, HandshakeError, ValueError) as error:
            self._load.fail(f"{self.name}: {error}")
            return False
        self.open = True
        self._load.reading.spawn(self._read)
        try:
            self._send("BootNotification", BOOTS[self._ocpp], time.monotonic())
        except Disconnected:
            return False
        if not self.booted.wait(ANSWER_S):
            self._load.fail(f"{self.name}: its boot was not accepted within {ANSWER_S:g} s")
            self.close()
            return False
        return True

    def message(self, due: float) -> None:
        """Send a message that is due, or let it wait for the answer to the one before."""
        if not self.open:
            return
        if self.due is None:
            try:
                self._send(*self._load.choose(self._ocpp), due)
            except Disconnected:
                return  # the reader has noted it
        else:
            self._wait.append(due)

    def _send(self, action: str, payload: dict[str, Any], due: float) -> None:
        self._sent_id = f"{next(self._ids)}"
        self.due, self.sent_at = due, time.monotonic()
        self._load.now.sent += 1
        self._client.send_text(
            json.dumps([2, self._sent_id, action, payload], separators=(",", ":")).encode()
        )

    def _read(self) -> None:
        while (texts := self._client.receive()) is not None:
            for text in texts:
                self._take(text)
        if self.open:
            self.open = False
            self._load.lose(self, len(self._wait) + (self.due is not None), f"{self._client.code}")

    def _take(self, text: bytes) -> None:
        try:
            frame = json.loads(text)
            kind, unique_id = frame[0], frame[1]
        except (ValueError, IndexError, TypeError, KeyError):
            return
        if kind == 2:
            self._client.send_text(json.dumps([4, unique_id, "NotSupported", "", {}]).encode())
        elif unique_id == self._sent_id and self.due is not None:
            self._answered(frame, self.due)

    def _answered(self, frame: list[Any], due: float) -> None:
        self.due = None
        if not self.booted.is_set():
            status = frame[2].get("status") if frame[0] == 3 and isinstance(frame[2], dict) else frame[2]
            self._load.now.answered += 1
            if status == ACCEPTED:
                self.booted.set()
            return
        self._load.answer(time.monotonic() - due, None if frame[0] == 3 else str(frame[2:4]))
        if self._wait:
            self.message(self._wait.popleft())

    def give_up(self) -> int:
        """Leave what is not answered; return how many messages that are."""
        waiting = len(self._wait) + (self.due is not None)
        self._wait.clear()
        self.due = None
        return waiting

    def close(self) -> None:
        """Close the connection, if it is open."""
        if self.open:
            self.open = False
            self._client.close()
            self._client.cut(reset=False)


class Load:
    """Load of `connections`, each of which sends `rate` messages a second for `duration_s`, spread evenly.

    `actions` are drawn by chance. `connect_rate` bounds the new connections a second; the load begins when all are
    there. `password` is that of all.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        rate: float,
        duration_s: float,
        ocpp: Sequence[str] = ("1.6",),
        actions: Sequence[str] = ("Heartbeat",),
        prefix: str = "STRESS",
        password: bytes | None = None,
        tls: ssl.SSLContext | None = None,
        connect_rate: float = 200.0,
    ) -> None:
        self.url = url.rstrip("/")
        self.now = Counts()
        """Counts since they were taken the last time."""
        self.total = Counts()
        self.first_fault = ""
        self.reading = Group()
        self.ran_s = 0.0
        self._rate = rate
        self._duration_s = duration_s
        self._connect_rate = connect_rate
        self._actions = tuple(actions)
        self._password = password
        self._tls = tls
        self._over = Event()
        self._chance = random.Random(1)  # noqa: S311 - a load
        self.connections = [
            Connection(self, f"{prefix}-{number:05}", ocpp[number % len(ocpp)])
            for number in range(1, connections + 1)
        ]

    # -- Of connections ------------------------------------------------------------------------------

    def dial(self, name: str, subprotocol: str) -> Client:
        """Connect as a charge point of this name. Raises like `Client.connect`."""
        headers = {}
        if self._password is not None:
            basic = base64.b64encode(name.encode() + b":" + self._password).decode()
            headers["Authorization"] = f"Basic {basic}"
        return Client.connect(
            f"{self.url}/{quote(name, safe='')}",
            subprotocols=(subprotocol,),
            headers=headers,
            tls=self._tls,
            timeout_s=ANSWER_S,
        )

    def choose(self, ocpp: str) -> tuple[str, dict[str, Any]]:
        """Return the next message of a connection."""
        action = self._actions[0] if len(self._actions) == 1 else self._chance.choice(self._actions)
        return action, PAYLOADS[ocpp][action]()

    def answer(self, latency_s: float, refusal: str | None) -> None:
        """Count an answer."""
        self.now.answered += 1
        self.now.latencies.add(latency_s)
        if refusal is not None:
            self.now.refused += 1
            self.first_fault = self.first_fault or f"a message was refused: {refusal}"

    def lose(self, connection: Connection, unanswered: int, code: str) -> None:
        """Count a connection that was lost."""
        self.now.lost += 1
        self.now.unanswered += unanswered
        self.first_fault = self.first_fault or f"{connection.name}: its connection was closed with {code}"

    def fail(self, why: str) -> None:
        """Count a connection that could not be made."""
        self.now.failed += 1
        self.first_fault = self.first_fault or why

    @property
    def open(self) -> int:
        """Number of connections that are open."""
        return sum(one.open for one in self.connections)

    def take(self) -> Counts:
        """Return the counts since the last time, which are in `total` from now on."""
        taken, self.now = self.now, Counts()
        self.total.merge(taken)
        return taken

    # -- The run -------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Make all connections, and boot."""
        pool, begun = Pool(CONNECTING), time.monotonic()
        for number, one in enumerate(self.connections):
            if self._over.wait(max(0.0, begun + number / self._connect_rate - time.monotonic())):
                break
            pool.spawn(one.connect)
        pool.join()
        self.take()
        self.total = Counts(failed=self.total.failed, lost=self.total.lost, refused=self.total.refused)

    def run(self) -> None:
        """Send until the time is over, or `stop` was called, and wait for the last answers."""
        begun = time.monotonic()
        for due, one in self._due(begun):
            wait_s = due - time.monotonic()
            if self._over.is_set() or (wait_s > 0 and self._over.wait(wait_s)):
                break
            one.message(due)
        self._over.wait(max(0.0, begun + self._duration_s - time.monotonic()))
        self.ran_s = time.monotonic() - begun
        self._wait_for_answers()

    def _due(self, begun: float) -> Iterator[tuple[float, Connection]]:
        """Yield each connection when its next message is due."""
        count = len(self.connections)
        for number in range(round(self._rate * self._duration_s * count)):
            yield begun + number / (self._rate * count), self.connections[number % count]
            if number % TURN == TURN - 1:
                gevent.sleep(0)  # when it is late, answers are to be read all the same

    def _wait_for_answers(self) -> None:
        ends_at = time.monotonic() + ANSWER_S
        while time.monotonic() < ends_at and not self._over.is_set():
            if all(one.due is None or not one.open for one in self.connections):
                break
            gevent.sleep(LOOK_S)
        unanswered = sum(one.give_up() for one in self.connections if one.open)
        self.now.unanswered += unanswered
        if unanswered:
            self.first_fault = self.first_fault or f"{unanswered} messages were not answered"

    def stop(self) -> None:
        """Have `connect`, `run` and `stay` end soon."""
        self._over.set()

    def stay(self) -> None:
        """Stay connected until `stop` is called."""
        self._over.wait()

    def close(self) -> None:
        """Close all connections."""
        for one in self.connections:
            one.close()
        self.reading.kill()
