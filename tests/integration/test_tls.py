"""ws and wss in one server, with a certificate of the test's own."""

import ssl
from pathlib import Path

import pytest

from ..certificates import make_certificate
from .conftest import StartClient, StartServer
from .rawsocket import RawSocket
from .server import Server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Certificate and key of the server."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "server")


@pytest.fixture(scope="module")
def tls_server(start_module_server: StartServer, certificate: tuple[Path, Path]) -> Server:
    """Server with both endpoints."""
    chain, key = certificate
    config = f"[tls]\ncertificate = '{chain}'\nkey = '{key}'\nport = 0\n"
    return start_module_server(config=config)


def test_two_sessions_go_over_ws_and_wss_at_the_same_time(
    tls_server: Server, certificate: tuple[Path, Path], start_client: StartClient
) -> None:
    assert tls_server.wss is not None
    clients = {
        "PLAIN": start_client(tls_server.ws + "PLAIN", "session"),
        "SECURE": start_client(tls_server.wss + "SECURE", "session", "--cafile", str(certificate[0])),
    }
    transactions = {name: client.wait_for("waiting")["transactionId"] for name, client in clients.items()}
    assert transactions["PLAIN"] != transactions["SECURE"]
    for name, client in clients.items():
        reply = tls_server.command(name, "RemoteStopTransaction", {"transactionId": transactions[name]})
        assert reply.status == 200, reply
        client.wait_for("done")
        assert client.exit_status() == 0
    rows = tls_server.ask("GET", "/api/v1/transactions").json["transactions"]
    assert {row["charge_point"] for row in rows if row["stopped_at"]} >= {"PLAIN", "SECURE"}


def test_a_client_that_does_not_trust_the_certificate_gets_no_connection(
    tls_server: Server, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    assert tls_server.wss is not None
    stranger = ssl.create_default_context(cafile=str(make_certificate(tmp_path, "stranger")[0]))
    with pytest.raises(ssl.SSLCertVerificationError):
        RawSocket.open(tls_server.wss + "CP1", trust=stranger)
    with RawSocket.open(
        tls_server.wss + "CP1", trust=ssl.create_default_context(cafile=str(certificate[0]))
    ) as raw:
        assert raw.boot().call("Heartbeat", {})[0] == 3
    assert "Traceback" not in tls_server.output


def test_plain_text_sent_to_the_wss_port_costs_the_server_nothing(
    tls_server: Server, certificate: tuple[Path, Path]
) -> None:
    assert tls_server.wss is not None
    with RawSocket(tls_server.wss + "CP1") as raw:
        raw.send_bytes(b"GET /ocpp/CP1 HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        raw.rest()
    with RawSocket.open(
        tls_server.wss + "CP1", trust=ssl.create_default_context(cafile=str(certificate[0]))
    ) as good:
        assert good.boot().call("Heartbeat", {})[0] == 3
    assert "Traceback" not in tls_server.output


def test_a_message_of_many_tls_records_arrives_whole(
    tls_server: Server, certificate: tuple[Path, Path]
) -> None:
    assert tls_server.wss is not None
    trust = ssl.create_default_context(cafile=str(certificate[0]))
    with RawSocket.open(tls_server.wss + "CP1", trust=trust) as raw:
        raw.boot()
        answer = raw.call("DataTransfer", {"vendorId": "acme", "data": "x" * 200_000})
        assert answer[0] == 3, answer
