import datetime as dt
from decimal import Decimal

import pytest

from chargehand import v16
from chargehand.simulator.charging_profiles import MOST_W, InstalledProfiles
from chargehand.simulator.configuration import Configuration
from chargehand.simulator.connectors import Connectors
from chargehand.simulator.transactions import Transaction

NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
Purpose = v16.ChargingProfilePurpose
Kind = v16.ChargingProfileKind


@pytest.fixture
def connectors():
    connectors = Connectors(2)
    connectors[1].plug_in()
    connectors.begin(Transaction(connector_id=1, id_tag="TAG1", meter_start=0, started_at=NOW - HOUR, id=7))
    return connectors


@pytest.fixture
def profiles(connectors):
    return InstalledProfiles(Configuration({"MaxChargingProfilesInstalled": "4"}), connectors)


def profile(
    *periods,
    id_=1,
    purpose=Purpose.TX_DEFAULT_PROFILE,
    level=0,
    kind=Kind.ABSOLUTE,
    start=NOW,
    unit="W",
    duration=None,
    phases=None,
    **more,
):
    return v16.ChargingProfile(
        charging_profile_id=id_,
        stack_level=level,
        charging_profile_purpose=purpose,
        charging_profile_kind=kind,
        charging_schedule=v16.ChargingSchedule(
            duration=duration,
            start_schedule=start,
            charging_rate_unit=v16.ChargingRateUnit(unit),
            charging_schedule_period=tuple(
                v16.ChargingSchedulePeriod(start_period=at, limit=Decimal(limit), number_phases=phases)
                for at, limit in periods
            ),
        ),
        **more,
    )


def limits(profiles, connector_id=1, duration_s=7200, unit=None):
    schedule = profiles.composite(connector_id, NOW, duration_s, unit)
    return [(period.start_period, period.limit) for period in schedule.charging_schedule_period]


# -- Set and clear -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("connector_id", "wanted"),
    [
        (3, profile((0, 10))),
        (1, profile((0, 10), purpose=Purpose.CHARGE_POINT_MAX_PROFILE)),
        (0, profile((0, 10), purpose=Purpose.TX_PROFILE)),
        (2, profile((0, 10), purpose=Purpose.TX_PROFILE)),
        (1, profile((0, 10), purpose=Purpose.TX_PROFILE, transaction_id=8)),
        (1, profile((0, 10), level=11)),
        (1, profile((10, 10))),
        (1, profile((0, 10), (0, 20))),
        (1, profile()),
        (1, profile(*((n, 10) for n in range(25)))),
        (1, profile((0, 10), kind=Kind.RECURRING)),
        (1, profile((0, 10), recurrency_kind=v16.RecurrencyKind.DAILY)),
    ],
)
def test_a_profile_that_does_not_fit_is_rejected(profiles, connector_id, wanted):
    assert profiles.set(connector_id, wanted) == "Rejected"
    assert profiles.installed == []


def test_a_profile_of_a_transaction_ends_with_it(profiles):
    assert profiles.set(1, profile((0, 10), purpose=Purpose.TX_PROFILE, transaction_id=7)) == "Accepted"
    assert profiles.set(1, profile((0, 20), id_=2)) == "Accepted"
    profiles.transaction_over(1)
    assert [entry.charging_profile_id for _, entry in profiles.installed] == [2]


def test_a_profile_replaces_the_one_with_its_id_and_the_one_in_its_place(profiles):
    profiles.set(1, profile((0, 10), id_=1, level=0))
    profiles.set(1, profile((0, 10), id_=2, level=1))
    profiles.set(1, profile((0, 10), id_=1, level=1))
    assert [(entry.charging_profile_id, entry.stack_level) for _, entry in profiles.installed] == [(1, 1)]


def test_one_profile_too_many_is_rejected(profiles):
    for level in range(4):
        assert profiles.set(1, profile((0, 10), id_=level, level=level)) == "Accepted"
    assert profiles.set(1, profile((0, 10), id_=9, level=9)) == "Rejected"


@pytest.mark.parametrize(
    ("request_", "left"),
    [
        (v16.ClearChargingProfile(id=2), [1, 3]),
        (v16.ClearChargingProfile(connector_id=1), [3]),
        (v16.ClearChargingProfile(stack_level=1), [1]),
        (v16.ClearChargingProfile(connector_id=1, stack_level=1), [1, 3]),
        (v16.ClearChargingProfile(charging_profile_purpose=Purpose.CHARGE_POINT_MAX_PROFILE), [1, 2]),
        (v16.ClearChargingProfile(), []),
    ],
)
def test_profiles_are_cleared_by_what_they_match(profiles, request_, left):
    profiles.set(1, profile((0, 10), id_=1, level=0))
    profiles.set(1, profile((0, 10), id_=2, level=1))
    profiles.set(0, profile((0, 10), id_=3, level=1, purpose=Purpose.CHARGE_POINT_MAX_PROFILE))
    assert profiles.clear(request_) == "Accepted"
    assert [entry.charging_profile_id for _, entry in profiles.installed] == left


def test_nothing_that_matches_is_unknown(profiles):
    profiles.set(1, profile((0, 10), id_=1))
    assert profiles.clear(v16.ClearChargingProfile(id=9)) == "Unknown"
    assert len(profiles.installed) == 1


# -- What they come to ---------------------------------------------------------------------------


def test_without_profiles_the_hardware_is_the_limit(profiles):
    assert limits(profiles) == [(0, MOST_W)]


def test_periods_follow_one_another(profiles):
    profiles.set(1, profile((0, 7000), (1800, 3000), (3600, 3000)))
    assert limits(profiles) == [(0, 7000), (1800, 3000)]


def test_the_highest_stack_level_counts_while_it_lasts(profiles):
    profiles.set(1, profile((0, 7000), id_=1, level=0))
    profiles.set(1, profile((0, 9000), id_=2, level=1, duration=600))
    assert limits(profiles) == [(0, 9000), (600, 7000)]


def test_the_lowest_limit_among_purposes_counts(profiles):
    profiles.set(0, profile((0, 8000), id_=1, purpose=Purpose.CHARGE_POINT_MAX_PROFILE))
    profiles.set(1, profile((0, 9000), (1800, 3000), id_=2))
    assert limits(profiles) == [(0, 8000), (1800, 3000)]
    assert limits(profiles, connector_id=0) == [(0, 8000)]


def test_the_profile_of_a_transaction_takes_the_place_of_the_default(profiles):
    profiles.set(0, profile((0, 2000), id_=1))
    profiles.set(1, profile((0, 3000), id_=2))
    assert limits(profiles) == [(0, 3000)]
    profiles.set(1, profile((0, 9000), id_=3, purpose=Purpose.TX_PROFILE))
    assert limits(profiles) == [(0, 9000)]
    assert limits(profiles, connector_id=2) == [(0, 2000)]


def test_a_profile_counts_only_while_it_is_valid(profiles):
    profiles.set(1, profile((0, 7000), start=NOW - HOUR, valid_from=NOW + HOUR / 2, valid_to=NOW + HOUR))
    assert limits(profiles) == [(0, MOST_W), (1800, 7000), (3600, MOST_W)]


def test_a_relative_profile_counts_from_the_start_of_the_transaction(profiles):
    profiles.set(1, profile((0, 9000), (5400, 5000), kind=Kind.RELATIVE, start=None))
    assert limits(profiles) == [(0, 9000), (1800, 5000)]


def test_a_daily_profile_starts_again_each_day(profiles):
    noon_long_ago = NOW - dt.timedelta(days=10)
    daily = profile(
        (0, 7000),
        (3600, 3000),
        start=noon_long_ago,
        kind=Kind.RECURRING,
        recurrency_kind=v16.RecurrencyKind.DAILY,
    )
    profiles.set(1, daily)
    assert limits(profiles, duration_s=2 * 86_400) == [
        (0, 7000),
        (3600, 3000),
        (86_400, 7000),
        (90_000, 3000),
    ]


def test_amperes_and_watts_are_converted(profiles):
    profiles.set(1, profile((0, 16), unit="A", phases=1))
    assert limits(profiles) == [(0, 3680)]
    assert limits(profiles, unit=v16.ChargingRateUnit.A) == [(0, 16)]
    profiles.set(1, profile((0, 16), unit="A"))
    assert limits(profiles) == [(0, 11_040)]


def test_those_that_charge_share_the_limit_of_the_whole(profiles, connectors):
    profiles.set(0, profile((0, "8000"), purpose=Purpose.CHARGE_POINT_MAX_PROFILE))
    assert profiles.limit_w(1, NOW) == 8000
    connectors[2].plug_in()
    connectors.begin(Transaction(connector_id=2, id_tag="TAG2", meter_start=0, started_at=NOW, id=8))
    assert (profiles.limit_w(1, NOW), profiles.limit_w(2, NOW)) == (4000, 4000)
    connectors[1].suspended = v16.ChargePointStatus.SUSPENDED_EV
    assert profiles.limit_w(2, NOW) == 8000
