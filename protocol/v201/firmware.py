"""Block L of OCPP 2.0.1, firmware.

The one rule: a response is declared before its request, for the request names it.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from ..actions import Sender, empty_fallback, request
from ..message import AtLeast
from . import effects
from .base import Message, Request
from .types import Block, Details, GenericStatus, Id, String32, String512, String800, String5500

# -- UpdateFirmware ----------------------------------------------------------------------


class UpdateFirmwareStatus(StrEnum):
    """Answer to a firmware update; AcceptedCanceled: in place of another.

    OCPP 2.0.1, UpdateFirmwareStatusEnumType.
    """

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    ACCEPTED_CANCELED = "AcceptedCanceled"
    INVALID_CERTIFICATE = "InvalidCertificate"
    REVOKED_CERTIFICATE = "RevokedCertificate"


class Firmware(Message):
    """Place of firmware, when to fetch and install it, and its signature.

    Certificate in PEM, signature in base64. OCPP 2.0.1, FirmwareType.
    """

    location: String512
    retrieve_date_time: datetime
    install_date_time: datetime | None = None
    signing_certificate: String5500 | None = None
    signature: String800 | None = None


class UpdateFirmwareResponse(Message):
    """Tell whether the firmware will be fetched. OCPP 2.0.1, 1.64.2."""

    status: UpdateFirmwareStatus
    status_info: Details | None = None


@request(
    "UpdateFirmware",
    Block.FIRMWARE,
    Sender.CENTRAL_SYSTEM,
    supersede_key=lambda _: None,
    effect=lambda _: effects.FIRMWARE_UPDATE,
    numbered="request_id",
    url=("firmware", "location"),
)
class UpdateFirmware(Request[UpdateFirmwareResponse]):
    """Have firmware fetched and installed; `retry_interval` is in seconds. OCPP 2.0.1, 1.64.1."""

    retries: int | None = None
    retry_interval: int | None = None
    request_id: Id
    firmware: Firmware


# -- FirmwareStatusNotification ----------------------------------------------------------


class FirmwareStatus(StrEnum):
    """Progress of a firmware update. OCPP 2.0.1, FirmwareStatusEnumType."""

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


class FirmwareStatusNotificationResponse(Message):
    """Confirm a firmware status. OCPP 2.0.1, 1.15.2."""


@request("FirmwareStatusNotification", Block.FIRMWARE, Sender.CHARGE_POINT, fallback=empty_fallback)
class FirmwareStatusNotification(Request[FirmwareStatusNotificationResponse]):
    """Report the progress of a firmware update; an idle one has no request id. OCPP 2.0.1, 1.15.1."""

    status: FirmwareStatus
    request_id: Id | None = None


# -- PublishFirmware ---------------------------------------------------------------------


class PublishFirmwareResponse(Message):
    """Tell whether the firmware will be published. OCPP 2.0.1, 1.41.2."""

    status: GenericStatus
    status_info: Details | None = None


@request(
    "PublishFirmware",
    Block.FIRMWARE,
    Sender.CENTRAL_SYSTEM,
    effect=lambda _: effects.PUBLISHING,
    numbered="request_id",
    url=("location",),
)
class PublishFirmware(Request[PublishFirmwareResponse]):
    """Have firmware fetched and published on the local network; `checksum` is MD5, in hexadecimal digits.

    OCPP 2.0.1, 1.41.1.
    """

    location: String512
    retries: int | None = None
    checksum: String32
    request_id: Id
    retry_interval: int | None = None


# -- PublishFirmwareStatusNotification ---------------------------------------------------


class PublishFirmwareStatus(StrEnum):
    """Progress of publishing firmware on the local network. OCPP 2.0.1, PublishFirmwareStatusEnumType."""

    IDLE = "Idle"
    DOWNLOAD_SCHEDULED = "DownloadScheduled"
    DOWNLOADING = "Downloading"
    DOWNLOADED = "Downloaded"
    PUBLISHED = "Published"
    DOWNLOAD_FAILED = "DownloadFailed"
    DOWNLOAD_PAUSED = "DownloadPaused"
    INVALID_CHECKSUM = "InvalidChecksum"
    CHECKSUM_VERIFIED = "ChecksumVerified"
    PUBLISH_FAILED = "PublishFailed"


class PublishFirmwareStatusNotificationResponse(Message):
    """Confirm a status. OCPP 2.0.1, 1.42.2."""


@request("PublishFirmwareStatusNotification", Block.FIRMWARE, Sender.CHARGE_POINT, fallback=empty_fallback)
class PublishFirmwareStatusNotification(Request[PublishFirmwareStatusNotificationResponse]):
    """Report the progress of publishing firmware, and its addresses in the end. OCPP 2.0.1, 1.42.1."""

    status: PublishFirmwareStatus
    location: Annotated[tuple[String512, ...], AtLeast(1)] | None = None
    request_id: Id | None = None


# -- UnpublishFirmware -------------------------------------------------------------------


class UnpublishFirmwareStatus(StrEnum):
    """Result of taking back published firmware. OCPP 2.0.1, UnpublishFirmwareStatusEnumType."""

    DOWNLOAD_ONGOING = "DownloadOngoing"
    NO_FIRMWARE = "NoFirmware"
    UNPUBLISHED = "Unpublished"


class UnpublishFirmwareResponse(Message):
    """Tell whether the firmware is published no more. OCPP 2.0.1, 1.63.2."""

    status: UnpublishFirmwareStatus


@request("UnpublishFirmware", Block.FIRMWARE, Sender.CENTRAL_SYSTEM)
class UnpublishFirmware(Request[UnpublishFirmwareResponse]):
    """Take back published firmware; `checksum` is MD5, in hexadecimal digits. OCPP 2.0.1, 1.63.1."""

    checksum: String32
