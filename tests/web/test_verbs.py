"""Verbs over HTTP: strict about their members, and answered as commands are."""

import json

import falcon
import gevent
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargehand import v16
from chargehand.protocol.verbs import VERBS

from ..store import transactions


def path(verb, charge_point="CP1", **query):
    text = "&".join(f"{key}={value}" for key, value in query.items())
    return f"/api/v1/charge-points/{charge_point}/verbs/{verb}?{text}"


def accept(_action, _payload):
    return [3, {"status": "Accepted"}]


@pytest.fixture
def cp(charge_point):
    return charge_point("CP1", accept)


GIVEN = {
    "start_charging": ({"id_tag": "T1", "evse": 2}, "RemoteStartTransaction", {"idTag": "T1", "connectorId": 2}),
    "unlock": ({"evse": 2}, "UnlockConnector", {"connectorId": 2}),
    "set_availability": (
        {"available": False},
        "ChangeAvailability",
        {"connectorId": 0, "type": "Inoperative"},
    ),
    "reset": ({"at_once": True}, "Reset", {"type": "Hard"}),
    "clear_limit": ({"evse": 1}, "ClearChargingProfile", {"id": 990_012}),
    "trigger": ({"message": "Heartbeat"}, "TriggerMessage", {"requestedMessage": "Heartbeat"}),
    "get_configuration": ({"keys": ["A"]}, "GetConfiguration", {"key": ["A"]}),
    "set_configuration": ({"key": "A", "value": "1"}, "ChangeConfiguration", {"key": "A", "value": "1"}),
    "update_firmware": (
        {"location": "ftp://h/f", "retrieve_at": "2026-12-01T02:00:00+01:00", "retries": 2},
        "UpdateFirmware",
        {"location": "ftp://h/f", "retrieveDate": "2026-12-01T01:00:00Z", "retries": 2},
    ),
    "get_logs": ({"location": "ftp://h/"}, "GetDiagnostics", {"location": "ftp://h/"}),
    "cancel_reservation": ({"reservation_id": 7}, "CancelReservation", {"reservationId": 7}),
    "install_certificate": (
        {"certificate": "-----BEGIN CERTIFICATE-----"},
        "InstallCertificate",
        {"certificateType": "CentralSystemRootCertificate", "certificate": "-----BEGIN CERTIFICATE-----"},
    ),
    "get_installed_certificates": (
        {"uses": ["manufacturer"]},
        "GetInstalledCertificateIds",
        {"certificateType": "ManufacturerRootCertificate"},
    ),
    "delete_certificate": (
        {"serial_number": "1f", "issuer_name_hash": "aa", "issuer_key_hash": "bb"},
        "DeleteCertificate",
        {
            "certificateHashData": {
                "hashAlgorithm": "SHA256",
                "issuerNameHash": "aa",
                "issuerKeyHash": "bb",
                "serialNumber": "1f",
            }
        },
    ),
    "send_certificate": (
        {"certificate_chain": "-----BEGIN CERTIFICATE-----"},
        "CertificateSigned",
        {"certificateChain": "-----BEGIN CERTIFICATE-----"},
    ),
    "renew_certificate": ({}, "ExtendedTriggerMessage", {"requestedMessage": "SignChargePointCertificate"}),
    "composite_schedule": (
        {"evse": 1, "duration_s": 60, "unit": "W"},
        "GetCompositeSchedule",
        {"connectorId": 1, "duration": 60, "chargingRateUnit": "W"},
    ),
    "sync_local_list": ({"full": True}, "SendLocalList", {"listVersion": 1, "updateType": "Full"}),
}  # fmt: skip


@pytest.mark.parametrize("verb", GIVEN)
def test_a_verb_is_sent_as_the_message_of_the_version_and_answered_with_it(client, cp, verb):
    members, action, payload = GIVEN[verb]
    reply = client.simulate_post(path(verb, wait=1), body=json.dumps(members))
    assert [call[0] for call in cp.calls] == [action]
    assert cp.calls[0][1] == payload
    assert (reply.json["action"], reply.json["request"]) == (action, payload)
    assert reply.json["state"] == "answered"


def test_each_verb_has_an_example_here_or_a_test_of_its_own():
    of_later_versions = {name for name, kind in VERBS.items() if kind not in v16.VERSION.verbs}
    assert set(VERBS) - set(GIVEN) - of_later_versions == {"stop_charging", "limit", "reserve", "rotate_key"}


@pytest.mark.parametrize(
    ("verb", "members"),
    [
        ("get_monitors", {}),
        ("set_display_message", {"text": "x"}),
        ("publish_firmware", {"location": "x", "checksum": "y"}),
    ],
)
def test_a_verb_without_a_message_in_the_version_is_refused_by_its_name(client, cp, verb, members):
    reply = client.simulate_post(path(verb), body=json.dumps(members))
    assert reply.status == falcon.HTTP_422
    assert reply.json["description"] == f"OCPP 1.6 has no message for {verb}"
    assert not cp.calls


def test_a_verb_without_a_body_has_its_defaults(client, cp):
    assert client.simulate_post(path("unlock")).json["request"] == {"connectorId": 1}


def test_a_reservation_without_a_number_is_answered_with_the_one_that_was_drawn(client, cp):
    members = {"id_tag": "T1", "until": "2026-12-01T00:00:00Z", "evse": 1}
    reply = client.simulate_post(path("reserve"), body=json.dumps(members))
    assert reply.status == falcon.HTTP_200
    assert reply.json["request"]["reservationId"] == cp.calls[0][1]["reservationId"] > 0


def test_a_credential_is_shown_in_no_answer(client, cp):
    members = {"key": "AuthorizationKey", "value": "0123456789abcdef0123456789abcdef"}
    reply = client.simulate_post(path("set_configuration"), body=json.dumps(members))
    assert cp.calls == [("ChangeConfiguration", members)]
    shown = client.simulate_get(f"/api/v1/tickets/{reply.json['ticket']}")
    for text in (reply.text, shown.text):
        assert "AuthorizationKey" in text
        assert members["value"] not in text


def test_a_verb_takes_the_options_of_commands(client, cp, system):
    system.store.register("CP2", "Accepted")
    reply = client.simulate_post(path("unlock", "CP2", when_offline="queue", expires_in=60))
    assert reply.status == falcon.HTTP_202
    assert reply.headers["Location"] == f"/api/v1/tickets/{reply.json['ticket']}"
    assert client.simulate_post(path("unlock", timeout=0)).status == falcon.HTTP_400
    assert client.simulate_post(path("unlock", until_effect=1)).status == falcon.HTTP_400
    assert client.simulate_post(path("unlock", "CP9", when_offline="queue")).status == falcon.HTTP_404
    assert client.simulate_post(path("unlock", "CP9")).status == falcon.HTTP_404


def test_the_effect_of_a_verb_is_waited_for(client, cp, wait_until):
    waiting = gevent.spawn(client.simulate_post, path("reset", until_effect=1))
    wait_until(lambda: cp.calls, "the command has arrived")
    wait_until(lambda: not client.simulate_get("/api/v1/charge-points/CP1").json["open_tickets"], "answered")
    cp.send(2, "1", "BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "Wallbox"})
    reply = waiting.get(timeout=60)
    assert (reply.status, reply.json["effect"]) == (falcon.HTTP_200, "done")


# Refused before there is a ticket


@pytest.mark.parametrize(
    ("verb", "body", "hint"),
    [
        ("unlock", '{"evse": "two"}', "evse: Expected `int`, got `str`"),
        ("unlock", '{"evse": 1.5}', "evse: Expected `int`, got `float`"),
        ("unlock", '{"connectorId": 1}', "connectorId: there is no such member"),
        ("unlock", '{"verb": "reset"}', "verb: Invalid value 'reset'"),
        ("start_charging", "{}", "id_tag: is missing"),
        ("reserve", '{"id_tag": "T", "until": "2026-12-01T00:00:00"}', "until: Expected `datetime` with a timezone"),
        ("reserve", '{"id_tag": "T", "until": "soon"}', "until: Invalid RFC3339"),
        ("get_configuration", '{"keys": ["A", 1]}', "keys: Expected `str`, got `int`"),
        ("limit", '{"watts": 1e999}', "watts: Number out of range"),
        ("limit", "{}", "a limit is in watts or in amps"),
        ("limit", '{"watts": 1e300}', "a limit is from 0 to 1,000,000,000"),
        ("unlock", '{"evse": 0}', "evse must be at least 1"),
        ("reset", '{"evse": 1}', "an EVSE alone cannot be reset"),
        ("unlock", "[]", "Expected `object`, got `array`"),
    ],
)  # fmt: skip
def test_members_that_make_no_sense_are_422_and_named(client, cp, verb, body, hint):
    reply = client.simulate_post(path(verb), body=body)
    assert reply.status == falcon.HTTP_422
    assert hint in reply.json["description"]
    assert cp.calls == []


def test_what_the_message_does_not_take_is_422_with_every_violation(client, cp):
    members = {"key": "k" * 51, "value": "v" * 501}
    reply = client.simulate_post(path("set_configuration"), body=json.dumps(members))
    assert reply.status == falcon.HTTP_422
    assert {row["path"] for row in reply.json["violations"]} == {"key", "value"}


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"evse": 1} x'])
def test_a_body_that_is_no_json_is_400(client, cp, body):
    reply = client.simulate_post(path("unlock"), body=body)
    assert (reply.status, reply.json["title"]) == (falcon.HTTP_400, "Not JSON")


def test_an_unknown_verb_is_404_with_a_did_you_mean(client, cp):
    reply = client.simulate_post(path("Unlocks"))
    assert (reply.status, reply.json["title"]) == (falcon.HTTP_404, "Unknown verb")
    assert "did you mean unlock?" in reply.json["description"]


def test_a_limit_that_the_charge_point_cannot_take_is_422(client, charge_point):
    key = {"key": "ChargingScheduleAllowedChargingRateUnit", "readonly": True, "value": "Current"}
    cp = charge_point("CP1", lambda *_: [3, {"configurationKey": [key]}])
    client.simulate_post(path("get_configuration"))
    reply = client.simulate_post(path("limit"), body='{"watts": 7400}')
    assert (reply.status, reply.json["title"]) == (falcon.HTTP_422, "Verb refused")
    assert "without phases W cannot be converted" in reply.json["description"]
    assert len(cp.calls) == 1


# Transactions are looked up


@pytest.fixture
def transaction(system, cp):
    record = msgspec.structs.replace(transactions.transaction(4711), connector_id=2)
    system.store.start_transaction(record).wait(60)
    return record.id


def test_a_transaction_is_stopped_by_its_number(client, cp, transaction):
    reply = client.simulate_post(path("stop_charging"), body=json.dumps({"transaction_id": transaction}))
    assert reply.status == falcon.HTTP_200
    assert cp.calls == [("RemoteStopTransaction", {"transactionId": transaction})]


def test_the_limit_of_a_transaction_is_set_where_it_charges(client, cp, transaction):
    body = json.dumps({"amps": 10, "transaction_id": transaction})
    payload = client.simulate_post(path("limit"), body=body).json["request"]
    assert (payload["connectorId"], payload["csChargingProfiles"]["transactionId"]) == (2, transaction)
    body = json.dumps({"transaction_id": transaction})
    assert client.simulate_post(path("clear_limit"), body=body).json["request"] == {"id": 990_023}


def test_a_transaction_that_is_not_known_is_404(client, cp):
    reply = client.simulate_post(path("stop_charging"), body='{"transaction_id": 999}')
    assert (reply.status, reply.json["title"]) == (falcon.HTTP_404, "Unknown transaction")
    assert cp.calls == []


@pytest.mark.parametrize("verb", ["stop_charging", "limit", "clear_limit"])
def test_a_transaction_of_another_charge_point_is_422(client, cp, transaction, verb):
    members = {"transaction_id": transaction} | ({"amps": 6} if verb == "limit" else {})
    reply = client.simulate_post(path(verb, "CP2"), body=json.dumps(members))
    assert reply.status == falcon.HTTP_422
    assert f"transaction {transaction} is of CP1, not of CP2" in reply.json["description"]


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**30])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(
        ["2026-12-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "7", "\x00"]
    )
    | st.lists(st.text(max_size=3), max_size=2)
)


@st.composite
def asked(draw):
    verb = draw(st.sampled_from(sorted(VERBS)))
    fields = msgspec.structs.fields(VERBS[verb])
    members = {field.name: draw(VALUES) for field in fields if field.required or draw(st.booleans())}
    return verb, members


@given(asked())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
def test_whatever_is_asked_for_is_sent_or_refused_with_a_reason(client, asked):
    verb, members = asked
    reply = client.simulate_post(path(verb, "nobody"), body=json.dumps(members))
    assert reply.status_code in {404, 422}, (reply.status, members)
    assert reply.json["description"]
