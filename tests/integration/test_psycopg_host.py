"""A host that is not patched, with a plugin that writes into PostgreSQL by psycopg: `examples/billing.py`."""

import importlib.util
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import gevent
import pytest

from chargehand import CentralSystem, DeadlineSettings, Settings, SupervisionSettings, v16
from chargehand.simulator import ChargePoint

from ..hub import until
from ..postgres_process import PostgresProcess

EXAMPLE = Path(__file__).parents[2] / "examples" / "billing.py"
STALL_S = 0.5
"""Longest wait of other charge points, on a machine that others use: a handler in the hub would block for seconds."""


@pytest.fixture
def billing(postgres: PostgresProcess) -> ModuleType:
    spec = importlib.util.spec_from_file_location("billing", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    postgres.sql("DROP TABLE IF EXISTS charged")
    postgres.sql(module.TABLE)
    return module


def settings(folder: Path, *, events_s: float = 10.0) -> Settings:
    return Settings(
        port=0,
        store="sqlite",
        data=str(folder),
        deadlines=DeadlineSettings(events_s=events_s),
        supervision=SupervisionSettings(redelivery_delay_s=0.05, redelivery_delay_max_s=0.2, shutdown_s=0.5),
    )


def elsewhere(function: object, *arguments: object) -> object:
    """Call what blocks in another thread: these tests are the host, and their hub serves charge points."""
    return gevent.get_hub().threadpool.apply(function, arguments)


class Watched:
    """Charge point that sends Heartbeats all the time; `worst_s` is the longest wait for an answer."""

    def __init__(self, charge_point: ChargePoint) -> None:
        self.worst_s = 0.0
        self.greenlet = gevent.spawn(self._send, charge_point)

    def _send(self, charge_point: ChargePoint) -> None:
        while True:
            began = time.monotonic()
            charge_point.send(v16.Heartbeat())
            self.worst_s = max(self.worst_s, time.monotonic() - began)
            gevent.sleep(0.01)


def test_the_example_prints_the_rows_of_its_table(postgres: PostgresProcess) -> None:
    postgres.sql("DROP TABLE IF EXISTS charged")
    done = subprocess.run(
        [sys.executable, EXAMPLE, postgres.url], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines() == ["CP1 T1 1500.0", "CP2 T1 1500.0"], done.stderr


def test_each_end_is_one_row_though_the_database_goes_away_and_comes_back(
    billing: ModuleType, postgres: PostgresProcess, tmp_path: Path
) -> None:
    numbers = []
    with (
        CentralSystem(settings(tmp_path), plugins=[billing.Billing.spec(postgres.url)]) as system,
        ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp/", "CP1") as charge_point,
        ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp/", "CP2") as other,
    ):
        watched = Watched(other)
        numbers.append(charge_point.charge("T1").id)
        elsewhere(postgres.stop, "immediate")
        try:
            numbers += [charge_point.charge("T1").id for _ in range(5)]
            until(lambda: system.counters.counts.get("event_failed", 0) >= 3, "the events fail")
        finally:
            elsewhere(postgres.start)
        numbers.append(charge_point.charge("T1").id)
        query = "SELECT string_agg(transaction_id::text, ' ' ORDER BY ended_at) FROM charged"
        expected = " ".join(str(number) for number in numbers)
        until(lambda: elsewhere(postgres.sql, query) == expected, "every end has its row")
        watched.greenlet.kill()
        assert system.counters.counts.get("hub_blocked", 0) == 0
    assert watched.worst_s < STALL_S


def test_a_database_that_answers_nothing_holds_up_no_other_charge_point(
    billing: ModuleType, postgres: PostgresProcess, tmp_path: Path
) -> None:
    with (
        CentralSystem(
            settings(tmp_path, events_s=1.0), plugins=[billing.Billing.spec(postgres.url)]
        ) as system,
        ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp/", "CP1") as charge_point,
        ChargePoint(f"ws://127.0.0.1:{system.port}/ocpp/", "CP2") as other,
    ):
        watched = Watched(other)
        elsewhere(postgres.freeze)
        try:
            number = charge_point.charge("T1").id
            until(lambda: system.counters.counts.get("thread_abandoned"), "the deadline passes")
            assert charge_point.authorize("T1").status == "Accepted"  # its own calls go on, too
        finally:
            elsewhere(postgres.thaw)
        query = "SELECT transaction_id FROM charged"
        until(lambda: elsewhere(postgres.sql, query) == str(number), "the end has its row")
        watched.greenlet.kill()
    assert watched.worst_s < STALL_S
