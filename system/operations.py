"""Operations: views of a running system, and actions on its plugins and its spool.

Everything here belongs to the hub's thread.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from ..actors.plugin.cell import PluginCell
from ..actors.session.recorder import recording_of
from ..config.errors import ChargehandError
from ..protocol.session import Registration
from ..supervisor.plugins import PluginSupervisor, ReleasePlugin
from ..supervisor.supervisor import describe
from .cluster_plugins import ClusterPlugins
from .plugin_packages import facts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ..actors.plugin.plugin import Plugin
    from ..actors.plugin.routing import Router
    from ..actors.plugin.spool import Spool
    from ..actors.runtime.cell import Cell
    from ..actors.session.charge_point import ChargePoint
    from ..actors.session.context import SessionContext
    from ..actors.session.directory import Directory
    from ..actors.session.tickets import Ticket, TicketRegistry
    from ..store.store import Receipt, Store
    from ..supervisor.sessions import Sessions

RELEASE_S = 10.0
"""Seconds that the start of a released plugin may take."""

STORE_S = 30.0
"""Seconds that the store has to put dead letters back."""

SPOOL_COUNTED = 10_000
"""Messages in the spool that are counted by plugin."""


class ChargePointConnected(ChargehandError, ValueError):
    """A charge point is connected, and the operation is for one that is offline."""


class RecentFrames(NamedTuple):
    """Rows of a flight recorder since a time, oldest first; `at` of each is in seconds since 1970.

    `next` is where the next ones begin; `missed` is true if some before them may have been dropped.
    """

    rows: list[dict[str, Any]]
    next: float
    missed: bool


class Operations:
    """Views of a running system, and operations on its plugins, its spool and charge points that are offline.

    `plugins_cell` returns the cell of the plugin supervisor; None while there is none.
    """

    def __init__(
        self,
        *,
        store: Store,
        registry: TicketRegistry,
        directory: Directory,
        sessions: Sessions,
        context: SessionContext,
        spool: Spool,
        router: Router,
        plugins_cell: Callable[[], Cell | None],
    ) -> None:
        self._store = store
        self._registry = registry
        self._directory = directory
        self._sessions = sessions
        self._context = context
        self._spool = spool
        self._router = router
        self._clock = context.clock
        self._plugins_cell = plugins_cell

    # -- Views -------------------------------------------------------------------------------

    def charge_points(self) -> Sequence[ChargePoint]:
        """List the charge points that this process knows, connected or not."""
        return [cell.charge_point for cell in self._directory]

    def charge_point(self, charge_point_id: str) -> ChargePoint | None:
        """Return the facts of a charge point; None if it is not known."""
        cell = self._directory.find(charge_point_id)
        return cell.charge_point if cell is not None else None

    def crash_reports(self) -> list[dict[str, object]]:
        """List the last crashes of sessions: charge point, time, error, traceback, and the rows of its recorder."""
        return list(self._context.crash_reports)

    def recording(self, charge_point_id: str) -> str | None:
        """Return the recording of a charge point as lines of JSON, redacted; None if it is not known."""
        cell = self._directory.find(charge_point_id)
        return None if cell is None else recording_of(cell)

    def frames(self, charge_point_id: str, after: float | None) -> RecentFrames | None:
        """Return the rows of a charge point's recorder since a time; None if it is not known, or records nothing."""
        cell = self._directory.find(charge_point_id)
        if cell is None or cell.recorder is None:
            return None
        now = self._clock.monotonic()
        if after is None:
            return RecentFrames([], now, missed=False)
        rows, missed = cell.recorder.since(after)
        offset = self._clock.time() - now
        last = rows[-1]["at"] if rows else after
        return RecentFrames([row | {"at": row["at"] + offset} for row in rows], last, missed)

    def tickets(self, charge_point_id: str = "", *, open_only: bool = False) -> list[Ticket[Any]]:
        """List open tickets and the last ended ones, of one charge point or of all, newest first."""
        return self._registry.tickets(charge_point_id, open_only=open_only)

    # -- Charge points that are offline ---------------------------------------------------------------

    def register(self, charge_point_id: str, status: str) -> Receipt:
        """Register a charge point that is offline as its BootNotification would.

        `status` is Accepted, Pending or Rejected; raises ValueError if it is none of them, and
        `ChargePointConnected` for one that is connected, whose BootNotification decides. OCPP 1.6, 4.2.
        """
        registration = Registration(status)
        cell = self._directory.find(charge_point_id)
        if cell is not None and cell.newest is not None:
            raise ChargePointConnected(f"charge point {charge_point_id} is connected")
        if cell is not None:
            cell.charge_point.registration = cell.session.registration = registration
        return self._store.register(charge_point_id, status)

    def forget(self, charge_point_id: str) -> Receipt:
        """Forget the registration of a charge point that is offline, and end the commands that wait for it.

        Its transactions and other records stay. Raises `ChargePointConnected` for one
        that is connected.
        """
        cell = self._directory.find(charge_point_id)
        if cell is not None and cell.newest is not None:
            raise ChargePointConnected(f"charge point {charge_point_id} is connected")
        if cell is not None:
            self._sessions.let_go(cell)
        return self._store.forget(charge_point_id)

    # -- Plugins -----------------------------------------------------------------------------------

    def open_breakers(self) -> list[tuple[str, str]]:
        """List the pairs (charge point, action) with an open circuit breaker of any plugin."""
        return [pair for row in self.plugins() for pair in row["open_breakers"]]

    def plugins(self) -> list[dict[str, Any]]:
        """List the plugins: their part of the tree, and whether each is `quarantined` or a `shadow`.

        `open_breakers` are pairs (charge point, action). `class` and `version` are those of its package, `settings` its
        own, without secrets.
        """
        supervisor = self._plugin_supervisor()
        return [
            describe(child)
            | {
                "quarantined": child.cell.quarantined,
                "shadow": child.cell.shadow,
                "open_breakers": child.cell.breakers.list_open(),
            }
            | facts_of(child.cell.spec)
            for child in (supervisor.children if supervisor is not None else ())
            if isinstance(child.cell, PluginCell)
        ]

    def spool_by_plugin(self) -> dict[str, int]:
        """Count the first 10,000 messages in the spool by the plugin they wait for. May switch greenlets."""
        found: Any = (
            self._router.passive.get(self._spool.action_of(message))  # type: ignore[arg-type]
            for message in self._store.spooled(limit=SPOOL_COUNTED)
        )
        return Counter(cell.spec.name for cell in found if cell is not None)

    def retry_spooled(self, numbers: Collection[int] | None = None) -> list[int]:
        """Put dead letters, these or all, back into the spool, to be redelivered; return their numbers.

        A transaction goes back as a whole. Switches greenlets until it is durable; raises `StoreError`.
        """
        return self._spool.requeue(numbers, STORE_S)

    def quarantined(self) -> list[dict[str, Any]]:
        """List the plugins in quarantine: name, last crash, number of quarantines."""
        supervisor = self._plugin_supervisor()
        return supervisor.quarantined() if supervisor is not None else []

    def release(self, plugin: str) -> bool:
        """Release a plugin from quarantine; return false if it is in none. Switches greenlets."""
        cell = self._plugins_cell()
        return cell is not None and bool(cell.ref.ask(ReleasePlugin(plugin), timeout=RELEASE_S))

    def promote(self, plugin: str) -> bool:
        """Promote a shadow plugin to answer from now on; return false if there is no such shadow."""
        cell = self.plugin_cell(plugin)
        if cell is None or not cell.shadow:
            return False
        router: Any = self._router
        router.promote(cell)
        return True

    def _plugin_supervisor(self) -> PluginSupervisor | None:
        cell: Any = self._plugins_cell()
        return cell.actor if cell is not None else None

    def cluster_plugin(self, name: str) -> type[Plugin] | None:
        """Return the class of a plugin that runs once among all processes; None if there is none of the name."""
        supervisor = self._plugin_supervisor()
        for child in supervisor.children if supervisor is not None else ():
            actor = getattr(child.cell, "actor", None)
            if isinstance(actor, ClusterPlugins):
                return actor.plugin(name)
        return None

    def plugin_cell(self, name: str) -> PluginCell | None:
        """Find the cell of a plugin by its name; None if there is none."""
        supervisor = self._plugin_supervisor()
        for child in supervisor.children if supervisor is not None else ():
            if child.spec.id == name and isinstance(child.cell, PluginCell):
                return child.cell
        return None
