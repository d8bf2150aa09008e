"""HTTP resources of plugins: routes, scopes, errors, and a plugin out of service."""

import gevent
import pytest

from chargehand import (
    CentralSystem,
    DeadlineSettings,
    HttpSettings,
    Plugin,
    ResourceRefused,
    Settings,
    SupervisionSettings,
    passive,
    resource,
    v16,
)
from chargehand.web.app import make_app

from .described import DescribedClient

TOKEN = "the token of the server"
ROOT = "/api/v1/plugins/letters"


class Letters(Plugin):
    """Plugin with resources."""

    def __init__(self):
        super().__init__()
        self.letters = {"1": "a", "ä/b": "c"}
        self.killed = False

    @resource("GET", "letters")
    def all(self, request):
        return {"letters": self.letters, "first": request.query.get("first", "")}

    @resource("GET", "letters/{number}")
    def one(self, request):
        if request.path["number"] not in self.letters:
            raise ResourceRefused(404, "Unknown letter", f"there is no letter {request.path['number']}")
        return {"text": self.letters[request.path["number"]]}

    @resource("PUT", "letters/{number}", scope="command")
    def write(self, request):
        text = request.json(str)
        self.letters[request.path["number"]] = text
        return {"text": text, "by": request.token}

    @resource("DELETE", "letters")
    def burn(self, _request):
        self.letters.clear()
        return {}

    @resource("GET", "faulty")
    def faulty(self, _request):
        raise RuntimeError("planted")

    @resource("GET", "slow")
    def slow(self, _request):
        try:
            gevent.sleep(600)
        finally:
            self.killed = True

    @passive(v16.Authorize)
    def authorize(self, _call):
        raise RuntimeError("planted")


@pytest.fixture
def system(tmp_path):
    settings = Settings(
        port=0,
        data=str(tmp_path),
        http=HttpSettings(token=TOKEN),
        deadlines=DeadlineSettings(events_s=0.2),
        supervision=SupervisionSettings(intensity=0, failing_charge_points=1, quarantine_s=0),
    )
    with CentralSystem(settings, plugins=[Letters.spec(name="letters")]) as running:
        yield running


@pytest.fixture
def ask(system, stop):
    client = DescribedClient(make_app(system, TOKEN, stop))

    def asked(method, path, token=TOKEN, **more):
        headers = {"Authorization": f"Bearer {token}"}
        return client.simulate_request(method, path, headers=headers, **more)

    return asked


def test_a_plugin_answers_below_its_name(ask):
    assert ask("GET", f"{ROOT}/letters", params={"first": "2"}).json["first"] == "2"
    assert ask("GET", f"{ROOT}/letters/1").json == {"text": "a"}
    assert ask("GET", f"{ROOT}/letters/%C3%A4%2Fb").json == {"text": "c"}
    reply = ask("PUT", f"{ROOT}/letters/2", json="b")
    assert reply.json == {"text": "b", "by": "server"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"{ROOT}/letters/9", 404),
        ("GET", f"{ROOT}/nothing", 404),
        ("GET", f"{ROOT}/letters/1/2", 404),
        ("GET", f"{ROOT}/letters/%FF", 404),
        ("GET", "/api/v1/plugins/nobody/letters", 404),
        ("POST", f"{ROOT}/letters", 405),
        ("GET", f"{ROOT}/faulty", 500),
        ("GET", f"{ROOT}/slow", 504),
    ],
)
def test_what_is_not_there_or_fails_is_a_problem(ask, method, path, status):
    reply = ask(method, path)
    assert reply.status_code == status
    assert reply.json["title"]


def test_a_body_that_does_not_fit_is_refused(ask):
    assert ask("PUT", f"{ROOT}/letters/2", body="}").status_code == 400
    assert ask("PUT", f"{ROOT}/letters/2", json=5).status_code == 422


def test_a_handler_that_takes_too_long_is_ended(ask, system, wait_until):
    assert ask("GET", f"{ROOT}/slow").status_code == 504
    cell = system.plugin_resources("letters")
    wait_until(lambda: cell.actor.killed, "the handler has ended")
    assert ask("GET", f"{ROOT}/letters/1").status_code == 200


def test_each_resource_is_for_tokens_of_its_scope(ask):
    tokens = {
        scope: ask("POST", "/api/v1/tokens", json={"name": scope, "scope": scope}).json["token"]
        for scope in ("read", "command", "admin")
    }
    statuses = {
        scope: [
            ask("GET", f"{ROOT}/letters", token).status_code,
            ask("PUT", f"{ROOT}/letters/1", token, json="x").status_code,
            ask("DELETE", f"{ROOT}/letters", token).status_code,
        ]
        for scope, token in tokens.items()
    }
    assert statuses == {"read": [200, 403, 403], "command": [200, 200, 403], "admin": [200, 200, 200]}
    assert ask("GET", f"{ROOT}/letters", "wrong").status_code == 401


def test_a_plugin_in_quarantine_answers_nothing(ask, system, charge_point, wait_until):
    charge_point("CP1").send(2, "1", "Authorize", {"idTag": "T"})
    wait_until(lambda: system.plugin_resources("letters").quarantined, "it is in quarantine")
    assert ask("GET", f"{ROOT}/letters").status_code == 503
