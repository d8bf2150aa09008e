"""Commands of a real central system to a simulated charge point, with their effects. Maintenance is in its own file."""

import datetime as dt
from decimal import Decimal

import pytest

from chargehand import CommandRefused, v16
from chargehand.protocol.actions import Sender
from chargehand.simulator import ChargePoint

FUTURE = dt.datetime(2999, 1, 1, tzinfo=dt.UTC)
PAST = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)


def charging(charge_point: ChargePoint) -> int:
    """Start a transaction; return its number."""
    charge_point.plug_in()
    number = charge_point.start("TAG1").id
    assert number is not None
    return number


def test_every_command_has_its_answer(booted):
    commands = {action.name for action in v16.VERSION.sent_by(Sender.CENTRAL_SYSTEM)}
    assert len(commands) == 26
    assert set(booted.answers) == commands


# -- Transactions --------------------------------------------------------------------------------


def test_a_remote_start_starts_a_transaction(call, booted):
    assert call(v16.RemoteStartTransaction(id_tag="TAG1", connector_id=2)).status == "Accepted"
    booted.record.wait_for_call("StartTransaction", connectorId=2, idTag="TAG1")
    booted.record.wait_for_call("StatusNotification", connectorId=2, status="Charging")


def test_a_remote_start_without_a_connector_takes_a_free_one(call, booted):
    charging(booted)
    assert call(v16.RemoteStartTransaction(id_tag="TAG2")).status == "Accepted"
    booted.record.wait_for_call("StartTransaction", connectorId=2, idTag="TAG2")
    assert call(v16.RemoteStartTransaction(id_tag="TAG3")).status == "Rejected"


def test_a_remote_start_brings_its_charging_profile(call, booted):
    profile = charging_profile(purpose=v16.ChargingProfilePurpose.TX_PROFILE)
    call(v16.RemoteStartTransaction(id_tag="TAG1", connector_id=1, charging_profile=profile))
    booted.record.wait_for_call("StatusNotification", connectorId=1, status="Charging")
    assert call(v16.ClearChargingProfile(id=1)).status == "Accepted"
    wrong = charging_profile(purpose=v16.ChargingProfilePurpose.TX_DEFAULT_PROFILE)
    request = v16.RemoteStartTransaction(id_tag="TAG1", connector_id=2, charging_profile=wrong)
    assert call(request).status == "Rejected"


@pytest.mark.parametrize("connector_id", [1, 3])
def test_a_remote_start_where_nothing_can_charge_is_rejected(call, booted, connector_id):
    charging(booted)
    assert call(v16.RemoteStartTransaction(id_tag="TAG1", connector_id=connector_id)).status == "Rejected"


def test_a_remote_stop_stops_a_transaction(call, booted):
    number = charging(booted)
    assert call(v16.RemoteStopTransaction(transaction_id=number)).status == "Accepted"
    booted.record.wait_for_call("StopTransaction", transactionId=number, reason="Remote")
    booted.record.wait_for_call("StatusNotification", connectorId=1, status="Finishing")
    assert call(v16.RemoteStopTransaction(transaction_id=number)).status == "Rejected"


def test_unlocking_stops_a_transaction(call, booted):
    assert call(v16.UnlockConnector(connector_id=1)).status == "Unlocked"
    charging(booted)
    assert call(v16.UnlockConnector(connector_id=1)).status == "Unlocked"
    booted.record.wait_for_call("StopTransaction", reason="UnlockCommand")
    assert call(v16.UnlockConnector(connector_id=3)).status == "NotSupported"


# -- Connectors ----------------------------------------------------------------------------------


def availability(connector_id, type_):
    return v16.ChangeAvailability(connector_id=connector_id, type=v16.AvailabilityType(type_))


def test_a_connector_is_taken_out_of_operation_and_back(call, booted):
    assert call(availability(1, "Inoperative")).status == "Accepted"
    seen = booted.record.wait_for_call("StatusNotification", connectorId=1, status="Unavailable")
    assert call(availability(1, "Operative")).status == "Accepted"
    booted.record.wait_for_call("StatusNotification", after=seen.number, connectorId=1, status="Available")
    assert call(availability(3, "Operative")).status == "Rejected"


def test_a_charging_connector_is_taken_out_of_operation_afterwards(call, booted):
    charging(booted)
    assert call(availability(0, "Inoperative")).status == "Scheduled"
    booted.record.wait_for_call("StatusNotification", connectorId=2, status="Unavailable")
    assert not [entry for entry in booted.record if entry.is_call("StatusNotification", status="Finishing")]
    booted.stop()
    booted.record.wait_for_call("StatusNotification", connectorId=1, status="Unavailable")


def reserve(connector_id, id_=5, expiry=FUTURE):
    return v16.ReserveNow(connector_id=connector_id, expiry_date=expiry, id_tag="TAG1", reservation_id=id_)


def test_a_connector_is_reserved_and_the_reservation_cancelled(call, booted):
    assert call(reserve(1)).status == "Accepted"
    seen = booted.record.wait_for_call("StatusNotification", connectorId=1, status="Reserved")
    assert call(v16.CancelReservation(reservation_id=5)).status == "Accepted"
    booted.record.wait_for_call("StatusNotification", after=seen.number, connectorId=1, status="Available")
    assert call(v16.CancelReservation(reservation_id=5)).status == "Rejected"


def test_a_reservation_comes_back_in_the_start_of_its_transaction(call, booted):
    call(reserve(1))
    charging(booted)
    booted.record.wait_for_call("StartTransaction", reservationId=5)


@pytest.mark.parametrize(
    ("connector_id", "zero", "status"), [(0, "true", "Accepted"), (0, "false", "Rejected")]
)
def test_any_connector_is_reserved_if_that_is_supported(call, booted, connector_id, zero, status):
    booted.configuration.set("ReserveConnectorZeroSupported", zero)
    assert call(reserve(connector_id)).status == status


def test_a_connector_in_use_is_not_reserved(call, booted):
    charging(booted)
    assert call(reserve(1)).status == "Occupied"
    assert call(reserve(3)).status == "Rejected"


def test_a_reservation_in_the_past_is_over_at_once(call, booted):
    assert call(reserve(1, expiry=PAST)).status == "Accepted"
    booted.record.wait_for_call("StatusNotification", connectorId=1, status="Available", after=2)
    assert booted.connectors.cancel(5) is None


# -- Configuration, reset, vendor's messages -----------------------------------------------------


def test_the_configuration_is_read_and_changed(call):
    assert call(v16.ChangeConfiguration(key="HeartbeatInterval", value="17")).status == "Accepted"
    assert call(v16.ChangeConfiguration(key="NumberOfConnectors", value="9")).status == "Rejected"
    assert call(v16.ChangeConfiguration(key="Luck", value="9")).status == "NotSupported"
    response = call(v16.GetConfiguration(key=("HeartbeatInterval", "NumberOfConnectors", "Luck")))
    assert [(key.key, key.readonly, key.value) for key in response.configuration_key] == [
        ("HeartbeatInterval", False, "17"),
        ("NumberOfConnectors", True, "2"),
    ]
    assert response.unknown_key == ("Luck",)
    assert len(call(v16.GetConfiguration()).configuration_key) > 30


@pytest.mark.parametrize(
    ("type_", "order"),
    [
        ("Soft", ["StopTransaction", "BootNotification"]),
        ("Hard", ["BootNotification", "StopTransaction"]),
    ],
)
def test_a_reset_stops_transactions_and_boots(call, booted, type_, order):
    charging(booted)
    before = booted.record.count
    assert call(v16.Reset(type=v16.ResetType(type_))).status == "Accepted"
    last = booted.record.wait_for_call(order[-1], after=before)
    names = [entry.action for entry in booted.record if before < entry.number <= last.number]
    assert [name for name in names if name in order] == order
    booted.record.wait_for_call("StopTransaction", reason=f"{type_}Reset")
    booted.wait_accepted()
    assert booted.connection.connections == 2
    booted.record.wait_for_call("StatusNotification", after=before, connectorId=2, status="Available")


def test_a_vendor_s_message_is_understood_by_its_own_charge_points(call):
    response = call(v16.DataTransfer(vendor_id="Chargehand", data="x"))
    assert (response.status, response.data) == ("Accepted", "x")
    assert call(v16.DataTransfer(vendor_id="Other")).status == "UnknownVendorId"


# -- Lists ---------------------------------------------------------------------------------------


def test_the_cache_is_cleared(call, booted):
    booted.authorize("TAG1")
    assert booted.charging.authorization.cache
    assert call(v16.ClearCache()).status == "Accepted"
    assert not booted.charging.authorization.cache
    booted.configuration.set("AuthorizationCacheEnabled", "false")
    assert call(v16.ClearCache()).status == "Rejected"


def test_the_local_list_is_sent_and_its_version_read(call):
    assert call(v16.GetLocalListVersion()).list_version == 0
    info = v16.IdTagInfo(status=v16.AuthorizationStatus.ACCEPTED)
    request = v16.SendLocalList(
        list_version=3,
        update_type=v16.UpdateType.FULL,
        local_authorization_list=(v16.AuthorizationData(id_tag="TAG1", id_tag_info=info),),
    )
    assert call(request).status == "Accepted"
    assert call(v16.GetLocalListVersion()).list_version == 3


# -- Charging profiles ---------------------------------------------------------------------------


def charging_profile(purpose=v16.ChargingProfilePurpose.TX_DEFAULT_PROFILE):
    return v16.ChargingProfile(
        charging_profile_id=1,
        stack_level=0,
        charging_profile_purpose=purpose,
        charging_profile_kind=v16.ChargingProfileKind.RELATIVE,
        charging_schedule=v16.ChargingSchedule(
            charging_rate_unit=v16.ChargingRateUnit.W,
            charging_schedule_period=(v16.ChargingSchedulePeriod(start_period=0, limit=Decimal(6000)),),
        ),
    )


def test_a_charging_profile_is_set_seen_and_cleared(call):
    request = v16.SetChargingProfile(connector_id=1, cs_charging_profiles=charging_profile())
    assert call(request).status == "Accepted"
    response = call(v16.GetCompositeSchedule(connector_id=1, duration=60))
    assert response.status == "Accepted"
    assert [period.limit for period in response.charging_schedule.charging_schedule_period] == [6000]
    assert call(v16.ClearChargingProfile(id=1)).status == "Accepted"
    assert call(v16.ClearChargingProfile(id=1)).status == "Unknown"


def test_a_charging_profile_for_nothing_is_rejected(call):
    request = v16.SetChargingProfile(connector_id=3, cs_charging_profiles=charging_profile())
    assert call(request).status == "Rejected"
    assert call(v16.GetCompositeSchedule(connector_id=3, duration=60)).status == "Rejected"


def test_a_command_that_was_taken_out_is_not_supported(call, booted):
    del booted.answers["ClearCache"]
    with pytest.raises(CommandRefused) as refused:
        call(v16.ClearCache())
    assert refused.value.ticket.code == "NotSupported"
