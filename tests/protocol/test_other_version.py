"""A session of a version that no module of the package knows: its table alone decides."""

import json

import pytest

from chargehand.protocol import v16
from chargehand.protocol.actions import FallbackFacts
from chargehand.protocol.effects import Effect, Expectation, pair_of
from chargehand.protocol.outgoing import Outgoing
from chargehand.protocol.session import Answered, Incoming, RefusedCall, Registration, Session, SessionRules

from ..ocpp00 import VERSION, Hello, Open, Sold

PAYLOAD = b'{"status":"Accepted"}'


def session(registration=Registration.ACCEPTED, *, strict=False, **rules):
    return Session(SessionRules(version=VERSION, strict=strict, **rules), "p", registration)


def frame(action, **members):
    return json.dumps([2, "1", action, members]).encode()


def command(door):
    return Outgoing(door, Open.__action__, Open(door=door), b'{"door":%d}' % door, 30.0)


def test_a_call_is_read_by_its_own_table():
    event = session().receive(frame("Sold", sale="s1", door=1, units=2), 0.0)
    assert type(event) is Incoming
    assert event.request == Sold(sale="s1", door=1, units=2)


def test_an_action_of_another_version_is_not_implemented():
    event = session().receive(frame("Heartbeat"), 0.0)
    assert type(event) is RefusedCall
    assert json.loads(event.frame)[2] == "NotImplemented"


def test_a_deviation_is_mended_by_the_lenient_policy_and_refused_by_the_strict_one():
    deviating = frame("Sold", sale="s1", door="1", units=2)
    event = session().receive(deviating, 0.0)
    assert event.request.door == 1
    assert len(event.deviations) == 1
    assert type(session(strict=True).receive(deviating, 0.0)) is RefusedCall


def test_an_unreadable_transaction_message_is_kept_and_any_other_is_refused():
    event = session().receive(frame("Sold", door=1), 0.0)
    assert type(event) is Incoming
    assert event.request is None
    assert type(session().receive(frame("Hello"), 0.0)) is RefusedCall


def test_the_fallback_acknowledges_a_transaction_message_and_nothing_else():
    assert Sold.__action__.fallback(FallbackFacts("now")) == b"{}"
    assert Hello.__action__.fallback is None


def test_an_error_is_spelt_as_the_version_does():
    event = session().receive(b'[2,"1","Hello"]', 0.0)
    assert json.loads(event.frame)[2] == "FormatViolation"


@pytest.mark.parametrize("registration", [None, Registration.PENDING, Registration.REJECTED])
def test_only_registering_passes_before_registration(registration):
    one = session(registration, accept_unbooted=False, answer_transactions_unregistered=False)
    assert type(one.receive(frame("Sold", sale="s1", door=1, units=2), 0.0)) is RefusedCall
    assert type(one.receive(frame("Hello", model="a"), 0.0)) is Incoming


def test_a_command_that_needs_registration_is_held_until_then():
    one = session(Registration.PENDING)
    one.submit(command(1))
    assert one.next_call(0.0) is None
    one.registration = Registration.ACCEPTED
    assert one.next_call(0.0) is not None


def test_a_newer_command_supersedes_the_waiting_one_with_its_key():
    one, older, other, newer = session(), command(1), command(2), command(1)
    one.submit(older)
    one.submit(other)
    assert one.superseded_by(newer) == [older]
    assert one.calls.waiting == [other]


def test_the_effect_of_a_command_is_shown_by_the_message_of_its_row():
    one = session()
    one.submit(command(1))
    outgoing, sent = one.next_call(0.0)
    expectation = Expectation("ticket", pair_of(outgoing.request), outgoing.request)
    event = one.receive(b'[3,"%b",%b]' % (outgoing.unique_id.encode(), PAYLOAD), 1.0)
    assert type(event) is Answered
    assert json.loads(sent)[2] == "Open"
    assert expectation.answered(event.response) is Effect.PENDING
    assert not expectation.message("Sold", Sold(sale="s1", door=2, units=1))
    assert expectation.message("Sold", Sold(sale="s1", door=1, units=1))
    assert expectation.effect is Effect.DONE


def test_a_command_of_another_version_is_held_until_the_session_has_its_rules():
    one = session()
    old = Outgoing("old", v16.ClearCache.__action__, v16.ClearCache(), b"{}", 30.0)
    one.submit(old)
    assert not one.may_send(v16.ClearCache.__action__)
    assert one.next_call(0.0) is None
    one.rules = SessionRules(version=v16.VERSION)
    assert one.next_call(0.0)[0] is old
