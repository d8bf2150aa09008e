"""The security extension of OCPP 1.6: certificates, signed firmware, logs and security events.

The one rule: names are those of the official schemas, less their `EnumType` and `Type`; where the base
specification has the name already, a word goes before it.  "White paper" in here is "Improved security for
OCPP 1.6-J", edition 3.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from ..actions import Request, Sender, empty_fallback, request
from ..message import EXPENDABLE, RECEIVED, AtLeast, Message, StandIn
from ..rules import Text
from . import effects
from .remote_trigger import TriggerMessageStatus
from .types import CiString50, CiString255, ConnectorId, Profile

CiString40 = Annotated[str, Text(40)]
CiString128 = Annotated[str, Text(128)]
String512 = Annotated[str, Text(512)]
String800 = Annotated[str, Text(800)]
String5500 = Annotated[str, Text(5500)]
String10000 = Annotated[str, Text(10000)]

# -- Certificates ------------------------------------------------------------------------


class HashAlgorithm(StrEnum):
    """The algorithm of the hashes that name a certificate. White paper, 6.12."""

    SHA256 = "SHA256"
    SHA384 = "SHA384"
    SHA512 = "SHA512"


class CertificateUse(StrEnum):
    """Use of a root certificate. White paper, 6.4."""

    CENTRAL_SYSTEM_ROOT_CERTIFICATE = "CentralSystemRootCertificate"
    MANUFACTURER_ROOT_CERTIFICATE = "ManufacturerRootCertificate"


class CertificateHashData(Message):
    """Names a certificate by hashes of its issuer and its serial number. White paper, 6.1."""

    hash_algorithm: HashAlgorithm
    issuer_name_hash: CiString128
    issuer_key_hash: CiString128
    serial_number: CiString40


class CertificateSignedStatus(StrEnum):
    """Answer to a signed certificate. White paper, 6.2."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class CertificateSignedResponse(Message):
    """Tell whether the charge point takes its new certificate. White paper, 5.2."""

    status: CertificateSignedStatus


@request("CertificateSigned", Profile.SECURITY, Sender.CENTRAL_SYSTEM)
class CertificateSigned(Request[CertificateSignedResponse]):
    """Give the charge point its signed certificate, as a chain in PEM. White paper, 5.1."""

    certificate_chain: String10000


class DeleteCertificateStatus(StrEnum):
    """Result of deleting a certificate. White paper, 6.7."""

    ACCEPTED = "Accepted"
    FAILED = "Failed"
    NOT_FOUND = "NotFound"


class DeleteCertificateResponse(Message):
    """Tell whether the certificate is deleted. White paper, 5.4."""

    status: DeleteCertificateStatus


@request("DeleteCertificate", Profile.SECURITY, Sender.CENTRAL_SYSTEM)
class DeleteCertificate(Request[DeleteCertificateResponse]):
    """Delete an installed certificate. White paper, 5.3."""

    certificate_hash_data: CertificateHashData


class GetInstalledCertificateStatus(StrEnum):
    """Result of a search for certificates. White paper, 6.11."""

    ACCEPTED = "Accepted"
    NOT_FOUND = "NotFound"


class GetInstalledCertificateIdsResponse(Message):
    """Name the installed certificates. White paper, 5.8."""

    certificate_hash_data: Annotated[tuple[CertificateHashData, ...], AtLeast(1), EXPENDABLE] | None = None
    status: GetInstalledCertificateStatus


@request("GetInstalledCertificateIds", Profile.SECURITY, Sender.CENTRAL_SYSTEM)
class GetInstalledCertificateIds(Request[GetInstalledCertificateIdsResponse]):
    """Ask which certificates for one use are installed. White paper, 5.7."""

    certificate_type: CertificateUse


class InstallCertificateStatus(StrEnum):
    """Result of installing a certificate; Rejected: invalid, or one too many. White paper, 6.3."""

    ACCEPTED = "Accepted"
    FAILED = "Failed"
    REJECTED = "Rejected"


class InstallCertificateResponse(Message):
    """Tell whether the certificate is installed. White paper, 5.12."""

    status: InstallCertificateStatus


@request("InstallCertificate", Profile.SECURITY, Sender.CENTRAL_SYSTEM)
class InstallCertificate(Request[InstallCertificateResponse]):
    """Install a root certificate, in PEM. White paper, 5.11."""

    certificate_type: CertificateUse
    certificate: String5500


class GenericStatus(StrEnum):
    """Answer to a request: accepted or rejected. White paper, 6.10."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class SignCertificateResponse(Message):
    """Tell whether the request for a certificate will be dealt with. White paper, 5.18."""

    status: GenericStatus


@request("SignCertificate", Profile.SECURITY, Sender.CHARGE_POINT)
class SignCertificate(Request[SignCertificateResponse]):
    """Ask for a certificate; `csr` is a PKCS #10 request in PEM. White paper, 5.17."""

    csr: String5500


# -- Triggers ----------------------------------------------------------------------------


class ExtendedMessageTrigger(StrEnum):
    """The message asked for; FirmwareStatusNotification means the signed one. White paper, 6.16."""

    BOOT_NOTIFICATION = "BootNotification"
    LOG_STATUS_NOTIFICATION = "LogStatusNotification"
    FIRMWARE_STATUS_NOTIFICATION = "FirmwareStatusNotification"
    HEARTBEAT = "Heartbeat"
    METER_VALUES = "MeterValues"
    SIGN_CHARGE_POINT_CERTIFICATE = "SignChargePointCertificate"
    STATUS_NOTIFICATION = "StatusNotification"


class ExtendedTriggerMessageResponse(Message):
    """Tell whether the message will be sent. White paper, 5.6."""

    status: TriggerMessageStatus


@request(
    "ExtendedTriggerMessage",
    Profile.SECURITY,
    Sender.CENTRAL_SYSTEM,
    supersede_key=lambda request: (str(request.requested_message), request.connector_id),
    effect=effects.triggered,
    triggers=effects.triggers,
)
class ExtendedTriggerMessage(Request[ExtendedTriggerMessageResponse]):
    """Ask the charge point to send a message, those of this extension included. White paper, 5.5."""

    requested_message: ExtendedMessageTrigger
    connector_id: ConnectorId | None = None


# -- Logs and security events ------------------------------------------------------------


class Log(StrEnum):
    """Which log. White paper, 6.13."""

    DIAGNOSTICS_LOG = "DiagnosticsLog"
    SECURITY_LOG = "SecurityLog"


class LogParameters(Message):
    """Which part of a log to upload, and where. White paper, 6.14."""

    remote_location: String512
    oldest_timestamp: datetime | None = None
    latest_timestamp: datetime | None = None


class LogStatus(StrEnum):
    """Answer to GetLog; AcceptedCanceled: in place of another. White paper, 6.15."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    ACCEPTED_CANCELED = "AcceptedCanceled"


class GetLogResponse(Message):
    """Tell whether a log will be uploaded, and name its file. White paper, 5.10."""

    status: LogStatus
    filename: CiString255 | None = None


@request(
    "GetLog",
    Profile.SECURITY,
    Sender.CENTRAL_SYSTEM,
    effect=lambda _: effects.LOG,
    url=("log", "remote_location"),
)
class GetLog(Request[GetLogResponse]):
    """Have a log uploaded; `retry_interval` is in seconds. White paper, 5.9."""

    log: LogParameters
    log_type: Log
    request_id: int
    retries: int | None = None
    retry_interval: int | None = None


class UploadLogStatus(StrEnum):
    """Progress of an upload of a log. White paper, 6.19."""

    BAD_MESSAGE = "BadMessage"
    IDLE = "Idle"
    NOT_SUPPORTED_OPERATION = "NotSupportedOperation"
    PERMISSION_DENIED = "PermissionDenied"
    UPLOADED = "Uploaded"
    UPLOAD_FAILURE = "UploadFailure"
    UPLOADING = "Uploading"


class LogStatusNotificationResponse(Message):
    """Confirm a log status. White paper, 5.14."""


@request("LogStatusNotification", Profile.SECURITY, Sender.CHARGE_POINT, fallback=empty_fallback)
class LogStatusNotification(Request[LogStatusNotificationResponse]):
    """Tell how far the upload of a log got. White paper, 5.13."""

    status: UploadLogStatus
    request_id: int | None = None


class SecurityEventNotificationResponse(Message):
    """Confirm a security event. White paper, 5.16."""


@request("SecurityEventNotification", Profile.SECURITY, Sender.CHARGE_POINT, fallback=empty_fallback)
class SecurityEventNotification(Request[SecurityEventNotificationResponse]):
    """Tell that something concerning security happened in the charge point. White paper, 5.15."""

    type: Annotated[CiString50, StandIn("")]
    timestamp: Annotated[datetime, RECEIVED]
    tech_info: CiString255 | None = None


CRITICAL_SECURITY_EVENTS: Mapping[str, int] = {
    "SecurityLogWasCleared": 2,
    "TamperDetectionActivated": 2,
    "MemoryExhaustion": 3,
    "FirmwareUpdated": 7,
    "SettingSystemTime": 7,
    "ResetOrReboot": 8,
    "StartupOfTheDevice": 8,
}
"""Types of security events that the white paper calls critical (section 8), with the severities of their alerts."""


# -- Signed firmware ---------------------------------------------------------------------


class Firmware(Message):
    """Address of firmware, times to fetch and install it, and its signature. White paper, 6.9.

    The certificate is in PEM, the signature in base64.
    """

    location: String512
    retrieve_date_time: datetime
    install_date_time: datetime | None = None
    signing_certificate: String5500
    signature: String800


class UpdateFirmwareStatus(StrEnum):
    """Answer to a signed update; AcceptedCanceled: in place of another. White paper, 6.18."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    ACCEPTED_CANCELED = "AcceptedCanceled"
    INVALID_CERTIFICATE = "InvalidCertificate"
    REVOKED_CERTIFICATE = "RevokedCertificate"


class SignedUpdateFirmwareResponse(Message):
    """Tell whether the firmware will be fetched. White paper, 5.22."""

    status: UpdateFirmwareStatus


@request(
    "SignedUpdateFirmware",
    Profile.SECURITY,
    Sender.CENTRAL_SYSTEM,
    supersede_key=lambda _: None,
    effect=lambda _: effects.SIGNED_FIRMWARE_UPDATE,
    url=("firmware", "location"),
)
class SignedUpdateFirmware(Request[SignedUpdateFirmwareResponse]):
    """Have signed firmware fetched and installed; `retry_interval` is in seconds. White paper, 5.21."""

    retries: int | None = None
    retry_interval: int | None = None
    request_id: int
    firmware: Firmware


class SignedFirmwareStatus(StrEnum):
    """Progress of an update with signed firmware. White paper, 6.8."""

    DOWNLOADED = "Downloaded"
    DOWNLOAD_FAILED = "DownloadFailed"
    DOWNLOADING = "Downloading"
    DOWNLOAD_SCHEDULED = "DownloadScheduled"
    DOWNLOAD_PAUSED = "DownloadPaused"
    IDLE = "Idle"
    INSTALLATION_FAILED = "InstallationFailed"
    INSTALLING = "Installing"
    INSTALLED = "Installed"
    INSTALL_REBOOTING = "InstallRebooting"
    INSTALL_SCHEDULED = "InstallScheduled"
    INSTALL_VERIFICATION_FAILED = "InstallVerificationFailed"
    INVALID_SIGNATURE = "InvalidSignature"
    SIGNATURE_VERIFIED = "SignatureVerified"


class SignedFirmwareStatusNotificationResponse(Message):
    """Confirm a firmware status. White paper, 5.20."""


@request("SignedFirmwareStatusNotification", Profile.SECURITY, Sender.CHARGE_POINT, fallback=empty_fallback)
class SignedFirmwareStatusNotification(Request[SignedFirmwareStatusNotificationResponse]):
    """Tell how far an update with signed firmware got. White paper, 5.19."""

    status: SignedFirmwareStatus
    request_id: int | None = None
