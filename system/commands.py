"""Commands: from `system.send` to the session of a charge point, and their tickets."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ..actors.runtime.native_pool import in_hub
from ..actors.runtime.threads import native_thread
from ..actors.session.commands import UnknownVersion, log_end, make_ticket, named, prepare, prepared
from ..actors.session.messages import CancelCommand, SendCommand, TicketEnded
from ..actors.session.tickets import Ticket, TicketState
from ..protocol.errors import InvalidPayload
from ..protocol.verbs import Verb, VerbRefused
from ..protocol.versions import version_named
from ..store.store import StoreError
from .ticket_store import TicketStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..actors.runtime.threads import Inlet
    from ..actors.session.commands import CommandDefaults, PreparedCommand
    from ..actors.session.context import SessionContext
    from ..actors.session.directory import Directory
    from ..actors.session.tickets import TicketRegistry
    from ..protocol.actions import Request, Version
    from ..protocol.message import Message
    from ..store.store import Store
    from ..supervisor.sessions import Sessions
    from .membership import Membership

R = TypeVar("R", bound="Message")


class Commands:
    """Commands of a running system: sends and cancels them, and finds their tickets.

    `peers` is the membership in a cluster; None if this is the only process. Refuses commands before `open` and
    after `close`.
    """

    def __init__(
        self,
        *,
        registry: TicketRegistry,
        directory: Directory,
        sessions: Sessions,
        context: SessionContext,
        limits: CommandDefaults,
        inlet: Inlet,
        versions: Mapping[str, Version],
        store: Store,
        peers: Membership | None = None,
    ) -> None:
        self._registry = registry
        self._directory = directory
        self._sessions = sessions
        self._context = context
        self._clock = context.clock
        self._limits = limits
        self._inlet = inlet
        self._versions = versions
        self._store = store
        self._peers = peers
        self.home = context.scheduler.inlet
        self._open = False

    def open(self) -> None:
        """Take commands from now on, after those that the previous process had not ended."""
        self._open = True
        durable_tickets = self._context.durable_tickets
        # Among several processes, the one that a charge point connects to adopts them: see `Membership.attached`.
        if isinstance(durable_tickets, TicketStore) and self._peers is None:
            for ticket in durable_tickets.restore(self._clock.time()):
                self.adopt(ticket)

    def close(self) -> None:
        """Refuse commands from now on."""
        self._open = False

    def end_all(self, reason: str) -> None:
        """End every ticket; those that the next process will send are detached."""
        durable_tickets, now = self._context.durable_tickets, self._clock.time()
        for ticket in self._registry.open_tickets():
            if self._peers is not None and self._peers.abandon_remote(ticket, now, reason):
                continue
            if durable_tickets is not None and durable_tickets.survives(ticket):
                ticket.detach(now, reason)
            elif ticket.end(TicketState.NEVER_SENT, now, reason):
                log_end(self._context, ticket)

    def version_of(self, charge_point_id: str) -> Version:
        """Find the version of a charge point as it is known here, else the preferred one. Never switches greenlets."""
        cell, stored = self._directory.find(charge_point_id), self._store.registration(charge_point_id)
        name = cell.charge_point.version if cell is not None else stored.version if stored else ""
        return version_named(self._versions, name) or next(iter(self._versions.values()))

    def _versions_for(self, charge_point_id: str) -> Iterable[Version]:
        """Return the version of a charge point; with others if it may have come to another process with one of them."""
        last, cell = self.version_of(charge_point_id), self._directory.find(charge_point_id)
        if self._peers is None or (cell is not None and cell.charge_point.connected):
            return (last,)
        return dict.fromkeys((last, *self._versions.values()))

    def find_version(self, charge_point_id: str, version: str = "") -> Version:
        """Find the version of a command: the given one, else the last of the charge point, at whichever process.

        Of a charge point that has never booted it is the preferred one. May switch greenlets. Raises `UnknownVersion`.
        """
        if version:
            given = version_named(self._versions, version)
            if given is None:
                known = ", ".join(one.name for one in self._versions.values())
                raise UnknownVersion(f"version must be one of: {known}")
            return given
        if native_thread() != self.home.thread:
            found: Version = in_hub(self.home, self.find_version, charge_point_id)
            return found
        cell = self._directory.find(charge_point_id)
        if cell is None or not cell.charge_point.connected:
            with suppress(StoreError):
                stored = self._store.find_registration(charge_point_id)
                last = version_named(self._versions, stored.version) if stored is not None else None
                if last is not None:
                    return last
        return self.version_of(charge_point_id)

    def prepare(
        self, charge_point: str, action: str, payload: bytes, version: str = ""
    ) -> PreparedCommand[Any]:
        """Check a payload in JSON as the request of an action, once, so that `send` can take it."""
        return prepare(self.find_version(charge_point, version), action, payload)

    def send(
        self,
        charge_point: str,
        request: Request[R] | PreparedCommand[R] | Verb,
        *,
        timeout_s: float | None = None,
        when_offline: str = "fail",
        expires_in_s: float | None = None,
        until_effect: bool = False,
        effect_timeout_s: float | None = None,
    ) -> Ticket[R]:
        """Send a request, a prepared command or a verb, as `CommandSender.send` describes."""
        if not self._open:
            raise RuntimeError("the central system is not running")
        if isinstance(request, Verb):
            request = named(request, self._store)
        ticket = make_ticket(
            self._registry.new_id,
            charge_point,
            request,
            limits=self._limits,
            created_at=self._clock.time(),
            cancel=self._cancel,
            home=self.home,
            timeout_s=timeout_s,
            when_offline=when_offline,
            expires_in_s=expires_in_s,
            until_effect=until_effect,
            effect_timeout_s=effect_timeout_s,
            versions=self._versions,
            versions_for=self._versions_for,
        )
        self.in_hub(self._submit, ticket)
        return ticket

    def check(
        self, request: Request[R] | PreparedCommand[R] | Verb, **options: Any
    ) -> PreparedCommand[R] | Verb:
        """Check a request or a verb and its options as `send` would, and return it prepared; nothing is sent.

        A verb is refused if no version of the system has a message for it.
        """
        if not self._open:
            raise RuntimeError("the central system is not running")
        command = request if isinstance(request, Verb) else prepared(request, self._versions)
        defaults = {"timeout_s": None, "when_offline": "fail", "expires_in_s": None}
        given = {**defaults, "until_effect": False, "effect_timeout_s": None, **options}
        *others, last = self._versions.values()
        for version in others:
            try:
                self._check(command, version, given)
            except (VerbRefused, InvalidPayload):
                continue
            return command
        self._check(command, last, given)
        return command

    def _check(
        self, command: PreparedCommand[Any] | Verb, version: Version, options: Mapping[str, Any]
    ) -> None:
        make_ticket(
            lambda: "",
            "",
            command,
            limits=self._limits,
            created_at=self._clock.time(),
            cancel=self._cancel,
            home=self.home,
            versions=self._versions,
            versions_for=lambda _: (version,),
            **options,
        )

    def in_hub(self, function: Callable[[Any], None], argument: Any) -> None:
        """Call a function in the hub's thread: at once in that thread, else soon."""
        if native_thread() == self.home.thread:
            function(argument)
        else:
            self._inlet.put(function, argument)

    def _submit(self, ticket: Ticket[Any]) -> None:
        self._registry.add(ticket)
        if self._peers is not None and self._open and self._peers.submit(ticket):
            return
        cell = self._directory.find(ticket.charge_point_id)
        if cell is None and ticket.when_offline == "queue" and self._open:
            cell = self._sessions.create_offline(ticket.charge_point_id)
        if cell is None or cell.ended or not self._open:
            if ticket.end(TicketState.NEVER_SENT, self._clock.time(), "the charge point is not connected"):
                log_end(self._context, ticket)
            self._context.router.tell_outcome(ticket.action, TicketEnded(ticket))
            self._context.observer.count("ticket_never_sent", ticket.charge_point_id)
            self._context.meter.command_ended(ticket)
            if ticket.effect is not None:
                self._context.observer.count("effect_no_effect", ticket.charge_point_id)
                self._context.meter.effect_known(ticket)
        else:
            if self._context.durable_tickets is not None:
                self._context.durable_tickets.persist(ticket)
            cell.tell(SendCommand(ticket))

    def adopt(self, ticket: Ticket[Any]) -> None:
        """Adopt a command of a process that has ended."""
        ticket.bind(self._cancel, self.home)
        if ticket.open:
            self._submit(ticket)
        else:
            self._registry.add(ticket)
            self._context.router.tell_outcome(ticket.action, TicketEnded(ticket))

    def _cancel(self, ticket: Ticket[Any]) -> None:
        self.in_hub(self.cancel_here, ticket)

    def cancel_here(self, ticket: Ticket[Any]) -> None:
        """Cancel a command that is not on the wire yet. Belongs to the hub's thread."""
        if self._peers is not None and ticket.id in self._peers.cluster.forwarded:
            self._peers.cluster.forwarded.cancel(ticket)
            return
        cell = self._directory.find(ticket.charge_point_id)
        if cell is not None and not cell.ended:
            cell.tell(CancelCommand(ticket))

    def ticket(self, ticket_id: str) -> Ticket[Any] | None:
        """Find a ticket by its id; None if it is unknown, or ended long ago."""
        return self._registry.find(ticket_id)

    def open_tickets(self, charge_point_id: str = "") -> list[Ticket[Any]]:
        """List the open tickets of one charge point, or of all."""
        return [
            ticket
            for ticket in self._registry.open_tickets()
            if not charge_point_id or ticket.charge_point_id == charge_point_id
        ]
