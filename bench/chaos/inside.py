"""Access to the inside of a running system, to hurt it or to look at state that no caller can see.

Rule: no function here repairs anything.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gevent
from pykka.messages import ProxyCall

from chargehand import CentralSystem
from chargehand.actors.plugin.cell import PluginCell
from chargehand.actors.runtime.cell import CellPhase
from chargehand.actors.session.cell import ChargePointCell

FOR_EVER_S = 3600.0
LOOK_S = 0.01


class Bomb:
    """Arguments of a proxy call that raise an error when they are unpacked."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __iter__(self) -> Any:
        raise self.error


class Trap(dict):  # type: ignore[type-arg]
    """Table of a session's unanswered CALLs that raises once, when the call of the next one is entered."""

    def __init__(self, calls: dict[Any, Any], error: BaseException) -> None:
        super().__init__(calls)
        self.error: BaseException | None = error

    def __setitem__(self, key: Any, value: Any) -> None:
        if value is not None:
            error, self.error = self.error, None
            if error is not None:
                raise error
        super().__setitem__(key, value)


class Hang:
    """Arguments of a proxy call that block for ever when they are unpacked."""

    def __init__(self, cell: ChargePointCell) -> None:
        self.message = ProxyCall(attr_path=("on_receive",), args=self, kwargs={})  # type: ignore[arg-type]
        self.begun_at: float | None = None
        self._cell = cell

    def __iter__(self) -> Any:
        self.begun_at = time.monotonic()
        gevent.sleep(FOR_EVER_S)

    @property
    def over(self) -> bool:
        """Tell if the session is at work again or was given up."""
        cell = self._cell
        return cell.ended or (cell.phase is CellPhase.RUNNING and cell.current_message is not self.message)


@dataclass(frozen=True, slots=True)
class Hung:
    """Session that was made to hang, and the seconds until it was at work again; None if not in time."""

    identity: str
    over_after_s: float | None


class Inside:
    """Access to the cells, the inboxes and the spool of one central system."""

    def __init__(self, system: CentralSystem, hang_limit_s: float) -> None:
        self.hang_limit_s = hang_limit_s
        self.hung: list[Hung] = []
        self._system = system

    # -- Sessions --------------------------------------------------------------------------------

    def session(self, charge_point_id: str) -> ChargePointCell | None:
        """The cell of a charge point; None if there is none now."""
        return self._system._parts.directory.find(charge_point_id)  # noqa: SLF001 - see the head of this file

    def tell_bomb(self, charge_point_id: str, error: BaseException) -> bool:
        """Make the session raise while it handles a message without an owner."""
        cell = self.session(charge_point_id)
        if cell is None or cell.ended:
            return False
        cell.tell(ProxyCall(attr_path=("on_receive",), args=Bomb(error), kwargs={}))
        return True

    def hang_session(self, charge_point_id: str) -> None:
        """Make the session hang while it handles a message without an owner; note how long it hangs."""
        cell = self.session(charge_point_id)
        if cell is None or cell.ended:
            return
        hang = Hang(cell)
        cell.tell(hang.message)
        ends_at = time.monotonic() + self.hang_limit_s
        while hang.begun_at is None and time.monotonic() < ends_at:
            gevent.sleep(LOOK_S)
        if hang.begun_at is None:
            return  # the session ended before it handled the message
        while not hang.over and time.monotonic() < hang.begun_at + self.hang_limit_s:
            gevent.sleep(LOOK_S)
        self.hung.append(Hung(charge_point_id, time.monotonic() - hang.begun_at if hang.over else None))

    @contextlib.contextmanager
    def hangs_left_alone(self) -> Iterator[None]:
        """Turn off the check for sessions that hang, for a while."""
        root: Any = self._system._root  # noqa: SLF001
        sessions = root.actor.children[1].cell.actor
        sessions._look = lambda: None  # noqa: SLF001
        try:
            yield
        finally:
            del sessions._look  # noqa: SLF001
            sessions._look_again()  # noqa: SLF001

    def set_trap(self, charge_point_id: str, error: BaseException) -> bool:
        """Make the session raise while it handles the next CALL of its charge point."""
        cell = self.session(charge_point_id)
        if cell is None or cell.ended:
            return False
        cell.session.incoming = Trap(cell.session.incoming, error)
        return True

    def disarm(self, charge_point_id: str) -> None:
        """Remove a trap."""
        cell = self.session(charge_point_id)
        if cell is not None and isinstance(cell.session.incoming, Trap):
            cell.session.incoming = dict(cell.session.incoming)

    def kill_session(self, charge_point_id: str) -> bool:
        """Kill the session's actor while it is idle."""
        cell = self.session(charge_point_id)
        if cell is None or cell.phase is not CellPhase.RUNNING:
            return False
        cell.kill()
        return True

    # -- Plugins ---------------------------------------------------------------------------------

    def plugin(self, name: str) -> PluginCell | None:
        """Return the cell of a plugin."""
        return self._system._parts.operations.plugin_cell(name)  # noqa: SLF001

    def kill_plugin(self, name: str) -> bool:
        """Kill a plugin's actor, if it runs and none of its handlers does."""
        cell = self.plugin(name)
        if cell is None or cell.phase is not CellPhase.RUNNING or cell.ordering_keys:
            return False
        cell.kill()
        return True

    # -- Facts that only the system knows ------------------------------------------------------------------

    def spooled(self) -> list[Any]:
        """Return the waiting messages of the spool and the dead letters."""
        return [*self._system.store.spooled(limit=10**6), *self._system.store.dead_letters(limit=10**6)]

    def waiting_in_spool(self) -> int:
        """Count the messages that wait for redelivery."""
        return len(self._system.store.spooled(limit=10**6))

    def open_calls(self) -> int:
        """Count the CALLs that plugins are handling."""
        return sum(len(cell.session.incoming) for cell in self._system._parts.directory)  # noqa: SLF001
