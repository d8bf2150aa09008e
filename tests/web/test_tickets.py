"""Tickets over HTTP: their state, and their cancellation."""

import re
import threading

import falcon
import gevent
import pytest

from chargehand import Settings, TicketState, v16
from chargehand.actors.session.tickets import Ticket
from chargehand.protocol.versions import VERSIONS
from chargehand.web import commands

UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def path_of(ticket):
    return f"/api/v1/tickets/{ticket.id}"


def test_a_ticket_tells_all_of_its_call_and_a_late_answer_too(client, charge_point, wait_until):
    timed_out = threading.Event()

    def too_late(_action, _payload):
        timed_out.wait(60)
        return [3, {"status": "Accepted"}]

    charge_point("CP1", too_late)
    reply = client.simulate_post("/api/v1/charge-points/CP1/commands/ClearCache?timeout=0.05")
    assert reply.status == falcon.HTTP_504
    timed_out.set()
    path = f"/api/v1/tickets/{reply.json['ticket']}"
    ask = lambda: client.simulate_get(path).json  # noqa: E731
    facts = wait_until(lambda: ask()["late_answer"] and ask(), "the late answer is there")
    for name in ("created_at", "sent_at", "ended_at"):
        assert UTC.fullmatch(facts.pop(name))
    assert facts == {
        "ticket": reply.json["ticket"],
        "state": "timed_out",
        "open": False,
        "charge_point": "CP1",
        "action": "ClearCache",
        "request": {},
        "reason": "no answer within 0.05 s",
        "timeout_s": 0.05,
        "late_answer": {"status": "Accepted"},
    }


def test_an_unknown_ticket_is_404(client):
    assert client.simulate_get("/api/v1/tickets/none").status == falcon.HTTP_404


@pytest.fixture
def calls(system, charge_point, wait_until):
    """Make one command that is on the wire and never answered, and one that waits behind it."""
    cp = charge_point("CP1")
    first = system.send("CP1", v16.ClearCache(), timeout_s=60)
    second = system.send("CP1", v16.GetLocalListVersion(), timeout_s=60)
    wait_until(lambda: cp.calls, "the first has arrived")
    return first, second


def test_a_call_that_waits_is_cancelled_with_200(client, calls):
    reply = client.simulate_delete(path_of(calls[1]))
    assert reply.status == falcon.HTTP_200
    assert (reply.json["state"], reply.json["open"]) == ("cancelled", False)
    assert UTC.fullmatch(reply.json["ended_at"])
    assert reply.json["sent_at"] is None
    assert calls[1].state is TicketState.CANCELLED
    assert calls[0].state is TicketState.SENT


def test_a_call_that_waits_for_a_charge_point_to_come_is_cancelled_too(client, system):
    ticket = system.send("AWAY", v16.ClearCache(), when_offline="queue")
    assert client.simulate_delete(path_of(ticket)).status == falcon.HTTP_200
    assert ticket.state is TicketState.CANCELLED


def test_a_call_on_the_wire_is_409_and_stays_there(client, calls):
    reply = client.simulate_delete(path_of(calls[0]))
    assert reply.status == falcon.HTTP_409
    assert reply.json["state"] == "sent"
    assert "on the wire" in reply.json["description"]
    assert calls[0].open


def test_a_call_that_has_ended_is_409_and_one_that_was_cancelled_too(client, calls):
    assert client.simulate_delete(path_of(calls[1])).status == falcon.HTTP_200
    reply = client.simulate_delete(path_of(calls[1]))
    assert reply.status == falcon.HTTP_409
    assert "cancelled" in reply.json["description"]


def test_a_ticket_that_is_unknown_cannot_be_cancelled(client):
    assert client.simulate_delete("/api/v1/tickets/none").status == falcon.HTTP_404


class StubTickets:
    versions = VERSIONS
    cluster = worker = None

    """Has one ticket; `cancel` is what becomes of it when somebody cancels it."""
    settings = Settings()

    @property
    def store(self):
        return self

    def publish(self, _event):
        pass

    def __init__(self, cancel):
        options = {"timeout_s": 1.0, "created_at": 0.0, "cancel": cancel}
        self.only = Ticket("1-1", "CP1", "ClearCache", v16.ClearCache(), b"{}", **options)

    def ticket(self, _id):
        return self.only


def test_a_call_that_is_sent_at_this_very_moment_is_409(client_of):
    stub = StubTickets(lambda ticket: ticket.sent(1.0))
    reply = client_of(stub).simulate_delete("/api/v1/tickets/1-1")
    assert (reply.status, reply.json["state"]) == (falcon.HTTP_409, "sent")


def test_a_session_that_does_not_hear_of_it_in_time_makes_it_202(client_of, monkeypatch):
    monkeypatch.setattr(commands, "CANCEL_S", 0.02)
    asked = []
    reply = client_of(StubTickets(asked.append)).simulate_delete("/api/v1/tickets/1-1")
    assert (reply.status, reply.json["state"]) == (falcon.HTTP_202, "queued")
    assert len(asked) == 1


def test_whoever_waits_for_it_is_answered_when_the_endpoint_stops(client_of, stop, wait_until):
    asked = []
    waiting = gevent.spawn(client_of(StubTickets(asked.append)).simulate_delete, "/api/v1/tickets/1-1")
    wait_until(lambda: asked, "it was asked for")
    stop.begin()
    assert waiting.get(timeout=60).status == falcon.HTTP_503


# All of them


def test_tickets_are_listed_the_newest_first_and_narrowed(client, system, charge_point, wait_until):
    cp = charge_point("CP1")
    charge_point("CP2", lambda _action, _payload: [3, {"status": "Accepted"}])
    for id_, action in (("CP1", "ClearCache"), ("CP1", "GetLocalListVersion"), ("CP2", "ClearCache")):
        client.simulate_post(f"/api/v1/charge-points/{id_}/commands/{action}?wait=0")
    wait_until(lambda: len(system.open_tickets()) == 2 and cp.calls, "one is answered")

    def listed(query=""):
        return client.simulate_get(f"/api/v1/tickets{query}").json

    rows = listed()["tickets"]
    assert [(row["charge_point"], row["action"]) for row in rows] == [
        ("CP2", "ClearCache"),
        ("CP1", "GetLocalListVersion"),
        ("CP1", "ClearCache"),
    ]
    assert rows[0] == client.simulate_get(f"/api/v1/tickets/{rows[0]['ticket']}").json
    assert listed()["more"] is False
    assert [row["state"] for row in listed("?open=1")["tickets"]] == ["queued", "sent"]
    assert [row["action"] for row in listed("?charge_point=CP2")["tickets"]] == ["ClearCache"]
    some = listed("?limit=2")
    assert (some["tickets"], some["more"]) == (rows[:2], True)
    assert client.simulate_get("/api/v1/tickets?limit=0").status == falcon.HTTP_400
