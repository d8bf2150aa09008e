"""Energy of transactions: figures against a model that a reader can check by hand, and each finding."""

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargehand.protocol.energy import (
    INTERVALS,
    METER,
    NO_SOURCE,
    REGISTER,
    ClaimedFigures,
    LastStop,
    Limits,
    NotUsable,
    Quantity,
    Sample,
    derive,
    in_base_unit,
)

START = dt.datetime(2026, 5, 4, 12, 0, tzinfo=dt.UTC)


def at(minutes):
    return START + dt.timedelta(minutes=minutes)


def claim(meter_start=1000, meter_stop=None, minutes=60, **more):
    stop = {} if meter_stop is None else {"stopped_at": at(minutes), "stop_received_at": at(minutes)}
    return ClaimedFigures(meter_start, START, START, meter_stop, **(stop | more))


def register(minutes, wh, **more):
    return Sample(at(minutes), Quantity.REGISTER, Decimal(wh), **more)


def interval(minutes, wh, **more):
    return Sample(at(minutes), Quantity.INTERVAL, Decimal(wh), **more)


def power(minutes, watts, **more):
    return Sample(at(minutes), Quantity.POWER, Decimal(watts), **more)


def sent(*samples):
    """Make messages with one sample each, received when they were taken."""
    return [(sample.at, [sample]) for sample in samples]


def codes(energy):
    return [finding.code for finding in energy.findings]


# -- Figures ---------------------------------------------------------------------------------


def test_a_stopped_transaction_has_the_energy_that_it_claims_and_the_readings_beside():
    energy = derive(claim(1000, 9000), sent(register(10, 2500), register(50, 8000), power(20, 7200)))
    assert (energy.energy_wh, energy.source, energy.supported_wh) == (8000, METER, 7000)
    assert (energy.first.wh, energy.last.wh, energy.peak_w, energy.duration_s) == (2500, 8000, 7200, 3600)
    assert energy.findings == ()


def test_an_open_transaction_has_the_energy_of_its_last_reading():
    energy = derive(claim(1000), sent(register(10, 4500)))
    assert (energy.energy_wh, energy.source, energy.supported_wh) == (3500, REGISTER, 3500)
    assert energy.duration_s == 600


def test_without_stop_and_readings_nothing_is_known():
    energy = derive(claim(1000))
    assert energy[:7] == (None, NO_SOURCE, None, None, None, None, None)


def test_a_stop_without_readings_supports_nothing_and_is_no_suspicion():
    energy = derive(claim(1000, 9000))
    assert (energy.energy_wh, energy.supported_wh, energy.findings) == (8000, None, ())


def test_begin_is_first_and_end_is_last_whatever_their_times():
    end = register(0, 9000, context="Transaction.End")
    begin = register(70, 1000, context="Transaction.Begin")
    energy = derive(claim(1000), sent(end, register(10, 3000), begin))
    assert (energy.first.wh, energy.last.wh, energy.energy_wh) == (1000, 9000, 8000)


def test_readings_of_another_location_are_not_mixed_with_those_of_the_outlet():
    inlet = [register(minutes, 500_000 + minutes, location="Inlet") for minutes in (5, 15, 25)]
    energy = derive(claim(1000), sent(*inlet, register(10, 2000), register(20, 3000)))
    assert (energy.energy_wh, energy.findings) == (2000, ())


def test_readings_of_another_location_alone_are_not_compared_with_meter_start():
    energy = derive(
        claim(1000), sent(register(5, 70_000, location="Body"), register(15, 72_000, location="Body"))
    )
    assert (energy.energy_wh, energy.findings) == (2000, ())


def test_phases_are_summed_where_there_is_no_total():
    thirds = [register(10, wh, phase=phase) for phase, wh in (("L1", 500), ("L2", 600), ("L3", 900))]
    assert derive(claim(1000), sent(*thirds)).energy_wh == 1000
    assert derive(claim(1000), sent(*thirds, register(10, 2100))).energy_wh == 1100


def test_phases_to_neutral_are_summed_and_those_between_conductors_are_not():
    neutral = [register(10, 1000, phase=f"L{number}-N") for number in (1, 2, 3)]
    between = [register(10, 7777, phase="L1-L2"), register(10, 1, phase="N")]
    assert derive(claim(0), sent(*neutral, *between)).energy_wh == 3000


def test_a_phase_that_comes_alone_is_summed_with_the_latest_of_the_others():
    told = [register(10, 100, phase="L1"), register(11, 200, phase="L2"), register(20, 150, phase="L1")]
    energy = derive(claim(0), sent(*told))
    assert (energy.first.wh, energy.last.wh, energy.energy_wh) == (300, 350, 350)


def test_the_power_peak_is_the_highest_sum_of_phases_or_total():
    phases = [power(10, 2000, phase=phase) for phase in ("L1", "L2", "L3")]
    assert derive(claim(), sent(*phases, power(20, 5000))).peak_w == 6000


def test_intervals_are_summed_and_one_sent_again_counts_once():
    energy = derive(claim(1000), sent(interval(15, 300), interval(30, 400), interval(15, 300)))
    assert (energy.energy_wh, energy.source, energy.supported_wh) == (700, INTERVALS, 700)


def test_intervals_of_the_clock_and_of_the_transaction_are_not_added_up():
    clock = [interval(minutes, 400, context="Sample.Clock") for minutes in (15, 30, 45)]
    periodic = [interval(minutes, 100) for minutes in (10, 20, 30, 40)]
    assert derive(claim(), sent(*clock, *periodic)).energy_wh == 1200


def test_an_interval_that_was_asked_for_in_between_is_not_added():
    asked_for = interval(20, 150, context="Trigger")
    assert derive(claim(), sent(interval(15, 300), asked_for, interval(30, 400))).energy_wh == 700


def test_a_register_counts_before_intervals():
    assert derive(claim(1000), sent(interval(15, 300), register(15, 1250))).source == REGISTER


@pytest.mark.parametrize(
    ("told", "rise"),
    [
        ([6000, 7000, 0, 300], 2300),
        ([7000, 0, 7100], 2100),
        ([9000, 6000, 8000], 6000),
        ([6000, 9_999_999, 6100], 1100),
        ([7000, 0, 0, 7100], 2100),
        ([6000, 6000], 1000),
        ([4000, 4500], 500),
    ],
)
def test_a_register_that_falls_begins_again_and_a_single_odd_reading_is_left_out(told, rise):
    energy = derive(claim(5000, 5300), sent(*(register(10 + n, wh) for n, wh in enumerate(told))))
    assert (energy.energy_wh, energy.supported_wh) == (300, rise)


def test_a_figure_is_an_int_if_it_is_whole_and_else_has_three_digits():
    energy = derive(claim(1000), sent(register(10, "2000.0"), power(10, "7200.12345")))
    assert (repr(energy.energy_wh), repr(energy.peak_w)) == ("1000", "7200.123")


@pytest.mark.parametrize("meter", [10**15, 10**30 + 1, 10**400 + 1, -(10**30) - 1])
def test_meters_of_any_length_are_exact(meter):
    readings = sent(register(10, 5000), register(20, 10**14))
    assert derive(claim(0, meter), readings, last_stop=LastStop(5, meter, START, START)).energy_wh == meter
    assert derive(claim(meter, 3), readings).energy_wh == 3 - meter


# -- A simple model --------------------------------------------------------------------------

UNITS = (("Wh", 0), ("kWh", 0), ("wh", 3), ("KWH", -3), ("", 0), ("kWh", 2))


def told_as(wh, unit, multiplier):
    """Return the text of an energy in a unit."""
    power_of_ten = multiplier + (3 if unit.lower() == "kwh" else 0)
    return f"{Decimal(wh).scaleb(-power_of_ten):f}"


@st.composite
def transactions(draw):
    """Draw registers that never fall, and messages with them in any unit, in phases, repeated and shuffled."""
    steps = draw(st.lists(st.integers(0, 5000), min_size=1, max_size=12))
    meter_start = draw(st.integers(0, 10**7))
    wh, registers = meter_start, []
    for step in steps:
        wh += step
        registers.append(wh)
    begin, end = draw(st.booleans()), draw(st.booleans())
    samples = []
    for number, value in enumerate(([meter_start] if begin else []) + registers):
        context = ""
        if begin and number == 0:
            context = "Transaction.Begin"
        elif end and number == len(registers) - (not begin):
            context = "Transaction.End"
        parts = [("", value)]
        if draw(st.booleans()):
            first = draw(st.integers(0, value))
            second = draw(st.integers(0, value - first))
            parts = [("L1", first), ("L2", second), ("L3", value - first - second)]
        for phase, part in parts:
            unit, multiplier = draw(st.sampled_from(UNITS))
            figure = in_base_unit(told_as(part, unit, multiplier), Quantity.REGISTER, unit, multiplier)
            samples.append(register(15 * (number + 1), figure, phase=phase, context=context))
    repeated = samples + draw(st.lists(st.sampled_from(samples), max_size=6))
    return meter_start, registers[-1], draw(st.permutations(repeated))


@given(transactions(), st.booleans())
def test_energy_is_that_of_the_model_however_the_readings_came(transaction, stopped):
    meter_start, last, samples = transaction
    received_at = at(24 * 60)
    energy = derive(
        claim(meter_start, last if stopped else None, 300),
        [(received_at, [sample]) for sample in samples],
        limits=Limits(power_w=float("inf")),
    )
    assert (energy.energy_wh, energy.supported_wh) == (last - meter_start, last - meter_start)
    assert energy.last.wh == last
    assert "register_falls" not in codes(energy)
    assert "energy_contradicts_readings" not in codes(energy)


moments = st.integers(-(10**6), 10**6)
any_sample = st.builds(
    Sample,
    moments.map(at)
    | st.sampled_from((dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, tzinfo=dt.UTC))),
    st.sampled_from(Quantity),
    st.integers(-(10**6), 10**12).map(Decimal),
    st.sampled_from(("", "L1", "L2", "L3", "L1-N", "N", "odd")),
    st.sampled_from(("", "Transaction.Begin", "Transaction.End", "Sample.Clock")),
    st.sampled_from(("Outlet", "EV", "odd")),
)


@given(
    st.lists(st.tuples(moments.map(at), st.lists(any_sample, max_size=4)), max_size=8),
    st.integers(-10, 10**9),
    st.integers(-10, 10**9) | st.none(),
    st.randoms(use_true_random=False),
)
def test_limits_and_the_order_of_arrival_change_no_figure(readings, meter_start, meter_stop, random):
    one = derive(claim(meter_start, meter_stop), readings)
    shuffled = random.sample(readings, len(readings))
    # The tolerance of clocks stays: readings are ordered by it.
    other = derive(claim(meter_start, meter_stop), shuffled, limits=Limits(power_w=1, difference_wh=0))
    assert one[:7] == other[:7]


# -- Suspicions ------------------------------------------------------------------------------


def finding(energy, code):
    (text,) = (text for found, text in energy.findings if found == code)
    return text


def test_a_register_that_falls_in_mid_transaction_is_found_with_its_figures():
    energy = derive(claim(5000, 5300), sent(register(10, 7000), register(20, 0), register(30, 300)))
    assert finding(energy, "register_falls") == (
        "its register fell from 7000 Wh to 0 Wh, a reading of 2026-05-04T12:20:00Z"
    )
    assert finding(energy, "energy_contradicts_readings") == (
        "meterStart and meterStop are 300 Wh apart, its readings say 2300 Wh"
    )


@pytest.mark.parametrize("power_w", [100_000, 10_000_000])
def test_a_rise_that_no_charger_can_make_is_found_by_the_power_of_the_limit(power_w):
    energy = derive(claim(0), sent(register(10, 1000), register(20, 500_000)), limits=Limits(power_w=power_w))
    assert codes(energy) == (["register_jumps"] if power_w == 100_000 else [])
    assert energy.supported_wh == 500_000


def test_a_stop_far_above_its_start_is_a_jump_without_readings_too():
    assert codes(derive(claim(0, 9_000_000))) == ["register_jumps"]


def test_a_start_is_compared_with_the_last_stop_of_its_connector():
    last = LastStop(0, 5000, at(-60), at(-60))
    assert codes(derive(claim(4000), last_stop=last)) == ["meter_below_last_stop"]
    assert codes(derive(claim(9_000_000), last_stop=last)) == ["register_jumps"]
    assert codes(derive(claim(5000), last_stop=last)) == []


def test_a_meter_that_counts_each_transaction_from_0_is_no_suspicion():
    assert codes(derive(claim(0), last_stop=LastStop(0, 5000, at(-60), at(-60)))) == []


def test_a_meter_start_of_0_beside_a_large_register_is_found_and_not_counted():
    energy = derive(claim(0, 1_234_900), sent(register(10, 1_234_567), register(50, 1_234_890)))
    assert "meter_start_zero" in codes(energy)
    assert (energy.energy_wh, energy.supported_wh) == (1_234_900, 323)


@pytest.mark.parametrize(
    ("minutes", "told", "found"),
    [
        (0, [4500], False),
        (5, [30_000, 60_000], False),
        (5, [80_000, 80_400], True),
        (5, [150_000], True),
        (60, [150_000], False),
        (600, [1_500_000], True),
    ],
)
def test_a_first_reading_is_a_large_register_if_no_car_took_so_much(minutes, told, found):
    energy = derive(claim(0), sent(*(register(minutes + number, wh) for number, wh in enumerate(told))))
    assert ("meter_start_zero" in codes(energy)) is found
    assert energy.supported_wh == told[-1] - (told[0] if found else 0)


def test_a_meter_start_of_0_beside_a_begin_reading_is_found():
    energy = derive(claim(0), sent(register(0, 50_000, context="Transaction.Begin"), register(9, 50_400)))
    assert (codes(energy), energy.energy_wh) == (["meter_start_zero"], 400)


@pytest.mark.parametrize(
    ("started_at", "code"),
    [
        (dt.datetime(1970, 1, 1, tzinfo=dt.UTC), "clock_behind"),
        (dt.datetime(1, 1, 1, tzinfo=dt.UTC), "clock_behind"),
        (dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=5))), "clock_behind"),
        (dt.datetime(9999, 12, 31, 23, tzinfo=dt.timezone(-dt.timedelta(hours=5))), "clock_ahead"),
        (dt.datetime(2089, 1, 1, tzinfo=dt.UTC), "clock_ahead"),
        (START + dt.timedelta(seconds=301), "clock_ahead"),
        (START + dt.timedelta(seconds=300), None),
        (START - dt.timedelta(days=40), None),
    ],
)
def test_a_clock_that_cannot_be_right_is_found_at_start_and_stop(started_at, code):
    found = [code] if code else []
    assert codes(derive(ClaimedFigures(0, started_at, START))) == found
    assert codes(derive(claim(0, 5, stopped_at=started_at, stop_received_at=START))) == found


def test_readings_of_a_clock_that_was_never_set_stay_in_the_order_of_receipt():
    told = [
        (at(10), [Sample(dt.datetime(1970, 1, 1, 0, 10, tzinfo=dt.UTC), Quantity.REGISTER, Decimal(2000))]),
        (at(20), [register(20, 3000)]),
    ]
    energy = derive(claim(1000), told)
    assert (energy.energy_wh, codes(energy)) == (2000, ["clock_behind"])


def test_a_duration_is_that_of_receipt_where_a_clock_is_wrong():
    started_at = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    energy = derive(ClaimedFigures(0, started_at, START, 100, at(60), at(60)))
    assert energy.duration_s == 3600


def test_a_clock_that_was_never_set_tells_the_duration_if_it_went_on():
    began = dt.datetime(1970, 1, 1, 0, 5, tzinfo=dt.UTC)
    ended = began + dt.timedelta(minutes=30)
    energy = derive(ClaimedFigures(0, began, START, 100, ended, START))
    assert (energy.duration_s, codes(energy)) == (1800, ["clock_behind"])
    energy = derive(ClaimedFigures(0, began, START, 100, START, START))
    assert (energy.duration_s, codes(energy)) == (0, ["clock_behind"])


def test_energy_without_duration_is_found():
    assert codes(derive(claim(0, 1000, minutes=0))) == ["energy_without_duration"]
    assert codes(derive(claim(0, 400, minutes=0))) == []


def test_a_stop_above_its_end_reading_contradicts_it():
    end = register(59, 4000, context="Transaction.End")
    assert codes(derive(claim(1000, 9000), sent(register(10, 2000), end))) == ["energy_contradicts_readings"]
    assert codes(derive(claim(1000, 4050), sent(register(10, 2000), end))) == []


def test_a_start_below_its_begin_reading_contradicts_it():
    begin = register(0, 3000, context="Transaction.Begin")
    assert codes(derive(claim(1000, 9000), sent(begin))) == ["energy_contradicts_readings"]


def test_readings_that_count_each_transaction_from_0_are_no_contradiction():
    begin, end = register(0, 0, context="Transaction.Begin"), register(60, 8000, context="Transaction.End")
    assert codes(derive(claim(70_000, 78_000), sent(begin, end))) == []


# -- Values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "multiplier", "wh"),
    [
        ("4.5", "kWh", 0, 4500),
        (" 604.213 ", "Wh", 0, Decimal("604.213")),
        (12, "", 0, 12),
        ("1", "Wh", 3, 1000),
        ("1500", "kWh", -3, 1500),
        ("2", "MWh", 0, 2_000_000),
        ("1e3", "wh", 0, 1000),
        ("-0", "Wh", 0, 0),
    ],
)
def test_a_value_is_read_in_its_unit_and_multiplier(value, unit, multiplier, wh):
    assert in_base_unit(value, Quantity.REGISTER, unit, multiplier) == wh


@pytest.mark.parametrize(
    "value", ["", "abc", "NaN", "Infinity", "1,5", "1_000", "٣", True, None, [], {}, 10**400, "9e99", "1 2"]
)
def test_a_value_that_is_no_figure_is_refused(value):
    with pytest.raises(NotUsable):
        in_base_unit(value, Quantity.REGISTER)


@pytest.mark.parametrize(("unit", "multiplier"), [("W", 0), ("A", 0), ("mWh", 0), ("Wh", 40)])
def test_a_unit_of_another_quantity_is_refused(unit, multiplier):
    with pytest.raises(NotUsable):
        in_base_unit("1", Quantity.REGISTER, unit, multiplier)
