"""Local authorisation lists of charge points, brought in step with the tags of the store.

Nothing is sent without a request. The plugin `plugins/accepted_state.py` stores what each charge point is believed to
hold, from the outcome of every SendLocalList.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gevent
import msgspec

from ..actors.runtime.failure import Failure, attempt
from ..actors.session.tickets import TicketState
from ..config.errors import ChargehandError
from ..protocol.device_model import UNLIMITED, MessageLimits
from ..protocol.local_lists import LocalListFacts
from ..protocol.log_fields import about
from ..protocol.payload import encode
from ..protocol.verbs import SyncLocalList

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gevent.pool import Pool

    from ..actors.session.tickets import Ticket
    from ..protocol.actions import Version
    from ..protocol.local_lists import LocalListAdapter
    from ..store.records import LocalList
    from ..store.store import Store

logger = logging.getLogger(__name__)

BELIEVED_S = 5.0
"""Seconds within which the effect of an answer must be in the store."""
LOOK_S = 0.001
AT_A_TIME = 500
"""Tags compared before other greenlets have their turn."""
MESSAGE_BYTES = 200
"""Bytes of a message with a local list beside its entries."""
DIFFERENTIAL, FULL = "Differential", "Full"


class LocalListSyncRunning(ChargehandError):
    """Error: a list is being sent to this charge point already."""


class LocalListsNotSupported(ChargehandError):
    """Error: the charge point's version of OCPP has no way to send a local list."""


@dataclass(frozen=True, slots=True)
class LocalListUpdate:
    """Update that was sent to a charge point to bring its list in step, and its outcome.

    `kind` is "Differential", "Full", or "" if there was nothing to do; `entries` are the tags in it, `version` is what
    the list has when all of it was accepted. `tickets` are the SendLocalLists in their order, those of a first attempt
    too; all have ended. `cache` is the ClearCache, `left_out` how many tags are too long for any list. `in_step` is
    true if the charge point has the tags of the store now, as far as it says.
    """

    charge_point_id: str
    kind: str
    entries: int
    version: int
    tickets: tuple[Ticket[Any], ...] = ()
    cache: Ticket[Any] | None = None
    left_out: int = 0
    in_step: bool = True

    @property
    def update_type(self) -> str:
        """Kind of the update, under the name that it has in messages, over HTTP and on the command line."""
        return self.kind

    @property
    def clear_cache(self) -> Ticket[Any] | None:
        """Ticket of the ClearCache, under the name that it has over HTTP and on the command line."""
        return self.cache


class LocalLists:
    """Local lists of a system's charge points; brings each in step with the tags on request."""

    def __init__(
        self,
        store: Store,
        send: Callable[..., Ticket[Any]],
        version_of: Callable[[str], Version],
        pool: Pool,
        *,
        entry_limit: int,
        limits: Callable[..., MessageLimits] = lambda *_, **__: UNLIMITED,
        known_limits: Callable[[str, str], MessageLimits] = lambda *_: UNLIMITED,
    ) -> None:
        self._store = store
        self._send = send
        self._version_of = version_of
        self._pool = pool
        self._entry_limit = entry_limit
        # What a charge point says of one message of an action: asked if need be, or as far as it is known.
        self._limits = limits
        self._known_limits = known_limits
        self._running: set[str] = set()

    # -- The verb ----------------------------------------------------------------------------------

    def facts(self, charge_point_id: str) -> LocalListFacts:
        """Return what the local list of a charge point is made of."""
        collections = self._store.collections
        believed = collections.local_lists.get(charge_point_id)
        limit, adapter = self._entry_limit, self._version_of(charge_point_id).local_lists
        if adapter is not None:
            limit = _least(limit, self._known_limits(charge_point_id, _action_of(adapter)).items)
        return LocalListFacts(collections.tags, believed, limit)

    def sent(self, ticket: Ticket[Any]) -> None:
        """Send what is left of a list, when the verb that sent a part of it has ended."""
        if ticket.state is TicketState.ANSWERED and ticket.response is not None:
            self._pool.spawn(self._try_to_go_on, ticket)

    def _try_to_go_on(self, ticket: Ticket[Any]) -> None:
        outcome = attempt(self._go_on, ticket)
        if type(outcome) is Failure and not outcome.killed:
            logger.warning(
                "local list of %s: its rest is not sent: %s",
                ticket.charge_point_id,
                outcome.text,
                extra=about(charge_point=ticket.charge_point_id, ticket=ticket.id),
            )

    def _go_on(self, ticket: Ticket[Any]) -> None:
        charge_point_id = ticket.charge_point_id
        version = self._version_of(charge_point_id)
        adapter = version.local_lists
        if adapter is None or ticket.version != version.name or charge_point_id in self._running:
            return  # it has come back with another version, or `push` goes on
        collection = self._store.collections.local_lists
        told = adapter.told_version(ticket.response)
        if told is not None:
            before = collection.get(charge_point_id)
            if told < 0 or (before is not None and before.version == told and before.certain):
                return
            until_believed(lambda: _number_of(collection.get(charge_point_id)) == told)
        else:
            sent = adapter.sent(msgspec.json.decode(ticket.payload))
            until_believed(lambda: _last_sent_of(collection.get(charge_point_id)) >= sent.version)
            known = collection.get(charge_point_id)
            if adapter.accepted(ticket.response):
                if len(sent.entries) < self.facts(charge_point_id).entry_limit:
                    return  # it was all of it
                if known is None or not known.certain:
                    logger.warning(
                        "local list of %s: its contents are not known; no more is sent",
                        charge_point_id,
                        extra=about(charge_point=charge_point_id),
                    )
                    return
            elif not self._was_too_long(ticket, len(sent.entries)) and (
                sent.full or not adapter.full_helps(ticket.response)
            ):
                return
        if adapter.next_update(version.name, self.facts(charge_point_id), full=False) is not None:
            self._send(charge_point_id, SyncLocalList(), timeout_s=ticket.timeout_s)

    def _was_too_long(self, ticket: Ticket[Any], entries: int) -> bool:
        """Return whether a list that was refused had more entries than the charge point takes, as it says when asked.

        The question is put once in a connection, so that the next list is not too long.
        """
        known = self._known_limits(ticket.charge_point_id, ticket.action).items
        said = self._limits(ticket.charge_point_id, ticket.action, timeout_s=ticket.timeout_s).items
        return known is None and said is not None and entries > said

    # -- The whole course ----------------------------------------------------------------------------

    def push(
        self,
        charge_point_id: str,
        *,
        full: bool = False,
        clear_cache: bool = False,
        local_list_limit: int | None = None,
        timeout_s: float | None = None,
    ) -> LocalListUpdate:
        """Bring the local list of a charge point in step with the tags; return the outcome. Switches greenlets.

        A list that is known for certain gets a Differential, unless the whole is less; any other, or one that has
        refused its Differential, a Full. More than `local_list_limit` tags (by default that of the settings), or more
        than the charge point says that it takes, are sent in parts. With `clear_cache` the authorisation cache is
        cleared too. `timeout_s` is for each answer.
        Raises `LocalListSyncRunning` if one is sent already, `LocalListsNotSupported` if its version of OCPP has no
        such list, ValueError for a limit or a time that is not above 0, and RuntimeError if the central system does
        not run.
        """
        limit = self._entry_limit if local_list_limit is None else local_list_limit
        if limit < 1:
            raise ValueError(f"local_list_limit must be at least 1, not {limit}")
        if charge_point_id in self._running:
            raise LocalListSyncRunning(f"a local list is being sent to {charge_point_id} already")
        version = self._version_of(charge_point_id)
        adapter = version.local_lists
        if adapter is None:
            raise LocalListsNotSupported(
                f"{charge_point_id}: OCPP {version.name} has no adapter for local lists"
            )
        self._running.add(charge_point_id)
        try:
            said = self._limits(charge_point_id, _action_of(adapter), timeout_s=timeout_s)
            limits = MessageLimits(_least(limit, said.items), said.size_bytes)
            sync = _Sync(self._store, self._send, version.name, adapter, charge_point_id, limits, timeout_s)
            return sync.run(full=full, clear_cache=clear_cache)
        finally:
            self._running.discard(charge_point_id)


class _Sync:
    """Synchronization of one charge point's list."""

    def __init__(
        self,
        store: Store,
        send: Callable[..., Ticket[Any]],
        ocpp: str,
        adapter: LocalListAdapter,
        charge_point_id: str,
        limits: MessageLimits,
        timeout_s: float | None,
    ) -> None:
        self._store = store
        self._send_command = send
        self._ocpp = ocpp
        self._adapter = adapter
        self._charge_point_id = charge_point_id
        self._limits = limits
        self._timeout_s = timeout_s
        self._tickets: list[Ticket[Any]] = []

    @property
    def _believed(self) -> LocalList | None:
        return self._store.collections.local_lists.get(self._charge_point_id)

    def run(self, *, full: bool, clear_cache: bool) -> LocalListUpdate:
        """Send the list, and return the outcome."""
        tags = list(self._store.collections.tags)
        adapter, believed = self._adapter, self._believed
        whole = adapter.whole(tags, _in_turns)
        changes = None
        if not full and believed is not None and believed.certain and believed.ocpp == self._ocpp:
            changes = [
                entry for entry in _in_turns(adapter.changes(believed.tags, whole)) if entry is not None
            ]
        version = believed.version if believed is not None else 0
        kind, entries = "", whole
        if changes is None or version < 0 or len(changes) > len(whole):
            kind = FULL
        elif changes:
            kind, entries = DIFFERENTIAL, changes
        else:
            entries = []
        if kind:
            version = self._send(entries, full=kind == FULL)
        if kind == DIFFERENTIAL and self._full_helps():
            kind, entries = FULL, whole
            version = self._send(entries, full=True)
        return LocalListUpdate(
            charge_point_id=self._charge_point_id,
            kind=kind,
            entries=len(entries),
            version=version,
            tickets=tuple(self._tickets),
            cache=self._clear_cache() if clear_cache else None,
            left_out=sum(not adapter.fits(tag) for tag in tags),
            in_step=not self._tickets or self._accepted(),
        )

    def _send(self, entries: Sequence[Any], *, full: bool) -> int:
        """Send entries in parts, each with a version of its own, up to the first that is not accepted."""
        believed = self._believed
        version = max(believed.last_sent, believed.version, 0) if believed is not None else 0
        for number, part in enumerate(self._parts(entries)):
            version += 1
            # The parts after the first of a full list add to it.
            request = self._adapter.update(version, part, full and not number)
            ticket = self._send_command(self._charge_point_id, request, timeout_s=self._timeout_s)
            self._tickets.append(ticket)
            ticket.wait()
            if ticket.sent_at is not None:
                until_believed(lambda: _last_sent_of(self._believed) >= version)  # noqa: B023 - waited for here
            if not self._accepted():
                break
        return version

    def _parts(self, entries: Sequence[Any]) -> Iterator[Sequence[Any]]:
        """Yield entries in parts, each of which fits into one message; none at all are one empty part."""
        most, most_bytes = self._limits.items or len(entries) or 1, self._limits.size_bytes
        start = size = 0
        for place, entry in enumerate(_in_turns(entries)):
            more = 0 if most_bytes is None else len(encode(entry)) + 1
            full = most_bytes is not None and size + more > most_bytes - MESSAGE_BYTES
            if place > start and (place - start >= most or full):
                yield entries[start:place]
                start, size = place, 0
            size += more
        yield entries[start:]

    def _accepted(self) -> bool:
        """Return whether the last list was accepted."""
        ticket = self._tickets[-1]
        return _usable(ticket) and self._adapter.accepted(ticket.response)

    def _full_helps(self) -> bool:
        """Return whether a full list may be accepted where the last one was not."""
        ticket = self._tickets[-1]
        return _usable(ticket) and self._adapter.full_helps(ticket.response)

    def _clear_cache(self) -> Ticket[Any]:
        ticket = self._send_command(
            self._charge_point_id, self._adapter.clear_cache(), timeout_s=self._timeout_s
        )
        ticket.wait()
        return ticket


def _action_of(adapter: LocalListAdapter) -> str:
    """Return the action that sends a list."""
    return adapter.update(1, (), True).__action__.name  # noqa: FBT003 - a column of the table


def _least(limit: int, other: int | None) -> int:
    return limit if other is None else max(min(limit, other), 1)


def _in_turns(entries: Iterable[Any]) -> Iterator[Any]:
    """Yield the entries, and let other greenlets run now and then."""
    for number, entry in enumerate(entries, 1):
        yield entry
        if number % AT_A_TIME == 0:
            gevent.sleep(0)


def until_believed(there: Callable[[], bool]) -> None:
    """Wait until the plugin has stored the outcome, which the next list is compared with."""
    for _ in range(round(BELIEVED_S / LOOK_S)):
        if there():
            return
        gevent.sleep(LOOK_S)


def _number_of(believed: LocalList | None) -> int:
    return 0 if believed is None else believed.version


def _last_sent_of(believed: LocalList | None) -> int:
    return 0 if believed is None else believed.last_sent


def _usable(ticket: Ticket[Any]) -> bool:
    """Return whether a ticket was answered with a valid response."""
    return ticket.state is TicketState.ANSWERED and ticket.response is not None
