"""Compression with a client of `websockets` against real servers: both transports, ws and wss, both versions."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from ..certificates import make_certificate
from .conftest import ON_EACH_TRANSPORT, StartServer
from .server import Server, chargehand

pytestmark = ON_EACH_TRANSPORT

BOOT = {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "Zürich ⚡ " * 5}}
ON_IN_1_6 = 'sessions.compression = ["1.6", "2.0.1"]'


@pytest.fixture(scope="module")
def links(
    start_module_server: StartServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Server, dict[str, tuple[str, ssl.SSLContext | None]]]:
    """A server with defaults and its addresses."""
    certificate, key = make_certificate(tmp_path_factory.mktemp("compression"), "server")
    server = start_module_server(config=f'tls = {{certificate = "{certificate}", key = "{key}", port = 0}}')
    assert server.wss is not None
    trust = ssl.create_default_context(cafile=str(certificate))
    return server, {"ws": (server.ws, None), "wss": (server.wss, trust)}


@contextmanager
def opened(
    url: str, trust: ssl.SSLContext | None = None, *, version: str = "ocpp2.0.1", **offer: Any
) -> Iterator[ClientConnection]:
    """Open a connection of a station that offers compression."""
    with connect(
        url,
        ssl=trust,
        subprotocols=[Subprotocol(version)],
        compression=None,
        extensions=[ClientPerMessageDeflateFactory(**offer)],
        max_size=None,
    ) as socket:
        yield socket


def called(socket: ClientConnection, action: str, payload: Any, message_id: str = "1") -> Any:
    """Send a call and return the payload of its answer."""
    socket.send(json.dumps([2, message_id, action, payload], ensure_ascii=False))
    kind, answered, answer = json.loads(socket.recv(10))
    assert (kind, answered) == (3, message_id)
    return answer


def answer_to_offer(socket: ClientConnection) -> str | None:
    assert socket.response is not None
    return socket.response.headers.get("Sec-WebSocket-Extensions")


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_a_station_with_compression_boots_and_is_sent_compressed_commands(links, scheme):
    server, addresses = links
    url, trust = addresses[scheme]
    with opened(f"{url}{scheme}1", trust) as socket:
        assert answer_to_offer(socket) == (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits=12"
        )
        assert called(socket, "BootNotification", BOOT)["status"] == "Accepted"
        variables = [
            {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": f"HeartbeatInterval{number}"}}
            for number in range(9)
        ]
        before = len(server.output)
        reply = server.command(
            f"{scheme}1", "GetVariables", {"getVariableData": variables}, wait="false", timeout=5
        )
        assert reply.status == 202, reply.text
        command = json.loads(socket.recv(10))
        assert command[3]["getVariableData"] == variables
        results = [{**one, "attributeStatus": "Accepted", "attributeValue": "0" * 50} for one in variables]
        socket.send(json.dumps([3, command[1], {"getVariableResult": results}]))
        assert called(socket, "Heartbeat", {}).keys() == {"currentTime"}
        recording = chargehand("recording", f"{scheme}1", "--data", str(server.data))
        texts = [json.loads(line).get("data", "") for line in recording.output.splitlines()]
        assert any("Zürich ⚡" in text for text in texts)
        assert any("HeartbeatInterval8" in text for text in texts)
        assert "Traceback" not in server.output[before:]


@pytest.mark.parametrize("bits", range(8, 16))
def test_every_window_that_a_station_offers_is_kept_to(links, bits):
    server, addresses = links
    name = f"bits{bits}"
    url, _ = addresses["ws"]
    client_bits = None if bits == 8 else bits
    with opened(url + name, server_max_window_bits=bits, client_max_window_bits=client_bits) as socket:
        assert f"server_max_window_bits={min(bits, 12)}" in str(answer_to_offer(socket))
        called(socket, "BootNotification", BOOT)
        for number in range(20):
            data = {"vendorId": "V", "data": "0123456789abcdef" * 400 * number}
            assert called(socket, "DataTransfer", data, f"a{number}")["status"] == "UnknownVendorId"
        payload = {"vendorId": "V", "data": [{"at": at, "value": at * at} for at in range(3000)]}
        server.command(name, "DataTransfer", payload, wait="false", timeout=5)
        assert json.loads(socket.recv(10))[3] == payload


def test_a_recording_of_a_compressed_connection_is_replayed_without_a_difference(links, tmp_path: Path):
    server, addresses = links
    url, _ = addresses["ws"]
    with opened(f"{url}replayed") as socket:
        called(socket, "BootNotification", BOOT)
        called(socket, "DataTransfer", {"vendorId": "V", "data": "x" * 500}, "2")
    record = tmp_path / "record.jsonl"
    record.write_text(chargehand("recording", "replayed", "--data", str(server.data)).output)
    done = chargehand("replay", str(record))
    assert (done.status, done.output) == (0, "")


def test_a_charge_point_of_1_6_gets_compression_by_the_setting_alone(links, start_server: StartServer):
    _, addresses = links
    boot = {"chargePointVendor": "V", "chargePointModel": "M"}
    with opened(f"{addresses['ws'][0]}old", version="ocpp1.6") as socket:
        assert answer_to_offer(socket) is None
        assert called(socket, "BootNotification", boot)["status"] == "Accepted"
    with opened(f"{start_server(config=ON_IN_1_6).ws}old", version="ocpp1.6") as socket:
        assert str(answer_to_offer(socket)).startswith("permessage-deflate; ")
        assert called(socket, "BootNotification", boot)["status"] == "Accepted"


def test_with_takeover_by_the_setting_both_ends_keep_their_context(start_server: StartServer):
    server = start_server(config="sessions.compression_takeover = true\nsessions.compression_min_bytes = 1")
    with opened(f"{server.ws}kept") as socket:
        assert answer_to_offer(socket) == "permessage-deflate; client_max_window_bits=12"
        called(socket, "BootNotification", BOOT)
        for number in range(200):
            called(socket, "Heartbeat", {}, f"h{number}")


def test_settings_that_turn_compression_off_decline_it(start_server: StartServer):
    server = start_server(config="sessions.compression = []")
    with opened(f"{server.ws}plain") as socket:
        assert answer_to_offer(socket) is None
        assert called(socket, "BootNotification", BOOT)["status"] == "Accepted"
