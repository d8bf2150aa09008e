"""Price: which tariff counts, exact money, costs on transactions and in events, and computing them again."""

import datetime as dt
import itertools
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargehand import (
    ConfigError,
    PluginSettings,
    Tag,
    Transaction,
    TransactionCorrected,
    TransactionEnded,
    event_view,
)
from chargehand.actors.runtime import threads
from chargehand.plugins.price import Price, PriceSettings, Tariff, Usage, cost_of
from chargehand.store.sqlite import SqliteStore
from chargehand.system.plugin_packages import load_plugin
from chargehand.testing import Stage, StubStore

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def cost(usage, **prices):
    return cost_of(usage, Tariff(name="t", **prices), "EUR", 2, NOW)


@pytest.mark.parametrize(
    ("usage", "prices", "amount"),
    [
        (Usage(10_000, 3600), {"per_kwh": "0.45"}, "4.50"),
        (Usage(1, 3600), {"per_kwh": "5"}, "0.01"),
        (Usage(0, 0), {"per_start": "1"}, "1.00"),
        (Usage(10_000, 5400), {"per_kwh": "0.1", "per_hour": "1.00", "per_start": "0.05"}, "2.55"),
        (Usage(0, 7200, idle_s=600), {"idle_per_hour": "6"}, "0.00"),
        (Usage(0, 7200, idle_s=4200), {"idle_per_hour": "6"}, "6.00"),
        (Usage(-500, -5), {"per_kwh": "1", "per_hour": "1"}, "0.00"),
        (Usage(0.1 + 0.2, 0), {"per_kwh": "1000"}, "0.30"),
        (Usage(1005, 0), {"per_kwh": "1"}, "1.01"),
    ],
)
def test_a_cost_is_the_rounded_sum_of_its_parts(usage, prices, amount):
    assert str(cost(usage, **prices).amount) == amount


decimals = st.decimals(0, 1000, places=4).map(str)


@given(
    st.integers(0, 10**9),
    st.integers(0, 10**7),
    st.integers(0, 10**6),
    decimals,
    decimals,
    decimals,
    decimals,
)
def test_a_cost_is_never_negative_and_its_parts_add_up(energy, seconds, idle, kwh, hour, idle_hour, start):
    made = cost(
        Usage(energy, seconds, idle), per_kwh=kwh, per_hour=hour, idle_per_hour=idle_hour, per_start=start
    )
    exact = sum((part.quantity * part.price for part in made.parts), Decimal(0))
    assert made.amount >= 0
    assert abs(made.amount - exact) <= Decimal("0.005")
    assert all(part.amount == part.quantity * part.price for part in made.parts)


@pytest.mark.parametrize(
    ("tariff", "fits"),
    [
        ({}, True),
        ({"charge_points": ("DE-*",)}, True),
        ({"charge_points": ("FR-*", "AT-*")}, False),
        ({"tag_groups": ("staff",)}, True),
        ({"tag_groups": ("T1",)}, True),
        ({"tag_groups": ("guests",)}, False),
        ({"valid_from": NOW}, True),
        ({"valid_from": NOW + HOUR}, False),
        ({"valid_until": NOW}, False),
        ({"valid_until": NOW + HOUR}, True),
    ],
)
def test_a_tariff_fits_by_charge_point_group_and_time(tariff, fits):
    assert Tariff(name="t", **tariff).fits("DE-7", ["t1", "staff"], NOW) is fits


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, "plugins.price.tariffs: missing"),
        ({"tariffs": [{"per_kwh": "1"}]}, "plugins.price.tariffs.0.name: missing"),
        ({"tariffs": [{"name": "a"}, {"name": "a"}]}, "tariffs.1.name: "),
        (
            {"tariffs": [{"name": "a", "per_kwh": "0,45"}]},
            "tariffs.0.per_kwh: must be a decimal number as text",
        ),
        ({"tariffs": [{"name": "a", "per_kwh": 0.45}]}, "tariffs.0.per_kwh: must be text"),
        ({"tariffs": [{"name": "a", "per_kw": "1"}]}, 'tariffs.0.per_kw: unknown; did you mean "per_kwh"?'),
        ({"tariffs": [{"name": "a"}], "currency": "Euro"}, "currency: must be a code of ISO 4217"),
        (
            {"tariffs": [{"name": "a", "valid_from": NOW, "valid_until": NOW}]},
            "tariffs.0.valid_until: must be after valid_from",
        ),
    ],
)
def test_settings_of_no_use_are_told(given, error):
    with pytest.raises(ConfigError) as caught:
        load_plugin(PluginSettings(class_name="chargehand.plugins.price:Price", name="price", settings=given))
    assert error in str(caught.value)


def price(*tariffs):
    return Price.spec(PriceSettings(tariffs=tariffs or (Tariff(name="day", per_kwh="0.50"),)), name="price")


def charge(stage, id_="CP1", tag="T1", wh=10_000, hours=1):
    charge_point = stage.connect(id_) if id_ not in stage.cells else stage.ends[id_]
    vars(stage).setdefault("ends", {})[id_] = charge_point
    at = dt.datetime.fromtimestamp(stage.clock.time(), dt.UTC)
    start = {"connectorId": 1, "idTag": tag, "meterStart": 0, "timestamp": at.isoformat()}
    number = charge_point.call("StartTransaction", start)[2]["transactionId"]
    stage.advance(hours * 3600)
    stop = {"transactionId": number, "meterStop": wh, "timestamp": (at + hours * HOUR).isoformat()}
    charge_point.call("StopTransaction", stop)
    stage.settle()
    return number


def test_the_cost_is_in_the_event_of_the_end_and_on_the_transaction():
    with Stage(price(), bundled=True) as stage:
        number = charge(stage)
        (event,) = stage.events.of(TransactionEnded)
        known = stage.store.transaction(number)
        assert (event.transaction.cost.amount, event.transaction.cost.currency) == (Decimal("5.00"), "EUR")
        assert known.costs == event.transaction.costs
        assert stage.events.of(TransactionCorrected) == []
        view = event_view(event, stage.settings)["transaction"]
        assert (view["cost"], view["currency"], view["tariff"]) == ("5.00", "EUR", "day")
        (part,) = view["costs"][0]["parts"]
        assert part == {"unit": "kWh", "quantity": "10", "price": "0.50", "amount": "5.00"}


def test_the_group_of_a_tag_has_a_tariff_of_its_own():
    with Stage(
        price(Tariff(name="staff", tag_groups=("Staff",)), Tariff(name="all", per_start="1")), bundled=True
    ) as stage:
        stage.store.collections.tags.put(Tag(id_tag="T2", parent="staff"))
        charge(stage, tag="T1")
        charge(stage, tag="T2")
        assert [str(one.transaction.cost.amount) for one in stage.events.of(TransactionEnded)] == [
            "1.00",
            "0.00",
        ]


def test_without_a_tariff_that_fits_there_is_no_cost():
    with Stage(price(Tariff(name="other", charge_points=("X*",))), bundled=True) as stage:
        assert stage.store.transaction(charge(stage)).cost is None


def test_time_without_energy_has_a_fee_behind_what_is_free():
    tariff = Tariff(name="idle", idle_per_hour="6", idle_free_min=30)
    with Stage(price(tariff), bundled=True) as stage:
        charge_point = stage.connect("CP1")
        start = {"connectorId": 1, "idTag": "T1", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"}
        number = charge_point.call("StartTransaction", start)[2]["transactionId"]
        for hour, wh in enumerate((5000, 9000, 9000, 9000), 1):
            stage.advance(3600)
            charge_point.call(
                "MeterValues",
                {
                    "connectorId": 1,
                    "transactionId": number,
                    "meterValue": [
                        {"timestamp": f"2026-01-01T0{hour}:00:00Z", "sampledValue": [{"value": str(wh)}]}
                    ],
                },
            )
        stop = {"transactionId": number, "meterStop": 9000, "timestamp": "2026-01-01T04:00:00Z"}
        charge_point.call("StopTransaction", stop)
        stage.settle()
        # Energy came until 02:00; half an hour of the two is free.
        assert str(stage.store.transaction(number).cost.amount) == "9.00"


def test_an_event_that_comes_twice_changes_nothing():
    with Stage(price(), bundled=True) as stage:
        number = charge(stage)
        (event,) = stage.events.of(TransactionEnded)
        stage.actor(Price).ended(event)
        assert len(stage.store.transaction(number).costs) == 1


def test_a_wrong_tariff_is_computed_again_and_the_old_cost_is_kept():
    store = StubStore()
    with Stage(price(Tariff(name="wrong", per_kwh="5")), bundled=True, store=store) as stage:
        number = charge(stage)
        other = charge(stage, "CP2", wh=0)
        assert str(store.transaction(number).cost.amount) == "50.00"
    with Stage(price(Tariff(name="right", per_kwh="0.5")), bundled=True, store=store) as stage:
        body = b'{"dry_run": true, "charge_point": "CP1"}'
        told = stage.request("price", "POST", "again", body)
        assert [(row["old"], row["new"]) for row in told["changed"]] == [("50.00", "5.00")]
        assert len(store.transaction(number).costs) == 1
        told = stage.request("price", "POST", "again", b"{}")
        assert {row["transaction_id"] for row in told["changed"]} == {number, other}
        stage.settle()
        known = store.transaction(number)
        assert [(str(one.amount), one.tariff, one.by) for one in known.costs] == [
            ("50.00", "wrong", ""),
            ("5.00", "right", "stage"),
        ]
        events = {one.transaction.id: one for one in stage.events.of(TransactionCorrected)}
        assert events[number].transaction.cost.tariff == "right"
        assert stage.request("price", "POST", "again", b"{}")["changed"] == []


def ended_transaction(**more):
    return Transaction(
        id=1, charge_point_id="CP1", connector_id=1, id_tag="T", meter_start=0, started_at=NOW,
        start_received_at=NOW, meter_stop=1000, stopped_at=NOW + HOUR, stop_received_at=NOW + HOUR,
        **more,
    )  # fmt: skip


def test_a_cost_whose_idle_time_is_not_known_any_more_stays_as_it_is():
    store = StubStore()
    old = cost(Usage(1000, 3600, 1800), idle_per_hour="6", idle_free_min=0)
    store.start_transaction(ended_transaction(costs=(old,), readings_deleted=True))
    with Stage(price(Tariff(name="new", idle_per_hour="12")), bundled=True, store=store) as stage:
        told = stage.request("price", "POST", "again", b"{}")
        assert (told["changed"], [row["transaction_id"] for row in told["refused"]]) == ([], [1])
        assert "are deleted" in told["refused"][0]["why"]
        event = TransactionCorrected(
            at=NOW, charge_point_id="CP1", id="1:1", transaction=store.transaction(1)
        )
        stage.actor(Price).corrected(event)
        assert store.transaction(1).costs == (old,)


def test_idle_time_that_is_stored_is_priced_again_without_readings():
    store = StubStore()
    store.start_transaction(ended_transaction(readings_deleted=True))
    derived = {"energy_wh": 1000, "energy_source": "", "supported_energy_wh": 1000, "findings": ()}
    store.assess_transaction(1, **derived, idle_since=NOW + HOUR / 2)
    tariff = Tariff(name="new", idle_per_hour="12", idle_free_min=0)
    with Stage(price(tariff), bundled=True, store=store) as stage:
        told = stage.request("price", "POST", "again", b"{}")
        assert [row["new"] for row in told["changed"]] == ["6.00"]


def test_a_cost_that_is_stored_meanwhile_is_seen_by_the_one_behind_it(monkeypatch):
    store = StubStore()
    store.start_transaction(ended_transaction())
    first = cost(Usage(1, 1), per_start="1")
    with Stage(price(), bundled=True, store=store) as stage:
        price_of, asked = stage.actor(Price).price, []

        def computed(*arguments):
            if not asked:
                asked.append(1)
                store.price_transaction(1, (first,), correction=False)
            return price_of(*arguments)

        monkeypatch.setattr(stage.actor(Price), "price", computed)
        (row,) = stage.request("price", "POST", "again", b"{}")["changed"]
        assert (row["old"], row["new"]) == ("1.00", "0.50")
        assert [str(one.amount) for one in store.transaction(1).costs] == ["1.00", "0.50"]


def test_a_correction_of_other_quantities_is_computed_again_and_one_of_a_note_is_not():
    store = StubStore()
    with Stage(price(), bundled=True, store=store) as stage:
        number = charge(stage)
        stage.store.amend_transaction(number, note="seen")
        stage.settle()
        assert len(store.transaction(number).costs) == 1


def test_pages_of_computing_again_follow_one_another():
    store = StubStore()
    for number in range(1, 121):
        at = NOW + number * dt.timedelta(seconds=1)
        store.start_transaction(
            Transaction(
                id=number, charge_point_id="CP1", connector_id=1, id_tag="T", meter_start=0,
                started_at=at, start_received_at=at, meter_stop=1000, stopped_at=at + HOUR,
                stop_received_at=at + HOUR,
            )
        )  # fmt: skip
    with Stage(price(), bundled=True, store=store) as stage:
        seen, before = [], ""
        while before is not None:
            told = stage.request("price", "POST", "again", f'{{"before": "{before}"}}'.encode())
            seen += [row["transaction_id"] for row in told["changed"]]
            before = told["next"]
        assert seen == list(range(120, 0, -1))


def test_costs_are_read_again_from_the_file(tmp_path):
    path = str(tmp_path / "store.sqlite")
    known = Transaction(
        id=1, charge_point_id="CP1", connector_id=1, id_tag="T", meter_start=0, started_at=NOW,
        start_received_at=NOW, meter_stop=10, stopped_at=NOW + HOUR, stop_received_at=NOW + HOUR,
    )  # fmt: skip
    first, second = (cost(Usage(10, 3600), per_kwh=price) for price in ("1", "3.333"))
    store = SqliteStore.open(path, threads)
    try:
        store.start_transaction(known).wait(60)
        store.price_transaction(1, (first,), correction=False).wait(60)
        store.price_transaction(1, (first, second), correction=True).wait(60)
        store.price_transaction(1, (first, second), correction=True).wait(60)
        (origin,) = store.event_log.origins()
        kinds = [one.kind for one in store.event_log.read(origin.number, 0, 10)]
        assert kinds.count("TransactionCorrected") == 1
    finally:
        store.close()
    store = SqliteStore.open(path, threads)
    try:
        assert store.transaction(1).costs == (first, second)
    finally:
        store.close()


@pytest.fixture(scope="module")
def priced_by_all():
    """Run a stage with a tariff that has every price, for all examples of a test."""
    tariff = Tariff(
        name="all", per_kwh="0.4371", per_hour="0.77", idle_per_hour="6.13", idle_free_min=5, per_start="0.35"
    )
    with Stage(price(tariff), bundled=True) as stage:
        stage.tariff, stage.charge_point = tariff, stage.connect("CP1")
        yield stage


rises = st.lists(st.tuples(st.integers(1, 10), st.sampled_from((0, 0, 137, 2500))), min_size=1, max_size=6)
"""Minutes since the reading before, and Wh by which the register has risen."""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rises, st.data())
def test_a_cost_never_depends_on_how_the_readings_were_split_and_when_they_came(priced_by_all, steps, data):
    stage, charge_point = priced_by_all, priced_by_all.charge_point
    started_at = dt.datetime.fromtimestamp(stage.clock.time(), dt.UTC)
    start_wh, minutes, wh, readings = 5_000, 0, 5_000, []
    for after, rise in steps:
        minutes, wh = minutes + after, wh + rise
        readings.append((started_at + dt.timedelta(minutes=minutes), wh))
    values = [
        {"timestamp": at.isoformat(), "sampledValue": [{"value": str(register)}]} for at, register in readings
    ]
    # Messages of some of the values each, sent while it charges, with the stop, or late.
    cuts = sorted(data.draw(st.sets(st.integers(1, len(values) - 1)), "cuts")) if len(values) > 1 else []
    messages = [values[one:other] for one, other in itertools.pairwise([0, *cuts, len(values)])]
    messages = data.draw(st.permutations(messages), "order")
    places = [data.draw(st.sampled_from(("early", "stop", "late")), "place") for _ in messages]

    start = {"connectorId": 1, "idTag": "T1", "meterStart": start_wh, "timestamp": started_at.isoformat()}
    number = charge_point.call("StartTransaction", start)[2]["transactionId"]

    def send(wanted):
        for place, message in zip(places, messages, strict=True):
            if place == wanted:
                told = {"connectorId": 1, "transactionId": number, "meterValue": message}
                charge_point.call("MeterValues", told)

    stage.advance(1800)
    send("early")
    stage.advance(1800)
    stop = {"transactionId": number, "meterStop": wh + 10, "timestamp": (started_at + HOUR).isoformat()}
    with_it = [
        one for place, message in zip(places, messages, strict=True) if place == "stop" for one in message
    ]
    charge_point.call("StopTransaction", stop | ({"transactionData": with_it} if with_it else {}))
    stage.settle()
    send("late")
    stage.advance(60)

    idle_since = next(at for at, register in readings if register == wh)
    idle_s = (started_at + HOUR - idle_since).total_seconds()
    usage = Usage(wh + 10 - start_wh, 3600, idle_s)
    made = stage.store.transaction(number).cost
    assert (made.amount, made.parts) == (
        (wanted := cost_of(usage, stage.tariff, "EUR", 2, NOW)).amount,
        wanted.parts,
    )
