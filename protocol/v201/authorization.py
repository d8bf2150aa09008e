"""Block C of OCPP 2.0.1, authorization.

The one rule: a response is declared before its request, for the request names it.
"""

from enum import StrEnum
from typing import Annotated

from ..actions import Sender, request
from ..message import AtLeast, AtMost
from .base import Message, Request
from .types import Block, Details, IdToken, IdTokenInfo, OCSPRequestData, String5500

# -- Authorize ---------------------------------------------------------------------------


class AuthorizeCertificateStatus(StrEnum):
    """Result of the check of a contract certificate. OCPP 2.0.1, AuthorizeCertificateStatusEnumType."""

    ACCEPTED = "Accepted"
    SIGNATURE_ERROR = "SignatureError"
    CERTIFICATE_EXPIRED = "CertificateExpired"
    CERTIFICATE_REVOKED = "CertificateRevoked"
    NO_CERTIFICATE_AVAILABLE = "NoCertificateAvailable"
    CERT_CHAIN_ERROR = "CertChainError"
    CONTRACT_CANCELLED = "ContractCancelled"


class AuthorizeResponse(Message):
    """Tell whether an id token may charge. OCPP 2.0.1, 1.1.2."""

    id_token_info: IdTokenInfo
    certificate_status: AuthorizeCertificateStatus | None = None


@request("Authorize", Block.AUTHORIZATION, Sender.CHARGE_POINT)
class Authorize(Request[AuthorizeResponse]):
    """Ask whether an id token may charge; `certificate` is the contract certificate, in PEM.

    OCPP 2.0.1, 1.1.1.
    """

    id_token: IdToken
    certificate: String5500 | None = None
    iso15118_certificate_hash_data: Annotated[tuple[OCSPRequestData, ...], AtLeast(1), AtMost(4)] | None = (
        None
    )


# -- ClearCache --------------------------------------------------------------------------


class ClearCacheStatus(StrEnum):
    """Result of clearing the authorization cache. OCPP 2.0.1, ClearCacheStatusEnumType."""

    ACCEPTED = "Accepted"
    REJECTED = "Rejected"


class ClearCacheResponse(Message):
    """Tell whether the cache is cleared. OCPP 2.0.1, 1.6.2."""

    status: ClearCacheStatus
    status_info: Details | None = None


@request("ClearCache", Block.AUTHORIZATION, Sender.CENTRAL_SYSTEM, supersede_key=lambda _: None)
class ClearCache(Request[ClearCacheResponse]):
    """Clear the authorization cache. OCPP 2.0.1, 1.6.1."""
