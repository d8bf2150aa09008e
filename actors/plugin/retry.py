"""Exceptions by which the handler of a durable event decides about its next delivery."""

from __future__ import annotations

from ...config.errors import ChargehandError


class RetryLater(ChargehandError):
    """Raised by a handler: deliver the event again in so many seconds, as often as that takes.

    It counts as no failure, of the event or of the plugin. Further events of the same charge point wait.
    """

    def __init__(self, seconds: float, why: str = "") -> None:
        super().__init__(f"again in {seconds:g} s: {why}" if why else f"again in {seconds:g} s")
        self.seconds = seconds


class GiveUp(ChargehandError):
    """Raised by a handler: make the event a dead letter now, with this reason."""
