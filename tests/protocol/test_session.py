"""The protocol session as pure state: frames in, events and frames out, time as an argument."""

import json

import pytest

from chargehand.protocol import v16
from chargehand.protocol.actions import Sender
from chargehand.protocol.errors import ErrorCode
from chargehand.protocol.outgoing import Outgoing
from chargehand.protocol.payload import build
from chargehand.protocol.session import (
    INFINITY,
    LATE_REMEMBERED,
    Answered,
    Declined,
    Ignored,
    Incoming,
    RefusedCall,
    Registration,
    Session,
    SessionRules,
)

TIME = "2026-01-01T00:00:00Z"
START = {"connectorId": 1, "idTag": "T1", "meterStart": 0, "timestamp": TIME}
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}


def make(registration=None, **rules):
    return Session(SessionRules(version=v16.VERSION, **rules), "p-", registration)


@pytest.fixture
def session():
    return make()


def receive(session, *frame, now=0.0):
    return session.receive(json.dumps(frame).encode(), now)


def call(session, action, payload=None, unique_id="1", now=0.0):
    return receive(session, 2, unique_id, action, {} if payload is None else payload, now=now)


def code(event):
    """Return the code of an immediate answer in its spelling on the wire."""
    assert isinstance(event, RefusedCall), event
    frame = json.loads(event.frame)
    assert frame[0] == 4
    return frame[2]


def outgoing(request=None, timeout_s=30.0, expires_at=INFINITY):
    request = request or v16.GetLocalListVersion()
    action = v16.VERSION.row_of(request)
    return Outgoing(object(), action, request, build(action.request, request), timeout_s, expires_at)


def sent(session, request=None, now=0.0, **options):
    """Submit a command and put it on the wire."""
    one = outgoing(request, **options)
    assert session.submit(one)
    assert session.next_call(now)[0] is one
    return one


# Calls of the peer's


def test_a_call_is_read_and_waits_for_its_answer(session):
    event = call(session, "Authorize", {"idTag": "T1"}, "id-1", now=5.0)
    assert isinstance(event, Incoming)
    assert event.request == v16.Authorize(id_tag="T1")
    assert (event.unique_id, event.action.name, event.open) == ("id-1", "Authorize", True)
    assert (event.received_at, event.due) == (5.0, 15.0)
    assert list(session.incoming) == [event]


def test_an_answer_is_written_once(session):
    event = call(session, "Heartbeat")
    assert session.answer(event, b'{"a":1}') == b'[3,"1",{"a":1}]'
    assert session.answer(event, b"{}") is None
    assert session.refuse(event, ErrorCode.INTERNAL_ERROR) is None
    assert not session.incoming


def test_a_refusal_is_written_once_and_as_the_version_spells_it(session):
    event = call(session, "Heartbeat")
    refusal = session.refuse(event, ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, "why", {"a": 1})
    assert json.loads(refusal) == [4, "1", "OccurenceConstraintViolation", "why", {"a": 1}]
    assert session.refuse(event, ErrorCode.INTERNAL_ERROR) is None
    assert session.answer(event, b"{}") is None


def test_two_calls_with_the_same_id_are_two_calls(session):
    one, two = call(session, "Heartbeat"), call(session, "Heartbeat")
    assert session.answer(one, b"{}") == session.answer(two, b"{}") == b'[3,"1",{}]'


@pytest.mark.parametrize(
    ("action", "payload", "expected"),
    [
        ("NoSuchAction", {}, "NotImplemented"),
        ("heartbeat", {}, "NotImplemented"),
        ("ClearCache", {}, "NotSupported"),
        ("Authorize", {}, "OccurenceConstraintViolation"),
        ("Authorize", {"idTag": {}}, "TypeConstraintViolation"),
        ("Authorize", [], "TypeConstraintViolation"),
    ],
)
def test_a_call_that_cannot_be_taken_is_answered_at_once(session, action, payload, expected):
    assert code(call(session, action, payload)) == expected
    assert not session.incoming


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"idTag": "x" * 21}, "PropertyConstraintViolation"),
        ({"idTag": 5}, "TypeConstraintViolation"),
        ({"idTag": "T1", "more": 1}, "FormationViolation"),
    ],
)
def test_a_deviation_is_mended_by_the_lenient_policy_and_refused_by_the_strict_one(payload, expected):
    lenient = call(make(), "Authorize", payload)
    assert isinstance(lenient, Incoming)
    assert len(lenient.deviations) == 1
    assert code(call(make(strict=True), "Authorize", payload)) == expected


@pytest.mark.parametrize("action", ["StartTransaction", "StopTransaction", "MeterValues"])
def test_an_unreadable_transaction_message_is_taken_raw_by_the_lenient_policy(action):
    event = call(make(), action, {"a": 1})
    assert isinstance(event, Incoming)
    assert event.request is None
    assert json.loads(bytes(event.payload)) == {"a": 1}
    assert event.deviations
    assert code(call(make(strict=True), action, {"a": 1})) is not None


def test_an_action_that_both_sides_send_is_taken_by_both():
    assert isinstance(call(make(), "DataTransfer", {"vendorId": "V"}), Incoming)
    assert isinstance(call(make(receives=Sender.CENTRAL_SYSTEM), "DataTransfer", {"vendorId": "V"}), Incoming)


def test_the_other_side_takes_the_other_actions():
    session = make(receives=Sender.CENTRAL_SYSTEM, registration=Registration.REJECTED)
    assert isinstance(call(session, "ClearCache"), Incoming)
    assert code(call(session, "Heartbeat")) == "NotSupported"


def test_a_broken_call_is_answered_if_its_id_is_known(session):
    assert code(session.receive(b'[2,"1","Heartbeat"]', 0.0)) == "FormationViolation"
    assert code(session.receive(b'[2,"1","Heartbeat",{', 0.0)) == "FormationViolation"
    assert code(session.receive(b'[2,"1",5,{}]', 0.0)) == "TypeConstraintViolation"
    assert isinstance(session.receive(b"[2,5", 0.0), Ignored)


def test_a_call_can_be_answered_although_reading_it_failed(session):
    event = session.salvage(b'[2,"1","MeterValues",{"a":1}]', 5.0)
    assert (event.action.name, event.request, event.due) == ("MeterValues", None, 15.0)
    assert session.answer(event, b"{}") == b'[3,"1",{}]'


@pytest.mark.parametrize(
    "data", [b"junk", b'[3,"1",{}]', b'[2,"1","NoSuchAction",{}]', b'[2,"1","Heartbeat"]']
)
def test_what_is_no_call_of_a_known_action_cannot(session, data):
    assert session.salvage(data, 0.0) is None


# Registration


@pytest.mark.parametrize(
    ("registration", "action", "answered"),
    [
        (None, "Heartbeat", True),
        (Registration.ACCEPTED, "Heartbeat", True),
        (Registration.PENDING, "Heartbeat", False),
        (Registration.REJECTED, "Heartbeat", False),
        (Registration.PENDING, "BootNotification", True),
        (Registration.REJECTED, "BootNotification", True),
        (Registration.PENDING, "StartTransaction", True),
        (Registration.REJECTED, "StartTransaction", True),
    ],
)
def test_before_it_is_accepted_only_some_calls_pass(registration, action, answered):
    payload = {"BootNotification": BOOT, "StartTransaction": START}.get(action, {})
    event = call(make(registration), action, payload)
    if answered:
        assert isinstance(event, Incoming)
    else:
        assert code(event) == "SecurityError"


def test_the_settings_decide_about_one_never_seen_booting_and_about_transactions():
    assert code(call(make(accept_unbooted=False), "Heartbeat")) == "SecurityError"
    assert isinstance(call(make(accept_unbooted=False), "BootNotification", BOOT), Incoming)
    session = make(Registration.REJECTED, answer_transactions_unregistered=False)
    assert code(call(session, "StartTransaction", START)) == "SecurityError"


START_IT, STOP_IT = v16.RemoteStartTransaction(id_tag="T1"), v16.RemoteStopTransaction(transaction_id=1)


@pytest.mark.parametrize(
    ("registration", "goes"),
    [
        (None, [True, True, True]),
        (Registration.ACCEPTED, [True, True, True]),
        (Registration.PENDING, [True, False, False]),
        (Registration.REJECTED, [False, False, False]),
    ],
)
def test_what_may_be_sent_depends_on_it_too(registration, goes):
    requests = (v16.GetLocalListVersion(), START_IT, STOP_IT)
    assert [make(registration).may_send(v16.VERSION.row_of(request)) for request in requests] == goes


def test_what_may_not_go_yet_goes_when_it_is_accepted():
    session = make(Registration.PENDING)
    start, other = outgoing(START_IT), outgoing()
    session.submit(start)
    session.submit(other)
    assert session.next_call(0.0)[0] is other
    receive(session, 3, other.unique_id, {"listVersion": 1})
    assert session.next_call(0.0) is None
    session.registration = Registration.ACCEPTED
    assert session.next_call(0.0)[0] is start


# Calls of ours


def test_a_call_goes_out_with_an_id_of_its_own(session):
    session.submit(outgoing(v16.ClearCache()))
    one, frame = session.next_call(5.0)
    assert json.loads(frame) == [2, one.unique_id, "ClearCache", {}]
    assert one.unique_id.startswith("p-")
    assert one.due == 35.0


def test_there_is_one_on_the_wire(session):
    first = sent(session)
    session.submit(outgoing())
    assert session.next_call(0.0) is None
    receive(session, 3, first.unique_id, {"listVersion": 1})
    assert session.next_call(0.0) is not None


def test_a_queue_that_is_full_takes_no_more():
    session = make(queue_limit=2)
    assert [session.submit(outgoing()) for _ in range(3)] == [True, True, False]
    session.next_call(0.0)
    assert session.submit(outgoing())


def test_an_answer_is_read_and_frees_the_wire(session):
    one = sent(session)
    event = receive(session, 3, one.unique_id, {"listVersion": 7})
    assert isinstance(event, Answered)
    assert (event.outgoing, event.response.list_version, event.late) == (one, 7, False)
    assert session.calls.on_wire is None


def test_a_refusal_is_read_in_the_spelling_of_any_version(session):
    for spelling in ("OccurenceConstraintViolation", "OccurrenceConstraintViolation"):
        one = sent(session)
        event = receive(session, 4, one.unique_id, spelling, "why", {"a": 1})
        assert isinstance(event, Declined)
        assert event.code is ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION
        assert (event.description, event.details) == ("why", {"a": 1})


def test_a_code_that_nobody_knows_is_kept_as_it_is(session):
    one = sent(session)
    assert receive(session, 4, one.unique_id, "Whatever").code == "Whatever"


def test_an_answer_that_breaks_the_contract_is_told_as_such_and_frees_the_wire(session):
    one = sent(session)
    event = receive(session, 3, one.unique_id, {})
    assert event.response is None
    assert event.refused.code is ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION
    assert session.calls.on_wire is None


def test_an_answer_whose_reading_fails_leaves_its_call_on_the_wire(session, monkeypatch):
    one = sent(session)

    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr("chargehand.protocol.session.lenient", broken)
    with pytest.raises(ZeroDivisionError):
        receive(session, 3, one.unique_id, {"listVersion": 1})
    assert session.calls.on_wire is one


@pytest.mark.parametrize("kind", [3, 4])
def test_an_answer_to_nothing_is_ignored(session, kind):
    assert isinstance(receive(session, kind, "p-1", {}), Ignored)
    one = sent(session)
    assert isinstance(receive(session, kind, "other", {}), Ignored)
    assert session.calls.on_wire is one


def test_the_two_directions_are_independent(session):
    one = sent(session)
    theirs = call(session, "Heartbeat", unique_id=one.unique_id)  # even with the same id
    assert isinstance(theirs, Incoming)
    assert isinstance(receive(session, 3, one.unique_id, {"listVersion": 1}), Answered)
    assert session.answer(theirs, b"{}") is not None


# Time


def test_nothing_is_due_in_a_session_without_calls(session):
    assert session.due() == INFINITY
    assert session.pass_time(1e9) == ([], None, [])


def test_what_is_due_is_told_once(session):
    event = call(session, "Heartbeat", now=0.0)
    assert session.due() == 10.0
    assert session.pass_time(9.9) == ([], None, [])
    assert session.pass_time(10.0) == ([event], None, [])
    assert event.open  # until it is answered
    assert session.pass_time(11.0) == ([], None, [])
    assert session.due() == INFINITY
    assert session.answer(event, b"{}") is not None


def test_an_action_may_have_a_deadline_of_its_own():
    session = make(deadlines_s={"Authorize": 2.0})
    assert call(session, "Authorize", {"idTag": "T1"}).due == 2.0
    assert call(session, "Heartbeat").due == 10.0
    assert session.due() == 2.0


def test_a_call_of_ours_times_out_and_frees_the_wire(session):
    one = sent(session, timeout_s=5.0)
    session.submit(outgoing())
    assert session.due() == 5.0
    assert session.pass_time(5.0) == ([], one, [])
    assert session.next_call(5.0) is not None


def test_a_call_of_ours_that_waits_too_long_is_taken_out(session):
    sent(session, timeout_s=60.0)
    waits = outgoing(expires_at=7.0)
    session.submit(waits)
    assert session.due() == 7.0
    assert session.pass_time(7.0) == ([], None, [waits])


def test_a_late_answer_is_known_as_one_and_never_matched_to_another_call(session):
    late = sent(session, timeout_s=5.0)
    session.pass_time(5.0)
    newer = sent(session)
    event = receive(session, 3, late.unique_id, {"listVersion": 1})
    assert (event.outgoing, event.late) == (late, True)
    assert session.calls.on_wire is newer
    assert isinstance(receive(session, 3, late.unique_id, {"listVersion": 1}), Ignored)  # once


def test_only_so_many_late_ones_are_remembered(session):
    ids = []
    for _ in range(LATE_REMEMBERED + 1):
        ids.append(sent(session, timeout_s=1.0).unique_id)
        session.pass_time(1.0)
    assert isinstance(receive(session, 3, ids[0], {"listVersion": 1}), Ignored)
    assert receive(session, 3, ids[1], {"listVersion": 1}).late


# Losing the connection


def test_a_lost_connection_ends_what_only_it_carried(session):
    theirs, ours, waits = call(session, "Heartbeat"), sent(session), outgoing()
    session.submit(waits)
    assert session.disconnected() == ([theirs], ours)
    assert not theirs.open
    assert session.answer(theirs, b"{}") is None
    assert session.next_call(0.0)[0] is waits


def test_late_answers_are_not_known_over_the_next_connection(session):
    late = sent(session, timeout_s=5.0)
    session.pass_time(5.0)
    session.disconnected()
    assert isinstance(receive(session, 3, late.unique_id, {"listVersion": 1}), Ignored)


def test_ids_do_not_begin_again_over_the_next_connection(session):
    first = sent(session)
    session.disconnected()
    assert sent(session).unique_id != first.unique_id
