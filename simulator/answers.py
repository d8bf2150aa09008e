"""Answers of a charge point to commands, and changed answers for tests.

The one rule: an answerer is a callable that gets the request and returns a response (a message, or a mapping with wire
names), an `Answer` that says what to do afterwards, or None: then the CALL is never answered. It raises `OcppError` to
refuse. It runs in a greenlet of its own and may block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gevent

from ..protocol.errors import ErrorCode, OcppError
from ..protocol.message import Message

Response = Message | Mapping[str, Any]


class Answer(NamedTuple):
    """Response, and the action of the charge point after it was sent."""

    response: Response
    then: Callable[[], object] | None = None


Answerer = Callable[[Any], Response | Answer | None]


def refusing(code: ErrorCode = ErrorCode.NOT_SUPPORTED, description: str = "") -> Answerer:
    """Make an answerer that always refuses, with this CALLERROR."""

    def answer(_: Any) -> Response:
        raise OcppError(code, description)

    return answer


def delayed(seconds: float, answerer: Answerer) -> Answerer:
    """Make an answerer that waits before it calls `answerer`."""

    def answer(request: Any) -> Response | Answer | None:
        gevent.sleep(seconds)
        return answerer(request)

    return answer


def silent(_: Any) -> None:
    """Make an answerer that never answers."""
