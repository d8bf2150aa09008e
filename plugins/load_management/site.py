"""Site that runs: its members, its meter, and the plan of what each is to be given. Sends nothing.

The one rule: more is given only of what nobody else may draw by now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from .allocation import Claim, allocate
from .member import NOTHING, Member
from .settings import PHASES, Site, tenths

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping


class Order(NamedTuple):
    """Limit that a charge point is to be sent, in tenths of an ampere."""

    member: Member
    tenths: int


class SharedSite:
    """Site that runs."""

    def __init__(self, settings: Site) -> None:
        self.settings = settings
        self.members: dict[str, Member] = {}
        self.metered: tuple[dt.datetime, dict[str, int]] | None = None

    def capacities(self, now: dt.datetime) -> dict[str, int]:
        """Return what charge points may draw together now."""
        own, found = self.settings, self.settings.limits(now)
        if not own.meter:
            return found
        if self.metered is None or (now - self.metered[0]).total_seconds() > own.meter_stale_s:
            silent = tenths(own.meter_silent_a)
            return found | {phase: min(found.get(phase, silent), silent) for phase in PHASES}
        for phase in PHASES:
            charging = sum(member.draw.get(phase, 0) for member in self.members.values())
            others = max(self.metered[1].get(phase, 0) - charging, 0)
            found[phase] = max(found[phase] - others, 0)
        return found

    def reserved(self) -> dict[str, int]:
        """Return what all may draw."""
        found: dict[str, int] = {}
        for member in self.members.values():
            for one, uses in member.uses(of_cars=not member.silent and bool(member.present)).items():
                found[one] = found.get(one, 0) + uses * member.possible
        return found

    def plan(self, now: dt.datetime) -> list[Order]:
        """Share what there is; return what is to be sent, less before more."""
        capacities = self.capacities(now)
        # A watt limit alone says nothing of phases, and the other way round.
        claims = [
            msgspec.structs.replace(
                claim, uses={one: uses for one, uses in claim.uses.items() if one in capacities}
            )
            for claim in (self._claim(member, now) for member in self.members.values())
        ]
        shares = allocate(capacities, claims)
        self._take_turns(shares, now)
        return self._orders(capacities, shares, now)

    def _claim(self, member: Member, now: dt.datetime) -> Claim:
        own, cars, least = self.settings, member.present, member.least
        held = member.possible if member.silent or member.excess or member.waits(now) else None
        weight = max((car.weight for car in cars), default=1)
        turn_s = own.turn_min * 60 * weight
        awake = [car for car in cars if not car.asleep]
        needed = min(least * max(len(awake), 1), member.most) if cars else 0
        return Claim(
            id=member.id,
            uses=member.uses(of_cars=held is None and bool(cars)),
            least=needed,
            most=max(member.useful, needed) if cars else 0,
            kept=min(tenths(own.safe_a), member.most),
            held=held,
            weight=weight * max(len(awake), 1),
            in_turn=member.turn_since is not None and (now - member.turn_since).total_seconds() < turn_s,
            waited_s=0.0 if member.waits_since is None else (now - member.waits_since).total_seconds(),
            asleep=bool(cars) and not awake,
        )

    def _take_turns(self, shares: Mapping[str, int], now: dt.datetime) -> None:
        for member in self.members.values():
            cars = member.present
            if not cars:
                member.turn_since = member.waits_since = None
            elif shares[member.id] >= member.least:
                turn_s = self.settings.turn_min * 60 * max(car.weight for car in cars)
                since, member.waits_since = member.turn_since, None
                if since is None or (now - since).total_seconds() >= turn_s:
                    member.turn_since = now
            else:
                member.turn_since, member.waits_since = None, member.waits_since or now

    def _orders(
        self, capacities: Mapping[str, int], shares: Mapping[str, int], now: dt.datetime
    ) -> list[Order]:
        orders: list[Order] = []
        raised: list[Member] = []
        for member in self.members.values():
            member.target, allowance = shares[member.id], member.allowance
            if allowance.asked is not None or member.waits(now):
                continue
            accepted = allowance.accepted or 0
            if member.excess or member.target <= accepted:
                if not allowance.confirmed or member.target < accepted:
                    orders.append(Order(member, min(member.target, accepted)))
            else:
                raised.append(member)
        # Whatever is on its way may still be refused: only what is free by now is given.
        reserved = self.reserved() if raised else {}
        for member in sorted(raised, key=lambda one: (one.allowance.accepted or 0, one.id)):
            amount = self._raised_to(member, capacities, reserved)
            if amount != member.allowance.accepted or not member.allowance.confirmed:
                orders.append(Order(member, amount))
                more = max(amount - member.possible, 0)
                for one, uses in member.uses(of_cars=bool(member.present)).items():
                    reserved[one] = reserved.get(one, 0) + uses * more
        return orders

    @staticmethod
    def _raised_to(member: Member, capacities: Mapping[str, int], reserved: Mapping[str, int]) -> int:
        """Return what a member may have by now of what it should have; too little a gain is none."""
        accepted, uses = member.allowance.accepted or 0, member.uses(of_cars=bool(member.present))
        free = min(
            ((capacities[one] - reserved.get(one, 0)) // uses[one] for one in uses if one in capacities),
            default=0,
        )
        amount = max(min(member.target, member.possible + free), accepted)
        worth = amount - accepted >= NOTHING or (amount >= member.least > accepted)
        if not worth or (amount < member.target and amount < member.least):
            return accepted
        return amount

    def view(self, now: dt.datetime) -> dict[str, Any]:
        """Show what it may draw, and what each charge point may draw and draws."""
        members = sorted(self.members.values(), key=lambda one: one.id)
        capacities = self.capacities(now)
        return {
            "name": self.settings.name,
            "limit_a": {one: amount / 10 for one, amount in capacities.items()},
            "reserved_a": {one: amount / 10 for one, amount in self.reserved().items() if one in capacities},
            "drawn_a": {phase: sum(one.draw.get(phase, 0) for one in members) / 10 for phase in PHASES},
            "charge_points": [
                {
                    "id": one.id,
                    "state": one.state,
                    "allowed_a": None if one.allowance.accepted is None else one.allowance.accepted / 10,
                    "possible_a": one.possible / 10,
                    "target_a": one.target / 10,
                    "drawn_a": {phase: amount / 10 for phase, amount in one.draw.items()},
                    "phases": list(one.phases),
                    "vehicles": len(one.present),
                    "weight": max((car.weight for car in one.present), default=1),
                    "trouble": one.trouble,
                }
                for one in members
            ],
        }
