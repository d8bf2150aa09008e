"""Actions of a driver at a station of OCPP 2.0.1, and the messages that report them.

The one rule: an action happens at once, and is reported when it can be. An event of a transaction waits in the backlog;
a status that could not be told is told on the next connection, as it is then. OCPP 2.0.1, part 2, blocks C, E, F and G.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from ...protocol import v201
from ..backlog import Backlog, Delivery, Dispatcher
from ..errors import CallFailed, Disconnected, NotPossible
from ..jobs import PeriodicTask
from ..schedules import unlimited
from .authorization import Authorization, token_key
from .charging_profiles import StationProfiles
from .reservations import Reservations
from .transactions import (
    Context,
    Event,
    Misbehaviour,
    State,
    StationTransaction,
    Trigger,
    beside_energy,
    energy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from ...protocol.actions import Request
    from ..jobs import Jobs
    from ..vehicle import AnyVehicle
    from .device_model import DeviceModel
    from .evses import Connector, Evse, Evses

CHARGING_W = 11_000
"""Power that a vehicle takes if nothing limits it."""

ACCEPTED = v201.AuthorizationStatus.ACCEPTED
SUSPENSIONS = (State.SUSPENDED_EV, State.SUSPENDED_EVSE)
Reason = v201.Reason


class StationCharging:
    """Charging at all EVSEs of one station.

    `send` sends a request and waits; `is_ready` returns whether messages may be sent. `new_id` makes the id of a
    transaction. `idle` is called after the last transaction has ended, `changed` when a status has changed.
    """

    def __init__(
        self,
        evses: Evses,
        model: DeviceModel,
        jobs: Jobs,
        send: Callable[[Request[Any]], Any],
        is_ready: Callable[[], bool],
        *,
        new_id: Callable[[], str],
        idle: Callable[[], None],
        auto_plug: bool,
        misbehaviour: frozenset[Misbehaviour],
        changed: Callable[[], object],
    ) -> None:
        self.evses = evses
        self.authorization = Authorization(model)
        self.profiles = StationProfiles(model, evses)
        self.reservations = Reservations(evses)
        self.backlog = Backlog(
            lambda: model.integer("OCPPCommCtrlr.MessageAttempts[TransactionEvent]"),
            lambda: model.integer("OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]"),
        )
        self.auto_plug = auto_plug
        self.misbehaviour = misbehaviour
        self.journal: Callable[[StationTransaction], object] | None = None  # called with each that begins
        self.metering = PeriodicTask(
            jobs, lambda: model.integer("SampledDataCtrlr.TxUpdatedInterval"), self._sample
        )
        self._model = model
        self._jobs = jobs
        self._send = send
        self._is_ready = is_ready
        self._new_id = new_id
        self._idle = idle
        self._changed = changed
        self._dispatcher = Dispatcher(self.backlog, jobs, send, is_ready)

    # -- The vehicle and its driver --------------------------------------------------------------

    def authorize(self, token: v201.IdToken) -> v201.IdTokenInfo:
        """Ask whether a token may charge: the central system, or the lists while it cannot be reached."""
        now = self._jobs.now()
        free = token.type == v201.IdTokenType.NO_AUTHORIZATION
        if free or self._model.flag("AuthCtrlr.LocalPreAuthorize"):
            known = self.authorization.known(token, now)
            if known is not None and known.status == ACCEPTED:
                return known
        if not self._is_ready():
            return self.authorization.offline(token, now)
        try:
            info: v201.IdTokenInfo = self._send(v201.Authorize(id_token=token)).id_token_info
        except Disconnected:
            return self.authorization.offline(token, now)
        self.authorization.remember(token, info)
        return info

    def plug_in(self, evse_id: int, connector_id: int, vehicle: AnyVehicle | None = None) -> None:
        """Plug a vehicle in; what was presented before starts its transaction."""
        evse = self.evses[evse_id]
        evse.plug_in(connector_id, vehicle)
        self.tell_evse(evse)
        if self._model.has("TxCtrlr.TxStartPoint", "EVConnected"):
            self._begin(evse)
            self._started(evse, Trigger.CABLE_PLUGGED_IN)
        presented, evse.presented = evse.presented, None
        if isinstance(presented, v201.RequestStartTransaction):
            self._start_requested(evse, presented)

    def present(self, evse: Evse, request: v201.RequestStartTransaction) -> None:
        """Let a start wait for a vehicle, as long as EVConnectionTimeOut says."""
        evse.presented = request
        self._jobs.later(self._model.integer("TxCtrlr.EVConnectionTimeOut"), self._lapse, evse, request)

    @staticmethod
    def _lapse(evse: Evse, request: v201.RequestStartTransaction) -> None:
        if evse.presented is request:
            evse.presented = None

    def unplug(self, evse_id: int) -> None:
        """Unplug the vehicle. A transaction ends, or is suspended, by the configuration."""
        evse = self.evses[evse_id]
        evse.unplug()
        transaction = evse.transaction
        try:
            if transaction is None:
                return
            if not transaction.authorized:
                self._end(evse, Trigger.EV_DEPARTED, transaction.reason or Reason.EV_DISCONNECTED)
            elif self._model.flag("TxCtrlr.StopTxOnEVSideDisconnect"):
                self._end(evse, Trigger.EV_COMMUNICATION_LOST, Reason.EV_DISCONNECTED)
            else:
                transaction.change(State.IDLE, self._jobs.now())
                self._update(transaction, Trigger.EV_COMMUNICATION_LOST)
        finally:
            self.tell_evse(evse)

    # -- Transactions ----------------------------------------------------------------------------

    def start(
        self,
        token: v201.IdToken,
        evse_id: int,
        *,
        request: v201.RequestStartTransaction | None = None,
    ) -> StationTransaction:
        """Start a transaction, or authorize the one that began with the cable; `request` is the command behind it.

        Raises NotPossible, or the `CallFailed` that an event was thrown away for.
        """
        evse = self.evses[evse_id]
        known = self.authorization.known(token, self._jobs.now())
        group = None if known is None else known.group_id_token
        self._check(evse, token, group)
        transaction = evse.transaction
        began = transaction is None
        if transaction is None:
            transaction = self._begin(evse)
        transaction.token, transaction.group, transaction.authorized = token, group, True
        transaction.reason = None
        transaction.reservation_id = self.reservations.of(evse, token, group)
        if transaction.reservation_id is not None:
            self.reservations.cancel(transaction.reservation_id)
        if request is not None:
            transaction.remote_start_id = request.remote_start_id
            if request.charging_profile is not None:
                self.profiles.set_for_start(evse_id, request.charging_profile)
        trigger = Trigger.AUTHORIZED if request is None else Trigger.REMOTE_START
        if began:
            self._started(evse, trigger, token)
        else:
            self._update(transaction, trigger, token=token)
        if transaction.running and transaction.verdict in (None, ACCEPTED):
            self._change(evse, State.CHARGING)
        return transaction

    def _check(self, evse: Evse, token: v201.IdToken, group: v201.IdToken | None) -> None:
        connector = evse.connector
        if connector is None:
            raise NotPossible(f"EVSE {evse.id}: no vehicle is plugged in")
        if evse.transaction is not None and evse.transaction.authorized:
            raise NotPossible(f"EVSE {evse.id} is charging")
        if connector.faulted:
            raise NotPossible(f"EVSE {evse.id} is faulted")
        if not (connector.operative and evse.operative and self.evses.operative):
            raise NotPossible(f"EVSE {evse.id} is unavailable")
        obstacle = self.reservations.obstacle(evse, token, group)
        if obstacle is not None:
            raise NotPossible(obstacle)

    def _begin(self, evse: Evse) -> StationTransaction:
        connector = evse.connector
        if connector is None:
            raise NotPossible(f"EVSE {evse.id}: no vehicle is plugged in")
        evse.transaction = transaction = StationTransaction(
            id=self._new_id(),
            evse_id=evse.id,
            connector_id=connector.id,
            meter_start=evse.meter_wh,
            started_at=self._jobs.now(),
        )
        if self.journal is not None:
            self.journal(transaction)
        return transaction

    def _started(self, evse: Evse, trigger: v201.TriggerReason, token: v201.IdToken | None = None) -> None:
        transaction = evse.transaction
        if transaction is None:
            raise NotPossible(f"EVSE {evse.id}: there is no transaction")
        begin_wh = 0 if Misbehaviour.BEGIN_ZERO in self.misbehaviour else transaction.meter_start
        self._report(
            transaction, Event.STARTED, trigger, (energy(begin_wh, Context.TRANSACTION_BEGIN),), token
        )

    def start_requested(self, request: v201.RequestStartTransaction, evse: Evse) -> None:
        """Carry out a RequestStartTransaction that was accepted. OCPP 2.0.1, F01 and F02."""
        if (
            self._model.flag("AuthCtrlr.AuthorizeRemoteStart")
            and self.authorize(request.id_token).status != ACCEPTED
        ):
            return
        if evse.connector is None:
            self.present(evse, request)
            if self.auto_plug:
                self.plug_in(evse.id, 1)
            return
        self._start_requested(evse, request)

    def _start_requested(self, evse: Evse, request: v201.RequestStartTransaction) -> None:
        self.start(request.id_token, evse.id, request=request)

    def meter(self, evse_id: int, wh: int, values: Sequence[v201.SampledValue] = ()) -> None:
        """Move the meter on by `wh` and report these values, or a reading of the meter."""
        evse = self.evses[evse_id]
        evse.meter_wh += wh
        readings = tuple(values) or (energy(evse.meter_wh), *beside_energy(evse.vehicle))
        transaction = evse.transaction
        if transaction is not None:
            self._update(transaction, Trigger.METER_VALUE_PERIODIC, readings)
        elif self._is_ready():
            self._send(self._meter_values(evse, readings))

    def _meter_values(self, evse: Evse, readings: Sequence[v201.SampledValue]) -> v201.MeterValues:
        value = v201.MeterValue(timestamp=self._jobs.now(), sampled_value=tuple(readings))
        return v201.MeterValues(evse_id=evse.id, meter_value=(value,))

    def read_meters(self, evses: Iterable[Evse]) -> None:
        """Send MeterValues of this moment because the central system asks."""
        for evse in evses:
            self._send(self._meter_values(evse, (energy(evse.meter_wh, Context.TRIGGER),)))

    def tell_transactions(self, evses: Iterable[Evse]) -> None:
        """Send an Updated event of each transaction because the central system asks."""
        for evse in evses:
            if evse.transaction is not None:
                reading = energy(evse.meter_wh, Context.TRIGGER)
                self._update(evse.transaction, Trigger.TRIGGER, (reading,))

    def stop(
        self,
        evse_id: int,
        *,
        token: v201.IdToken | None = None,
        trigger: v201.TriggerReason = Trigger.STOP_AUTHORIZED,
        reason: v201.Reason = Reason.LOCAL,
    ) -> StationTransaction:
        """Stop charging: the transaction ends, or goes on until the vehicle leaves, as TxStopPoint says.

        Raises like `start`; NotPossible too for a token that did not start it and is not of its group.
        """
        evse = self.evses[evse_id]
        transaction = evse.transaction
        if transaction is None or not transaction.authorized:
            raise NotPossible(f"EVSE {evse_id}: there is no transaction")
        if token is not None and not self._may_stop(transaction, token):
            raise NotPossible(f"EVSE {evse_id}: {token.id_token} may not stop the transaction")
        if self._model.has("TxCtrlr.TxStopPoint", "Authorized"):
            return self._end(evse, trigger, reason, token)
        transaction.authorized = False
        transaction.reason = reason
        transaction.change(State.EV_CONNECTED, self._jobs.now())
        self._update(transaction, trigger, (energy(evse.meter_wh),), token=token)
        return transaction

    def _may_stop(self, transaction: StationTransaction, token: v201.IdToken) -> bool:
        if transaction.token is None or token_key(transaction.token) == token_key(token):
            return True
        known = self.authorization.known(token, self._jobs.now())
        group = None if known is None else known.group_id_token
        return (
            group is not None
            and transaction.group is not None
            and token_key(group) == token_key(transaction.group)
        )

    def _end(
        self,
        evse: Evse,
        trigger: v201.TriggerReason,
        reason: v201.Reason,
        token: v201.IdToken | None = None,
    ) -> StationTransaction:
        """End a transaction and report it. The last one takes with it what waited for that."""
        delivery = self._over(evse, trigger, reason, token)
        try:
            self._dispatcher.wait_for(delivery)
        finally:
            self.tell_evse(evse)
            if not self.evses.busy:
                self._idle()
        transaction: StationTransaction = delivery.owner  # type: ignore[assignment]
        return transaction

    def _over(
        self, evse: Evse, trigger: v201.TriggerReason, reason: v201.Reason, token: v201.IdToken | None
    ) -> Delivery:
        """End a transaction; the Ended waits in the backlog."""
        transaction = evse.transaction
        if transaction is None:
            raise NotPossible(f"EVSE {evse.id}: there is no transaction")
        now = self._jobs.now()
        transaction.end(evse.meter_wh, now, reason)
        transaction.state = State.EV_CONNECTED if evse.connector is not None else State.IDLE
        reading = energy(evse.meter_wh, Context.TRANSACTION_END)
        delivery = self._delivery(transaction, Event.ENDED, trigger, (reading,), token)
        if Misbehaviour.ENDED_FIRST in self.misbehaviour:
            self.backlog.overtake(delivery)
            for held in transaction.held or ():
                self.backlog.add(held)
            transaction.held = None
        else:
            self.backlog.add(delivery)
        evse.end()
        self.evses.ended()
        self.profiles.transaction_over(evse.id)
        self.reservations.refresh()
        return delivery

    def stop_all(
        self,
        reason: v201.Reason = Reason.LOCAL,
        trigger: v201.TriggerReason = Trigger.STOP_AUTHORIZED,
    ) -> None:
        """Stop all transactions, and report them; the answers do not matter."""
        for evse in self.evses:
            if evse.transaction is not None:
                with contextlib.suppress(CallFailed):
                    self._end(evse, trigger, reason)

    def break_off_all(self, reason: v201.Reason, evses: Iterable[Evse] | None = None) -> None:
        """Stop all transactions as a reset does: they are reported when they can be."""
        for evse in self.evses if evses is None else evses:
            if evse.transaction is not None:
                self._over(evse, Trigger.RESET_COMMAND, reason, None)

    def suspend(self, evse_id: int, state: v201.ChargingState | None) -> None:
        """Suspend charging (SuspendedEV or SuspendedEVSE), or with None let it go on."""
        evse = self.evses[evse_id]
        transaction = evse.transaction
        if transaction is None or not transaction.authorized or state not in (None, *SUSPENSIONS):
            raise NotPossible(f"EVSE {evse_id} cannot be {state or 'resumed'}")
        self._change(evse, state or State.CHARGING)

    def _change(self, evse: Evse, state: v201.ChargingState) -> None:
        transaction = evse.transaction
        if transaction is not None and transaction.change(state, self._jobs.now()):
            self._update(transaction, Trigger.CHARGING_STATE_CHANGED, (energy(evse.meter_wh, Context.OTHER),))

    def _sample(self) -> None:
        seconds = self._model.integer("SampledDataCtrlr.TxUpdatedInterval")
        now = self._jobs.now()
        for evse in self.evses:
            if evse.transaction is None:
                continue
            limit_w = self._limit_w(evse, now)
            if evse.vehicle is None:
                wh = min(CHARGING_W, limit_w) * seconds // 3600
            else:
                wh = evse.vehicle.take(self._jobs.time(), unlimited(limit_w))
            self._jobs.start(self.meter, evse.id, wh)

    def _limit_w(self, evse: Evse, now: datetime) -> int:
        """Return the power that the transaction of an EVSE may take; none unless it is charging.

        A vehicle with a battery charges from when it is authorized, however long the answer takes.
        """
        transaction = evse.transaction
        if transaction is None or transaction.state in SUSPENSIONS:
            return 0
        charging = transaction.state is State.CHARGING or (
            evse.vehicle is not None and transaction.authorized
        )
        return self.profiles.limit_w(evse.id, now) if charging else 0

    def read_all(self) -> None:
        """Bring the meters of all EVSEs with a transaction to this moment, without a word."""
        for evse in self.evses:
            if evse.vehicle is not None and evse.transaction is not None:
                limit_w = self._limit_w(evse, self._jobs.now())
                evse.meter_wh += evse.vehicle.take(self._jobs.time(), unlimited(limit_w))

    # -- Events ----------------------------------------------------------------------------------

    def _delivery(
        self,
        transaction: StationTransaction,
        kind: v201.TransactionEventType,
        trigger: v201.TriggerReason,
        readings: Sequence[v201.SampledValue],
        token: v201.IdToken | None,
    ) -> Delivery:
        event = transaction.event(
            kind,
            trigger,
            self._jobs.now(),
            offline=not self._is_ready(),
            readings=readings,
            token=token,
            faults=self.misbehaviour,
        )
        return Delivery(
            lambda: event, lambda response: self._answered(transaction, event, response), transaction
        )

    def _report(
        self,
        transaction: StationTransaction,
        kind: v201.TransactionEventType,
        trigger: v201.TriggerReason,
        readings: Sequence[v201.SampledValue] = (),
        token: v201.IdToken | None = None,
    ) -> None:
        delivery = self._delivery(transaction, kind, trigger, readings, token)
        self._dispatcher.wait_for(self.backlog.add(delivery))

    def _update(
        self,
        transaction: StationTransaction,
        trigger: v201.TriggerReason,
        readings: Sequence[v201.SampledValue] = (),
        *,
        token: v201.IdToken | None = None,
    ) -> None:
        transaction.updates += 1
        if Misbehaviour.DROP_UPDATED in self.misbehaviour and transaction.updates % 2 == 0:
            transaction.seq_no += 1
        elif Misbehaviour.ENDED_FIRST in self.misbehaviour:
            delivery = self._delivery(transaction, Event.UPDATED, trigger, readings, token)
            transaction.held = [*(transaction.held or ()), delivery]
        else:
            self._report(transaction, Event.UPDATED, trigger, readings, token)

    def _answered(
        self,
        transaction: StationTransaction,
        event: v201.TransactionEvent,
        response: v201.TransactionEventResponse,
    ) -> None:
        if response.total_cost is not None:
            transaction.total_cost = response.total_cost
        info = response.id_token_info
        if info is None or event.id_token is None:
            return
        self.authorization.remember(event.id_token, info)
        if event.event_type == Event.ENDED:
            return
        transaction.verdict = info.status
        transaction.group = info.group_id_token or transaction.group
        if info.status != ACCEPTED and transaction.running:
            self._jobs.start(self._deauthorize, transaction)

    def _deauthorize(self, transaction: StationTransaction) -> None:
        """Stop, or suspend, what the central system does not allow. OCPP 2.0.1, E05."""
        evse = self.evses[transaction.evse_id]
        if evse.transaction is not transaction:
            return
        if self._model.flag("TxCtrlr.StopTxOnInvalidId"):
            self._end(evse, Trigger.DEAUTHORIZED, Reason.DE_AUTHORIZED)
        else:
            self._change(evse, State.SUSPENDED_EVSE)

    # -- Reservations ----------------------------------------------------------------------------

    def reserve(self, request: v201.ReserveNow) -> v201.ReserveNowStatus:
        """Reserve until the reservation is used, cancelled or over. OCPP 2.0.1, H01 and H04."""
        if not self._model.flag("ReservationCtrlr.Enabled"):
            return v201.ReserveNowStatus.REJECTED
        now = self._jobs.now()
        status = self.reservations.reserve(request, now)
        if status is v201.ReserveNowStatus.ACCEPTED:
            seconds = (request.expiry_date_time - now).total_seconds()
            self._jobs.later(seconds, self._expire, request)
        return status

    def _expire(self, request: v201.ReserveNow) -> None:
        if self.reservations.all.get(request.id) is request:
            self._end_reservation(request.id, v201.ReservationUpdateStatus.EXPIRED)
            self.tell_statuses()

    def _end_reservation(self, number: int, status: v201.ReservationUpdateStatus) -> None:
        """End a reservation, and report that if it can be reported now."""
        self.reservations.cancel(number)
        if self._is_ready():
            self._send(v201.ReservationStatusUpdate(reservation_id=number, reservation_update_status=status))

    def places_changed(self) -> None:
        """Report statuses after a fault or a change of availability, which may take reservations away."""
        for number in self.reservations.lost():
            self._end_reservation(number, v201.ReservationUpdateStatus.REMOVED)
        self.tell_statuses()

    # -- Telling ---------------------------------------------------------------------------------

    def tell_evse(self, evse: Evse) -> None:
        """Report the statuses of an EVSE that have changed; of all EVSEs if reservations are in the way."""
        self.reservations.refresh()
        for connector in self.evses.connectors() if self.reservations.all else evse.connectors:
            self.tell(connector)

    def tell(self, connector: Connector) -> None:
        """Send StatusNotification if the status differs from the last one sent."""
        while connector.told is not connector.status and self._is_ready():
            if not self._tell_status(connector):
                return

    def tell_again(self, connectors: Iterable[Connector]) -> None:
        """Send StatusNotification because the central system asks, even an unchanged one, with any registration."""
        for connector in connectors:
            self._tell_status(connector)

    def _tell_status(self, connector: Connector) -> bool:
        """Report a status; false if it was not sent, because the connection is gone."""
        connector.told = connector.status
        self._changed()
        try:
            self._send(
                v201.StatusNotification(
                    timestamp=self._jobs.now(),
                    connector_status=connector.told,
                    evse_id=connector.evse.id,
                    connector_id=connector.id,
                )
            )
        except Disconnected:
            connector.told = None
            return False
        return True

    def tell_statuses(self) -> None:
        """Report all statuses that have changed."""
        for connector in self.evses.connectors():
            self.tell(connector)

    def tell_all(self) -> None:
        """Report everything that the central system does not know: statuses first, then the events."""
        self.tell_statuses()
        self._dispatcher.deliver_now()
