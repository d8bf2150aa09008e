"""Before it is accepted, a charge point may send the messages it was asked for. OCPP 1.6, sections 4.2 and 5.17."""

import json

import pytest

from chargehand.protocol import v16
from chargehand.protocol.outgoing import Outgoing
from chargehand.protocol.payload import build
from chargehand.protocol.session import Incoming, RefusedCall, Registration, Session, SessionRules

TIME = "2026-01-01T00:00:00Z"
CSR = v16.ExtendedTriggerMessage(requested_message="SignChargePointCertificate")
PAYLOADS = {
    "DiagnosticsStatusNotification": {"status": "Idle"},
    "FirmwareStatusNotification": {"status": "Idle"},
    "Heartbeat": {},
    "LogStatusNotification": {"status": "Idle"},
    "SignCertificate": {"csr": "C"},
    "SignedFirmwareStatusNotification": {"status": "Idle"},
    "StatusNotification": {"connectorId": 1, "errorCode": "NoError", "status": "Available"},
}


@pytest.fixture
def session():
    return Session(SessionRules(version=v16.VERSION), "p-", Registration.PENDING)


def passing(session):
    """Return the actions that the session lets through now."""
    passed = set()
    for action, payload in PAYLOADS.items():
        event = session.receive(json.dumps([2, "1", action, payload]).encode(), 0.0)
        if isinstance(event, Incoming):
            passed.add(action)
        else:
            assert isinstance(event, RefusedCall)
            assert json.loads(event.frame)[2] == "SecurityError"
    return passed


def ask(session, request, status="Accepted", after_s=1.0):
    """Send a trigger, and answer it."""
    action = v16.VERSION.row_of(request)
    outgoing = Outgoing(object(), action, request, build(action.request, request), 30.0)
    assert session.submit(outgoing)
    assert session.next_call(0.0)[0] is outgoing
    session.pass_time(after_s)
    session.receive(json.dumps([3, outgoing.unique_id, {"status": status}]).encode(), after_s)


def trigger(message):
    return v16.TriggerMessage(requested_message=message)


def test_nothing_was_asked_for_and_nothing_passes(session):
    assert passing(session) == set()


@pytest.mark.parametrize("message", ["Heartbeat", "StatusNotification", "DiagnosticsStatusNotification"])
def test_what_was_asked_for_passes_and_nothing_else_does(session, message):
    ask(session, trigger(message))
    assert passing(session) == {message}


def test_it_passes_more_than_once(session):
    ask(session, trigger("StatusNotification"))  # one comes for every connector
    for _ in range(3):
        assert passing(session) == {"StatusNotification"}


def test_what_was_asked_for_before_goes_on_passing(session):
    ask(session, trigger("Heartbeat"))
    ask(session, trigger("StatusNotification"))
    assert passing(session) == {"Heartbeat", "StatusNotification"}


@pytest.mark.parametrize("status", ["Rejected", "NotImplemented", "NoSuchStatus"])
def test_what_the_charge_point_will_not_send_does_not_pass(session, status):
    ask(session, trigger("Heartbeat"), status)
    assert passing(session) == set()


def test_a_yes_that_comes_late_is_a_yes(session):
    ask(session, trigger("Heartbeat"), after_s=31.0)
    assert passing(session) == {"Heartbeat"}


@pytest.mark.parametrize(
    ("request_", "passes"),
    [
        (v16.ExtendedTriggerMessage(requested_message="LogStatusNotification"), {"LogStatusNotification"}),
        (CSR, {"SignCertificate"}),
        (
            v16.ExtendedTriggerMessage(requested_message="FirmwareStatusNotification"),
            {"FirmwareStatusNotification", "SignedFirmwareStatusNotification"},
        ),
    ],
    ids=["log", "csr", "firmware"],
)
def test_the_security_extensions_triggers_let_through_what_they_bring(session, request_, passes):
    ask(session, request_)
    assert passing(session) == passes


def test_the_answer_to_another_call_lets_nothing_through(session):
    ask(session, v16.ClearCache())
    assert passing(session) == set()


def test_a_rejected_charge_point_is_not_asked_for_anything(session):
    session.registration = Registration.REJECTED
    assert not session.may_send(v16.VERSION.actions["TriggerMessage"])


def test_an_accepted_one_may_send_anything(session):
    session.registration = Registration.ACCEPTED
    assert passing(session) == set(PAYLOADS)


# A registration that was asked for


def boot_row():
    return v16.VERSION.actions["BootNotification"]


def trigger_boot(session, status="Accepted", wanted=v16.MessageTrigger.BOOT_NOTIFICATION, now=0.0):
    one = put_on_the_wire(session, v16.TriggerMessage(requested_message=wanted), now)
    if status:
        session.receive(json.dumps([3, one.unique_id, {"status": status}]).encode(), now)
    return one


def put_on_the_wire(session, request, now):
    row = v16.VERSION.row_of(request)
    assert session.submit(Outgoing(object(), row, request, build(row.request, request), 30.0))
    return session.next_call(now)[0]


@pytest.mark.parametrize("registration", [None, *Registration])
def test_a_registration_that_was_triggered_was_asked_for(registration):
    session = Session(SessionRules(version=v16.VERSION), "p-", registration)
    assert not session.asked_for(boot_row())
    if registration is not Registration.REJECTED:  # which is sent nothing
        trigger_boot(session)
        assert session.asked_for(boot_row())


def test_a_registration_that_comes_before_the_answer_to_its_trigger_was_asked_for(session):
    one = trigger_boot(session, status="")
    assert session.asked_for(boot_row())
    session.receive(json.dumps([3, one.unique_id, {"status": "Rejected"}]).encode(), 0.0)
    assert not session.asked_for(boot_row())


def test_a_registration_after_a_trigger_that_timed_out_was_asked_for(session):
    trigger_boot(session, status="")
    session.pass_time(60.0)
    assert session.asked_for(boot_row())


@pytest.mark.parametrize("status", ["Rejected", "NotImplemented"])
def test_a_trigger_that_was_declined_asks_for_nothing(session, status):
    trigger_boot(session, status)
    assert not session.asked_for(boot_row())


def test_another_trigger_or_a_reset_asks_for_no_registration(session):
    trigger_boot(session, wanted=v16.MessageTrigger.STATUS_NOTIFICATION)
    one = put_on_the_wire(session, v16.Reset(type=v16.ResetType.SOFT), 0.0)
    session.receive(json.dumps([3, one.unique_id, {"status": "Accepted"}]).encode(), 0.0)
    assert not session.asked_for(boot_row())


def test_a_registration_over_the_next_connection_was_not_asked_for(session):
    trigger_boot(session)
    session.disconnected()
    assert not session.asked_for(boot_row())
