"""Load management: a site's limit is shared, holds whatever fails, and is seen, on a stage."""

import datetime as dt
import runpy
from pathlib import Path

import pytest

from chargehand import AlertRaised, ConfigError, PluginSettings, Tag, v16
from chargehand.plugins.load_management import LoadManagement, LoadSettings, Period, Priority, Site, Wiring
from chargehand.simulator.answers import refusing
from chargehand.system.plugin_packages import load_plugin
from chargehand.testing import Stage

METER = Path(__file__).parents[2] / "examples" / "site_meter.py"
VERSIONS = pytest.mark.parametrize("version", ["1.6", "2.0.1"])


def spec(**site):
    settings = {"name": "home", "charge_points": ("CP*",), "limit_a": 32.0} | site
    return LoadManagement.spec(LoadSettings(sites=(Site(**settings),)), name="load", scope="cluster")


def played(**site):
    return Stage(spec(**site), bundled=True)


def charge(stage, id_, tag="T1", version="1.6", **options):
    charge_point = stage.simulate(id_, version=version, connectors=1, **options)
    charge_point.plug_in()
    charge_point.start(tag)
    stage.advance(1)
    return charge_point


def site(stage):
    stage.settle()
    (view,) = stage.request("load", "GET", "sites")["sites"]
    return view


def shares(stage):
    return {one["id"]: one["allowed_a"] for one in site(stage)["charge_points"]}


def states(stage):
    return {one["id"]: one["state"] for one in site(stage)["charge_points"]}


@VERSIONS
def test_a_car_alone_has_the_whole_limit_and_two_share_it(version):
    with played() as stage:
        charge(stage, "CP1", version=version)
        assert shares(stage) == {"CP1": 32.0}
        second = charge(stage, "CP2", version=version)
        stage.advance(10)
        assert shares(stage) == {"CP1": 16.0, "CP2": 16.0}
        second.stop()
        second.unplug()
        stage.advance(10)
        assert shares(stage) == {"CP1": 32.0, "CP2": 0.0}
        assert states(stage) == {"CP1": "charging", "CP2": "idle"}


def test_a_charge_point_of_no_site_is_left_alone():
    with played() as stage:
        charge(stage, "X1")
        stage.advance(60)
        assert stage.sent("X1", v16.SetChargingProfile) == []
        assert shares(stage) == {}


def test_nobody_is_raised_before_another_has_accepted_less():
    with played() as stage:
        first = charge(stage, "CP1")
        second = stage.simulate("CP2", version="1.6", connectors=1)
        first.faults.go_half_open()
        second.plug_in()
        second.start("T1")
        stage.advance(60)
        view = site(stage)
        assert shares(stage)["CP2"] == 0.0
        assert max(view["reserved_a"].values()) <= 32.0


def test_what_a_silent_charge_point_may_draw_is_not_shared():
    with played() as stage:
        first = charge(stage, "CP1")
        charge(stage, "CP2")
        stage.advance(10)
        first.faults.cut()
        stage.advance(10)
        second = stage.simulate("CP3", version="1.6", connectors=1)
        second.plug_in()
        second.start("T1")
        stage.advance(10)
        assert states(stage)["CP1"] == "silent"
        assert shares(stage) == {"CP1": 16.0, "CP2": 8.0, "CP3": 8.0}


def test_what_is_kept_for_each_is_there_when_it_is_silent():
    with played(safe_a=6.0) as stage:
        first = stage.simulate("CP1", version="1.6")
        charge(stage, "CP2")
        stage.advance(10)
        assert shares(stage) == {"CP1": 6.0, "CP2": 26.0}
        first.faults.cut()
        stage.advance(100)
        assert shares(stage) == {"CP1": 6.0, "CP2": 26.0}


def test_one_that_refuses_keeps_what_it_may_draw_and_is_asked_again():
    with played() as stage:
        first = charge(stage, "CP1")
        first.answers["SetChargingProfile"] = refusing()
        charge(stage, "CP2")
        stage.advance(10)
        assert shares(stage) == {"CP1": 32.0, "CP2": 0.0}
        assert states(stage) == {"CP1": "refused", "CP2": "waiting"}
        del first.answers["SetChargingProfile"]
        first.answers.update(first.commands.answers())
        stage.advance(70)
        assert shares(stage) == {"CP1": 16.0, "CP2": 16.0}


def test_one_that_has_never_accepted_a_limit_may_draw_all_that_it_can():
    with played(limit_a=50.0, wiring=(Wiring(charge_points=("CP1",), max_a=40.0),)) as stage:
        first = stage.simulate("CP1", version="1.6")
        first.answers["SetChargingProfile"] = refusing()
        stage.advance(60)
        charge(stage, "CP2")
        stage.advance(10)
        assert shares(stage) == {"CP1": None, "CP2": 10.0}


def test_a_tag_or_its_group_has_more_weight():
    with played(priorities=(Priority(tags=("staff",), weight=3),)) as stage:
        stage.store.collections.tags.put(Tag(id_tag="T9", parent="STAFF"))
        charge(stage, "CP1", "T9")
        charge(stage, "CP2", "T2")
        stage.advance(10)
        assert shares(stage) == {"CP1": 21.0, "CP2": 11.0}


def test_more_cars_than_the_limit_carries_take_turns():
    with played(limit_a=10.0, turn_min=15.0) as stage:
        charge(stage, "CP1")
        charge(stage, "CP2")
        stage.advance(10)
        assert shares(stage) == {"CP1": 10.0, "CP2": 0.0}
        stage.advance(15 * 60)
        assert shares(stage) == {"CP1": 0.0, "CP2": 10.0}
        stage.advance(15 * 60 + 10)
        assert shares(stage) == {"CP1": 10.0, "CP2": 0.0}


@VERSIONS
def test_what_a_car_does_not_use_goes_to_others_and_comes_back(version):
    with played(limit_a=40.0) as stage:
        charge(stage, "CP1", version=version)  # takes 11 kW, 16 A
        charge(stage, "CP2", version=version)
        stage.advance(10)
        assert shares(stage) == {"CP1": 20.0, "CP2": 20.0}
        third = charge(stage, "CP3", version=version)
        stage.advance(600)
        assert sum(shares(stage).values()) == pytest.approx(40.0, abs=0.3)
        third.suspend()
        stage.advance(600)
        assert states(stage)["CP3"] == "full"
        assert shares(stage)["CP3"] in (0.0, 6.0)
        assert min(shares(stage)[one] for one in ("CP1", "CP2")) >= 16.0
        third.resume()
        stage.advance(300)
        assert shares(stage)["CP3"] >= 6.0


def test_phases_that_a_car_does_not_use_are_left_to_others():
    wiring = (
        Wiring(charge_points=("CP1",), phases="1"),
        Wiring(charge_points=("CP2",), phases="2"),
    )
    with played(wiring=wiring) as stage:
        charge(stage, "CP1")
        charge(stage, "CP2")
        stage.advance(10)
        assert shares(stage) == {"CP1": 32.0, "CP2": 32.0}
        charge(stage, "CP3")
        stage.advance(10)
        assert shares(stage) == {"CP1": 16.0, "CP2": 16.0, "CP3": 16.0}


def test_currents_of_phases_tell_which_ones_a_car_uses():
    with played(limit_a=20.0) as stage:
        charge(stage, "CP1")
        second = charge(stage, "CP2")
        stage.advance(60)
        stage.settle()
        values = [
            v16.SampledValue(value=value, measurand=v16.Measurand.CURRENT_IMPORT, phase=phase)
            for phase, value in ((v16.Phase.L1, "0"), (v16.Phase.L2, "9.8"), (v16.Phase.L3, "0"))
        ]
        second.meter(0, values=values)
        stage.settle()
        (drawn,) = [one["drawn_a"] for one in site(stage)["charge_points"] if one["id"] == "CP2"]
        assert drawn == {"L1": 0.0, "L2": 9.8, "L3": 0.0}


def test_a_limit_in_watts_is_that_of_all_phases_together():
    with played(limit_a=0.0, limit_w=13_800.0) as stage:
        charge(stage, "CP1")
        stage.advance(10)
        assert shares(stage) == {"CP1": 20.0}


def test_a_schedule_changes_the_limit():
    schedule = (Period(begin="01:00", end="02:00", limit_a=8.0),)
    with played(limit_a=12.0, schedule=schedule) as stage:
        charge(stage, "CP1")
        stage.advance(3590)
        assert shares(stage) == {"CP1": 12.0}
        stage.advance(20)
        assert shares(stage) == {"CP1": 8.0}
        stage.advance(3600)
        assert shares(stage) == {"CP1": 12.0}


@pytest.mark.parametrize(
    ("period", "at", "holds"),
    [
        ({}, "2026-11-28T12:00", True),
        ({"begin": "22:00", "end": "06:00"}, "2026-11-28T23:00", True),
        ({"begin": "22:00", "end": "06:00"}, "2026-11-28T05:59", True),
        ({"begin": "22:00", "end": "06:00"}, "2026-11-28T06:00", False),
        ({"begin": "22:00", "end": "06:00", "days": ("Fri",)}, "2026-11-28T05:00", True),
        ({"begin": "22:00", "end": "06:00", "days": ("Fri",)}, "2026-11-28T23:00", False),
        ({"begin": "08:00", "end": "09:00"}, "2026-11-28T09:00", False),
    ],
)
def test_a_period_holds_on_its_days_and_over_midnight(period, at, holds):
    assert Period(**period).holds(dt.datetime.fromisoformat(at)) is holds


def test_what_others_draw_by_the_meter_is_taken_off_the_limit():
    with played(limit_a=50.0, meter=True, meter_silent_a=8.0) as stage:
        charge(stage, "CP1")
        stage.advance(10)
        assert shares(stage) == {"CP1": 8.0}
        stage.request("load", "PUT", "sites/home/meter", b'{"L1": 30, "L2": 10, "L3": 38}')
        stage.advance(10)
        assert shares(stage) == {"CP1": 12.0}
        stage.advance(60)
        assert shares(stage) == {"CP1": 8.0}


def test_another_plugin_reports_the_meter_of_a_site(tmp_path):
    file = tmp_path / "meter.json"
    file.write_text('{"L1": 30, "L2": 10, "L3": 38}')
    reader = runpy.run_path(str(METER))["SiteMeter"].spec(str(file), "home")
    with Stage(spec(limit_a=50.0, meter=True), reader, bundled=True) as stage:
        charge(stage, "CP1")
        stage.advance(10)
        assert shares(stage) == {"CP1": 12.0}
        file.write_text('{"L1": 55, "L2": 45, "L3": 35}')  # with 16 A of the vehicle
        stage.advance(60)
        assert shares(stage)["CP1"] < 12.0


def test_a_limit_that_somebody_else_sets_is_counted_and_replaced():
    with played() as stage:
        first = charge(stage, "CP1")
        charge(stage, "CP2")
        stage.advance(10)
        stage.limit("CP1", amps=25.0, phases=3)
        stage.settle()
        stage.advance(2)
        limits = [
            float(one.cs_charging_profiles.charging_schedule.charging_schedule_period[0].limit)
            for one in stage.sent("CP1", v16.SetChargingProfile)
        ]
        assert limits[-2:] == [25.0, 16.0]
        assert first.online
        stage.clear_limit("CP1")
        stage.advance(2)
        assert shares(stage) == {"CP1": 16.0, "CP2": 16.0}


def test_currents_in_a_transaction_event_are_seen():
    with played(limit_a=20.0) as stage:
        point = stage.connect("CP1", subprotocol="ocpp2.0.1")
        boot = {"reason": "PowerUp", "chargingStation": {"model": "M", "vendorName": "V"}}
        point.call("BootNotification", boot)
        now = dt.datetime.fromtimestamp(stage.clock.time(), dt.UTC).isoformat()
        event = {
            "eventType": "Started",
            "timestamp": now,
            "triggerReason": "Authorized",
            "seqNo": 0,
            "transactionInfo": {"transactionId": "T", "chargingState": "Charging"},
            "evse": {"id": 1},
        }
        point.call("TransactionEvent", event)
        stage.advance(1)
        samples = [
            {
                "value": value,
                "measurand": "Current.Import",
                "phase": phase,
                "unitOfMeasure": {"unit": "A", "multiplier": -1},
            }
            for phase, value in (("L1", 98), ("L2", 0), ("L3", 0))
        ]
        told = {"eventType": "Updated", "triggerReason": "MeterValuePeriodic", "seqNo": 1}
        told["meterValue"] = [{"timestamp": now, "sampledValue": samples}]
        point.call("TransactionEvent", {key: one for key, one in (event | told).items() if key != "evse"})
        (view,) = site(stage)["charge_points"]
        assert view["drawn_a"] == {"L1": 9.8, "L2": 0.0, "L3": 0.0}


def test_a_limit_that_is_not_kept_is_an_alert_and_is_reserved():
    with played(limit_a=20.0) as stage:
        first = charge(stage, "CP1")
        stage.advance(100)
        first.charging.profiles.installed.clear()
        first.charging.profiles.set = lambda *_: v16.ChargingProfileStatus.ACCEPTED
        charge(stage, "CP2")
        stage.advance(300)
        alerts = [one.charge_point_id for one in stage.events.of(AlertRaised)]
        assert alerts == ["CP1"]
        assert shares(stage)["CP2"] == 0.0


def test_another_instance_goes_on_with_what_was_accepted():
    with played() as stage:
        charge(stage, "CP1")
        stage.advance(10)
        store = stage.store
    with Stage(spec(), bundled=True, store=store) as second:
        second.advance(100)
        assert shares(second) == {"CP1": 32.0}
        assert states(second) == {"CP1": "silent"}
        charge(second, "CP2")
        second.advance(10)
        assert shares(second) == {"CP1": 32.0, "CP2": 0.0}


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({}, "plugins.load.sites: missing"),
        ({"sites": [{"name": "a", "charge_points": ["*"]}]}, "sites.0.limit_a: missing"),
        ({"sites": [{"name": "a", "limit_a": 5}]}, "sites.0.charge_points: missing"),
        ({"sites": [{"charge_points": ["*"], "limit_a": 5}]}, "sites.0.name: missing"),
        (
            {"sites": [{"name": "a", "charge_points": ["*"], "limit_a": 5, "zone": "Mars"}]},
            'sites.0.zone: there is no time zone "Mars"',
        ),
        (
            {"sites": [{"name": "a", "charge_points": ["*"], "limit_w": 5, "meter": True}]},
            "sites.0.meter: needs limit_a",
        ),
        (
            {"sites": [{"name": "a", "charge_points": ["*"], "limit": 5}]},
            'sites.0.limit: unknown; did you mean "limit_',
        ),
    ],
)
def test_settings_of_no_use_are_told(given, error):
    with pytest.raises(ConfigError) as caught:
        load_plugin(
            PluginSettings(
                class_name="chargehand.plugins.load_management:LoadManagement", name="load", settings=given
            )
        )
    assert error in str(caught.value)
