"""Charge point on a bare socket, for benchmarks that measure how a server delays others."""

import time
from dataclasses import dataclass, field

import gevent
from gevent.event import AsyncResult

from chargehand.simulator import Client

PACE_S = 0.2  # between two calls at a pace
ANSWER_S = 120.0  # longest wait for an answer


@dataclass(slots=True)
class Station:
    """Charge point that sends one call at a time and takes the answers; `latencies` are seconds."""

    client: Client
    latencies: list[float] = field(default_factory=list)
    _number: int = 0
    _waiting: dict[str, "AsyncResult[bytes]"] = field(default_factory=dict)

    @classmethod
    def connect(cls, port: int, name: str, headers: dict[str, str] | None = None) -> "Station":
        """Connect, and start to read answers."""
        url = f"ws://127.0.0.1:{port}/ocpp/{name}"
        station = cls(Client.connect(url, subprotocols=("ocpp1.6",), headers=headers))
        gevent.spawn(station.read)
        return station

    def read(self) -> None:
        """Read until the connection ends. A command is not answered."""
        while (texts := self.client.receive()) is not None:
            for text in texts:
                waiting = self._waiting.pop(text.split(b'"', 2)[1].decode(), None)
                if waiting is not None:
                    waiting.set(text)

    def call(self, action: bytes, payload: bytes) -> bytes:
        """Send a CALL and wait for the whole frame of its answer."""
        self._number += 1
        unique_id = str(self._number)
        waiting: AsyncResult[bytes] = AsyncResult()
        self._waiting[unique_id] = waiting
        begun_at = time.perf_counter()
        self.client.send_text(b'[2,"%b","%b",%b]' % (unique_id.encode(), action, payload))
        answer: bytes = waiting.get(timeout=ANSWER_S)
        self.latencies.append(time.perf_counter() - begun_at)
        return answer

    def authorize(self, tag: str) -> bytes:
        """Send an Authorize and wait for its answer."""
        return self.call(b"Authorize", b'{"idTag":"%b"}' % tag.encode())

    def pace(self, begin_after_s: float, until: float) -> None:
        """Send an Authorize at the pace until the given time."""
        gevent.sleep(begin_after_s)
        while time.monotonic() < until:
            if b'"Accepted"' not in self.authorize("TAG"):
                raise RuntimeError("an untouched charge point got a wrong answer")
            gevent.sleep(PACE_S)
