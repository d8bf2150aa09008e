"""Keys over HTTP: who has one, who has not used a new one, and no key at all."""

import json

KEYS = "/api/v1/keys"
KEY = "00112233445566778899aabbccddeeff"


def test_who_has_a_key_is_listed_and_who_has_not_used_a_new_one(client, system):
    for identity in ("CP2", "CP1"):
        system.credentials.set_password(identity, b"an old key of 20 byt").wait(60)
    assert [
        (row["charge_point"], row["new_key_since"]) for row in client.simulate_get(KEYS).json["keys"]
    ] == [
        ("CP1", None),
        ("CP2", None),
    ]
    assert client.simulate_get(KEYS, params={"waiting": 1}).json["keys"] == []
    system.credentials.stage("CP2", KEY)
    (waiting,) = client.simulate_get(KEYS, params={"waiting": 1}).json["keys"]
    assert waiting["charge_point"] == "CP2"
    assert waiting["new_key_since"] is not None
    assert client.simulate_get(KEYS, params={"waiting": 2}).status_code == 400


def test_the_key_of_a_rotation_is_shown_nowhere(client, charge_point):
    cp = charge_point("CP1", lambda _action, _payload: [3, {"status": "Accepted"}])
    reply = client.simulate_post("/api/v1/charge-points/CP1/verbs/rotate_key", body=json.dumps({"key": KEY}))
    assert (reply.json["state"], reply.json["action"]) == ("answered", "ChangeConfiguration")
    assert cp.calls[0] == ("ChangeConfiguration", {"key": "AuthorizationKey", "value": KEY})
    assert KEY not in reply.text
    assert KEY not in client.simulate_get("/api/v1/tickets").text
    assert KEY not in client.simulate_get("/api/v1/charge-points/CP1/recording").text


def test_a_key_that_is_none_is_refused(client, charge_point):
    charge_point("CP1", lambda _action, _payload: [3, {"status": "Accepted"}])
    reply = client.simulate_post("/api/v1/charge-points/CP1/verbs/rotate_key", body='{"key": "a text"}')
    assert reply.status_code == 422
    assert "a text" not in reply.text
