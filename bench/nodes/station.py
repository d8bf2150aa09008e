"""Charge point that charges, answers commands, and connects again whenever its connection is lost.

It sends each transaction message until it is acknowledged, and notes the acknowledgements in the log of the kill test.
"""

import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

import gevent
from gevent.event import AsyncResult

sys.path.insert(0, str(Path(__file__).parents[1] / "killtest"))
from fleet import Log

from chargehand.protocol.handshake import HandshakeError
from chargehand.simulator import Client

ANSWER_S = 120.0
RECONNECT_S = (0.2, 1.0)
PAUSE_S = (0.1, 0.6)
CONNECT_S = 5.0
FALLBACK_CODE = "InternalError"


class SocketDown(Exception):
    """The connection ended before the answer came."""


@dataclass
class Tally:
    """Counts, latencies and faults of all stations."""

    log: Log = field(default_factory=Log)
    sent: int = 0
    answered: int = 0
    fallback_taken: int = 0
    cut_off: int = 0
    delivered: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    longest_away_s: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def percentile(self, which: int) -> float:
        """Return a percentile of the latencies of all answers, in ms."""
        return round(1000 * quantiles(self.latencies, n=100)[which - 1], 1)


class Station:
    """Charge point that connects to one of the addresses and makes transactions until it is ended."""

    def __init__(self, name: str, addresses: list[str], tally: Tally, seed: int) -> None:
        self.name = name
        self._addresses = addresses
        self._tally = tally
        self._random = random.Random(f"{seed} {name}")
        self._client: Any = None
        self._waiting: dict[str, AsyncResult[list[Any]]] = {}
        self._ids = 0
        self._clock = 0
        self._ending = False
        self._gone_at: float | None = time.monotonic()
        self._aways: list[tuple[float, float]] = []  # begin and length of each disconnection

    @property
    def online(self) -> bool:
        """State of the connection: up, and booted on it."""
        return self._gone_at is None

    def away_s(self, since: float) -> float:
        """Return the longest time that it was disconnected, from a given time on."""
        return max((length for begun, length in self._aways if begun + length > since), default=0.0)

    def end(self) -> None:
        """Finish the current transaction, and disconnect."""
        self._ending = True

    def run(self) -> None:
        """Make one transaction after the other."""
        while not self._ending:
            self._transaction()
        if self._client is not None:
            self._client.close()

    # -- One transaction -------------------------------------------------------------------------

    def _time(self) -> str:
        self._clock += 1
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_767_225_600 + self._clock))

    def _transaction(self) -> None:
        log, meter, at = self._tally.log, self._random.randrange(10**6), self._time()
        self._ask_once("Authorize", {"idTag": f"T{self.name}"})
        start = {"connectorId": 1, "idTag": f"T{self.name}", "meterStart": meter, "timestamp": at}
        answer = self._told("StartTransaction", start)
        number = answer["transactionId"]
        given = log.starts.setdefault((self.name, at, meter), set())
        given.add((number, answer["idTagInfo"]["status"]))
        count = self._random.randrange(1, 5)
        for reading in range(1, count + 1):
            value = str(meter + 10 * reading)
            sampled = [{"timestamp": self._time(), "sampledValue": [{"value": value}]}]
            self._told("MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": sampled})
            log.readings.add((self.name, number, value))
            self._ask_once("Heartbeat", {})
        last = meter + 10 * count
        self._told("StopTransaction", {"transactionId": number, "meterStop": last, "timestamp": self._time()})
        log.stops[self.name, number] = last

    def _told(self, action: str, payload: dict[str, Any]) -> Any:
        """Send a transaction message until it is acknowledged."""
        while True:
            try:
                answer = self._ask(action, payload)
            except SocketDown:
                continue
            if answer[0] == 3:
                self._tally.log.confirmed += 1
                return answer[2]
            self._tally.faults.append(f"{self.name}: {action} was answered {answer}")
            gevent.sleep(1.0)

    def _ask_once(self, action: str, payload: dict[str, Any]) -> None:
        """Send a message once; it is not sent again when the connection is lost."""
        try:
            answer = self._ask(action, payload)
        except SocketDown:
            return
        if answer[0] == 4 and answer[2] != FALLBACK_CODE:
            self._tally.faults.append(f"{self.name}: {action} was answered {answer}")

    # -- The wire --------------------------------------------------------------------------------

    def _ask(self, action: str, payload: dict[str, Any]) -> list[Any]:
        gevent.sleep(self._random.uniform(*PAUSE_S))
        if self._client is None:
            self._connect()
        return self._exchange(action, payload)

    def _exchange(self, action: str, payload: dict[str, Any]) -> list[Any]:
        tally, client = self._tally, self._client
        self._ids += 1
        unique_id = f"{self.name}-{self._ids}"
        waiting = self._waiting[unique_id] = AsyncResult()
        tally.sent += 1
        begun_at = time.perf_counter()
        try:
            client.send_text(json.dumps([2, unique_id, action, payload]).encode())
        except OSError:
            self._down(client)
        try:
            answer: list[Any] = waiting.get(timeout=ANSWER_S)
        except gevent.Timeout:
            tally.faults.append(
                f"{self.name}: {action} had no answer for {ANSWER_S:g} s, and its socket stood"
            )
            self._down(client)
            raise SocketDown from None
        except SocketDown:
            tally.cut_off += 1
            raise
        tally.latencies.append(time.perf_counter() - begun_at)
        if answer[0] == 4:
            tally.fallback_taken += 1
        else:
            tally.answered += 1
        return answer

    def _connect(self) -> None:
        while True:
            gevent.sleep(self._random.uniform(*RECONNECT_S))
            url = f"{self._random.choice(self._addresses)}{self.name}"
            try:
                client = Client.connect(url, subprotocols=("ocpp1.6",), timeout_s=CONNECT_S)
            except (OSError, HandshakeError):
                continue
            self._client = client
            gevent.spawn(self._read, client)
            try:
                answer = self._exchange(
                    "BootNotification", {"chargePointVendor": "bench", "chargePointModel": "station"}
                )
            except SocketDown:
                continue
            if answer[0] == 3 and answer[2]["status"] == "Accepted":
                break
            self._down(client)
        if self._gone_at is not None:
            self._aways.append((self._gone_at, time.monotonic() - self._gone_at))
            self._gone_at = None

    def _read(self, client: Any) -> None:
        try:
            while (texts := client.receive()) is not None:
                for text in texts:
                    self._take(client, json.loads(text))
        except (OSError, ValueError):
            pass
        self._down(client)

    def _take(self, client: Any, frame: list[Any]) -> None:
        if frame[0] == 2:
            self._tally.delivered[frame[3].get("messageId", "")] += 1
            client.send_text(json.dumps([3, frame[1], {"status": "Accepted"}]).encode())
        elif frame[1] in self._waiting:
            self._waiting.pop(frame[1]).set(frame)

    def _down(self, client: Any) -> None:
        if self._client is not client:
            return
        self._client = None
        self._gone_at = time.monotonic()
        client.cut(reset=False)
        waiting, self._waiting = self._waiting, {}
        for one in waiting.values():
            one.set_exception(SocketDown())
