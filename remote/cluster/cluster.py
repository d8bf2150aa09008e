"""Cluster: the processes that share charge points, as one of them sees it through the coordinator.

A charge point that connects is claimed, and its records are refreshed. A command to a charge point of another node is
forwarded. When another node takes a charge point over, its connection is closed here and waiting commands move.
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Any, Protocol

import gevent
import msgspec
from gevent.event import AsyncResult

from ...actors.session.tickets import Ticket, TicketState
from ...protocol.versions import VERSIONS
from ...store.store import StoreError
from .claims import Claims
from .coordinator import CLIENT, CoordinatorUnavailable
from .forwarded_commands import ForwardedCommands
from .hosted_commands import HostedCommands
from .live_events import EventSource, LiveEvents
from .messages import (
    Ask,
    AskVersions,
    CancelForwarded,
    CommandEnded,
    CommandReturned,
    CommandSent,
    EffectKnown,
    EventHappened,
    Fence,
    ForwardCommand,
    LetGo,
    NodeMessage,
    Reply,
    ReplyPart,
    VersionsSpoken,
    WantEvents,
    decode,
    encode,
)
from .plugin_leases import PREFIX, PluginLeases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ...actors.runtime.timers import Timers
    from ...protocol.actions import Version
    from ...store.store import Store
    from .coordinator import Coordinator

logger = logging.getLogger(__name__)

REFRESH_S = 10.0
"""Seconds that the store has to refresh the records of a charge point that connects."""
ASK_S = 5.0
"""Seconds that another node has to answer a request of the HTTP API."""
ASKS_LIMIT = 100
"""Requests of other nodes that are answered at the same time."""
VERIFY_AGAIN_S = 0.5
PART_BYTES = 200_000
"""Bytes of a reply's body that go into one message; a longer body goes in parts."""
LOOK_S = 1.0
"""Seconds between two looks at which nodes there are."""


class ClusterHost(EventSource, Protocol):
    """System, as its cluster sees it. Everything is called in the hub; nothing blocks."""

    def run(self, ticket: Ticket[Any]) -> bool:
        """Hand a ticket to the session of its charge point; false if that is not connected here."""

    def find_ticket(self, ticket_id: str) -> Ticket[Any] | None:
        """Find a ticket of this node; None if it is unknown."""

    def cancel(self, ticket: Ticket[Any]) -> None:
        """Ask a session not to send a command."""

    def wake(self, charge_point_id: str) -> None:
        """Have a session check its queue again."""

    def fence(self, charge_point_id: str) -> None:
        """Close the connection of a charge point that another node has claimed."""

    def hold(self, ticket: Ticket[Any]) -> None:
        """Persist a ticket that waits for a charge point without a node."""

    def ended(self, ticket: Ticket[Any], *, elsewhere: bool) -> None:
        """Tell those who want to know that a forwarded ticket has its end; `elsewhere` if its node says so."""

    def refused(self, why: str) -> None:
        """Stop: this node may not join those that live."""

    def nodes_changed(self, joined: Iterable[str], left: Iterable[str]) -> None:
        """Tell those who want to know which other nodes have come and gone."""


class Cluster:
    """Cluster, as one of its nodes sees it. The HTTP API sets `answer`, which answers requests of other nodes."""

    def __init__(
        self,
        coordinator: Coordinator,
        timers: Timers,
        store: Store,
        here: ClusterHost,
        versions: Mapping[str, Version] = VERSIONS,
    ) -> None:
        self.coordinator = coordinator
        self.node = coordinator.node
        self.answer: Callable[[Ask], Reply] | None = None
        self._store = store
        self._here = here
        self.claims = Claims(
            coordinator, timers, tell=self.tell, wake=here.wake, lose=self._fence, learn=self._learn
        )
        self.forwarded = ForwardedCommands(self.node, self, timers.clock)
        self.hosted = HostedCommands(self.tell, self._run, here.cancel, versions)
        self._versions = tuple(version.name for version in versions.values())
        self.plugin_leases = PluginLeases(coordinator)
        self.live_events = LiveEvents(here, self.tell, self.others, timers)
        self._timers = timers
        self._known: set[str] | None = None  # other nodes, when last looked at
        self._numbers = itertools.count(1)
        self._asked: dict[str, AsyncResult[Reply]] = {}
        self._parts: dict[str, list[bytes]] = {}  # bodies of replies that are not whole yet
        self._answering = 0
        self._greenlets: set[Any] = set()
        self._stopped = False

    def start(self) -> None:
        """Start; returns at once."""
        self.forwarded.start()
        self.coordinator.start(self)
        self._look()

    def _look(self) -> None:
        """Look which other nodes have come and gone; while this one has no lease it does not know."""
        if self._stopped:
            return
        if self.coordinator.held:
            others, known = set(self.others()), self._known
            if known is not None and others != known:
                for node in known - others:
                    self.live_events.lost(node)
                self._here.nodes_changed(sorted(others - known), sorted(known - others))
            self._known = others
        self._timers.call_at(self._timers.clock.monotonic() + LOOK_S, self._look)

    def stop(self) -> None:
        """Release all claims and stop. Switches greenlets for a moment."""
        self._stopped = True
        self.forwarded.stop()
        gevent.killall(list(self._greenlets))
        self.coordinator.stop()

    def _go(self, function: Callable[..., None], *args: Any) -> None:
        greenlet = gevent.spawn(function, *args)
        self._greenlets.add(greenlet)
        greenlet.rawlink(self._greenlets.discard)

    # -- Charge points that come and go ----------------------------------------------------------

    def admit(self, charge_point_id: str) -> None:
        """Claim a charge point that connects here, and refresh its records. Switches greenlets.

        Raises `StoreError` or TimeoutError if they cannot be read: then it must not be served.
        """
        number = self.claims.claim(charge_point_id)
        if number:
            self._store.refresh(charge_point_id).wait(REFRESH_S)
            self.claims.have_read(charge_point_id, number)

    def went_offline(self, charge_point_id: str, waiting: Iterable[Ticket[Any]]) -> None:
        """Note that a charge point has disconnected; commands that wait for it are forwarded from here."""
        self.claims.release(charge_point_id)
        for ticket in waiting:
            if ticket.id in self.hosted:
                self.hosted.give_back(ticket, "the charge point has left")
            else:
                self.forwarded.submit(ticket)

    def _learn(self, charge_point_id: str) -> None:
        self._store.refresh(charge_point_id).then(
            lambda error: None if error is None else logger.error("%s: %s", charge_point_id, error)
        )

    def _fence(self, charge_point_id: str) -> None:
        self._here.fence(charge_point_id)

    # -- Commands -----------------------------------------------------------------------------------

    def _run(self, ticket: Ticket[Any]) -> bool:
        return self._here.run(ticket)

    def find(self, charge_point_id: str) -> str:
        """Find the node of a charge point, "" if it has none. Switches greenlets. Raises `CoordinatorUnavailable`."""
        return self.coordinator.find(charge_point_id)

    def charge_points(self) -> dict[str, str]:
        """Return the node of each held charge point. Switches greenlets. Raises `CoordinatorUnavailable`."""
        held = self.coordinator.charge_points()
        return {id_: node for id_, node in held.items() if not id_.startswith(PREFIX)}

    def tell(self, node: str, message: NodeMessage) -> None:
        """Send a message to another node. Raises `CoordinatorUnavailable`."""
        self.coordinator.send(node, encode(message))

    def here(self, ticket: Ticket[Any]) -> bool:
        """Hand a ticket to the session of its charge point on this node; return false if there is none."""
        return self._here.run(ticket)

    def hold(self, ticket: Ticket[Any]) -> None:
        """Persist a ticket that waits here for its charge point."""
        self._here.hold(ticket)

    def was_sent(self, ticket: Ticket[Any]) -> bool | None:
        """Return whether a dead node had sent the command; None if unknown. Switches greenlets."""
        if not self._store.durable:
            return None
        try:
            self._store.refresh(ticket.charge_point_id).wait(REFRESH_S)
        except (StoreError, TimeoutError):
            return None
        record = self._store.collections.tickets.get(ticket.id)
        return None if record is None else record.state == TicketState.SENT

    def ended(self, ticket: Ticket[Any], *, elsewhere: bool) -> None:
        """Handle the end of a ticket of ours; with `elsewhere` the node that carried it out reported it."""
        self._here.ended(ticket, elsewhere=elsewhere)

    # -- Messages of other nodes -----------------------------------------------------------------

    def received(self, sender: str, message: bytes) -> None:
        """Handle a message of another node."""
        told = decode(message)
        if isinstance(told, ForwardCommand):
            self._host(sender, told)
        elif isinstance(told, CancelForwarded):
            self.hosted.stop(sender, told)
        elif isinstance(told, AskVersions):
            self._say_versions(sender)
        elif isinstance(told, CommandReturned | CommandSent | CommandEnded | EffectKnown | VersionsSpoken):
            self.forwarded.received(sender, told)
        elif isinstance(told, Fence | LetGo):
            self.claims.received(sender, told)
        elif isinstance(told, Ask):
            self._asked_by(sender, told)
        elif isinstance(told, EventHappened | WantEvents):
            self.live_events.received(sender, told)
        elif isinstance(told, ReplyPart | Reply):
            self._replied(told)
        else:
            logger.warning("node %s has sent an unknown message: %r", sender, message[:100])

    def _replied(self, told: ReplyPart | Reply) -> None:
        if isinstance(told, ReplyPart):
            if told.id in self._asked:
                self._parts.setdefault(told.id, []).append(told.body)
            return
        waiting, parts = self._asked.pop(told.id, None), self._parts.pop(told.id, [])
        if waiting is not None:
            waiting.set(msgspec.structs.replace(told, body=b"".join([*parts, told.body])) if parts else told)

    def _host(self, sender: str, told: ForwardCommand) -> None:
        known = self._here.find_ticket(told.ticket.id)
        if known is not None and known.id not in self.hosted:
            self.hosted.link(sender, known)
        else:
            self.hosted.make(sender, told)

    def _say_versions(self, node: str) -> None:
        try:
            self.tell(node, VersionsSpoken(self._versions))
        except CoordinatorUnavailable as error:
            logger.warning("node %s could not be told which versions of OCPP are spoken: %s", node, error)

    def fenced(self, charge_point_id: str, epoch: int) -> None:
        """Handle the claim of another node with this epoch. May come twice, and for unclaimed charge points."""
        if charge_point_id.startswith(PREFIX):
            self.plugin_leases.fenced(charge_point_id, epoch)
        else:
            self.claims.fenced(charge_point_id, epoch)

    def lost(self, node: str) -> None:
        """Handle the end of another node's lease: it sends no commands any more, forwarded ones are in doubt."""
        logger.warning("node %s is gone", node)
        self.forwarded.lost(node)
        self.hosted.lost(node)
        self.live_events.lost(node)

    def refused(self, why: str) -> None:
        """Handle that this node may not join those that live."""
        self._here.refused(why)

    def lease_changed(self, *, held: bool) -> None:
        """Handle the loss of this node's lease, or its return."""
        if held:
            logger.info("node %s has its lease", self.node)
            self._go(self._verify)
        else:
            self.claims.suspend()
            self.plugin_leases.suspend()
            logger.warning(
                "node %s has lost its lease and sends no commands until it has one again", self.node
            )

    def _verify(self) -> None:
        while self.coordinator.held and not self._stopped:
            try:
                self.claims.verify()
            except CoordinatorUnavailable:
                gevent.sleep(VERIFY_AGAIN_S)
            else:
                self.hosted.send_again()
                return

    # -- The HTTP API of others ------------------------------------------------------------------

    def ask(self, node: str, method: str, path: str, query: str = "", body: bytes = b"") -> Reply | None:
        """Have another node answer a request of the HTTP API; None if it does not. Switches greenlets."""
        return self.ask_all([node], method, path, query, body).get(node)

    def ask_all(
        self,
        nodes: Iterable[str],
        method: str,
        path: str,
        query: str = "",
        body: bytes = b"",
        *,
        timeout_s: float = ASK_S,
    ) -> Mapping[str, Reply]:
        """Have several nodes answer a request; return the replies that came in time, by node."""
        waiting: dict[str, tuple[str, AsyncResult[Reply]]] = {}
        for node in nodes:
            id_ = str(next(self._numbers))
            try:
                self.tell(node, Ask(id_, method, path, query, body))
            except CoordinatorUnavailable:
                continue
            waiting[node] = id_, AsyncResult()
            self._asked[id_] = waiting[node][1]
        gevent.wait([result for _, result in waiting.values()], timeout=timeout_s)
        for id_, _ in waiting.values():
            self._asked.pop(id_, None)
            self._parts.pop(id_, None)
        return {node: reply for node, (_, result) in waiting.items() if (reply := result.value) is not None}

    def nodes(self) -> list[str]:
        """List the nodes that hold charge points, this one included; clients hold none."""
        return sorted(
            {self.node, *(node for node in self.coordinator.nodes() if not node.startswith(CLIENT))}
        )

    def others(self) -> list[str]:
        """List the nodes except this one."""
        return [node for node in self.nodes() if node != self.node]

    def _asked_by(self, sender: str, ask: Ask) -> None:
        if self.answer is None or self._answering >= ASKS_LIMIT:
            return
        self._answering += 1
        self._go(self._answer_to, sender, ask, self.answer)

    def _answer_to(self, sender: str, ask: Ask, answer: Callable[[Ask], Reply]) -> None:
        try:
            reply = answer(ask)
            while len(reply.body) > PART_BYTES:
                self.tell(sender, ReplyPart(ask.id, reply.body[:PART_BYTES]))
                reply = msgspec.structs.replace(reply, body=reply.body[PART_BYTES:])
                gevent.sleep(0)
            self.tell(sender, reply)
        except CoordinatorUnavailable as error:
            logger.warning("the HTTP reply to node %s could not be sent: %s", sender, error)
        finally:
            self._answering -= 1
