"""Commands from a process that holds no charge point."""

import threading

import pytest

from chargehand import (
    CentralSystem,
    NeverSent,
    OutcomeUnknown,
    TicketState,
    v16,
)
from chargehand.remote.cluster.client import Client
from chargehand.remote.cluster.coordinator import CLIENT
from chargehand.simulator import ChargePoint, silent
from chargehand.testing import StubStore

from ...hub import until
from ...in_process import SETTINGS
from ..registry_harness import LeaseRegistry


@pytest.fixture
def registry():
    return LeaseRegistry()


@pytest.fixture
def node(registry):
    with CentralSystem(SETTINGS, store=StubStore(), coordinator=registry.board("a")) as system:
        yield system


@pytest.fixture
def client(registry, node):
    with Client("redis://", coordinator=registry.board(f"{CLIENT}1")) as client:
        yield client


@pytest.fixture
def charge_point(node):
    with ChargePoint(f"ws://127.0.0.1:{node.port}/ocpp/", "CP1") as charge_point:
        yield charge_point


def test_a_call_is_answered(client, charge_point):
    assert charge_point.online
    assert client.send("CP1", v16.ClearCache()).result(timeout_s=60).status == "Accepted"
    assert client._tickets == {}


def test_one_that_nobody_holds_is_never_sent(client):
    with pytest.raises(NeverSent):
        client.send("CP9", v16.ClearCache()).result(timeout_s=60)


def test_any_native_thread_may_call_and_wait(client, charge_point):
    answers = []

    def work():
        answers.append(client.send("CP1", v16.ClearCache()).result(timeout_s=60).status)

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: answers)
    thread.join()
    assert answers == ["Accepted"]
    assert charge_point.online


def test_what_a_central_system_does_not_send_is_refused(client):
    with pytest.raises(ValueError, match="sent by charge points"):
        client.send("CP1", v16.Heartbeat())


def test_at_its_stop_every_ticket_has_its_end(client, charge_point):
    charge_point.answers["ClearCache"] = silent
    sent = client.send("CP1", v16.ClearCache())
    until(lambda: sent.state is TicketState.SENT)
    waiting = client.send("CP9", v16.ClearCache(), when_offline="queue")
    client.stop()
    with pytest.raises(OutcomeUnknown):
        sent.result()
    assert waiting.state is TicketState.NEVER_SENT
    with pytest.raises(RuntimeError, match="not started"):
        client.send("CP1", v16.ClearCache())


def test_a_client_is_no_node_that_is_asked_for_its_part(client, node):
    assert client is not None
    assert node.cluster.others() == []
