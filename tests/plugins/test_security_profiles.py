"""Accepted security profiles: conclusions from each final state of a command that carries one."""

import datetime as dt

import pytest

from chargehand import MemoryStore, SecurityProfile, v16, v201
from chargehand.plugins.security_profiles import SecurityProfiles
from chargehand.protocol.session import SessionRules
from chargehand.testing import Stage


def staged(version=v16):
    """Make a stage whose plugin writes to a store that is returned beside it."""
    store = MemoryStore()
    spec = SecurityProfiles.spec(store, name="security-profiles")
    return Stage(spec, rules=SessionRules(version=version.VERSION)), store.collections.security_profiles


@pytest.fixture
def stage_and_book():
    stage, book = staged()
    with stage:
        yield stage, book


@pytest.fixture
def stage_and_book_201():
    stage, book = staged(v201)
    with stage:
        yield stage, book


def send(stage, request):
    """Send CP1 a request; return its connection and the command that it got."""
    charge_point = stage.connect("CP1")
    stage.send("CP1", request, timeout_s=30)
    stage.settle()
    (call,) = charge_point.take()
    return charge_point, call


def profile(value, key="SecurityProfile"):
    return v16.ChangeConfiguration(key=key, value=value)


@pytest.mark.parametrize(
    ("request_", "answer", "next_"),
    [
        (profile("2"), {"status": "Accepted"}, 2),
        (profile("2", "securityPROFILE"), {"status": "RebootRequired"}, 2),
        (profile(" 3 "), {"status": "Accepted"}, 3),
        (profile("2"), {"status": "Perhaps"}, 2),
        (profile("2"), {"status": "Rejected"}, None),
        (profile("2"), {"status": "NotSupported"}, None),
        (profile("4"), {"status": "Accepted"}, None),
        (profile("two"), {"status": "Accepted"}, None),
        (profile("-1"), {"status": "Accepted"}, None),
        (profile("2", "HeartbeatInterval"), {"status": "Accepted"}, None),
    ],
)
def test_a_profile_that_may_have_been_accepted_waits_for_its_connection(
    stage_and_book, request_, answer, next_
):
    stage, book = stage_and_book
    charge_point, call = send(stage, request_)
    charge_point.answer(call, answer)
    stage.settle()
    kept = book.get("CP1")
    assert (None if kept is None else kept.next) == next_
    assert kept is None or kept.least == 0


def test_an_error_means_that_the_profile_was_not_taken_and_silence_that_it_may_be(stage_and_book):
    stage, book = stage_and_book
    charge_point, call = send(stage, profile("2"))
    charge_point.refuse(call, "InternalError")
    stage.settle()
    assert book.get("CP1") is None
    stage.send("CP1", profile("2"), timeout_s=30)
    stage.advance(31)
    assert book.get("CP1").next == 2


def test_a_lower_profile_is_warned_of_and_lowers_nothing(stage_and_book, caplog):
    stage, book = stage_and_book
    before = SecurityProfile(charge_point_id="CP1", changed_at=dt.datetime.now(dt.UTC), least=2)
    book.put(before)
    charge_point, call = send(stage, profile("1"))
    charge_point.answer(call, {"status": "Accepted"})
    stage.settle()
    assert book.get("CP1") == before
    assert "CP1 has accepted the security profile 1, which is less than its least one" in caplog.text


def network(slot, security_profile):
    return v201.SetNetworkProfile(
        configuration_slot=slot,
        connection_data=v201.NetworkConnectionProfile(
            ocpp_version="OCPP20",
            ocpp_transport="JSON",
            ocpp_csms_url="wss://example.com",
            message_timeout=30,
            security_profile=security_profile,
            ocpp_interface="Wired0",
        ),
    )


def set_priority(slots):
    return v201.SetVariables(
        set_variable_data=[
            v201.SetVariableData(
                attribute_value=slots,
                component=v201.Component(name="OCPPCommCtrlr"),
                variable=v201.Variable(name="NetworkConfigurationPriority"),
            )
        ]
    )


def result(status):
    return {
        "setVariableResult": [
            {
                "attributeStatus": status,
                "component": {"name": "OCPPCommCtrlr"},
                "variable": {"name": "NetworkConfigurationPriority"},
            }
        ]
    }


@pytest.mark.parametrize(
    ("stored", "slots", "status", "next_"),
    [
        ("Accepted", "2,1", "Accepted", 3),
        ("Accepted", "2", "RebootRequired", 3),
        ("Accepted", "1,2", "Accepted", 3),
        ("Accepted", "2", "Rejected", None),
        ("Rejected", "2", "Accepted", None),
        ("Accepted", "two", "Accepted", None),
    ],
)
def test_a_network_configuration_raises_the_profile_once_it_has_priority(
    stage_and_book_201, stored, slots, status, next_
):
    stage, book = stage_and_book_201
    charge_point, call = send(stage, network(2, 3))
    charge_point.answer(call, {"status": stored})
    stage.settle()
    assert book.get("CP1") is None or book.get("CP1").next is None
    stage.send("CP1", set_priority(slots), timeout_s=30)
    stage.settle()
    (call,) = charge_point.take()
    charge_point.answer(call, result(status))
    stage.settle()
    kept = book.get("CP1")
    assert (None if kept is None else kept.next) == next_
