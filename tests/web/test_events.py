"""The stream of live events, on the real socket."""

import contextlib
import datetime as dt
import json

import gevent
import pytest
from gevent import socket as gevent_socket

from chargehand import CentralSystem, HttpSettings, Settings, StatusChanged, serve_http
from chargehand.plugins.back_office import BackOffice
from chargehand.simulator.client import Client
from chargehand.store.memory import MemoryStore
from chargehand.store.records import ApiToken
from chargehand.web.guard import token_digest
from tests.hub import until

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}


@pytest.fixture
def system(tmp_path):
    store = MemoryStore()
    http = HttpSettings(enabled=True, port=0, open=True, event_streams=3)
    settings = Settings(port=0, data=str(tmp_path), http=http)
    with CentralSystem(settings, plugins=[BackOffice.spec(store)], store=store, http=serve_http) as running:
        yield running


@pytest.fixture
def charge_point(system):
    client = Client.connect(f"ws://127.0.0.1:{system.port}/ocpp/CP1", subprotocols=("ocpp1.6",))
    yield client
    client.cut()


@contextlib.contextmanager
def stream(system, query="", after=""):
    """Open a stream, and return a reader of it."""
    last = f"Last-Event-ID: {after}\r\n" if after else ""
    with gevent_socket.create_connection(("127.0.0.1", system.http_port), timeout=60) as sock:
        sock.sendall(f"GET /api/v1/events{query} HTTP/1.1\r\nHost: localhost\r\n{last}\r\n".encode())
        with sock.makefile("rb") as reader:
            yield reader


@pytest.fixture
def closed_system(tmp_path):
    http = HttpSettings(enabled=True, port=0, token="the token of the server")
    settings = Settings(port=0, data=str(tmp_path), http=http)
    with CentralSystem(settings, http=serve_http) as running:
        yield running


def test_a_stream_ends_with_its_token(closed_system):
    token = ApiToken(
        name="maria", scope="read", digest=token_digest("a token"), created_at=dt.datetime.now(dt.UTC)
    )
    closed_system.store.collections.api_tokens.put(token).wait()
    with gevent_socket.create_connection(("127.0.0.1", closed_system.http_port), timeout=60) as sock:
        sock.sendall(b"GET /api/v1/events HTTP/1.0\r\nAuthorization: Bearer a token\r\n\r\n")
        with sock.makefile("rb") as reader:
            read_to(reader, b": the events")
            closed_system.store.collections.api_tokens.remove("maria").wait()
            assert reader.read().strip() == b""


def test_a_stream_of_the_page_ends_with_its_login(closed_system):
    body = b'{"token":"the token of the server"}'
    with gevent_socket.create_connection(("127.0.0.1", closed_system.http_port), timeout=60) as sock:
        sock.sendall(
            b"POST /api/v1/login HTTP/1.0\r\nX-Chargehand-Page: 1\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        with sock.makefile("rb") as reader:
            cookie = read_to(reader, b"set-cookie").partition(": ")[2].partition(";")[0]
    with gevent_socket.create_connection(("127.0.0.1", closed_system.http_port), timeout=60) as sock:
        sock.sendall(b"GET /api/v1/events HTTP/1.0\r\nCookie: %b\r\n\r\n" % cookie.encode())
        with sock.makefile("rb") as reader:
            read_to(reader, b": the events")
            (login,) = closed_system.store.collections.page_logins
            closed_system.store.collections.page_logins.remove(login.digest).wait()
            assert reader.read().strip() == b""


def status_of(reader):
    return int(reader.readline().split()[1])


def read_to(reader, wanted):
    """Read up to a line with this beginning, and return it."""
    while line := reader.readline():
        if line.startswith(wanted):
            return line.decode().strip()
    raise AssertionError(f"{wanted!r} did not come")


def tell_status(charge_point):
    charge_point.send_text(json.dumps([2, "1", "StatusNotification", STATUS]).encode())
    assert json.loads(charge_point.receive()[0])[0] == 3


def test_events_come_as_they_happen(system, charge_point):
    with stream(system, "?kind=StatusChanged") as reader:
        assert status_of(reader) == 200
        assert read_to(reader, b"content-type").endswith("text/event-stream")
        read_to(reader, b": the events")
        tell_status(charge_point)
        assert read_to(reader, b"event:") == "event: StatusChanged"
        event = json.loads(read_to(reader, b"data:").removeprefix("data: "))
    assert (event["kind"], event["charge_point"], event["status"]) == ("StatusChanged", "CP1", "Charging")


def test_a_stream_may_be_of_one_charge_point(system, charge_point):
    with stream(system, "?charge_point=CP2") as reader:
        read_to(reader, b": the events")
        tell_status(charge_point)
        other = Client.connect(f"ws://127.0.0.1:{system.port}/ocpp/CP2", subprotocols=("ocpp1.6",))
        assert read_to(reader, b"event:") == "event: ChargePointOnline"
        other.cut()


@pytest.mark.parametrize("query", ["?kind=Nonsense", "?what=1"])
def test_an_unknown_kind_or_parameter_is_a_bad_request(system, query):
    with stream(system, query) as reader:
        assert status_of(reader) == 400


def test_more_streams_than_allowed_are_refused(system):
    with stream(system) as one, stream(system) as two, stream(system) as three:
        for reader in (one, two, three):
            read_to(reader, b": the events")
        with stream(system) as reader:
            assert status_of(reader) == 503


def test_a_stream_that_was_left_listens_no_more(system, charge_point):
    with stream(system, "?kind=StatusChanged") as reader:
        read_to(reader, b": the events")
        assert system._parts.router.watched

    def noticed():
        tell_status(charge_point)
        return not system._parts.router.watched

    until(noticed)


def test_open_streams_end_with_the_system(tmp_path):
    http = HttpSettings(enabled=True, port=0, open=True)
    settings = Settings(port=0, data=str(tmp_path), http=http)
    with CentralSystem(settings, http=serve_http) as system:
        manager = stream(system)
        reader = manager.__enter__()
        read_to(reader, b": the events")
        rest = gevent.spawn(reader.read)
    rest.get(timeout=60)
    manager.__exit__(None, None, None)


def boot(charge_point, model="M"):
    request = {"chargePointVendor": "V", "chargePointModel": model}
    charge_point.send_text(json.dumps([2, "1", "BootNotification", request]).encode())
    assert json.loads(charge_point.receive()[0])[0] == 3


def next_boot(reader):
    """Return the id and the model of the next boot."""
    id_ = read_to(reader, b"id:").removeprefix("id: ")
    assert read_to(reader, b"event:") == "event: Booted"
    return id_, json.loads(read_to(reader, b"data:").removeprefix("data: "))["model"]


def test_a_stream_goes_on_behind_the_last_event_that_its_reader_had(system, charge_point):
    with stream(system, "?kind=Booted") as reader:
        read_to(reader, b": the events")
        boot(charge_point, "first")
        last, model = next_boot(reader)
        assert model == "first"
    boot(charge_point, "second")
    boot(charge_point, "third")
    with stream(system, "?kind=Booted,StatusChanged", after=last) as reader:
        assert next_boot(reader)[1] == "second"
        last, model = next_boot(reader)
        assert model == "third"
        boot(charge_point, "fourth")
        assert next_boot(reader)[1] == "fourth"
    with stream(system, "?kind=Booted", after=last) as reader:
        assert next_boot(reader)[1] == "fourth"


def test_a_stream_that_is_new_has_nothing_of_what_was_before(system, charge_point):
    boot(charge_point, "first")
    with stream(system, "?kind=Booted") as reader:
        read_to(reader, b": the events")
        boot(charge_point, "second")
        assert next_boot(reader)[1] == "second"


@pytest.mark.parametrize("after", ["nonsense", "one:two", "one:1,", "one:9999999999999"])
def test_a_last_event_id_that_is_none_is_a_bad_request(system, after):
    with stream(system, after=after) as reader:
        assert status_of(reader) == 400


def test_events_that_come_together_come_in_order_and_none_is_left_out(system, charge_point):
    with stream(system, "?kind=StatusChanged") as one, stream(system, "?kind=StatusChanged") as two:
        for reader in (one, two):
            read_to(reader, b": the events")
        for number in range(500):
            event = StatusChanged(
                at=NOW, charge_point_id=f"CP{number}", evse=1, connector=1, status="Available"
            )
            system._parts.router.publish(event)
        for reader in (one, two):
            found = [json.loads(read_to(reader, b"data:").removeprefix("data: ")) for _ in range(500)]
            assert [event["charge_point"] for event in found] == [f"CP{number}" for number in range(500)]
