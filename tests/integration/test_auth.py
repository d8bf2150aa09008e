"""Authentication: Basic authentication by the table of credentials."""

import base64
import socket
from collections import Counter
from urllib.parse import urlsplit

import pytest

from .conftest import StartServer
from .rawsocket import KEY, SUBPROTOCOL, Handshake, RawSocket
from .server import Server

UNLIMITED = """
[auth]
failed_logins = 0
failed_logins_per_address = 0
failed_logins_per_id = 0
"""
CREDENTIALS = """
[auth.credentials]
CP1 = "a long password"
"CP:2" = "with:colons:in:it"
CP3 = "pässwörd ⚡"
"""


def basic(user: str, password: str) -> str:
    """Return the Authorization header."""
    return f"Authorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def knock(server: Server, charge_point: str, *lines: str) -> Handshake:
    """Make one handshake, and close its socket; return the answer."""
    with RawSocket(server.ws + charge_point) as raw:
        return raw.handshake(raw.path, SUBPROTOCOL, *lines)


@pytest.fixture(scope="module")
def guarded(start_module_server: StartServer) -> Server:
    """Server that knows three charge points."""
    return start_module_server(config=UNLIMITED + CREDENTIALS)


@pytest.mark.parametrize(
    ("user", "path", "password"),
    [
        ("CP1", "CP1", "a long password"),
        ("CP:2", "CP:2", "with:colons:in:it"),
        ("CP:2", "CP%3A2", "with:colons:in:it"),
        ("CP3", "CP3", "pässwörd ⚡"),
    ],
)
def test_the_right_password_is_let_in(guarded: Server, user: str, path: str, password: str) -> None:
    assert knock(guarded, path, basic(user, password)).status == 101


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [basic("CP1", "a long passwore")],
        [basic("CP1", "")],
        [basic("CP3", "pässwörd ⚡")],
        ["Authorization: Basic !!!not base64!!!"],
        ["Authorization: Basic"],
        ["Authorization: Bearer a long password"],
        ["Authorization: Basic " + base64.b64encode(b"CP1").decode()],
        ["Authorization: Basic " + base64.b64encode(b"CP1:\xff\xfe\x00").decode()],
    ],
)
def test_anything_else_for_a_known_id_is_refused_with_401(guarded: Server, lines: list[str]) -> None:
    answer = knock(guarded, "CP1", *lines)
    assert answer.status == 401, answer
    assert answer.headers["www-authenticate"].startswith("Basic realm=")
    assert answer.body.strip()


def test_an_unknown_id_is_refused_with_404_whatever_it_presents(guarded: Server) -> None:
    assert knock(guarded, "CP9", basic("CP9", "a long password")).status == 404
    assert knock(guarded, "CP9").status == 404


def test_an_unknown_id_looks_like_a_wrong_password_by_setting(start_server: StartServer) -> None:
    server = start_server(config="[auth]\nhide_unknown = true\n" + CREDENTIALS)
    unknown = knock(server, "CP9", basic("CP9", "a long password"))
    wrong = knock(server, "CP1", basic("CP1", "wrong"))
    assert unknown.status == wrong.status == 401
    assert unknown.body.replace("CP9", "CP1") == wrong.body


def test_a_socket_that_fails_to_authenticate_does_not_disturb_the_session_that_lives(guarded: Server) -> None:
    with RawSocket.open(guarded.ws + "CP1", basic("CP1", "a long password")) as raw:
        raw.boot()
        assert knock(guarded, "CP1", basic("CP1", "wrong")).status == 401
        assert raw.call("Heartbeat", {})[0] == 3


def test_no_password_is_ever_printed(guarded: Server) -> None:
    knock(guarded, "CP1", basic("CP1", "a guess at it"))
    assert "a long password" not in guarded.output
    assert "a guess at it" not in guarded.output


def attempt(server: Server, charge_point: str, password: str, source: str) -> int:
    """Make a handshake from an address of this machine; return its status."""
    parts = urlsplit(server.ws)
    head = (
        f"GET {parts.path}{charge_point} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{SUBPROTOCOL}\r\n"
        f"{basic(charge_point, password)}\r\n\r\n"
    )
    with socket.create_connection((parts.hostname or "", parts.port or 0), 10, (source, 0)) as sock:
        sock.sendall(head.encode())
        return int(sock.recv(4096).split()[1])


@pytest.mark.parametrize("transport", ["greenlet", "reactor"])
def test_a_thousand_wrong_passwords_are_limited_and_the_right_one_gets_in(
    start_server: StartServer, transport: str
) -> None:
    server = start_server("--transport", transport, config=CREDENTIALS)
    server.ask("PUT", "/api/v1/charge-points/CP4/password", {"password": "short"})
    with RawSocket.open(server.ws + "CP1", basic("CP1", "a long password")) as raw:
        raw.boot()
        for identity in ("CP1", "CP4"):
            statuses = Counter(attempt(server, identity, f"wrong{n}", "127.0.0.1") for n in range(500))
            assert statuses[401] <= 12
            assert statuses[429] >= 488
        assert raw.call("Heartbeat", {})[0] == 3
        assert attempt(server, "CP4", "short", "127.0.0.2") == 101
    assert "charge point CP1: 429" in server.output
    assert "auth.failed_logins" in server.output
    assert server.output.count("too many wrong passwords") <= 20
