"""Limits of a server: connections of an address, descriptors, disk and memory. HTTP answers all the time."""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import StartServer
from .process import until
from .rawsocket import SUBPROTOCOL, Handshake, RawSocket
from .server import Server

DESCRIPTORS = 128
PER_ADDRESS = 3
CONFIG = f"""
[proxy]
trusted = ["127.0.0.1"]
headers = true
[sessions]
connections_per_address = {PER_ADDRESS}
[resources]
disk_free_bytes = {1 << 60}
"""
WAIT_S = 60.0
START = {"connectorId": 1, "idTag": "T1", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


@pytest.fixture(scope="module")
def tight(start_module_server: StartServer) -> Server:
    """A server behind a proxy with few descriptors, few connections for an address, and a disk nearly full."""
    return start_module_server("--store", "sqlite", config=CONFIG, descriptors=DESCRIPTORS)


@pytest.fixture
def sockets() -> Iterator[contextlib.ExitStack]:
    """Sockets that are closed at the end of the test."""
    with contextlib.ExitStack() as opened:
        yield opened


def connect(
    server: Server, sockets: contextlib.ExitStack, id_: str, address: str
) -> tuple[RawSocket, Handshake]:
    """Ask to upgrade as the proxy does for a client."""
    raw = sockets.enter_context(RawSocket(f"{server.ws}/{id_}"))
    return raw, raw.handshake(raw.path, SUBPROTOCOL, f"X-Forwarded-For: {address}")


def counters(server: Server) -> dict[str, int]:
    found: dict[str, int] = server.ask("GET", "/api/v1/counters").json
    return found


def test_an_address_behind_a_proxy_has_so_many_connections(
    tight: Server, sockets: contextlib.ExitStack
) -> None:
    many = [connect(tight, sockets, f"A{number}", "192.0.2.1") for number in range(PER_ADDRESS + 1)]
    assert [answer.status for _, answer in many] == [101] * PER_ADDRESS + [429]
    assert connect(tight, sockets, "A9", "192.0.2.2")[1].status == 101
    many[0][0].hang_up()

    def again() -> bool:
        with contextlib.ExitStack() as tried:
            return connect(tight, tried, "A8", "192.0.2.1")[1].status == 101

    until(again, "the place was not free again", WAIT_S)
    assert counters(tight)["connection_refused_address"] >= 1


def test_with_its_descriptors_used_up_a_server_goes_on_and_recovers(
    tight: Server, sockets: contextlib.ExitStack
) -> None:
    live, _ = connect(tight, sockets, "LIVE", "198.51.100.1")
    live.boot()
    with contextlib.ExitStack() as crowd:
        statuses = [
            connect(tight, crowd, f"F{number}", f"10.0.0.{number}")[1].status for number in range(DESCRIPTORS)
        ]
        assert set(statuses) == {101, 503}
        assert statuses[-1] == 503
        assert tight.ask("GET", "/livez").status == 200
        assert counters(tight)["connection_refused_descriptors"] >= 1
        assert live.call("Heartbeat", {})[0] == 3
    assert "raise `ulimit -n` (resources.descriptors_reserved)" in tight.output

    def again() -> bool:
        with contextlib.ExitStack() as tried:
            return connect(tight, tried, "BACK", "198.51.100.2")[1].status == 101

    until(again, "no descriptor was free again", WAIT_S)


def test_on_a_disk_that_is_nearly_full_transactions_are_stored_and_history_is_not(
    tight: Server, sockets: contextlib.ExitStack
) -> None:
    until(lambda: counters(tight).get("disk_low"), "the disk was not looked at", WAIT_S)
    raw, _ = connect(tight, sockets, "DISK", "198.51.100.3")
    raw.boot()
    assert raw.call("StatusNotification", STATUS)[0] == 3
    number = raw.call("StartTransaction", START)[2]["transactionId"]
    assert tight.ask("GET", f"/api/v1/transactions/{number}").json["id_tag"] == "T1"
    assert counters(tight)["stored_event_refused"] >= 1
    assert tight.ask("POST", "/api/v1/backup").status == 507
    assert tight.ask("GET", "/readyz").json["checks"]["disk"]["ok"] is False
    assert "(resources.disk_free_bytes)" in tight.output


def test_below_the_lower_mark_of_the_disk_nothing_is_acknowledged(
    start_server: StartServer, sockets: contextlib.ExitStack
) -> None:
    mark = "[resources]\ndisk_stop_bytes = {}\n"
    server = start_server("--store", "sqlite", config=mark.format(0))
    settings = server.data.parent / "chargehand.toml"

    def readyz() -> dict[str, Any]:
        found: dict[str, Any] = server.ask("GET", "/readyz").json["checks"]
        return found

    def new_mark(size_bytes: int) -> None:
        settings.write_text(mark.format(size_bytes))
        os.kill(server.pid, signal.SIGHUP)

    raw = sockets.enter_context(RawSocket(f"{server.ws}/FULL", timeout_s=WAIT_S))
    raw.handshake(raw.path, SUBPROTOCOL)
    raw.boot()
    new_mark(1 << 60)
    until(lambda: not readyz()["store"]["ok"], "the mark was not seen", WAIT_S)
    started = raw.send_call("StartTransaction", START)
    until(lambda: "StartTransaction" in server.output, "the start was not refused by the store", WAIT_S)
    assert server.ask("GET", "/api/v1/transactions?charge_point=FULL").json["transactions"] == []
    assert server.ask("POST", "/api/v1/tags", {"tags": [{"id_tag": "NEW"}]}).status == 503
    assert "(resources.disk_stop_bytes)" in readyz()["disk"]["reason"]
    new_mark(0)
    number = raw.answer_to(started)[2]["transactionId"]
    assert server.ask("GET", f"/api/v1/transactions/{number}").json["id_tag"] == "T1"
    assert "(resources.disk_stop_bytes)" in server.output


def test_without_memory_nobody_is_accepted_and_http_answers(
    start_server: StartServer, sockets: contextlib.ExitStack
) -> None:
    server = start_server(config="[resources]\nmemory_bytes = 1000000\n")
    until(lambda: counters(server).get("memory_full"), "the memory was not looked at", WAIT_S)
    raw = sockets.enter_context(RawSocket(f"{server.ws}/CP1"))
    answer = raw.handshake(raw.path, SUBPROTOCOL)
    assert (answer.status, answer.headers["retry-after"]) == (503, "30")
    assert counters(server)["connection_refused_memory"] >= 1
    assert server.ask("GET", "/readyz").json["checks"]["memory"]["ok"] is False
    assert "(resources.memory_accept)" in server.output
    assert "(resources.memory_read)" in server.output
