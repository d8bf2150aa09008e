"""Remote maintenance of a station: firmware, logs, certificates.

The one rule: nothing is fetched, uploaded or verified; the steps are reported as if it were. The steps may be
replaced, so that an update can fail. OCPP 2.0.1, part 2, blocks A, L, M and N01.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...protocol import v16, v201
from ..answers import Answer
from ..certificates import OWN, Certificates, is_certificate
from ..progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..answers import Answerer
    from ..conversation import Conversation
    from ..jobs import Jobs
    from .device_model import DeviceModel

Firmware, Published, Upload = v201.FirmwareStatus, v201.PublishFirmwareStatus, v201.UploadLogStatus
Update, Generic = v201.UpdateFirmwareStatus, v201.GenericStatus
FIRMWARE_STEPS = (
    Firmware.DOWNLOADING,
    Firmware.DOWNLOADED,
    Firmware.SIGNATURE_VERIFIED,
    Firmware.INSTALLING,
    Firmware.INSTALLED,
)
LOCAL_ADDRESS = "http://192.0.2.1/firmware"
"""Address at which a simulated station publishes firmware."""


class StationMaintenance:
    """Maintenance jobs of one station. `use_certificate` has its own certificate shown from now on.

    `firmware_steps` are those of an update; without a signature there is nothing to verify.
    """

    def __init__(
        self,
        model: DeviceModel,
        conversation: Conversation,
        jobs: Jobs,
        name: str,
        use_certificate: Callable[[Certificates], None],
    ) -> None:
        spec = model.spec("SecurityCtrlr.CertificateEntries")
        self.certificates = Certificates(10 if spec is None or spec.most is None else spec.most, name)
        self._use_certificate = use_certificate
        self.firmware_steps: tuple[str, ...] = FIRMWARE_STEPS
        self.published: set[str] = set()
        self._checksum = ""
        self._conversation = conversation
        self.firmware = Progress(
            jobs,
            conversation,
            Firmware.IDLE,
            FIRMWARE_STEPS,
            lambda status, id_: v201.FirmwareStatusNotification(status=status, request_id=id_),
        )
        self.publishing = Progress(
            jobs,
            conversation,
            Published.IDLE,
            (Published.DOWNLOADING, Published.DOWNLOADED, Published.CHECKSUM_VERIFIED, Published.PUBLISHED),
            self._publish_status,
        )
        self.log = Progress(
            jobs,
            conversation,
            Upload.IDLE,
            (Upload.UPLOADING, Upload.UPLOADED),
            lambda status, id_: v201.LogStatusNotification(status=status, request_id=id_),
        )

    def answers(self) -> Mapping[str, Answerer]:
        """Return the table: action to answerer."""
        return {
            "CertificateSigned": self.certificate_signed,
            "DeleteCertificate": self.delete_certificate,
            "GetInstalledCertificateIds": self.get_installed_certificate_ids,
            "GetLog": self.get_log,
            "InstallCertificate": self.install_certificate,
            "PublishFirmware": self.publish_firmware,
            "UnpublishFirmware": self.unpublish_firmware,
            "UpdateFirmware": self.update_firmware,
        }

    # -- Firmware and files ----------------------------------------------------------------------

    def update_firmware(self, request: v201.UpdateFirmware) -> Answer:
        """OCPP 2.0.1, L01 and L02: of the certificate only its form is looked at."""
        firmware = request.firmware
        signed = firmware.signing_certificate is not None
        if firmware.signing_certificate is not None and not is_certificate(firmware.signing_certificate):
            return Answer(v201.UpdateFirmwareResponse(status=Update.INVALID_CERTIFICATE))
        status = Update.ACCEPTED_CANCELED if self.firmware.busy else Update.ACCEPTED
        self.firmware.steps = tuple(
            step for step in self.firmware_steps if signed or step != Firmware.SIGNATURE_VERIFIED
        )
        return Answer(
            v201.UpdateFirmwareResponse(status=status),
            lambda: self.firmware.begin(request.request_id, firmware.retrieve_date_time),
        )

    def publish_firmware(self, request: v201.PublishFirmware) -> Answer:
        """OCPP 2.0.1, L03."""
        self._checksum = request.checksum.lower()
        return Answer(
            v201.PublishFirmwareResponse(status=Generic.ACCEPTED),
            lambda: self.publishing.begin(request.request_id),
        )

    def _publish_status(
        self, status: v201.PublishFirmwareStatus, request_id: int | None
    ) -> v201.PublishFirmwareStatusNotification:
        location = None
        if status is Published.PUBLISHED:
            self.published.add(self._checksum)
            location = (f"{LOCAL_ADDRESS}/{self._checksum}",)
        return v201.PublishFirmwareStatusNotification(status=status, location=location, request_id=request_id)

    def unpublish_firmware(self, request: v201.UnpublishFirmware) -> v201.UnpublishFirmwareResponse:
        """OCPP 2.0.1, L04."""
        status, checksum = v201.UnpublishFirmwareStatus, request.checksum.lower()
        if checksum in self.published:
            self.published.discard(checksum)
            return v201.UnpublishFirmwareResponse(status=status.UNPUBLISHED)
        coming = self.publishing.busy and checksum == self._checksum
        return v201.UnpublishFirmwareResponse(
            status=status.DOWNLOAD_ONGOING if coming else status.NO_FIRMWARE
        )

    def get_log(self, request: v201.GetLog) -> Answer:
        """OCPP 2.0.1, N01."""
        status = v201.LogStatus.ACCEPTED_CANCELED if self.log.busy else v201.LogStatus.ACCEPTED
        return Answer(
            v201.GetLogResponse(status=status, filename=f"{request.log_type}.txt"),
            lambda: self.log.begin(request.request_id),
        )

    # -- Certificates ----------------------------------------------------------------------------

    def ask_for_certificate(self, use: v201.CertificateSigningUse) -> None:
        """Send SignCertificate. OCPP 2.0.1, A02."""
        csr = self.certificates.ask(use)
        self._conversation.send(v201.SignCertificate(csr=csr, certificate_type=use))

    def certificate_signed(self, request: v201.CertificateSigned) -> v201.CertificateSignedResponse:
        """OCPP 2.0.1, A02: shown from the next connection on."""
        use = str(request.certificate_type or OWN)
        status = self.certificates.take_own(request.certificate_chain, use)
        if status is v16.CertificateSignedStatus.ACCEPTED and use == OWN:
            self._use_certificate(self.certificates)
        return v201.CertificateSignedResponse(status=v201.CertificateSignedStatus(status))

    def install_certificate(self, request: v201.InstallCertificate) -> v201.InstallCertificateResponse:
        """OCPP 2.0.1, M05."""
        status = self.certificates.install(request.certificate_type, request.certificate)
        return v201.InstallCertificateResponse(status=v201.InstallCertificateStatus(status))

    def delete_certificate(self, request: v201.DeleteCertificate) -> v201.DeleteCertificateResponse:
        """OCPP 2.0.1, M04."""
        status = self.certificates.delete(request.certificate_hash_data)
        return v201.DeleteCertificateResponse(status=v201.DeleteCertificateStatus(status))

    def get_installed_certificate_ids(
        self, request: v201.GetInstalledCertificateIds
    ) -> v201.GetInstalledCertificateIdsResponse:
        """OCPP 2.0.1, M03."""
        status = v201.GetInstalledCertificateStatus
        chains = tuple(
            v201.CertificateHashDataChain(
                certificate_hash_data=v201.CertificateHashData(
                    hash_algorithm=v201.HashAlgorithm(data.hash_algorithm),
                    issuer_name_hash=data.issuer_name_hash,
                    issuer_key_hash=data.issuer_key_hash,
                    serial_number=data.serial_number,
                ),
                certificate_type=use,
            )
            for use in request.certificate_type or v201.GetCertificateIdUse
            for data in self.certificates.installed(use)
        )
        return v201.GetInstalledCertificateIdsResponse(
            status=status.ACCEPTED if chains else status.NOT_FOUND,
            certificate_hash_data_chain=chains or None,
        )
