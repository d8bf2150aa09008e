"""Commands, sent all the time, each with a token of its own that only its own response may carry.

Rule: every ticket is kept, with the first final state that it was seen in.
"""

import contextlib
import random
import threading
import time
from dataclasses import dataclass
from typing import Any

import gevent
from dialects import VENDOR, Dialect
from fleet import Fleet, Member
from gevent.pool import Pool

from chargehand import CentralSystem, Ticket, TicketState

TIMEOUT_S = 0.5
EFFECT_S = 1.0
THREAD_PAUSE_S = 0.02
BURST_CHANCE = 0.02
BURST = ("echo", "supersede", "supersede", "cancel", "key", "queue")
"""Kinds of the commands that are sent together, so that some of them must wait."""


@dataclass(slots=True)
class Issue:
    """Command with its ticket. `ended` is the first final state that was seen, and its time."""

    ticket: Ticket[Any]
    token: str
    kind: str
    dialect: Dialect
    ended: tuple[TicketState, float | None] | None = None

    def follow(self) -> None:
        """Wait for the end of the ticket, and note it."""
        self.ticket.wait()
        self.ended = (self.ticket.state, self.ticket.ended_at)

    @property
    def token_seen(self) -> str:
        """Return the token in the response or in a late answer; the command's own token if there is neither."""
        found = self.dialect.token_in(self.ticket.response or self.ticket.late_answer)
        return self.token if found is None else found


class Commander:
    """Sends `rate` commands a second to random charge points, from greenlets and from one native thread."""

    def __init__(self, system: CentralSystem, fleet: Fleet, seed: int, rate: float) -> None:
        self.issues: list[Issue] = []
        self._system = system
        self._fleet = fleet
        self._rate = rate
        self._dice = random.Random(f"{seed}-commander")
        self._thread_dice = random.Random(f"{seed}-thread")
        self._followers = Pool()
        self._stopping = False
        self._sender: gevent.Greenlet[..., None] | None = None
        self._thread = threading.Thread(target=self._from_a_thread)

    def begin(self) -> None:
        """Start to send."""
        self._sender = gevent.spawn(self._send_on)
        self._thread.start()

    def end(self) -> None:
        """Stop sending."""
        self._stopping = True
        if self._sender is not None:
            self._sender.join()
        while self._thread.is_alive():  # a join would block the hub, which the thread waits for
            gevent.sleep(0.01)

    def wait(self, timeout_s: float) -> None:
        """Wait until every ticket has ended, at most `timeout_s`; followers that still wait then are ended."""
        self._followers.join(timeout_s)
        self._followers.kill()

    def _send_on(self) -> None:
        while not self._stopping:
            gevent.sleep(self._dice.expovariate(self._rate))
            member = self._dice.choice(self._fleet.members)
            if self._dice.random() < BURST_CHANCE:
                for kind in BURST:
                    self.send(member, kind)
            else:
                self.send(member)

    def send(self, member: Member, kind: str = "") -> Issue:
        """Send a command of the given kind, or of a random one."""
        dice = self._dice
        token = f"{member.identity}/{len(self.issues)}"
        kinds = ["echo"] * 8 + ["key"] * 4 + ["supersede", "effect", "cancel", "queue"]
        kinds += [] if member.untouched else ["reset"] * (dice.random() < 0.2)
        kind = kind or dice.choice(kinds)
        dialect = member.dialect
        request = dialect.data(VENDOR, token)
        options: dict[str, Any] = {"timeout_s": TIMEOUT_S}
        if kind == "key":
            request = dialect.read(token)
        elif kind == "supersede":
            request = dialect.write(token)
        elif kind == "effect":
            request = dialect.trigger()
            options |= {"until_effect": True, "effect_timeout_s": EFFECT_S}
        elif kind == "queue":
            options |= {"when_offline": "queue", "expires_in_s": 1.0}
        elif kind == "reset":
            request = dialect.reset()
        issue = Issue(self._system.send(member.identity, request, **options), token, kind, dialect)
        self.issues.append(issue)
        self._followers.spawn(issue.follow)
        if kind == "cancel":
            issue.ticket.cancel()
        return issue

    def _from_a_thread(self) -> None:
        number = 0
        while not self._stopping:
            number += 1
            member = self._thread_dice.choice(self._fleet.members)
            token = f"{member.identity}/thread-{number}"
            request = member.dialect.data(VENDOR, token)
            ticket = self._system.send(member.identity, request, timeout_s=TIMEOUT_S)
            issue = Issue(ticket, token, "from a thread", member.dialect)
            self.issues.append(issue)
            with contextlib.suppress(TimeoutError):
                issue.follow()
            time.sleep(THREAD_PAUSE_S)
