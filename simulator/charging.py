"""Actions of a driver at a charge point, and the messages that report them.

The one rule: an action happens at once, and is reported when it can be. A transaction message waits in the backlog;
a status that could not be told is told on the next connection, as it is then. OCPP 1.6, sections 3.5, 4.7 to 4.10.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from ..protocol import v16
from .authorization import Authorization
from .backlog import Backlog, Delivery, Dispatcher
from .charging_profiles import InstalledProfiles
from .errors import CallFailed, Disconnected, NotPossible
from .jobs import PeriodicTask
from .schedules import unlimited
from .transactions import Transaction, beside_energy, energy, meter_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..protocol.actions import Request
    from .configuration import Configuration
    from .connectors import Connector, Connectors
    from .jobs import Jobs
    from .vehicle import AnyVehicle

CHARGING_W = 11_000
"""Power that a vehicle takes where no profile limits it, for periodic meter values."""

ACCEPTED = v16.AuthorizationStatus.ACCEPTED
SUSPENSIONS = (v16.ChargePointStatus.SUSPENDED_EV, v16.ChargePointStatus.SUSPENDED_EVSE)


class Charging:
    """Charging at all connectors of one charge point.

    `send` sends a request and waits; `is_ready` returns whether messages may be sent.
    """

    def __init__(
        self,
        connectors: Connectors,
        configuration: Configuration,
        jobs: Jobs,
        send: Callable[[Request[Any]], Any],
        is_ready: Callable[[], bool],
        *,
        auto_plug: bool,
    ) -> None:
        self.connectors = connectors
        self.authorization = Authorization(configuration)
        self.profiles = InstalledProfiles(configuration, connectors)
        self.backlog = Backlog(
            lambda: configuration.integer("TransactionMessageAttempts"),
            lambda: configuration.integer("TransactionMessageRetryInterval"),
        )
        self.auto_plug = auto_plug
        self.journal: Callable[[Transaction], object] | None = (
            None  # called with each transaction that begins
        )
        self.metering = PeriodicTask(
            jobs, lambda: configuration.integer("MeterValueSampleInterval"), self._sample
        )
        self._configuration = configuration
        self._jobs = jobs
        self._send = send
        self._is_ready = is_ready
        self._dispatcher = Dispatcher(self.backlog, jobs, send, is_ready)

    # -- The vehicle and its driver --------------------------------------------------------------

    def authorize(self, id_tag: str) -> v16.IdTagInfo:
        """Ask whether a tag may charge: the central system, or the lists while it cannot be reached."""
        now = self._jobs.now()
        if self._configuration.flag("LocalPreAuthorize"):
            known = self.authorization.known(id_tag, now)
            if known is not None and known.status == ACCEPTED:
                return known
        if not self._is_ready():
            return self.authorization.offline(id_tag, now)
        try:
            info: v16.IdTagInfo = self._send(v16.Authorize(id_tag=id_tag)).id_tag_info
        except Disconnected:
            return self.authorization.offline(id_tag, now)
        self.authorization.remember(id_tag, info)
        return info

    def plug_in(self, connector_id: int, vehicle: AnyVehicle | None = None) -> None:
        """Plug a vehicle in; a tag that was presented before starts its transaction."""
        connector = self.connectors[connector_id]
        connector.plug_in(vehicle)
        self.tell(connector)
        if connector.presented is not None:
            self.start(connector.presented, connector_id)

    def present(self, id_tag: str, connector_id: int) -> None:
        """Present a tag; an accepted one waits for a vehicle, as long as ConnectionTimeOut says."""
        connector = self.connectors[connector_id]
        connector.presented = id_tag
        self._jobs.later(self._configuration.integer("ConnectionTimeOut"), self._lapse, connector, id_tag)
        self.tell(connector)

    def _lapse(self, connector: Connector, id_tag: str) -> None:
        if connector.presented == id_tag:
            connector.presented = None
            self.tell(connector)

    def unplug(self, connector_id: int) -> None:
        """Unplug the vehicle. A transaction ends, or is suspended, by the configuration."""
        connector = self.connectors[connector_id]
        connector.unplug()
        if connector.transaction is None:
            self.tell(connector)
        elif self._configuration.flag("StopTransactionOnEVSideDisconnect"):
            self.stop(connector_id, v16.Reason.EV_DISCONNECTED)
        else:
            self.suspend(connector_id, v16.ChargePointStatus.SUSPENDED_EV)

    # -- Transactions ----------------------------------------------------------------------------

    def start(
        self, id_tag: str, connector_id: int, profile: v16.ChargingProfile | None = None
    ) -> Transaction:
        """Start a transaction. Raises NotPossible, or the `CallFailed` that the message was thrown away for."""
        connector = self.connectors[connector_id]
        known = self.authorization.known(id_tag, self._jobs.now())
        transaction = Transaction(
            connector_id=connector_id,
            id_tag=id_tag,
            parent_id_tag=known.parent_id_tag if known is not None else None,
            meter_start=connector.meter_wh,
            started_at=self._jobs.now(),
        )
        self.connectors.begin(transaction)
        if self.journal is not None:
            self.journal(transaction)
        if profile is not None:
            self.profiles.set(connector_id, profile)
        try:
            self._deliver(transaction.start_request, lambda response: self._started(transaction, response))
        finally:
            self.tell(connector)
        return transaction

    def _started(self, transaction: Transaction, response: v16.StartTransactionResponse) -> None:
        transaction.started(response)
        self.authorization.remember(transaction.id_tag, response.id_tag_info)
        if transaction.verdict != ACCEPTED and transaction.running:
            self._jobs.start(self._deauthorize, transaction)

    def _deauthorize(self, transaction: Transaction) -> None:
        connector = self.connectors[transaction.connector_id]
        if connector.transaction is not transaction:
            return
        if self._configuration.flag("StopTransactionOnInvalidId"):
            self.stop(connector.id, v16.Reason.DE_AUTHORIZED)
        else:
            connector.suspended = v16.ChargePointStatus.SUSPENDED_EVSE
            self.tell(connector)

    def start_remotely(self, id_tag: str, connector_id: int, profile: v16.ChargingProfile | None) -> None:
        """Carry out a RemoteStartTransaction that was accepted. OCPP 1.6, 5.11."""
        connector = self.connectors[connector_id]
        if (
            self._configuration.flag("AuthorizeRemoteTxRequests")
            and self.authorize(id_tag).status != ACCEPTED
        ):
            return
        if not connector.plugged:
            if not self.auto_plug:
                self.present(id_tag, connector_id)
                return
            self.plug_in(connector_id)
        self.start(id_tag, connector_id, profile)

    def meter(self, connector_id: int, wh: int, values: Sequence[v16.SampledValue] = ()) -> None:
        """Move the meter on by `wh` and send MeterValues: these, or a reading of the meter."""
        connector = self.connectors[connector_id] if connector_id else self.connectors.whole
        connector.meter_wh += wh
        readings = tuple(values) or (energy(connector.meter_wh), *beside_energy(connector.vehicle))
        now, transaction = self._jobs.now(), connector.transaction
        if transaction is not None:
            self._deliver(lambda: meter_values(connector_id, transaction.id, now, readings))
        elif self._is_ready():
            self._send(meter_values(connector_id, None, now, readings))

    def read_meters(self, connectors: Iterable[Connector]) -> None:
        """Send MeterValues of this moment because the central system asks, even before the backlog."""
        for connector in connectors:
            transaction_id = connector.transaction.id if connector.transaction is not None else None
            reading = energy(connector.meter_wh, v16.ReadingContext.TRIGGER)
            self._send(meter_values(connector.id, transaction_id, self._jobs.now(), (reading,)))

    def stop(self, connector_id: int, reason: v16.Reason, id_tag: str | None = None) -> Transaction:
        """Stop the transaction of a connector. Raises like `start`."""
        connector = self.connectors[connector_id]
        transaction = self._end(connector, reason, id_tag)
        try:
            self._deliver(transaction.stop_request)
        finally:
            self.tell(connector)
        return transaction

    def _end(self, connector: Connector, reason: v16.Reason, id_tag: str | None) -> Transaction:
        transaction = connector.transaction
        if transaction is None:
            raise NotPossible(f"connector {connector.id}: there is no transaction")
        transaction.stop(connector.meter_wh, self._jobs.now(), reason, id_tag)
        connector.end()
        self.profiles.transaction_over(connector.id)
        return transaction

    def stop_all(self, reason: v16.Reason = v16.Reason.LOCAL) -> None:
        """Stop all transactions, and report them; the answers do not matter."""
        for connector in self.connectors:
            if connector.transaction is not None:
                with contextlib.suppress(CallFailed):
                    self.stop(connector.id, reason)

    def break_off_all(self, reason: v16.Reason) -> None:
        """Stop all transactions as a loss of power does: they are reported after the next boot."""
        for connector in self.connectors:
            if connector.transaction is not None:
                self.backlog.add(Delivery(self._end(connector, reason, None).stop_request))

    def suspend(self, connector_id: int, status: v16.ChargePointStatus | None) -> None:
        """Suspend the transaction of a connector (SuspendedEV or SuspendedEVSE), or with None let it go on."""
        connector = self.connectors[connector_id]
        if connector.transaction is None or status not in (None, *SUSPENSIONS):
            raise NotPossible(f"connector {connector_id} cannot be {status or 'resumed'}")
        connector.suspended = status
        self.tell(connector)

    def _sample(self) -> None:
        seconds, now = self._configuration.integer("MeterValueSampleInterval"), self._jobs.now()
        for connector in self.connectors:
            if connector.transaction is None:
                continue
            limit_w = 0 if connector.suspended else self.profiles.limit_w(connector.id, now)
            if connector.vehicle is None:
                wh = min(CHARGING_W, limit_w) * seconds // 3600
            else:
                wh = connector.vehicle.take(self._jobs.time(), unlimited(limit_w))
            self._jobs.start(self.meter, connector.id, wh)

    def read_all(self) -> None:
        """Bring the meters of all connectors with a transaction to this moment, without a word."""
        for connector in self.connectors:
            if connector.vehicle is not None and connector.transaction is not None:
                limit_w = 0 if connector.suspended else self.profiles.limit_w(connector.id, self._jobs.now())
                connector.meter_wh += connector.vehicle.take(self._jobs.time(), unlimited(limit_w))

    # -- Telling ---------------------------------------------------------------------------------

    def tell(self, connector: Connector) -> None:
        """Send StatusNotification if the status differs from the last one sent.

        Offline it does nothing: `tell_all` does it on the next connection.
        """
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
        try:
            self._send(
                v16.StatusNotification(
                    connector_id=connector.id,
                    error_code=connector.error,
                    status=connector.told,
                    timestamp=self._jobs.now(),
                )
            )
        except Disconnected:
            connector.told = None
            return False
        return True

    def tell_all(self) -> None:
        """Report everything that the central system does not know: statuses first, then the transaction messages."""
        for connector in self.connectors.everything():
            self.tell(connector)
        self._dispatcher.deliver_now()

    def _deliver(self, make: Callable[[], Request[Any]], then: Callable[[Any], None] | None = None) -> Any:
        return self._dispatcher.wait_for(self.backlog.add(Delivery(make, then)))
