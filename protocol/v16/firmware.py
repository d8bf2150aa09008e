"""The FirmwareManagement profile of OCPP 1.6: firmware updates and diagnostics.

The one rule: the charge point fetches and uploads by itself; the messages say where, and how far it got.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from ..actions import Request, Sender, empty_fallback, request
from ..message import Message
from ..rules import Uri
from . import effects
from .types import CiString255, Profile

# -- GetDiagnostics ----------------------------------------------------------------------


class GetDiagnosticsResponse(Message):
    """Name the file that will be uploaded; no name: there is nothing to upload. OCPP 1.6, 6.26."""

    file_name: CiString255 | None = None


@request(
    "GetDiagnostics",
    Profile.FIRMWARE_MANAGEMENT,
    Sender.CENTRAL_SYSTEM,
    effect=lambda _: effects.DIAGNOSTICS,
    url=("location",),
)
class GetDiagnostics(Request[GetDiagnosticsResponse]):
    """Have diagnostics uploaded into a directory; `retry_interval` is in seconds. OCPP 1.6, 5.9 and 6.25."""

    location: Annotated[str, Uri()]
    retries: int | None = None
    retry_interval: int | None = None
    start_time: datetime | None = None
    stop_time: datetime | None = None


# -- DiagnosticsStatusNotification -------------------------------------------------------


class DiagnosticsStatus(StrEnum):
    """Progress of an upload of diagnostics. OCPP 1.6, 7.24."""

    IDLE = "Idle"
    UPLOADED = "Uploaded"
    UPLOAD_FAILED = "UploadFailed"
    UPLOADING = "Uploading"


class DiagnosticsStatusNotificationResponse(Message):
    """Confirm a diagnostics status. OCPP 1.6, 6.18."""


@request(
    "DiagnosticsStatusNotification", Profile.FIRMWARE_MANAGEMENT, Sender.CHARGE_POINT, fallback=empty_fallback
)
class DiagnosticsStatusNotification(Request[DiagnosticsStatusNotificationResponse]):
    """Tell how far the upload of diagnostics got. OCPP 1.6, 4.4 and 6.17."""

    status: DiagnosticsStatus


# -- FirmwareStatusNotification ----------------------------------------------------------


class FirmwareStatus(StrEnum):
    """Progress of a firmware update. OCPP 1.6, 7.25."""

    DOWNLOADED = "Downloaded"
    DOWNLOAD_FAILED = "DownloadFailed"
    DOWNLOADING = "Downloading"
    IDLE = "Idle"
    INSTALLATION_FAILED = "InstallationFailed"
    INSTALLING = "Installing"
    INSTALLED = "Installed"


class FirmwareStatusNotificationResponse(Message):
    """Confirm a firmware status. OCPP 1.6, 6.20."""


@request(
    "FirmwareStatusNotification", Profile.FIRMWARE_MANAGEMENT, Sender.CHARGE_POINT, fallback=empty_fallback
)
class FirmwareStatusNotification(Request[FirmwareStatusNotificationResponse]):
    """Tell how far a firmware update got. OCPP 1.6, 4.5 and 6.19."""

    status: FirmwareStatus


# -- UpdateFirmware ----------------------------------------------------------------------


class UpdateFirmwareResponse(Message):
    """Confirm an order to update; how it goes is told separately. OCPP 1.6, 6.56."""


@request(
    "UpdateFirmware",
    Profile.FIRMWARE_MANAGEMENT,
    Sender.CENTRAL_SYSTEM,
    supersede_key=lambda _: None,
    effect=lambda _: effects.FIRMWARE_UPDATE,
    url=("location",),
)
class UpdateFirmware(Request[UpdateFirmwareResponse]):
    """Have new firmware fetched; `retry_interval` is in seconds. OCPP 1.6, 5.19 and 6.55.

    The charge point fetches it as soon as it can, but not before `retrieve_date`.
    """

    location: Annotated[str, Uri()]
    retries: int | None = None
    retrieve_date: datetime
    retry_interval: int | None = None
