"""Webhooks of a real server over kills: the receiver misses nothing, and has each charge point's events in order."""

import base64
import itertools
import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from .conftest import StartServer
from .process import until
from .server import chargehand
from .test_events import CHARGE_POINTS, Driver, drive_and_kill, expected

SECRET = "whsec_" + base64.b64encode(b"a key of these tests, 32 bytes..").decode()


class Receiver:
    """HTTP server that takes webhooks, fails, hangs or lies, and keeps what it took, each message once."""

    def __init__(self) -> None:
        self.behaviour = "take"
        self.taken: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self.ids: dict[str, bytes] = {}
        self.again = 0
        self.faults: list[str] = []
        self.lock = threading.Lock()
        self.lies = itertools.count()
        self.ended = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.behaviour == "hang":
                    receiver.ended.wait(60)
                    return
                if receiver.behaviour == "lie":
                    self.lie(next(receiver.lies))
                    return
                if receiver.behaviour == "take":
                    receiver.take(dict(self.headers), body)
                self.send_response(500 if receiver.behaviour == "fail" else 204)
                self.end_headers()

            def lie(self, number: int) -> None:
                self.close_connection = True
                if number % 2:
                    self.send_response(307)
                    self.send_header("Location", receiver.url)
                    self.end_headers()
                else:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Len")

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def take(self, headers: dict[str, str], body: bytes) -> None:
        with self.lock:
            try:
                message = Webhook(SECRET).verify(body, headers)
            except Exception as error:  # noqa: BLE001 - told by the test
                self.faults.append(repr(error))
                return
            id_ = headers["webhook-id"]
            if id_ in self.ids:
                self.again += 1
                if self.ids[id_] != body:
                    self.faults.append(f"{id_} came again with another body")
                return
            self.ids[id_] = body
            data = message["data"]
            self.taken[data["charge_point"]].append((message["type"], data["transaction"]["transaction_id"]))

    def close(self) -> None:
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(60)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.mark.slow
def test_a_receiver_misses_nothing_however_it_fails_and_the_server_is_killed(
    start_server: StartServer, receiver: Receiver, tmp_path: Path
) -> None:
    config = (
        f'[plugins.webhooks]\nurl = "{receiver.url}"\nsecret = "{SECRET}"\nallowed_networks = ["127.0.0.0/8"]\n'
        'kinds = ["TransactionStarted", "TransactionEnded"]\n'
        "timeout_s = 0.3\nretry_min_s = 0.05\nretry_max_s = 0.3\n"
    )
    (tmp_path / "w.toml").write_text(config)
    drivers = [Driver(f"CP{number}") for number in range(CHARGE_POINTS)]
    server = start_server("--store", "sqlite", config=config)
    for behaviour in ("fail", "lie", "hang", "take"):
        receiver.behaviour = behaviour
        drive_and_kill(server, drivers)
        server = start_server("--store", "sqlite", config=config, data=server.data)

    def all_there() -> bool:
        with receiver.lock:
            taken = {event for events in receiver.taken.values() for event in events}
        return expected(server) <= taken

    until(all_there, "webhooks are missing", 60)
    assert receiver.faults == []
    for events in receiver.taken.values():
        starts = [number for kind, number in events if kind == "TransactionStarted"]
        assert starts == sorted(starts)
        ends = [number for kind, number in events if kind == "TransactionEnded"]
        assert ends == sorted(ends)
        for number in ends:
            assert events.index(("TransactionStarted", number)) < events.index(("TransactionEnded", number))
    shown = chargehand("webhooks", "status", "--data", str(server.data))
    assert json.loads(shown.output)["failures"] == 0
    tested = chargehand("webhooks", "resend", "--data", str(server.data))
    assert (tested.status, tested.output) == (0, "no dead letters\n")
