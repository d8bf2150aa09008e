"""Bundled plugins in several processes, one of them killed: each event is posted, each cost is computed once."""

import signal
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..postgres_process import PostgresProcess
from ..remote.redis_process import REDIS, RedisProcess
from .conftest import StartServer
from .process import until
from .server import Server
from .test_events import ACKNOWLEDGED, CHARGE_POINTS, Driver, kill_workers
from .test_webhooks import SECRET, Receiver

KINDS = ("TransactionStarted", "TransactionEnded")
PAGE = "1000"


@pytest.fixture(name="receiver")
def receiver_of_events() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def mirror(start_server: StartServer) -> Server:
    """A second central system, which gets what the first one has answered."""
    return start_server()


@pytest.fixture
def config(receiver: Receiver, mirror: Server) -> str:
    return (
        f'[plugins.webhooks]\nurl = "{receiver.url}"\nsecret = "{SECRET}"\nallowed_networks = ["127.0.0.0/8"]\n'
        'kinds = ["TransactionStarted", "TransactionEnded", "TransactionCorrected"]\n'
        '[plugins.price]\n[[plugins.price.tariffs]]\nname = "day"\nper_kwh = "0.50"\nper_start = "1"\n'
        '[plugins.watch]\nscope = "cluster"\n'
        f'[plugins.mirror]\nurl = "{mirror.ws}{{id}}"\n'
    )


def transactions(server: Server) -> list[dict[str, Any]]:
    """Return all transactions, in the order of their starts."""
    told = server.ask("GET", f"/api/v1/transactions?limit={PAGE}").json
    assert not told["more"]
    rows: list[dict[str, Any]] = told["transactions"]
    return rows[::-1]


def judge(server: Server, receiver: Receiver, mirror: Server) -> None:
    """Wait until all events were posted and all costs are there, and judge them."""
    rows = transactions(server)
    wanted: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for row in rows:
        ended = row["stopped_at"] is not None
        wanted[row["charge_point"]] += [(kind, row["transaction_id"]) for kind in KINDS[: 1 + ended]]

    def posted() -> bool:
        with receiver.lock:
            return {name: len(events) for name, events in receiver.taken.items()} == {
                name: len(events) for name, events in wanted.items()
            }

    until(posted, "events are missing", 60)
    with receiver.lock:
        assert receiver.faults == []
        assert receiver.taken == wanted

    def priced() -> bool:
        return all(row["cost"] is not None for row in transactions(server) if row["stopped_at"] is not None)

    until(priced, "costs are missing", 60)
    for row in transactions(server):
        if row["stopped_at"] is not None:
            (cost,) = row["costs"]
            kwh = (row["meter_stop"] - row["meter_start"]) / 1000
            assert float(cost["amount"]) == pytest.approx(1 + 0.5 * kwh, abs=0.005)

    def watched() -> bool:
        """Ask the one process in which the watch runs, whichever answers; after a kill another one takes it."""
        reply = server.ask("GET", "/api/v1/plugins/watch/findings")
        assert reply.status in (200, 503)
        return reply.status == 200 and reply.json == {"findings": []}

    until(watched, "nobody watches", 60)

    def mirrored() -> bool:
        return {row["charge_point"] for row in transactions(mirror)} == set(wanted)

    until(mirrored, "a charge point was not mirrored", 60)


def drive(drivers: list[tuple[Driver, str]]) -> list[threading.Thread]:
    threads = [threading.Thread(target=one.drive, args=(url,), daemon=True) for one, url in drivers]
    for thread in threads:
        thread.start()
    return threads


def stop(drivers: list[Driver], threads: list[threading.Thread]) -> None:
    for one in drivers:
        one.stopping = True
    for thread in threads:
        thread.join(60)
    for one in drivers:
        one.stopping = False


@pytest.mark.slow
def test_bundled_plugins_do_each_thing_once_in_two_worker_processes(
    start_server: StartServer, receiver: Receiver, mirror: Server, config: str
) -> None:
    server = start_server("--store", "sqlite", "--workers", "2", config=config)
    drivers = [Driver(f"CP{number}") for number in range(CHARGE_POINTS)]
    kill_workers(server, drivers)
    judge(server, receiver, mirror)


@pytest.mark.slow
def test_bundled_plugins_do_each_thing_once_on_two_nodes(
    start_server: StartServer,
    receiver: Receiver,
    mirror: Server,
    config: str,
    postgres: PostgresProcess,
    tmp_path: Path,
) -> None:
    if REDIS is None:
        pytest.skip("there is no redis-server on this machine")
    redis = RedisProcess(tmp_path)
    redis.start()
    try:
        one, two = (
            start_server("--store", postgres.url, "--redis", redis.url, config=config) for _ in range(2)
        )
        drivers = [Driver(f"CP{number}") for number in range(CHARGE_POINTS)]
        threads = drive([(driver, (one, two)[place % 2].ws) for place, driver in enumerate(drivers)])
        until(lambda: sum(driver.answered for driver in drivers) >= ACKNOWLEDGED, "nothing was answered")
        one.process.send_signal(signal.SIGKILL)
        one.process.wait(60)
        stop(drivers, threads)
        before = sum(driver.answered for driver in drivers)
        threads = drive([(driver, two.ws) for driver in drivers])
        until(lambda: sum(driver.answered for driver in drivers) >= before + ACKNOWLEDGED, "no answer")
        stop(drivers, threads)
        judge(two, receiver, mirror)
        two.stop()
    finally:
        redis.kill()
