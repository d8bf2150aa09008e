"""Tokens with names, scopes and an expiry; failed logins; what is recorded; headers for browsers."""

import datetime as dt
import logging

import falcon
import falcon.inspect
import pytest

from chargehand import CentralSystem, HttpChangeMade, HttpSettings, Settings
from chargehand.web.app import make_app
from chargehand.web.guard import SECURITY_HEADERS

from ..hub import until
from .described import DescribedClient

TOKEN = "the token of the server"
LIST = "/api/v1/charge-points"
TOKENS = "/api/v1/tokens"


@pytest.fixture
def settings(tmp_path):
    http = HttpSettings(failed_logins=3, cors_origins=("https://operator.example",))
    return Settings(port=0, data=str(tmp_path), http=http)


@pytest.fixture
def system(settings):
    with CentralSystem(settings) as running:
        yield running


@pytest.fixture
def client(system, stop):
    return DescribedClient(make_app(system, TOKEN, stop))


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def make(client):
    """Make a token; return the answer."""

    def made(name, scope="read", **more):
        return client.simulate_post(TOKENS, headers=bearer(TOKEN), json={"name": name, "scope": scope} | more)

    return made


def test_a_token_is_shown_once_and_only_its_hash_is_stored(client, system, make):
    made = make("grafana").json
    assert (made["name"], made["scope"], made["created_by"]) == ("grafana", "read", "server")
    assert client.simulate_get(LIST, headers=bearer(made["token"])).status == falcon.HTTP_200
    listed = client.simulate_get(TOKENS, headers=bearer(TOKEN))
    assert made["token"] not in listed.text
    (stored,) = system.store.collections.api_tokens
    assert made["token"].encode() not in stored.digest
    assert len(stored.digest) == 32


NEEDED = [
    ("GET", LIST, "read"),
    ("GET", "/api/v1/transactions", "read"),
    ("POST", f"{LIST}/CP/commands/Reset", "command"),
    ("POST", f"{LIST}/CP/verbs/reset", "command"),
    ("POST", f"{LIST}/CP/local-list", "command"),
    ("POST", "/api/v1/bulk", "command"),
    ("DELETE", "/api/v1/bulk/1", "command"),
    ("DELETE", "/api/v1/tickets/1", "command"),
    ("PUT", f"{LIST}/CP", "admin"),
    ("DELETE", f"{LIST}/CP", "admin"),
    ("PUT", f"{LIST}/CP/password", "admin"),
    ("POST", "/api/v1/transactions/1/close", "admin"),
    ("POST", "/api/v1/tags", "admin"),
    ("DELETE", "/api/v1/tags/T", "admin"),
    ("POST", "/api/v1/backup", "admin"),
    ("POST", "/api/v1/spool/retry", "admin"),
    ("POST", "/api/v1/plugins/P/release", "admin"),
    ("GET", TOKENS, "admin"),
    ("POST", TOKENS, "admin"),
    ("DELETE", f"{TOKENS}/other", "admin"),
]
ORDER = ["read", "command", "admin"]


@pytest.mark.parametrize("scope", ORDER)
def test_a_token_may_do_what_its_scope_says_and_nothing_more(client, make, scope):
    token = make("one", scope).json["token"]
    for method, path, needed in NEEDED:
        status = client.simulate_request(method, path, headers=bearer(token), body="{}").status
        refused = ORDER.index(scope) < ORDER.index(needed)
        assert (status == falcon.HTTP_403) is refused, (method, path, status)


def test_every_route_that_changes_something_refuses_a_token_that_may_only_read(client, system, stop, make):
    token = make("one", "read").json["token"]
    routes = falcon.inspect.inspect_app(make_app(system, TOKEN, stop)).routes
    changing = [
        (method.method, route.path)
        for route in routes
        for method in route.methods
        if not method.internal and method.method not in ("GET", "HEAD", "OPTIONS")
        # Each resource of a plugin has a scope of its own.
        if not route.path.endswith("{path:path}")
    ]
    assert len(changing) > 15
    for method, path in changing:
        named = path.replace("{", "").replace(":segment}", "").replace("}", "")
        reply = client.simulate_request(method, named, headers=bearer(token), body="{}")
        assert reply.status == falcon.HTTP_403, (method, path)


def test_a_revoked_token_counts_for_nothing(client, make):
    token = make("one", "admin").json["token"]
    assert client.simulate_delete(f"{TOKENS}/one", headers=bearer(token)).status == falcon.HTTP_200
    assert client.simulate_get(LIST, headers=bearer(token)).status == falcon.HTTP_401
    assert client.simulate_delete(f"{TOKENS}/one", headers=bearer(TOKEN)).status == falcon.HTTP_404


def test_a_token_that_has_expired_counts_for_nothing(client, system, make):
    in_an_hour = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    token = make("one", expires_at=in_an_hour.isoformat()).json["token"]
    assert client.simulate_get(LIST, headers=bearer(token)).status == falcon.HTTP_200
    (stored,) = system.store.collections.api_tokens
    assert not stored.is_over(in_an_hour - dt.timedelta(seconds=1))
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    system.store.collections.api_tokens.put(
        type(stored)(
            name="one", scope="read", digest=stored.digest, created_at=past, created_by="", expires_at=past
        )
    )
    assert client.simulate_get(LIST, headers=bearer(token)).status == falcon.HTTP_401


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"name": ""}, falcon.HTTP_422),
        ({"name": "a b"}, falcon.HTTP_422),
        ({"name": "ü"}, falcon.HTTP_422),
        ({"name": "a\n"}, falcon.HTTP_422),
        ({"name": "x" * 65}, falcon.HTTP_422),
        ({"scope": "root"}, falcon.HTTP_422),
        ({"expires_at": "tomorrow"}, falcon.HTTP_422),
        ({"expires_at": "2020-01-01"}, falcon.HTTP_422),
        ({"digest": "x"}, falcon.HTTP_422),
        ({"name": "server"}, falcon.HTTP_409),
        ({"name": "taken"}, falcon.HTTP_409),
    ],
    ids=range(11),
)
def test_a_token_that_cannot_be_made_is_refused_with_a_reason(make, more, status):
    make("taken")
    assert make(**({"name": "new"} | more)).status == status


# Failed logins


def test_wrong_tokens_are_limited_and_the_right_one_gets_in(client, system):
    statuses = [client.simulate_get(LIST, headers=bearer(f"wrong{n}")).status for n in range(1000)]
    assert statuses[:3] == [falcon.HTTP_401] * 3
    assert statuses.count(falcon.HTTP_429) >= 990
    assert client.simulate_get(LIST, headers=bearer(TOKEN)).status == falcon.HTTP_200
    counts = system.counters.counts
    assert counts["http_login_failed"] == 1000
    assert counts["http_login_limited"] == statuses.count(falcon.HTTP_429)


def test_a_short_token_of_the_settings_cannot_be_guessed_beyond_the_limit(system, stop):
    client = DescribedClient(make_app(system, "1234", stop))
    assert client.simulate_get(LIST, headers=bearer("1234")).status_code == 200
    told = [client.simulate_get(LIST, headers=bearer(f"{guess}")).status_code for guess in range(1230, 1240)]
    assert told == [401] * 3 + [429] * 7
    assert client.simulate_get(LIST, headers=bearer("1234"), remote_addr="192.0.2.7").status_code == 200


def test_a_limited_address_is_told_when_to_come_again_and_others_are_not_limited(client):
    for _ in range(10):
        reply = client.simulate_get(LIST, headers=bearer("wrong"), remote_addr="192.0.2.1")
    assert reply.status == falcon.HTTP_429
    assert 1 <= int(reply.headers["Retry-After"]) <= 20
    other = client.simulate_get(LIST, headers=bearer("wrong"), remote_addr="192.0.2.2")
    assert other.status == falcon.HTTP_401


def test_log_lines_of_failed_logins_are_few_and_name_the_setting_and_no_token(client, caplog):
    with caplog.at_level(logging.WARNING):
        for _ in range(500):
            client.simulate_get(LIST, headers=bearer("s3cret-of-somebody"))
    lines = [record.getMessage() for record in caplog.records if "wrong token" in record.getMessage()]
    assert 1 <= len(lines) <= 12
    assert "http.failed_logins" in lines[-1]
    assert "s3cret" not in caplog.text


# What is recorded


def test_a_change_is_recorded_as_an_event_and_in_the_audit_log(client, system, make, caplog):
    seen = []
    system.subscribe(HttpChangeMade, seen.append)
    token = make("ops", "command").json["token"]
    caplog.clear()
    with caplog.at_level(logging.INFO, "chargehand.audit"):
        client.simulate_post(f"{LIST}/CP7/commands/Reset", headers=bearer(token), json={"type": "Soft"})
        client.simulate_put("/api/v1/tags/T1", headers=bearer(token), json={})
        client.simulate_get(LIST, headers=bearer(token))
    until(lambda: len(seen) == 3, "the events are there")
    facts = [(one.token, one.method, one.path, one.charge_point_id, one.status) for one in seen]
    assert facts == [
        ("server", "POST", TOKENS, "", 200),
        ("ops", "POST", f"{LIST}/CP7/commands/Reset", "CP7", 404),
        ("ops", "PUT", "/api/v1/tags/T1", "", 403),
    ]
    records = [record for record in caplog.records if record.name == "chargehand.audit"]
    assert [record.fields["status"] for record in records] == [404, 403]
    assert records[0].fields["address"] == "127.0.0.1"
    assert token not in caplog.text


def test_failed_logins_are_no_events_so_that_no_stranger_fills_the_disk(client, system, make):
    seen = []
    system.subscribe(HttpChangeMade, seen.append)
    for _ in range(20):
        client.simulate_post(TOKENS, headers=bearer("wrong"), json={"name": "x"})
    make("last")
    until(lambda: seen, "an event is there")
    assert [one.status for one in seen] == [200]


# Browsers


def test_every_answer_has_the_headers_that_browsers_heed(client):
    for path, headers in (("/healthz", {}), (LIST, {}), (LIST, bearer(TOKEN)), ("/x", bearer(TOKEN))):
        reply = client.simulate_get(path, headers=headers)
        for name, value in SECURITY_HEADERS.items():
            assert reply.headers[name] == value, (path, name)


def test_only_pages_of_listed_origins_may_read_answers(client):
    asked = bearer(TOKEN) | {"Origin": "https://operator.example"}
    reply = client.simulate_get(LIST, headers=asked)
    assert reply.headers["Access-Control-Allow-Origin"] == "https://operator.example"
    for origin in ("https://evil.example", "https://operator.example.evil.example", "null", ""):
        reply = client.simulate_get(LIST, headers=bearer(TOKEN) | {"Origin": origin})
        assert "Access-Control-Allow-Origin" not in reply.headers


def test_only_a_listed_origin_is_answered_its_preflight_without_a_token(client):
    asked = {"Origin": "https://operator.example", "Access-Control-Request-Method": "PUT"}
    reply = client.simulate_options("/api/v1/tags/T1", headers=asked)
    assert reply.status == falcon.HTTP_204
    assert "PUT" in reply.headers["Access-Control-Allow-Methods"]
    assert "Authorization" in reply.headers["Access-Control-Allow-Headers"]
    asked["Origin"] = "https://evil.example"
    assert client.simulate_options("/api/v1/tags/T1", headers=asked).status == falcon.HTTP_401
