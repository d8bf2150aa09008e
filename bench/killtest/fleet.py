"""Charge points that send every transaction message until its answer comes, and some of them again after that.

They note each answer: an acknowledged message must be in the store, whenever the server was killed.
"""

import json
import random
from dataclasses import dataclass, field
from typing import Any

import gevent

from chargehand.protocol.handshake import HandshakeError
from chargehand.simulator import Client, Disconnected

RETRY_S = 0.02
ANSWER_S = 20.0
CONNECT_S = 5.0
SENT_AGAIN = (0.7, 0.9, 0.97)  # a random number below these: sent 1, 2, 3 times; else 4 times


@dataclass
class Log:
    """All acknowledged messages, and the faults."""

    starts: dict[tuple[str, str, int], set[tuple[int, str]]] = field(default_factory=dict)
    """(charge point, time, meter) to the (transaction id, verdict) that it was given."""
    stops: dict[tuple[str, int], int] = field(default_factory=dict)
    """(charge point, transaction id) to the meter's last reading."""
    readings: set[tuple[str, int, str]] = field(default_factory=set)
    """(charge point, transaction id, value)."""
    confirmed: int = 0
    sent: int = 0
    refused: list[str] = field(default_factory=list)


class ChargePoint:
    """Charge point of the fleet: makes transactions until its share of messages is acknowledged."""

    def __init__(self, name: str, url: str, log: Log, share: int, seed: int) -> None:
        self._name = name
        self._url = url
        self._log = log
        self._share = share
        self._random = random.Random(f"{seed} {name}")
        self._client: Any = None
        self._ids = 0
        self._clock = 0

    def run(self) -> None:
        """Send until the share is acknowledged."""
        done = 0
        while done < self._share:
            done += self._transaction()
        if self._client is not None:
            self._client.close()

    def _time(self) -> str:
        self._clock += 1
        hours, rest = divmod(self._clock, 3600)
        days, hours = divmod(hours, 24)
        return f"2026-{1 + days // 28:02d}-{1 + days % 28:02d}T{hours:02d}:{rest // 60:02d}:{rest % 60:02d}Z"

    def _transaction(self) -> int:
        meter, at, log = self._random.randrange(10**6), self._time(), self._log
        start = {"connectorId": 1, "idTag": f"T{self._name}", "meterStart": meter, "timestamp": at}
        given = log.starts.setdefault((self._name, at, meter), set())
        for answer in self._told("StartTransaction", start):
            given.add((answer["transactionId"], answer["idTagInfo"]["status"]))
        number = answer["transactionId"]
        count = self._random.randrange(1, 6)
        for reading in range(1, count + 1):
            value = str(meter + 10 * reading)
            sampled = [{"timestamp": self._time(), "sampledValue": [{"value": value}]}]
            for _ in self._told(
                "MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": sampled}
            ):
                log.readings.add((self._name, number, value))
        last = meter + 10 * count
        for _ in self._told(
            "StopTransaction", {"transactionId": number, "meterStop": last, "timestamp": self._time()}
        ):
            log.stops[self._name, number] = last
        return count + 2

    def _told(self, action: str, payload: dict[str, Any]) -> list[Any]:
        """Send a message 1 to 4 times, each until it is acknowledged, with the same message id or a new one."""
        chance = self._random.random()
        times = 1 + sum(chance > limit for limit in SENT_AGAIN)
        unique_id = self._new_id()
        answers = []
        for _ in range(times):
            answers.append(self._until_acknowledged(action, payload, unique_id))
            if self._random.random() < 0.5:
                unique_id = self._new_id()
        self._log.confirmed += 1
        return answers

    def _new_id(self) -> str:
        self._ids += 1
        return f"{self._name}-{self._ids}"

    def _until_acknowledged(self, action: str, payload: dict[str, Any], unique_id: str) -> Any:
        while True:
            try:
                answer = self._ask(action, payload, unique_id)
            except (OSError, HandshakeError, Disconnected):
                self._client = None
                gevent.sleep(RETRY_S)
            else:
                if answer[0] == 3:
                    return answer[2]
                self._log.refused.append(f"{self._name}: {action} was answered {answer}")
                raise AssertionError(self._log.refused[-1])
            if self._random.random() < 0.5:
                unique_id = self._new_id()

    def _ask(self, action: str, payload: dict[str, Any], unique_id: str) -> list[Any]:
        if self._client is None:
            self._client = Client.connect(
                f"{self._url}{self._name}", subprotocols=("ocpp1.6",), timeout_s=CONNECT_S
            )
        self._log.sent += 1
        self._client.send_text(json.dumps([2, unique_id, action, payload]).encode())
        with gevent.Timeout(ANSWER_S, Disconnected(f"no answer within {ANSWER_S} s")):
            while (texts := self._client.receive()) is not None:
                for text in texts:
                    answer = json.loads(text)
                    if answer[1] == unique_id:
                        return list(answer)
        raise Disconnected("the server is gone")
