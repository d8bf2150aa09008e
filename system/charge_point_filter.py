"""Choosing charge points: a filter, and the ids that it chooses among all that are known.

The one rule: choosing may take long and switches greenlets; nothing of it is on the way of a message.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import gevent
import msgspec

from ..protocol.actions import BootFacts
from ..protocol.payload import encode
from ..protocol.versions import version_named
from ..remote.cluster.coordinator import CoordinatorUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..actors.session.directory import Directory
    from ..protocol.actions import Version
    from ..remote.cluster.cluster import Cluster
    from ..store.store import Store

AT_A_TIME = 500
"""Charge points looked at before other greenlets have their turn."""
PAGE = 5000
"""Ids that the store is asked for at a time."""
BOOT = "boot"
"""Item of the store under which the last BootNotification of a charge point is."""


class ChargePointFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Choice of charge points: all that are connected, or all that are known, narrowed by patterns.

    Patterns are those of a shell: `*` is any text, `?` any character, `[ab]` one of these. `id` minds the case,
    `vendor` and `model`, which are those of the last BootNotification, do not.
    """

    connected: bool = True
    id: str = ""
    vendor: str = ""
    model: str = ""


class ChargePointChooser:
    """Chooses among the charge points of this process, of its cluster and of the store."""

    def __init__(
        self, directory: Directory, store: Store, versions: Mapping[str, Version], cluster: Cluster | None
    ) -> None:
        self._directory = directory
        self._store = store
        self._versions = versions
        self._cluster = cluster

    def choose(self, wanted: ChargePointFilter) -> list[str]:
        """List the ids that a filter chooses. Switches greenlets.

        Raises `CoordinatorUnavailable` if the other processes of the cluster cannot be asked, and `StoreError`.
        """
        found = []
        for number, id_ in enumerate(self._all(connected=wanted.connected), 1):
            if number % AT_A_TIME == 0:
                gevent.sleep(0)
            if self._matches(id_, wanted):
                found.append(id_)
        return found

    def is_away(self, charge_point_id: str) -> bool:
        """Return whether a charge point is connected nowhere. May switch greenlets."""
        if self._is_online(charge_point_id):
            return False
        try:
            return self._cluster is None or not self._cluster.find(charge_point_id)
        except CoordinatorUnavailable:
            return False

    def _is_online(self, charge_point_id: str) -> bool:
        cell = self._directory.find(charge_point_id)
        return cell is not None and cell.charge_point.online

    def _all(self, *, connected: bool) -> Iterator[str]:
        cells = {cell.charge_point.id: cell.charge_point.online for cell in self._directory}
        ids = dict.fromkeys(id_ for id_, online in cells.items() if online or not connected)
        if self._cluster is not None:
            ids |= dict.fromkeys(self._cluster.charge_points())
        if not connected:
            ids |= dict.fromkeys(registered(self._store))
            ids |= dict.fromkeys(one.charge_point_id for one in self._store.collections.credentials)
        return iter(ids)

    def _matches(self, charge_point_id: str, wanted: ChargePointFilter) -> bool:
        if not alike(charge_point_id, wanted.id, exact=True):
            return False
        if not wanted.vendor and not wanted.model:
            return True
        facts = self._boot_facts(charge_point_id)
        return alike(facts.vendor, wanted.vendor) and alike(facts.model, wanted.model)

    def _boot_facts(self, charge_point_id: str) -> BootFacts:
        cell = self._directory.find(charge_point_id)
        boot = cell.charge_point.boot if cell is not None else None
        if boot is not None:
            version = version_named(self._versions, boot.__action__.version)  # type: ignore[attr-defined]
            return BootFacts() if version is None else version.boot_facts(encode(boot))
        for told in self._store.told(charge_point_id):
            version = version_named(self._versions, told.version)
            if told.item == BOOT and version is not None:
                return version.boot_facts(told.payload)
        return BootFacts()


def registered(store: Store) -> Iterator[str]:
    """Yield the ids of all charge points that are registered in a store. Switches greenlets."""
    found = store.registered_ids(limit=PAGE)
    while found:
        yield from found
        found = store.registered_ids(after=found[-1], limit=PAGE) if len(found) == PAGE else ()


def alike(text: str, pattern: str, *, exact: bool = False) -> bool:
    """Return whether a text matches a pattern of a shell; any does if it is empty. `exact` minds the case."""
    if exact:
        return not pattern or fnmatchcase(text, pattern)
    return not pattern or fnmatchcase(text.casefold(), pattern.casefold())
