"""`CentralSystem` inside a host program, patched by gevent and not: the same session, and an unchanged host."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from .client import METER_VALUES
from .conftest import StartClient
from .process import StepProcess

PATCH = """
from gevent import monkey
monkey.patch_all()
"""

# What an embedder writes. It stops the session itself, from a native thread, once all meter values are there.
HOST = f"""
import json
import signal
import sys

import gevent
from gevent import monkey
from gevent.event import Event

from chargehand import Call, CentralSystem, ChargePointOffline, Plugin, Settings, passive, v16

seen = []
full, gone = Event(), Event()


def say(step, **more):
    sys.stdout.write(json.dumps({{"step": step, **more}}) + "\\n")
    sys.stdout.flush()


class Tags(Plugin):
    def __init__(self, known: frozenset[str]) -> None:
        self.known = known

    @passive(v16.Authorize)
    def authorize(self, call: Call[v16.Authorize]) -> v16.AuthorizeResponse:
        status = "Accepted" if call.request.id_tag in self.known else "Invalid"
        return v16.AuthorizeResponse(id_tag_info=v16.IdTagInfo(status=status))


class Meter(Plugin):
    @passive(v16.MeterValues)
    def meter(self, call):
        seen.append(call.request.transaction_id)
        if len(seen) == {METER_VALUES}:
            full.set()
        return {{}}


handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
specs = [Tags.spec(known=frozenset({{"TAG1"}})), Meter.spec()]
with CentralSystem(Settings(port=0), plugins=specs) as system:
    system.subscribe(ChargePointOffline, lambda _: gone.set())
    say("serving", port=system.port, patched=monkey.is_module_patched("socket"))
    full.wait()
    request = v16.RemoteStopTransaction(transaction_id=seen[0])
    ticket = gevent.get_hub().threadpool.apply(lambda: system.send("CP1", request, timeout_s=10))
    say("stopped", status=ticket.result().status)
    gone.wait()
    say("gone", online=system.charge_point("CP1").online)
assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers
say("end")
"""


@pytest.fixture
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StepProcess]:
    """Running host program."""
    program = tmp_path / "host.py"
    program.write_text(request.param + HOST)
    steps = StepProcess(str(program))
    try:
        yield steps
    finally:
        steps.close()


@pytest.mark.parametrize("host", [PATCH, ""], ids=["patched", "unpatched"], indirect=True)
def test_a_host_serves_a_whole_session(
    host: StepProcess, start_client: StartClient, request: pytest.FixtureRequest
) -> None:
    serving = host.wait_for("serving")
    assert serving["patched"] is ("unpatched" not in request.node.callspec.id)
    client = start_client(f"ws://127.0.0.1:{serving['port']}/ocpp/CP1", "session")
    assert client.wait_for("authorize")["status"] == "Accepted"
    assert host.wait_for("stopped")["status"] == "Accepted"
    client.wait_for("done")
    assert client.exit_status() == 0
    assert host.wait_for("gone")["online"] is False
    host.wait_for("end")
    assert host.exit_status() == 0, host.printed


@pytest.mark.parametrize("host", [PATCH, ""], ids=["patched", "unpatched"], indirect=True)
def test_a_tag_that_the_hosts_plugin_does_not_know_is_refused(
    host: StepProcess, start_client: StartClient
) -> None:
    port = host.wait_for("serving")["port"]
    client = start_client(f"ws://127.0.0.1:{port}/ocpp/CP1", "session", "--tag", "STRANGER")
    assert client.wait_for("authorize")["status"] == "Invalid"
    assert "refused" in client.wait_for("failed")["error"]
