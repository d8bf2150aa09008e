"""The HTTP API from outside: every status code, ids in all their spellings, and the token."""

import json
import stat
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import pytest

from .conftest import StartServer
from .process import until
from .rawsocket import RawSocket
from .server import Reply, Server, chargehand

COMMAND = "/api/v1/charge-points/CP1/commands/ClearCache"


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    """Threads for requests that wait while the test plays the charge point."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


def received(raw: RawSocket, action: str) -> str:
    """Return the id of the next CALL of the server."""
    call = json.loads(raw.text())
    assert call[0] == 2, call
    assert call[2] == action, call
    unique_id: str = call[1]
    return unique_id


def command(pool: ThreadPoolExecutor, server: Server, *arguments: Any, **query: Any) -> Future[Reply]:
    """Start a command in a thread."""
    return pool.submit(server.command, *arguments, **query)


# The outcomes of a command


def test_an_answered_command_is_200_with_its_response(server: Server, background: ThreadPoolExecutor) -> None:
    with RawSocket.open(server.ws + "ANSWERS").boot() as raw:
        waiting = command(background, server, "ANSWERS", "ClearCache", {})
        raw.send(json.dumps([3, received(raw, "ClearCache"), {"status": "Rejected"}]))
        reply = waiting.result()
    assert reply.status == 200
    assert reply.json == {
        "ticket": reply.json["ticket"],
        "state": "answered",
        "response": {"status": "Rejected"},
    }
    assert reply.headers["content-type"].startswith("application/json")


def test_a_command_that_nobody_waits_for_is_202_and_its_ticket_tells_the_rest(server: Server) -> None:
    with RawSocket.open(server.ws + "LATER").boot() as raw:
        reply = server.command("LATER", "ClearCache", {}, wait=0)
        assert reply.status == 202
        assert reply.json["state"] in {"queued", "sent"}
        ticket = f"/api/v1/tickets/{reply.json['ticket']}"
        unique_id = received(raw, "ClearCache")
        until(lambda: server.ask("GET", ticket).json["state"] == "sent", "the ticket is sent")
        raw.send(json.dumps([3, unique_id, {"status": "Accepted"}]))
        until(lambda: server.ask("GET", ticket).json["state"] == "answered", "the ticket is answered")
        assert server.ask("GET", ticket).json["response"] == {"status": "Accepted"}


def test_a_refused_command_is_409_with_the_callerror(server: Server, background: ThreadPoolExecutor) -> None:
    with RawSocket.open(server.ws + "REFUSES").boot() as raw:
        waiting = command(background, server, "REFUSES", "ClearCache", {})
        unique_id = received(raw, "ClearCache")
        raw.send(json.dumps([4, unique_id, "NotSupported", "no cache here", {"why": "none"}]))
        reply = waiting.result()
    assert reply.status == 409
    assert reply.json["state"] == "refused"
    assert reply.json["error"]["code"] == "NotSupported"
    assert reply.json["error"]["description"] == "no cache here"
    assert reply.json["error"]["details"] == {"why": "none"}


def test_a_command_nobody_answers_is_504_and_the_charge_point_stays(
    server: Server, background: ThreadPoolExecutor
) -> None:
    with RawSocket.open(server.ws + "SILENT").boot() as raw:
        reply = server.command("SILENT", "ClearCache", {}, timeout=1)
        assert reply.status == 504
        assert reply.json["state"] == "timed_out"
        late = received(raw, "ClearCache")

        waiting = command(background, server, "SILENT", "GetLocalListVersion", {})
        newer = received(raw, "GetLocalListVersion")
        raw.send(json.dumps([3, late, {"status": "Accepted"}]))  # a late answer belongs to no newer call
        raw.send(json.dumps([3, newer, {"listVersion": 3}]))
        assert waiting.result().json["response"] == {"listVersion": 3}
        ticket = server.ask("GET", f"/api/v1/tickets/{reply.json['ticket']}").json
        assert ticket["state"] == "timed_out"


def test_a_command_whose_socket_dies_after_the_write_is_502(
    server: Server, background: ThreadPoolExecutor
) -> None:
    with RawSocket.open(server.ws + "DIES").boot() as raw:
        waiting = command(background, server, "DIES", "ClearCache", {})
        received(raw, "ClearCache")
        raw.hang_up()
        reply = waiting.result()
    assert reply.status == 502
    assert reply.json["state"] == "outcome_unknown"


def test_a_command_whose_turn_did_not_come_in_time_is_410(server: Server) -> None:
    with RawSocket.open(server.ws + "BUSY").boot() as raw:
        assert server.command("BUSY", "ClearCache", {}, wait=0).status == 202
        reply = server.command("BUSY", "GetLocalListVersion", {}, timeout=1)
        assert reply.status == 410
        assert reply.json["state"] == "expired"
        raw.send(json.dumps([3, received(raw, "ClearCache"), {"status": "Accepted"}]))
        assert raw.call("Heartbeat", {})[0] == 3  # and the expired one does not come after all


def test_a_second_command_waits_until_the_first_is_answered(
    server: Server, background: ThreadPoolExecutor
) -> None:
    with RawSocket.open(server.ws + "ONE").boot() as raw:
        first = command(background, server, "ONE", "ClearCache", {})
        unique_id = received(raw, "ClearCache")
        second = server.command("ONE", "GetLocalListVersion", {}, wait=0)
        assert second.json["state"] == "queued"
        # Had the second been sent too, its CALL would come before the answer to this Heartbeat.
        assert raw.call("Heartbeat", {})[0] == 3
        raw.send(json.dumps([3, unique_id, {"status": "Accepted"}]))
        assert first.result().status == 200
        raw.send(json.dumps([3, received(raw, "GetLocalListVersion"), {"listVersion": 1}]))
        ticket = f"/api/v1/tickets/{second.json['ticket']}"
        until(lambda: server.ask("GET", ticket).json["state"] == "answered", "the second is answered")


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ({"status": "Perhaps"}, 200),
        ({"status": "Accepted", "colour": "red"}, 200),
        ({}, 502),
        ({"status": {"deep": 1}}, 502),
        ([], 502),
        (None, 502),
    ],
)
def test_a_response_that_breaks_the_contract_ends_the_command_and_says_what_is_wrong(
    server: Server, background: ThreadPoolExecutor, payload: Any, status: int
) -> None:
    with RawSocket.open(server.ws + "NONSENSE").boot() as raw:
        waiting = command(background, server, "NONSENSE", "ClearCache", {})
        raw.send(json.dumps([3, received(raw, "ClearCache"), payload]))
        reply = waiting.result()
    assert reply.status == status, reply
    assert reply.json["state"] == ("answered" if status == 200 else "refused"), reply
    assert reply.json["deviations"], reply
    assert ("response" in reply.json) == (status == 200), reply


# Refused before it is sent


def test_a_charge_point_never_seen_is_404(server: Server) -> None:
    assert server.command("NEVER", "ClearCache", {}).status == 404
    assert server.ask("GET", "/api/v1/charge-points/NEVER").status == 404


def test_a_charge_point_that_left_is_404_for_commands_and_still_listed(server: Server) -> None:
    with RawSocket.open(server.ws + "LEAVES").boot():
        until(lambda: server.connected("LEAVES"), "it is connected")
    until(lambda: not server.connected("LEAVES"), "it has left")
    assert server.command("LEAVES", "ClearCache", {}).status == 404
    assert server.ask("GET", "/api/v1/charge-points/LEAVES").status == 200


def test_unknown_tickets_actions_and_paths_are_404(server: Server) -> None:
    assert server.ask("GET", "/api/v1/tickets/none-like-it").status == 404
    assert server.ask("GET", "/api/v1/nothing").status == 404
    with RawSocket.open(server.ws + "ACTIONS").boot() as raw:
        assert server.command("ACTIONS", "MakeCoffee", {}).status == 404
        assert server.command("ACTIONS", "Heartbeat", {}).status == 404  # not ours to send
        assert raw.call("Heartbeat", {})[0] == 3  # and nothing was sent


def test_an_invalid_payload_is_422_with_every_violation(server: Server) -> None:
    with RawSocket.open(server.ws + "INVALID").boot() as raw:
        payload = {"connectorId": "one", "idTag": "x" * 21, "reservationId": 1, "colour": "red"}
        reply = server.command("INVALID", "ReserveNow", payload)
        assert reply.status == 422
        violations = {row["path"]: row["code"] for row in reply.json["violations"]}
        assert violations == {
            "connectorId": "TypeConstraintViolation",
            "idTag": "PropertyConstraintViolation",
            "colour": "FormationViolation",
            "expiryDate": "OccurenceConstraintViolation",
        }
        assert raw.call("Heartbeat", {})[0] == 3


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'"text"', b"\xff"])
def test_a_body_that_is_no_json_object_is_refused_as_the_callers_mistake(server: Server, body: bytes) -> None:
    with RawSocket.open(server.ws + "BODY").boot():
        reply = server.ask(
            "POST", "/api/v1/charge-points/BODY/commands/GetLocalListVersion?timeout=1", raw=body
        )
        assert reply.status in {400, 422}, reply


@pytest.mark.parametrize("query", ["timeout=soon", "timeout=-1", "timeout=nan", "wait=perhaps"])
def test_a_query_that_makes_no_sense_is_the_callers_mistake(server: Server, query: str) -> None:
    with RawSocket.open(server.ws + "QUERY").boot():
        reply = server.ask("POST", f"/api/v1/charge-points/QUERY/commands/ClearCache?{query}", {})
        assert reply.status in {400, 422}, reply


# Ids


@pytest.mark.parametrize(
    "identity", ["RDAM|123", "a/b", "WITH SPACE", "Zürich⚡", "CO:LON", "PLUS+SIGN", "100%", "%41"]
)
def test_an_id_is_percent_encoded_in_paths(
    server: Server, background: ThreadPoolExecutor, identity: str
) -> None:
    with RawSocket.open(server.ws + quote(identity, safe="")).boot() as raw:
        waiting = command(background, server, identity, "GetLocalListVersion", {})
        raw.send(json.dumps([3, received(raw, "GetLocalListVersion"), {"listVersion": 9}]))
        assert waiting.result().json["response"] == {"listVersion": 9}
        assert identity in [row["id"] for row in server.charge_points()]


# The token


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/charge-points"),
        ("GET", "/api/v1/charge-points/CP1"),
        ("GET", "/api/v1/transactions"),
        ("GET", "/api/v1/tickets/1"),
        ("POST", COMMAND),
        ("GET", "/api/v1/nothing"),
    ],
)
@pytest.mark.parametrize("token", ["", "wrong", "é"])
def test_everything_but_healthz_asks_for_the_token(
    server: Server, method: str, path: str, token: str
) -> None:
    reply = server.ask(method, path, {} if method == "POST" else None, token=token.encode().decode("latin-1"))
    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith("Bearer")


def test_healthz_is_open(server: Server) -> None:
    assert server.ask("GET", "/healthz", token="").status == 200


def test_the_token_is_made_at_start_and_readable_by_its_owner_only(server: Server) -> None:
    assert len(server.token) >= 32
    assert stat.S_IMODE((server.data / "token").stat().st_mode) == 0o600
    assert server.token not in server.output


def test_the_token_can_be_set(start_server: StartServer) -> None:
    server = start_server(config='[http]\ntoken = "a token from the settings"\n')
    assert server.ask("GET", "/api/v1/charge-points", token="a token from the settings").status == 200
    assert server.ask("GET", "/api/v1/charge-points", token="another").status == 401


def test_http_open_asks_for_no_token_and_is_refused_beyond_loopback(start_server: StartServer) -> None:
    server = start_server("--http-open")
    assert server.ask("GET", "/api/v1/charge-points", token="").status == 200

    refused = chargehand(
        *(
            "serve",
            "--data",
            str(server.data.parent / "other"),
            "--port",
            "0",
            "--http-port",
            "0",
            "--http-open",
        ),
        environment={"CHARGEHAND_HTTP__HOST": "0.0.0.0"},
    )
    assert refused.status != 0
    assert "Traceback" not in refused.output
