"""Commands to charge points from any process, over Redis: `Client(url).send("CP1", v16.Reset(type="Soft")).result()`.

A client holds no charge point. Its tickets are those of `CentralSystem.send`: each ends in exactly one state.
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any, Self, TypeVar

from gevent.event import Event

from ...actors.plugin.plugin_system import PluginSystem
from ...actors.runtime.threads import Inlet, native_thread
from ...actors.runtime.timers import SystemClock
from ...actors.session.commands import CommandDefaults, make_ticket
from ...actors.session.tickets import Ticket, TicketState
from ...protocol.versions import VERSIONS
from ..redis.address import Address, process_name
from .coordinator import CLIENT, CoordinatorUnavailable
from .forwarded_commands import ForwardedCommands
from .messages import (
    CommandEnded,
    CommandReturned,
    CommandSent,
    EffectKnown,
    NodeMessage,
    VersionsSpoken,
    decode,
    encode,
)
from .redis_coordinator import RedisCoordinator

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...protocol.message import Message as Payload
    from .coordinator import Coordinator

R = TypeVar("R", bound="Payload")

CONNECT_S = 5.0
LIMITS = CommandDefaults(timeout_s=60.0, expires_in_s=86400.0, effect_timeout_s=300.0)
"""Default timeouts of a command, as in the settings of a central system."""
OPEN_LIMIT = 10_000
"""Commands that may be open at the same time."""


class Client(PluginSystem):
    """Sender of commands from a process without charge points. Use it with `with`, or `start` and `stop` it.

    `url`, `prefix` and `secret` are those of the nodes (`redis.url`, `redis.prefix`, `redis.secret`). It belongs to the
    hub, so to the native thread, that starts it; `send` and the methods of tickets may be used from any thread. Raises
    `AddressError` for a wrong URL.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "chargehand",
        secret: str = "",
        limits: CommandDefaults = LIMITS,
        coordinator: Coordinator | None = None,
    ) -> None:
        name = CLIENT + process_name()
        self._clock = SystemClock()
        self._coordinator = coordinator or RedisCoordinator(
            Address(url), prefix, name, self._clock, secret=secret
        )
        self._limits = limits
        self._numbers = itertools.count(1)
        self._prefix = os.urandom(4).hex()
        self._tickets: dict[str, Ticket[Any]] = {}
        self._forwarded = ForwardedCommands(self._coordinator.node, self, self._clock)
        self._running = False
        self._leased = Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Connect; switches greenlets. Raises `CoordinatorUnavailable` if Redis is not there within five seconds."""
        self._thread = native_thread()
        self._inlet = Inlet()
        self._running = True
        self._forwarded.start()
        self._leased.clear()
        self._coordinator.start(self)
        if not self._coordinator.held and not self._leased.wait(CONNECT_S):
            self.stop()
            raise CoordinatorUnavailable(f"no node or Redis has answered within {CONNECT_S:g} s")

    def stop(self) -> None:
        """Stop; commands that a node has are carried out, but end here as `outcome_unknown`."""
        if not self._running:
            return
        self._running = False
        for ticket in list(self._tickets.values()):
            away = self._forwarded.is_away(ticket)
            state = TicketState.OUTCOME_UNKNOWN if away else TicketState.NEVER_SENT
            ticket.end(state, self._clock.time(), "the client has stopped")
        self._tickets.clear()
        self._forwarded.stop()
        self._coordinator.stop()
        self._inlet.close()

    def _send(
        self,
        charge_point: str,
        request: Any,
        *,
        timeout_s: float | None = None,
        when_offline: str = "fail",
        expires_in_s: float | None = None,
        until_effect: bool = False,
        effect_timeout_s: float | None = None,
    ) -> Ticket[Any]:
        if not self._running:
            raise RuntimeError("the client is not started")
        if len(self._tickets) >= OPEN_LIMIT:
            raise RuntimeError(f"{OPEN_LIMIT} calls are open")
        ticket: Ticket[Any] = make_ticket(
            self._new_id,
            charge_point,
            request,
            limits=self._limits,
            created_at=self._clock.time(),
            cancel=lambda ticket: self._in_hub(self._forwarded.cancel, ticket),
            home=self._inlet,
            timeout_s=timeout_s,
            when_offline=when_offline,
            expires_in_s=expires_in_s,
            until_effect=until_effect,
            effect_timeout_s=effect_timeout_s,
            versions_for=lambda _: VERSIONS.values(),  # which one it speaks is not known here
        )
        self._tickets[ticket.id] = ticket
        self._in_hub(self._forwarded.submit, ticket)
        return ticket

    def _new_id(self) -> str:
        return f"{self._prefix}-{next(self._numbers)}"

    def _in_hub(self, function: Callable[[Any], None], argument: Any) -> None:
        if native_thread() == self._thread:
            function(argument)
        else:
            self._inlet.put(function, argument)

    # -- For forwarded commands --------------------------------------------------------------------

    def find(self, charge_point_id: str) -> str:
        """Find the node that holds a charge point, or "". Switches greenlets. Raises `CoordinatorUnavailable`."""
        return self._coordinator.find(charge_point_id)

    def tell(self, node: str, message: NodeMessage) -> None:
        """Tell another node. Raises `CoordinatorUnavailable`."""
        self._coordinator.send(node, encode(message))

    def here(self, _ticket: Ticket[Any]) -> bool:
        """Return false: a client holds no charge points."""
        return False

    def hold(self, ticket: Ticket[Any]) -> None:
        """Keep a ticket that waits here for its charge point, should this process end. Nothing outlives a client."""

    def was_sent(self, _ticket: Ticket[Any]) -> bool | None:
        """Return whether a dead node had sent the command; None if unknown. Switches greenlets."""
        return None

    def ended(self, ticket: Ticket[Any], *, elsewhere: bool) -> None:  # noqa: ARG002 - no plugins here
        """Handle that a ticket of ours has ended, or its effect."""
        self._tickets.pop(ticket.id, None)

    # -- News of other nodes -----------------------------------------------------------------------

    def received(self, sender: str, message: bytes) -> None:
        """Another node has sent a message."""
        told = decode(message)
        if isinstance(told, CommandReturned | CommandSent | CommandEnded | EffectKnown | VersionsSpoken):
            self._forwarded.received(sender, told)

    def fenced(self, charge_point_id: str, epoch: int) -> None:
        """Another node has claimed a charge point with this epoch.

        May come twice, and for one that is not ours. Nothing is held here.
        """

    def lost(self, node: str) -> None:
        """Handle the end of another node's lease: messages sent to it may be lost."""
        self._forwarded.lost(node)

    def refused(self, why: str) -> None:
        """Handle that no node can be asked: the coordinator has logged why, and every command ends with it."""

    def lease_changed(self, *, held: bool) -> None:
        """Ours was lost, or is there (again). Nothing is claimed here."""
        if held:
            self._leased.set()
