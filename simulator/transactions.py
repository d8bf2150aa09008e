"""Charging transaction of a simulated charge point, and its messages.

The one rule: it starts and ends here and now, whether or not the central system can be told; the number that the
central system gives it may come much later. OCPP 1.6, sections 4.7, 4.8 and 4.10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..protocol import v16

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from .vehicle import AnyVehicle

NO_ID = -1
"""Transaction id in a StopTransaction whose StartTransaction was never answered."""


@dataclass(slots=True, eq=False, kw_only=True)
class Transaction:
    """Transaction, meters in Wh. `id` and `verdict` are None until StartTransaction was answered."""

    connector_id: int
    id_tag: str
    meter_start: int
    started_at: datetime
    parent_id_tag: str | None = None
    reservation_id: int | None = None
    id: int | None = None
    verdict: v16.AuthorizationStatus | None = None
    meter_stop: int | None = None
    stopped_at: datetime | None = None
    stop_id_tag: str | None = None
    reason: v16.Reason | None = None

    @property
    def transaction_id(self) -> int | None:
        """Number that the central system gave it; None until StartTransaction was answered."""
        return self.id

    @property
    def running(self) -> bool:
        """True until the transaction was stopped."""
        return self.stopped_at is None

    def stop(self, meter_stop: int, now: datetime, reason: v16.Reason, id_tag: str | None) -> None:
        """Note how it ended."""
        self.meter_stop = meter_stop
        self.stopped_at = now
        self.reason = reason
        self.stop_id_tag = id_tag

    def start_request(self) -> v16.StartTransaction:
        """Make the StartTransaction, with the time of the start."""
        return v16.StartTransaction(
            connector_id=self.connector_id,
            id_tag=self.id_tag,
            meter_start=self.meter_start,
            reservation_id=self.reservation_id,
            timestamp=self.started_at,
        )

    def started(self, response: v16.StartTransactionResponse) -> None:
        """Take over number and verdict from the answer to the start."""
        self.id = response.transaction_id
        self.verdict = response.id_tag_info.status

    def stop_request(self) -> v16.StopTransaction:
        """Make the StopTransaction, with the time of the stop. Raises ValueError while it runs."""
        if self.meter_stop is None or self.stopped_at is None:
            raise ValueError("the transaction has not been stopped")
        return v16.StopTransaction(
            id_tag=self.stop_id_tag,
            meter_stop=self.meter_stop,
            timestamp=self.stopped_at,
            transaction_id=NO_ID if self.id is None else self.id,
            reason=self.reason,
        )


def meter_values(
    connector_id: int, transaction_id: int | None, now: datetime, values: Sequence[v16.SampledValue]
) -> v16.MeterValues:
    """Make MeterValues of one moment; without a number if there is no transaction, or it got none."""
    return v16.MeterValues(
        connector_id=connector_id,
        transaction_id=transaction_id,
        meter_value=(v16.MeterValue(timestamp=now, sampled_value=tuple(values)),),
    )


def energy(
    meter_wh: int, context: v16.ReadingContext = v16.ReadingContext.SAMPLE_PERIODIC
) -> v16.SampledValue:
    """Make a sample of the energy meter."""
    return v16.SampledValue(
        value=str(meter_wh),
        context=context,
        measurand=v16.Measurand.ENERGY_ACTIVE_IMPORT_REGISTER,
        unit=v16.UnitOfMeasure.WH,
    )


def beside_energy(vehicle: AnyVehicle | None) -> tuple[v16.SampledValue, ...]:
    """Make samples of what is known of a vehicle: its power, and its state of charge with direct current."""
    if vehicle is None:
        return ()
    power = v16.SampledValue(
        value=str(vehicle.power_w),
        measurand=v16.Measurand.POWER_ACTIVE_IMPORT,
        unit=v16.UnitOfMeasure.W,
    )
    if vehicle.phases:
        return (power,)
    soc = v16.SampledValue(
        value=str(int(vehicle.soc * 100)), measurand=v16.Measurand.SOC, unit=v16.UnitOfMeasure.PERCENT
    )
    return power, soc
