"""Whole life of certificates over real TLS: asked for, signed, installed, shown, renewed, the old one revoked.

Both versions of OCPP, on both transports; and a certificate that outlives the server that has signed it.
"""

import json
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest
from cryptography import x509
from gevent.ssl import SSLContext

from chargehand.simulator import ChargePoint, Client, HandshakeRefused
from chargehand.simulator.client import client_context
from chargehand.simulator.message_log import Kind
from chargehand.simulator.signing_keys import load_certificate
from chargehand.simulator.v201 import Station

from ..certificates import make_certificate
from .conftest import ON_EACH_TRANSPORT, StartServer
from .process import kill
from .server import Finished, Server, chargehand

pytestmark = pytest.mark.slow

PASSPHRASE = "a long passphrase"
TIMEOUT_S = 60.0
VERSIONS = {"1.6": (ChargePoint, "ocpp1.6"), "2.0.1": (Station, "ocpp2.0.1")}


def beside(function: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    """Run a blocking function in another native thread: the charge points live in the hub of this one."""
    return gevent.get_hub().threadpool.apply(function, arguments, more)


def soon(condition: Callable[[], Any], what: str) -> Any:
    """Return what a condition gives once that is true."""
    with gevent.Timeout(TIMEOUT_S, AssertionError(f"{what}: not within {TIMEOUT_S:g} s")):
        while not (found := condition()):
            gevent.sleep(0.02)  # between two questions to another process
        return found


class Setting:
    """A server with TLS and an authority of its own, and the command line beside it."""

    def __init__(self, start: StartServer, folder: Path, authority: Path) -> None:
        self._start, self._folder = start, folder
        self.ca = shutil.copytree(authority, folder / "ca")
        self.trusted, key = make_certificate(folder, "server")
        self._config = (
            f"[ca]\nfolder = '{self.ca}'\npassphrase = '{PASSPHRASE}'\n"
            f"[tls]\ncertificate = '{self.trusted}'\nkey = '{key}'\nport = 0\nreload_s = 0.1\n"
            f"client_ca = '{self.ca}/client-ca.pem'\nclient_crl = '{self.ca}/crl.pem'\n"
        )
        self.start()

    def start(self) -> None:
        """Start the server, or another one with the same records."""
        data = self._folder / "data"
        self.server: Server = beside(self._start, "--store", "sqlite", config=self._config, data=data)

    def run(self, *command: str) -> Finished:
        """Run a command against the server; it must succeed."""
        done: Finished = beside(chargehand, *command, "--data", str(self.server.data))
        assert done.status == 0, done.output
        return done

    def states(self) -> list[str]:
        """List the states of the certificates of CP1, the oldest first."""
        listed = json.loads(self.run("ca", "list", "--charge-point", "CP1", "--json").output)
        return [row["state"] for row in reversed(listed["issued_certificates"])]

    def context(self, chain: str = "", key: str = "") -> SSLContext:
        """Make the context of a client, which shows a certificate if one is given."""
        context = client_context(str(self.trusted))
        if chain:
            load_certificate(context, chain, key)
        return context

    def greets(self, context: SSLContext, subprotocol: str, identity: str = "CP1") -> bool:
        """Return whether a charge point is let in with a context."""
        try:
            client = Client.connect(
                f"{self.server.wss}/{identity}", subprotocols=(subprotocol,), tls=context, timeout_s=60.0
            )
        except (ssl.SSLError, ConnectionError, HandshakeRefused):
            return False
        client.close()
        return True


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a new authority, which each test copies."""
    folder = tmp_path_factory.mktemp("authority") / "ca"
    made = chargehand(
        "ca", "init", "--folder", str(folder), environment={"CHARGEHAND_CA__PASSPHRASE": PASSPHRASE}
    )
    assert made.status == 0, made.output
    return folder


@pytest.fixture
def setting(start_server: StartServer, tmp_path: Path, authority: Path) -> Setting:
    return Setting(start_server, tmp_path, authority)


def certificates_of(charge_point: Any) -> Any:
    return charge_point.maintenance.certificates


def serial(charge_point: Any) -> str:
    own = certificates_of(charge_point).own
    return f"{x509.load_pem_x509_certificate(own.encode()).serial_number:x}"


@ON_EACH_TRANSPORT  # it serves the certificate; the rest is the same on both
@pytest.mark.parametrize("version", VERSIONS)
def test_a_certificate_is_asked_for_installed_shown_renewed_and_revoked(
    setting: Setting, version: str
) -> None:
    kind, subprotocol = VERSIONS[version]
    with kind(setting.server.wss, "CP1", cafile=str(setting.trusted)) as charge_point:
        assert '"Accepted"' in setting.run("do", "renew-certificate", "CP1", "--until-effect").output
        soon(lambda: setting.states() == ["installed"], "the certificate is installed")
        first = certificates_of(charge_point)
        old, old_key, old_serial = first.own, first.key, serial(charge_point)
        setting.run("charge-points", "set", "CP1", "--security-profile", "3")
        charge_point.close()
        assert not setting.greets(setting.context(), subprotocol)
        assert setting.greets(setting.context(old, old_key), subprotocol)
        charge_point.connect()  # with the certificate
        charge_point.boot()
        shown = beside(setting.server.ask, "GET", "/api/v1/charge-points/CP1").json
        assert shown["tls"]["certificate"]["serial_number"] == old_serial
        assert not shown["deviations"]
        setting.run("do", "renew-certificate", "CP1", "--until-effect")
        soon(lambda: setting.states() == ["replaced", "installed"], "the certificate is renewed")
        assert serial(charge_point) != old_serial

        setting.run("ca", "revoke", old_serial, "--reason", "superseded")
        charge_point.wait_offline(TIMEOUT_S)  # its connection had shown the old one
        assert setting.states() == ["revoked", "installed"]
        soon(
            lambda: not setting.greets(setting.context(old, old_key), subprotocol),
            "the revoked certificate is refused",
        )
        new = certificates_of(charge_point)
        assert setting.greets(setting.context(new.own, new.key), subprotocol)
        assert not setting.greets(setting.context(new.own, new.key), subprotocol, "CP2")
        assert setting.greets(setting.context(), subprotocol, "CP2")
        charge_point.close()
        charge_point.connect()
        charge_point.boot()
        shown = beside(setting.server.ask, "GET", "/api/v1/charge-points/CP1").json
        assert shown["tls"]["certificate"]["serial_number"] == serial(charge_point)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_root_is_installed_reported_and_deleted_over_a_restart(setting: Setting, version: str) -> None:
    kind, _ = VERSIONS[version]
    root = (setting.ca / "root.pem").read_text()

    def verb(name: str, **members: Any) -> Any:
        reply = beside(setting.server.ask, "POST", f"/api/v1/charge-points/CP1/verbs/{name}", members)
        assert reply.status == 200, reply.text
        return reply.json["response"]

    def known() -> list[tuple[str, bool]]:
        reply = beside(setting.server.ask, "GET", "/api/v1/installed-certificates?charge_point=CP1")
        return [(row["use"], row["certain"]) for row in reply.json["installed_certificates"]]

    charge_point = kind(setting.server.wss, "CP1", cafile=str(setting.trusted))
    with charge_point:
        assert verb("install_certificate", certificate=root) == {"status": "Accepted"}
        assert verb("install_certificate", certificate="no certificate")["status"] == "Rejected"
        assert known() == [("central_system", True)]
    beside(setting.server.stop)
    setting.start()
    assert known() == [("central_system", True)]
    charge_point.url = f"{setting.server.wss}/CP1"
    with charge_point:
        assert verb("get_installed_certificates", uses=["manufacturer"])["status"] == "NotFound"
        assert verb("get_installed_certificates", uses=["central_system"])["status"] == "Accepted"
        assert known() == [("central_system", True)]
        listed = setting.run("certificates", "list", "--json").output
        (row,) = json.loads(listed)["installed_certificates"]
        setting.run("certificates", "delete", "CP1", row["serial_number"])
        assert known() == []


def test_a_certificate_is_delivered_by_the_next_server_if_its_own_is_killed(setting: Setting) -> None:
    with ChargePoint(setting.server.wss, "CP1", cafile=str(setting.trusted)) as charge_point:
        answer = charge_point.answers["ClearCache"]
        charge_point.answers["ClearCache"] = lambda _: None  # the certificate has to wait behind this
        beside(setting.server.command, "CP1", "ClearCache", {}, timeout=60, wait=0)
        charge_point.record.wait_for_call("ClearCache", kind=Kind.RECEIVED)
        charge_point.maintenance._ask_for_certificate()
        soon(lambda: setting.states() == ["issued"], "the certificate is signed")
        kill(setting.server.process)
        charge_point.close()
        setting.start()
        charge_point.answers["ClearCache"] = answer
        charge_point.url = f"{setting.server.wss}/CP1"
        charge_point.connect()
        charge_point.boot()
        soon(lambda: setting.states() == ["installed"], "the certificate is installed")
        assert certificates_of(charge_point).own


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"passphrase": "'wrong'"}, "cannot be read with this passphrase"),
        ({"folder": "'/nowhere'"}, "/nowhere has no authority that can be read"),
    ],
)
def test_a_server_does_not_start_with_an_authority_that_it_cannot_use(
    tmp_path: Path, authority: Path, serving: tuple[str, ...], change: dict[str, str], text: str
) -> None:
    wanted = {"folder": f"'{authority}'", "passphrase": f"'{PASSPHRASE}'"} | change
    config = tmp_path / "chargehand.toml"
    config.write_text("[ca]\n" + "".join(f"{name} = {value}\n" for name, value in wanted.items()))
    done = chargehand(
        "serve", "--data", str(tmp_path / "data"), "--port", "0", "--config", str(config), *serving
    )
    assert done.status in (1, 2)
    assert text in done.output
    assert "Traceback" not in done.output
