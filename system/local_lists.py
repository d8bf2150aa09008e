"""The local authorisation lists of charge points, brought in step with the tags of the store. OCPP 1.6, 3.5 and 5.15.

Nothing is sent unless somebody asks for it. What a charge point is believed to hold is kept by the plugin that hears
how each SendLocalList ended (`plugins/accepted_state.py`), whoever has sent it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gevent
import msgspec

from ..actors.session.tickets import TicketState
from ..config.errors import ChargehandError
from ..protocol import payload, v16

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..actors.session.tickets import Ticket
    from ..store.records import LocalList, Tag
    from ..store.store import Store
    from .commands import Commands

BELIEVED_S = 5.0
"""Seconds that may pass until what an answer says is in the store."""
LOOK_S = 0.001
AT_A_TIME = 500
"""Tags compared before other greenlets have their turn."""
LONGEST = 20
"""Characters of an id tag; a longer one has no place in a list (OCPP 1.6, 7.28)."""

Status = v16.UpdateStatus
HELPED_BY_FULL = frozenset({Status.FAILED, Status.VERSION_MISMATCH})


class LocalListSyncRunning(ChargehandError):
    """A list is being sent to this charge point already."""


@dataclass(frozen=True, slots=True)
class LocalListUpdate:
    """Update that was sent to a charge point to bring its list in step, and its outcome.

    `kind` is "Differential", "Full", or "" if there was nothing to do; `entries` are the tags in it, `version` is what
    the list has when all of it was accepted. `tickets` are the SendLocalLists in their order, those of a first attempt
    too; all have ended. `cache` is the ClearCache, `left_out` how many tags are too long for any list.
    """

    charge_point_id: str
    kind: str
    entries: int
    version: int
    tickets: tuple[Ticket[v16.SendLocalListResponse], ...] = ()
    cache: Ticket[v16.ClearCacheResponse] | None = None
    left_out: int = 0

    @property
    def in_step(self) -> bool:
        """True if the charge point has the tags of the store now, as far as it says."""
        return not self.tickets or _status(self.tickets[-1]) == Status.ACCEPTED


class LocalLists:
    """The local lists of a system's charge points: brings each in step with the tags when asked to."""

    def __init__(self, store: Store, commands: Commands, *, entry_limit: int) -> None:
        self._store = store
        self._commands = commands
        self._entry_limit = entry_limit
        self._running: set[str] = set()

    def sync(
        self,
        charge_point_id: str,
        *,
        full: bool = False,
        clear_cache: bool = False,
        local_list_limit: int | None = None,
        timeout_s: float | None = None,
    ) -> LocalListUpdate:
        """Send a charge point what its local list lacks, and return what became of it; switches greenlets.

        A list that is known for certain gets a Differential, unless the whole is less; any other, or one that has
        refused its Differential, a Full. More than `local_list_limit` tags (by default that of the settings) are sent
        in parts. With `clear_cache` the authorisation cache is cleared too. `timeout_s` is for each answer.
        Raises `LocalListSyncRunning` if one is sent already, ValueError for a limit or a time that is not above 0, and
        RuntimeError if the central system does not run.
        """
        limit = self._entry_limit if local_list_limit is None else local_list_limit
        if limit < 1:
            raise ValueError(f"local_list_limit must be at least 1, not {limit}")
        if charge_point_id in self._running:
            raise LocalListSyncRunning(f"a list is on its way to {charge_point_id} already")
        self._running.add(charge_point_id)
        try:
            sync = _Sync(self._store, self._commands, charge_point_id, limit, timeout_s)
            return sync.run(full=full, clear_cache=clear_cache)
        finally:
            self._running.discard(charge_point_id)


class _Sync:
    """The synchronization of one charge point's list."""

    def __init__(
        self, store: Store, commands: Commands, charge_point_id: str, limit: int, timeout_s: float | None
    ) -> None:
        self._store = store
        self._commands = commands
        self._charge_point_id = charge_point_id
        self._limit = limit
        self._timeout_s = timeout_s
        self._tickets: list[Ticket[v16.SendLocalListResponse]] = []

    @property
    def _believed(self) -> LocalList | None:
        return self._store.collections.local_lists.get(self._charge_point_id)

    def run(self, *, full: bool, clear_cache: bool) -> LocalListUpdate:
        """Send the list, and return what became of it."""
        tags = list(self._store.collections.tags)
        wanted = [tag for tag in tags if max(len(tag.id_tag), len(tag.parent)) <= LONGEST]
        whole = _entries(wanted)
        believed = self._believed
        changes = None if full or believed is None or not believed.certain else _changes(believed, whole)
        version = believed.version if believed is not None else 0
        kind, entries = "", whole
        if changes is None or version < 0 or len(changes) > len(whole):
            kind = v16.UpdateType.FULL
        elif changes:
            kind, entries = v16.UpdateType.DIFFERENTIAL, changes
        else:
            entries = []
        if kind:
            version = self._send(kind, entries)
        if kind == v16.UpdateType.DIFFERENTIAL and _status(self._tickets[-1]) in HELPED_BY_FULL:
            kind, entries = v16.UpdateType.FULL, whole
            version = self._send(kind, entries)
        return LocalListUpdate(
            charge_point_id=self._charge_point_id,
            kind=str(kind),
            entries=len(entries),
            version=version,
            tickets=tuple(self._tickets),
            cache=self._clear_cache() if clear_cache else None,
            left_out=len(tags) - len(wanted),
        )

    def _send(self, kind: str, entries: Sequence[v16.AuthorizationData]) -> int:
        """Send entries in parts, each with a version of its own, up to the first that is not accepted."""
        believed = self._believed
        version = max(believed.last_sent, believed.version, 0) if believed is not None else 0
        for start in range(0, max(len(entries), 1), self._limit):
            version += 1
            part = tuple(entries[start : start + self._limit])
            request = v16.SendLocalList(
                list_version=version,
                local_authorization_list=part or None,
                # What follows the first part of a full list adds to it.
                update_type=v16.UpdateType.DIFFERENTIAL if start else v16.UpdateType(kind),
            )
            ticket = self._commands.send(self._charge_point_id, request, timeout_s=self._timeout_s)
            self._tickets.append(ticket)
            ticket.wait()
            if ticket.sent_at is not None:
                self._until_believed(version)
            if _status(ticket) != Status.ACCEPTED:
                break
        return version

    def _until_believed(self, version: int) -> None:
        """Wait until the plugin has heard of it, or the next list would be compared with what was before."""
        for _ in range(round(BELIEVED_S / LOOK_S)):
            believed = self._believed
            if believed is not None and believed.last_sent >= version:
                return
            gevent.sleep(LOOK_S)

    def _clear_cache(self) -> Ticket[v16.ClearCacheResponse]:
        ticket = self._commands.send(self._charge_point_id, v16.ClearCache(), timeout_s=self._timeout_s)
        ticket.wait()
        return ticket


def _entries(tags: Sequence[Tag]) -> list[v16.AuthorizationData]:
    entries = []
    for number, tag in enumerate(tags, 1):
        info = v16.IdTagInfo(
            status=v16.AuthorizationStatus(tag.status),
            expiry_date=tag.expiry,
            parent_id_tag=tag.parent or None,
        )
        entries.append(v16.AuthorizationData(id_tag=tag.id_tag, id_tag_info=info))
        if number % AT_A_TIME == 0:
            gevent.sleep(0)
    return entries


def _changes(believed: LocalList, whole: Sequence[v16.AuthorizationData]) -> list[v16.AuthorizationData]:
    """List the changes to a full list. Id tags are compared without case, and keep the spelling they have there."""
    there = {id_tag.lower(): id_tag for id_tag in believed.tags}
    changes = []
    for number, entry in enumerate(whole, 1):
        spelled = there.pop(entry.id_tag.lower(), None)
        if spelled is None:
            changes.append(entry)
        elif _wire(entry.id_tag_info) != believed.tags[spelled]:
            changes.append(v16.AuthorizationData(id_tag=spelled, id_tag_info=entry.id_tag_info))
        if number % AT_A_TIME == 0:
            gevent.sleep(0)
    return [*changes, *(v16.AuthorizationData(id_tag=id_tag) for id_tag in there.values())]


def _wire(info: Any) -> dict[str, Any]:
    """As it is sent, which is how lists are kept."""
    sent: dict[str, Any] = msgspec.json.decode(payload.encode(info))
    return sent


def _status(ticket: Ticket[v16.SendLocalListResponse]) -> str:
    answered = ticket.state is TicketState.ANSWERED and ticket.response is not None
    return str(ticket.response.status) if answered and ticket.response is not None else ""
