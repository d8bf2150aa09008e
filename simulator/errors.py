"""Errors between a simulated charge point and its central system.

The one rule: a call of the charge point's that brings no usable answer raises a `CallFailed`, and says which kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..config.errors import ChargehandError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..protocol.errors import Deviation


class CallFailed(ChargehandError):
    """A call brought no usable answer."""


class Disconnected(CallFailed):
    """Error: there is no connection, or it was lost before the answer came."""


class NoAnswer(CallFailed):
    """The answer did not come in time."""


class CallDeclined(CallFailed):
    """The answer was a CALLERROR. `code` is an `ErrorCode` if it is a known one, else the text that came."""

    def __init__(self, code: str, description: str, details: Mapping[str, Any]) -> None:
        self.code = code
        self.description = description
        self.details = dict(details)
        super().__init__(code, description)

    def __str__(self) -> str:
        return f"{self.code}: {self.description}" if self.description else self.code


class InvalidAnswer(CallFailed):
    """The answer breaks the contract of its message: a fault of the central system's."""

    def __init__(self, action: str, violations: Iterable[Deviation]) -> None:
        self.violations = tuple(violations)
        super().__init__(f"{action}: {'; '.join(map(str, self.violations))}")


class HandshakeRefused(ChargehandError, OSError):
    """The central system answered the handshake with something else than 101. `text` is the start of the body."""

    def __init__(self, status: int, reason: str, text: str) -> None:
        self.status = status
        self.reason = reason
        self.text = text
        super().__init__(f"{status} {reason}: {text}" if text else f"{status} {reason}")


class NotPossible(ChargehandError):
    """The charge point cannot do this now: a connector is in the wrong state, or is not there."""
