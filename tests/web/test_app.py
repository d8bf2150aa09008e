"""Authentication of HTTP requests, with a token and without."""

import falcon
import pytest

from chargehand.web.app import make_app

from .described import DescribedClient

TOKEN = "tökén with spaces"
PATHS = ["/api/v1/charge-points", "/api/v1/nothing", "/page/none.js", "/healthz/", "/%68ealthz", "//healthz"]


@pytest.fixture
def guarded(system, stop):
    return DescribedClient(make_app(system, TOKEN, stop))


@pytest.fixture
def opened(system, stop):
    return DescribedClient(make_app(system, None, stop))


def as_sent(text):
    """Return header text as WSGI has it: one character for each byte."""
    return text.encode().decode("latin-1")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
    ],
)
def test_without_the_token_everything_is_401_even_what_is_not_there(guarded, path, header):
    reply = guarded.simulate_get(path, headers={"Authorization": as_sent(header)})
    assert reply.status == falcon.HTTP_401
    assert reply.headers["WWW-Authenticate"].startswith("Bearer ")
    assert set(reply.json) == {"type", "title", "status", "detail", "description"}
    assert TOKEN not in reply.text


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN} "])
def test_with_the_token_it_is_let_in(guarded, header):
    reply = guarded.simulate_get("/api/v1/charge-points", headers={"Authorization": as_sent(header)})
    assert reply.status == falcon.HTTP_200


def test_health_needs_no_token(guarded):
    assert guarded.simulate_get("/healthz").status == falcon.HTTP_200


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_an_open_api_lets_programs_on_this_machine_in(opened, host):
    assert opened.simulate_get("/api/v1/charge-points", host=host).status == falcon.HTTP_200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "[::1"])
def test_an_open_api_refuses_a_page_that_calls_loopback_by_a_name_of_its_own(opened, host):
    assert opened.simulate_get("/api/v1/charge-points", host=host).status == falcon.HTTP_403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://[", ""])
def test_an_open_api_refuses_a_page_that_is_not_its_own(opened, origin):
    headers = {"Origin": origin}
    reply = opened.simulate_get("/api/v1/charge-points", host="127.0.0.1:8080", headers=headers)
    assert reply.status == falcon.HTTP_403


def test_an_open_api_takes_requests_of_its_own_origin(opened):
    headers = {"Origin": "http://127.0.0.1:8080"}
    reply = opened.simulate_get("/api/v1/charge-points", host="127.0.0.1:8080", headers=headers)
    assert reply.status == falcon.HTTP_200
