"""Why a WebSocket connection ends: the close codes, and which of them may be sent (RFC 6455, section 7.4).

The one rule: a code is a plain number on the wire and in events; the names are for what this side says.
"""

from enum import IntEnum
from typing import Final


class CloseCode(IntEnum):
    """Why a connection is closed. Section 7.4.1 and the IANA registry."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005
    """Never on the wire: what a close frame without a body means to its receiver."""
    ABNORMAL = 1006
    """Never on the wire: the connection ended without a close frame."""
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MISSING_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014


_SENDABLE: Final = frozenset(CloseCode) - {CloseCode.NO_STATUS, CloseCode.ABNORMAL}
_UNREGISTERED: Final = range(3000, 5000)


def is_sendable(code: int) -> bool:
    """Say whether a close frame may carry `code`: registered, a library's, or private. Section 7.4.2."""
    return code in _SENDABLE or code in _UNREGISTERED
