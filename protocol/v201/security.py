"""Block A of OCPP 2.0.1, security: the station's own certificates, and security events.

The one rule: a response is declared before its request, for the request names it.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from ..actions import Sender, empty_fallback, request
from ..message import RECEIVED, StandIn
from .base import Message, Request
from .types import Block, Details, GenericStatus, String50, String255, String5500, String10000

# -- SignCertificate ---------------------------------------------------------------------


class CertificateSigningUse(StrEnum):
    """Use of a certificate that is signed: for the central system, or for vehicles.

    OCPP 2.0.1, CertificateSigningUseEnumType.
    """

    CHARGING_STATION_CERTIFICATE = "ChargingStationCertificate"
    V2G_CERTIFICATE = "V2GCertificate"


class SignCertificateResponse(Message):
    """Tell whether the request for a certificate will be dealt with. OCPP 2.0.1, 1.58.2."""

    status: GenericStatus
    status_info: Details | None = None


@request("SignCertificate", Block.SECURITY, Sender.CHARGE_POINT)
class SignCertificate(Request[SignCertificateResponse]):
    """Ask for a certificate; `csr` is a PKCS #10 request in PEM. OCPP 2.0.1, 1.58.1."""

    csr: String5500
    certificate_type: CertificateSigningUse | None = None


# -- CertificateSigned -------------------------------------------------------------------


class CertificateSignedStatus(StrEnum):
    """Answer to a signed certificate. OCPP 2.0.1, CertificateSignedStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class CertificateSignedResponse(Message):
    """Tell whether the station takes its new certificate. OCPP 2.0.1, 1.4.2."""

    status: CertificateSignedStatus
    status_info: Details | None = None


@request("CertificateSigned", Block.SECURITY, Sender.CENTRAL_SYSTEM)
class CertificateSigned(Request[CertificateSignedResponse]):
    """Give the station a signed certificate, as a chain in PEM. OCPP 2.0.1, 1.4.1."""

    certificate_chain: String10000
    certificate_type: CertificateSigningUse | None = None


CRITICAL_SECURITY_EVENTS: Mapping[str, int] = {
    "SecurityLogWasCleared": 2,
    "TamperDetectionActivated": 2,
    "InvalidCsmsCertificate": 3,
    "InvalidChargingStationCertificate": 3,
    "InvalidFirmwareSignature": 3,
    "InvalidFirmwareSigningCertificate": 3,
    "InvalidTLSVersion": 3,
    "InvalidTLSCipherSuite": 3,
    "MaintenanceLoginFailed": 3,
    "MemoryExhaustion": 3,
    "MaintenanceLoginAccepted": 7,
    "FirmwareUpdated": 7,
    "SettingSystemTime": 7,
    "ResetOrReboot": 8,
    "StartupOfTheDevice": 8,
}
"""Types of security events that are critical (part 2, appendix 1), with the severities of their alerts."""


# -- SecurityEventNotification -----------------------------------------------------------


class SecurityEventNotificationResponse(Message):
    """Confirm a security event. OCPP 2.0.1, 1.49.2."""


@request("SecurityEventNotification", Block.SECURITY, Sender.CHARGE_POINT, fallback=empty_fallback)
class SecurityEventNotification(Request[SecurityEventNotificationResponse]):
    """Report that something concerning security happened in the station. OCPP 2.0.1, 1.49.1."""

    type: Annotated[String50, StandIn("")]
    timestamp: Annotated[datetime, RECEIVED]
    tech_info: String255 | None = None
