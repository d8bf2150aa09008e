"""Commands of OCPP 1.6 as a charge point carries them out, but for those of `maintenance`.

The one rule: an answer is given at once; the action comes after it (`Answer.then`).
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from ..protocol import v16
from .answers import Answer
from .connectors import ConnectorReservation
from .errors import NotPossible

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .answers import Answerer
    from .charging import Charging
    from .configuration import Configuration
    from .connectors import Connector
    from .jobs import Jobs
    from .maintenance import Power

LONGEST_SCHEDULE_S = 30 * 86_400
"""Longest duration of a composite schedule."""


class CommandHandlers:
    """Handlers of the commands of the central system.

    `power` restarts the charge point and makes it heed its configuration.
    """

    def __init__(
        self, charging: Charging, configuration: Configuration, jobs: Jobs, power: Power, vendor: str
    ) -> None:
        self._charging = charging
        self._connectors = charging.connectors
        self._configuration = configuration
        self._jobs = jobs
        self._power = power
        self._vendor = vendor

    def answers(self) -> Mapping[str, Answerer]:
        """Return the table: action to answerer."""
        return {
            "CancelReservation": self.cancel_reservation,
            "ChangeAvailability": self.change_availability,
            "ChangeConfiguration": self.change_configuration,
            "ClearCache": self.clear_cache,
            "ClearChargingProfile": self.clear_charging_profile,
            "DataTransfer": self.data_transfer,
            "GetCompositeSchedule": self.get_composite_schedule,
            "GetConfiguration": self.get_configuration,
            "GetLocalListVersion": self.get_local_list_version,
            "RemoteStartTransaction": self.remote_start,
            "RemoteStopTransaction": self.remote_stop,
            "ReserveNow": self.reserve_now,
            "Reset": self.reset,
            "SendLocalList": self.send_local_list,
            "SetChargingProfile": self.set_charging_profile,
            "UnlockConnector": self.unlock_connector,
        }

    def _tell(self, *connectors: Connector) -> None:
        for connector in connectors:
            self._charging.tell(connector)

    # -- Connectors ------------------------------------------------------------------------------

    def change_availability(self, request: v16.ChangeAvailability) -> Answer:
        """OCPP 1.6, 5.2."""
        operative = request.type == v16.AvailabilityType.OPERATIVE
        try:
            status = self._connectors.change_availability(request.connector_id, operative=operative)
        except NotPossible:
            return Answer(v16.ChangeAvailabilityResponse(status=v16.AvailabilityStatus.REJECTED))
        return Answer(
            v16.ChangeAvailabilityResponse(status=status), lambda: self._tell(*self._connectors.everything())
        )

    def unlock_connector(self, request: v16.UnlockConnector) -> Answer:
        """OCPP 1.6, 5.18: a transaction is stopped first."""
        if request.connector_id not in self._connectors:
            return Answer(v16.UnlockConnectorResponse(status=v16.UnlockStatus.NOT_SUPPORTED))
        charging = self._connectors[request.connector_id].transaction is not None
        return Answer(
            v16.UnlockConnectorResponse(status=v16.UnlockStatus.UNLOCKED),
            (lambda: self._charging.stop(request.connector_id, v16.Reason.UNLOCK_COMMAND))
            if charging
            else None,
        )

    def reserve_now(self, request: v16.ReserveNow) -> Answer:
        """OCPP 1.6, 5.13."""
        status = v16.ReservationStatus.REJECTED
        known = request.connector_id in self._connectors
        if known or (request.connector_id == 0 and self._configuration.flag("ReserveConnectorZeroSupported")):
            status = self._connectors.reserve(
                ConnectorReservation(
                    id=request.reservation_id,
                    connector_id=request.connector_id,
                    id_tag=request.id_tag,
                    parent_id_tag=request.parent_id_tag,
                    expiry=request.expiry_date,
                )
            )
        response = v16.ReserveNowResponse(status=status)
        if status is not v16.ReservationStatus.ACCEPTED:
            return Answer(response)
        left_s = (request.expiry_date - self._jobs.now()).total_seconds()
        self._jobs.later(max(left_s, 0), self._expire, request.reservation_id)
        return Answer(response, lambda: self._tell(*self._connectors))

    def _expire(self, reservation_id: int) -> None:
        if self._connectors.expire(reservation_id, self._jobs.now()):
            self._tell(*self._connectors)

    def cancel_reservation(self, request: v16.CancelReservation) -> Answer:
        """OCPP 1.6, 5.1."""
        connector = self._connectors.cancel(request.reservation_id)
        if connector is None:
            return Answer(v16.CancelReservationResponse(status=v16.CancelReservationStatus.REJECTED))
        return Answer(
            v16.CancelReservationResponse(status=v16.CancelReservationStatus.ACCEPTED),
            lambda: self._tell(connector),
        )

    # -- Transactions ----------------------------------------------------------------------------

    def remote_start(self, request: v16.RemoteStartTransaction) -> Answer:
        """OCPP 1.6, 5.11: without a connector the first free one is taken."""
        profile = request.charging_profile
        connector_id = request.connector_id
        if connector_id is None:
            free = self._connectors.free_for(request.id_tag)
            connector_id = free.id if free is not None else 0
        if (
            connector_id not in self._connectors
            or self._connectors.obstacle(connector_id, request.id_tag) is not None
            or (profile and profile.charging_profile_purpose != v16.ChargingProfilePurpose.TX_PROFILE)
        ):
            return Answer(v16.RemoteStartTransactionResponse(status=v16.RemoteStartStopStatus.REJECTED))
        return Answer(
            v16.RemoteStartTransactionResponse(status=v16.RemoteStartStopStatus.ACCEPTED),
            lambda: self._charging.start_remotely(request.id_tag, connector_id, profile),
        )

    def remote_stop(self, request: v16.RemoteStopTransaction) -> Answer:
        """OCPP 1.6, 5.12."""
        transaction = self._connectors.transaction(request.transaction_id)
        if transaction is None:
            return Answer(v16.RemoteStopTransactionResponse(status=v16.RemoteStartStopStatus.REJECTED))
        return Answer(
            v16.RemoteStopTransactionResponse(status=v16.RemoteStartStopStatus.ACCEPTED),
            lambda: self._charging.stop(transaction.connector_id, v16.Reason.REMOTE),
        )

    # -- Configuration and reset -----------------------------------------------------------------

    def get_configuration(self, request: v16.GetConfiguration) -> v16.GetConfigurationResponse:
        """OCPP 1.6, 5.8."""
        return self._configuration.read(request.key or ())

    def change_configuration(self, request: v16.ChangeConfiguration) -> Answer:
        """OCPP 1.6, 5.3."""
        status = self._configuration.change(request.key, request.value)
        changed = status is v16.ConfigurationStatus.ACCEPTED
        return Answer(
            v16.ChangeConfigurationResponse(status=status),
            (lambda: self._power.heed(request.key)) if changed else None,
        )

    def reset(self, request: v16.Reset) -> Answer:
        """OCPP 1.6, 5.14."""
        soft = request.type == v16.ResetType.SOFT
        return Answer(
            v16.ResetResponse(status=v16.ResetStatus.ACCEPTED), lambda: self._power.reset(soft=soft)
        )

    def data_transfer(self, request: v16.DataTransfer) -> v16.DataTransferResponse:
        """Send back the data of its own vendor. OCPP 1.6, 5.6."""
        if request.vendor_id != self._vendor:
            return v16.DataTransferResponse(status=v16.DataTransferStatus.UNKNOWN_VENDOR_ID)
        return v16.DataTransferResponse(status=v16.DataTransferStatus.ACCEPTED, data=request.data)

    # -- Lists -----------------------------------------------------------------------------------

    def clear_cache(self, _: v16.ClearCache) -> v16.ClearCacheResponse:
        """OCPP 1.6, 5.4."""
        if not self._configuration.flag("AuthorizationCacheEnabled"):
            return v16.ClearCacheResponse(status=v16.ClearCacheStatus.REJECTED)
        self._charging.authorization.cache.clear()
        return v16.ClearCacheResponse(status=v16.ClearCacheStatus.ACCEPTED)

    def get_local_list_version(self, _: v16.GetLocalListVersion) -> v16.GetLocalListVersionResponse:
        """OCPP 1.6, 5.10."""
        return v16.GetLocalListVersionResponse(list_version=self._charging.authorization.list.version)

    def send_local_list(self, request: v16.SendLocalList) -> v16.SendLocalListResponse:
        """OCPP 1.6, 5.15."""
        return v16.SendLocalListResponse(status=self._charging.authorization.list.update(request))

    # -- Charging profiles -----------------------------------------------------------------------

    def set_charging_profile(self, request: v16.SetChargingProfile) -> v16.SetChargingProfileResponse:
        """OCPP 1.6, 5.16."""
        status = self._charging.profiles.set(request.connector_id, request.cs_charging_profiles)
        return v16.SetChargingProfileResponse(status=status)

    def clear_charging_profile(self, request: v16.ClearChargingProfile) -> v16.ClearChargingProfileResponse:
        """OCPP 1.6, 5.5."""
        return v16.ClearChargingProfileResponse(status=self._charging.profiles.clear(request))

    def get_composite_schedule(self, request: v16.GetCompositeSchedule) -> v16.GetCompositeScheduleResponse:
        """OCPP 1.6, 5.7."""
        if request.connector_id and request.connector_id not in self._connectors:
            return v16.GetCompositeScheduleResponse(status=v16.GetCompositeScheduleStatus.REJECTED)
        now: dt.datetime = self._jobs.now()
        duration_s = min(max(request.duration, 0), LONGEST_SCHEDULE_S)
        schedule = self._charging.profiles.composite(
            request.connector_id, now, duration_s, request.charging_rate_unit
        )
        return v16.GetCompositeScheduleResponse(
            status=v16.GetCompositeScheduleStatus.ACCEPTED,
            connector_id=request.connector_id,
            schedule_start=now,
            charging_schedule=schedule,
        )
