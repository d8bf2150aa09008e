"""Fallback answers: valid in every case, and without anything that is not known."""

import json

import pytest

from chargehand.protocol import v16
from chargehand.protocol.actions import FallbackFacts, Sender
from chargehand.protocol.payload import strict

TIME = "2026-01-01T00:00:00Z"
PASSIVE = v16.VERSION.sent_by(Sender.CHARGE_POINT)


@pytest.mark.parametrize("action", PASSIVE, ids=lambda action: action.name)
def test_a_fallback_answer_is_a_valid_answer_or_none(action):
    number = 7 if action.name == "StartTransaction" else None
    if action.fallback is not None:
        strict(action.response, action.fallback(FallbackFacts(TIME, number, "Accepted")))


def test_only_where_an_answer_would_say_what_nobody_knows_there_is_none():
    errors = {action.name for action in PASSIVE if action.fallback is None}
    assert errors == {"Authorize", "BootNotification", "DataTransfer", "SignCertificate"}


def test_the_transaction_messages_are_those_that_are_spooled():
    spooled = {action.name for action in PASSIVE if action.transaction}
    assert spooled == {"StartTransaction", "StopTransaction", "MeterValues"}


def test_a_heartbeat_gets_the_time():
    assert json.loads(v16.VERSION.actions["Heartbeat"].fallback(FallbackFacts(TIME))) == {"currentTime": TIME}


@pytest.mark.parametrize("status", ["Accepted", "Blocked", "Invalid"])
def test_a_start_gets_its_number_and_the_verdict_of_the_setting(status):
    payload = v16.VERSION.actions["StartTransaction"].fallback(FallbackFacts(TIME, 7, status))
    assert json.loads(payload) == {"idTagInfo": {"status": status}, "transactionId": 7}
