"""Errors, each with the side at fault and the answer to give.

An error names the side at fault.  `Refused` is the remote's fault and becomes a CALLERROR;
`InvalidPayload` is our caller's fault and goes back to the caller; `OcppError` is a handler's own "no".

The codes here are canonical.  How a version of OCPP spells them on the wire is the business of that version's
table.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple, Self

from ..config.errors import ChargehandError

DESCRIPTION_CHARACTERS = 255  # the longest description of a CALLERROR


class ErrorCode(StrEnum):
    """The CALLERROR codes of all versions of OCPP-J, by their meaning."""

    NOT_IMPLEMENTED = "NotImplemented"  # the receiver does not know the action
    NOT_SUPPORTED = "NotSupported"  # the receiver knows the action and does not support it
    INTERNAL_ERROR = "InternalError"
    PROTOCOL_ERROR = "ProtocolError"
    SECURITY_ERROR = "SecurityError"
    FORMATION_VIOLATION = "FormationViolation"
    PROPERTY_CONSTRAINT_VIOLATION = "PropertyConstraintViolation"
    OCCURRENCE_CONSTRAINT_VIOLATION = "OccurrenceConstraintViolation"
    TYPE_CONSTRAINT_VIOLATION = "TypeConstraintViolation"
    GENERIC_ERROR = "GenericError"
    MESSAGE_TYPE_NOT_SUPPORTED = "MessageTypeNotSupported"  # from 2.0.1 on
    RPC_FRAMEWORK_ERROR = "RpcFrameworkError"  # from 2.0.1 on: not even the frame of a CALL


_READ: Mapping[str, ErrorCode] = {
    **{code.value: code for code in ErrorCode},
    "FormatViolation": ErrorCode.FORMATION_VIOLATION,  # 2.0.1
    "OccurenceConstraintViolation": ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION,  # 1.6
}


def read_code(text: str) -> ErrorCode | str:
    """Read the code of a CALLERROR in the spelling of any version; an unknown one is kept as its text."""
    return _READ.get(text, text)


class Deviation(NamedTuple):
    """Violation found in a payload.

    `path` is in wire names, as in `meterValue[0].sampledValue[2].unit`, and empty for the payload as a whole.
    `value` is the offending value as JSON text, cut to a bounded length; empty where there is none (a missing
    member). With `stood_in` the message has another value in its place, as `text` says.
    """

    path: str
    code: ErrorCode
    text: str
    value: str = ""
    stood_in: bool = False

    def __str__(self) -> str:
        return f"{self.path or 'payload'} {self.text}"


class OcppError(ChargehandError):
    """Raised by a handler to answer its call with a CALLERROR.

    `description` is cut to 255 characters.  `details` must be encodable as a JSON object.  Raises ValueError
    for a code that is not an `ErrorCode`.
    """

    def __init__(
        self,
        code: ErrorCode = ErrorCode.GENERIC_ERROR,
        description: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self.code = ErrorCode(code)
        self.description = description[:DESCRIPTION_CHARACTERS]
        self.details: dict[str, Any] = dict(details or {})
        super().__init__(self.code, self.description, self.details)

    def __str__(self) -> str:
        return f"{self.code}: {self.description}" if self.description else str(self.code)


class InvalidPayload(ChargehandError, ValueError):
    """Something of ours breaks the contract of its message, and was not sent."""

    def __init__(self, violations: Iterable[Deviation], message: str = "payload") -> None:
        self.violations = tuple(violations)
        self.message = message
        super().__init__(self.violations, message)

    def __str__(self) -> str:
        return f"{self.message}: {'; '.join(map(str, self.violations))}"


class Refused(ChargehandError):
    """Frame or payload of the peer that cannot be accepted; `code` and `description` are those of the answer.

    `violations` are all that were found, the first of them being the one answered.
    """

    def __init__(
        self, code: ErrorCode, text: str, path: str = "", violations: Iterable[Deviation] = ()
    ) -> None:
        self.code = code
        self.text = text
        self.path = path
        self.violations = tuple(violations) or (Deviation(path, code, text),)
        super().__init__(code, text, path, self.violations)

    @classmethod
    def by(cls, violations: Iterable[Deviation]) -> Self:
        """Refuse for these violations, at least one; the first gives the code."""
        first, *others = violations
        return cls(first.code, first.text, first.path, (first, *others))

    @property
    def description(self) -> str:
        """Sentence for the CALLERROR, at most 255 characters."""
        return str(self.violations[0])[:DESCRIPTION_CHARACTERS]

    def __str__(self) -> str:
        return self.description
