"""Block M of OCPP 2.0.1, certificates for ISO 15118, and root certificates.

The one rule: a response is declared before its request, for the request names it.
"""

from enum import StrEnum
from typing import Annotated

from ..actions import Sender, request
from ..message import EXPENDABLE, AtLeast, AtMost
from .base import Message, Request
from .types import (
    Block,
    CertificateHashData,
    Details,
    OCSPRequestData,
    String50,
    String5500,
    String5600,
    String7500,
)

# -- Get15118EVCertificate ---------------------------------------------------------------


class Iso15118EVCertificateStatus(StrEnum):
    """Result of a request for a contract certificate. OCPP 2.0.1, Iso15118EVCertificateStatusEnumType."""

    ACCEPTED = "Accepted"
    FAILED = "Failed"


class CertificateAction(StrEnum):
    """Purpose of a request for a contract certificate. OCPP 2.0.1, CertificateActionEnumType."""

    INSTALL = "Install"
    UPDATE = "Update"


class Get15118EVCertificateResponse(Message):
    """Give the answer for the vehicle, in base64. OCPP 2.0.1, 1.16.2."""

    status: Iso15118EVCertificateStatus
    status_info: Details | None = None
    exi_response: String7500


@request("Get15118EVCertificate", Block.CERTIFICATES, Sender.CHARGE_POINT)
class Get15118EVCertificate(Request[Get15118EVCertificateResponse]):
    """Ask for a contract certificate; `exi_request` is the vehicle's, in base64. OCPP 2.0.1, 1.16.1."""

    iso15118_schema_version: String50
    action: CertificateAction
    exi_request: String5600


# -- GetCertificateStatus ----------------------------------------------------------------


class GetCertificateStatusResult(StrEnum):
    """Result of a request for the revocation status of a certificate.

    OCPP 2.0.1, GetCertificateStatusEnumType.
    """

    ACCEPTED = "Accepted"
    FAILED = "Failed"


class GetCertificateStatusResponse(Message):
    """Give the response of the OCSP responder, in base64 of DER. OCPP 2.0.1, 1.18.2."""

    status: GetCertificateStatusResult
    status_info: Details | None = None
    ocsp_result: String5500 | None = None


@request("GetCertificateStatus", Block.CERTIFICATES, Sender.CHARGE_POINT)
class GetCertificateStatus(Request[GetCertificateStatusResponse]):
    """Ask whether a certificate is revoked. OCPP 2.0.1, 1.18.1."""

    ocsp_request_data: OCSPRequestData


# -- InstallCertificate ------------------------------------------------------------------


class InstallCertificateStatus(StrEnum):
    """Result of installing a certificate; Failed: it is valid and could not be stored.

    OCPP 2.0.1, InstallCertificateStatusEnumType.
    """

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    FAILED = "Failed"


class InstallCertificateUse(StrEnum):
    """Use of a root certificate that is installed. OCPP 2.0.1, InstallCertificateUseEnumType."""

    V2G_ROOT_CERTIFICATE = "V2GRootCertificate"
    MO_ROOT_CERTIFICATE = "MORootCertificate"
    CSMS_ROOT_CERTIFICATE = "CSMSRootCertificate"
    MANUFACTURER_ROOT_CERTIFICATE = "ManufacturerRootCertificate"


class InstallCertificateResponse(Message):
    """Tell whether the certificate is installed. OCPP 2.0.1, 1.30.2."""

    status: InstallCertificateStatus
    status_info: Details | None = None


@request("InstallCertificate", Block.CERTIFICATES, Sender.CENTRAL_SYSTEM)
class InstallCertificate(Request[InstallCertificateResponse]):
    """Install a root certificate, in PEM. OCPP 2.0.1, 1.30.1."""

    certificate_type: InstallCertificateUse
    certificate: String5500


# -- GetInstalledCertificateIds ----------------------------------------------------------


class GetInstalledCertificateStatus(StrEnum):
    """Result of a search for certificates. OCPP 2.0.1, GetInstalledCertificateStatusEnumType."""

    ACCEPTED = "Accepted"
    NOT_FOUND = "NotFound"


class GetCertificateIdUse(StrEnum):
    """Use of an installed certificate. OCPP 2.0.1, GetCertificateIdUseEnumType."""

    V2G_ROOT_CERTIFICATE = "V2GRootCertificate"
    MO_ROOT_CERTIFICATE = "MORootCertificate"
    CSMS_ROOT_CERTIFICATE = "CSMSRootCertificate"
    V2G_CERTIFICATE_CHAIN = "V2GCertificateChain"
    MANUFACTURER_ROOT_CERTIFICATE = "ManufacturerRootCertificate"


class CertificateHashDataChain(Message):
    """Name of a certificate, its use, and the names of those below it.

    OCPP 2.0.1, CertificateHashDataChainType.
    """

    certificate_hash_data: CertificateHashData
    certificate_type: GetCertificateIdUse
    child_certificate_hash_data: Annotated[tuple[CertificateHashData, ...], AtLeast(1), AtMost(4)] | None = (
        None
    )


class GetInstalledCertificateIdsResponse(Message):
    """Name the installed certificates. OCPP 2.0.1, 1.22.2."""

    status: GetInstalledCertificateStatus
    status_info: Details | None = None
    certificate_hash_data_chain: (
        Annotated[tuple[CertificateHashDataChain, ...], AtLeast(1), EXPENDABLE] | None
    ) = None


@request("GetInstalledCertificateIds", Block.CERTIFICATES, Sender.CENTRAL_SYSTEM)
class GetInstalledCertificateIds(Request[GetInstalledCertificateIdsResponse]):
    """Ask which certificates are installed. OCPP 2.0.1, 1.22.1."""

    certificate_type: Annotated[tuple[GetCertificateIdUse, ...], AtLeast(1)] | None = None


# -- DeleteCertificate -------------------------------------------------------------------


class DeleteCertificateStatus(StrEnum):
    """Result of deleting a certificate. OCPP 2.0.1, DeleteCertificateStatusEnumType."""

    ACCEPTED = "Accepted"
    FAILED = "Failed"
    NOT_FOUND = "NotFound"


class DeleteCertificateResponse(Message):
    """Tell whether the certificate is deleted. OCPP 2.0.1, 1.14.2."""

    status: DeleteCertificateStatus
    status_info: Details | None = None


@request("DeleteCertificate", Block.CERTIFICATES, Sender.CENTRAL_SYSTEM)
class DeleteCertificate(Request[DeleteCertificateResponse]):
    """Delete an installed certificate. OCPP 2.0.1, 1.14.1."""

    certificate_hash_data: CertificateHashData
