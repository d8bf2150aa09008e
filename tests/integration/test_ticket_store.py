"""Commands over a kill -9 of the real server, and keys that a charge point was given."""

import base64
import http
import json
import signal
from pathlib import Path
from typing import Any

from .conftest import StartServer
from .process import until
from .rawsocket import SUBPROTOCOL, RawSocket
from .server import Server, chargehand

KEY = "00112233445566778899aabbccddeeff00112233"
SQLITE = ("--store", "sqlite")


def kill(server: Server) -> Path:
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(60)
    return server.data


def state(server: Server, ticket: str) -> Any:
    return server.ask("GET", f"/api/v1/tickets/{ticket}").json.get("state")


def take(raw: RawSocket) -> tuple[str, str]:
    """Read the next CALL: its id and its action."""
    kind, unique_id, action, _ = json.loads(raw.text())
    assert kind == 2
    return unique_id, action


def accept(raw: RawSocket, unique_id: str) -> None:
    raw.send(json.dumps([3, unique_id, {"status": "Accepted"}]))


def basic(password: bytes) -> str:
    return "Authorization: Basic " + base64.b64encode(b"CP1:" + password).decode()


def test_what_waits_is_sent_after_a_kill_and_what_was_on_the_wire_is_not_sent_again(
    start_server: StartServer,
) -> None:
    server = start_server(*SQLITE)
    data = ("--data", str(server.data))
    with RawSocket.open(server.ws + "CP1") as raw:
        raw.boot()
        asked = server.command("CP1", "ClearCache", {}, wait=0, timeout=60).json["ticket"]
        assert take(raw)[1] == "ClearCache"  # and it is never answered
        queued = chargehand("send", "CP1", "Reset", '{"type": "Soft"}', "--queue", *data)
        assert queued.status == 0
        late = chargehand(
            "send", "CP1", "UnlockConnector", '{"connectorId": 1}', "--queue", "--expires-in", "1", *data
        )
        kill(server)
    tickets = [asked, queued.output.strip(), late.output.strip()]
    again = start_server(*SQLITE, data=server.data)
    until(lambda: state(again, tickets[2]) == "expired", "it waited for ever")
    assert [state(again, ticket) for ticket in tickets] == ["outcome_unknown", "queued", "expired"]
    with RawSocket.open(again.ws + "CP1") as raw:
        unique_id, action = take(raw)
        assert action == "Reset"
        accept(raw, unique_id)
        until(lambda: state(again, tickets[1]) == "answered", "its answer was not heard")
        assert take_nothing(again, raw)
    kill(again)
    third = start_server(*SQLITE, data=server.data)
    assert [third.ask("GET", f"/api/v1/tickets/{ticket}").status for ticket in tickets] == [404] * 3


def take_nothing(server: Server, raw: RawSocket) -> bool:
    """Tell if a new command is the next CALL, so that none waited in front of it."""
    server.command("CP1", "ClearCache", {}, wait=0)
    return take(raw)[1] == "ClearCache"


def test_a_charge_point_that_was_never_here_has_no_queue(start_server: StartServer) -> None:
    server = start_server(*SQLITE)
    reply = server.command("nobody", "ClearCache", {}, when_offline="queue")
    assert (reply.status, reply.json["title"]) == (http.HTTPStatus.NOT_FOUND, "Unknown charge point")


def test_a_key_that_was_changed_counts_from_then_on_and_after_a_kill(start_server: StartServer) -> None:
    config = '[auth.credentials]\nCP1 = "old"\n'
    server = start_server(*SQLITE, config=config)
    with RawSocket.open(server.ws + "CP1", basic(b"old")) as raw:
        raw.boot()
        change = {"key": "AuthorizationKey", "value": KEY}
        ticket = server.command("CP1", "ChangeConfiguration", change, wait=0).json["ticket"]
        accept(raw, take(raw)[0])
        until(lambda: state(server, ticket) == "answered", "its answer was not heard")
        with RawSocket.open(server.ws + "CP1", basic(bytes.fromhex(KEY))) as newer:
            newer.boot()
    assert KEY.encode() not in (server.data / "chargehand.sqlite-wal").read_bytes()
    kill(server)
    again = start_server(*SQLITE, config=config, data=server.data)
    for password, status in ((b"old", 401), (bytes.fromhex(KEY), 101)):
        with RawSocket(again.ws + "CP1") as raw:
            assert raw.handshake(raw.path, SUBPROTOCOL, basic(password)).status == status
