"""Security profiles 0 to 3 against a real server: right and wrong handshakes, client certificates, raising by OCPP."""

import base64
import datetime as dt
import json
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

from ..certificates import Authority, Pair, make_certificate
from .conftest import ON_EACH_TRANSPORT, StartServer
from .process import until
from .rawsocket import SUBPROTOCOL, EndedError, Handshake, RawSocket
from .server import Server, chargehand

pytestmark = ON_EACH_TRANSPORT

WRONG_ONES = 10_000
KNOCKERS = 8


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Authority of the server's certificate."""
    return Authority(tmp_path_factory.mktemp("servers"), "servers")


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Intermediate authority of the charge points."""
    folder = tmp_path_factory.mktemp("clients")
    return Authority(folder, "intermediate", Authority(folder, "clients"))


@pytest.fixture(scope="module")
def files(servers: Authority, clients: Authority, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Settings of TLS with client certificates and revocation lists."""
    chain, key = servers.issue("server", names=["127.0.0.1"], usage="server")
    assert clients.parent is not None
    folder = tmp_path_factory.mktemp("lists")
    cas, lists = folder / "cas.pem", folder / "lists.pem"
    cas.write_bytes(clients.file.read_bytes() + clients.parent.file.read_bytes())
    clients.revoke(clients.issue("REVOKED")[0])
    lists.write_bytes(clients.write_list().read_bytes() + clients.parent.write_list().read_bytes())
    return (
        f"[tls]\ncertificate = '{chain}'\nkey = '{key}'\nport = 0\nreload_s = 0.2\n"
        f"client_ca = '{cas}'\nclient_crl = '{lists}'\n"
    )


@pytest.fixture(scope="module")
def guarded(start_module_server: StartServer, files: str) -> Server:
    """Server with the passwords of some charge points, whose profiles tests set."""
    names = [f"P{at}" for at in range(4)]
    credentials = "".join(f"{name} = 'a long password'\n" for name in (*names, "LIVE", "UP", "UP201"))
    server = start_module_server(
        config=f"{files}[log]\nrepeat_lines = 1000\n[auth.credentials]\n{credentials}"
    )
    for at, name in enumerate(names):
        pin(server, name, at)
    return server


def pin(server: Server, charge_point: str, profile: int) -> None:
    """Set a least security profile by the command line."""
    done = chargehand(
        "charge-points", "set", charge_point, "--security-profile", str(profile), "--data", str(server.data)
    )
    assert done.output == f"{charge_point} has the least security profile {profile}\n"


def basic(user: str, password: str = "a long password") -> str:
    """Return the Authorization header."""
    return f"Authorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


class Knocking:
    """Handshakes with a server, which trust it."""

    def __init__(self, servers: Authority, server: Server) -> None:
        self._trusted, self._server = str(servers.file), server

    def context(self, pair: Pair | None = None) -> ssl.SSLContext:
        """Return a client's context, with a certificate or without."""
        context = ssl.create_default_context(cafile=self._trusted)
        if pair is not None:
            context.load_cert_chain(*pair)
        return context

    def plain(self, charge_point: str, *lines: str) -> Handshake:
        """Knock at the plain port."""
        with RawSocket(self._server.ws + charge_point) as raw:
            return raw.handshake(raw.path, SUBPROTOCOL, *lines)

    def secure(self, charge_point: str, *lines: str, pair: Pair | None = None) -> Handshake:
        """Knock at the port of TLS."""
        assert self._server.wss is not None
        with RawSocket(self._server.wss + charge_point, trust=self.context(pair)) as raw:
            return raw.handshake(raw.path, SUBPROTOCOL, *lines)

    def again(self, charge_point: str, context: ssl.SSLContext, session: ssl.SSLSession | None) -> Handshake:
        """Knock at the port of TLS with a session of before."""
        assert self._server.wss is not None
        with RawSocket(self._server.wss + charge_point) as raw:
            raw.socket = context.wrap_socket(raw.socket, server_hostname=raw.host, session=session)
            return raw.handshake(raw.path, SUBPROTOCOL)


@pytest.fixture(scope="module")
def knock(servers: Authority, guarded: Server) -> Knocking:
    """Handshakes with the guarded server."""
    return Knocking(servers, guarded)


TABLE = {  # by profile: ws; ws, password; wss; wss, password; wss, certificate
    "P0": [401, 101, 401, 101, 101],
    "P1": [401, 101, 401, 101, 101],
    "P2": [403, 403, 401, 101, 101],
    "P3": [403, 403, 403, 403, 101],
}


@pytest.mark.parametrize("charge_point", TABLE)
def test_each_profile_lets_in_its_own_and_higher_ones_and_refuses_the_rest(
    knock: Knocking, clients: Authority, charge_point: str
) -> None:
    pair = clients.issue(charge_point)
    answers = [
        knock.plain(charge_point),
        knock.plain(charge_point, basic(charge_point)),
        knock.secure(charge_point),
        knock.secure(charge_point, basic(charge_point)),
        knock.secure(charge_point, pair=pair),
    ]
    assert [answer.status for answer in answers] == TABLE[charge_point]
    assert knock.secure(charge_point, basic(charge_point, "wrong")).status == (
        403 if charge_point == "P3" else 401
    )


def test_a_downgrade_is_refused_with_a_line_that_names_the_setting(guarded: Server, knock: Knocking) -> None:
    answer = knock.plain("P2", basic("P2"))
    text = (
        "charge point P2 has the least security profile 2 (chargehand charge-points set --security-profile), "
        "and connects without TLS"
    )
    assert (answer.status, answer.body.strip()) == (403, text)
    until(lambda: text in guarded.output, "no line in the log")
    assert guarded.ask("GET", "/api/v1/counters").json["security_profile_refused"] >= 1


# Client certificates


@pytest.mark.parametrize("with_rsa", [False, True])
def test_the_facts_of_a_certificate_are_shown(
    guarded: Server, servers: Authority, clients: Authority, *, with_rsa: bool
) -> None:
    pair = clients.issue("P3", with_rsa=with_rsa, usage="")
    assert guarded.wss is not None
    with RawSocket.open(guarded.wss + "P3", trust=Knocking(servers, guarded).context(pair)) as raw:
        raw.boot()
        view = guarded.ask("GET", "/api/v1/charge-points/P3").json
        assert view["secure"] is True
        assert (view["security_profile"], view["new_security_profile"]) == (3, None)
        assert view["tls"]["version"] == "TLSv1.3"
        shown = view["tls"]["certificate"]
        assert (shown["subject"], shown["issuer"], shown["names"]) == ("CN=P3", "CN=intermediate", ["P3"])
        assert shown["key"] == ("RSA" if with_rsa else "ECDSA")
        assert set(view["deviations"]) == {
            "certificate without subjectAltName",
            "certificate without extendedKeyUsage",
        }
        done = chargehand("charge-points", "show", "P3", "--data", str(guarded.data))
        assert "CN=P3, until " in done.output


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("wrong", ["expired", "not yet", "self-signed", "wrong CA", "revoked", "wrong usage"])
def test_a_certificate_that_is_not_valid_is_refused_by_tls(
    guarded: Server,
    clients: Authority,
    servers: Authority,
    tmp_path: Path,
    wrong: str,
    version: ssl.TLSVersion,
) -> None:
    hour = dt.timedelta(hours=1)
    pairs = {
        "expired": lambda: clients.issue("P3", lifetime=-hour / 2, file="expired"),
        "not yet": lambda: clients.issue("P3", since=hour / 2, file="later"),
        "self-signed": lambda: make_certificate(tmp_path, "P3"),
        "wrong CA": lambda: Authority(tmp_path, "clients").issue("P3"),
        "revoked": lambda: (clients.folder / "REVOKED.pem", clients.folder / "REVOKED.key"),
        "wrong usage": lambda: clients.issue("P3", usage="server", file="usage"),
    }
    charge_point = "REVOKED" if wrong == "revoked" else "P3"
    assert guarded.wss is not None
    context = Knocking(servers, guarded).context(pairs[wrong]())
    context.minimum_version = context.maximum_version = version
    with pytest.raises((OSError, EndedError)), RawSocket(guarded.wss + charge_point, trust=context) as raw:
        raw.handshake(raw.path, SUBPROTOCOL)  # TLS 1.3 tells it behind its handshake
    reasons = {
        "expired": "certificate has expired",
        "not yet": "certificate is not yet valid",
        "self-signed": "self-signed certificate",
        "wrong CA": "unable to get local issuer certificate|certificate signature failure",
        "revoked": "certificate revoked",
        "wrong usage": "unsuitable certificate purpose",
    }
    until(
        lambda: any(reason in guarded.output for reason in reasons[wrong].split("|")),
        f"no line about {wrong} in the log",
        5,
    )
    assert "Traceback" not in guarded.output


def test_a_certificate_of_another_charge_point_is_refused(knock: Knocking, clients: Authority) -> None:
    pair = clients.issue("P1", file="other")
    answer = knock.secure("P3", pair=pair)
    assert answer.status == 403
    assert "its certificate names P1, not P3 (auth.certificate_name)" in answer.body
    assert knock.secure("FREE", pair=pair).status in (403, 404)


def test_a_certificate_is_refused_once_it_is_on_the_list(
    start_server: StartServer, files: str, servers: Authority, clients: Authority, tmp_path: Path
) -> None:
    mine = Authority(tmp_path, "mine")
    lists = mine.write_list()
    config = files.replace("\nclient_ca", "\n#client_ca").replace("\nclient_crl", "\n#client_crl")
    server = start_server(
        config=f"{config}client_ca = '{mine.file}'\nclient_crl = '{lists}'\n[auth]\nsecurity_profile = 3\n"
    )
    knock, pair = Knocking(servers, server), mine.issue("CP1")
    context = knock.context(pair)
    assert server.wss is not None
    with RawSocket.open(server.wss + "CP1", trust=context) as raw:
        assert raw.boot().call("Heartbeat", {})[0] == 3
        assert isinstance(raw.socket, ssl.SSLSocket)
        session = raw.socket.session
    mine.revoke(pair[0])
    mine.write_list()

    def refused() -> bool:
        try:
            return knock.secure("CP1", pair=pair).status != 101
        except (OSError, EndedError):
            return True

    until(refused, "the revoked certificate is let in")
    with pytest.raises((OSError, EndedError)):
        knock.again("CP1", context, session)
    assert knock.secure("CP2", pair=mine.issue("CP2")).status == 101


def test_a_serial_number_names_the_charge_point_that_has_told_it(
    start_server: StartServer, files: str, servers: Authority, clients: Authority
) -> None:
    server = start_server(
        "--store",
        "sqlite",
        config=f"{files}[auth]\ncertificate_name = 'serial_number'\ncertificate_names = {{CP2 = 'SN-2'}}\n",
    )
    knock, pair = Knocking(servers, server), clients.issue("SN-1")
    pin(server, "CP1", 3)
    assert "its serial number is not known yet" in knock.secure("CP1", pair=pair).body
    pin(server, "CP1", 0)
    with RawSocket.open(server.ws + "CP1") as raw:
        boot = {"chargePointVendor": "Acme", "chargePointModel": "Raw", "chargePointSerialNumber": "SN-1"}
        assert raw.call("BootNotification", boot)[2]["status"] == "Accepted"
    pin(server, "CP1", 3)
    assert knock.secure("CP1", pair=pair).status == 101
    assert knock.secure("CP1", pair=clients.issue("SN-9")).status == 403
    pin(server, "CP2", 3)
    assert knock.secure("CP2", pair=clients.issue("SN-2")).status == 101


# Raising


def test_an_accepted_security_profile_is_raised_by_the_first_connection_on_it(
    guarded: Server, servers: Authority
) -> None:
    knock = Knocking(servers, guarded)
    with RawSocket.open(guarded.ws + "UP", basic("UP")) as raw:
        raw.boot()
        answers: list[Any] = []
        sender = threading.Thread(
            target=lambda: answers.append(
                guarded.command("UP", "ChangeConfiguration", {"key": "SecurityProfile", "value": "2"})
            )
        )
        sender.start()
        call = json.loads(raw.text())
        raw.send(json.dumps([3, call[1], {"status": "Accepted"}]))
        sender.join()
        assert answers[0].status == 200
    view = guarded.ask("GET", "/api/v1/charge-points/UP").json
    assert (view["security_profile"], view["new_security_profile"]) == (0, 2)
    assert knock.plain("UP", basic("UP")).status == 101  # it has not come on the new one yet
    assert knock.secure("UP", basic("UP")).status == 101
    view = guarded.ask("GET", "/api/v1/charge-points/UP").json
    assert (view["security_profile"], view["new_security_profile"]) == (2, None)
    assert knock.plain("UP", basic("UP")).status == 403
    pin(guarded, "UP", 0)
    assert knock.plain("UP", basic("UP")).status == 101


def test_a_network_configuration_with_priority_raises_it_in_ocpp_2_0_1(
    guarded: Server, servers: Authority
) -> None:
    knock = Knocking(servers, guarded)
    raw = RawSocket(guarded.ws + "UP201")
    with raw:
        assert raw.handshake(raw.path, "Sec-WebSocket-Protocol: ocpp2.0.1", basic("UP201")).status == 101
        station = {"model": "Raw", "vendorName": "Acme"}
        assert (
            raw.call("BootNotification", {"chargingStation": station, "reason": "PowerUp"})[2]["status"]
            == "Accepted"
        )

        def commanded(action: str, payload: Any, answer: Any) -> None:
            sender = threading.Thread(target=guarded.command, args=("UP201", action, payload))
            sender.start()
            call = json.loads(raw.text())
            assert call[2] == action
            raw.send(json.dumps([3, call[1], answer]))
            sender.join()

        data = {
            "ocppVersion": "OCPP20", "ocppTransport": "JSON", "ocppCsmsUrl": "wss://example.com",
            "messageTimeout": 30, "securityProfile": 2, "ocppInterface": "Wired0",
        }  # fmt: skip
        commanded(
            "SetNetworkProfile", {"configurationSlot": 2, "connectionData": data}, {"status": "Accepted"}
        )
        what = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "NetworkConfigurationPriority"}}
        commanded(
            "SetVariables",
            {"setVariableData": [what | {"attributeValue": "2,1"}]},
            {"setVariableResult": [what | {"attributeStatus": "Accepted"}]},
        )
    until(
        lambda: guarded.ask("GET", "/api/v1/charge-points/UP201").json["new_security_profile"] == 2,
        "the profile was not noted",
        5,
    )
    assert knock.secure("UP201", basic("UP201")).status == 101
    assert knock.plain("UP201", basic("UP201")).status == 403


def test_profiles_of_the_settings_and_the_store_hold_in_all_worker_processes(
    start_server: StartServer, files: str, servers: Authority
) -> None:
    credentials = "CP1 = 'a long password'\nCP2 = 'a long password'\n"
    server = start_server(
        "--workers", "2", "--store", "sqlite",
        config=f"{files}[auth]\nsecurity_profile = 1\n[auth.credentials]\n{credentials}",
    )  # fmt: skip
    knock = Knocking(servers, server)
    assert knock.plain("CP1").status == 401
    assert {knock.plain("CP1", basic("CP1")).status for _ in range(4)} == {101}
    pin(server, "CP1", 2)
    assert {knock.plain("CP1", basic("CP1")).status for _ in range(8)} == {403}
    assert {knock.secure("CP1", basic("CP1")).status for _ in range(4)} == {101}
    assert knock.plain("CP2", basic("CP2")).status == 101
    pin(server, "CP1", 1)
    assert {knock.plain("CP1", basic("CP1")).status for _ in range(8)} == {101}


# Strangers


def test_ten_thousand_wrong_handshakes_cost_a_live_session_no_frame(
    start_server: StartServer, files: str, servers: Authority
) -> None:
    server = start_server(
        config=f"{files}[sessions]\naddress_rate = 1e9\naddress_burst = 1000000000\n"
        "[auth.credentials]\nLIVE = 'a long password'\n"
    )
    context = Knocking(servers, server).context()
    assert server.wss is not None
    with RawSocket.open(server.wss + "LIVE", basic("LIVE"), trust=context, timeout_s=60.0) as raw:
        raw.boot()
        left, lock, statuses = [WRONG_ONES], threading.Lock(), []
        ways = [(), (basic("LIVE", "wrong"),), (basic("OTHER"),)]

        def strangers() -> None:
            while True:
                with lock:
                    if not left[0]:
                        return
                    left[0] -= 1
                    number = left[0]
                with RawSocket(server.ws + "LIVE", timeout_s=60.0) as other:
                    statuses.append(other.handshake(other.path, SUBPROTOCOL, *ways[number % 3]).status)

        threads = [threading.Thread(target=strangers) for _ in range(KNOCKERS)]
        for thread in threads:
            thread.start()
        frames = 0
        while any(thread.is_alive() for thread in threads):
            answer = raw.call("DataTransfer", {"vendorId": "acme", "data": str(frames)})
            assert answer[0] == 3, answer
            frames += 1
        for thread in threads:
            thread.join()
        assert raw.call("Heartbeat", {})[0] == 3
    assert len(statuses) == WRONG_ONES
    assert 401 in statuses
    assert set(statuses) <= {401, 429}  # of too many wrong ones the rest is not looked at
    assert frames > 100
    assert "Traceback" not in server.output
