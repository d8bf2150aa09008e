"""Charge points of a site: who charges there, what is drawn, and what it may draw. Tenths of an ampere."""

from __future__ import annotations

import datetime as dt
from collections import deque
from typing import TYPE_CHECKING, Any

from .allowance import Allowance
from .settings import TOTAL, Site, tenths

if TYPE_CHECKING:
    from ... import Ticket

WANTS = frozenset({"Charging", "SuspendedEVSE"})
"""States of a connector, or of charging, in which a vehicle takes current, or would."""
FULL = frozenset({"SuspendedEV", "EVConnected", "Idle"})
"""States in which a vehicle takes nothing, and may want some again."""
NOTHING = 10
"""Tenths of an ampere that no vehicle charges with."""
SPARE = 20
"""Tenths of an ampere that a vehicle is given above what it takes, so that it shows when it wants more."""
LOOKS = 3
"""Readings in a row by which a vehicle is known to take less than it may."""
SENT_KEPT = 8
"""Last commands of ours to a charge point that are told from those of others."""


class Car:
    """EVSE where a transaction goes on, or a vehicle charges without one."""

    __slots__ = ("id_tag", "idle_looks", "register", "status", "transaction_id", "weight")

    def __init__(self) -> None:
        self.transaction_id: int | None = None
        self.id_tag = ""
        self.weight = 1
        self.status = ""
        self.idle_looks = 0
        self.register: tuple[dt.datetime, float] | None = None

    @property
    def there(self) -> bool:
        """True while it charges, or would."""
        return self.transaction_id is not None or self.status in WANTS or self.status == "SuspendedEV"

    @property
    def asleep(self) -> bool:
        """True for a vehicle that is probably full."""
        return self.status in FULL or self.idle_looks >= LOOKS


class Member:
    """Charge point of a site. `recorded` is the bound that an earlier process has stored, None if there is none."""

    def __init__(self, id_: str, site: Site, recorded: int | None) -> None:
        wiring = site.connection(id_)
        self.id = id_
        self.phases = tuple(f"L{digit}" for digit in wiring.phases)
        self.most = tenths(wiring.max_a)
        self.least = tenths(site.least_a)
        self.allowance = Allowance(self.most, recorded)
        self.accepted_at: dt.datetime | None = None
        self.excess = 0  # drawn against the limit
        self.ticket: Ticket[Any] | None = None
        self.sent: deque[str] = deque(maxlen=SENT_KEPT)  # ids of our commands
        self.target = 0
        self.silent = False
        self.refused_until: dt.datetime | None = None
        self.trouble = ""
        self.cars: dict[int, Car] = {}
        self.drawn: dict[int, tuple[dt.datetime, dict[str, int]]] = {}  # of each EVSE, by phase
        self.draw: dict[str, int] = {}  # metered last, by phase of the site
        self.useful = self.most
        self.looks_below = 0
        self.told_of = False  # an alert was raised
        self.turn_since: dt.datetime | None = None
        self.waits_since: dt.datetime | None = None

    @property
    def possible(self) -> int:
        """Current that it may draw, whatever becomes of the command that is on its way."""
        return max(self.allowance.bound, self.excess)

    @property
    def present(self) -> list[Car]:
        """Vehicles that charge, or would."""
        return [car for car in self.cars.values() if car.there]

    @property
    def state(self) -> str:
        """State, in one word."""
        if self.silent:
            return "silent"
        if self.refused_until is not None:
            return "refused"
        if not self.present:
            return "idle"
        if all(car.asleep for car in self.present):
            return "full"
        return "charging" if self.turn_since is not None else "waiting"

    def waits(self, now: dt.datetime) -> bool:
        """Return whether it is not asked now, as it has refused or is away."""
        return self.refused_until is not None and now < self.refused_until

    def evse_of(self, evse: int, transaction_id: int | None) -> int:
        """Return the EVSE that a reading is of, 0 if its transaction is over; a message need not name both."""
        for place, car in self.cars.items():
            if transaction_id is not None and car.transaction_id == transaction_id:
                return place
        known = self.cars.get(evse)
        return evse if transaction_id is None or (known is not None and known.there) else 0

    def uses(self, *, of_cars: bool) -> dict[str, int]:
        """Return what a tenth of an ampere takes; `of_cars`: of the phases that its vehicles are known to use."""
        phases = self.phases
        if of_cars and any(self.draw.values()):
            known = [phase for phase in phases if self.draw.get(phase, 0) >= NOTHING]
            phases = tuple(known) or phases
        return dict.fromkeys(phases, 1) | {TOTAL: len(phases)}

    # -- What happens there ------------------------------------------------------------------------

    def come(self) -> None:
        """Note that it has connected, or started: its limit is to be confirmed."""
        self.silent, self.refused_until = False, None
        self.allowance.unconfirm()

    def go(self, until: dt.datetime) -> None:
        """Note that it is away."""
        self.silent, self.refused_until = True, until
        self.allowance.unconfirm()

    def gone(self, evse: int) -> None:
        """Note that no vehicle is at an EVSE any more."""
        self._note_drawn(evse, None)
        self.useful, self.looks_below = self.most, 0

    def accept(self, now: dt.datetime) -> None:
        """Note that it has accepted what it was asked."""
        before = self.allowance.accepted
        self.allowance.accept()
        if self.allowance.accepted != before or self.accepted_at is None:
            self.accepted_at, self.looks_below = now, 0
        self.refused_until, self.silent = None, False
        if not self.told_of:
            self.trouble = ""

    def note(self, evse: int, by_phase: dict[str, int], at: dt.datetime, since: dt.datetime) -> bool:
        """Note a reading, and what follows: who wants less or more, who is full, who does not obey.

        `since` is the begin of the time that it is of; one in which the limit was another proves nothing. Returns
        whether something has changed that a plan depends on.
        """
        self._note_drawn(evse, (at, by_phase))
        car = self.cars.setdefault(evse, Car())
        most, allowed = max(self.draw.values(), default=0), self.allowance.accepted
        steady = self.accepted_at is not None and self.accepted_at < since and self.allowance.asked is None
        if not steady or allowed is None:
            return False
        own = max(by_phase.values(), default=0)
        before = self.useful, car.asleep
        car.idle_looks = car.idle_looks + 1 if own < NOTHING and allowed >= self.least else 0
        if own >= NOTHING and car.status in FULL:
            car.status = "Charging"
        if most < allowed - SPARE:
            self.looks_below += 1
            if self.looks_below >= LOOKS:
                self.useful = min(max(-(-most // 10) * 10 + SPARE, self.least), self.most)
        else:
            self.looks_below = 0
            if most >= allowed - NOTHING:
                self.useful = self.most
        if most > self.allowance.bound + NOTHING:
            self.excess = most
            self.allowance.unconfirm()
            self.trouble = f"draws {most / 10:g} A of {allowed / 10:g} A"
        elif self.excess:
            self.excess, self.told_of, self.trouble = 0, False, ""
        return before != (self.useful, car.asleep) or not self.allowance.confirmed

    def _note_drawn(self, evse: int, reading: tuple[dt.datetime, dict[str, int]] | None) -> None:
        """Note the last reading of an EVSE; None if nothing is drawn there any more."""
        if reading is None:
            self.drawn.pop(evse, None)
        else:
            self.drawn[evse] = reading
        self.draw = {}
        for _, by_phase in self.drawn.values():
            for phase, amount in by_phase.items():
                self.draw[phase] = self.draw.get(phase, 0) + amount
