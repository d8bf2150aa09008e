"""Work of an operator from the command line against the real server: the commands as the README has them."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import StartServer
from .process import kill, until
from .rawsocket import RawSocket
from .server import Finished, Server, chargehand

FAULTY = """
import pathlib
from chargehand import Plugin, passive, v16
from chargehand.protocol.session import Session

MENDED = pathlib.Path(__file__).with_name("mended")
receive = Session.receive

def faulty(self, data, now):
    if b'"crash"' in data:
        raise RuntimeError("planted")
    return receive(self, data, now)

Session.receive = faulty

class Tags(Plugin):
    @passive(v16.Authorize)
    @passive(v16.StartTransaction)
    def answer(self, call):
        if not MENDED.exists():
            raise RuntimeError("planted")
        if call.action == "Authorize":
            return {"idTagInfo": {"status": "Accepted"}}
        return {"transactionId": call.transaction_id, "idTagInfo": {"status": "Accepted"}}
"""
CONFIG = """
[supervision]
intensity = 0
failing_charge_points = 2
quarantine_s = 0
redelivery_delay_s = 0.01
redelivery_delay_max_s = 0.05
"""
START = {"connectorId": 1, "idTag": "T1", "meterStart": 0, "timestamp": "2026-05-04T12:34:56Z"}


class KeptSimulation:
    """Running `chargehand simulate … --keep`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._output = folder / "simulated"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "chargehand", "simulate", *options, "--keep"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """Output of the process so far."""
        return self._output.read_text()

    def wait_for(self, text: str) -> None:
        """Wait until the process has printed a text."""
        until(lambda: text in self.output or self.process.poll() is not None, text)
        assert text in self.output, self.output


@pytest.fixture
def keep(tmp_path: Path) -> Iterator[Callable[..., KeptSimulation]]:
    """Start simulated charge points that stay."""
    started: list[KeptSimulation] = []

    def start(*options: str) -> KeptSimulation:
        started.append(KeptSimulation(tmp_path, *options))
        return started[-1]

    yield start
    for one in started:
        kill(one.process)


def run(server: Server, *command: str) -> Finished:
    """Run a command against that server, found by its data folder."""
    return chargehand(*command, "--data", str(server.data))


def test_a_simulated_charge_point_stays_and_does_what_it_is_told(
    start_server: StartServer, keep: Callable[..., KeptSimulation], tmp_path: Path
) -> None:
    server = start_server("--transport", "reactor")
    kept = keep("CP1", "--data", str(server.data), "--duration", "0")
    kept.wait_for("StopTransaction")

    done = run(server, "send", "CP1", "GetConfiguration")
    assert done.status == 0, done.output
    keys = json.loads(done.output)["configurationKey"]
    assert {"key": "MeterValueSampleInterval", "readonly": False, "value": "2"} in keys
    done = run(server, "send", "CP1", "Reset", '{"type": "Soft"}', "--until-effect")
    assert (done.status, json.loads(done.output)) == (0, {"status": "Accepted"})
    until(lambda: kept.output.count("BootNotification") == 2, "it has not said that it booted again")

    assert [row["id"] for row in json.loads(run(server, "charge-points", "--json").output)] == ["CP1"]
    assert "CP1" in run(server, "charge-points").output
    assert "1 connected" in run(server, "tree").output

    record = tmp_path / "cp1.jsonl"
    record.write_text(run(server, "recording", "CP1").output)
    done = chargehand("replay", str(record))
    assert (done.status, done.output) == (0, "")
    unanswered = {"at": 1e9, "kind": "in", "data": '[2,"odd","NoSuchAction",{}]'}
    record.write_text(f"{record.read_text()}{json.dumps(unanswered)}\n")
    done = chargehand("replay", str(record))
    assert done.status == 1
    assert "NotImplemented" in done.output

    kept.process.send_signal(signal.SIGINT)
    assert kept.process.wait(60) == 0, kept.output
    assert kept.output.splitlines()[-1].startswith("closed")
    assert server.ask("GET", "/api/v1/transactions?open=1").json["transactions"] == []
    assert run(server, "charge-points").output == "no charge point is as asked for\n"


def test_a_plugin_in_quarantine_is_listed_released_and_gets_what_waited(
    start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "faulty.py").write_text(FAULTY)
    server = start_server("--plugin", "faulty:Tags", config=CONFIG, python_path=tmp_path)
    assert run(server, "quarantine", "list").output == "no plugin is in quarantine\n"
    with RawSocket.open(server.ws + "CP1").boot() as one, RawSocket.open(server.ws + "CP2").boot() as two:
        for raw in (one, two):
            assert raw.call("Authorize", {"idTag": "T1"})[0] == 4
        until(lambda: server.ask("GET", "/healthz").json["status"] == "degraded", "it is in quarantine")
        assert raw.call("StartTransaction", START)[0] == 3
        (message,) = server.ask("GET", "/api/v1/spool").json["waiting"]
        assert (message["charge_point"], message["payload"]) == ("CP2", START)

        (row,) = json.loads(run(server, "quarantine", "list", "--json").output)
        assert (row["name"], row["spool"]) == ("Tags", 1)
        assert "planted" in run(server, "quarantine", "list").output
        assert "quarantined" in run(server, "tree").output

        (tmp_path / "mended").touch()
        done = run(server, "quarantine", "release", "Tags")
        assert (done.status, done.output) == (0, "Tags was released and is running\n")
        until(lambda: not server.ask("GET", "/api/v1/spool").json["waiting"], "the message was replayed")
        assert one.call("Authorize", {"idTag": "T1"})[2] == {"idTagInfo": {"status": "Accepted"}}
        assert run(server, "quarantine", "release", "Tags").status == 1


def test_a_session_that_crashed_is_seen_in_the_tree_and_its_report_is_kept(
    start_server: StartServer, tmp_path: Path
) -> None:
    (tmp_path / "faulty.py").write_text(FAULTY)
    server = start_server("--plugin", "faulty:Tags", python_path=tmp_path)
    with RawSocket.open(server.ws + "CP1").boot() as raw:
        assert raw.call("DataTransfer", {"vendorId": "crash"})[0] == 4
        assert raw.call("Heartbeat", {})[0] == 3
        tree = run(server, "tree").output
        assert "CP1  running  restarts: 1  last crash: RuntimeError('planted')" in tree
        (report,) = server.ask("GET", "/api/v1/crashes?rows=1").json["crashes"]
        assert report["charge_point"] == "CP1"
        assert any('"crash"' in row["data"] for row in report["rows"])
        reply = server.ask("GET", "/api/v1/charge-points/CP1/recording")
        assert reply.headers["content-type"] == "application/x-ndjson"
        assert any("Heartbeat" in line for line in reply.text.splitlines())


def test_a_command_that_waits_is_cancelled_over_http(server: Server) -> None:
    with RawSocket.open(server.ws + "CANCELS").boot() as raw:
        assert server.command("CANCELS", "ClearCache", {}, wait=0).status == 202
        call = json.loads(raw.text())
        waiting = server.command("CANCELS", "GetLocalListVersion", {}, wait=0).json["ticket"]
        reply = server.ask("DELETE", f"/api/v1/tickets/{waiting}")
        assert (reply.status, reply.json["state"]) == (200, "cancelled")
        raw.send(json.dumps([3, call[1], {"status": "Accepted"}]))
        assert raw.call("Heartbeat", {})[0] == 3  # and nothing came before that
