"""`serve` on PostgreSQL: refusals to start, a database that is away, and two servers on one database."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ..postgres_process import PostgresProcess
from .conftest import StartServer
from .process import until
from .rawsocket import RawSocket
from .server import Server, chargehand

AT = "2026-01-01T00:00:00Z"
START = {"connectorId": 1, "idTag": "T1", "meterStart": 0, "timestamp": AT}
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}

STALL_S = 0.015
"""Longest time that the hub may block while the database is away: the best of some tries on a shared machine."""
TRIES = 5

# Prints how long the hub stood still at most: while the server answers nothing, while nothing listens on its port, and
# while something listens there that is no database. Its arguments: the URL, then what is done to the server.
PROBE = """
import sys
import time
import gevent
from chargehand.actors.runtime import threads
from chargehand.store.postgres import PostgresStore
from chargehand.store.store import StoreError

worst = 0.0

def turn():
    global worst
    last = time.perf_counter()
    while True:
        gevent.sleep(0.001)
        now = time.perf_counter()
        worst, last = max(worst, now - last), now

store = PostgresStore.open(sys.argv[1], threads)
print("ready", flush=True)
sys.stdin.readline()
turning = gevent.spawn(turn)
failed = 0
for _ in range(4):
    try:
        store.register("CP1", "Accepted").wait(0.3)
    except (StoreError, TimeoutError):
        failed += 1
    gevent.sleep(0.1)
turning.kill()
print(worst, failed, flush=True)
sys.stdin.readline()
store.close()
"""


def refused(folder: Path, store: str) -> str:
    """Return the one line with which `serve` ends at once; its status is 1."""
    done = chargehand(
        *("serve", "--data", str(folder / "data"), "--port", "0", "--http-port", "0", "--store", store)
    )
    assert done.status == 1, done.output
    assert "Traceback" not in done.output
    (line,) = [line for line in done.output.splitlines() if line.startswith("chargehand: ")]
    assert "s3cr3t" not in done.output
    return line


def charge_point(server: Server, name: str) -> RawSocket:
    """Connect a charge point that waits long enough for a stored transaction."""
    return RawSocket.open(f"{server.ws}{name}", timeout_s=60.0)


def test_a_database_that_cannot_be_reached_is_one_line_and_status_one(tmp_path: Path) -> None:
    line = refused(tmp_path, "postgresql://me:s3cr3t@127.0.0.1:1/db")
    assert "cannot start: postgresql://me:***@127.0.0.1:1/db: " in line


def test_what_is_no_store_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    for wrong in ("postgres", "mysql://me:s3cr3t@h/db"):
        done = chargehand("serve", "--data", str(tmp_path / "data"), "--store", wrong)
        assert done.status == 2
        assert 'store: must be "memory", "sqlite" or "postgresql://' in done.output
        assert "s3cr3t" not in done.output


def test_without_its_database_nothing_is_acknowledged_and_the_server_recovers(
    start_server: StartServer, postgres: PostgresProcess
) -> None:
    store = postgres.url.replace("chargehand@", "chargehand:s3cr3t@")
    server = start_server("--store", store)
    with charge_point(server, "CP1") as one, charge_point(server, "CP2") as two:
        assert one.call("BootNotification", BOOT)[2]["status"] == "Accepted"
        number = one.call("StartTransaction", START)[2]["transactionId"]
        postgres.stop("immediate")
        try:
            stop = one.send_call(
                "StopTransaction", {"transactionId": number, "meterStop": 10, "timestamp": AT}
            )
            until(lambda: "could not be stored" in server.output, "nobody said so")
            assert two.call("Heartbeat", {})[0] == 3
            until(lambda: server.ask("GET", "/readyz").status == 503, "it is ready without a store")
            told = server.ask("GET", "/healthz")
            assert (told.status, told.json["status"], list(told.json["failing"])) == (
                503,
                "unready",
                ["store"],
            )
            assert server.ask("GET", "/livez").status == 200
            assert 'chargehand_check_ok{check="store",worker="1"} 0.0' in server.ask("GET", "/metrics").text
            one.socket.settimeout(0.5)
            with pytest.raises(TimeoutError):
                one.text()
            one.socket.settimeout(60)
        finally:
            postgres.start()
        assert one.answer_to(stop)[0] == 3
        until(lambda: server.ask("GET", "/readyz").status == 200, "it is not ready again", 30.0)
        assert two.call("StartTransaction", START)[2]["transactionId"] != number
    server.stop()
    assert "s3cr3t" not in server.output
    again = start_server("--store", store)
    # What a fallback has acknowledged is replayed.
    query = "SELECT count(*) FROM chargehand.transactions WHERE stop_received_at IS NOT NULL"
    until(lambda: postgres.sql(query) == "1", "the stop was lost")
    assert len(again.ask("GET", "/api/v1/transactions").json["transactions"]) == 2


def test_two_servers_on_one_database_give_no_number_twice_and_know_each_others_tags(
    start_server: StartServer, postgres: PostgresProcess
) -> None:
    servers = [start_server("--store", postgres.url) for _ in range(2)]
    numbers = []
    for at, server in enumerate(servers):
        with charge_point(server, f"CP{at}") as one:
            numbers += [
                one.call("StartTransaction", START | {"connectorId": connector})[2]["transactionId"]
                for connector in range(1, 20)
            ]
    assert len(set(numbers)) == 38
    reply = servers[0].ask("PUT", "/api/v1/tags/T1", {"status": "Blocked"})
    assert reply.status in (200, 201), reply
    until(lambda: servers[1].ask("GET", "/api/v1/tags/T1").status == 200, "the other never heard of it")
    with charge_point(servers[1], "CP9") as one:
        assert one.call("Authorize", {"idTag": "T1"})[2]["idTagInfo"]["status"] == "Blocked"


@pytest.mark.parametrize("patched", [False, True])
@pytest.mark.parametrize("how", ["frozen", "stopped", "replaced"])
def test_the_hub_goes_on_while_the_database_is_away(
    postgres: PostgresProcess, how: str, *, patched: bool
) -> None:
    found = []
    for _ in range(TRIES):
        found.append(stall(postgres, how, patched=patched))
        if found[-1] < STALL_S:
            return
    pytest.fail(f"the hub stood still for {found} s")


def stall(postgres: PostgresProcess, how: str, *, patched: bool) -> float:
    """Run the probe once."""
    program = ("from gevent import monkey\nmonkey.patch_all()\n" if patched else "") + PROBE
    probe = subprocess.Popen(
        [sys.executable, "-c", program, f"{postgres.url}?connect_timeout=1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    listening = None
    with probe:
        assert probe.stdin is not None
        assert probe.stdout is not None
        try:
            assert probe.stdout.readline() == "ready\n"
            if how == "frozen":
                postgres.freeze()
            else:
                postgres.stop("immediate")
            if how == "replaced":
                listening = socket.create_server(("127.0.0.1", postgres.port))
            probe.stdin.write("\n")
            probe.stdin.flush()
            worst, failed = json.loads(f"[{probe.stdout.readline().strip().replace(' ', ', ')}]")
        finally:
            if listening is not None:
                listening.close()
            if how == "frozen":
                postgres.thaw()
            else:
                postgres.start()
            probe.stdin.close()
            probe.wait(60)
    assert failed == 4
    return float(worst)
