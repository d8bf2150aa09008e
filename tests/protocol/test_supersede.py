"""Waiting commands that a newer one supersedes."""

import datetime as dt

import pytest

from chargehand.protocol import v16
from chargehand.protocol.outgoing import CommandQueue, Outgoing

DATE = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
FIRMWARE = v16.Firmware(
    location="https://example.com/f", retrieve_date_time=DATE, signing_certificate="MII", signature="c2ln"
)


def profile(connector_id=1, level=0, purpose="TxDefaultProfile", transaction_id=None, id_=1):
    schedule = v16.ChargingSchedule(
        charging_rate_unit="A",
        charging_schedule_period=(v16.ChargingSchedulePeriod(start_period=0, limit=16),),
    )
    return v16.SetChargingProfile(
        connector_id=connector_id,
        cs_charging_profiles=v16.ChargingProfile(
            charging_profile_id=id_,
            transaction_id=transaction_id,
            stack_level=level,
            charging_profile_purpose=v16.ChargingProfilePurpose(purpose),
            charging_profile_kind="Absolute",
            charging_schedule=schedule,
        ),
    )


def change(key, value="1"):
    return v16.ChangeConfiguration(key=key, value=value)


def available(connector_id, type_="Operative"):
    return v16.ChangeAvailability(connector_id=connector_id, type=v16.AvailabilityType(type_))


def trigger(message, connector_id=None):
    return v16.TriggerMessage(requested_message=v16.MessageTrigger(message), connector_id=connector_id)


def extended(message, connector_id=None):
    return v16.ExtendedTriggerMessage(
        requested_message=v16.ExtendedMessageTrigger(message), connector_id=connector_id
    )


def update(location="https://example.com/a"):
    return v16.UpdateFirmware(location=location, retrieve_date=DATE)


def signed(request_id):
    return v16.SignedUpdateFirmware(request_id=request_id, firmware=FIRMWARE)


def key_of(request):
    row = type(request).__action__
    return None if row.supersede_key is None else (row.name, row.supersede_key(request))


SAME = [
    (change("HeartbeatInterval", "1"), change("HeartbeatInterval", "2")),
    (change("HeartbeatInterval"), change("heartbeatINTERVAL")),  # OCPP 1.6, 7.29: without case
    (profile(id_=1), profile(id_=2)),  # another id at the same place replaces it
    (available(1, "Operative"), available(1, "Inoperative")),
    (trigger("Heartbeat"), trigger("Heartbeat")),
    (trigger("StatusNotification", 1), trigger("StatusNotification", 1)),
    (extended("LogStatusNotification"), extended("LogStatusNotification")),
    (v16.ClearCache(), v16.ClearCache()),
    (update("https://example.com/a"), update("https://example.com/b")),
    (signed(1), signed(2)),
]
DIFFERENT = [
    (change("HeartbeatInterval"), change("MeterValueSampleInterval")),
    (profile(connector_id=1), profile(connector_id=2)),
    (profile(level=0), profile(level=1)),
    (profile(purpose="TxProfile"), profile(purpose="TxDefaultProfile")),
    (profile(purpose="TxProfile", transaction_id=1), profile(purpose="TxProfile", transaction_id=2)),
    (available(1), available(2)),
    (available(0), available(1)),
    (trigger("Heartbeat"), trigger("MeterValues")),
    (trigger("StatusNotification", 1), trigger("StatusNotification", 2)),
    (trigger("StatusNotification"), trigger("StatusNotification", 1)),
    (trigger("Heartbeat"), extended("Heartbeat")),
    (v16.ClearCache(), update()),
    (update(), signed(1)),
]
NEVER = [
    v16.RemoteStartTransaction(id_tag="T1"),
    v16.RemoteStopTransaction(transaction_id=1),
    v16.Reset(type=v16.ResetType.SOFT),
    v16.UnlockConnector(connector_id=1),
    v16.DataTransfer(vendor_id="a"),
    v16.GetConfiguration(),
    v16.ClearChargingProfile(),
    v16.CancelReservation(reservation_id=1),
    v16.ReserveNow(connector_id=1, expiry_date=DATE, id_tag="T1", reservation_id=1),
    v16.SendLocalList(list_version=1, update_type=v16.UpdateType.FULL),
    v16.GetDiagnostics(location="ftp://example.com"),
]


def named(pair):
    return " and ".join(type(one).__action__.name for one in pair)


@pytest.mark.parametrize(("older", "newer"), SAME, ids=map(named, SAME))
def test_two_that_say_the_same_thing_have_the_same_key(older, newer):
    assert key_of(older) is not None
    assert key_of(older) == key_of(newer)


@pytest.mark.parametrize(("one", "other"), DIFFERENT, ids=map(named, DIFFERENT))
def test_two_that_say_different_things_have_different_keys(one, other):
    assert None not in (key_of(one), key_of(other))
    assert key_of(one) != key_of(other)


@pytest.mark.parametrize("request_", NEVER, ids=lambda one: type(one).__action__.name)
def test_of_everything_else_every_call_counts(request_):
    assert key_of(request_) is None


def queued(*requests):
    queue = CommandQueue()
    for request in requests:
        queue.add(Outgoing(request, type(request).__action__, request, b"{}", 30.0))
    return queue


def test_the_newest_stays_and_takes_its_own_place_in_the_queue():
    first, between, second = change("A", "1"), v16.GetConfiguration(), change("A", "2")
    queue = queued(first, between, second)
    gone = queue.supersede(queue.waiting[-1])
    assert [one.owner for one in gone] == [first]
    assert [one.owner for one in queue.waiting] == [between, second]


def test_several_older_ones_go_at_once_and_the_one_on_the_wire_stays():
    queue = queued(change("A", "1"), change("A", "2"), change("A", "3"), change("A", "4"))
    on_wire = queue.next(lambda _: True, 0.0)
    gone = queue.supersede(queue.waiting[-1])
    assert [one.request.value for one in gone] == ["2", "3"]
    assert queue.on_wire is on_wire
    assert [one.request.value for one in queue.waiting] == ["4"]


def test_where_nothing_is_the_same_nothing_goes():
    queue = queued(change("A"), change("B"), v16.Reset(type=v16.ResetType.SOFT))
    assert queue.supersede(queue.waiting[0]) == []
    assert queue.supersede(queue.waiting[-1]) == []
    assert len(queue) == 3
