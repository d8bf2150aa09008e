"""Logins of the operator's page: the cookie, what it is worth and how it ends."""

import datetime as dt
import http.cookies
from email.utils import parsedate_to_datetime

import falcon
import pytest

from chargehand import CentralSystem, HttpChangeMade, HttpSettings, Settings
from chargehand.store.records import ApiToken
from chargehand.web.app import make_app
from chargehand.web.guard import token_digest

from ..hub import until
from .described import DescribedClient

TOKEN = "the token of the server"
LOGIN, LIST, TAG = "/api/v1/login", "/api/v1/charge-points", "/api/v1/tags/T1"
PAGE = {"X-Chargehand-Page": "1", "Host": "operator.example:8080"}
HOST = {"Host": "operator.example:8080"}


@pytest.fixture
def settings(tmp_path):
    return Settings(port=0, data=str(tmp_path), http=HttpSettings(failed_logins=3, logins=3))


@pytest.fixture
def system(settings):
    with CentralSystem(settings) as running:
        yield running


@pytest.fixture
def client(system, stop):
    return DescribedClient(make_app(system, TOKEN, stop))


def log_in(client, token=TOKEN, **more):
    return client.simulate_post(LOGIN, json={"token": token}, headers=PAGE | more)


def cookie_of(reply):
    (morsel,) = http.cookies.SimpleCookie(reply.headers["set-cookie"]).values()
    return morsel


def cookie(reply, **headers):
    """Headers of a request of the browser that has got this answer."""
    morsel = cookie_of(reply)
    return HOST | {"Cookie": f"{morsel.key}={morsel.value}"} | headers


def enter(system, name="maria", scope="read", text="a text", expires_at=None):
    token = ApiToken(
        name=name,
        scope=scope,
        digest=token_digest(text),
        created_at=dt.datetime.now(dt.UTC),
        expires_at=expires_at,
    )
    system.store.collections.api_tokens.put(token).wait()
    return text


def test_a_login_stands_for_its_token(client):
    reply = log_in(client)
    assert reply.json["name"] == "server"
    assert client.simulate_get(LIST, headers=cookie(reply)).status == falcon.HTTP_200
    shown = client.simulate_get(LOGIN, headers=cookie(reply)).json
    assert (shown["name"], shown["scope"], shown["login"]) == ("server", "admin", True)
    assert shown["expires_at"] is not None


def test_the_cookie_is_named_with_the_port_and_no_script_or_other_site_has_it(client):
    morsel = cookie_of(log_in(client))
    assert morsel.key == "chargehand-8080"
    assert (morsel["httponly"], morsel["samesite"], morsel["path"]) == (True, "Strict", "/")
    assert (morsel["secure"], morsel["domain"]) == ("", "")
    assert 0 < int(morsel["max-age"]) <= 86_400


def test_the_cookie_is_secure_where_the_browser_speaks_tls(client):
    reply = client.simulate_post(LOGIN, json={"token": TOKEN}, headers=PAGE, protocol="https")
    assert cookie_of(reply)["secure"] is True
    behind_proxy = log_in(client, Origin="https://operator.example", Host="operator.example")
    assert cookie_of(behind_proxy)["secure"] is True
    assert cookie_of(behind_proxy).key == "chargehand-443"


def test_only_hashes_of_a_login_are_stored(client, system):
    value = cookie_of(log_in(client)).value
    (stored,) = system.store.collections.page_logins
    assert value not in repr(stored)
    assert token_digest(TOKEN) != stored.proof


def test_a_stranger_at_the_login_is_told_that_nobody_is_logged_in(client):
    reply = client.simulate_get(LOGIN, headers=HOST)
    assert (reply.status, reply.json["name"], reply.json["login"]) == (falcon.HTTP_200, "", False)


def test_a_token_as_a_header_is_no_login(client):
    reply = client.simulate_get(LOGIN, headers={"Authorization": f"Bearer {TOKEN}"})
    assert (reply.json["name"], reply.json["login"]) == ("server", False)
    assert client.simulate_get(LOGIN, headers={"Authorization": "Bearer no"}).status == falcon.HTTP_401


def test_a_change_with_the_cookie_needs_the_header_of_the_page(client):
    reply = log_in(client)
    assert client.simulate_put(TAG, headers=cookie(reply), json={}).status == falcon.HTTP_403
    assert client.simulate_delete(LOGIN, headers=cookie(reply)).status == falcon.HTTP_403
    with_header = cookie(reply) | PAGE
    assert client.simulate_put(TAG, headers=with_header, json={}).status == falcon.HTTP_200


def test_another_page_cannot_log_somebody_in(client):
    assert client.simulate_post(LOGIN, json={"token": TOKEN}, headers=HOST).status == falcon.HTTP_403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_cookie_that_another_site_has_made_the_browser_send_is_nothing(client, site):
    headers = cookie(log_in(client)) | {"Sec-Fetch-Site": site}
    assert client.simulate_get(LIST, headers=headers).status == falcon.HTTP_401


def test_a_login_has_the_scope_of_its_token(client, system):
    reply = log_in(client, enter(system, scope="read"))
    headers = cookie(reply) | PAGE
    assert client.simulate_get(LIST, headers=headers).status == falcon.HTTP_200
    assert client.simulate_put(TAG, headers=headers, json={}).status == falcon.HTTP_403


def test_a_login_ends_with_the_revocation_of_its_token(client, system):
    reply = log_in(client, enter(system))
    system.store.collections.api_tokens.remove("maria").wait()
    assert client.simulate_get(LIST, headers=cookie(reply)).status == falcon.HTTP_401
    enter(system, text="another one of that name")
    assert client.simulate_get(LIST, headers=cookie(reply)).status == falcon.HTTP_401


def test_a_login_does_not_outlast_its_token(client, system):
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    reply = log_in(client, enter(system, expires_at=ends))
    assert dt.datetime.fromisoformat(reply.json["expires_at"]) == ends
    assert int(cookie_of(reply)["max-age"]) <= 3600
    enter(system, expires_at=dt.datetime.now(dt.UTC))
    assert client.simulate_get(LIST, headers=cookie(reply)).status == falcon.HTTP_401


def test_logging_out_ends_the_login_and_takes_the_cookie_away(client, system):
    reply = log_in(client)
    gone = client.simulate_delete(LOGIN, headers=cookie(reply) | PAGE)
    assert gone.status == falcon.HTTP_204
    assert cookie_of(gone).value == ""
    assert parsedate_to_datetime(cookie_of(gone)["expires"]) <= dt.datetime.now(dt.UTC)
    assert client.simulate_get(LIST, headers=cookie(reply)).status == falcon.HTTP_401
    assert not list(system.store.collections.page_logins)


def test_wrong_tokens_are_limited_as_everywhere(client):
    replies = [log_in(client, f"wrong {number}").status for number in range(5)]
    assert replies == [falcon.HTTP_401] * 3 + [falcon.HTTP_429] * 2
    assert log_in(client).status == falcon.HTTP_200


@pytest.mark.parametrize("value", ["", "x", "a" * 43, '"', "a" * 5000, "ä" * 43])
def test_a_cookie_that_is_none_is_no_login(client, value):
    headers = HOST | {"Cookie": f"chargehand-8080={value}".encode().decode("latin-1")}
    assert client.simulate_get(LIST, headers=headers).status == falcon.HTTP_401


def test_of_too_many_logins_the_oldest_end(client):
    replies = [log_in(client) for _ in range(4)]
    seen = [client.simulate_get(LIST, headers=cookie(reply)).status for reply in replies]
    assert seen == [falcon.HTTP_401] + [falcon.HTTP_200] * 3


def test_an_open_api_needs_no_login(system, stop):
    client = DescribedClient(make_app(system, None, stop))
    shown = client.simulate_get(LOGIN, headers={"Host": "127.0.0.1:8080"}).json
    assert (shown["name"], shown["scope"], shown["login"]) == ("open", "admin", False)
    reply = client.simulate_post(LOGIN, json={"token": "x"}, headers={"Host": "127.0.0.1:8080"})
    assert reply.status == falcon.HTTP_409


def test_a_login_is_recorded_with_the_name_of_its_token_and_a_failed_one_is_not(client, system):
    seen = []
    system.subscribe(HttpChangeMade, seen.append)
    log_in(client, "wrong")
    client.simulate_post(LOGIN, body="no JSON", headers=PAGE)
    log_in(client, enter(system))
    until(lambda: seen, "the login is recorded")
    assert [(event.token, event.method, event.status) for event in seen] == [("maria", "POST", 200)]
