"""Answers of a station of OCPP 2.0.1 to commands, apart from maintenance.

The one rule: a handler only decides; what follows from the decision is done after the answer was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...protocol import v201
from ...protocol.errors import ErrorCode, OcppError
from ..answers import Answer
from ..errors import NotPossible
from .authorization import token_key
from .device_model import BASIC_AUTH_PASSWORD
from .evses import Status
from .reports import LETTERS_PER_MESSAGE, send_parts
from .transactions import Trigger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ...protocol.actions import Request
    from ..answers import Answerer
    from .charging import StationCharging
    from .device_model import DeviceModel
    from .evses import Evse
    from .maintenance import StationMaintenance
    from .monitors import Monitors
    from .station import Station

Generic, Device, Use = v201.GenericStatus, v201.GenericDeviceModelStatus, v201.CertificateSigningUse
StartStop, Wanted = v201.RequestStartStopStatus, v201.MessageTrigger
SLOTS = (1, 2, 3)
"""Slots for network profiles."""
FORMATS = (v201.MessageFormat.ASCII, v201.MessageFormat.UTF8)


class StationCommands:
    """Handlers of one station's commands, with what they keep: display messages, monitors, network profiles."""

    def __init__(
        self,
        station: Station,
        charging: StationCharging,
        model: DeviceModel,
        maintenance: StationMaintenance,
        monitors: Monitors,
        vendor: str,
    ) -> None:
        self.displayed: dict[int, v201.MessageInfo] = {}
        self.network_profiles: dict[int, v201.NetworkConnectionProfile] = {}
        self.monitors = monitors
        self._station = station
        self._charging = charging
        self._model = model
        self._maintenance = maintenance
        self._vendor = vendor

    def answers(self) -> Mapping[str, Answerer]:
        """Return the table: action to answerer."""
        return {
            "CancelReservation": self.cancel_reservation,
            "ChangeAvailability": self.change_availability,
            "ClearCache": self.clear_cache,
            "ClearChargingProfile": self.clear_charging_profile,
            "ClearDisplayMessage": self.clear_display_message,
            "ClearVariableMonitoring": self.clear_variable_monitoring,
            "CostUpdated": self.cost_updated,
            "CustomerInformation": self.customer_information,
            "DataTransfer": self.data_transfer,
            "GetBaseReport": self.get_base_report,
            "GetChargingProfiles": self.get_charging_profiles,
            "GetCompositeSchedule": self.get_composite_schedule,
            "GetDisplayMessages": self.get_display_messages,
            "GetLocalListVersion": self.get_local_list_version,
            "GetMonitoringReport": self.get_monitoring_report,
            "GetReport": self.get_report,
            "GetTransactionStatus": self.get_transaction_status,
            "GetVariables": self.get_variables,
            "RequestStartTransaction": self.request_start_transaction,
            "RequestStopTransaction": self.request_stop_transaction,
            "ReserveNow": self.reserve_now,
            "Reset": self.reset,
            "SendLocalList": self.send_local_list,
            "SetChargingProfile": self.set_charging_profile,
            "SetDisplayMessage": self.set_display_message,
            "SetMonitoringBase": self.set_monitoring_base,
            "SetMonitoringLevel": self.set_monitoring_level,
            "SetNetworkProfile": self.set_network_profile,
            "SetVariableMonitoring": self.set_variable_monitoring,
            "SetVariables": self.set_variables,
            "TriggerMessage": self.trigger_message,
            "UnlockConnector": self.unlock_connector,
        }

    def _report(
        self,
        items: Sequence[Any],
        make: Callable[[Sequence[Any], bool, int], Request[Any]],
    ) -> Callable[[], None]:
        size = self._model.integer("DeviceDataCtrlr.ItemsPerMessage[GetReport]")
        return lambda: send_parts(self._station.send, items, make, size, self._charging.misbehaviour)

    def _check_items(self, limit: str, number: int) -> None:
        """Refuse a message with more items than the station says that it takes. OCPP 2.0.1, B06.FR.05."""
        most = self._model.integer(limit)
        if number > most:
            raise OcppError(
                ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION, f"{number} items are more than {most}, see {limit}"
            )

    # -- B: provisioning -------------------------------------------------------------------------

    def get_variables(self, request: v201.GetVariables) -> v201.GetVariablesResponse:
        """OCPP 2.0.1, B06."""
        self._check_items("DeviceDataCtrlr.ItemsPerMessage[GetVariables]", len(request.get_variable_data))
        results = tuple(map(self._model.get, request.get_variable_data))
        return v201.GetVariablesResponse(get_variable_result=results)

    def set_variables(self, request: v201.SetVariables) -> Answer:
        """OCPP 2.0.1, B05."""
        self._check_items("DeviceDataCtrlr.ItemsPerMessage[SetVariables]", len(request.set_variable_data))
        before = self._model[BASIC_AUTH_PASSWORD]
        results = tuple(map(self._model.change, request.set_variable_data))
        changed = self._model[BASIC_AUTH_PASSWORD] != before
        return Answer(
            v201.SetVariablesResponse(set_variable_result=results),
            lambda: self._station.heed(new_password=changed),
        )

    def get_base_report(self, request: v201.GetBaseReport) -> Answer:
        """OCPP 2.0.1, B07."""
        data = self._model.base_report(request.report_base)
        return Answer(
            v201.GetBaseReportResponse(status=Device.ACCEPTED), self._variables(data, request.request_id)
        )

    def get_report(self, request: v201.GetReport) -> Answer:
        """OCPP 2.0.1, B08."""
        self._check_items("DeviceDataCtrlr.ItemsPerMessage[GetReport]", len(request.component_variable or ()))
        data = self._model.report(request)
        if not data:
            return Answer(v201.GetReportResponse(status=Device.EMPTY_RESULT_SET))
        return Answer(
            v201.GetReportResponse(status=Device.ACCEPTED), self._variables(data, request.request_id)
        )

    def _variables(self, data: Sequence[v201.ReportData], request_id: int) -> Callable[[], None]:
        now = self._station.now()
        return self._report(
            data,
            lambda part, more, number: v201.NotifyReport(
                request_id=request_id,
                generated_at=now,
                report_data=tuple(part),
                tbc=more,
                seq_no=number,
            ),
        )

    def set_network_profile(self, request: v201.SetNetworkProfile) -> v201.SetNetworkProfileResponse:
        """OCPP 2.0.1, B09: the security profile never becomes less."""
        status, profile = v201.SetNetworkProfileStatus, request.connection_data
        weaker = profile.security_profile < self._model.integer("SecurityCtrlr.SecurityProfile")
        if request.configuration_slot not in SLOTS or weaker:
            return v201.SetNetworkProfileResponse(status=status.REJECTED)
        self.network_profiles[request.configuration_slot] = profile
        return v201.SetNetworkProfileResponse(status=status.ACCEPTED)

    def reset(self, request: v201.Reset) -> Answer:
        """OCPP 2.0.1, B11 and B12."""
        status, evses = v201.ResetStatus, self._charging.evses
        if request.evse_id is not None and request.evse_id not in evses:
            return Answer(v201.ResetResponse(status=status.REJECTED))
        evse = None if request.evse_id is None else evses[request.evse_id]
        busy = evses.busy if evse is None else evse.transaction is not None
        if request.type == v201.ResetType.ON_IDLE and busy:
            return Answer(
                v201.ResetResponse(status=status.SCHEDULED), lambda: self._station.reset_when_idle(evse)
            )
        return Answer(v201.ResetResponse(status=status.ACCEPTED), lambda: self._station.reset(evse))

    # -- C, D: authorization ---------------------------------------------------------------------

    def clear_cache(self, _: v201.ClearCache) -> v201.ClearCacheResponse:
        """OCPP 2.0.1, C11."""
        return v201.ClearCacheResponse(status=self._charging.authorization.clear())

    def send_local_list(self, request: v201.SendLocalList) -> v201.SendLocalListResponse:
        """OCPP 2.0.1, D01."""
        return v201.SendLocalListResponse(status=self._charging.authorization.update(request))

    def get_local_list_version(self, _: v201.GetLocalListVersion) -> v201.GetLocalListVersionResponse:
        """OCPP 2.0.1, D02."""
        return v201.GetLocalListVersionResponse(version_number=self._charging.authorization.version)

    # -- E, F: transactions ----------------------------------------------------------------------

    def get_transaction_status(self, request: v201.GetTransactionStatus) -> v201.GetTransactionStatusResponse:
        """OCPP 2.0.1, E14."""
        backlog = self._charging.backlog
        if request.transaction_id is None:
            return v201.GetTransactionStatusResponse(messages_in_queue=len(backlog) > 0)
        return v201.GetTransactionStatusResponse(
            ongoing_indicator=self._charging.evses.transaction(request.transaction_id) is not None,
            messages_in_queue=backlog.has_of(request.transaction_id),
        )

    def request_start_transaction(self, request: v201.RequestStartTransaction) -> Answer:
        """OCPP 2.0.1, F01 and F02: without an EVSE the first one that will do."""
        evse = self._place_to_start(request)
        profile = request.charging_profile
        wrong = profile is not None and (
            profile.charging_profile_purpose != v201.ChargingProfilePurpose.TX_PROFILE
            or profile.transaction_id is not None
        )
        if evse is None or wrong:
            return Answer(v201.RequestStartTransactionResponse(status=StartStop.REJECTED))
        running = evse.transaction
        return Answer(
            v201.RequestStartTransactionResponse(
                status=StartStop.ACCEPTED, transaction_id=None if running is None else running.id
            ),
            lambda: self._charging.start_requested(request, evse),
        )

    def _place_to_start(self, request: v201.RequestStartTransaction) -> Evse | None:
        evses = self._charging.evses
        if request.evse_id is None:
            found: Iterable[Evse] = sorted(evses, key=lambda evse: evse.connector is None)
        else:
            found = [evses[request.evse_id]] if request.evse_id in evses else ()
        return next((evse for evse in found if self._can_start(evse, request)), None)

    def _can_start(self, evse: Evse, request: v201.RequestStartTransaction) -> bool:
        running = evse.transaction
        if running is not None and running.authorized:
            return False
        obstacle = self._charging.reservations.obstacle(evse, request.id_token, request.group_id_token)
        usable = evse.operative and self._charging.evses.operative
        if obstacle is not None or not usable or evse.presented is not None:
            return False
        return evse.status in (Status.AVAILABLE, Status.RESERVED, Status.OCCUPIED)

    def request_stop_transaction(self, request: v201.RequestStopTransaction) -> Answer:
        """OCPP 2.0.1, F03."""
        transaction = self._charging.evses.transaction(request.transaction_id)
        if transaction is None or not transaction.authorized:
            return Answer(v201.RequestStopTransactionResponse(status=StartStop.REJECTED))
        return Answer(
            v201.RequestStopTransactionResponse(status=StartStop.ACCEPTED),
            lambda: self._charging.stop(
                transaction.evse_id, trigger=Trigger.REMOTE_STOP, reason=v201.Reason.REMOTE
            ),
        )

    def unlock_connector(self, request: v201.UnlockConnector) -> v201.UnlockConnectorResponse:
        """OCPP 2.0.1, F05."""
        status = v201.UnlockStatus
        try:
            evse = self._charging.evses[request.evse_id]
            evse[request.connector_id]
        except NotPossible:
            return v201.UnlockConnectorResponse(status=status.UNKNOWN_CONNECTOR)
        going_on = evse.transaction is not None and evse.transaction.authorized
        return v201.UnlockConnectorResponse(
            status=status.ONGOING_AUTHORIZED_TRANSACTION if going_on else status.UNLOCKED
        )

    def trigger_message(self, request: v201.TriggerMessage) -> Answer:
        """OCPP 2.0.1, F06."""
        status, place = v201.TriggerMessageStatus, request.evse
        charging, maintenance, station = self._charging, self._maintenance, self._station
        try:
            connectors = charging.evses.meant(place)
        except NotPossible:
            return Answer(v201.TriggerMessageResponse(status=status.REJECTED))
        evses = list({connector.evse.id: connector.evse for connector in connectors}.values())
        wanted = request.requested_message
        if wanted == Wanted.TRANSACTION_EVENT and not any(evse.transaction for evse in evses):
            return Answer(v201.TriggerMessageResponse(status=status.REJECTED))
        senders: dict[str, Callable[[], object]] = {
            Wanted.BOOT_NOTIFICATION: lambda: station.boot(v201.BootReason.TRIGGERED),
            Wanted.FIRMWARE_STATUS_NOTIFICATION: maintenance.firmware.tell_again,
            Wanted.HEARTBEAT: lambda: station.send(v201.Heartbeat()),
            Wanted.LOG_STATUS_NOTIFICATION: maintenance.log.tell_again,
            Wanted.METER_VALUES: lambda: charging.read_meters(evses),
            Wanted.PUBLISH_FIRMWARE_STATUS_NOTIFICATION: maintenance.publishing.tell_again,
            Wanted.SIGN_CHARGING_STATION_CERTIFICATE: lambda: maintenance.ask_for_certificate(
                Use.CHARGING_STATION_CERTIFICATE
            ),
            Wanted.SIGN_V2G_CERTIFICATE: lambda: maintenance.ask_for_certificate(Use.V2G_CERTIFICATE),
            Wanted.STATUS_NOTIFICATION: lambda: charging.tell_again(connectors),
            Wanted.TRANSACTION_EVENT: lambda: charging.tell_transactions(evses),
        }
        sender = senders.get(wanted)
        if sender is None:
            return Answer(v201.TriggerMessageResponse(status=status.NOT_IMPLEMENTED))
        return Answer(v201.TriggerMessageResponse(status=status.ACCEPTED), sender)

    # -- G, H, I: availability, reservations, costs ----------------------------------------------

    def change_availability(self, request: v201.ChangeAvailability) -> Answer:
        """OCPP 2.0.1, G03 and G04."""
        operative = request.operational_status == v201.OperationalStatus.OPERATIVE
        status = self._charging.evses.change_availability(request.evse, operative=operative)
        return Answer(v201.ChangeAvailabilityResponse(status=status), self._charging.places_changed)

    def reserve_now(self, request: v201.ReserveNow) -> Answer:
        """OCPP 2.0.1, H01."""
        return Answer(
            v201.ReserveNowResponse(status=self._charging.reserve(request)), self._charging.tell_statuses
        )

    def cancel_reservation(self, request: v201.CancelReservation) -> Answer:
        """OCPP 2.0.1, H02."""
        status = v201.CancelReservationStatus
        found = self._charging.reservations.cancel(request.reservation_id)
        return Answer(
            v201.CancelReservationResponse(status=status.ACCEPTED if found else status.REJECTED),
            self._charging.tell_statuses,
        )

    def cost_updated(self, request: v201.CostUpdated) -> v201.CostUpdatedResponse:
        """OCPP 2.0.1, I02."""
        transaction = self._charging.evses.transaction(request.transaction_id)
        if transaction is not None:
            transaction.total_cost = request.total_cost
        return v201.CostUpdatedResponse()

    # -- K: smart charging -----------------------------------------------------------------------

    def set_charging_profile(self, request: v201.SetChargingProfile) -> v201.SetChargingProfileResponse:
        """OCPP 2.0.1, K01."""
        status = v201.ChargingProfileStatus
        taken = self._charging.profiles.set(request.evse_id, request.charging_profile)
        return v201.SetChargingProfileResponse(status=status.ACCEPTED if taken else status.REJECTED)

    def get_charging_profiles(self, request: v201.GetChargingProfiles) -> Answer:
        """OCPP 2.0.1, K09: a message for each source and EVSE."""
        status = v201.GetChargingProfileStatus
        found = self._charging.profiles.find(request.evse_id, request.charging_profile)
        if not found:
            return Answer(v201.GetChargingProfilesResponse(status=status.NO_PROFILES))

        def make(part: Sequence[Any], more: bool, _: int) -> v201.ReportChargingProfiles:  # noqa: FBT001
            (source, evse_id), profiles = part[0]
            return v201.ReportChargingProfiles(
                request_id=request.request_id,
                charging_limit_source=source,
                charging_profile=tuple(profiles),
                tbc=more,
                evse_id=evse_id,
            )

        return Answer(
            v201.GetChargingProfilesResponse(status=status.ACCEPTED),
            lambda: send_parts(self._station.send, list(found.items()), make, 1),
        )

    def clear_charging_profile(self, request: v201.ClearChargingProfile) -> v201.ClearChargingProfileResponse:
        """OCPP 2.0.1, K10."""
        status = v201.ClearChargingProfileStatus
        found = self._charging.profiles.clear(request)
        return v201.ClearChargingProfileResponse(status=status.ACCEPTED if found else status.UNKNOWN)

    def get_composite_schedule(self, request: v201.GetCompositeSchedule) -> v201.GetCompositeScheduleResponse:
        """OCPP 2.0.1, K08."""
        if request.evse_id != 0 and request.evse_id not in self._charging.evses:
            return v201.GetCompositeScheduleResponse(status=Generic.REJECTED)
        schedule = self._charging.profiles.composite(
            request.evse_id, self._station.now(), request.duration, request.charging_rate_unit
        )
        return v201.GetCompositeScheduleResponse(status=Generic.ACCEPTED, schedule=schedule)

    # -- N: monitors and customers ---------------------------------------------------------------

    def set_monitoring_base(self, request: v201.SetMonitoringBase) -> v201.SetMonitoringBaseResponse:
        """OCPP 2.0.1, N05."""
        self.monitors.choose(request.monitoring_base)
        return v201.SetMonitoringBaseResponse(status=Device.ACCEPTED)

    def set_monitoring_level(self, request: v201.SetMonitoringLevel) -> v201.SetMonitoringLevelResponse:
        """OCPP 2.0.1, N03."""
        if not 0 <= request.severity <= 9:
            return v201.SetMonitoringLevelResponse(status=Generic.REJECTED)
        self.monitors.severity = request.severity
        return v201.SetMonitoringLevelResponse(status=Generic.ACCEPTED)

    def set_variable_monitoring(self, request: v201.SetVariableMonitoring) -> Answer:
        """OCPP 2.0.1, N04: a threshold that is crossed already is told at once."""
        limit = "MonitoringCtrlr.ItemsPerMessage[SetVariableMonitoring]"
        self._check_items(limit, len(request.set_monitoring_data))
        results = tuple(map(self.monitors.set, request.set_monitoring_data))
        return Answer(v201.SetVariableMonitoringResponse(set_monitoring_result=results), self.monitors.check)

    def clear_variable_monitoring(
        self, request: v201.ClearVariableMonitoring
    ) -> v201.ClearVariableMonitoringResponse:
        """OCPP 2.0.1, N06."""
        results = tuple(map(self.monitors.clear, request.id))
        return v201.ClearVariableMonitoringResponse(clear_monitoring_result=results)

    def get_monitoring_report(self, request: v201.GetMonitoringReport) -> Answer:
        """OCPP 2.0.1, N02."""
        data = self.monitors.report(request)
        if not data:
            return Answer(v201.GetMonitoringReportResponse(status=Device.EMPTY_RESULT_SET))
        now = self._station.now()
        return Answer(
            v201.GetMonitoringReportResponse(status=Device.ACCEPTED),
            self._report(
                data,
                lambda part, more, number: v201.NotifyMonitoringReport(
                    monitor=tuple(part),
                    request_id=request.request_id,
                    tbc=more,
                    seq_no=number,
                    generated_at=now,
                ),
            ),
        )

    def customer_information(self, request: v201.CustomerInformation) -> Answer:
        """OCPP 2.0.1, N09 and N10: what is known of a token is its place in list and cache."""
        status, token = v201.CustomerInformationStatus, request.id_token
        if (token, request.customer_identifier, request.customer_certificate) == (None, None, None):
            return Answer(v201.CustomerInformationResponse(status=status.INVALID))
        authorization, known = self._charging.authorization, []
        if token is not None:
            places = {"local list": authorization.listed, "cache": authorization.cache}
            known = [name for name, tokens in places.items() if token_key(token) in tokens]
            if request.clear:
                authorization.forget(token)
        then = None
        if request.report:
            now, text = self._station.now(), ", ".join(known) or "nothing is known"

            def make(part: Sequence[Any], more: bool, number: int) -> v201.NotifyCustomerInformation:  # noqa: FBT001
                return v201.NotifyCustomerInformation(
                    data=str(part),
                    tbc=more,
                    seq_no=number,
                    generated_at=now,
                    request_id=request.request_id,
                )

            def then() -> None:
                send_parts(self._station.send, text, make, LETTERS_PER_MESSAGE)

        return Answer(v201.CustomerInformationResponse(status=status.ACCEPTED), then)

    # -- O, P: displays and data -----------------------------------------------------------------

    def set_display_message(self, request: v201.SetDisplayMessage) -> v201.SetDisplayMessageResponse:
        """OCPP 2.0.1, O01, O02 and O06."""
        status, message = v201.DisplayMessageStatus, request.message
        spec = self._model.spec("DisplayMessageCtrlr.DisplayMessages")
        most = 0 if spec is None or spec.most is None else spec.most
        others = len(self.displayed.keys() - {message.id})
        if message.message.format not in FORMATS:
            result = status.NOT_SUPPORTED_MESSAGE_FORMAT
        elif (
            message.transaction_id is not None
            and self._charging.evses.transaction(message.transaction_id) is None
        ):
            result = status.UNKNOWN_TRANSACTION
        elif others >= most:
            result = status.REJECTED
        else:
            self.displayed[message.id] = message
            result = status.ACCEPTED
        return v201.SetDisplayMessageResponse(status=result)

    def get_display_messages(self, request: v201.GetDisplayMessages) -> Answer:
        """OCPP 2.0.1, O03 and O04."""
        status = v201.GetDisplayMessagesStatus
        found = [
            message
            for message in self.displayed.values()
            if (request.id is None or message.id in request.id)
            and request.priority in (None, message.priority)
            and request.state in (None, message.state)
        ]
        if not found:
            return Answer(v201.GetDisplayMessagesResponse(status=status.UNKNOWN))
        return Answer(
            v201.GetDisplayMessagesResponse(status=status.ACCEPTED),
            self._report(
                found,
                lambda part, more, _: v201.NotifyDisplayMessages(
                    message_info=tuple(part), request_id=request.request_id, tbc=more
                ),
            ),
        )

    def clear_display_message(self, request: v201.ClearDisplayMessage) -> v201.ClearDisplayMessageResponse:
        """OCPP 2.0.1, O05."""
        found = self.displayed.pop(request.id, None) is not None
        status = v201.ClearMessageStatus.ACCEPTED if found else v201.ClearMessageStatus.UNKNOWN
        return v201.ClearDisplayMessageResponse(status=status)

    def data_transfer(self, request: v201.DataTransfer) -> v201.DataTransferResponse:
        """OCPP 2.0.1, P01: the data of its own vendor is given back."""
        status = v201.DataTransferStatus
        if request.vendor_id != self._vendor:
            return v201.DataTransferResponse(status=status.UNKNOWN_VENDOR_ID)
        return v201.DataTransferResponse(status=status.ACCEPTED, data=request.data)
