"""Commands to all charge points all the time: from a client on Redis, and over HTTP at any node.

Each carries a mark of its own, so that its arrivals at its charge point can be counted.
"""

import random
import time
from collections import Counter
from typing import Any

import gevent
from deployment import SECRET, Deployment
from station import Tally

from chargehand import v16
from chargehand.remote import Client
from chargehand.remote.cluster.coordinator import CoordinatorUnavailable

TIMEOUT_S = 5.0
EXPIRES_S = 20.0
ENDS_S = 180.0
APART_S = 0.02
QUEUED = 0.5
NOT_SENT = ("never_sent", "expired", "cancelled", "superseded")


class Commander:
    """Sends commands from a client on Redis and over HTTP, and keeps their tickets."""

    def __init__(self, deployment: Deployment, names: list[str], chance: random.Random, tally: Tally) -> None:
        self._house = deployment
        self._names = names
        self._chance = chance
        self._tally = tally
        self._tickets: dict[str, Any] = {}  # by mark
        self._http: Counter[int] = Counter()
        self._latencies: list[float] = []
        self._number = 0
        self._greenlets: list[Any] = []
        self._client: Any = None

    def start(self) -> None:
        """Start to send."""
        self._client = Client(self._house.redis_url, secret=SECRET)
        self._client.start()
        self._greenlets = [
            gevent.spawn(self._by_client),
            *(gevent.spawn(self._by_http, node) for node in range(2)),
        ]

    def _request(self) -> tuple[str, str]:
        self._number += 1
        return f"mark-{self._number}", self._chance.choice(self._names)

    def _by_client(self) -> None:
        while True:
            gevent.sleep(APART_S)
            mark, name = self._request()
            request = v16.DataTransfer(vendor_id="bench", message_id=mark)
            queue = self._chance.random() < QUEUED
            try:
                self._tickets[mark] = self._client.send(
                    name,
                    request,
                    timeout_s=TIMEOUT_S,
                    when_offline="queue" if queue else "fail",
                    expires_in_s=EXPIRES_S,
                )
            except (RuntimeError, CoordinatorUnavailable):
                self._http[0] += 1

    def _by_http(self, node: int) -> None:
        while True:
            gevent.sleep(5 * APART_S)
            mark, name = self._request()
            path = f"charge-points/{name}/commands/DataTransfer?timeout={TIMEOUT_S:g}"
            begun_at = time.perf_counter()
            try:
                status, _ = self._house.post(
                    node, path, {"vendorId": "bench", "messageId": mark}, 3 * TIMEOUT_S
                )
            except (OSError, ValueError, IndexError):
                status = -1  # the node was killed during the request
            self._http[status] += 1
            if status == 200:
                self._latencies.append(time.perf_counter() - begun_at)

    def stop(self) -> None:
        """Stop sending, and wait for the end of all tickets."""
        gevent.killall(self._greenlets)
        ends_at = time.monotonic() + ENDS_S
        while time.monotonic() < ends_at and any(ticket.open for ticket in self._tickets.values()):
            gevent.sleep(0.05)
        self._open = [mark for mark, ticket in self._tickets.items() if ticket.open]
        self._client.stop()

    def faults(self) -> list[str]:
        """List tickets without an end and tickets with a wrong final state."""
        faults = [f"a ticket has no end: {mark}" for mark in self._open]
        for mark, times in self._tally.delivered.items():
            if mark and times > 1:
                state = self._tickets[mark].state if mark in self._tickets else "sent over HTTP"
                faults.append(f"{mark} reached its charge point {times} times; it is {state}")
        for mark, ticket in self._tickets.items():
            reached = self._tally.delivered[mark]
            if ticket.state == "answered" and not reached:
                faults.append(f"{mark} is answered, and never reached its charge point")
            if ticket.state in NOT_SENT and reached:
                faults.append(f"{mark} is {ticket.state}, and reached its charge point")
        return faults

    def figures(self) -> dict[str, Any]:
        """Return the number of commands by final state."""
        states = Counter(str(ticket.state) for ticket in self._tickets.values())
        waits = sorted(self._latencies)
        return {
            "tickets": len(self._tickets),
            **{f"tickets {state}": count for state, count in sorted(states.items())},
            **{
                f"HTTP {status if status > 0 else 'cut off'}": count
                for status, count in sorted(self._http.items())
            },
            "command over HTTP at any node, p50 ms": round(1000 * waits[len(waits) // 2], 2)
            if waits
            else 0.0,
        }
