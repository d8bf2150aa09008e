"""Every error over HTTP is a problem of RFC 9457, whoever finds it: falcon, the guard, a resource or nobody."""

import json

import pytest

from chargehand import CentralSystem, HttpSettings, Settings
from chargehand.web.requests import MAX_BODY_BYTES, Problem, problem
from chargehand.web.views import PROBLEM

MEMBERS = {"type", "title", "status", "detail", "description"}


def assert_problem(reply, status):
    assert (reply.status_code, reply.headers["content-type"]) == (status, PROBLEM)
    told = reply.json
    assert told.keys() >= MEMBERS
    assert told["status"] == status
    assert told["type"].startswith("urn:chargehand:problem:")
    assert told["detail"] == told["description"] != ""
    return told


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/v1/nowhere", None, 404),
        ("GET", "/nowhere", None, 404),
        ("GET", "/api/v1/charge-points/CP9", None, 404),
        ("DELETE", "/api/v1/counters", None, 405),
        ("GET", "/api/v1/tags?colour=red", None, 400),
        ("PUT", "/api/v1/tags/T1", "no JSON", 400),
        ("PUT", "/api/v1/tags/T1", '{"status": "Odd"}', 422),
        ("PUT", "/api/v1/tags/T1", " " * (MAX_BODY_BYTES + 1), 413),
        ("POST", "/api/v1/plugins/back-office/promote", None, 409),
        ("POST", "/api/v1/charge-points/CP9/commands/Reset", '{"type": "Odd"}', 422),
    ],
)
def test_what_cannot_be_answered_is_a_problem(client, method, path, body, status):
    path, _, query = path.partition("?")
    assert_problem(client.simulate_request(method, path, query_string=query, body=body), status)


def test_a_responder_that_fails_is_a_problem_that_tells_nothing_of_it(client, system, monkeypatch):
    def fail():
        raise RuntimeError("a secret of the stack")

    monkeypatch.setattr(system, "describe", fail)
    told = assert_problem(client.simulate_get("/api/v1/supervision"), 500)
    assert "secret" not in json.dumps(told)


def test_too_many_wrong_tokens_are_a_problem(client_of):
    with CentralSystem(Settings(port=0, http=HttpSettings(failed_logins=1))) as system:
        client, wrong = client_of(system), {"Authorization": "Bearer wrong"}
        assert_problem(client.simulate_get("/api/v1/tags", headers=wrong), 401)
        reply = client.simulate_get("/api/v1/tags", headers=wrong)
        assert_problem(reply, 429)
        assert int(reply.headers["retry-after"]) > 0


def test_the_type_of_a_problem_is_made_of_its_title():
    told = problem(409, "Closed already, it is", "why", {"more": 1})
    assert told["type"] == "urn:chargehand:problem:closed-already-it-is"
    assert told["more"] == 1
    assert Problem(409, "Closed already", "why", more=1).more == {"more": 1}
