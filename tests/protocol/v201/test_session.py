"""A session of OCPP 2.0.1: odd frames, and what passes before the station is accepted."""

import json

import pytest

from chargehand import v16, v201
from chargehand.protocol.outgoing import Outgoing
from chargehand.protocol.payload import build
from chargehand.protocol.session import Ignored, Incoming, RefusedCall, Registration, Session, SessionRules

TIME = "2026-05-04T12:00:00Z"
PAYLOADS = {
    "Heartbeat": {},
    "NotifyReport": {"requestId": 5, "generatedAt": TIME, "seqNo": 0},
    "SecurityEventNotification": {"type": "T", "timestamp": TIME},
    "SignCertificate": {"csr": "C"},
    "StatusNotification": {"timestamp": TIME, "connectorStatus": "Available", "evseId": 1, "connectorId": 1},
}


def session(registration=Registration.ACCEPTED, version=v201.VERSION, **rules):
    return Session(SessionRules(version=version, **rules), "p-", registration)


def passing(one):
    """Return the actions that the session lets through now."""
    passed = set()
    for action, payload in PAYLOADS.items():
        event = one.receive(json.dumps([2, "1", action, payload]).encode(), 0.0)
        if isinstance(event, Incoming):
            passed.add(action)
        else:
            assert json.loads(event.frame)[2] == "SecurityError"
    return passed


def ask(one, request, status="Accepted"):
    row = v201.VERSION.row_of(request)
    outgoing = Outgoing(object(), row, request, build(row.request, request), 30.0)
    assert one.submit(outgoing)
    assert one.next_call(0.0)[0] is outgoing
    one.receive(json.dumps([3, outgoing.unique_id, {"status": status}]).encode(), 1.0)


@pytest.mark.parametrize(
    ("request_", "passed"),
    [
        (v201.GetBaseReport(request_id=5, report_base="FullInventory"), {"NotifyReport"}),
        (v201.GetReport(request_id=5), {"NotifyReport"}),
        (v201.TriggerMessage(requested_message="StatusNotification"), {"StatusNotification"}),
        (v201.TriggerMessage(requested_message="SignV2GCertificate"), {"SignCertificate"}),
    ],
)
def test_while_pending_only_what_was_asked_for_passes(request_, passed):
    one = session(Registration.PENDING)
    assert passing(one) == set()
    ask(one, request_, "Rejected")
    assert passing(one) == set()
    ask(one, request_)
    assert passing(one) == passed


def test_an_event_passes_before_the_station_is_accepted_for_it_is_money():
    payload = {
        "eventType": "Started", "timestamp": TIME, "triggerReason": "Authorized", "seqNo": 0,
        "transactionInfo": {"transactionId": "t"},
    }  # fmt: skip
    frame = json.dumps([2, "1", "TransactionEvent", payload]).encode()
    assert isinstance(session(Registration.PENDING).receive(frame, 0.0), Incoming)


@pytest.mark.parametrize(
    ("frame", "unique_id", "code"),
    [
        (b"hello", "-1", "RpcFrameworkError"),
        (b"[]", "-1", "RpcFrameworkError"),
        (b'[2,5,"Heartbeat",{}]x', "-1", "RpcFrameworkError"),
        (b"[2,null,{}]", "-1", "RpcFrameworkError"),
        (b'[7,"a","A",{}]', "a", "MessageTypeNotSupported"),
        (b"[7]", "-1", "MessageTypeNotSupported"),
        (b'[2,"a","Heartbeat"]', "a", "FormatViolation"),
        (b'[2,"a","Heartbeat",{"b":1}]', "a", "FormatViolation"),
        (b'[2,"a","StatusNotification",{}]', "a", "OccurrenceConstraintViolation"),
        (b'[2,"a","StartTransaction",{}]', "a", "NotImplemented"),
        (b'[2,"a","Reset",{"type":"OnIdle"}]', "a", "NotSupported"),
    ],
)
def test_a_frame_that_cannot_be_used_is_answered_with_its_error(frame, unique_id, code):
    event = session(strict=True).receive(frame, 0.0)
    assert isinstance(event, RefusedCall)
    assert json.loads(event.frame)[:3] == [4, unique_id, code]


@pytest.mark.parametrize(
    "frame",
    [
        b'[5,"a","GenericError","",{}]',
        b'[6,"a","A",{}]',
        b'[3,"a",{}]',
        b'[4,"-1","X","",{}]',
        b"pong",
        b"[3",
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_an_answer_and_what_nobody_answers_is_never_answered(frame, strict):
    assert isinstance(session(strict=strict).receive(frame, 0.0), Ignored)


@pytest.mark.parametrize("frame", [b"hello", b"[]", b'[7,"a","A",{}]'])
def test_ocpp_1_6_ignores_what_is_no_frame_of_its_own(frame):
    assert isinstance(session(version=v16.VERSION).receive(frame, 0.0), Ignored)
