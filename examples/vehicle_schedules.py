"""A plugin that plans the charging of vehicles which tell their needs (ISO 15118). OCPP 2.0.1, K15 to K17.

Run it:    python examples/vehicle_schedules.py
The promise of a schedule is the answer to the needs; `@after` keeps it, once the station has the answer.
"""

import datetime as dt
from decimal import Decimal

from chargehand import (
    AnsweredCall,
    Call,
    CentralSystem,
    OcppError,
    Plugin,
    Settings,
    Transaction,
    after,
    passive,
    v201,
)
from chargehand.simulator.message_log import Kind
from chargehand.simulator.v201 import Station

VOLTS = 230
PROFILE = 15118


class Planner(Plugin):
    """Gives each vehicle what it needs until it leaves, but no more than `most_w`."""

    def __init__(self, most_w: int = 11_000) -> None:
        super().__init__()
        self.most_w = most_w
        self.planned: dict[tuple[str, int], Decimal] = {}  # watts by station and EVSE

    def transaction_at(self, charge_point_id: str, evse_id: int) -> Transaction | None:
        """Find the transaction of an EVSE; None if there is none."""
        found = self.system.store.open_transactions(charge_point_id)
        return next((one for one in found if one.evse_id == evse_id), None)

    @passive(v201.NotifyEVChargingNeeds)
    def needs(self, call: Call[v201.NotifyEVChargingNeeds]) -> v201.NotifyEVChargingNeedsResponse:
        """Promise a schedule, if there is a transaction that it can be of. A vehicle may change its needs (K17)."""
        known = self.transaction_at(call.charge_point.id, call.request.evse_id)
        statuses = v201.NotifyEVChargingNeedsStatus
        status = statuses.REJECTED if known is None else statuses.ACCEPTED
        return v201.NotifyEVChargingNeedsResponse(status=status)

    @after(v201.NotifyEVChargingNeeds)
    def plan(
        self,
        call: AnsweredCall[v201.NotifyEVChargingNeeds],
        answer: v201.NotifyEVChargingNeedsResponse | OcppError,
    ) -> None:
        """Keep the promise: the station waits for the profile no longer than a minute."""
        if isinstance(answer, OcppError) or answer.status != v201.NotifyEVChargingNeedsStatus.ACCEPTED:
            return
        needs = call.request.charging_needs
        hours = Decimal(1)
        if needs.departure_time is not None:
            seconds = (needs.departure_time - dt.datetime.now(dt.UTC)).total_seconds()
            hours = Decimal(max(seconds, 900)) / 3600
        wanted = needs.ac_charging_parameters or needs.dc_charging_parameters
        energy_wh = (wanted.energy_amount if wanted is not None else None) or self.most_w  # of an hour
        watts = min(Decimal(self.most_w), (energy_wh / hours).quantize(Decimal(1)))
        self.planned[call.charge_point.id, call.request.evse_id] = watts
        self.send_plan(call.charge_point.id, call.request.evse_id)

    def send_plan(self, charge_point_id: str, evse_id: int) -> None:
        """Send the plan of an EVSE; sent again, or with another limit, it makes the vehicle choose anew (K16)."""
        known = self.transaction_at(charge_point_id, evse_id)
        if known is None:
            return
        period = v201.ChargingSchedulePeriod(start_period=0, limit=self.planned[charge_point_id, evse_id])
        schedule = v201.ChargingSchedule(
            id=1, charging_rate_unit=v201.ChargingRateUnit.W, charging_schedule_period=(period,)
        )
        profile = v201.ChargingProfile(
            id=PROFILE + evse_id,
            stack_level=0,
            charging_profile_purpose=v201.ChargingProfilePurpose.TX_PROFILE,
            charging_profile_kind=v201.ChargingProfileKind.RELATIVE,
            charging_schedule=(schedule,),
            transaction_id=known.remote_id,
        )
        self.system.send(charge_point_id, v201.SetChargingProfile(evse_id=evse_id, charging_profile=profile))

    @passive(v201.NotifyEVChargingSchedule)
    def schedule(self, call: Call[v201.NotifyEVChargingSchedule]) -> v201.NotifyEVChargingScheduleResponse:
        """Accept the schedule that the vehicle has chosen, if it is within the plan."""
        limit = self.planned.get((call.charge_point.id, call.request.evse_id))
        fits = limit is not None and most_of(call.request.charging_schedule) <= limit
        return v201.NotifyEVChargingScheduleResponse(
            status=v201.GenericStatus.ACCEPTED if fits else v201.GenericStatus.REJECTED
        )

    @after(v201.NotifyEVChargingSchedule)
    def negotiate_again(
        self,
        call: AnsweredCall[v201.NotifyEVChargingSchedule],
        answer: v201.NotifyEVChargingScheduleResponse | OcppError,
    ) -> None:
        """Send the plan once more to a vehicle that has chosen too much."""
        place = call.charge_point.id, call.request.evse_id
        refused = not isinstance(answer, OcppError) and answer.status == v201.GenericStatus.REJECTED
        if refused and place in self.planned:
            self.send_plan(*place)


def most_of(schedule: v201.ChargingSchedule) -> Decimal:
    """Return the most watts in a schedule."""
    in_watts = schedule.charging_rate_unit == v201.ChargingRateUnit.W
    periods = schedule.charging_schedule_period
    return max(one.limit * (1 if in_watts else VOLTS * (one.number_phases or 3)) for one in periods)


# -- A vehicle, for the example ------------------------------------------------------------------


def chosen(watts: int) -> v201.NotifyEVChargingSchedule:
    """Make the schedule that a vehicle has chosen."""
    period = v201.ChargingSchedulePeriod(start_period=0, limit=Decimal(watts))
    schedule = v201.ChargingSchedule(
        id=1, charging_rate_unit=v201.ChargingRateUnit.W, charging_schedule_period=(period,)
    )
    return v201.NotifyEVChargingSchedule(
        time_base=dt.datetime.now(dt.UTC), evse_id=1, charging_schedule=schedule
    )


def needed(energy_wh: int, hours: int) -> v201.NotifyEVChargingNeeds:
    """Make the needs of a vehicle that leaves in so many hours."""
    parameters = v201.ACChargingParameters(
        energy_amount=energy_wh, ev_min_current=6, ev_max_current=32, ev_max_voltage=400
    )
    needs = v201.ChargingNeeds(
        ac_charging_parameters=parameters,
        requested_energy_transfer=v201.EnergyTransferMode.AC_THREE_PHASE,
        departure_time=dt.datetime.now(dt.UTC) + dt.timedelta(hours=hours),
    )
    return v201.NotifyEVChargingNeeds(charging_needs=needs, evse_id=1)


class Watching:
    """Profiles that a station receives, one after the other."""

    def __init__(self, station: Station) -> None:
        self.record = station.record
        self.seen = 0

    def next_limit(self) -> str:
        """Wait for the next profile, and tell its limit."""
        call = self.record.wait_for_call("SetChargingProfile", kind=Kind.RECEIVED, after=self.seen)
        self.seen = call.number
        (schedule,) = call.payload["chargingProfile"]["chargingSchedule"]
        (period,) = schedule["chargingSchedulePeriod"]
        return f"{period['limit']} {schedule['chargingRateUnit']}"


def main() -> None:
    """Let a vehicle tell its needs, choose a schedule, choose too much, and change its needs."""
    with (
        CentralSystem(Settings(port=0), plugins=[Planner.spec(most_w=11_000)]) as system,
        Station(f"ws://127.0.0.1:{system.port}/ocpp", "CP1") as station,
    ):
        print("needs without a transaction:", station.send(needed(20_000, hours=4)).status)
        station.plug_in()
        station.start("T1")
        profiles = Watching(station)
        print("20 kWh within 4 hours:", station.send(needed(20_000, hours=4)).status, profiles.next_limit())
        print("the vehicle chooses 4 kW:", station.send(chosen(4_000)).status)
        print("the vehicle chooses 7 kW:", station.send(chosen(7_000)).status, profiles.next_limit())
        print("60 kWh within 2 hours:", station.send(needed(60_000, hours=2)).status, profiles.next_limit())


if __name__ == "__main__":
    main()
