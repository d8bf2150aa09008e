"""Settings and changes over HTTP, for tokens with the scope admin."""

import falcon
import pytest

from .conftest import TOKEN

SETTINGS, CHANGES = "/api/v1/settings", "/api/v1/changes"


def put(client, number):
    return client.simulate_put(f"/api/v1/charge-points/CP{number}", json={"registration": "Accepted"})


def test_changes_are_listed_the_newest_first(client):
    for number in range(3):
        put(client, number)
    found = client.simulate_get(CHANGES, query_string="limit=2").json
    assert [(one["path"], one["method"], one["status"]) for one in found["changes"]] == [
        ("/api/v1/charge-points/CP2", "PUT", 200),
        ("/api/v1/charge-points/CP1", "PUT", 200),
    ]
    assert found["more"] is True
    assert found["changes"][0]["token"] == "server"


def test_what_was_refused_is_listed_too_and_reading_is_not(client):
    client.simulate_get(SETTINGS)
    client.simulate_put("/api/v1/charge-points/CP1", json={"registration": "Perhaps"})
    (only,) = client.simulate_get(CHANGES).json["changes"]
    assert only["status"] == 422


def test_settings_have_their_names_and_no_secrets(client, system):
    found = client.simulate_get(SETTINGS)
    assert found.json["settings"]["sessions.queue_limit"] == system.settings.sessions.queue_limit
    assert TOKEN not in found.text


@pytest.mark.parametrize("path", [SETTINGS, CHANGES])
def test_they_are_for_the_scope_admin(client, path):
    token = client.simulate_post("/api/v1/tokens", json={"name": "viewer", "scope": "command"}).json["token"]
    refused = client.simulate_get(path, headers={"Authorization": f"Bearer {token}"})
    assert refused.status == falcon.HTTP_403
