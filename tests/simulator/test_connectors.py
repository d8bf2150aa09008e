import datetime as dt
from typing import Any

import pytest

from chargehand import v16
from chargehand.simulator.connectors import Connector, ConnectorReservation, Connectors
from chargehand.simulator.errors import NotPossible
from chargehand.simulator.transactions import Transaction

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
Status = v16.ChargePointStatus


def transaction(connector_id: int = 1, id_tag: str = "TAG1", **more: Any) -> Transaction:
    return Transaction(connector_id=connector_id, id_tag=id_tag, meter_start=0, started_at=NOW, **more)


def reservation(
    id_: int = 1, connector_id: int = 1, id_tag: str = "TAG1", **more: Any
) -> ConnectorReservation:
    expiry = NOW + dt.timedelta(hours=1)
    return ConnectorReservation(
        **{
            "id": id_,
            "connector_id": connector_id,
            "id_tag": id_tag,
            "parent_id_tag": None,
            "expiry": expiry,
            **more,
        }
    )


def statuses(connectors: Connectors) -> list[str]:
    return [str(connector.status) for connector in connectors]


# -- Statuses ------------------------------------------------------------------------------------


def test_a_whole_visit_goes_through_the_statuses_of_the_specification():
    connectors = Connectors(1)
    connector = connectors[1]
    seen = [connector.status]
    connector.plug_in()
    seen.append(connector.status)
    connectors.begin(transaction())
    seen.append(connector.status)
    connector.suspended = Status.SUSPENDED_EV
    seen.append(connector.status)
    connector.suspended = None
    connector.end()
    seen.append(connector.status)
    connector.unplug()
    seen.append(connector.status)
    assert seen == ["Available", "Preparing", "Charging", "SuspendedEV", "Finishing", "Available"]


def test_a_tag_that_waits_for_a_vehicle_makes_it_preparing():
    connector = Connector(1)
    connector.presented = "TAG1"
    assert connector.status is Status.PREPARING


def test_a_transaction_whose_vehicle_is_gone_leaves_it_available():
    connector = Connector(1)
    connector.plug_in()
    connector.begin(transaction())
    connector.unplug()
    connector.end()
    assert connector.status is Status.AVAILABLE


def test_a_fault_hides_everything_else():
    connector = Connector(1)
    connector.plug_in()
    connector.begin(transaction())
    connector.error = v16.ChargePointErrorCode.GROUND_FAILURE
    assert connector.status is Status.FAULTED
    connector.error = v16.ChargePointErrorCode.NO_ERROR
    assert connector.status is Status.CHARGING


def test_the_charge_point_as_a_whole_is_never_reserved():
    connectors = Connectors(1)
    connectors.reserve(reservation(connector_id=0))
    assert connectors.whole.status is Status.AVAILABLE


def test_a_second_vehicle_does_not_fit():
    connector = Connector(1)
    connector.plug_in()
    with pytest.raises(NotPossible):
        connector.plug_in()


def test_no_vehicle_cannot_leave():
    with pytest.raises(NotPossible):
        Connector(1).unplug()


# -- Who may charge ------------------------------------------------------------------------------


def test_a_transaction_needs_a_vehicle():
    with pytest.raises(NotPossible, match="no vehicle"):
        Connectors(1).begin(transaction())


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda connector: setattr(connector, "operative", False), "unavailable"),
        (lambda connector: setattr(connector, "error", v16.ChargePointErrorCode.OTHER_ERROR), "faulted"),
        (lambda connector: connector.begin(transaction()), "charging"),
        (lambda connector: setattr(connector, "reservation", reservation(id_tag="OTHER")), "reserved"),
    ],
)
def test_what_stands_in_the_way_of_a_transaction_is_said(change, word):
    connectors = Connectors(1)
    connectors[1].plug_in()
    change(connectors[1])
    with pytest.raises(NotPossible, match=word):
        connectors.begin(transaction())


def test_a_connector_that_is_not_there_cannot_be_used():
    with pytest.raises(NotPossible, match="no connector 3"):
        Connectors(2).begin(transaction(connector_id=3))


def test_the_first_free_connector_is_the_one_with_a_vehicle():
    connectors = Connectors(3)
    connectors[1].operative = False
    connectors[3].plug_in()
    found = connectors.free_for("TAG1")
    assert found is connectors[3]


def test_the_first_free_connector_is_the_one_that_the_tag_has_reserved():
    connectors = Connectors(2)
    connectors.reserve(reservation(connector_id=2))
    assert connectors.free_for("TAG1") is connectors[2]
    assert connectors.free_for("TAG2") is connectors[1]


def test_a_running_transaction_is_found_by_its_number():
    connectors = Connectors(2)
    connectors[2].plug_in()
    running = transaction(connector_id=2, id=7)
    connectors.begin(running)
    assert connectors.transaction(7) is running
    assert connectors.transaction(8) is None


# -- Availability --------------------------------------------------------------------------------


def test_availability_changes_at_once_without_a_transaction():
    connectors = Connectors(2)
    assert connectors.change_availability(1, operative=False) is v16.AvailabilityStatus.ACCEPTED
    assert statuses(connectors) == ["Unavailable", "Available"]


def test_availability_is_scheduled_behind_a_transaction():
    connectors = Connectors(1)
    connectors[1].plug_in()
    connectors.begin(transaction())
    assert connectors.change_availability(1, operative=False) is v16.AvailabilityStatus.SCHEDULED
    assert connectors[1].status is Status.CHARGING
    connectors[1].end()
    assert connectors[1].status is Status.UNAVAILABLE


def test_a_scheduled_change_is_taken_back():
    connectors = Connectors(1)
    connectors[1].plug_in()
    connectors.begin(transaction())
    connectors.change_availability(1, operative=False)
    assert connectors.change_availability(1, operative=True) is v16.AvailabilityStatus.ACCEPTED
    connectors[1].end()
    assert connectors[1].status is Status.FINISHING


def test_connector_0_changes_all_of_them():
    connectors = Connectors(2)
    connectors[1].plug_in()
    connectors.begin(transaction())
    assert connectors.change_availability(0, operative=False) is v16.AvailabilityStatus.SCHEDULED
    assert [connectors.whole.status, *statuses(connectors)] == ["Unavailable", "Charging", "Unavailable"]


# -- Reservations --------------------------------------------------------------------------------


def test_a_reservation_is_used_up_by_the_transaction_of_its_tag():
    connectors = Connectors(1)
    assert connectors.reserve(reservation(id_=5)) is v16.ReservationStatus.ACCEPTED
    assert connectors[1].status is Status.RESERVED
    connectors[1].plug_in()
    started = transaction()
    connectors.begin(started)
    assert started.reservation_id == 5
    assert connectors.cancel(5) is None


def test_a_reservation_lets_the_tags_of_its_group_in():
    connectors = Connectors(1)
    connectors.reserve(reservation(id_tag="OTHER", parent_id_tag="GROUP"))
    connectors[1].plug_in()
    with pytest.raises(NotPossible):
        connectors.begin(transaction())
    connectors.begin(transaction(parent_id_tag="GROUP"))


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (lambda connector: connector.plug_in(), "Occupied"),
        (lambda connector: setattr(connector, "operative", False), "Unavailable"),
        (lambda connector: setattr(connector, "error", v16.ChargePointErrorCode.OTHER_ERROR), "Faulted"),
        (lambda connector: setattr(connector, "reservation", reservation(id_=9)), "Occupied"),
    ],
)
def test_what_stands_in_the_way_of_a_reservation_is_answered(change, answer):
    connectors = Connectors(1)
    change(connectors[1])
    assert connectors.reserve(reservation()) == answer


def test_a_reservation_with_a_known_number_replaces_that_one():
    connectors = Connectors(2)
    connectors.reserve(reservation(id_=5, connector_id=1))
    assert connectors.reserve(reservation(id_=5, connector_id=1, id_tag="TAG2")) == "Accepted"
    assert connectors[1].obstacle("TAG1") is not None
    assert connectors.reserve(reservation(id_=5, connector_id=2)) == "Accepted"
    assert statuses(connectors) == ["Available", "Reserved"]


def test_a_reservation_of_connector_0_keeps_the_last_free_one():
    connectors = Connectors(2)
    assert connectors.reserve(reservation(id_=5, connector_id=0)) == "Accepted"
    assert connectors.obstacle(1, "TAG2") is None
    connectors[1].plug_in()
    connectors.begin(transaction(id_tag="TAG2"))
    assert connectors.obstacle(2, "TAG2") is not None
    connectors[2].plug_in()
    mine = transaction(connector_id=2)
    connectors.begin(mine)
    assert mine.reservation_id == 5


def test_connector_0_cannot_be_reserved_when_nothing_is_free():
    connectors = Connectors(1)
    connectors[1].plug_in()
    assert connectors.reserve(reservation(connector_id=0)) == "Occupied"


def test_a_reservation_expires_at_its_time_and_not_before():
    connectors = Connectors(1)
    connectors.reserve(reservation(id_=5))
    assert not connectors.expire(5, NOW)
    assert connectors.expire(5, NOW + dt.timedelta(hours=1))
    assert not connectors.expire(5, NOW + dt.timedelta(hours=1))
    assert connectors[1].status is Status.AVAILABLE
