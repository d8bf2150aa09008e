"""Webhooks of a system whose endpoint is away for an hour, while the system is killed: nothing lost, all in order."""

import datetime as dt
import json
import shutil
from collections import defaultdict

from chargehand import CentralSystem, Settings, Transaction
from chargehand.actors.runtime import threads
from chargehand.plugins.webhooks import Reply, Webhooks, WebhookSettings
from chargehand.store.sqlite import SqliteStore
from chargehand.testing import ManualClock
from tests.hub import settle, until

CHARGE_POINTS = ("CP1", "CP2", "CP3")
SECRET = "whsec_" + "A" * 43 + "="
KINDS = ("TransactionStarted", "TransactionEnded", "TransactionCorrected")


class Receiver:
    """Endpoint that answers as it is told, and notes what it took, each id once."""

    def __init__(self):
        self.answer = 200
        self.tries = 0
        self.bodies = {}
        self.order = defaultdict(list)

    def post(self, body, headers, timeout_s):
        del timeout_s
        self.tries += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer == 200:
            id_, message = headers["webhook-id"], json.loads(body)
            if id_ not in self.bodies:
                data = message["data"]
                self.order[data["charge_point"]].append(
                    (message["type"], data["transaction"]["transaction_id"])
                )
            self.bodies.setdefault(id_, set()).add(body)
        return Reply(self.answer)


class Life:
    """System on a SQLite file with a webhook."""

    def __init__(self, path, clock, receiver):
        self.path, self.clock = path, clock
        self.store = SqliteStore.open(str(path), threads)
        own = WebhookSettings(url="https://a.example/", secret=SECRET, kinds=KINDS)
        plugin = Webhooks.spec(own, post=receiver.post, jitter=0.0, name="webhooks")
        self.system = CentralSystem(Settings(port=0), plugins=[plugin], store=self.store, clock=clock)
        self.system.start()
        clock.drive(self.system._parts.timers)

    def charge(self, numbers):
        """Store transactions, each with a start, an end and a note that comes later."""
        for number in numbers:
            at = dt.datetime.fromtimestamp(self.clock.time(), dt.UTC)
            known = Transaction(
                id=number,
                charge_point_id=CHARGE_POINTS[number % 3],
                connector_id=1,
                id_tag="T1",
                meter_start=100,
                started_at=at,
                start_received_at=at,
            )
            self.store.start_transaction(known)
            ended = {"meter_stop": 300, "stopped_at": at, "stop_received_at": at}
            self.store.stop_transaction(
                Transaction(**{name: getattr(known, name) for name in known.__struct_fields__} | ended)
            )
            self.store.amend_transaction(number, note="seen").wait(60)

    def killed(self, path):
        """Return a copy of the file as a kill would leave it, and end this life behind it."""
        for file in self.path.parent.glob(f"{self.path.name}*"):
            shutil.copy(file, path.with_name(path.name + file.name.removeprefix(self.path.name)))
        self.end()
        return path

    def end(self):
        self.system.stop()
        self.store.close()


def test_an_endpoint_that_is_away_for_an_hour_over_a_kill_misses_nothing(tmp_path):
    clock, receiver = ManualClock(), Receiver()

    def later(condition, seconds=1.0):
        def holds():
            clock.advance(seconds, settle)
            return condition()

        until(holds)

    life = Life(tmp_path / "first.sqlite", clock, receiver)
    try:
        life.charge(range(1, 7))
        later(lambda: len(receiver.bodies) == 18)
        receiver.answer = 503
        life.charge(range(7, 13))
        later(lambda: receiver.tries > 18)
        failed_at = clock.monotonic()
        clock.advance(1800, settle)
        path = life.killed(tmp_path / "second.sqlite")
        receiver.answer = TimeoutError("no answer")
        life = Life(path, clock, receiver)
        tries = receiver.tries
        life.charge(range(13, 19))
        later(lambda: receiver.tries > tries)
        clock.advance(1800, settle)
        assert len(receiver.bodies) == 18
        assert clock.monotonic() - failed_at >= 3600
        receiver.answer = 200
        later(lambda: sum(map(len, receiver.order.values())) >= 54, 60.0)
    finally:
        life.end()
    for place, charge_point_id in enumerate(CHARGE_POINTS):
        numbers = [number for number in range(1, 19) if number % 3 == place]
        assert receiver.order[charge_point_id] == [(kind, number) for number in numbers for kind in KINDS]
    assert {len(bodies) for bodies in receiver.bodies.values()} == {1}
