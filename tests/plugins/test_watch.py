"""Watch: alerts about what is silent, faulted, without energy or out of time, on a stage."""

import datetime as dt

import pytest

from chargehand import AlertRaised, TransactionStarted, v16
from chargehand.plugins.watch import Watch, WatchSettings
from chargehand.testing import Stage, StubStore

HOUR_S = 3600.0


@pytest.fixture
def stage():
    with Stage(Watch.spec(WatchSettings(), name="watch"), bundled=True) as running:
        yield running


def alerts(stage):
    stage.settle()
    return [
        (one.charge_point_id, one.subject, one.severity)
        for one in stage.events.of(AlertRaised)
        if one.source == "watch"
    ]


def findings(stage):
    return [(one.charge_point, one.subject) for one in stage.request("watch", "GET", "findings")["findings"]]


def test_a_charge_point_that_is_away_for_long_is_an_alert_until_it_is_back(stage):
    charge_point = stage.connect("CP1")
    stage.advance(HOUR_S)
    charge_point.hang_up()
    stage.advance(HOUR_S - 60)
    assert alerts(stage) == []
    stage.advance(120)
    stage.advance(5 * HOUR_S)
    assert alerts(stage) == [("CP1", "silent", 4)]
    assert findings(stage) == [("CP1", "silent")]
    stage.connect("CP1")
    assert alerts(stage) == [("CP1", "silent", 4), ("CP1", "silent", 8)]
    assert findings(stage) == []


def test_a_charge_point_that_does_not_come_back_after_a_restart_is_an_alert(stage):
    stage.store.register("CP9", "Accepted")
    with Stage(
        Watch.spec(WatchSettings(silent_s=60, check_s=10), name="watch"), bundled=True, store=stage.store
    ) as second:
        second.advance(71)
        assert alerts(second) == [("CP9", "silent", 4)]


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_a_connector_that_stays_faulted_is_an_alert_until_it_is_well(stage, version):
    charge_point = stage.simulate("CP1", version=version)
    charge_point.break_down(1)
    stage.advance(1700)
    assert alerts(stage) == []
    stage.advance(1800)
    assert alerts(stage) == [("CP1", "faulted", 4)]
    if version == "1.6":
        charge_point.break_down(1, v16.ChargePointErrorCode.NO_ERROR)
    else:
        charge_point.break_down(1, repaired=True)
    assert alerts(stage) == [("CP1", "faulted", 4), ("CP1", "faulted", 8)]


def start(charge_point):
    payload = {"connectorId": 1, "idTag": "T1", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"}
    return charge_point.call("StartTransaction", payload)[2]["transactionId"]


def meter(stage, charge_point, transaction_id, wh, lag_s=0.0, power=None):
    at = dt.datetime.fromtimestamp(stage.clock.time() - lag_s, dt.UTC).isoformat()
    sampled = [{"value": str(wh)}]
    if power is not None:
        sampled.append({"value": str(power), "measurand": "Power.Active.Import"})
    charge_point.call(
        "MeterValues",
        {
            "connectorId": 1,
            "transactionId": transaction_id,
            "meterValue": [{"timestamp": at, "sampledValue": sampled}],
        },
    )


def test_a_transaction_without_energy_is_an_alert_until_it_flows(stage):
    charge_point = stage.connect("CP1")
    id_ = start(charge_point)
    for wh in (100, 200, 300):
        stage.advance(HOUR_S / 2)
        meter(stage, charge_point, id_, wh)
    assert alerts(stage) == []
    for _ in range(3):
        stage.advance(HOUR_S / 2)
        meter(stage, charge_point, id_, 300)
    assert alerts(stage) == [("CP1", "no energy", 4)]
    stage.advance(60)
    meter(stage, charge_point, id_, 301)
    assert alerts(stage)[1:] == [("CP1", "no energy", 8)]


def test_a_transaction_without_meter_values_is_told_as_that_and_ends_with_it(stage):
    charge_point = stage.connect("CP1")
    id_ = start(charge_point)
    stage.advance(HOUR_S + 60)
    (alert,) = [one for one in stage.events.of(AlertRaised) if one.source == "watch"]
    assert alert.text == f"transaction {id_}: no meter values since 2026-01-01T00:00:00Z"
    stop = {"transactionId": id_, "meterStop": 0, "timestamp": "2026-01-01T01:00:00Z"}
    charge_point.call("StopTransaction", stop)
    assert alerts(stage)[1:] == [("CP1", "no energy", 8)]


def test_a_car_that_is_full_needs_no_energy(stage):
    charge_point = stage.connect("CP1")
    id_ = start(charge_point)
    meter(stage, charge_point, id_, 100)
    status = {"connectorId": 1, "errorCode": "NoError", "status": "SuspendedEV"}
    charge_point.call("StatusNotification", status)
    stage.advance(5 * HOUR_S)
    assert alerts(stage) == []


@pytest.mark.parametrize(("lags", "found"), [([-400], True), ([400] * 5, True), ([400] * 4 + [1], False)])
def test_a_clock_that_is_wrong_is_an_alert_and_late_messages_are_none(stage, lags, found):
    charge_point = stage.connect("CP1")
    id_ = start(charge_point)
    for number, lag_s in enumerate(lags):
        meter(stage, charge_point, id_, number, lag_s)
        stage.advance(60)
    assert alerts(stage) == ([("CP1", "clock", 4)] if found else [])
    for number in range(5):
        meter(stage, charge_point, id_, 10 + number)
    assert alerts(stage)[1:] == ([("CP1", "clock", 8)] if found else [])


def test_events_that_come_twice_or_late_change_nothing(stage):
    charge_point = stage.connect("CP1")
    start(charge_point)
    stage.settle()
    (event,) = stage.events.of(TransactionStarted)
    plugin = stage.actor(Watch)
    stage.advance(HOUR_S + 60)
    plugin.started(event)
    stage.advance(HOUR_S)
    assert alerts(stage) == [("CP1", "no energy", 4)]


def test_open_transactions_are_watched_after_a_restart():
    store = StubStore()
    settings = WatchSettings(no_energy_s=60, check_s=10)
    with Stage(Watch.spec(settings, name="watch"), bundled=True, store=store) as first:
        start(first.connect("CP1"))
        first.settle()
    with Stage(Watch.spec(settings, name="watch"), bundled=True, store=store) as second:
        second.advance(75)
        assert ("CP1", "no energy", 4) in alerts(second)
