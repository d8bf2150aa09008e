"""Secrets planted everywhere that one can be given: none of them is in anything that the server gives out."""

import contextlib
import http.client
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.sync.client import connect

from .conftest import StartServer
from .process import until
from .server import Server, chargehand

MARK = "PLANTED"
OLD_KEY, NEW_KEY, WRONG_KEY, SET_KEY = (f"{MARK}-{name}-key-16" for name in ("old", "new", "wrong", "set"))
NEW_KEY_OF_201 = f"{MARK}-new-201-key"
SERVER_TOKEN, WRONG_TOKEN = f"{MARK}-server-token", f"{MARK}-wrong-token"
REDIS_SECRET, REDIS_PASSWORD = f"{MARK}-redis-secret", f"{MARK}redispassword"
CUSTOMER, ARGUMENT = f"{MARK} customer Jane Roe", f"{MARK}-argument"
FIRMWARE_PASSWORD = f"{MARK}-firmware-password"

PLUGIN = """
from chargehand import Plugin, passive

class Depot(Plugin):
    def __init__(self, api_key):
        super().__init__()
        self.api_key = api_key

    @passive("DataTransfer")
    def failing(self, call):
        raise RuntimeError("it failed")
"""


def config(folder: Path) -> str:
    return f"""
[http]
token = "{SERVER_TOKEN}"
[auth.credentials]
CP1 = "{OLD_KEY}"
CP2 = "{OLD_KEY}"
[ca]
passphrase = "{MARK}-ca-passphrase"
[redis]
secret = "{REDIS_SECRET}"
[log]
level = "DEBUG"
format = "json"
file = "{folder / "server.log"}"
audit_file = "{folder / "audit.log"}"
[[plugins]]
class = "depot:Depot"
arguments = {{api_key = "{ARGUMENT}"}}
"""


class ChargePoint:
    """Charge point that accepts every command and sends calls, in a thread of its own."""

    def __init__(self, url: str, version: str, password: str) -> None:
        name = urlsplit(url).path.rpartition("/")[2]
        self._url, self._version = url.replace("://", f"://{name}:{password}@"), version
        self._socket: Any = None
        self._answers: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        until(lambda: self._socket, f"{name} is connected")

    def _run(self) -> None:
        with (
            contextlib.suppress(Exception),  # the end of the connection, of whatever kind
            connect(self._url, subprotocols=[self._version], ping_interval=None) as self._socket,
        ):
            for text in self._socket:
                kind, id_, *rest = json.loads(text)
                if kind == 2:
                    self._socket.send(json.dumps([3, id_, self._accepted(*rest)]))
                else:
                    self._answers[id_] = rest

    def send(self, text: str) -> None:
        self._socket.send(text)

    @staticmethod
    def _accepted(action: str, payload: Any) -> dict[str, Any]:
        if action == "SetVariables":
            results = [
                {name: row[name] for name in ("component", "variable")} | {"attributeStatus": "Accepted"}
                for row in payload["setVariableData"]
            ]
            return {"setVariableResult": results}
        return {"status": "Accepted"}

    def call(self, action: str, payload: Any) -> None:
        id_ = f"{action}-{time.monotonic_ns()}"
        self._socket.send(json.dumps([2, id_, action, payload]))
        until(lambda: id_ in self._answers, f"{action} is answered")

    def close(self) -> None:
        self._socket.close()
        self._thread.join()


@pytest.fixture
def planted(start_server: StartServer, tmp_path: Path) -> Iterator[tuple[Server, list[ChargePoint]]]:
    """Server with secrets in its settings, and charge points of both versions."""
    (tmp_path / "depot.py").write_text(PLUGIN)
    server = start_server("--store", "sqlite", config=config(tmp_path), python_path=tmp_path)
    points = [
        ChargePoint(server.ws + "CP1", "ocpp1.6", OLD_KEY),
        ChargePoint(server.ws + "CP2", "ocpp2.0.1", OLD_KEY),
    ]
    yield server, points
    for point in points:
        point.close()


def tell_everything(server: Server, points: list[ChargePoint]) -> str:
    """Give the server every secret by every way; return the token that it has made."""

    def ask(method: str, path: str, body: Any = None, token: str = SERVER_TOKEN) -> Any:
        return server.ask(method, f"/api/v1/{path}", body, token=token)

    made = ask("POST", "tokens", {"name": "ops", "scope": "admin"}).json["token"]
    one, two = points
    one.call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
    station = {"model": "M", "vendorName": "V"}
    two.call("BootNotification", {"reason": "PowerUp", "chargingStation": station})
    one.call("DataTransfer", {"vendorId": "V", "data": "x"})  # its handler fails
    keys = {"key": "AuthorizationKey", "value": NEW_KEY.encode().hex()}
    assert ask("POST", "charge-points/CP1/commands/ChangeConfiguration", keys, made).status == 200
    change = {"key": "AuthorizationKey", "value": NEW_KEY}
    assert ask("POST", "charge-points/CP1/verbs/set_configuration", change).status == 200
    row = {
        "attributeValue": NEW_KEY_OF_201,
        "component": {"name": "SecurityCtrlr"},
        "variable": {"name": "BasicAuthPassword"},
    }
    sent = ask("POST", "charge-points/CP2/commands/SetVariables", {"setVariableData": [row]})
    assert sent.status == 200, sent.text
    location = f"ftp://user:{FIRMWARE_PASSWORD}@files.example.com/f.bin"
    update = {"location": location, "retrieveDate": "2030-01-01T00:00:00Z"}
    assert ask("POST", "charge-points/CP1/commands/UpdateFirmware", update).status == 200
    log = {"kind": "security", "location": location}
    assert ask("POST", "charge-points/CP1/verbs/get_logs", log).status == 200
    assert ask("POST", "charge-points/CP2/verbs/get_logs", log).status == 200
    assert ask("POST", "charge-points/CP2/verbs/update_firmware", {"location": location}).status == 200
    ask("PUT", "charge-points/CP3", {"registration": "Accepted"})
    waiting = "charge-points/CP3/verbs/update_firmware?when_offline=queue"
    assert ask("POST", waiting, {"location": location}).status == 202
    bulk = {"charge_points": ["CP1"], "action": "ChangeConfiguration", "payload": keys}
    assert ask("POST", "bulk", bulk).status < 300
    ask("PUT", "charge-points/CP3/password", {"password": SET_KEY})
    ask("PUT", "charge-points/CP3/password", {"password": SET_KEY, "wrong": 1})
    information = {"data": CUSTOMER, "seqNo": 0, "generatedAt": "2026-01-01T00:00:00Z", "requestId": 7}
    two.call("NotifyCustomerInformation", information)
    ask("GET", "charge-points", token=WRONG_TOKEN)
    with contextlib.suppress(Exception):
        refused = server.ws.replace("://", f"://CP1:{WRONG_KEY}@") + "CP1"
        with connect(refused, subprotocols=["ocpp1.6"]):
            pass
    one.send("no frame")
    one.call("Heartbeat", {})
    return str(made)


def everything_over_http(server: Server) -> Iterator[tuple[str, str]]:
    """Yield what each resource that can be read says; contents of customers are for who asks for that report."""
    description = server.ask("GET", "/api/v1/openapi.json", token=SERVER_TOKEN)
    yield "openapi.json", description.text
    values = {
        "charge_point": ["CP1", "CP2", "CP3"],
        "ticket": [
            row["ticket"] for row in server.ask("GET", "/api/v1/tickets", token=SERVER_TOKEN).json["tickets"]
        ],
        "bulk": [row["bulk"] for row in server.ask("GET", "/api/v1/bulk", token=SERVER_TOKEN).json["bulks"]],
    }
    read = 0
    for path, methods in description.json["paths"].items():
        names = [part.split("}")[0] for part in path.split("{")[1:]]
        if "get" not in methods or path.endswith(("/events", "/frames")) or len(names) > 1:
            continue
        for value in values.get(names[0], ["1"]) if names else [""]:
            target = path.replace(f"{{{names[0]}}}", value) if names else path
            yield target, server.ask("GET", target, token=SERVER_TOKEN).text
            read += 1
    assert read > 30
    for target in ("/api/v1/crashes?rows=1", "/api/v1/charge-points/CP1/events", "/healthz"):
        yield target, server.ask("GET", target, token=SERVER_TOKEN).text


@contextlib.contextmanager
def listening(server: Server) -> Iterator[list[str]]:
    """Read the stream of events meanwhile."""
    connection = http.client.HTTPConnection(urlsplit(server.http).netloc, timeout=60)
    connection.request("GET", "/api/v1/events", headers={"Authorization": f"Bearer {SERVER_TOKEN}"})
    answer, lines = connection.getresponse(), list[str]()
    sock = connection.sock

    def run() -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            while line := answer.readline():
                lines.append(line.decode())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield lines
    finally:
        with contextlib.suppress(OSError):
            sock.shutdown(2)
        thread.join()
        connection.close()


def test_no_secret_is_in_logs_answers_events_recordings_settings_or_ps(
    planted: tuple[Server, list[ChargePoint]], tmp_path: Path
) -> None:
    server, points = planted
    with listening(server) as lines:
        made = tell_everything(server, points)
        until(lambda: sum("CommandEnded" in line for line in lines) >= 4, "the commands are told of")
        found = dict(everything_over_http(server))
    found["events"] = "".join(lines)
    found["output"] = server.output
    for name in ("server.log", "audit.log"):
        found[name] = (tmp_path / name).read_text()
    settings = tmp_path / "shown.toml"
    settings.write_text(config(tmp_path))
    found["check-config"] = chargehand("check-config", "--config", str(settings)).output
    found["ps"] = subprocess.run(
        ["ps", "-e", "-o", "args"], capture_output=True, text=True, check=True
    ).stdout
    connected = ["--data", str(server.data)]
    for command in (
        ["charge-points", "show", "CP1"],
        ["charge-points", "show", "CP2"],
        ["tickets", "list"],
        ["recording", "CP1"],
        ["recording", "CP2"],
        ["tokens", "list"],
        ["tree"],
    ):
        found[" ".join(command)] = chargehand(
            *command, *connected, environment={"CHARGEHAND_HTTP__TOKEN": SERVER_TOKEN}
        ).output
    secrets = [MARK, OLD_KEY.encode().hex(), NEW_KEY.encode().hex(), made]
    leaks = [
        (where, secret, text[max(0, text.index(secret) - 200) : text.index(secret) + 80])
        for where, text in found.items()
        for secret in secrets
        if secret in text
    ]
    assert leaks == []


def test_no_key_and_no_token_is_in_the_file_of_the_store(
    planted: tuple[Server, list[ChargePoint]],
) -> None:
    server, points = planted
    made = tell_everything(server, points)
    server.stop()
    secrets = [OLD_KEY, NEW_KEY, NEW_KEY_OF_201, WRONG_KEY, SET_KEY, SERVER_TOKEN, made, REDIS_SECRET]
    secrets += [OLD_KEY.encode().hex(), NEW_KEY.encode().hex()]
    files = [path for path in server.data.rglob("*") if path.is_file() and path.name != "token"]
    assert len(files) > 0
    for path in files:
        stored = path.read_bytes()
        assert [secret for secret in secrets if secret.encode() in stored] == [], path.name
