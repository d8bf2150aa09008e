"""ws and wss in one server, with certificates of the test's own, against Python and openssl clients."""

import contextlib
import json
import os
import re
import signal
import ssl
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import Self

import pytest

from ..certificates import Authority, Pair, make_certificate
from .conftest import ON_EACH_TRANSPORT, StartClient, StartServer
from .process import until
from .rawsocket import EndedError, RawSocket
from .server import Server, chargehand

pytestmark = ON_EACH_TRANSPORT

SUITES = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
]
SILENT = 1000


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Intermediate authority of the servers."""
    folder = tmp_path_factory.mktemp("tls")
    return Authority(folder, "intermediate", Authority(folder))


@pytest.fixture(scope="module")
def pairs(authority: Authority) -> list[Pair]:
    """Certificates and keys of the server, of both kinds."""
    return [
        authority.issue(
            "server", names=["127.0.0.1"], usage="server", with_rsa=kind == "rsa", file=f"server-{kind}"
        )
        for kind in ("ec", "rsa")
    ]


def config_of(pairs: list[Pair], more: str = "") -> str:
    """Return the settings of a server with some certificates."""
    tables = ", ".join(f"{{certificate = '{chain}', key = '{key}'}}" for chain, key in pairs)
    return f"[tls]\ncertificates = [{tables}]\nport = 0\n{more}"


@pytest.fixture(scope="module")
def tls_server(start_module_server: StartServer, pairs: list[Pair]) -> Server:
    """Server with both endpoints and both certificates."""
    return start_module_server(config=config_of(pairs))


@pytest.fixture(scope="module")
def root(authority: Authority) -> Path:
    """Certificate that clients trust."""
    assert authority.parent is not None
    return authority.parent.file


@pytest.fixture
def trust(root: Path) -> ssl.SSLContext:
    """Context of a client that trusts the root alone, so that the chain must be whole."""
    return ssl.create_default_context(cafile=str(root))


def s_client(server: Server, *options: str) -> str:
    """Shake hands with openssl; return its report."""
    assert server.wss is not None
    found = re.match(r"wss://([^/]+)", server.wss)
    assert found is not None
    done = subprocess.run(
        ["openssl", "s_client", "-connect", found[1], *options],
        input=b"",
        capture_output=True,
        timeout=60,
        check=False,
    )
    return (done.stdout + done.stderr).decode(errors="replace")


def test_two_sessions_go_over_ws_and_wss_at_the_same_time(
    tls_server: Server, root: Path, start_client: StartClient
) -> None:
    assert tls_server.wss is not None
    clients = {
        "PLAIN": start_client(tls_server.ws + "PLAIN", "session"),
        "SECURE": start_client(tls_server.wss + "SECURE", "session", "--cafile", str(root)),
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
    tls_server: Server, trust: ssl.SSLContext, tmp_path: Path
) -> None:
    assert tls_server.wss is not None
    stranger = ssl.create_default_context(cafile=str(make_certificate(tmp_path, "stranger")[0]))
    with pytest.raises(ssl.SSLCertVerificationError):
        RawSocket.open(tls_server.wss + "CP1", trust=stranger)
    with RawSocket.open(tls_server.wss + "CP1", trust=trust) as raw:
        assert raw.boot().call("Heartbeat", {})[0] == 3
    assert "Traceback" not in tls_server.output


def test_plain_text_sent_to_the_wss_port_costs_the_server_nothing(
    tls_server: Server, trust: ssl.SSLContext
) -> None:
    assert tls_server.wss is not None
    with RawSocket(tls_server.wss + "CP1") as raw:
        raw.send_bytes(b"GET /ocpp/CP1 HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        raw.rest()
    with RawSocket.open(tls_server.wss + "CP1", trust=trust) as good:
        assert good.boot().call("Heartbeat", {})[0] == 3
    assert "Traceback" not in tls_server.output


def test_a_message_of_many_tls_records_arrives_whole(tls_server: Server, trust: ssl.SSLContext) -> None:
    assert tls_server.wss is not None
    with RawSocket.open(tls_server.wss + "CP1", trust=trust) as raw:
        raw.boot()
        answer = raw.call("DataTransfer", {"vendorId": "acme", "data": "x" * 200_000})
        assert answer[0] == 3, answer


@pytest.mark.parametrize("suite", SUITES)
def test_each_suite_of_the_whitepaper_is_served_with_the_chain_whole(
    tls_server: Server, root: Path, suite: str
) -> None:
    report = s_client(
        tls_server, "-tls1_2", "-cipher", suite, "-CAfile", str(root), "-verify_return_error", "-brief"
    )
    assert f"Ciphersuite: {suite}" in report
    assert "Verification: OK" in report


@pytest.mark.parametrize("algorithm", ["ECDSA+SHA256", "RSA-PSS+SHA256"])
def test_tls_1_3_has_the_certificate_of_the_kind_that_the_client_knows(
    tls_server: Server, algorithm: str
) -> None:
    report = s_client(tls_server, "-tls1_3", "-sigalgs", algorithm, "-brief")
    assert "Protocol version: TLSv1.3" in report
    assert f"Signature type: {algorithm.partition('+')[0]}" in report


def test_tls_1_1_weak_suites_compression_and_renegotiation_are_refused(tls_server: Server) -> None:
    weak = "ALL:@SECLEVEL=0"
    assert "alert protocol version" in s_client(tls_server, "-tls1_1", "-cipher", weak)
    assert "alert handshake failure" in s_client(tls_server, "-tls1_2", "-cipher", "AES128-SHA")
    assert "Compression: NONE" in s_client(tls_server, "-tls1_2", "-comp")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_charge_point_that_comes_back_resumes_its_session_of_tls(
    tls_server: Server, trust: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    assert tls_server.wss is not None
    trust.minimum_version = trust.maximum_version = version
    with RawSocket.open(tls_server.wss + "AGAIN", trust=trust) as raw:
        raw.boot()
        assert isinstance(raw.socket, ssl.SSLSocket)
        session = raw.socket.session
    with RawSocket(tls_server.wss + "AGAIN") as raw:
        raw.socket = trust.wrap_socket(raw.socket, server_hostname=raw.host, session=session)
        assert raw.handshake(raw.path, "Sec-WebSocket-Protocol: ocpp1.6").status == 101
        assert raw.socket.session_reused


# Reading again


class Beats:
    """Charge points over TLS that send heartbeats in threads; `failures` are those that went wrong."""

    def __init__(self, server: Server, trust: ssl.SSLContext, number: int) -> None:
        assert server.wss is not None
        self.failures: list[str] = []
        self.times: list[float] = []
        self._over = threading.Event()
        self._raws = [RawSocket.open(server.wss + f"BEAT{at}", trust=trust).boot() for at in range(number)]
        self._threads = [threading.Thread(target=self._beat, args=(raw,)) for raw in self._raws]
        for thread in self._threads:
            thread.start()

    def _beat(self, raw: RawSocket) -> None:
        try:
            while not self._over.wait(0.01):
                began = time.monotonic()
                assert raw.call("Heartbeat", {})[0] == 3
                self.times.append(time.monotonic() - began)
        except (OSError, AssertionError, EndedError) as error:
            self.failures.append(repr(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        for raw in self._raws:
            raw.socket.close()

    def p99_s(self, since: int = 0) -> float:
        """Return the time that 99 of 100 heartbeats needed at most, from one of them on."""
        times = sorted(self.times[since:])
        return times[len(times) * 99 // 100]


@pytest.mark.parametrize("how", ["files", "SIGHUP", "HTTP"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_renewed_certificate_is_served_without_a_connection_lost(
    start_server: StartServer, authority: Authority, tmp_path: Path, how: str, workers: int
) -> None:
    mine = Authority(tmp_path, "mine")
    pair = mine.issue("old", names=["127.0.0.1"], usage="server", file="server")
    reload_s = "0.2" if how == "files" else "0.0"
    several = () if workers == 1 else ("--workers", "2", "--store", "sqlite")
    server = start_server(*several, config=config_of([pair], f"reload_s = {reload_s}\n"))
    trust = ssl.create_default_context(cafile=str(mine.file))

    def shown() -> str:
        found = re.search(r"subject=CN = (\w+)", s_client(server))
        return found[1] if found else ""

    with Beats(server, trust, 10) as beats:
        assert shown() == "old"
        pair[0].write_text("junk")
        _read_again(server, how)
        until(
            lambda: "the certificates before stay in use" in server.output, "no word of the broken file", 10
        )
        assert shown() == "old"
        mine.issue("new", names=["127.0.0.1"], usage="server", file="server")
        _read_again(server, how)
        until(lambda: all(shown() == "new" for _ in range(8)), "the new certificate is not served")
        count = len(beats.times)
        until(lambda: len(beats.times) > count + 100, "the charge points are silent")
    assert beats.failures == []
    assert "Traceback" not in server.output


def _read_again(server: Server, how: str) -> None:
    if how == "SIGHUP":
        os.kill(server.pid, signal.SIGHUP)
    elif how == "HTTP":
        done = chargehand("tls", "reload", "--data", str(server.data))
        assert done.status == 0 or "stay in use" in done.output, done


def test_a_certificate_that_runs_out_is_warned_of(
    start_server: StartServer, pairs: list[Pair], authority: Authority
) -> None:
    server = start_server(config=config_of(pairs))
    assert "runs out at" in server.output
    assert server.ask("GET", "/api/v1/counters").json["certificate_expiring"] == 4
    rows = server.ask("GET", "/api/v1/tls").json["certificates"]
    assert [(row["name"], row["key"]) for row in rows] == [
        ("CN=server", "ECDSA"),
        ("CN=intermediate", "ECDSA"),
        ("CN=server", "RSA"),
        ("CN=intermediate", "ECDSA"),
    ]


def test_a_thousand_silent_clients_hold_nobody_up(
    start_server: StartServer, pairs: list[Pair], trust: ssl.SSLContext
) -> None:
    server = start_server(config=config_of(pairs))
    assert server.wss is not None
    with Beats(server, trust, 20) as beats, contextlib.ExitStack() as stack:
        until(lambda: len(beats.times) > 1000, "no heartbeats")
        quiet_s, before = beats.p99_s(), len(beats.times)
        silent = [stack.enter_context(RawSocket(server.wss)) for _ in range(SILENT)]
        until(lambda: len(beats.times) > before + 1000, "no heartbeats")
        until(
            lambda: server.ask("GET", "/api/v1/counters").json.get("handshake_failed") == SILENT,
            "they stay",
            30,
        )
        assert silent[-1].rest() == b""
        assert beats.failures == []
        # Both are some milliseconds on a quiet machine; a hub that waits for one of them would need seconds.
        assert beats.p99_s(before) < max(10 * quiet_s, 0.25), (quiet_s, beats.p99_s(before))


# HTTP


def test_http_over_tls_is_for_the_command_line_and_for_clients_that_trust_it(
    start_server: StartServer, pairs: list[Pair], trust: ssl.SSLContext, tmp_path: Path
) -> None:
    server = start_server(config=config_of(pairs, "reload_s = 0.0\n[http]\ntls = true\n"))
    assert server.http.startswith("https://")
    done = chargehand("tls", "show", "--data", str(server.data), "--json")
    assert done.status == 0, done
    assert len(json.loads(done.output)["certificates"]) == 4
    with urllib.request.urlopen(server.http + "/healthz", context=trust, timeout=60) as answer:
        assert json.loads(answer.read())["status"] == "ok"
    with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(server.http + "/healthz", context=ssl.create_default_context(), timeout=60)
    pairs[0][0].replace(tmp_path / "ec.pem")
    try:
        broken = chargehand("tls", "reload", "--data", str(server.data))
        assert (broken.status, "stay in use" in broken.output) == (1, True)
    finally:
        (tmp_path / "ec.pem").replace(pairs[0][0])
    wrong = chargehand("tls", "show", "--url", server.http, "--token", server.token)
    assert wrong.status != 0
    assert "CERTIFICATE_VERIFY_FAILED" in wrong.output
