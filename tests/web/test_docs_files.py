"""`/docs`: every file comes from this server, and a policy lets in nothing else; the description needs a token."""

import importlib.util
import re

import pytest

from chargehand import CentralSystem, HttpSettings, Settings
from chargehand.web import docs_files as docs
from chargehand.web.docs_files import DOCS, docs_files

PATHS = sorted(docs_files())


@pytest.mark.parametrize("path", PATHS)
def test_every_file_is_served_without_a_token_and_with_a_policy(client, path):
    reply = client.simulate_get(path, headers={"Authorization": ""})
    assert reply.status_code == 200
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    again = client.simulate_get(path, headers={"Authorization": "", "If-None-Match": reply.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_page_names_only_files_of_this_server(client):
    text = client.simulate_get(DOCS).text + client.simulate_get(f"{DOCS}/docs.js").text
    assert "http:" not in text
    assert "https:" not in text
    for name in re.findall(r'(?:src|href)="(docs/[^"]+)"', text):
        assert f"/{name}" in PATHS


def test_the_description_behind_it_needs_a_token(client):
    assert client.simulate_get("/api/v1/openapi.json", headers={"Authorization": ""}).status_code == 401


def test_without_the_package_the_files_of_swagger_ui_are_empty(monkeypatch, client_of):
    monkeypatch.setattr(docs, "find_spec", lambda _name: None)
    with CentralSystem(Settings(port=0)) as system:
        reply = client_of(system).simulate_get(f"{DOCS}/swagger-ui-bundle.js")
    assert (reply.status_code, reply.content) == (200, b"")


@pytest.mark.skipif(
    importlib.util.find_spec(docs.PACKAGE) is None, reason="swagger-ui-bundle-v2 is not installed"
)
def test_with_the_package_they_are_those_of_swagger_ui(client):
    assert "SwaggerUIBundle" in client.simulate_get(f"{DOCS}/swagger-ui-bundle.js").text
    assert ".swagger-ui" in client.simulate_get(f"{DOCS}/swagger-ui.css").text


def test_without_the_operators_page_there_is_none(client_of):
    with CentralSystem(Settings(port=0, http=HttpSettings(page=False))) as system:
        assert client_of(system).simulate_get(DOCS).status_code == 404
