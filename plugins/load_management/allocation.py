"""Allocation of a site's current among its charge points: a pure function of what they claim.

Everything is whole tenths of an ampere. A capacity is what must not be exceeded, as that of a phase; a claim takes of
each as often as its `uses` say. In this order: what is held, what is kept for each, the least current of as many as it
carries, by turns, and the rest by weight.

The one rule: of no capacity more is given than it has, whatever is claimed; the same claims give the same allocation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Claim of a charge point.

    `uses` has how much of each capacity a tenth of an ampere takes: 1 of a phase, 3 of the sum of all for three phases.
    Between 0 and `least` no vehicle charges, and above `most` there is no use; both are 0 where nobody wants to charge.
    `kept` is reserved in any case. What is `held` cannot be changed now, as nobody answers; it is taken as given.
    `weight` is the share beside others. `in_turn` says that it charges, and that its turn is not over; `waited_s` is
    how long it has been waiting for one. One that is `asleep` is probably full: it gets what nobody else uses, and
    one at a time a turn to show that it wants more.
    """

    id: str
    uses: Mapping[str, int]
    least: int = 0
    most: int = 0
    kept: int = 0
    held: int | None = None
    weight: int = 1
    in_turn: bool = False
    waited_s: float = 0.0
    asleep: bool = False


class _Room:
    """Rest of the capacities."""

    def __init__(self, capacities: Mapping[str, int]) -> None:
        self.left = dict(capacities)

    def times(self, claim: Claim) -> int:
        """Return the tenths of an ampere that a claim could still be given."""
        free = (self.left.get(one, 0) // uses for one, uses in claim.uses.items() if uses)
        return max(min(free, default=0), 0)

    def take(self, claim: Claim, tenths: int) -> None:
        for one, uses in claim.uses.items():
            self.left[one] = self.left.get(one, 0) - uses * tenths


def allocate(capacities: Mapping[str, int], claims: Iterable[Claim]) -> dict[str, int]:
    """Allocate capacities to claims, in tenths of an ampere by the id of each."""
    room, given = _Room(capacities), {}
    order = sorted(claims, key=_turn)
    for claim in order:
        given[claim.id] = claim.held or 0
        room.take(claim, given[claim.id])
    free = [claim for claim in order if claim.held is None]
    for claim in free:
        given[claim.id] = min(claim.kept, room.times(claim))
        room.take(claim, given[claim.id])
    awake = [claim for claim in free if claim.most and not claim.asleep]
    carried = _carry(room, given, awake)
    asleep = [claim for claim in free if claim.most and claim.asleep]
    probed = _carry(room, given, asleep[:1])
    _fill(room, given, carried)
    _carry(room, given, [claim for claim in asleep if claim not in probed])
    return given


def _turn(claim: Claim) -> tuple[bool, float, int, str]:
    return not claim.in_turn, -claim.waited_s, -claim.weight, claim.id


def _carry(room: _Room, given: dict[str, int], claims: list[Claim]) -> list[Claim]:
    """Give as many as possible their least current, in order; return those.

    The first that finds no room is waited for: what it needs goes to nobody behind it, or smaller claims would always
    find the place that a larger one waits for.
    """
    carried: list[Claim] = []
    awaited = _Room(dict.fromkeys(room.left, 0))
    for claim in claims:
        needed = max(min(claim.least, claim.most) - given[claim.id], 0)
        beside = _Room({one: left + awaited.left[one] for one, left in room.left.items()})
        if beside.times(claim) >= needed:
            room.take(claim, needed)
            given[claim.id] += needed
            carried.append(claim)
        elif not any(awaited.left.values()):
            awaited.take(claim, needed)
    return carried


def _fill(room: _Room, given: dict[str, int], claims: list[Claim]) -> None:
    """Raise all together, each by its weight, until a capacity is used up or it has what it can use."""
    wanting = [claim for claim in claims if given[claim.id] < claim.most]
    level = {claim.id: float(given[claim.id]) for claim in wanting}
    left = {one: float(rest) for one, rest in room.left.items()}
    rising = wanting
    while rising:
        needed: dict[str, int] = {}
        for claim in rising:
            for one, uses in claim.uses.items():
                needed[one] = needed.get(one, 0) + uses * claim.weight
        step = min((claim.most - level[claim.id]) / claim.weight for claim in rising)
        tight = {one: left.get(one, 0.0) / need for one, need in needed.items() if need}
        step = max(min([step, *tight.values()]), 0.0)
        full = {one for one, most in tight.items() if most <= step}
        for one, need in needed.items():
            left[one] = left.get(one, 0.0) - need * step
        for claim in rising:
            level[claim.id] += claim.weight * step
        rising = [
            claim
            for claim in rising
            if level[claim.id] < claim.most - HAIR
            and not any(claim.uses[one] for one in full & claim.uses.keys())
        ]
    for claim in wanting:
        more = min(int(level[claim.id] + HAIR) - given[claim.id], room.times(claim))
        room.take(claim, more)
        given[claim.id] += more
    for claim in wanting:  # the tenths that rounding has left
        if given[claim.id] < claim.most and room.times(claim):
            room.take(claim, 1)
            given[claim.id] += 1


HAIR = 1e-6
"""Difference below which two levels are the same."""
