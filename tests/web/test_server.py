"""The real socket: misbehaving clients, and the state after it closes."""

import contextlib
import gc
import http.client
import json
import socket
import time
from dataclasses import replace
from urllib.parse import quote

import gevent
import pytest
from gevent import socket as gevent_socket

from chargehand import CentralSystem, HttpSettings, Settings, serve_http
from chargehand.config.errors import ConfigError
from chargehand.web import server as web_server

from ..hub import until

TOKEN = "t"
CHARGE_POINTS = "/api/v1/charge-points"


@pytest.fixture
def settings(tmp_path):
    return Settings(port=0, data=str(tmp_path), http=HttpSettings(enabled=True, port=0, token=TOKEN))


@pytest.fixture
def system(settings):
    with CentralSystem(settings, http=serve_http) as running:
        yield running


def raw(system):
    """Plain socket to the API."""
    made = gevent_socket.create_connection(("127.0.0.1", system.http_port), timeout=60)
    return contextlib.closing(made)


def request(method, path, *headers, body=b""):
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {TOKEN}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def answer(sock):
    """Read one answer with its length: status, headers, JSON."""
    reader = sock.makefile("rb")
    status = int(reader.readline().split()[1])
    headers = http.client.parse_headers(reader)
    return status, headers, json.loads(reader.read(int(headers["Content-Length"])))


def rest(sock):
    """Return all bytes until the other side closes."""
    received = b""
    while data := sock.recv(65536):
        received += data
    return received


# Requests


@pytest.mark.parametrize(
    "identity", ["RDAM|123", "a/b", "WITH SPACE", "Zürich⚡", "CO:LON", "+", "100%", "%41", "%2F"]
)
def test_an_id_arrives_in_whatever_spelling(system, charge_point, identity):
    charge_point(identity, lambda *_: [3, {"listVersion": 9}])
    with raw(system) as sock:
        path = f"{CHARGE_POINTS}/{quote(identity, safe='')}"
        sock.sendall(request("POST", f"{path}/commands/GetLocalListVersion", "Content-Length: 2", body=b"{}"))
        status, _, body = answer(sock)
        assert (status, body["response"]) == (200, {"listVersion": 9})
        sock.sendall(request("GET", path))
        assert answer(sock)[2]["id"] == identity


def test_a_path_in_raw_utf_8_arrives_too(system, charge_point):
    charge_point("ü")
    with raw(system) as sock:
        sock.sendall(request("GET", f"{CHARGE_POINTS}/{'ü'.encode().decode('latin-1')}"))
        assert answer(sock)[2]["id"] == "ü"


def test_a_body_in_chunks_arrives(system, charge_point):
    cp = charge_point("CP1", lambda *_: [3, {"status": "Accepted"}])
    with raw(system) as sock:
        path = f"{CHARGE_POINTS}/CP1/commands/Reset"
        chunks = b'9\r\n{"type": \r\n7\r\n"Soft"}\r\n0\r\n\r\n'
        sock.sendall(request("POST", path, "Transfer-Encoding: chunked", body=chunks))
        assert answer(sock)[0] == 200
        assert cp.calls == [("Reset", {"type": "Soft"})]
        sock.sendall(request("GET", "/healthz"))
        assert answer(sock)[0] == 200


def test_a_body_that_ends_early_costs_its_own_connection_only(system):
    with raw(system) as sock:
        sock.sendall(request("POST", f"{CHARGE_POINTS}/CP1/commands/Reset", "Content-Length: 99", body=b"{"))
        sock.shutdown(socket.SHUT_WR)
        status, headers, _ = answer(sock)
        assert (status, headers["Connection"]) == (400, "close")
        assert rest(sock) == b""
    with raw(system) as sock:
        sock.sendall(request("GET", "/healthz"))
        assert answer(sock)[0] == 200


def test_a_body_over_the_limit_is_413_and_the_connection_is_closed(system):
    size = (1 << 20) + 1
    with raw(system) as sock:
        path = f"{CHARGE_POINTS}/CP1/commands/Reset"
        sock.sendall(request("POST", path, f"Content-Length: {size}", body=b" " * size))
        status, headers, _ = answer(sock)
        assert (status, headers["Connection"]) == (413, "close")
        assert rest(sock) == b""


def test_a_body_that_is_never_sent_to_its_end_does_not_hold_a_greenlet(system, monkeypatch):
    monkeypatch.setattr(web_server, "ANSWER_TIMEOUT_S", 0.05)
    with raw(system) as sock:
        path = f"{CHARGE_POINTS}/CP1/commands/Reset"
        sock.sendall(request("POST", path, f"Content-Length: {1 << 40}", body=b" " * 1000))
        assert answer(sock)[0] == 413
        assert rest(sock) == b""


def test_a_body_that_comes_too_slowly_is_408(system, monkeypatch):
    monkeypatch.setattr("chargehand.web.requests.BODY_TIMEOUT_S", 0.05)
    monkeypatch.setattr(web_server, "ANSWER_TIMEOUT_S", 0.05)
    with raw(system) as sock:
        sock.sendall(request("POST", f"{CHARGE_POINTS}/CP1/commands/Reset", "Content-Length: 9", body=b"{"))
        assert answer(sock)[0] == 408
        assert rest(sock) == b""


def test_headers_that_come_too_slowly_are_400(system, monkeypatch):
    monkeypatch.setattr(web_server, "HEADERS_TIMEOUT_S", 0.05)
    with raw(system) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: loc")
        assert rest(sock).startswith(b"HTTP/1.1 400 ")


def test_an_idle_connection_is_closed_after_a_while(system, monkeypatch):
    monkeypatch.setattr(web_server, "IDLE_TIMEOUT_S", 0.05)
    with raw(system) as sock:
        assert rest(sock) == b""


def test_clients_that_only_wait_lose_their_places_to_those_that_ask(settings, monkeypatch):
    monkeypatch.setattr(web_server, "MAX_CONNECTIONS", 20)
    with CentralSystem(settings, http=serve_http) as system, contextlib.ExitStack() as stack:
        begun = [b"", b"GET / HT", b"GET /livez HTTP/1.1\r\nX", request("GET", "/livez", "Content-Length: 9")]
        socks = [stack.enter_context(raw(system)) for _ in range(40)]
        for number, sock in enumerate(socks):
            with contextlib.suppress(OSError):  # it has lost its place
                sock.sendall(begun[number % len(begun)])
        with raw(system) as sock:
            sock.sendall(request("GET", "/livez"))
            assert answer(sock)[0] == 200
        assert rest(socks[0]) == b""


def test_garbage_without_end_leaves_a_few_lines_in_the_log(system, caplog):
    caplog.set_level("INFO")
    for _ in range(100):
        with raw(system) as sock:
            sock.sendall(b"\xff\r\n\r\n")
            sock.shutdown(socket.SHUT_WR)
            rest(sock)
    assert 0 < sum("what is not HTTP" in line for line in caplog.messages) <= 20


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01\x00\xff\xff\r\n\r\n", b"GET\r\n\r\n", b"\r\n\r\n\r\n"]
)
def test_what_is_no_http_is_refused_without_a_traceback(system, garbage, capfd):
    with raw(system) as sock:
        sock.sendall(garbage)
        sock.shutdown(socket.SHUT_WR)
        assert rest(sock).startswith(b"HTTP/1.1 400 ")
    captured = capfd.readouterr()
    assert "Traceback" not in captured.out + captured.err


# Start


def test_the_token_is_written_once_the_port_is_bound(tmp_path):
    settings = Settings(port=0, data=str(tmp_path / "data"), http=HttpSettings(enabled=True, port=0))
    with CentralSystem(settings, http=serve_http) as system, raw(system) as sock:
        token = (tmp_path / "data" / "token").read_text().strip()
        sock.sendall(request("GET", CHARGE_POINTS).replace(b"Bearer t", f"Bearer {token}".encode()))
        assert answer(sock)[0] == 200


def test_a_port_in_use_raises_and_leaves_the_token_of_another_server_alone(tmp_path):
    (tmp_path / "token").write_text("another's")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        http = HttpSettings(enabled=True, port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            CentralSystem(Settings(port=0, data=str(tmp_path), http=http), http=serve_http).start()
    gc.collect()  # gevent leaves the socket that could not be bound to the collector
    assert (tmp_path / "token").read_text() == "another's"


def test_a_token_that_cannot_be_written_fails_the_start_and_frees_the_port(tmp_path, settings, monkeypatch):
    def fails(*_):
        raise PermissionError(13, "planted")

    monkeypatch.setattr(web_server, "publish_token", fails)
    with CentralSystem(Settings(port=0), http=serve_http) as system:
        object.__setattr__(system, "settings", settings)
        listener = web_server.serve_http(system, ("127.0.0.1", 0))
        with pytest.raises(PermissionError):
            listener.start()
        port = listener._server.address[1]
        socket.create_server(("127.0.0.1", port)).close()


def test_an_open_api_is_served_on_loopback_only(tmp_path):
    settings = Settings(port=0, data=str(tmp_path), http=HttpSettings(open=True))
    for host in ("0.0.0.0", "192.0.2.1", "host.example"):
        with pytest.raises(ConfigError, match="loopback"):
            web_server.serve_http(CentralSystem(settings, http=serve_http), (host, 0))
    with CentralSystem(settings) as system:
        web_server.serve_http(system, ("::1", 0))


# Stop


def test_a_stop_answers_commands_and_closes_idle_connections_at_once(settings, wait_until):
    system = CentralSystem(settings, http=serve_http)
    system.start()
    try:
        # A charge point that is known and silent: the test client's socket, not a thread that would outlive this.
        with raw(system) as idle, raw(system) as used:
            used.sendall(request("GET", "/healthz"))
            assert answer(used)[0] == 200
            begun = time.monotonic()
            system.stop()
            assert time.monotonic() - begun < 50 * web_server.STOP_TIMEOUT_S  # 75 s if they were waited for
            assert rest(idle) == rest(used) == b""
    finally:
        system.stop()


def test_a_command_under_way_is_answered_503_by_a_stop(system, charge_point, wait_until):
    cp = charge_point("CP1")
    with raw(system) as sock:
        sock.sendall(request("POST", f"{CHARGE_POINTS}/CP1/commands/ClearCache"))
        wait_until(lambda: cp.calls, "the call has arrived")
        stopping = gevent.spawn(system.stop)
        status, headers, body = answer(sock)
        assert (status, headers["Connection"], body["state"]) == (503, "close", "sent")
        assert rest(sock) == b""
        stopping.get(timeout=60)


def test_a_client_that_does_not_finish_its_request_is_cut_off_by_a_stop(settings):
    system = CentralSystem(settings, http=serve_http)
    system.start()
    with raw(system) as sock:
        sock.sendall(request("POST", f"{CHARGE_POINTS}/CP1/commands/Reset", "Content-Length: 9", body=b"{"))
        gevent.idle()
        begun = time.monotonic()
        system.stop()
        assert time.monotonic() - begun < 50 * web_server.STOP_TIMEOUT_S  # 30 s if its body was waited for
        with contextlib.suppress(ConnectionResetError):
            rest(sock)  # returns: the other side has closed


def test_nothing_is_left_of_a_server_that_was_closed(system):
    listener = web_server.serve_http(system, ("127.0.0.1", 0))
    listener.start()
    with contextlib.closing(gevent_socket.create_connection(listener.address)) as sock:
        sock.sendall(request("GET", "/healthz"))
        assert answer(sock)[0] == 200
        pool = listener._server.connections
        assert len(pool) == 1
        listener.close()
        assert len(pool) == 0
        listener.close()
    with pytest.raises(ConnectionRefusedError):
        gevent_socket.create_connection(listener.address)


# Framing


SMUGGLED = b"GET /api/v1/charge-points HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\n\r\n"
COMMAND = f"{CHARGE_POINTS}/CP/commands/GetLocalListVersion"


@pytest.mark.parametrize(
    "sent",
    [
        request("POST", COMMAND, "Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        request("POST", COMMAND, "Content-Length: 2", "Content-Length: 3") + b"{}",
        request("POST", COMMAND, "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
        request("POST", COMMAND, "Transfer-Encoding: chunked")
        + b"2;"
        + b"a" * 100_000
        + b"\r\n{}\r\n0\r\n\r\n",
        request("GET", "/healthz", "Transfer-Encoding: chunked") + b"0;" + b"a" * 100_000 + b"\r\n\r\n",
        request("POST", COMMAND, "Content-Length : 2") + b"{}",
        request("GET", "/healthz", "X-A: b", " c"),
        request("GET", "/healthz", "X-A: b\0"),
        request("GET", "/healthz", "Host: other"),
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        request("GET", "/healthz", *(f"X-{number}: {'a' * 60_000}" for number in range(90))),
    ],
    ids=range(12),
)
def test_a_request_whose_framing_is_in_doubt_gets_one_400_and_the_end(system, sent):
    with raw(system) as sock:
        sock.sendall(sent + SMUGGLED)
        status, headers, body = answer(sock)
        assert (status, headers["Connection"], body["title"]) == (400, "close", "Not HTTP")
        assert rest(sock) == b""


def test_a_body_in_chunks_with_extensions_is_taken_and_the_connection_goes_on(system, charge_point):
    charge_point("CP", lambda *_: [3, {"listVersion": 9}])
    chunks = b'1;a="b"\r\n{\r\n1\r\n}\r\n0\r\nA: b\r\n\r\n'
    with raw(system) as sock:
        for _ in range(2):
            sock.sendall(request("POST", COMMAND, "Transfer-Encoding: chunked") + chunks)
            assert answer(sock)[0] == 200


def test_chunks_that_break_within_the_body_get_a_400_and_the_end(system, charge_point):
    charge_point("CP", lambda *_: [3, {"listVersion": 9}])
    with raw(system) as sock:
        sock.sendall(request("POST", COMMAND, "Transfer-Encoding: chunked") + b"1\r\n{\r\nx\r\n" + SMUGGLED)
        status, _, body = answer(sock)
        assert (status, body["title"]) == (400, "Broken body")
        assert rest(sock) == b""


def test_chunks_that_nobody_reads_and_that_break_end_the_connection(system):
    with raw(system) as sock:
        sock.sendall(request("GET", "/healthz", "Transfer-Encoding: chunked") + b"1\r\n{\r\nx\r\n" + SMUGGLED)
        assert answer(sock)[0] == 200
        assert rest(sock) == b""


def test_a_client_that_expects_to_go_on_is_told_to_and_its_chunks_are_taken(system, charge_point):
    charge_point("CP", lambda *_: [3, {"listVersion": 9}])
    with raw(system) as sock:
        sock.sendall(request("POST", COMMAND, "Transfer-Encoding: chunked", "Expect: 100-continue"))
        assert sock.recv(25).startswith(b"HTTP/1.1 100 Continue")
        sock.sendall(b"2\r\n{}\r\n0\r\n\r\n")
        assert answer(sock)[0] == 200


# The access log


@pytest.fixture
def accesses(settings, caplog):
    """Serve with an access log; return a function that asks, and gives the record of its line."""
    logged = replace(settings, http=replace(settings.http, access_log=True))
    caplog.set_level("INFO", logger="chargehand.access")
    with CentralSystem(logged, http=serve_http) as running:

        def ask(method, path, *headers):
            caplog.clear()
            with raw(running) as sock:
                sock.sendall(request(method, path, *headers))
                status, found, _ = answer(sock)
            until(lambda: [one for one in caplog.records if one.name == "chargehand.access"], "it is logged")
            (record,) = [one for one in caplog.records if one.name == "chargehand.access"]
            assert record.fields["status"] == status
            assert record.fields["bytes"] > int(found["Content-Length"])  # with its headers
            return record

        yield ask


def test_a_line_of_the_access_log_names_the_token_and_no_secret(accesses):
    record = accesses("GET", f"{CHARGE_POINTS}?q=a%20secret&limit=5")
    fields = record.fields
    assert (fields["token"], fields["method"], fields["path"]) == ("server", "GET", CHARGE_POINTS)
    assert (fields["status"], fields["address"]) == (200, "127.0.0.1")
    assert 0 <= fields["duration_ms"] < 60_000
    assert "secret" not in record.getMessage()


def test_a_stranger_has_no_name_in_the_access_log(accesses):
    record = accesses("GET", CHARGE_POINTS, "Authorization: Bearer wrong")
    assert (record.fields["token"], record.fields["status"]) == ("", 401)
    assert "by nobody from 127.0.0.1" in record.getMessage()
    assert "wrong" not in record.getMessage()


def test_a_change_and_a_long_path_are_in_the_access_log_too(accesses):
    record = accesses("DELETE", f"/api/v1/tags/{'x' * 5000}")
    assert (record.fields["method"], len(record.fields["path"])) == ("DELETE", 500)


def test_without_the_setting_no_request_is_logged(system, caplog):
    caplog.set_level("DEBUG")
    with raw(system) as sock:
        sock.sendall(request("GET", CHARGE_POINTS))
        assert answer(sock)[0] == 200
    assert [one for one in caplog.records if one.name == "chargehand.access"] == []
