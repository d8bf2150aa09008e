"""Frames of a charge point as they pass: as a stream on the real socket, and since a cursor."""

import json

import pytest
from gevent import socket as gevent_socket

from chargehand import CentralSystem, HttpSettings, SessionSettings, Settings, serve_http
from chargehand.simulator.client import Client

from ..hub import until
from ..in_process import system_with

HEARTBEAT = b'[2,"h","Heartbeat",{}]'
SECRET = '[2,"c","ChangeConfiguration",{"key":"AuthorizationKey","value":"a secret of twenty b"}]'


@pytest.fixture
def system(tmp_path):
    http = HttpSettings(enabled=True, port=0, open=True, event_streams=2)
    with CentralSystem(Settings(port=0, data=str(tmp_path), http=http), http=serve_http) as running:
        yield running


@pytest.fixture
def charge_point(system):
    client = Client.connect(f"ws://127.0.0.1:{system.port}/ocpp/CP1", subprotocols=("ocpp1.6",))
    yield client
    client.cut()


def events(reader):
    """Yield the name and the data of each event of a stream."""
    name = ""
    while line := reader.readline().decode():
        if line.startswith("event: "):
            name = line[7:].strip()
        elif line.startswith("data: "):
            yield name, json.loads(line[6:])


@pytest.fixture
def reader(system, charge_point):
    until(lambda: system.charge_point("CP1") is not None)
    with gevent_socket.create_connection(("127.0.0.1", system.http_port), timeout=60) as sock:
        sock.sendall(b"GET /api/v1/charge-points/CP1/frames HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with sock.makefile("rb") as stream:
            while not stream.readline().startswith(b": the frames"):
                pass
            yield stream


def test_frames_of_both_directions_come_as_they_pass(charge_point, reader):
    charge_point.send_text(HEARTBEAT)
    charge_point.receive()
    found = events(reader)
    kinds = [next(found) for _ in range(2)]
    assert [(name, row["kind"]) for name, row in kinds] == [("frame", "in"), ("frame", "answer")]
    assert kinds[0][1]["data"] == HEARTBEAT.decode()


def test_no_secret_passes(client_of, system, charge_point):
    until(lambda: system.charge_point("CP1") is not None)
    client, headers = client_of(system), {"Accept": "application/json"}
    path = "/api/v1/charge-points/CP1/frames"
    after = client.simulate_get(path, headers=headers).json["next"]
    charge_point.send_text(SECRET.encode())
    charge_point.receive()
    told = client.simulate_get(path, headers=headers, params={"after": after}).json
    assert [row["kind"] for row in told["frames"]] == ["in", "out"]
    assert "secret of" not in json.dumps(told)
    assert "AuthorizationKey" in told["frames"][0]["data"]
    assert client.simulate_get(path, headers=headers, params={"after": told["next"]}).json["frames"] == []


def test_what_is_not_there_is_refused(client, system):
    headers = {"Accept": "application/json"}
    assert client.simulate_get("/api/v1/charge-points/CP9/frames").status_code == 404
    system.store.register("CP9", "Accepted")
    told = client.simulate_get("/api/v1/charge-points/CP9/frames", headers=headers).json
    assert (told["frames"], told["missed"]) == ([], False)
    assert told["next"]
    for wrong in ("x", "nan/1/", "1/x/a"):
        reply = client.simulate_get("/api/v1/charge-points/CP9/frames", params={"after": wrong})
        assert reply.status_code == 400


def test_without_a_recorder_that_is_said(client_of):
    with system_with(settings=Settings(port=0, sessions=SessionSettings(recorder_bytes=0))) as system:
        reply = client_of(system).simulate_get("/api/v1/charge-points/CP1/frames")
        assert (reply.status_code, "sessions.recorder_bytes" in reply.json["description"]) == (409, True)
