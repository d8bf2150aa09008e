"""Effects of commands: the later messages that show that a command was carried out.

"Accepted" is a promise. Whether the charge point kept it shows in a message of its own that comes later: a
StartTransaction after RemoteStartTransaction, a BootNotification after Reset. It may show too where no answer came.
Pure functions of messages; whoever waits knows the time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from .actions import Request


class Effect(StrEnum):
    """State of a command's effect."""

    PENDING = "pending"
    DONE = "done"
    NO_EFFECT = "no_effect"  # it failed, or none was seen while it was waited for
    DECLINED = "declined"  # the answer was not a promise, or a CALLERROR


def judge_status(done: frozenset[str], failed: frozenset[str]) -> Callable[[Any, Any], Effect | None]:
    """Make a judge of messages with a `status`, and a `request_id` where the command has one."""

    def judge(request: Any, message: Any) -> Effect | None:
        wanted = getattr(request, "request_id", None)
        if wanted is not None and getattr(message, "request_id", None) not in (None, wanted):
            return None  # of the one before, that this one has put an end to
        if message.status in done:
            return Effect.DONE
        return Effect.NO_EFFECT if message.status in failed else None

    return judge


@dataclass(frozen=True, slots=True)
class Pair:
    """Active action and the messages that show its effect, by action, each with its judge.

    `promises` are the statuses that promise it ("" where the answer has none), `at_once` those that are the effect
    itself. Without the member `needs` an answer promises nothing; with the member `done_with` a promise was kept
    already. With `each` one message is the effect of one call only. With `dated` a message whose own timestamp is from
    before the call shows rather another call's effect, if it could be either's: clocks of charge points are wrong, so
    order of arrival and what the message says decide first.
    """

    shown_by: dict[str, Callable[[Any, Any], Effect | None]]
    promises: frozenset[str] = frozenset({"Accepted"})
    at_once: frozenset[str] = frozenset()
    needs: str = ""
    done_with: str = ""
    each: bool = False
    dated: bool = False


def pair_of(request: Request[Any]) -> Pair | None:
    """Find the messages that show the effect of a command; None if its version has none."""
    effect = request.__action__.effect
    return None if effect is None else effect(request)


class Expectation:
    """Command whose effect is waited for. Messages and the answer may come in any order.

    A message received before `sent_at`, on the scale of `show`, shows nothing. One with a timestamp before
    `not_before` gives way where the pair is `dated`.
    """

    __slots__ = (
        "_judged",
        "_seen",
        "effect",
        "not_before",
        "owner",
        "pair",
        "promised",
        "request",
        "sent_at",
    )

    def __init__(
        self,
        owner: Any,
        pair: Pair,
        request: Any,
        not_before: dt.datetime | None = None,
        sent_at: float = -math.inf,
    ) -> None:
        self.owner = owner
        self.pair = pair
        self.request = request
        self.not_before = not_before
        self.sent_at = sent_at
        self.effect = Effect.PENDING
        self.promised = False
        self._judged = False  # by later messages: the answer was a promise, or there will be none
        self._seen: Effect | None = None

    def answered(self, response: Any) -> Effect:
        """Take the answer to the call, in time or late."""
        status = str(getattr(response, "status", ""))
        if self.effect is not Effect.PENDING:
            pass  # a message that was seen counts more than the answer
        elif status in self.pair.at_once:
            self.effect = Effect.DONE
        elif status not in self.pair.promises or not self._has_what_it_needs(response):
            self.effect = Effect.DECLINED
        elif self.pair.done_with and getattr(response, self.pair.done_with, None) is not None:
            self.effect = Effect.DONE
        else:
            self.promised = True
            self.unanswered()
        return self.effect

    def refused(self) -> Effect:
        """Take a CALLERROR, in time or late."""
        if self.effect is Effect.PENDING:
            self.effect = Effect.DECLINED
        return self.effect

    def unanswered(self) -> Effect:
        """Stop waiting for an answer. The charge point may have carried the command out: its messages will show."""
        self._judged = True
        if self._seen is not None and self.effect is Effect.PENDING:
            self.effect = self._seen
        return self.effect

    def _has_what_it_needs(self, response: Any) -> bool:
        return not self.pair.needs or getattr(response, self.pair.needs, None) is not None

    def message(self, action: str, message: Any) -> bool:
        """Take a message of the charge point; return true if it decides the effect of the command."""
        judge = self.pair.shown_by.get(action)
        if judge is None or message is None or self._seen is not None or self.effect is not Effect.PENDING:
            return False
        self._seen = judge(self.request, message)
        if self._seen is not None and self._judged:
            self.effect = self._seen
        return self._seen is not None

    def is_older(self, message: Any) -> bool:
        """Tell if a message is, by its own clock, from before the call: not a proof, for clocks may be wrong."""
        if not self.pair.dated or self.not_before is None:
            return False
        at = getattr(message, "timestamp", None)
        return at is not None and bool(at < self.not_before)


def show(
    expectations: Sequence[Expectation], action: str, message: Any, received_at: float = math.inf
) -> None:
    """Let the calls that wait, oldest first, see a message of the charge point's.

    Where one message is the effect of one call only, that is the oldest one that was promised, else the oldest; those
    that the message is older than, by its own clock, come behind the others.
    """
    taken = False
    for expectation in sorted(expectations, key=lambda one: (one.is_older(message), not one.promised)):
        if expectation.sent_at <= received_at and not (taken and expectation.pair.each):
            shown = expectation.message(action, message)
            taken = taken or (shown and expectation.pair.each)
