"""Commands: the HTTP status for each final state of a ticket, and refusals before there is a ticket."""

import json

import falcon
import gevent
import pytest

from chargehand import Settings, TicketState, v16
from chargehand.actors.session.commands import prepare
from chargehand.actors.session.tickets import Ticket
from chargehand.protocol.versions import VERSIONS
from chargehand.web import commands, requests


def path(action, charge_point="CP1", **query):
    text = "&".join(f"{key}={value}" for key, value in query.items())
    return f"/api/v1/charge-points/{charge_point}/commands/{action}?{text}"


def accept(_action, _payload):
    return [3, {"status": "Accepted"}]


# With a real charge point


def test_an_answered_command_is_200_with_its_response(client, charge_point):
    cp = charge_point("CP1", accept)
    reply = client.simulate_post(path("Reset"), body='{"type": "Soft"}')
    assert reply.status == falcon.HTTP_200
    assert reply.json == {
        "ticket": reply.json["ticket"],
        "state": "answered",
        "response": {"status": "Accepted"},
    }
    assert cp.calls == [("Reset", {"type": "Soft"})]


def test_a_refused_command_is_409_with_the_callerror(client, charge_point):
    charge_point("CP1", lambda *_: [4, "OccurenceConstraintViolation", "too few", {"why": 1.5}])
    reply = client.simulate_post(path("ClearCache"))
    assert reply.status == falcon.HTTP_409
    assert reply.json["state"] == "refused"
    assert reply.json["error"] == {
        "code": "OccurenceConstraintViolation",
        "description": "too few",
        "details": {"why": 1.5},
    }
    assert reply.json["title"]


def test_a_command_that_nobody_waits_for_is_202_and_leads_to_its_ticket(client, charge_point):
    charge_point("CP1")
    reply = client.simulate_post(path("ClearCache", wait=0))
    assert reply.status == falcon.HTTP_202
    assert reply.json["state"] in {"queued", "sent"}
    assert client.simulate_get(reply.headers["Location"]).json["ticket"] == reply.json["ticket"]


def test_the_time_limit_is_the_calls_own_and_504_when_it_is_over(client, charge_point):
    charge_point("CP1")
    reply = client.simulate_post(path("ClearCache", timeout=0.05))
    assert reply.status == falcon.HTTP_504
    assert reply.json["state"] == "timed_out"
    assert client.simulate_get(f"/api/v1/tickets/{reply.json['ticket']}").json["timeout_s"] == 0.05


def test_a_command_whose_turn_does_not_come_in_time_is_410(client, charge_point):
    charge_point("CP1")
    assert client.simulate_post(path("ClearCache", wait=0)).status == falcon.HTTP_202
    reply = client.simulate_post(path("GetLocalListVersion", timeout=0.05))
    assert reply.status == falcon.HTTP_410
    assert reply.json["state"] == "expired"


def test_a_command_still_open_after_the_wait_is_202(client, charge_point, monkeypatch):
    monkeypatch.setattr(commands, "GRACE_S", -9.9)
    charge_point("CP1")
    reply = client.simulate_post(path("ClearCache", timeout=10))
    assert reply.status == falcon.HTTP_202
    assert reply.json["state"] == "sent"


def test_a_response_that_breaks_the_contract_is_502(client, charge_point):
    charge_point("CP1", lambda *_: [3, {"colour": "red"}])
    reply = client.simulate_post(path("ClearCache"))
    assert reply.status == falcon.HTTP_502
    assert reply.json["state"] == "refused"
    assert json.loads(reply.json["error"]["details"]["answer"]) == {"colour": "red"}
    assert "response" not in reply.json
    assert "contract" in reply.json["title"]


def test_a_command_whose_connection_dies_after_the_write_is_502(client, charge_point, wait_until):
    cp = charge_point("CP1")
    waiting = gevent.spawn(client.simulate_post, path("ClearCache"))
    wait_until(lambda: cp.calls, "the call has arrived")
    cp.hang_up()
    reply = waiting.get(timeout=60)
    assert reply.status == falcon.HTTP_502
    assert reply.json["state"] == "outcome_unknown"


def test_a_charge_point_that_is_unknown_or_has_left_is_404(client, charge_point, system, wait_until):
    reply = client.simulate_post(path("ClearCache"))
    assert (reply.status, reply.json["state"]) == (falcon.HTTP_404, "never_sent")
    assert reply.json["title"] == "Unknown charge point"

    charge_point("CP1").hang_up()
    wait_until(lambda: not system.charge_point("CP1").online, "it has left")
    reply = client.simulate_post(path("ClearCache"))
    assert (reply.status, reply.json["title"]) == (falcon.HTTP_404, "Not connected")


def test_the_ids_of_the_path_are_decoded_one_by_one(client, charge_point):
    charge_point("a/b |ü%41", accept)
    reply = client.simulate_post(path("ClearCache", "a%2Fb%20%7C%C3%BC%2541"))
    assert reply.status == falcon.HTTP_200


# Until the effect


def test_a_command_is_200_with_its_effect_once_that_has_shown_itself(client, charge_point, wait_until):
    cp = charge_point("CP1", accept)
    waiting = gevent.spawn(client.simulate_post, path("Reset", until_effect=1), body='{"type": "Soft"}')
    wait_until(lambda: cp.calls, "the call has arrived")
    ask = lambda: client.simulate_get("/api/v1/charge-points/CP1").json["open_tickets"]  # noqa: E731
    wait_until(lambda: not ask(), "it is answered")
    assert not waiting.ready()  # for it is not booted
    cp.send(2, "1", "BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "Wallbox"})
    reply = waiting.get(timeout=60)
    assert reply.status == falcon.HTTP_200
    assert reply.json == {
        "ticket": reply.json["ticket"],
        "state": "answered",
        "response": {"status": "Accepted"},
        "effect": "done",
    }


def test_an_effect_that_does_not_show_itself_in_time_is_no_effect(client, charge_point):
    charge_point("CP1", accept)
    query = {"until_effect": 1, "effect_timeout": 0.05}
    reply = client.simulate_post(path("Reset", **query), body='{"type": "Soft"}')
    assert (reply.status, reply.json["effect"]) == (falcon.HTTP_200, "no_effect")


def test_an_effect_that_was_not_promised_is_declined(client, charge_point):
    charge_point("CP1", lambda *_: [3, {"status": "Rejected"}])
    reply = client.simulate_post(path("Reset", until_effect=1), body='{"type": "Soft"}')
    assert (reply.status, reply.json["effect"]) == (falcon.HTTP_200, "declined")
    assert reply.json["response"] == {"status": "Rejected"}


def test_a_refused_command_is_declined(client, charge_point):
    charge_point("CP1", lambda *_: [4, "NotSupported", "", {}])
    reply = client.simulate_post(path("Reset", until_effect=1), body='{"type": "Soft"}')
    assert (reply.status, reply.json["effect"]) == (falcon.HTTP_409, "declined")


def test_without_the_question_nothing_is_said_of_an_effect(client, charge_point):
    charge_point("CP1", accept)
    reply = client.simulate_post(path("Reset"), body='{"type": "Soft"}')
    assert "effect" not in reply.json
    assert "effect" not in client.simulate_get(f"/api/v1/tickets/{reply.json['ticket']}").json


@pytest.mark.parametrize(
    ("action", "query", "hint"),
    [
        ("ClearCache", {"until_effect": 1}, "ClearCache"),
        ("ClearCache", {"effect_timeout": 5}, "until_effect"),
        ("ClearCache", {"until_effect": 0, "effect_timeout": 5}, "until_effect"),
        ("Reset", {"until_effect": 1, "effect_timeout": 0}, "effect_timeout"),
    ],
)
def test_an_effect_that_cannot_be_waited_for_is_400_and_nothing_is_sent(
    client, charge_point, system, action, query, hint
):
    charge_point("CP1")
    reply = client.simulate_post(
        path(action, **query), body='{"type": "Soft"}' if action == "Reset" else None
    )
    assert reply.status == falcon.HTTP_400
    assert hint in reply.json["description"]
    assert system.open_tickets("CP1") == []


# With a system that hands out a ticket in a state of choice


class StubStore:
    def registration(self, _id):
        return None

    def publish(self, _event):
        pass


class StubSystem:
    cluster = worker = None
    store = StubStore()
    settings = Settings()
    version = "1.6"
    versions = VERSIONS

    def __init__(self, state, *, online=False):
        self.state = state
        self.connected = online
        self.asked = []

    def version_of(self, _id, _version=""):
        return v16.VERSION

    def knows(self, _id):
        return self.connected

    def prepare(self, _id, action, payload, _version=""):
        return prepare(v16.VERSION, action, payload)

    def send(self, charge_point, request, **options):
        self.asked.append((charge_point, request, options))
        ticket = Ticket(
            "1-1", charge_point, "ClearCache", request.request, b"{}", timeout_s=1.0, created_at=0.0
        )
        if self.state not in {TicketState.HELD, TicketState.QUEUED, TicketState.SENT}:
            ticket.end(self.state, 1.0, "the reason")
        return ticket

    def charge_point(self, _id):
        return self if self.connected else None


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (TicketState.HELD, 202),
        (TicketState.QUEUED, 202),
        (TicketState.SENT, 202),
        (TicketState.REFUSED, 409),
        (TicketState.EXPIRED, 410),
        (TicketState.CANCELLED, 410),
        (TicketState.SUPERSEDED, 410),
        (TicketState.NEVER_SENT, 404),
        (TicketState.OUTCOME_UNKNOWN, 502),
        (TicketState.TIMED_OUT, 504),
        (TicketState.ANSWERED, 502),  # this one has no response
    ],
)
def test_every_state_of_a_ticket_has_its_status(state, status, client_of):
    stub = StubSystem(state)
    reply = client_of(stub).simulate_post(path("ClearCache", wait=0, timeout=7))
    assert reply.status_code == status
    if status != 202:
        assert reply.json["state"] == state
        assert reply.json["description"] == "the reason"
        assert reply.json["title"]
    ((charge_point, command, options),) = stub.asked
    assert (charge_point, command.request) == ("CP1", v16.ClearCache())
    assert options == {
        "timeout_s": 7.0,
        "when_offline": "fail",
        "expires_in_s": 7.0,
        "until_effect": False,
        "effect_timeout_s": None,
    }


@pytest.mark.parametrize(
    ("query", "expires_in_s"), [({}, None), ({"expires_in": 3600}, 3600.0), ({"timeout": 5}, None)]
)
def test_a_command_that_may_wait_for_its_charge_point_is_202_at_once(client_of, query, expires_in_s):
    stub = StubSystem(TicketState.QUEUED, online=True)
    reply = client_of(stub).simulate_post(path("ClearCache", when_offline="queue", **query))
    assert reply.status_code == 202
    ((_, _, options),) = stub.asked
    assert (options["when_offline"], options["expires_in_s"]) == ("queue", expires_in_s)


@pytest.mark.parametrize("query", [{"when_offline": "wait"}, {"expires_in": 0}, {"expires_in": "soon"}])
def test_a_wait_that_cannot_be_is_400(client_of, query):
    reply = client_of(StubSystem(TicketState.QUEUED)).simulate_post(path("ClearCache", **query))
    assert reply.status_code == 400


def test_a_command_that_is_answered_and_whose_effect_is_still_to_come_is_202(client_of):
    class Promised(StubSystem):
        settings = Settings()

        def send(self, charge_point, request, *, effect_timeout_s, **_):
            self.asked.append(effect_timeout_s)
            options = {"timeout_s": 1.0, "created_at": 0.0, "effect_timeout_s": effect_timeout_s}
            ticket = Ticket("1-1", charge_point, "Reset", request.request, b"{}", **options)
            ticket.response = v16.ResetResponse(status=v16.ResetStatus.ACCEPTED)
            ticket.end(TicketState.ANSWERED, 1.0)
            return ticket

    stub = Promised(None)
    reply = client_of(stub).simulate_post(path("Reset", wait=0, until_effect=1), body='{"type": "Soft"}')
    assert reply.status == falcon.HTTP_202
    assert (reply.json["state"], reply.json["effect"]) == ("answered", "pending")
    assert reply.json["response"] == {"status": "Accepted"}
    assert reply.headers["Location"] == "/api/v1/tickets/1-1"
    assert stub.asked == [300.0]


def test_a_queue_that_is_full_is_503_for_the_charge_point_is_there(client_of):
    client = client_of(StubSystem(TicketState.NEVER_SENT, online=True))
    assert client.simulate_post(path("ClearCache")).status == falcon.HTTP_503


def test_a_system_that_does_not_run_any_more_is_503(client, system):
    system.stop()
    assert client.simulate_post(path("ClearCache")).status == falcon.HTTP_503


def test_every_state_has_a_status():
    assert set(commands.STATUSES) | {TicketState.ANSWERED, TicketState.NEVER_SENT} == set(TicketState)


# Refused before there is a ticket


@pytest.mark.parametrize(
    ("action", "hint"),
    [
        ("Resett", "did you mean Reset?"),
        ("clearcache", "did you mean ClearCache?"),
        ("Xyzzyzzy", "no action"),
    ],
)
def test_an_unknown_action_is_404_with_a_did_you_mean(client, action, hint):
    reply = client.simulate_post(path(action))
    assert reply.status == falcon.HTTP_404
    assert hint in reply.json["description"]


def test_an_action_that_only_charge_points_send_is_404(client):
    reply = client.simulate_post(path("Heartbeat"))
    assert reply.status == falcon.HTTP_404
    assert "sent by charge points" in reply.json["description"]


def test_an_invalid_payload_is_422_with_every_violation(client):
    body = {"connectorId": "one", "idTag": "x" * 21, "reservationId": 1, "colour": "red"}
    reply = client.simulate_post(path("ReserveNow"), body=json.dumps(body))
    assert reply.status == falcon.HTTP_422
    assert {row["path"]: row["code"] for row in reply.json["violations"]} == {
        "connectorId": "TypeConstraintViolation",
        "idTag": "PropertyConstraintViolation",
        "colour": "FormationViolation",
        "expiryDate": "OccurenceConstraintViolation",
    }
    assert all(row["text"] for row in reply.json["violations"])
    assert {row["path"]: row["value"] for row in reply.json["violations"]}["connectorId"] == '"one"'


@pytest.mark.parametrize("body", ["[]", "null", '"text"', "7"])
def test_json_that_is_no_object_is_422(client, body):
    assert client.simulate_post(path("ClearCache"), body=body).status == falcon.HTTP_422


@pytest.mark.parametrize("body", [b"{", b"{'a': 1}", b"\xff", b'{"a": "\xff"}', b"[" * 200_000, b"{} {}"])
def test_a_body_that_is_no_json_is_400(client, body):
    reply = client.simulate_post(path("ClearCache"), body=body)
    assert reply.status == falcon.HTTP_400
    assert reply.json["title"] == "Not JSON"


@pytest.mark.parametrize("body", [b"", b" \n"])
def test_no_body_at_all_is_an_empty_object(client, charge_point, body):
    charge_point("CP1", accept)
    assert client.simulate_post(path("ClearCache"), body=body).status == falcon.HTTP_200


def test_a_body_over_the_limit_is_413_with_or_without_its_length(client):
    body = b" " * (requests.MAX_BODY_BYTES + 1)
    assert client.simulate_post(path("ClearCache"), body=body).status == falcon.HTTP_413
    reply = client.simulate_post(path("ClearCache"), body=body, headers={"Content-Length": ""})
    assert reply.status == falcon.HTTP_413
    assert client.simulate_post(path("ClearCache"), body=body[:-1]).status == falcon.HTTP_404


@pytest.mark.parametrize(
    "query",
    [
        "timeout=soon",
        "timeout=0",
        "timeout=-1",
        "timeout=nan",
        "timeout=inf",
        "timeout=3601",
        "timeout=1&timeout=2",
        "wait=perhaps",
        "wait=",
        "colour=red",
    ],
)
def test_a_query_that_makes_no_sense_is_400_and_nothing_is_sent(client, charge_point, system, query):
    charge_point("CP1")
    assert client.simulate_post(f"{path('ClearCache')}{query}").status == falcon.HTTP_400
    assert system.open_tickets("CP1") == []


# The endpoint's end


def test_a_command_that_waits_is_answered_when_the_endpoint_stops(client, charge_point, stop, wait_until):
    cp = charge_point("CP1")
    waiting = gevent.spawn(client.simulate_post, path("ClearCache"))
    wait_until(lambda: cp.calls, "the call has arrived")
    stop.begin()
    reply = waiting.get(timeout=60)
    assert reply.status == falcon.HTTP_503
    assert reply.json["state"] == "sent"
    assert reply.json["ticket"]
