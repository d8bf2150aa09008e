"""OCPP 1.6: the table of its actions, and what the package exports."""

import inspect
from enum import Enum

import pytest

from chargehand.protocol import v16
from chargehand.protocol.actions import Action, Sender, empty_fallback, time_fallback
from chargehand.protocol.message import Message
from chargehand.protocol.v16 import (
    core,
    firmware,
    local_auth_list,
    metering,
    remote_trigger,
    reservation,
    security,
    smart_charging,
    transactions,
    types,
)
from chargehand.protocol.v16.types import Profile

ROWS = list(v16.VERSION.actions.values())
PROFILES = {
    Profile.CORE: 16,
    Profile.FIRMWARE_MANAGEMENT: 4,
    Profile.LOCAL_AUTH_LIST_MANAGEMENT: 2,
    Profile.RESERVATION: 2,
    Profile.SMART_CHARGING: 3,
    Profile.REMOTE_TRIGGER: 1,
    Profile.SECURITY: 11,
}
FALLBACKS = {
    "Heartbeat": time_fallback,
    "StopTransaction": empty_fallback,
    "MeterValues": empty_fallback,
    "StatusNotification": empty_fallback,
    "DiagnosticsStatusNotification": empty_fallback,
    "FirmwareStatusNotification": empty_fallback,
    "LogStatusNotification": empty_fallback,
    "SecurityEventNotification": empty_fallback,
    "SignedFirmwareStatusNotification": empty_fallback,
}


def test_there_are_28_actions_and_11_of_the_security_extension():
    assert len(ROWS) == 39
    assert {profile: sum(row.profile is profile for row in ROWS) for profile in Profile} == PROFILES


def test_the_version_has_its_name_and_its_subprotocol():
    assert (v16.VERSION.name, v16.VERSION.subprotocol) == ("1.6", "ocpp1.6")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_classes_of_an_action_have_its_name(row: Action):
    assert row.request.__name__ == row.name
    assert row.response.__name__ == f"{row.name}Response"
    assert getattr(v16, row.name) is row.request
    assert getattr(v16, f"{row.name}Response") is row.response


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_action_has_its_fallback(row: Action):
    if not row.allots:
        assert row.fallback is FALLBACKS.get(row.name)


def test_only_data_transfer_goes_both_ways():
    assert [row.name for row in ROWS if row.sender is Sender.EITHER] == ["DataTransfer"]


@pytest.mark.parametrize(
    "row",
    [row for row in ROWS if row.fallback is empty_fallback and not row.transaction],
    ids=lambda row: row.name,
)
def test_an_empty_fallback_answer_has_an_empty_response(row: Action):
    assert not row.response.__members__


def test_the_package_exports_every_message_and_enumeration():
    declared = {
        name
        for module in (
            core, firmware, local_auth_list, metering, remote_trigger, reservation, security, smart_charging,
            transactions, types,
        )
        for name, thing in vars(module).items()
        if inspect.isclass(thing) and issubclass(thing, Message | Enum) and thing.__module__ == module.__name__
    }  # fmt: skip
    assert set(v16.__all__) == declared | {"CRITICAL_SECURITY_EVENTS", "VERSION"}
    assert all(hasattr(v16, name) for name in v16.__all__)


def test_every_message_says_where_it_is_specified():
    others = {"CRITICAL_SECURITY_EVENTS", "VERSION", "TransactionData"}
    kinds = [getattr(v16, name) for name in v16.__all__ if name not in others]
    for kind in kinds:
        assert "OCPP 1.6, " in kind.__doc__ or "White paper, " in kind.__doc__, kind
