"""Faults of real stations, shown on request, and what stays right with each of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand import v201
from chargehand.actors.runtime.timers import Timers
from chargehand.protocol.session import Registration
from chargehand.simulator.v201 import Misbehaviour, Station
from chargehand.testing import ManualClock

Event = v201.TransactionEventType


@pytest.fixture
def events_of(make, office):
    def events_of(*misbehaviour, readings=3):
        with make(misbehaviour=misbehaviour) as station:
            station.charge("T1", readings=readings)
            station.backlog.empty.wait(60)
        return office.events

    return events_of


def test_numbers_stay_0_for_ever(events_of):
    assert {one.seq_no for one in events_of(Misbehaviour.SEQ_NO_ZERO)} == {0}


def test_the_evse_comes_once_and_without_a_connector(events_of):
    first, *others = events_of(Misbehaviour.EVSE_ONCE)
    assert (first.evse.id, first.evse.connector_id) == (1, None)
    assert {one.evse for one in others} == {None}


def test_the_end_comes_before_the_updates(events_of):
    kinds = [(one.event_type, one.seq_no) for one in events_of(Misbehaviour.ENDED_FIRST)]
    assert kinds[:2] == [(Event.STARTED, 0), (Event.ENDED, 5)]
    assert kinds[2:] == [(Event.UPDATED, number) for number in (1, 2, 3, 4)]


def test_offline_the_end_comes_before_the_start(make, office):
    station = make(
        misbehaviour=[Misbehaviour.ENDED_FIRST],
        variables={"AuthCtrlr.OfflineTxForUnknownIdEnabled": "true"},
    )
    station.charge("T1")
    station.connect()
    station.boot()
    station.backlog.empty.wait(60)
    assert [one.event_type for one in office.events[:2]] == [Event.ENDED, Event.STARTED]


def test_every_second_update_is_lost_with_its_number(events_of):
    numbers = [one.seq_no for one in events_of(Misbehaviour.DROP_UPDATED)]
    assert numbers == [0, 1, 3, 5]


def test_the_first_reading_is_0(events_of):
    values = [int(one.meter_value[0].sampled_value[0].value) for one in events_of(Misbehaviour.BEGIN_ZERO)]
    assert values[0] == 0
    assert values[1] == 250_000


STEPS = st.lists(
    st.sampled_from(["plug_in", "unplug", "start", "stop", "meter", "suspend", "resume", "reset"]),
    max_size=30,
)


def _act(station, step):
    """Do a step of a driver, if it is possible now."""
    try:
        if step == "start":
            station.start("T1")
        elif step == "reset":
            station.charging.break_off_all(v201.Reason.IMMEDIATE_RESET)
        else:
            getattr(station, step)()
    except Exception as error:
        if type(error).__name__ != "NotPossible":
            raise


@given(
    STEPS,
    st.sampled_from(["Authorized", "EVConnected"]),
    st.sampled_from(["Authorized", "EVConnected"]),
    st.sets(st.sampled_from([Misbehaviour.EVSE_ONCE, Misbehaviour.BEGIN_ZERO])),
)
def test_any_course_gives_transactions_that_start_once_end_once_and_count_on(steps, start, stop, faults):
    points = {"TxCtrlr.TxStartPoint": start, "TxCtrlr.TxStopPoint": stop}
    station = Station(
        "ws://localhost", "CP1", evses=1, variables=points, misbehaviour=faults, timers=Timers(ManualClock())
    )
    for step in steps:
        _act(station, step)
    station.registration = Registration.ACCEPTED
    sent = []

    def answer(event):
        sent.append(event)
        return v201.TransactionEventResponse()

    station.backlog.deliver(answer)
    by_id = {}
    for event in sent:
        by_id.setdefault(event.transaction_info.transaction_id, []).append(event)
    for events in by_id.values():
        assert [one.seq_no for one in events] == list(range(len(events)))
        assert events[0].event_type is Event.STARTED
        ends = [one for one in events if one.event_type is Event.ENDED]
        running = station.evses[1].transaction
        assert len(ends) == (0 if running and running.id == events[0].transaction_info.transaction_id else 1)
        assert all(one is events[-1] for one in ends)
        meters = [int(one.meter_value[0].sampled_value[0].value) for one in events if one.meter_value]
        assert meters == sorted(meters)
        assert events[0].evse is not None


@pytest.fixture
def numbers_of(system, make, office, until):
    """Have a station with these faults report its settings; return the numbers of the parts, and which is the last."""

    def numbers_of(*misbehaviour):
        variables = {"DeviceDataCtrlr.ItemsPerMessage[GetReport]": "10"}
        with make(misbehaviour=misbehaviour, variables=variables) as station:
            request = v201.GetBaseReport(request_id=7, report_base="ConfigurationInventory")
            system.send(station.identity, request, until_effect=True, timeout_s=60).result()
            total = len(station.model.base_report("ConfigurationInventory"))
            lost = Misbehaviour.REPORT_PART_LOST in misbehaviour
            until(lambda: len(office.of(v201.NotifyReport)) >= -(-total // 10) - lost)
            parts = office.of(v201.NotifyReport)
        return [(one.seq_no, bool(one.tbc)) for one in parts]

    return numbers_of


def test_the_second_part_of_a_report_is_lost(numbers_of):
    (first, _), (second, _), *_ = numbers_of(Misbehaviour.REPORT_PART_LOST)
    assert (first, second) == (0, 2)


def test_the_parts_of_a_report_have_numbers_from_1(numbers_of):
    found = numbers_of(Misbehaviour.REPORT_FROM_ONE)
    assert [number for number, _ in found] == list(range(1, len(found) + 1))


def test_the_last_part_of_a_report_comes_first(numbers_of):
    found = numbers_of(Misbehaviour.REPORT_UNORDERED)
    assert [number for number, _ in found] == list(reversed(range(len(found))))
    assert [more for _, more in found] == [False, *[True] * (len(found) - 1)]
