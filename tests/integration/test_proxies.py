"""A proxy that ends TLS in front of a real server: HAProxy and nginx with the configurations of the documentation."""

import contextlib
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..certificates import Authority, Pair
from ..ports import free_port
from .conftest import ON_EACH_TRANSPORT, StartServer
from .process import kill, until
from .rawsocket import SUBPROTOCOL, EndedError, RawSocket
from .server import Server
from .test_security_profiles import basic, pin

pytestmark = ON_EACH_TRANSPORT

EXAMPLES = Path(__file__).parents[2] / "examples" / "proxies"
PASSWORDS = "[auth.credentials]\nP2 = 'a long password'\nP3 = 'a long password'\n"
NGINX_PATHS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
TRUSTING = "[proxy]\ntrusted = ['127.0.0.1']\nprotocol = 'v2'\n"


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    """Server that trusts a proxy on this machine; P2 has security profile 2, P3 3, and both a password."""
    server = start_module_server(config=f"{TRUSTING}[log]\nrepeat_lines = 1000\n{PASSWORDS}")
    for charge_point in ("P2", "P3"):
        pin(server, charge_point, int(charge_point[1]))
    return server


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Authority of the proxy's certificates."""
    return Authority(tmp_path_factory.mktemp("servers"), "servers")


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Authority of the charge points."""
    return Authority(tmp_path_factory.mktemp("clients"), "clients")


@contextlib.contextmanager
def running(command: list[str], port: int, folder: Path) -> Iterator[str]:
    """Run a proxy until the end of the block; yields its address when it listens."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )

    def listens() -> bool:
        assert process.poll() is None, (folder / "output").read_text()
        with socket.socket() as there:
            return there.connect_ex(("127.0.0.1", port)) == 0

    try:
        until(listens, f"{command[0]} does not listen")
        yield f"wss://127.0.0.1:{port}/ocpp/"
    finally:
        kill(process)


def adapted(name: str, folder: Path, places: dict[str, object]) -> str:
    """Write an example with the places of a test in it; return its path."""
    text = (EXAMPLES / name).read_text()
    for old, new in places.items():
        assert old in text, old
        text = text.replace(old, str(new))
    (folder / name).write_text(text)
    return str(folder / name)


@pytest.fixture(scope="module")
def proxy(
    server: Server, servers: Authority, clients: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of HAProxy in front of the server, with both kinds of certificates and a revocation list."""
    folder, port = tmp_path_factory.mktemp("haproxy"), free_port()
    for kind in ("ecdsa", "rsa"):
        chain, key = proxy_pair(servers, kind)
        (folder / f"server.pem.{kind}").write_bytes(chain.read_bytes() + key.read_bytes())
    clients.revoke(clients.issue("REVOKED")[0])
    config = adapted(
        "haproxy.cfg",
        folder,
        {
            "/etc/haproxy/certificates/": f"{folder}/",
            "/etc/haproxy/charge-points-ca.pem": clients.file,
            "/etc/haproxy/charge-points.crl": clients.write_list(),
            "bind :443": f"bind 127.0.0.1:{port}",
            "127.0.0.1:9000": server.ws.removeprefix("ws://").partition("/")[0],
        },
    )
    with running(["haproxy", "-db", "-f", config], port, folder) as url:
        yield url


def proxy_pair(servers: Authority, kind: str) -> Pair:
    """Issue a certificate of a proxy."""
    return servers.issue(
        "proxy", names=["127.0.0.1"], usage="server", with_rsa=kind == "rsa", file=f"proxy-{kind}"
    )


def context(servers: Authority, pair: Pair | None = None) -> ssl.SSLContext:
    """Return a client's context, with a certificate or without."""
    made = ssl.create_default_context(cafile=str(servers.file))
    if pair is not None:
        made.load_cert_chain(*pair)
    return made


def status(url: str, trust: ssl.SSLContext, *lines: str) -> int:
    """Shake hands through the proxy; return the status of the answer."""
    with RawSocket(url, trust=trust) as raw:
        return raw.handshake(raw.path, SUBPROTOCOL, *lines).status


def test_each_profile_is_held_behind_the_proxy(proxy: str, servers: Authority, clients: Authority) -> None:
    without, own = context(servers), context(servers, clients.issue("P3"))
    assert status(proxy + "P2", without) == 401
    assert status(proxy + "P2", without, basic("P2")) == 101
    assert status(proxy + "P3", without, basic("P3")) == 403
    assert status(proxy + "P3", own) == 101
    assert status(proxy + "P3", context(servers, clients.issue("P2")), basic("P3")) == 403


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"])
def test_the_client_and_its_tls_are_shown_as_the_proxy_tells_them(
    server: Server, proxy: str, servers: Authority, clients: Authority, suite: str
) -> None:
    trust = context(servers, clients.issue("P3"))
    trust.maximum_version = ssl.TLSVersion.TLSv1_2
    trust.set_ciphers(suite)
    with RawSocket.open(proxy + "P3", trust=trust) as raw:
        assert raw.boot().call("Heartbeat", {})[0] == 3
        view = server.ask("GET", "/api/v1/charge-points/P3").json
        assert view["peer"] == "{}:{}".format(*raw.socket.getsockname())
        assert (view["tls"]["version"], view["tls"]["suite"], view["tls"]["by_proxy"]) == (
            "TLSv1.2",
            suite,
            True,
        )
        assert view["tls"]["certificate"]["names"] == ["P3"]


def test_a_certificate_that_is_revoked_is_refused_by_the_proxy(
    proxy: str, servers: Authority, clients: Authority
) -> None:
    revoked = (clients.folder / "REVOKED.pem", clients.folder / "REVOKED.key")
    with pytest.raises((OSError, EndedError)):
        status(proxy + "REVOKED", context(servers, revoked))


def test_who_goes_round_the_proxy_without_its_header_is_refused(server: Server, proxy: str) -> None:
    with RawSocket(server.ws + "P2") as raw, pytest.raises((OSError, EndedError)):
        raw.handshake(raw.path, SUBPROTOCOL, basic("P2"))
    until(lambda: "PROXY: no header of the PROXY protocol" in server.output, "no line in the log")
    assert "Traceback" not in server.output


def test_the_header_of_an_address_that_is_not_trusted_is_not_believed(start_server: StartServer) -> None:
    server = start_server(
        config="[proxy]\ntrusted = ['192.0.2.7']\nprotocol = 'v2'\n[auth]\nsecurity_profile = 3\n"
    )
    with RawSocket(server.ws + "P3") as raw:
        tls = b"\x20\x00\x0b\x07\x00\x00\x00\x00\x22\x00\x02P3"
        address = bytes([192, 0, 2, 7, 192, 0, 2, 8, 0, 1, 0, 2])
        size = (len(address) + len(tls)).to_bytes(2, "big")
        raw.send_bytes(b"\r\n\r\n\x00\r\nQUIT\n\x21\x11" + size + address + tls)
        with pytest.raises((OSError, EndedError, AssertionError, IndexError, ValueError)):
            assert raw.handshake(raw.path, SUBPROTOCOL).status == 101
    with RawSocket(server.ws + "P3") as raw:
        assert raw.handshake(raw.path, SUBPROTOCOL).status == 403


def test_nginx_tells_the_client_and_its_certificate_by_headers(
    start_server: StartServer, servers: Authority, clients: Authority, tmp_path: Path
) -> None:
    server = start_server(config=f"[proxy]\ntrusted = ['127.0.0.1']\nheaders = true\n{PASSWORDS}")
    for charge_point in ("P2", "P3"):
        pin(server, charge_point, int(charge_point[1]))
    port = free_port()
    pairs = {kind: proxy_pair(servers, kind) for kind in ("ecdsa", "rsa")}
    clients.revoke(clients.issue("REVOKED")[0])
    paths = "".join(f"{name}_temp_path {tmp_path}/{name};\n" for name in NGINX_PATHS)
    config = adapted(
        "nginx.conf",
        tmp_path,
        {
            "events {}": f"daemon off;\npid {tmp_path}/pid;\nevents {{}}",
            "http {": f"http {{\naccess_log off;\n{paths}",
            **{f"/etc/nginx/certificates/{kind}.pem": pair[0] for kind, pair in pairs.items()},
            **{f"/etc/nginx/certificates/{kind}.key": pair[1] for kind, pair in pairs.items()},
            "/etc/nginx/charge-points-ca.pem": clients.file,
            "/etc/nginx/charge-points.crl": clients.write_list(),
            "listen 443": f"listen 127.0.0.1:{port}",
            "127.0.0.1:9000": server.ws.removeprefix("ws://").partition("/")[0],
        },
    )
    without, own = context(servers), context(servers, clients.issue("P3", names=["p3.example"]))
    with running(["nginx", "-c", config, "-e", f"{tmp_path}/errors"], port, tmp_path) as url:
        assert status(url + "P2", without, basic("P2")) == 101
        assert status(url + "P3", without, basic("P3")) == 403
        assert (
            status(
                url + "REVOKED",
                context(servers, (clients.folder / "REVOKED.pem", clients.folder / "REVOKED.key")),
            )
            == 400
        )
        forged = ("X-SSL-Client-Verify: SUCCESS", "X-SSL-Client-Cert: x", "X-Forwarded-For: 203.0.113.9")
        assert status(url + "P3", without, *forged) == 403
        with RawSocket.open(url + "P3", *forged, trust=own) as raw:
            assert raw.boot().call("Heartbeat", {})[0] == 3
            view = server.ask("GET", "/api/v1/charge-points/P3").json
            assert view["peer"] == "127.0.0.1:0"
            certificate = view["tls"]["certificate"]
            assert (certificate["names"], certificate["issuer"]) == (["P3", "p3.example"], "CN=clients")
