"""Several systems that share their charge points: commands are forwarded, sockets move, no ticket is lost or wrong."""

import gevent
import pytest
from gevent.event import Event

from chargehand import (
    CentralSystem,
    CommandRefused,
    ErrorCode,
    InvalidResponse,
    NeverSent,
    OutcomeUnknown,
    TicketState,
    VerbRefused,
    v16,
    v201,
    verbs,
)
from chargehand.actors.runtime.timers import Timers
from chargehand.remote.cluster.claims import Claims
from chargehand.remote.cluster.coordinator import Claim
from chargehand.remote.cluster.messages import AskVersions, ForwardCommand, decode
from chargehand.simulator import HandshakeRefused, refusing, silent
from chargehand.simulator.v201 import Station
from chargehand.system import commands
from chargehand.testing import ManualClock, StubStore

from ...hub import settle, until
from ...in_process import SETTINGS, connect
from ..registry_harness import LeaseRegistry


class Nodes:
    """Systems by name, over one lease registry and one store."""

    def __init__(self):
        self.registry = LeaseRegistry()
        self.store = StubStore()
        self.systems = {}

    def start(self, name):
        board = self.registry.board(name)
        system = CentralSystem(SETTINGS, store=self.store, coordinator=board)
        system.start()
        self.systems[name] = system
        return system

    def board(self, name):
        return self.registry.boards[name]

    def stop(self):
        for system in self.systems.values():
            system.stop()


@pytest.fixture
def nodes():
    nodes = Nodes()
    try:
        yield nodes
    finally:
        nodes.stop()


@pytest.fixture
def a(nodes):
    return nodes.start("a")


@pytest.fixture
def b(nodes):
    return nodes.start("b")


# Calls


def test_a_call_finds_its_charge_point_at_another_node(a, b):
    with connect(b):
        ticket = a.send("CP1", v16.ClearCache(), timeout_s=5)
        assert ticket.result(timeout_s=60).status == "Accepted"
        assert a.ticket(ticket.id) is ticket
        assert ticket.sent_at is not None
        assert b.ticket(ticket.id).state is TicketState.ANSWERED
    assert len(a._parts.membership.cluster.forwarded) == len(b._parts.membership.cluster.hosted) == 0


def test_a_call_to_one_that_is_nowhere_is_never_sent(a, b):
    with pytest.raises(NeverSent, match="not connected to any node"):
        a.send("CP1", v16.ClearCache()).result(timeout_s=60)
    assert b.counters.counts.get("ticket_never_sent") is None


def test_a_refusal_comes_back_with_all_that_was_said(a, b):
    with connect(b) as charge_point:
        charge_point.answers["Reset"] = refusing(ErrorCode.SECURITY_ERROR, "not today")
        ticket = a.send("CP1", v16.Reset(type="Soft"), timeout_s=5)
        with pytest.raises(CommandRefused, match="not today"):
            ticket.result(timeout_s=60)
        assert ticket.code is ErrorCode.SECURITY_ERROR


def answer_as(charge_point, monkeypatch, answer):
    """Have a charge point answer its next command with a text."""
    conversation = charge_point._conversation
    monkeypatch.setattr(
        conversation, "answer", lambda call, _: conversation._answer(answer.format(call.unique_id).encode())
    )


def test_an_answer_with_deviations_comes_back_as_it_was_sent(a, b, monkeypatch):
    with connect(b) as charge_point:
        told = '{{"configurationKey":[{{"key":"K","readonly":"true","value":60}},{{"value":"1"}}]}}'
        answer_as(charge_point, monkeypatch, f'[3,"{{}}",{told}]')
        ticket = a.send("CP1", v16.GetConfiguration(), timeout_s=5)
        assert ticket.result(timeout_s=60).configuration_key == (
            v16.KeyValue(key="K", readonly=True, value="60"),
        )
        assert ticket.answer == told.replace("{{", "{").replace("}}", "}").encode()
        assert "configurationKey[1].key" in {deviation.path for deviation in ticket.deviations}


def test_an_answer_that_cannot_be_read_comes_back_as_such(a, b, monkeypatch):
    with connect(b) as charge_point:
        answer_as(charge_point, monkeypatch, '[3,"{}",')
        ticket = a.send("CP1", v16.ClearCache(), timeout_s=50)
        with pytest.raises(InvalidResponse, match="not readable JSON"):
            ticket.result(timeout_s=60)
        assert ticket.unreadable
        assert ticket.details["answer"].startswith("[3,")


def test_an_effect_is_waited_for_across_nodes(a, b):
    with connect(b) as charge_point:
        charge_point.plug_in()
        ticket = a.send("CP1", v16.RemoteStartTransaction(id_tag="T1", connector_id=1), until_effect=True)
        assert ticket.wait(60)
        assert ticket.effect == "done"
    assert len(b._parts.membership.cluster.hosted) == 0


def test_a_call_waits_for_a_charge_point_wherever_it_comes(a, b):
    ticket = a.send("CP1", v16.ClearCache(), when_offline="queue")
    until(lambda: ticket.persisted is not None)
    assert ticket.state is TicketState.QUEUED
    with connect(b):
        assert ticket.result(timeout_s=60).status == "Accepted"
    until(lambda: len(a.store.collections.tickets) == 0)


def test_a_call_that_waits_can_be_cancelled_and_expires(a, b):
    cancelled = a.send("CP1", v16.ClearCache(), when_offline="queue")
    expires = a.send("CP1", v16.ClearCache(), when_offline="queue", expires_in_s=0.2)
    until(lambda: len(a._parts.membership.cluster.forwarded._waiting) == 2)
    cancelled.cancel()
    assert cancelled.state is TicketState.CANCELLED
    until(lambda: expires.state is TicketState.EXPIRED)
    with connect(b) as charge_point:
        assert not any(entry.action == "ClearCache" for entry in charge_point.record)


def test_one_that_is_queued_behind_another_at_its_node_can_be_cancelled_from_afar(a, b):
    with connect(b) as charge_point:
        charge_point.answers["GetLocalListVersion"] = silent
        b.send("CP1", v16.GetLocalListVersion())
        ticket = a.send("CP1", v16.ClearCache())
        until(lambda: b.ticket(ticket.id))
        ticket.cancel()
        until(lambda: ticket.state is TicketState.CANCELLED)


# Versions of OCPP


def old(system, monkeypatch):
    """Make a node one that knows the oldest version of OCPP only, and none of the messages about versions."""
    cluster = system._parts.membership.cluster
    heard, receive = [], cluster.received

    def received(sender, message):
        told = decode(message)
        heard.append(type(told))
        if type(told) is not AskVersions:
            receive(sender, message)

    monkeypatch.setattr(cluster, "received", received)
    return heard


def test_a_command_of_a_later_version_goes_to_a_node_that_speaks_it(a, b):
    with Station(f"ws://127.0.0.1:{b.port}/ocpp", "CP1") as station:
        for _ in range(2):
            ticket = a.send("CP1", v201.ClearCache(), timeout_s=5)
            assert ticket.result(timeout_s=60).status == "Accepted"
        assert station.online


def test_a_verb_from_afar_is_the_message_of_its_station_with_its_own_names(a, b, monkeypatch):
    with Station(f"ws://127.0.0.1:{b.port}/ocpp", "CP1") as station:
        ticket = a.start_charging("CP1", "T1", evse=1, until_effect=True)
        assert ticket.wait(60)
        assert (ticket.action, ticket.version, ticket.effect) == ("RequestStartTransaction", "2.0.1", "done")
        (known,) = until(lambda: b.store.open_transactions("CP1"), "the store has its start")
        monkeypatch.setattr(
            commands, "named", lambda verb, _: verb
        )  # this node does not know that it is open
        far = verbs.StopCharging(transaction_id=known.id)
        ticket = a.send("CP1", far, until_effect=True)
        assert ticket.wait(60)
        assert (ticket.request, ticket.effect) == (
            v201.RequestStopTransaction(transaction_id=known.remote_id), "done"
        )  # fmt: skip
        ticket = a.get_configuration("CP1", ["OCPPCommCtrlr.HeartbeatInterval"])
        assert ticket.result(timeout_s=60).get_variable_result[0].attribute_status == "Accepted"
        assert station.online


def test_a_verb_that_only_a_later_version_has_a_message_for_is_sent_from_afar(a, b):
    with Station(f"ws://127.0.0.1:{b.port}/ocpp", "CP1") as station:
        ticket = a.reset("CP1", evse=1)
        assert ticket.result(timeout_s=60).status == "Accepted"
        assert station.online
    with connect(b, "CP2"):
        with pytest.raises(VerbRefused):
            b.reset("CP2", evse=1)
        with pytest.raises(NeverSent):
            a.reset("CP2", evse=1).result(timeout_s=60)


def test_an_old_node_is_never_handed_a_command_of_a_later_version(a, b, monkeypatch, caplog):
    heard = old(b, monkeypatch)
    with connect(b):
        ticket = a.send("CP1", v201.GetTransactionStatus(), timeout_s=5)
        with pytest.raises(NeverSent, match=r"at node b, which does not speak OCPP 2\.0\.1"):
            ticket.result(timeout_s=60)
        waits = a.send("CP1", v201.ClearCache(), when_offline="queue")
        until(lambda: waits.persisted is not None)
        assert waits.state is TicketState.QUEUED
        assert a.send("CP1", v16.ClearCache()).result(timeout_s=60).status == "Accepted"
    assert heard.count(AskVersions) == 1
    assert heard.count(ForwardCommand) == 1  # that of 1.6
    assert "at node b, which does not speak OCPP 2.0.1" in caplog.text
    with Station(f"ws://127.0.0.1:{a.port}/ocpp", "CP1"):
        assert waits.result(timeout_s=60).status == "Accepted"


# Charge points that move


def test_a_charge_point_that_connects_elsewhere_leaves_its_old_node(a, b):
    with connect(a) as old, connect(b) as new:
        old.wait_offline()
        assert new.online
        until(lambda: not a.charge_point("CP1").online)
        assert b.charge_point("CP1").online
        assert a.send("CP1", v16.ClearCache(), timeout_s=60).result(timeout_s=60).status == "Accepted"
        assert a.counters.counts["fenced"] == 1


def test_queued_commands_move_to_the_new_node_and_the_sent_one_ends_unknown(a, b):
    with connect(a) as old:
        old.answers["GetLocalListVersion"] = silent
        on_wire = a.send("CP1", v16.GetLocalListVersion())
        until(lambda: on_wire.state is TicketState.SENT)
        waiting = a.send("CP1", v16.ClearCache(), when_offline="queue")
        with connect(b) as new:
            with pytest.raises(OutcomeUnknown):
                on_wire.result(timeout_s=60)
            assert waiting.result(timeout_s=60).status == "Accepted"
            assert sum(entry.action == "ClearCache" for entry in new.record) == 1
        assert not any(entry.action == "ClearCache" for entry in old.record)


def test_it_is_registered_at_the_new_node_as_it_was_at_the_old_one(a, b):
    with connect(a):
        assert a.charge_point("CP1").registration == "Accepted"
    b.store.register("CP1", "Rejected")  # as node b would have
    again = connect(a)
    again.connect()
    assert a.charge_point("CP1").registration == "Rejected"
    again.close()


# Nodes that end


def test_a_dead_nodes_sent_command_ends_unknown_and_its_queued_ones_go_on(nodes, a, b):
    c = nodes.start("c")
    charge_point = connect(b)
    charge_point.connect()
    charge_point.boot()
    charge_point.answers["GetLocalListVersion"] = silent
    on_wire = a.send("CP1", v16.GetLocalListVersion(), timeout_s=60)
    until(lambda: on_wire.state is TicketState.SENT)
    queued = a.send("CP1", v16.ClearCache(), when_offline="queue", timeout_s=60)
    until(lambda: b.ticket(queued.id))
    nodes.board("b").away = True  # as if it were killed: nothing more is heard of it
    nodes.registry.die("b")
    with connect(c):
        assert queued.result(timeout_s=60).status == "Accepted"
    until(lambda: on_wire.state is TicketState.OUTCOME_UNKNOWN)
    assert "it was on the wire" in on_wire.reason
    charge_point.close()


def test_commands_persisted_by_a_dead_node_are_sent_by_the_charge_points_next_node(nodes, a, b):
    ticket = b.send("CP1", v16.ClearCache(), when_offline="queue")
    until(lambda: ticket.persisted is not None)
    nodes.board("b").away = True
    nodes.registry.die("b")
    with connect(a):
        adopted = until(lambda: a.ticket(ticket.id))
        assert adopted.result(timeout_s=60).status == "Accepted"
    assert ticket.open


def test_a_node_that_stops_gives_back_what_waits(a, b):
    with connect(b) as charge_point:
        charge_point.answers["GetLocalListVersion"] = silent
        b.send("CP1", v16.GetLocalListVersion())
        ticket = a.send("CP1", v16.ClearCache(), when_offline="queue")
        until(lambda: b.ticket(ticket.id))
        b.stop()
    assert ticket.open
    with connect(a):
        assert ticket.result(timeout_s=60).status == "Accepted"


# The coordinator away


def test_a_node_without_its_lease_serves_its_charge_points_and_sends_no_command(nodes, a, b):
    with connect(a) as charge_point:
        nodes.board("a").cut()
        assert charge_point.send(v16.Heartbeat()).current_time
        ticket = a.send("CP1", v16.ClearCache(), timeout_s=5)
        settle()
        assert ticket.state is TicketState.QUEUED
        assert isinstance(b.send("CP1", v16.ClearCache()).state, TicketState)
        nodes.board("a").heal()
        assert ticket.result(timeout_s=60).status == "Accepted"


def test_what_became_of_a_call_is_told_when_the_coordinator_is_back(nodes, a, b):
    with connect(b) as charge_point:
        let_go = Event()
        charge_point.answers["ClearCache"] = lambda _: let_go.wait() and {"status": "Accepted"}
        ticket = a.send("CP1", v16.ClearCache(), timeout_s=30)
        until(lambda: ticket.state is TicketState.SENT)
        nodes.board("b").cut()
        let_go.set()
        until(lambda: b.ticket(ticket.id).state is TicketState.ANSWERED)
        assert ticket.state is TicketState.SENT
        nodes.board("b").heal()
        assert ticket.result(timeout_s=60).status == "Accepted"


def test_one_that_connects_meanwhile_is_served_and_claimed_afterwards(nodes, a, b):
    nodes.board("a").cut()
    with connect(a) as charge_point:
        assert charge_point.send(v16.Heartbeat()).current_time
        nodes.board("a").heal()
        until(lambda: b._parts.membership.cluster.find("CP1") == "a")
        assert b.send("CP1", v16.ClearCache(), timeout_s=60).result(timeout_s=60).status == "Accepted"


def test_one_that_has_moved_meanwhile_is_let_go_of_when_the_coordinator_is_back(nodes, a, b):
    with connect(a) as old:
        nodes.board("a").cut()
        with connect(b) as new:
            assert old.online
            nodes.board("a").heal()
            old.wait_offline()
            assert new.online


def test_no_command_is_sent_before_the_node_before_has_let_go(nodes, a, b):
    with connect(a) as old:
        nodes.board("a").away = True  # its lease holds still, and it does not hear of the fence
        with connect(b):
            ticket = b.send("CP1", v16.ClearCache(), timeout_s=5)
            gevent.sleep(0.1)
            assert ticket.state is TicketState.QUEUED
            assert a._parts.membership.cluster.claims.may_send("CP1")
            nodes.board("a").heal()
            old.wait_offline()
            assert not a._parts.membership.cluster.claims.may_send("CP1")


# Keys


def test_a_key_that_was_sent_by_another_node_is_written_once(a, b, nodes, monkeypatch):
    for system in (a, b):
        system.credentials.set_password("CP1", b"an old key of 20 byt")
    written = []
    for system in (a, b):
        monkeypatch.setattr(
            system.credentials,
            "key_sent",
            lambda id_, value, *, certain, name=system: written.append((name, id_, value, certain)),
        )
    with connect(b, password="an old key of 20 byt"):
        request = v16.ChangeConfiguration(key="AuthorizationKey", value=KEY)
        ticket = a.send("CP1", request, timeout_s=5)
        assert ticket.result(timeout_s=60).status == "Accepted"
        until(lambda: written)
    # What is told after it has been heard of too.
    a.send("CP2", v16.ClearCache()).wait(60)
    assert written == [(b, "CP1", KEY, True)]


KEY = "00112233445566778899aabbccddeeff00112233"


def test_the_sender_keeps_a_key_beside_the_old_one_when_its_node_dies(a, b, nodes):
    a.credentials.set_password("CP1", b"an old key of 20 byt")
    with connect(b, password="an old key of 20 byt") as charge_point:
        charge_point.answers["ChangeConfiguration"] = silent
        ticket = a.send("CP1", v16.ChangeConfiguration(key="AuthorizationKey", value=KEY), timeout_s=60)
        until(lambda: ticket.state is TicketState.SENT)
        nodes.board("b").away = True
        nodes.registry.die("b")
        until(lambda: ticket.state is TicketState.OUTCOME_UNKNOWN)
    until(lambda: a.credentials.unused_since("CP1") is not None)
    assert a.credentials.check("CP1", b"an old key of 20 byt")


def test_one_whose_records_could_not_be_read_is_not_served_before_they_are(a, nodes):
    nodes.store.fail()
    for _ in range(2):
        with pytest.raises(HandshakeRefused, match="503"):
            connect(a).connect()
    nodes.store.work()
    with connect(a):
        pass


def test_one_that_was_elsewhere_while_it_was_claimed_has_its_records_read():
    class Moving:
        """Coordinator whose fence comes with the answer to the next claim."""

        node, held, epoch = "a", True, 0

        def claim(self, charge_point_id):
            self.epoch += 2
            claims.fenced(charge_point_id, self.epoch - 1)
            return Claim(self.epoch, "", 0.0)

    lost = []
    timers = Timers(ManualClock())
    claims = Claims(Moving(), timers, tell=None, wake=lost.append, lose=lost.append, learn=lost.append)
    first = claims.claim("CP1")
    claims.have_read("CP1", first)
    assert claims.claim("CP1") != first
    assert lost == ["CP1"]
