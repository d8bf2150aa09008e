"""Allocation of a site's current: never above a capacity, nobody starves, by weight, nothing wasted."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargehand.plugins.load_management.allocation import Claim, allocate

PHASES = ("L1", "L2", "L3")
LEAST = 60
STEP_S = 300.0


@st.composite
def claims_of(draw):
    made = []
    for number in range(draw(st.integers(1, 6))):
        phases = draw(st.sets(st.sampled_from(PHASES), min_size=1))
        least = draw(st.sampled_from([60, 60, 60, 120]))
        made.append(
            Claim(
                id=f"CP{number}",
                uses=dict.fromkeys(sorted(phases), 1) | {"all": len(phases)},
                least=least,
                most=draw(st.one_of(st.just(0), st.integers(least, 640))),
                kept=draw(st.sampled_from([0, 0, 0, 60])),
                held=draw(st.one_of(st.none(), st.none(), st.none(), st.integers(0, 320))),
                weight=draw(st.integers(1, 20)),
                in_turn=draw(st.booleans()),
                waited_s=draw(st.sampled_from([0.0, 1.0, 60.0, 900.0])),
                asleep=draw(st.booleans()),
            )
        )
    return made


capacities = st.fixed_dictionaries(
    {one: st.integers(0, 2000) for one in PHASES} | {"all": st.integers(0, 6000)}
)


def used(claims, given, one):
    return sum(given[claim.id] * claim.uses.get(one, 0) for claim in claims)


def held(claims, one):
    return sum((claim.held or 0) * claim.uses.get(one, 0) for claim in claims)


@settings(max_examples=200, deadline=None)
@given(capacities, claims_of())
def test_of_no_capacity_more_is_given_than_it_has(limits, claims):
    given_ = allocate(limits, claims)
    assert set(given_) == {claim.id for claim in claims}
    for one, limit in limits.items():
        assert used(claims, given_, one) <= max(limit, held(claims, one))


@settings(max_examples=50, deadline=None)
@given(capacities, claims_of())
def test_each_gets_nothing_what_is_kept_or_between_its_least_and_its_most(limits, claims):
    for claim in claims:
        tenths = allocate(limits, claims)[claim.id]
        if claim.held is not None:
            assert tenths == claim.held
        else:
            assert 0 <= tenths <= max(claim.most, claim.kept)
            assert tenths <= claim.kept or tenths >= claim.least


@settings(max_examples=50, deadline=None)
@given(capacities, claims_of(), st.randoms(use_true_random=False))
def test_the_same_claims_in_any_order_give_the_same_allocation(limits, claims, random):
    mixed = random.sample(claims, len(claims))
    assert allocate(limits, mixed) == allocate(limits, claims)


@settings(max_examples=50, deadline=None)
@given(capacities, claims_of())
def test_what_one_does_not_use_goes_to_those_who_want_more(limits, claims):
    given_ = allocate(limits, claims)
    for claim in claims:
        tenths = given_[claim.id]
        charges = claim.held is None and not claim.asleep and claim.least <= tenths < claim.most
        if charges and tenths > claim.kept:
            left = min(limits[one] - used(claims, given_, one) - uses for one, uses in claim.uses.items())
            # The last whole tenths are given one by one; of what is left not every one gets some.
            assert left < len(claims) * max(claim.uses.values())


@settings(max_examples=50, deadline=None)
@given(capacities, claims_of())
def test_of_two_alike_the_one_of_more_weight_gets_no_less(limits, claims):
    given_ = allocate(limits, claims)
    for one in claims:
        for other in claims:
            alike = msgspec.structs.replace(other, id=one.id, weight=one.weight) == one
            if alike and one.held is None and one.weight > other.weight:
                assert given_[one.id] >= given_[other.id] - 1


@settings(max_examples=50, deadline=None)
@given(st.integers(60, 1000), st.integers(1, 12), st.data())
def test_all_of_the_same_weight_get_the_same(limit, number, data):
    most = data.draw(st.integers(LEAST, 640))
    alike = [Claim(id=f"CP{n}", uses={"L1": 1}, least=LEAST, most=most) for n in range(number)]
    shares = [share for share in allocate({"L1": limit}, alike).values() if share]
    assert len(shares) == min(number, limit // LEAST)
    assert max(shares) - min(shares) <= 1
    assert sum(shares) == min(limit, most * len(shares))


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(st.sets(st.sampled_from(PHASES), min_size=1), st.integers(1, 5)), min_size=1, max_size=8
    ),
    st.integers(60, 400),
    st.integers(0, 3),
)
def test_nobody_starves_when_turns_pass(cars, limit, sleepers):
    turn_s, since = 600.0, {}
    limits = dict.fromkeys(PHASES, limit)
    waited = dict.fromkeys(range(len(cars)), 0.0)
    longest = dict.fromkeys(waited, 0.0)
    for step in range(12 * 12):
        now = step * STEP_S
        claims = [
            Claim(
                id=str(number),
                uses=dict.fromkeys(sorted(phases), 1),
                least=LEAST,
                most=320,
                weight=weight,
                in_turn=number in since and now - since[number] < turn_s * weight,
                waited_s=waited[number],
            )
            for number, (phases, weight) in enumerate(cars)
        ] + [
            Claim(id=f"S{number}", uses={"L1": 1}, least=LEAST, most=320, asleep=True)
            for number in range(sleepers)
        ]
        shares = allocate(limits, claims)
        for number in waited:
            if shares[str(number)] >= LEAST:
                if number not in since or now - since[number] >= turn_s * cars[number][1]:
                    since[number] = now
                waited[number] = 0.0
            else:
                since.pop(number, None)
                waited[number] += STEP_S
                longest[number] = max(longest[number], waited[number])
    turns = sum(turn_s * weight for _, weight in cars)
    assert all(seconds <= turns + STEP_S for seconds in longest.values())


def car(id_, **more):
    return Claim(id=id_, **({"uses": {"L1": 1}, "least": 60, "most": 320} | more))


@pytest.mark.parametrize(
    ("limit", "claims", "shares"),
    [
        (320, [car("A")], [320]),
        (320, [car("A"), car("B")], [160, 160]),
        (320, [car("A", most=80), car("B")], [80, 240]),
        (320, [car("A", weight=3), car("B")], [210, 110]),
        (100, [car("A"), car("B")], [100, 0]),
        (100, [car("A"), car("B", waited_s=1.0)], [0, 100]),
        (100, [car("A", in_turn=True), car("B", waited_s=1.0)], [100, 0]),
        (100, [car("A"), car("B", weight=2)], [0, 100]),
        (320, [car("A", held=200), car("B")], [200, 120]),
        (320, [car("A", held=400), car("B")], [400, 0]),
        (320, [car("A"), car("B", kept=60, least=0, most=0)], [260, 60]),
        (320, [car("A"), car("B", asleep=True)], [260, 60]),
        (320, [car("A", most=100), car("B", asleep=True), car("C", asleep=True)], [100, 60, 60]),
        (110, [car("A"), car("B", asleep=True)], [110, 0]),
        (50, [car("A")], [0]),
        (0, [], []),
    ],
)
def test_a_limit_is_shared_as_these_say(limit, claims, shares):
    assert list(allocate({"L1": limit}, claims).values()) == [
        share for _, share in sorted(zip(claims, shares, strict=True), key=lambda pair: order(pair[0]))
    ]


def order(claim):
    return not claim.in_turn, -claim.waited_s, -claim.weight, claim.id


def test_other_phases_are_left_to_others():
    three = Claim(id="A", uses={"L1": 1, "L2": 1, "L3": 1}, least=60, most=320)
    one = Claim(id="B", uses={"L1": 1}, least=60, most=320)
    two = Claim(id="C", uses={"L2": 1, "L3": 1}, least=60, most=320)
    assert allocate(dict.fromkeys(PHASES, 320), [three, one, two]) == {"A": 160, "B": 160, "C": 160}
    assert allocate(dict.fromkeys(PHASES, 320), [one, two]) == {"B": 320, "C": 320}


def test_a_limit_of_the_whole_holds_beside_those_of_the_phases():
    three = Claim(id="A", uses={"L1": 1, "L2": 1, "L3": 1, "all": 3}, least=60, most=320)
    assert allocate({"L1": 320, "L2": 320, "L3": 320, "all": 480}, [three]) == {"A": 160}


def test_a_capacity_that_nobody_knows_has_nothing_to_give():
    assert allocate({}, [car("A")]) == {"A": 0}
