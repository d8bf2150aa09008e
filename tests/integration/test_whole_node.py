"""Answers of HTTP that speak for the whole node, whichever worker process gives them; and its health in trouble.

Every path of the API that is read is asked at both worker processes, over connections that stay with one each.
"""

import contextlib
import http.client
import json
import os
import signal
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from .conftest import StartServer
from .process import until
from .rawsocket import RawSocket
from .server import Server

TWO = ("--workers", "2", "--store", "sqlite")
BACK_S = 120.0
VOLATILE = frozenset({"at", "here", "inbox", "pid", "worker_of_answer"})
"""Members that differ from moment to moment, or say which process has answered."""
NOT_COMPARED = frozenset({"/metrics", "/healthz"})
"""Paths with tests of their own."""
EDGES = {"/api/v1/cluster": ("node", "lease", "forwarded_commands", "hosted_commands", "claimed", "members")}
"""Members of an answer that are of the process that answers."""


class WorkerClient:
    """Connection of HTTP that stays with one worker process."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(server.http).netloc, timeout=60)
        self._headers = {"Authorization": f"Bearer {server.token}"}
        self.number: int = self.ask("/healthz")["worker"]

    def reply(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Return the status and the body of an answer."""
        self._connection.request(method, path, headers=self._headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read().decode()

    def ask(self, path: str) -> Any:
        """Return the JSON of an answer."""
        return json.loads(self.reply(path)[1])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def both(server: Server) -> dict[int, WorkerClient]:
    """Connect to both worker processes."""
    found: dict[int, WorkerClient] = {}

    def reached() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            client = WorkerClient(server)
            if client.number in found:
                client.close()
            else:
                found[client.number] = client
        return len(found) == 2

    until(reached, "one of the worker processes is never reached", BACK_S)
    return found


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server(*TWO)


@pytest.fixture(scope="module")
def stations(server: Server) -> Iterator[list[RawSocket]]:
    """Charge points, some of them at each worker process."""
    made: list[RawSocket] = []

    def spread() -> bool:
        made.append(RawSocket.open(f"{server.ws}CP{len(made)}").boot())
        rows = server.ask("GET", "/api/v1/charge-points?limit=100").json["charge_points"]
        return len({row["worker"] for row in rows if row["connected"]}) == 2

    until(spread, "all charge points came to one worker process", BACK_S)
    yield made
    for one in made:
        one.socket.close()


@pytest.fixture
def workers(server: Server, stations: list[RawSocket]) -> Iterator[dict[int, WorkerClient]]:
    assert stations
    clients = both(server)
    yield clients
    for client in clients.values():
        client.close()


def without(value: Any, path: str = "") -> Any:
    """Return an answer without what differs from moment to moment."""
    if isinstance(value, dict):
        left_out = VOLATILE | set(EDGES.get(path, ()))
        return {name: without(one) for name, one in value.items() if name not in left_out}
    if isinstance(value, list):
        return [without(one) for one in value]
    return value


def paths(workers: dict[int, WorkerClient], charge_point: str) -> list[str]:
    """List what can be read, as the description of the API has it."""
    described = workers[1].ask("/api/v1/openapi.json")["paths"]
    found = [path for path, methods in described.items() if "get" in methods]
    filled = [path.replace("{charge_point}", charge_point) for path in found]
    return [path for path in filled if "{" not in path and path not in NOT_COMPARED]


def test_every_resource_is_the_same_at_each_worker_process(
    server: Server, workers: dict[int, WorkerClient], stations: list[RawSocket]
) -> None:
    server.ask("POST", "/api/v1/tags", {"id_tag": "T1", "status": "Accepted"})
    for one in stations:
        one.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Faulted"})
    asked = [*paths(workers, "CP0"), f"/api/v1/charge-points/CP{len(stations) - 1}"]
    assert len(asked) > 30
    for path in asked:
        if path == "/api/v1/events" or path.endswith(("/frames", "/backup")):
            continue

        def same(path: str = path) -> bool:
            one, other = (workers[number].reply(path) for number in (1, 2))
            if one[0] != other[0]:
                return False
            try:
                return bool(without(json.loads(one[1]), path) == without(json.loads(other[1]), path))
            except ValueError:  # a recording: its first line has the time
                return one[1].splitlines()[1:] == other[1].splitlines()[1:]

        until(same, f"{path} differs between the worker processes", BACK_S)


def test_each_worker_process_tells_the_numbers_of_both(
    server: Server, workers: dict[int, WorkerClient], stations: list[RawSocket]
) -> None:
    def connections(client: WorkerClient, query: str = "") -> dict[str, float]:
        lines = client.reply(f"/metrics{query}")[1].splitlines()
        rows = [line for line in lines if line.startswith("chargehand_connections{") and '"1.6"' in line]
        return {line.partition('worker="')[2][0]: float(line.split()[-1]) for line in rows}

    told = [connections(client) for client in workers.values()]
    assert told[0] == told[1]
    assert set(told[0]) == {"1", "2"}
    assert sum(told[0].values()) == len(stations)
    assert set(connections(workers[1], "?worker=2")) == {"2"}
    for client in workers.values():
        up = [line for line in client.reply("/metrics")[1].splitlines() if "worker_up{" in line]
        assert up == ['chargehand_worker_up{worker="1"} 1.0', 'chargehand_worker_up{worker="2"} 1.0']
    assert server.ask("GET", "/healthz").json["connected"] == len(stations)


def test_rows_name_their_worker_and_the_query_chooses_one(workers: dict[int, WorkerClient]) -> None:
    rows = workers[1].ask("/api/v1/plugins")["plugins"]
    assert {row["worker"] for row in rows} == {1, 2}
    rows = workers[1].ask("/api/v1/plugins?worker=2")["plugins"]
    assert {row["worker"] for row in rows} == {2}
    tree = workers[2].ask("/api/v1/supervision")
    assert [child["id"] for child in tree["children"]] == ["worker 1", "worker 2"]
    assert workers[2].ask("/api/v1/supervision?worker=1")["id"] == "root"
    assert workers[1].reply("/api/v1/crashes?worker=9")[0] == 404


def test_a_charge_point_that_is_away_is_shown_by_who_had_it_last(
    server: Server, workers: dict[int, WorkerClient]
) -> None:
    gone = RawSocket.open(f"{server.ws}GONE").boot()
    gone.socket.close()
    shown = "/api/v1/charge-points/GONE"
    until(lambda: workers[1].ask(shown).get("disconnected_at"), "it is not shown as away", BACK_S)
    facts = [client.ask(shown) for client in workers.values()]
    assert facts[0] == facts[1]
    assert facts[0]["boot"] is not None
    recordings = [client.reply(f"{shown}/recording") for client in workers.values()]
    assert [status for status, _ in recordings] == [200, 200]
    assert recordings[0][1].splitlines()[1:] == recordings[1][1].splitlines()[1:]


def test_a_backup_is_made_by_either(workers: dict[int, WorkerClient]) -> None:
    for client in workers.values():
        client._connection.request("POST", "/api/v1/backup", headers=client._headers)
        answer = client._connection.getresponse()
        assert answer.status == 200
        assert answer.read().startswith(b"SQLite format 3")


def test_a_killed_worker_process_is_replaced_while_the_node_stays_ready(
    server: Server, workers: dict[int, WorkerClient]
) -> None:
    def pid() -> int:
        rows = workers[1].ask("/api/v1/supervision")["workers"]
        return next(int(row["pid"] or 0) for row in rows if row["worker"] == 2)

    killed = pid()
    assert workers[1].ask("/healthz")["status"] == "ok"
    os.kill(killed, signal.SIGKILL)

    def replaced() -> bool:
        status, told = workers[1].reply("/healthz")
        # A machine that is too slow for something else may say so; a process that is being replaced is no reason.
        assert status == 200 or "workers" not in json.loads(told)["failing"], told
        return pid() not in (0, killed)

    until(replaced, "a killed worker process is not replaced", BACK_S)
    until(lambda: workers[1].ask("/healthz")["status"] == "ok", "it is not ok again", BACK_S)
    until(lambda: workers[1].reply("/readyz")[0] == 200, "it is not ready again", BACK_S)

    def unnamed() -> bool:
        return bool(workers[1].ask("/readyz")["checks"]["workers"] == {"ok": True, "reason": ""})

    until(unnamed, "the new worker process is still named", BACK_S)


def test_a_worker_process_that_hangs_makes_the_node_unready(
    server: Server, workers: dict[int, WorkerClient]
) -> None:
    pid = next(row["pid"] for row in workers[1].ask("/api/v1/supervision")["workers"] if row["worker"] == 2)
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: workers[1].reply("/readyz")[0] == 503, "it is ready while a process hangs", BACK_S)
        assert workers[1].reply("/livez")[0] == 200
        assert workers[1].reply("/metrics")[0] == 200
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: workers[1].reply("/readyz")[0] == 200, "it is not ready again", BACK_S)
