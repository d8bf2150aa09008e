"""Remote maintenance of a charge point: firmware, diagnostics, logs, certificates, triggered messages; and restarts.

The one rule: nothing is fetched, uploaded or verified; the steps are reported as if it were. The steps may be
replaced, so that an update can fail. OCPP 1.6, 5.9, 5.17, 5.19; "Improved security for OCPP 1.6-J", section 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..protocol import v16
from ..protocol.websocket import CloseCode
from .answers import Answer
from .certificates import Certificates, is_certificate
from .progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .answers import Answerer
    from .boot_sequence import BootSequence
    from .charging import Charging
    from .connection import SimulatorConnection
    from .conversation import Conversation
    from .jobs import Jobs, PeriodicTask

Trigger = v16.MessageTrigger
Extended = v16.ExtendedMessageTrigger
Firmware, Signed = v16.FirmwareStatus, v16.SignedFirmwareStatus
Diagnostics, Upload = v16.DiagnosticsStatus, v16.UploadLogStatus


class Maintenance:
    """Maintenance jobs of one charge point. `use_certificate` has its own certificate shown from now on."""

    def __init__(
        self,
        charging: Charging,
        boot_sequence: BootSequence,
        conversation: Conversation,
        jobs: Jobs,
        certificates: Certificates,
        use_certificate: Callable[[Certificates], None],
    ) -> None:
        self.certificates = certificates
        self._use_certificate = use_certificate
        self.firmware = Progress(
            jobs,
            conversation,
            Firmware.IDLE,
            (Firmware.DOWNLOADING, Firmware.DOWNLOADED, Firmware.INSTALLING, Firmware.INSTALLED),
            lambda status, _: v16.FirmwareStatusNotification(status=status),
        )
        self.signed_firmware = Progress(
            jobs,
            conversation,
            Signed.IDLE,
            (
                Signed.DOWNLOADING,
                Signed.DOWNLOADED,
                Signed.SIGNATURE_VERIFIED,
                Signed.INSTALLING,
                Signed.INSTALLED,
            ),
            lambda status, id_: v16.SignedFirmwareStatusNotification(status=status, request_id=id_),
        )
        self.diagnostics = Progress(
            jobs,
            conversation,
            Diagnostics.IDLE,
            (Diagnostics.UPLOADING, Diagnostics.UPLOADED),
            lambda status, _: v16.DiagnosticsStatusNotification(status=status),
        )
        self.log = Progress(
            jobs,
            conversation,
            Upload.IDLE,
            (Upload.UPLOADING, Upload.UPLOADED),
            lambda status, id_: v16.LogStatusNotification(status=status, request_id=id_),
        )
        self._charging = charging
        self._boot_sequence = boot_sequence
        self._conversation = conversation

    def answers(self) -> Mapping[str, Answerer]:
        """Return the table: action to answerer."""
        return {
            "CertificateSigned": self.certificate_signed,
            "DeleteCertificate": self.delete_certificate,
            "ExtendedTriggerMessage": self.extended_trigger_message,
            "GetDiagnostics": self.get_diagnostics,
            "GetInstalledCertificateIds": self.get_installed_certificate_ids,
            "GetLog": self.get_log,
            "InstallCertificate": self.install_certificate,
            "SignedUpdateFirmware": self.signed_update_firmware,
            "TriggerMessage": self.trigger_message,
            "UpdateFirmware": self.update_firmware,
        }

    # -- Firmware and files ----------------------------------------------------------------------

    def update_firmware(self, request: v16.UpdateFirmware) -> Answer:
        """OCPP 1.6, 5.19."""
        return Answer(v16.UpdateFirmwareResponse(), lambda: self.firmware.begin(at=request.retrieve_date))

    def signed_update_firmware(self, request: v16.SignedUpdateFirmware) -> Answer:
        """White paper, 5.21: of the certificate only its form is looked at."""
        status = v16.UpdateFirmwareStatus
        firmware = request.firmware
        if not is_certificate(firmware.signing_certificate):
            return Answer(v16.SignedUpdateFirmwareResponse(status=status.INVALID_CERTIFICATE))
        return Answer(
            v16.SignedUpdateFirmwareResponse(
                status=status.ACCEPTED_CANCELED if self.signed_firmware.busy else status.ACCEPTED
            ),
            lambda: self.signed_firmware.begin(request.request_id, firmware.retrieve_date_time),
        )

    def get_diagnostics(self, _: v16.GetDiagnostics) -> Answer:
        """OCPP 1.6, 5.9."""
        return Answer(v16.GetDiagnosticsResponse(file_name="diagnostics.zip"), self.diagnostics.begin)

    def get_log(self, request: v16.GetLog) -> Answer:
        """White paper, 5.9."""
        status = v16.LogStatus.ACCEPTED_CANCELED if self.log.busy else v16.LogStatus.ACCEPTED
        return Answer(
            v16.GetLogResponse(status=status, filename=f"{request.log_type}.txt"),
            lambda: self.log.begin(request.request_id),
        )

    # -- Certificates ----------------------------------------------------------------------------

    def certificate_signed(self, request: v16.CertificateSigned) -> v16.CertificateSignedResponse:
        """White paper, 5.1: shown from the next connection on."""
        status = self.certificates.take_own(request.certificate_chain)
        if status is v16.CertificateSignedStatus.ACCEPTED:
            self._use_certificate(self.certificates)
        return v16.CertificateSignedResponse(status=status)

    def install_certificate(self, request: v16.InstallCertificate) -> v16.InstallCertificateResponse:
        """White paper, 5.11."""
        use = v16.CertificateUse(request.certificate_type)
        return v16.InstallCertificateResponse(status=self.certificates.install(use, request.certificate))

    def delete_certificate(self, request: v16.DeleteCertificate) -> v16.DeleteCertificateResponse:
        """White paper, 5.3."""
        return v16.DeleteCertificateResponse(status=self.certificates.delete(request.certificate_hash_data))

    def get_installed_certificate_ids(
        self, request: v16.GetInstalledCertificateIds
    ) -> v16.GetInstalledCertificateIdsResponse:
        """White paper, 5.7."""
        found = self.certificates.installed(v16.CertificateUse(request.certificate_type))
        status = v16.GetInstalledCertificateStatus
        return v16.GetInstalledCertificateIdsResponse(
            status=status.ACCEPTED if found else status.NOT_FOUND, certificate_hash_data=found or None
        )

    # -- Messages asked for ----------------------------------------------------------------------

    def trigger_message(self, request: v16.TriggerMessage) -> Answer:
        """OCPP 1.6, 5.17."""
        return self._trigger(
            str(request.requested_message),
            request.connector_id,
            v16.TriggerMessageResponse,
            {
                Trigger.DIAGNOSTICS_STATUS_NOTIFICATION: self.diagnostics.tell_again,
                Trigger.FIRMWARE_STATUS_NOTIFICATION: self.firmware.tell_again,
            },
        )

    def extended_trigger_message(self, request: v16.ExtendedTriggerMessage) -> Answer:
        """White paper, 5.5."""
        return self._trigger(
            str(request.requested_message),
            request.connector_id,
            v16.ExtendedTriggerMessageResponse,
            {
                Extended.LOG_STATUS_NOTIFICATION: self.log.tell_again,
                Extended.FIRMWARE_STATUS_NOTIFICATION: self.signed_firmware.tell_again,
                Extended.SIGN_CHARGE_POINT_CERTIFICATE: self._ask_for_certificate,
            },
        )

    def _trigger(
        self,
        wanted: str,
        connector_id: int | None,
        response: Callable[..., Any],
        more: Mapping[str, Callable[[], object]],
    ) -> Answer:
        status = v16.TriggerMessageStatus
        connectors = self._charging.connectors
        if connector_id is not None and connector_id not in connectors:
            return Answer(response(status=status.REJECTED))
        meant = [connectors[connector_id]] if connector_id is not None else connectors.everything()
        senders: dict[str, Callable[[], object]] = {
            Trigger.BOOT_NOTIFICATION: self._boot_sequence.boot,
            Trigger.HEARTBEAT: lambda: self._conversation.send(v16.Heartbeat()),
            Trigger.METER_VALUES: lambda: self._charging.read_meters(meant),
            Trigger.STATUS_NOTIFICATION: lambda: self._charging.tell_again(meant),
            **more,
        }
        sender = senders.get(wanted)
        if sender is None:
            return Answer(response(status=status.NOT_IMPLEMENTED))
        return Answer(response(status=status.ACCEPTED), sender)

    def _ask_for_certificate(self) -> None:
        self._conversation.send(v16.SignCertificate(csr=self.certificates.ask()))


class Power:
    """Power switch of a charge point: restarts it, and applies a changed configuration.

    A restart keeps what a real one has in its memory: vehicles, meters, the configuration, lists, profiles, and the
    transaction messages that were not delivered. `use_key` gets a new AuthorizationKey.
    """

    def __init__(
        self,
        connection: SimulatorConnection,
        conversation: Conversation,
        boot_sequence: BootSequence,
        charging: Charging,
        beats: Sequence[PeriodicTask],
        use_key: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._conversation = conversation
        self._boot_sequence = boot_sequence
        self._charging = charging
        self._beats = beats
        self._use_key = use_key

    def reset(self, *, soft: bool) -> None:
        """Restart: stop all transactions, close the connection, dial again and boot. OCPP 1.6, 5.14.

        A soft reset tells of the transactions before it, a hard one after. Blocks until it is connected again.
        """
        if soft:
            self._charging.stop_all(v16.Reason.SOFT_RESET)
        else:
            self._charging.break_off_all(v16.Reason.HARD_RESET)
        for beat in self._beats:
            beat.stop()
        self._boot_sequence.forget()
        self._boot_sequence.want()
        for connector in self._charging.connectors.everything():
            connector.told = None
            connector.presented = None
        self._connection.redial(CloseCode.GOING_AWAY, "reset", between=self._conversation.renew)

    def heed(self, key: str) -> None:
        """Let a changed configuration key take effect."""
        if key.lower() == "authorizationkey":
            self._use_key()
            self._connection.redial(CloseCode.NORMAL, "the password has changed")
        for beat in self._beats:
            beat.restart()
