"""Allowance of a charge point: the most that it may draw, whatever becomes of what it was sent. Tenths of an ampere.

The one rule: `bound` is never below what the charge point really holds. It falls only when the charge point has
accepted less, or has surely not been given more.
"""

from __future__ import annotations


class Allowance:
    """Limit of one charge point. `recorded` is the bound that an earlier process has stored; None: nobody knows.

    `accepted` is what it has accepted last, None if nobody knows; `asked` what it is being asked to accept, None if
    nothing is on its way; `confirmed` says that it has accepted a limit since this process, its connection or its
    program has started, and that nobody else has set one since.
    """

    __slots__ = ("_held", "_sure", "accepted", "asked", "confirmed", "most")

    def __init__(self, most: int, recorded: int | None) -> None:
        self.most = most
        self.accepted = recorded if recorded is None else min(recorded, most)
        self.asked: int | None = None
        self.confirmed = False
        self._held = self.accepted  # None: it may draw all that it can
        self._sure = False

    @property
    def bound(self) -> int:
        """Most that may be in force."""
        return max(self.most if self._held is None else self._held, self.asked or 0)

    @property
    def to_record(self) -> int | None:
        """Bound as it is stored; None if nobody knows one."""
        return None if self._held is None else self.bound

    def ask(self, tenths: int) -> None:
        """Note a limit before it is sent."""
        self.asked, self._sure = tenths, True

    def accept(self) -> None:
        """Note that the limit that was asked for was accepted: it holds, unless something has happened meanwhile."""
        asked, self.asked = self.asked or 0, None
        self.accepted = asked
        if self._sure:
            self._held, self.confirmed = asked, True
        else:
            self._hold(asked)

    def decline(self) -> None:
        """Note that the limit that was asked for was refused, or not sent."""
        self.asked = None

    def doubt(self) -> None:
        """Note that the limit that was asked for may be in force, or not."""
        asked, self.asked = self.asked or 0, None
        self._hold(asked)

    def may_hold(self, tenths: int | None) -> bool:
        """Note that somebody else may have set a limit, None for any; return whether another bound is to be stored."""
        before = self.to_record
        if tenths is None:
            self._held = None
        else:
            self._hold(tenths)
        self.unconfirm()
        return self.to_record != before

    def unconfirm(self) -> None:
        """Note that what was accepted has to be confirmed, also by what is on its way."""
        self.confirmed = self._sure = False

    def _hold(self, tenths: int) -> None:
        if self._held is not None:
            self._held = max(self._held, min(tenths, self.most))
