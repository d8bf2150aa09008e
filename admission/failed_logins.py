"""Limit of wrong passwords: by charge point and address, by address, and by charge point.

Beyond a limit passwords are not looked at any more, so that nobody guesses on and no slow hash is spent. The right
charge point gets in all the same: from another address than whoever guesses, and, when many addresses guess at once,
from the address of its last connection, or with a key that is too long to be guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .token_bucket import TokenBuckets

if TYPE_CHECKING:
    from ..config.sessions import AuthSettings

MINUTE_S = 60.0


class FailedLogins:
    """Counts of wrong passwords. Pure state; the time is an argument."""

    def __init__(self, settings: AuthSettings) -> None:
        def buckets(most: int) -> TokenBuckets:
            return TokenBuckets(most / MINUTE_S, most)

        self._here = buckets(settings.failed_logins)  # of a charge point, by address
        self._by_address = buckets(settings.failed_logins_per_address)
        self._by_id = buckets(settings.failed_logins_per_id)

    def limit(self, address: str, identity: str, now: float, *, guarded: bool) -> tuple[float, str]:
        """Return the seconds until a password is looked at again, and the setting; 0 and "" without a limit.

        `guarded`: this address, or this key, cannot be a guess, so that guesses from elsewhere do not count.
        """
        if (wait_s := self._here.wait_s(f"{address} {identity}", now)) > 0:
            return wait_s, "auth.failed_logins"
        if (wait_s := self._by_address.wait_s(address, now)) > 0:
            return wait_s, "auth.failed_logins_per_address"
        if not guarded and (wait_s := self._by_id.wait_s(identity, now)) > 0:
            return wait_s, "auth.failed_logins_per_id"
        return 0.0, ""

    def note(self, address: str, identity: str, now: float) -> None:
        """Count a wrong password."""
        self._here.take(f"{address} {identity}", now)
        self._by_address.take(address, now)
        self._by_id.take(identity, now)
