"""Certificates over HTTP."""

import datetime as dt

import pytest

from chargehand import InstalledCertificate, IssuedCertificate

NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def collections(system):
    return system.store.collections


def test_installed_certificates_are_listed_the_newest_first(client, collections):
    for number, charge_point in enumerate(("CP1", "CP2", "CP1")):
        collections.installed_certificates.put(
            InstalledCertificate(
                charge_point_id=charge_point,
                use="central_system",
                serial_number=f"{number:x}",
                issuer_name_hash="aa",
                issuer_key_hash="bb",
                noted_at=NOW + number * HOUR,
                certain=number > 0,
            )
        )

    def shown(**query):
        answer = client.simulate_get("/api/v1/installed-certificates", params=query).json
        return [row["serial_number"] for row in answer["installed_certificates"]], answer["more"]

    assert shown() == (["2", "1", "0"], False)
    assert shown(charge_point="CP1") == (["2", "0"], False)
    assert shown(limit=1) == (["2"], True)
    assert shown(charge_point="CP9") == ([], False)
    rows = client.simulate_get("/api/v1/installed-certificates").json["installed_certificates"]
    assert rows[2] == {
        "charge_point": "CP1",
        "use": "central_system",
        "serial_number": "0",
        "hash_algorithm": "SHA256",
        "issuer_name_hash": "aa",
        "issuer_key_hash": "bb",
        "noted_at": NOW.isoformat().replace("+00:00", "Z"),
        "certain": False,
    }


def issue(collections, serial_number, charge_point="CP1", *, days=1, **more):
    collections.issued_certificates.put(
        IssuedCertificate(
            serial_number=serial_number,
            charge_point_id=charge_point,
            common_name=charge_point,
            subject=f"CN={charge_point}",
            not_before=NOW - HOUR,
            not_after=NOW + days * 24 * HOUR,
            issued_at=NOW + int(serial_number, 16) * HOUR,
            **more,
        )
    )


def test_issued_certificates_are_listed_by_charge_point_and_state(client, collections):
    issue(collections, "1", state="installed")
    issue(collections, "2", "CP2")
    issue(collections, "3", days=-1)

    def shown(**query):
        answer = client.simulate_get("/api/v1/issued-certificates", params=query).json
        return [(row["serial_number"], row["state"]) for row in answer["issued_certificates"]], answer["more"]

    assert shown() == ([("3", "expired"), ("2", "issued"), ("1", "installed")], False)
    assert shown(charge_point="CP1") == ([("3", "expired"), ("1", "installed")], False)
    assert shown(state="installed") == ([("1", "installed")], False)
    assert shown(limit=1) == ([("3", "expired")], True)


@pytest.mark.parametrize("written", ["1f", "1F", "00:1f"])
def test_one_issued_certificate_is_found_by_its_serial_number(client, collections, written):
    issue(collections, "1f", fingerprint="ab")
    row = client.simulate_get(f"/api/v1/issued-certificates/{written}").json
    assert (row["serial_number"], row["fingerprint"], row["subject"]) == ("1f", "ab", "CN=CP1")


def test_an_unknown_certificate_is_answered_404(client):
    for method, path in (("GET", "2a"), ("POST", "2a/revoke")):
        reply = client.simulate_request(method, f"/api/v1/issued-certificates/{path}")
        assert (reply.status_code, reply.json["title"]) == (404, "Unknown certificate")


def test_a_certificate_is_revoked_once_and_that_is_recorded(client, system, collections):
    issue(collections, "1f", state="installed")
    path = "/api/v1/issued-certificates/1f/revoke"
    first = client.simulate_post(path, body='{"by": "ann", "reason": "key_compromise"}')
    again = client.simulate_post(path, body='{"by": "bob"}')
    assert [reply.status_code for reply in (first, again)] == [200, 200]
    for reply in (first, again):
        facts = reply.json["state"], reply.json["reason"], reply.json["changed_by"]
        assert facts == ("revoked", "key_compromise", "ann")
    (event,) = system.store.events(charge_point_id="CP1", kind="by_hand")
    assert event.data == {
        "what": "revoke_certificate",
        "by": "ann",
        "serial_number": "1f",
        "reason": "key_compromise",
    }


@pytest.mark.parametrize("body", ['{"reason": "boredom"}', '{"by": ""}', '{"who": "ann"}'])
def test_a_wrong_revocation_is_refused_and_changes_nothing(client, collections, body):
    issue(collections, "1f")
    reply = client.simulate_post("/api/v1/issued-certificates/1f/revoke", body=body)
    assert reply.status_code == 422
    assert collections.issued_certificates.get("1f").state == "issued"
