"""Several worker processes: they share ports and store, are killed and started again, and stop in order."""

import contextlib
import http.client
import json
import os
import signal
import socket
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest

from ..postgres_process import PostgresProcess
from .conftest import StartServer
from .process import until
from .rawsocket import EndedError, RawSocket
from .server import Server, chargehand
from .test_killtest import run as killtest

TWO = ("--workers", "2", "--store", "sqlite")
BACK_S = 60.0
START = {"connectorId": 1, "idTag": "T1", "meterStart": 7, "timestamp": "2026-11-22T05:42:00Z"}

SPINNING = """
from chargehand import Plugin, passive

class Spinning(Plugin):
    @passive("DataTransfer")
    def spin(self, call):
        print("spins", flush=True)
        while True:
            pass
"""


@pytest.fixture(scope="module")
def two(start_module_server: StartServer) -> Server:
    """Server with two worker processes, for tests that leave them as they are."""
    return start_module_server(*TWO)


def workers_of(server: Server) -> dict[int, dict[str, Any]]:
    """Return the worker processes by number, as one of them reports all."""
    rows = server.ask("GET", "/api/v1/supervision").json["workers"]
    return {row["worker"]: row for row in rows}


def health(server: Server) -> dict[int, dict[str, Any]]:
    """Return the health that each worker process reports; polled until both were reached."""
    found: dict[int, dict[str, Any]] = {}

    def ask() -> bool:
        with contextlib.suppress(OSError):
            answer = server.ask("GET", "/healthz").json
            found[answer["worker"]] = answer
        return len(found) == 2

    until(ask, "one of the workers is never reached", BACK_S)
    return found


def runs(pid: int) -> bool:
    """Tell if a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def in_file(server: Server, query: str) -> list[Any]:
    """Query the database file beside the process that writes it."""
    with contextlib.closing(sqlite3.connect(server.data / "chargehand.sqlite", timeout=60)) as file:
        return file.execute(query).fetchall()


class ChargingClient:
    """Charge point that charges, and connects again when its connection is lost."""

    def __init__(self, server: Server, name: str) -> None:
        self._url = server.ws + name
        self.name = name
        self.raw = RawSocket.open(self._url)
        self.losses = 0

    def call(self, action: str, payload: dict[str, Any]) -> Any:
        """Return the payload of the answer; the call is sent again until there is one."""
        while True:
            try:
                answer = self.raw.call(action, payload)
            except (EndedError, OSError):
                self.losses += 1
                self.come_again()
            else:
                assert answer[0] == 3, answer
                return answer[2]

    def come_again(self) -> None:
        """Connect again."""
        self.raw.socket.close()

        def connect() -> RawSocket | None:
            with contextlib.suppress(OSError, EndedError):
                return RawSocket.open(self._url)
            return None

        self.raw = until(connect, f"{self.name} is not let in", BACK_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.raw.socket.close()


def test_both_serve_and_one_that_is_killed_comes_back_while_the_other_goes_on(
    start_server: StartServer,
) -> None:
    server = start_server(*TWO)
    assert set(json.loads((server.data / "run.json").read_text())) == {"pid", "ws", "wss", "http"}
    with contextlib.ExitStack() as stack:
        cars = [stack.enter_context(ChargingClient(server, f"CP{number}")) for number in range(200)]
        numbers = [car.call("StartTransaction", START)["transactionId"] for car in cars]
        rows = server.ask("GET", "/api/v1/charge-points?limit=1000").json["charge_points"]
        connected = Counter(row["worker"] for row in rows if row["connected"])
        assert sum(connected.values()) == 200
        assert min(connected.values()) >= 20
        before = workers_of(server)
        assert [row["state"] for row in before.values()] == ["running", "running"]
        assert sum(row["here"] for row in before.values()) == 1
        os.kill(before[1]["pid"], signal.SIGKILL)
        for car in cars:
            car.call("Heartbeat", {})
        assert sum(car.losses for car in cars) == connected[1]
        for car, number in zip(cars, numbers, strict=True):
            assert (
                car.call("StartTransaction", START)["transactionId"] == number
            )  # it is sent again, by whomever
            stop = {"transactionId": number, "meterStop": 9, "timestamp": "2026-11-22T06:42:00Z"}
            car.call("StopTransaction", stop)

        def is_back() -> bool:
            return workers_of(server)[1]["state"] == "running"

        until(is_back, "the killed worker is not back", BACK_S)
        after = workers_of(server)
        assert after[1]["pid"] != before[1]["pid"]
        assert (after[1]["restarts"], after[1]["last_exit"]) == (1, "SIGKILL")
        assert (after[2]["pid"], after[2]["restarts"]) == (before[2]["pid"], 0)
        assert set(health(server)) == {1, 2}
    assert len(set(numbers)) == 200
    kept = in_file(server, "SELECT id, charge_point FROM transactions WHERE meter_stop = 9")
    assert sorted(kept) == sorted(zip(numbers, (car.name for car in cars), strict=True))
    shown = chargehand("tree", "--data", str(server.data)).output
    assert "workers" in shown
    assert "last exit: SIGKILL" in shown


def test_a_start_that_comes_again_has_its_number_wherever_it_comes(two: Server) -> None:
    with ChargingClient(two, "AGAIN") as car:
        given = set()
        for _ in range(12):  # to one worker all the time only once in two thousand
            given.add(car.call("StartTransaction", START)["transactionId"])
            car.come_again()
    assert len(given) == 1
    assert in_file(two, "SELECT count(*) FROM transactions WHERE charge_point = 'AGAIN'") == [(1,)]


def test_and_with_postgresql(start_server: StartServer, postgres: PostgresProcess) -> None:
    server = start_server("--workers", "2", "--store", postgres.url)
    assert not (server.data / "store.socket").exists()
    with ChargingClient(server, "CP1") as car:
        given = set()
        for _ in range(12):
            given.add(car.call("StartTransaction", START)["transactionId"])
            car.come_again()
    assert len(given) == 1


def test_a_tag_that_one_was_told_of_is_known_to_the_other(two: Server) -> None:
    told = two.ask("PUT", "/api/v1/tags/T9", {"status": "Blocked"})
    assert told.status in {200, 201}, told
    cars = [ChargingClient(two, f"TAG{number}") for number in range(12)]

    def verdicts() -> bool:
        answers = [car.call("Authorize", {"idTag": "T9"})["idTagInfo"]["status"] for car in cars]
        return set(answers) == {"Blocked"}

    try:
        until(verdicts, "one of them does not know it")
    finally:
        for car in cars:
            car.raw.socket.close()


def test_commands_of_2_0_1_are_sent_by_whichever_process(two: Server) -> None:
    with contextlib.ExitStack() as stations:
        for number in range(6):
            name = f"OF201-{number}"
            raw = stations.enter_context(RawSocket(f"{two.ws}/{name}"))
            assert raw.handshake(raw.path, "Sec-WebSocket-Protocol: ocpp2.0.1").status == 101
            boot = {"chargingStation": {"model": "M", "vendorName": "V"}, "reason": "PowerUp"}
            assert raw.call("BootNotification", boot)[0] == 3
            started = {
                "eventType": "Started",
                "timestamp": "2026-11-28T12:00:00Z",
                "triggerReason": "Authorized",
                "seqNo": 0,
                "transactionInfo": {"transactionId": f"tx-{number}"},
                "evse": {"id": 1},
            }
            assert raw.call("TransactionEvent", started)[0] == 3
            path = f"/api/v1/charge-points/{name}"
            wanted = {"getVariableData": [{"component": {"name": "C"}, "variable": {"name": "V"}}]}
            query = "wait=0"
            told = two.ask("POST", f"{path}/commands/GetVariables?{query}", wanted)
            assert told.status == 202, told.text
            _, unique_id, action, _ = json.loads(raw.text())
            assert action == "GetVariables"
            raw.send(json.dumps([4, unique_id, "InternalError", "", {}]))
            found = two.ask("GET", f"/api/v1/transactions?charge_point={name}").json["transactions"]
            stop = {"transaction_id": found[0]["transaction_id"]}
            told = two.ask("POST", f"{path}/verbs/stop_charging?{query}", stop)
            assert told.status == 202, told.text
            assert json.loads(raw.text())[2:] == ["RequestStopTransaction", {"transactionId": f"tx-{number}"}]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_in_order_and_leaves_no_process(start_server: StartServer, number: signal.Signals) -> None:
    server = start_server(*TWO)
    workers = [row["pid"] for row in workers_of(server).values()]
    with contextlib.ExitStack() as stack:
        cars = [stack.enter_context(ChargingClient(server, f"CP{count}")) for count in range(20)]
        for car in cars:
            car.call("Heartbeat", {})
        status = server.signal_and_wait(number)
        codes = Counter(car.raw.close_code() for car in cars)
    assert status == 0, server.output
    assert codes == {1001: 20}
    assert not any(map(runs, workers))
    left = {path.name for path in server.data.iterdir()}
    assert not left & {"run.json", "store.socket", "coordinator.socket"}
    assert "Traceback" not in server.output


def test_a_login_at_the_page_counts_at_every_worker_at_once_until_it_is_left(two: Server) -> None:
    page = {"X-Chargehand-Page": "1"}

    def ask(method: str, path: str, body: str | None = None, **headers: str) -> http.client.HTTPResponse:
        with contextlib.closing(
            http.client.HTTPConnection(urlsplit(two.http).netloc, timeout=60)
        ) as connection:
            connection.request(method, path, body, page | headers)
            answer = connection.getresponse()
            answer.read()
            return answer

    for _ in range(5):
        entered = ask("POST", "/api/v1/login", json.dumps({"token": two.token}))
        cookie = (entered.getheader("Set-Cookie") or "").partition(";")[0]
        # Each is another connection, which the kernel gives to one of the two.
        assert [ask("GET", "/api/v1/charge-points", Cookie=cookie).status for _ in range(6)] == [200] * 6
    assert ask("DELETE", "/api/v1/login", Cookie=cookie).status == 204
    until(
        lambda: {ask("GET", "/api/v1/charge-points", Cookie=cookie).status for _ in range(6)} == {401},
        "a worker has not heard that the login has ended",
        BACK_S,
    )


def test_a_killed_parent_takes_its_workers_along_and_the_next_has_port_and_data(
    start_server: StartServer,
) -> None:
    server = start_server(*TWO)
    workers = [row["pid"] for row in workers_of(server).values()]
    with ChargingClient(server, "CP1") as car:
        number = car.call("StartTransaction", START)["transactionId"]
        server.process.kill()
        port = server.ws.split(":")[2].split("/")[0]
        again = start_server(*TWO, "--port", port, data=server.data)
        until(lambda: not any(map(runs, workers)), "a worker has outlived its parent")
        assert car.call("StartTransaction", START)["transactionId"] == number
    assert again.ws == server.ws
    assert "Traceback" not in server.output


def test_one_that_ends_again_and_again_ends_all_with_status_one(start_server: StartServer) -> None:
    # So many seconds that five start within them on any machine.
    server = start_server(*TWO, config="[supervision]\nperiod_s = 600\n")
    killed: set[int] = set()

    def kill_the_next() -> bool:
        with contextlib.suppress(OSError):
            pid = workers_of(server)[2]["pid"]
            if pid and pid not in killed:
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
        return not server.alive

    until(kill_the_next, "it does not give up")
    assert server.process.wait() == 1
    assert len(killed) == 4
    assert "worker 2 ends again and again: SIGKILL" in server.output
    assert not (server.data / "run.json").exists()


def test_one_that_is_stuck_shows_where_and_is_ended_with_the_rest(
    start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "spinning.py").write_text(SPINNING)
    server = start_server(
        *TWO,
        "--plugin",
        "spinning:Spinning",
        config="[supervision]\nstop_timeout_s = 0.5\n",
        python_path=tmp_path,
    )
    workers = [row["pid"] for row in workers_of(server).values()]
    with ChargingClient(server, "CP1") as car:
        car.raw.send_call("DataTransfer", {"vendorId": "Acme"})
        until(lambda: "spins" in server.output, "the hub is not stuck")
        status = server.signal_and_wait(signal.SIGTERM)
    assert status == 1
    assert "in spin" in server.output
    assert not any(map(runs, workers))


def test_lines_of_the_log_say_whose_they_are_and_each_has_its_file(
    start_server: StartServer, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    server = start_server(*TWO, config=f'[log]\nfile = "{log}"\nformat = "json"\n')
    with contextlib.ExitStack() as stack:
        stations = [stack.enter_context(ChargingClient(server, f"L{number}")) for number in range(8)]
        for station in stations:
            server.ask("PUT", f"/api/v1/log-levels/{station.name}", {"level": "DEBUG", "for_s": 600})

        def frames() -> set[int]:
            """Have frames pass; return the workers that have logged some."""
            for station in stations:
                station.call("Heartbeat", {})
            lines = [line for file in tmp_path.glob("log.?") for line in file.read_text().splitlines()]
            rows = [json.loads(line) for line in lines if "chargehand.frames" in line]
            assert all(row["charge_point"].startswith("L") for row in rows)
            return {row["worker"] for row in rows}

        there = {row["worker"] for row in server.ask("GET", "/api/v1/charge-points").json["charge_points"]}
        until(lambda: frames() == there, "frames of a charge point at DEBUG are not logged", BACK_S)

        def all_are_busy() -> bool:
            busy = server.ask("GET", "/api/v1/activity").json
            there = {row["charge_point"] for row in busy["busiest"]}
            both = sorted(one["worker"] for one in busy["workers"]) == [1, 2]  # one may be slow to answer
            return both and there == {station.name for station in stations}

        until(all_are_busy, "the activity is not that of both", BACK_S)
    server.stop()
    files = {path.name: path.read_text().splitlines() for path in tmp_path.glob("log*")}
    assert set(files) == {"log", "log.1", "log.2"}
    for name, lines in files.items():
        workers = {json.loads(line).get("worker") for line in lines}
        assert workers == {int(name[4:]) if name[4:] else None}
        assert any(json.loads(line)["message"] == "stopped" for line in lines)


def refused(folder: Path, *options: str) -> tuple[int, list[str]]:
    """Run a `serve` that ends by itself; return its status and its last lines."""
    done = chargehand(
        *("serve", "--data", str(folder / "data"), "--workers", "2", "--port", "0", "--http-port", "0"),
        *options,
    )
    assert "Traceback" not in done.output, done.output
    return done.status, [line for line in done.output.splitlines() if line.startswith("chargehand: ")]


def test_memory_that_cannot_be_shared_is_refused_in_one_line(tmp_path: Path) -> None:
    done = chargehand("serve", "--data", str(tmp_path / "data"), "--workers", "2", "--store", "memory")
    assert done.status == 2
    assert [line for line in done.output.splitlines() if line.strip().startswith("workers: ")], done.output


def test_what_is_wrong_at_the_start_is_said_once(tmp_path: Path) -> None:
    status, lines = refused(tmp_path, "--plugin", "nowhere:Nothing")
    assert (status, len(lines)) == (2, 1), lines
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, lines = refused(tmp_path, "--port", port)
    assert (status, len(lines)) == (1, 1), lines
    assert port in lines[0]


def test_two_servers_do_not_share_a_port_by_mistake(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(*TWO)
    port = server.ws.split(":")[2].split("/")[0]
    status, lines = refused(tmp_path, "--port", port)
    assert (status, len(lines)) == (1, 1), lines
    assert "in use" in lines[0]


def test_nothing_acknowledged_is_lost_whoever_is_killed() -> None:
    done = killtest(
        "--messages", "1500", "--kills", "8", "--charge-points", "20", "--seed", "3", "--workers", "2"
    )
    assert done.returncode == 0, done.stdout
    figures = dict(line.rsplit(None, 1) for line in done.stdout.splitlines())
    assert int(figures["messages acknowledged"]) >= 1500
    assert 0 < int(figures["of them of a worker"]) < int(figures["kills"]) == 8
    assert int(figures["faults"]) == 0
