"""Messages between nodes and plugin hosts."""

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from chargehand import ErrorCode, OcppError, TicketState, v16
from chargehand.actors.session.charge_point import ChargePoint
from chargehand.actors.session.tickets import Ticket
from chargehand.protocol.session import Registration
from chargehand.protocol.versions import VERSIONS
from chargehand.protocol.x509 import Certificate, TlsFacts
from chargehand.remote.plugins import envelopes
from chargehand.remote.plugins.envelopes import (
    CallMade,
    OutcomeSeen,
    RemoteFailed,
    Seen,
    UnreadableEnvelope,
    charge_point_of,
    encode,
    facts_of,
    outcome_of,
    read_answer,
    read_envelope,
    read_verdict,
    ticket_facts,
    ticket_of,
)


def call(**changes):
    members = {
        "v": 1,
        "id": "n-1",
        "node": "n",
        "charge_point": "CP",
        "action": "Heartbeat",
        "unique_id": "u",
        "payload": Raw(b'{"a": [1]}'),
        "received_at": 1.5,
        "deadline_at": 11.5,
        "timeout_s": 10.0,
        "key": "k",
        "keep_s": 60,
    }
    return CallMade(**members | changes)


def test_a_call_is_json_with_every_member_the_payload_as_it_was():
    data = json.loads(encode(call(epoch=3, transaction_id=7, redelivered=True)))
    assert data == {
        "v": 1,
        "kind": "call",
        "id": "n-1",
        "node": "n",
        "charge_point": "CP",
        "epoch": 3,
        "ocpp": "1.6",
        "action": "Heartbeat",
        "unique_id": "u",
        "payload": {"a": [1]},
        "received_at": 1.5,
        "deadline_at": 11.5,
        "timeout_s": 10.0,
        "key": "k",
        "keep_s": 60,
        "transaction_id": 7,
        "replayed": True,
        "deviations": [],
        "facts": {},
        "naive_offset_min": 0,
    }
    back = read_envelope(encode(call()))
    assert bytes(back.payload) == b'{"a": [1]}'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"v":1,"kind":"what"}',
        b'{"kind":"seen","v":2,"node":"n","charge_point":"c","items":[]}',
        b"\xff",
    ],
)
def test_what_is_no_envelope_is_told(data):
    with pytest.raises(UnreadableEnvelope):
        read_envelope(data)


@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_do_any_other_harm(data):
    for read in (read_envelope, read_answer, read_verdict, envelopes.read_wants):
        try:
            read(data)
        except UnreadableEnvelope:
            continue


def test_an_answer_is_a_response_or_an_error_or_a_failure():
    def outcome(text):
        return outcome_of(read_answer(b'{"v":1,"kind":"answer","id":"1",' + text + b"}"))

    assert outcome(b'"response":{"a":1}') == b'{"a":1}'
    refused = outcome(b'"error":{"code":"OccurenceConstraintViolation","description":"d","details":{"x":1}}')
    assert isinstance(refused, OcppError)
    assert (refused.code, refused.description, refused.details) == (
        ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,
        "d",
        {"x": 1},
    )
    for text in (b'"failed":"it did"', b'"error":{"code":"Whatever"}', b'"more":1'):
        assert isinstance(outcome(text), RemoteFailed)


def known():
    charge_point = ChargePoint("CP", "site", "1.6")
    certificate = Certificate(
        subject="CN=CP",
        issuer="CN=CA",
        serial_number="1f",
        not_before=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        not_after=dt.datetime(2027, 1, 1, tzinfo=dt.UTC),
        key="ECDSA",
        fingerprint="00",
        names=("CP",),
    )
    charge_point.tls = TlsFacts(version="TLSv1.3", suite="x", certificate=certificate)
    charge_point.peer, charge_point.connected_at = "1.2.3.4:5", 12.5
    charge_point.registration = Registration.ACCEPTED
    charge_point.boot = v16.BootNotification(charge_point_vendor="v", charge_point_model="m")
    status = v16.StatusNotification(
        connector_id=1,
        error_code=v16.ChargePointErrorCode.NO_ERROR,
        status=v16.ChargePointStatus.AVAILABLE,
    )
    charge_point.note_status(1, status)
    return charge_point


def test_the_facts_of_a_charge_point_arrive_whole():
    before = known()
    after = charge_point_of("CP", "1.6", VERSIONS, facts_of(before))
    for name in (
        "id", "name", "version", "peer", "secure", "tls", "connected_at", "disconnected_at", "registration", "boot",
        "connectors", "online",
    ):  # fmt: skip
        assert getattr(after, name) == getattr(before, name), name


def test_a_message_among_the_facts_that_cannot_be_read_is_left_out():
    facts = Raw(b'{"peer":"p","boot":[],"connectors":{"1":{},"2":null}}')
    charge_point = charge_point_of("CP", "1.6", VERSIONS, facts)
    assert (charge_point.peer, charge_point.boot, charge_point.connectors) == ("p", None, {})
    with pytest.raises(UnreadableEnvelope):
        charge_point_of("CP", "1.6", VERSIONS, Raw(b"[]"))


def test_a_ticket_arrives_with_how_it_ended():
    request = v16.ChangeAvailability(connector_id=1, type=v16.AvailabilityType.OPERATIVE)
    ticket = Ticket(
        "t-1",
        "CP",
        "ChangeAvailability",
        request,
        b'{"connectorId":1,"type":"Operative"}',
        timeout_s=30.0,
        created_at=1.0,
    )
    ticket.sent(2.0)
    ticket.response = v16.ChangeAvailabilityResponse(status=v16.AvailabilityStatus.ACCEPTED)
    ticket.end(TicketState.ANSWERED, 3.0)
    envelope = OutcomeSeen(v=1, node="n", charge_point="CP", ticket=ticket_facts(ticket))
    after = ticket_of(read_envelope(encode(envelope)), VERSIONS)
    for name in (
        "id",
        "charge_point_id",
        "action",
        "request",
        "payload",
        "state",
        "response",
        "sent_at",
        "ended_at",
    ):
        assert getattr(after, name) == getattr(ticket, name), name
    assert after.result() == ticket.response


def test_a_ticket_of_an_unknown_action_is_unreadable():
    facts = envelopes.TicketFacts("1", "What", TicketState.SENT, Raw(b"{}"), 1.0, 1.0)
    with pytest.raises(UnreadableEnvelope):
        ticket_of(OutcomeSeen(v=1, node="n", charge_point="CP", ticket=facts), VERSIONS)


def test_what_may_come_in_another_envelope_is_lasting():
    assert not call().is_lasting
    assert call(keep_s=envelopes.KEEP_TRANSACTION_S).is_lasting
    assert isinstance(read_envelope(encode(Seen(v=1, node="n", charge_point="", items=()))), Seen)


def test_a_new_key_does_not_leave_the_process_with_the_outcome_of_its_command():
    request = v16.ChangeConfiguration(key="AuthorizationKey", value="0123456789abcdef")
    payload = b'{"key":"AuthorizationKey","value":"0123456789abcdef"}'
    ticket = Ticket("t-1", "CP", "ChangeConfiguration", request, payload, timeout_s=30.0, created_at=1.0)
    ticket.end(TicketState.TIMED_OUT, 3.0)
    envelope = encode(OutcomeSeen(v=1, node="n", charge_point="CP", ticket=ticket_facts(ticket)))
    assert b"0123456789abcdef" not in envelope
    after = ticket_of(read_envelope(envelope), VERSIONS)
    assert (after.action, after.request.key, after.state) == (
        "ChangeConfiguration",
        "AuthorizationKey",
        TicketState.TIMED_OUT,
    )
