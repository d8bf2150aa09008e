"""Certificates over HTTP."""

import datetime as dt

import pytest

from chargehand import InstalledCertificate

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
