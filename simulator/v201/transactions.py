"""Transaction of a simulated station of OCPP 2.0.1, and its events.

The one rule: an event is made when it happens, with its time and its number; when it is sent, and how often, changes
nothing in it. OCPP 2.0.1, part 2, block E.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING

from ...protocol import v201

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from ..backlog import Delivery
    from ..vehicle import AnyVehicle

Event, Trigger, State = v201.TransactionEventType, v201.TriggerReason, v201.ChargingState
Context = v201.ReadingContext


class Misbehaviour(StrEnum):
    """Fault of real stations that a simulated one shows when it is told to."""

    SEQ_NO_ZERO = "seq-no-zero"
    """Every event has the number 0."""
    EVSE_ONCE = "evse-once"
    """Only the first event of a transaction has its EVSE, and that without a connector."""
    ENDED_FIRST = "ended-first"
    """Updated events wait for the Ended, which goes in front of all that was not delivered."""
    DROP_UPDATED = "drop-updated"
    """Every second Updated event of a transaction is lost, its number with it."""
    BEGIN_ZERO = "begin-zero"
    """The reading at the start of a transaction is 0, whatever the meter says."""
    REPORT_PART_LOST = "report-part-lost"
    """The second part of each report is lost."""
    REPORT_FROM_ONE = "report-from-one"
    """The first part of each report has the number 1."""
    REPORT_UNORDERED = "report-unordered"
    """The parts of each report come in the wrong order, the last one first."""


@dataclass(slots=True, eq=False, kw_only=True)
class StationTransaction:
    """Transaction, meters in Wh. `verdict` is None until an event with the token was answered."""

    id: str
    evse_id: int
    connector_id: int
    meter_start: int
    started_at: datetime
    state: v201.ChargingState = State.EV_CONNECTED
    token: v201.IdToken | None = None
    group: v201.IdToken | None = None
    authorized: bool = False
    remote_start_id: int | None = None
    reservation_id: int | None = None
    verdict: v201.AuthorizationStatus | None = None
    total_cost: Decimal | None = None
    meter_stop: int | None = None
    stopped_at: datetime | None = None
    reason: v201.Reason | None = None
    seq_no: int = 0
    """Number of the next event."""
    updates: int = 0
    held: list[Delivery] | None = None
    """Updated events that wait for the Ended, with `Misbehaviour.ENDED_FIRST`."""
    _charged_s: int = field(default=0, repr=False)
    _charging_since: datetime | None = field(default=None, repr=False)
    _told: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def transaction_id(self) -> str:
        """Text that it is named by in messages."""
        return self.id

    @property
    def running(self) -> bool:
        """True until the transaction was ended."""
        return self.stopped_at is None

    def change(self, state: v201.ChargingState, now: datetime) -> bool:
        """Take a charging state; false if it is in that already."""
        if state is self.state:
            return False
        self._count(now)
        self.state = state
        self._charging_since = now if state is State.CHARGING else None
        return True

    def _count(self, now: datetime) -> None:
        if self._charging_since is not None:
            self._charged_s += int((now - self._charging_since).total_seconds())
            self._charging_since = now

    def end(self, meter_stop: int, now: datetime, reason: v201.Reason) -> None:
        """Note how it ended."""
        self._count(now)
        self._charging_since = None
        self.meter_stop = meter_stop
        self.stopped_at = now
        self.reason = reason

    def event(
        self,
        kind: v201.TransactionEventType,
        trigger: v201.TriggerReason,
        now: datetime,
        *,
        offline: bool,
        readings: Sequence[v201.SampledValue] = (),
        token: v201.IdToken | None = None,
        faults: Collection[Misbehaviour] = (),
    ) -> v201.TransactionEvent:
        """Make the next event. Ids of a remote start and a reservation are in the first event since they came."""
        seq_no, self.seq_no = self.seq_no, self.seq_no + 1
        self._count(now)
        evse: v201.EVSE | None = v201.EVSE(id=self.evse_id, connector_id=self.connector_id)
        if Misbehaviour.EVSE_ONCE in faults:
            evse = v201.EVSE(id=self.evse_id) if seq_no == 0 else None
        return v201.TransactionEvent(
            event_type=kind,
            timestamp=now,
            trigger_reason=trigger,
            seq_no=0 if Misbehaviour.SEQ_NO_ZERO in faults else seq_no,
            offline=True if offline else None,
            transaction_info=v201.TransactionInfo(
                transaction_id=self.id,
                charging_state=self.state,
                time_spent_charging=self._charged_s,
                stopped_reason=self.reason,
                remote_start_id=self._once("remote_start_id", self.remote_start_id),
            ),
            reservation_id=self._once("reservation_id", self.reservation_id),
            evse=evse,
            id_token=token,
            meter_value=(v201.MeterValue(timestamp=now, sampled_value=tuple(readings)),)
            if readings
            else None,
        )

    def _once(self, name: str, number: int | None) -> int | None:
        """Return a number the first time that it is there, None afterwards."""
        if number is None or self._told.get(name) == number:
            return None
        self._told[name] = number
        return number


def energy(meter_wh: int, context: v201.ReadingContext = Context.SAMPLE_PERIODIC) -> v201.SampledValue:
    """Make a sample of the energy register."""
    return v201.SampledValue(
        value=Decimal(meter_wh),
        context=context,
        measurand=v201.Measurand.ENERGY_ACTIVE_IMPORT_REGISTER,
        unit_of_measure=v201.UnitOfMeasure(unit="Wh"),
    )


def beside_energy(vehicle: AnyVehicle | None) -> tuple[v201.SampledValue, ...]:
    """Make samples of what is known of a vehicle: its power, and its state of charge with direct current."""
    if vehicle is None:
        return ()
    power = v201.SampledValue(
        value=Decimal(vehicle.power_w),
        measurand=v201.Measurand.POWER_ACTIVE_IMPORT,
        unit_of_measure=v201.UnitOfMeasure(unit="W"),
    )
    if vehicle.phases:
        return (power,)
    soc = v201.SampledValue(
        value=Decimal(int(vehicle.soc * 100)),
        measurand=v201.Measurand.SOC,
        unit_of_measure=v201.UnitOfMeasure(unit="Percent"),
    )
    return power, soc
