"""Charge points that send every transaction message until its answer comes, and some of them again after that.

They note each answer: an acknowledged message must be in the store, whenever the server was killed.
"""

import json
import random
import time
from dataclasses import dataclass, field
from typing import IO, Any

import gevent

from chargehand.protocol.handshake import HandshakeError
from chargehand.simulator import Client, Disconnected

RETRY_S = 0.02
ANSWER_S = 20.0
CONNECT_S = 5.0
MOVES = 0.05
"""Share of the messages before which a charge point goes to a node again; half of its old connections stay open."""
SENT_AGAIN = (0.7, 0.9, 0.97)  # a random number below these: sent 1, 2, 3 times; else 4 times
UNORDERED, LATE, HOLE, TOKEN_LATER, COUNTS_ON = 0.05, 0.15, 0.1, 0.2, 0.5
"""Shares of the transactions of 2.0.1 whose events come in any order, whose last Updated events come after the end,
that lack an Updated event, whose token comes with the second event; of the stations that count for their EVSE."""

Event = tuple[str, str, int]
"""Charge point, transaction and number of an event of 2.0.1."""


@dataclass
class Log:
    """All acknowledged messages, and the faults; each sending and how it ended in `journal`, if there is one."""

    journal: IO[str] | None = None
    starts: dict[tuple[str, str, int], set[tuple[int, str]]] = field(default_factory=dict)
    """(charge point, time, meter) to the (transaction id, verdict) that it was given."""
    stops: dict[tuple[str, int], int] = field(default_factory=dict)
    """(charge point, transaction id) to the meter's last reading."""
    readings: set[tuple[str, int, str]] = field(default_factory=set)
    """(charge point, transaction id, value)."""
    events: dict[Event, dict[str, Any]] = field(default_factory=dict)
    """Payloads of 2.0.1."""
    energies: dict[tuple[str, str], int] = field(default_factory=dict)
    """(charge point, transaction of 2.0.1) to its energy in Wh."""
    confirmed: int = 0
    sent: int = 0
    refused: list[str] = field(default_factory=list)

    def note(self, *what: Any) -> None:
        """Write a line into the journal, with the time."""
        if self.journal is not None:
            self.journal.write(json.dumps([time.time(), *what]) + "\n")
            self.journal.flush()


class Line:
    """Connection of a charge point, made again whenever it breaks."""

    def __init__(self, name: str, urls: list[str], subprotocol: str, log: Log, chance: random.Random) -> None:
        self.name = name
        self._urls = urls
        self._url = urls[0]  # of the present connection, or the last one
        self._subprotocol = subprotocol
        self._log = log
        self._random = chance
        self._client: Any = None
        self._left: Any = None  # connection that the charge point went away from, perhaps without closing it
        self._ids = 0
        self._clock = 0

    def close(self) -> None:
        """End the connection."""
        if self._client is not None:
            self._client.close()

    def time(self) -> str:
        """Return the next second of the charge point's clock."""
        self._clock += 1
        hours, rest = divmod(self._clock, 3600)
        days, hours = divmod(hours, 24)
        return f"2026-{1 + days // 28:02d}-{1 + days % 28:02d}T{hours:02d}:{rest // 60:02d}:{rest % 60:02d}Z"

    def told(self, action: str, *payloads: dict[str, Any]) -> list[Any]:
        """Send a message 1 to 4 times, each until it is acknowledged, with the same message id or a new one.

        Of several payloads each sending takes one: they differ in what does not count.
        """
        chance = self._random.random()
        times = 1 + sum(chance > limit for limit in SENT_AGAIN)
        unique_id = self._new_id()
        answers = []
        for _ in range(times):
            answers.append(self._until_acknowledged(action, payloads, unique_id))
            if self._random.random() < 0.5:
                unique_id = self._new_id()
        self._log.confirmed += 1
        return answers

    def _new_id(self) -> str:
        self._ids += 1
        return f"{self.name}-{self._ids}"

    def _until_acknowledged(self, action: str, payloads: tuple[dict[str, Any], ...], unique_id: str) -> Any:
        while True:
            payload = payloads[0] if len(payloads) == 1 else self._random.choice(payloads)
            self._log.note(self.name, unique_id, self._url, action, payload)
            try:
                answer = self._ask(action, payload, unique_id)
            except (OSError, HandshakeError, Disconnected) as error:
                self._log.note(self.name, unique_id, repr(error))
                self._client = None
                gevent.sleep(RETRY_S)
            else:
                self._log.note(self.name, unique_id, self._url, answer)
                if answer[0] == 3:
                    return answer[2]
                self._log.refused.append(f"{self.name}: {action} was answered {answer}")
                raise AssertionError(self._log.refused[-1])
            if self._random.random() < 0.5:
                unique_id = self._new_id()

    def _ask(self, action: str, payload: dict[str, Any], unique_id: str) -> list[Any]:
        url = self._url
        if len(self._urls) > 1:
            url = self._random.choice(self._urls)
            if self._client is not None and self._random.random() < MOVES:
                if self._random.random() < 0.5:
                    self._client.close()
                self._left, self._client = self._client, None
        if self._client is None:
            self._url = url
            self._client = Client.connect(
                f"{url}{self.name}", subprotocols=(self._subprotocol,), timeout_s=CONNECT_S
            )
        self._log.sent += 1
        self._client.send_text(json.dumps([2, unique_id, action, payload]).encode())
        with gevent.Timeout(ANSWER_S, Disconnected(f"no answer within {ANSWER_S} s")):
            while (texts := self._client.receive()) is not None:
                for text in texts:
                    message = json.loads(text)
                    if message[0] == 2:  # GetTransactionStatus: what is missing never comes
                        self._client.send_text(
                            json.dumps([3, message[1], {"messagesInQueue": False}]).encode()
                        )
                    elif message[1] == unique_id:
                        return list(message)
        raise Disconnected("the server is gone")


class ChargePoint:
    """Charge point of OCPP 1.6: makes transactions until its share of messages is acknowledged."""

    def __init__(self, name: str, urls: list[str], log: Log, share: int, seed: int) -> None:
        self._log = log
        self._share = share
        self._random = random.Random(f"{seed} {name}")
        self._line = Line(name, urls, "ocpp1.6", log, self._random)

    def run(self) -> None:
        """Send until the share is acknowledged."""
        done = 0
        while done < self._share:
            done += self._transaction()
        self._line.close()

    def _transaction(self) -> int:
        line, log = self._line, self._log
        meter, at = self._random.randrange(10**6), line.time()
        start = {"connectorId": 1, "idTag": f"T{line.name}", "meterStart": meter, "timestamp": at}
        given = log.starts.setdefault((line.name, at, meter), set())
        for answer in line.told("StartTransaction", start):
            given.add((answer["transactionId"], answer["idTagInfo"]["status"]))
        number = answer["transactionId"]
        count = self._random.randrange(1, 6)
        for reading in range(1, count + 1):
            value = str(meter + 10 * reading)
            sampled = [{"timestamp": line.time(), "sampledValue": [{"value": value}]}]
            for _ in line.told(
                "MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": sampled}
            ):
                log.readings.add((line.name, number, value))
        last = meter + 10 * count
        for _ in line.told(
            "StopTransaction", {"transactionId": number, "meterStop": last, "timestamp": line.time()}
        ):
            log.stops[line.name, number] = last
        return count + 2


class Station:
    """Station of OCPP 2.0.1: makes transactions until its share of events is acknowledged."""

    def __init__(self, name: str, urls: list[str], log: Log, share: int, seed: int) -> None:
        self._log = log
        self._share = share
        self._random = random.Random(f"{seed} {name}")
        self._line = Line(name, urls, "ocpp2.0.1", log, self._random)
        self._counts_on = self._random.random() < COUNTS_ON
        self._seq_no = 0
        self._transactions = 0

    def run(self) -> None:
        """Send until the share is acknowledged."""
        done = 0
        while done < self._share:
            done += self._transaction()
        self._line.close()

    def _transaction(self) -> int:
        chance, log = self._random, self._log
        self._transactions += 1
        name = f"{self._line.name}-tx-{self._transactions}"
        if not self._counts_on:
            self._seq_no = 0
        meter = chance.randrange(10**6)
        updates = chance.randrange(1, 7)
        token_at = 1 if chance.random() < TOKEN_LATER else 0
        events = []
        for place in range(updates + 2):
            kind = "Started" if place == 0 else "Updated" if place <= updates else "Ended"
            events.append(self._event(name, kind, meter + 10 * place, has_token=place == token_at))
        kind = chance.random()
        if kind < UNORDERED:
            chance.shuffle(events)
        elif kind < UNORDERED + LATE:
            events.insert(chance.randrange(1, len(events) - 1), events.pop())
        elif kind < UNORDERED + LATE + HOLE and updates > 1:
            del events[updates]
        log.energies[self._line.name, name] = 10 * (updates + 1)
        for event in events:
            self._line.told(
                "TransactionEvent", event, event | {"offline": True}, dict(reversed(event.items()))
            )
            log.events[self._line.name, name, event["seqNo"]] = event
        return len(events)

    def _event(self, name: str, kind: str, wh: int, *, has_token: bool) -> dict[str, Any]:
        at = self._line.time()
        context = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}.get(kind, "Sample.Periodic")
        sampled = self._random.choice(
            (
                {"value": wh, "context": context},
                {"value": wh / 1000, "context": context, "unitOfMeasure": {"unit": "kWh"}},
                {"value": wh / 10, "context": context, "unitOfMeasure": {"unit": "Wh", "multiplier": 1}},
            )
        )
        event: dict[str, Any] = {
            "eventType": kind,
            "timestamp": at,
            "triggerReason": "MeterValuePeriodic",
            "seqNo": self._seq_no,
            "transactionInfo": {"transactionId": name},
            "meterValue": [{"timestamp": at, "sampledValue": [sampled]}],
        }
        self._seq_no += 1
        if kind == "Started":
            event["evse"] = {"id": 1}
        if has_token:
            event["idToken"] = {"idToken": f"T{self._line.name}", "type": "Central"}
        return event


FLEETS = {"1.6": ChargePoint, "2.0.1": Station}
"""Charge points by version of OCPP."""
