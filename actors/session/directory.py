"""Directory of the charge points of this process: connected ones and, for a while, those that were."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .cell import ChargePointCell


class Directory:
    """Cells by charge point id. pykka's registry is not used: it is a list of the whole process."""

    def __init__(self) -> None:
        self._cells: dict[str, ChargePointCell] = {}
        self._offline: dict[str, float] = {}  # by id, since when; the longest first
        self._unbooted: dict[str, None] = {}  # those of them that had never booted then, likewise

    def __len__(self) -> int:
        return len(self._cells)

    def __iter__(self) -> Iterator[ChargePointCell]:
        return iter(list(self._cells.values()))

    def find(self, charge_point_id: str) -> ChargePointCell | None:
        """Return the cell of a charge point; None if it is not known."""
        return self._cells.get(charge_point_id)

    def add(self, cell: ChargePointCell) -> None:
        """Enter a new cell."""
        self._cells[cell.charge_point.id] = cell

    def remove(self, charge_point_id: str) -> None:
        """Forget a charge point."""
        self._cells.pop(charge_point_id, None)
        self._offline.pop(charge_point_id, None)
        self._unbooted.pop(charge_point_id, None)

    def note_online(self, charge_point_id: str) -> None:
        """Note that a charge point is connected: it is never evicted while it is."""
        self._offline.pop(charge_point_id, None)
        self._unbooted.pop(charge_point_id, None)

    def note_offline(self, charge_point_id: str, now: float) -> None:
        """Note that a charge point is offline since `now`, unless it has a newer connection already."""
        cell = self._cells.get(charge_point_id)
        if cell is not None and cell.newest is None:
            self._offline.pop(charge_point_id, None)
            self._offline[charge_point_id] = now
            self._unbooted.pop(charge_point_id, None)
            if cell.charge_point.registration is None:
                self._unbooted[charge_point_id] = None

    def unbooted_above(self, limit: int) -> list[ChargePointCell]:
        """Find offline cells that have never booted and have no command, the oldest first, so that `limit` stay.

        Of those that have a command nothing is found any more: somebody knows them.
        """
        found: list[ChargePointCell] = []
        while len(self._unbooted) > limit:
            charge_point_id = next(iter(self._unbooted))
            del self._unbooted[charge_point_id]
            cell = self._cells[charge_point_id]
            if cell.session.calls is None and cell.charge_point.registration is None:
                found.append(cell)
        return found

    def offline_since(self, before: float) -> list[ChargePointCell]:
        """Find the cells that went offline before a time and have not come back; costs no more than it finds."""
        found = []
        for charge_point_id, since in self._offline.items():
            if since >= before:
                break
            found.append(self._cells[charge_point_id])
        return found

    @property
    def connected(self) -> int:
        """Number of connected charge points."""
        return len(self._cells) - len(self._offline)
