"""A plugin over its restart intensity is in quarantine: fallbacks answer until it is released."""

import pytest
from gevent.event import Event

from chargehand import ChargePointOnline, OcppError, Plugin, on

from ..actors.messages_of_v16 import METER_VALUES
from ..hub import settle
from .failing_plugins import (
    ACCEPTED,
    NAMES,
    SUPERVISION,
    FailingPlugin,
    FailurePlan,
    authorize,
    quarantine,
    spend,
)
from .system_harness import DEADLINE_S, SystemHarness

# Quarantine


def test_over_its_budget_it_is_quarantined_and_fallbacks_answer(system_harness, plan, fleet):
    quarantine(system_harness, plan, fleet)
    assert system_harness.system.quarantined() == [
        {"plugin": "FailingPlugin", "last_crash": "PlantedFault()", "times": 1}
    ]
    assert system_harness.described("FailingPlugin")["state"] == "quarantined"
    assert system_harness.count("plugin_quarantined") == 1
    assert authorize(fleet["CP4"]) == "InternalError"
    assert fleet["CP4"].call("Heartbeat")[2]["currentTime"].startswith("2026-")
    assert fleet["CP4"].call("MeterValues", METER_VALUES)[2] == {}
    assert plan.seen == []


def test_what_waits_for_it_then_is_answered_by_fallbacks_at_once(plan, store):
    with SystemHarness(
        FailingPlugin.spec(plan, concurrency=1), store=store, **{**SUPERVISION, "intensity": 0}
    ) as system_harness:
        fleet = {name: system_harness.connect(name) for name in NAMES}
        holding, working = Event(), Event()
        plan.bad |= set(NAMES)
        for name in ("CP1", "CP2"):
            assert authorize(fleet[name]) == "InternalError"
        ways = {
            "last": lambda: holding.wait() and plan.raise_(None),
            "a": lambda: working.wait() and ACCEPTED,
        }
        plan.how = lambda call: ways[call.unique_id]()
        fleet["CP3"].send([2, "last", "Authorize", {"idTag": "T1"}])
        fleet["CP4"].send([2, "a", "Authorize", {"idTag": "T1"}])
        fleet["CP4"].send([2, "m", "MeterValues", METER_VALUES])
        system_harness.connect("CP5")  # an event
        asked = system_harness.plugin("FailingPlugin").ref.proxy().plan
        assert fleet["CP4"].take() == []
        holding.set()
        settle()
        assert system_harness.plugin("FailingPlugin").quarantined
        assert fleet["CP3"].take()[0][:3] == [4, "last", "InternalError"]
        assert fleet["CP4"].take() == [[3, "m", {}]]
        assert [record.unique_id for record in store.spooled()] == ["m"]
        assert system_harness.plugin("FailingPlugin").depth == 1  # the ask
        working.set()  # a handler that has begun may finish
        settle()
        assert fleet["CP4"].take() == [[3, "a", ACCEPTED]]
        system_harness.advance(DEADLINE_S)
        assert len(store.spooled()) == 1
        assert system_harness.live(lambda: system_harness.system.release("FailingPlugin")) is True
        assert system_harness.live(lambda: asked.get(timeout=60)) is plan


def test_nobody_else_is_touched_by_that(system_harness, plan, fleet):
    quarantine(system_harness, plan, fleet)
    # The back office answers what it always did, and the root has not noticed.
    assert fleet["CP4"].call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})[2][
        "status"
    ] == ("Accepted")
    assert system_harness.described("back-office")["restarts"] == 0
    assert [child["state"] for child in system_harness.system.describe()["children"]] == ["running"] * 3
    assert system_harness.system.wait(0) is False


def test_a_quarantined_plugin_hears_of_nothing_and_missed_events_do_not_wait(system_harness, plan, fleet):
    quarantine(system_harness, plan, fleet)
    plan.online.clear()
    system_harness.connect("CP9")
    system_harness.advance(SUPERVISION["quarantine_s"])
    system_harness.connect("CP8")
    assert plan.online == []
    assert authorize(fleet["CP1"]) == ACCEPTED  # the trial call
    system_harness.connect("CP7")
    assert plan.online == ["CP7"]


def test_one_that_does_not_start_again_is_quarantined_too_and_its_supervisor_lives(
    system_harness, plan, fleet
):
    plan.may_start = False
    system_harness.plugin("FailingPlugin").kill()
    system_harness.advance(5.0)
    assert system_harness.described("FailingPlugin")["state"] == "quarantined"
    assert system_harness.described("FailingPlugin")["last_crash"] == "PlantedFault('it does not start')"
    assert system_harness.described("back-office")["state"] == "running"
    plan.may_start = True
    system_harness.advance(SUPERVISION["quarantine_s"])
    assert authorize(fleet["CP1"]) == ACCEPTED


# The way back


def test_after_its_time_a_call_that_goes_well_releases_it(system_harness, plan, fleet):
    quarantine(system_harness, plan, fleet)
    quarantined_for = 1.0  # the last advance of spend()
    system_harness.advance(SUPERVISION["quarantine_s"] - quarantined_for - 0.01)
    assert authorize(fleet["CP1"]) == "InternalError"
    system_harness.advance(0.02)
    assert authorize(fleet["CP1"]) == ACCEPTED
    assert system_harness.system.quarantined() == []
    assert system_harness.described("FailingPlugin")["state"] == "running"
    assert system_harness.count("plugin_released") == 1


def test_each_quarantine_is_twice_as_long_as_the_one_before(system_harness, plan, fleet):
    for times in range(1, 4):
        quarantine(system_harness, plan, fleet)
        assert system_harness.system.quarantined()[0]["times"] == times
        system_harness.advance(SUPERVISION["quarantine_s"] * 2 ** (times - 1) - 1.01)
        assert authorize(fleet["CP1"]) == "InternalError"
        system_harness.advance(0.02)
        assert authorize(fleet["CP1"]) == ACCEPTED
        assert system_harness.system.quarantined() == []


@pytest.mark.parametrize("quiet_s", [59.0, 61.0])
def test_after_a_quiet_time_the_next_quarantine_is_short_again(system_harness, plan, fleet, quiet_s):
    quarantine(system_harness, plan, fleet)
    system_harness.live(lambda: system_harness.system.release("FailingPlugin"))
    system_harness.advance(quiet_s - SUPERVISION["intensity"])  # as long as it takes to spend the budget
    quarantine(system_harness, plan, fleet)
    system_harness.advance(SUPERVISION["quarantine_s"])
    assert authorize(fleet["CP1"]) == (ACCEPTED if quiet_s > 60 else "InternalError")


def test_one_call_is_let_through_and_fallbacks_answer_the_others_until_it_has_ended(
    system_harness, plan, fleet
):
    quarantine(system_harness, plan, fleet)
    system_harness.advance(SUPERVISION["quarantine_s"])
    assert system_harness.described("FailingPlugin")["state"] == "on_trial"
    let_go = Event()
    plan.bad, plan.how = {"CP1"}, lambda _: let_go.wait() and ACCEPTED
    fleet["CP1"].send([2, "probe", "Authorize", {"idTag": "T1"}])
    for name in NAMES:
        assert authorize(fleet[name]) == "InternalError"
    assert [call.unique_id for call in plan.seen] == ["probe"]
    let_go.set()
    settle()
    assert fleet["CP1"].take() == [[3, "probe", ACCEPTED]]
    assert authorize(fleet["CP2"]) == ACCEPTED
    assert system_harness.described("FailingPlugin")["state"] == "running"
    assert system_harness.count("plugin_released") == 1


@pytest.mark.parametrize(
    ("how", "advance"), [(FailurePlan.raise_, 0), (lambda _: 42, 0), (lambda _: Event().wait(), DEADLINE_S)]
)
def test_a_trial_call_that_fails_puts_it_back_for_twice_as_long(system_harness, plan, fleet, how, advance):
    quarantine(system_harness, plan, fleet)
    system_harness.advance(SUPERVISION["quarantine_s"])
    made = plan.made
    plan.bad, plan.how = set(NAMES), how
    fleet["CP1"].send([2, "probe", "Authorize", {"idTag": "T1"}])
    system_harness.advance(advance)
    assert fleet["CP1"].take()[0][:3] == [4, "probe", "InternalError"]
    assert authorize(fleet["CP2"]) == "InternalError"
    assert [call.unique_id for call in plan.seen] == ["probe"]
    assert system_harness.system.quarantined()[0]["times"] == 2
    plan.bad.clear()
    system_harness.advance(SUPERVISION["quarantine_s"] * 2 - 0.01)
    assert authorize(fleet["CP2"]) == "InternalError"
    system_harness.advance(0.02)
    assert plan.made == made + 1
    assert authorize(fleet["CP2"]) == ACCEPTED
    assert system_harness.system.quarantined() == []


def test_a_trial_call_that_is_refused_on_purpose_is_a_success(system_harness, plan, fleet):
    def refuse(_):
        raise OcppError(description="no")

    quarantine(system_harness, plan, fleet)
    system_harness.advance(SUPERVISION["quarantine_s"])
    plan.bad, plan.how = {"CP1"}, refuse
    assert authorize(fleet["CP1"]) == "GenericError"
    assert system_harness.system.quarantined() == []


def test_a_trial_call_without_a_reported_end_is_followed_by_another(system_harness, plan, fleet):
    quarantine(system_harness, plan, fleet)
    system_harness.advance(SUPERVISION["quarantine_s"])
    plan.bad, plan.how = {"CP1"}, lambda _: Event().wait()
    fleet["CP1"].send([2, "probe", "Authorize", {"idTag": "T1"}])
    fleet["CP1"].hang_up()
    system_harness.advance(SUPERVISION["trial_call_s"] - 0.01)
    assert authorize(fleet["CP2"]) == "InternalError"
    system_harness.advance(0.02)
    assert authorize(fleet["CP2"]) == ACCEPTED
    assert system_harness.system.quarantined() == []


def test_a_plugin_that_ends_while_it_is_on_trial_is_put_back(system_harness, plan, fleet):
    quarantine(system_harness, plan, fleet)
    system_harness.advance(SUPERVISION["quarantine_s"])
    system_harness.plugin("FailingPlugin").kill()
    settle()
    assert system_harness.described("FailingPlugin")["state"] == "quarantined"
    assert system_harness.system.quarantined()[0]["times"] == 2


def test_a_command_releases_a_plugin_that_is_on_trial(system_harness, plan, fleet):
    quarantine(system_harness, plan, fleet)
    system_harness.advance(SUPERVISION["quarantine_s"])
    made = plan.made
    assert system_harness.live(lambda: system_harness.system.release("FailingPlugin")) is True
    assert (system_harness.described("FailingPlugin")["state"], plan.made) == ("running", made)


def test_its_restarts_go_on_being_counted(system_harness, plan, fleet):
    quarantine(system_harness, plan, fleet)
    before = system_harness.described("FailingPlugin")["restarts"]
    assert before == SUPERVISION["intensity"] + 1
    system_harness.advance(SUPERVISION["quarantine_s"])
    assert authorize(fleet["CP1"]) == ACCEPTED
    assert system_harness.described("FailingPlugin")["restarts"] == before + 1


def test_a_spooled_message_may_be_the_trial_call_each_time_of_another_charge_point(
    system_harness, plan, fleet, store
):
    quarantine(system_harness, plan, fleet)
    for name in ("CP1", "CP2"):
        fleet[name].call("MeterValues", METER_VALUES, name)
    plan.bad.add("CP1")
    system_harness.advance(SUPERVISION["quarantine_s"])
    assert [call.unique_id for call in plan.seen] == ["CP1"]
    assert system_harness.system.quarantined()[0]["times"] == 2
    system_harness.advance(SUPERVISION["quarantine_s"] * 2)
    assert [call.unique_id for call in plan.seen] == [
        "CP1",
        "CP2",
        "CP1",
    ]  # the last one when it was released
    assert system_harness.system.quarantined() == []
    assert [record.unique_id for record in store.spooled()] == ["CP1"]


class SilentPlugin(Plugin):
    """Answers nothing; its handler may hang."""

    def __init__(self, plan):
        super().__init__()
        self.plan = plan

    @on(ChargePointOnline)
    def came(self, event):
        self.plan.online.append(event.charge_point_id)
        if event.charge_point_id in self.plan.bad:
            Event().wait()


def test_a_plugin_that_answers_nothing_is_tried_with_an_event(plan, store):
    with SystemHarness(
        SilentPlugin.spec(plan), store=store, **{**SUPERVISION, "intensity": 0}
    ) as system_harness:
        plan.bad |= set(NAMES)
        for name in NAMES[:3]:
            system_harness.connect(name)
        system_harness.advance(DEADLINE_S)
        assert system_harness.described("SilentPlugin")["state"] == "quarantined"
        plan.online.clear()
        system_harness.advance(SUPERVISION["quarantine_s"])
        system_harness.connect("CP4")
        system_harness.connect("CP5")
        assert plan.online == ["CP4"]
        system_harness.advance(DEADLINE_S)
        assert system_harness.system.quarantined()[0]["times"] == 2
        system_harness.advance(SUPERVISION["quarantine_s"] * 2)
        system_harness.connect("CP6")
        assert system_harness.system.quarantined() == []


def test_a_release_by_command_leaves_no_timer_that_would_end_the_next_quarantine(system_harness, plan, fleet):
    quarantine(system_harness, plan, fleet)
    system_harness.advance(20)
    assert system_harness.live(lambda: system_harness.system.release("FailingPlugin")) is True
    assert authorize(fleet["CP1"]) == ACCEPTED
    quarantine(system_harness, plan, fleet)
    system_harness.advance(SUPERVISION["quarantine_s"] - 20)  # the first one's timer is over by now
    assert system_harness.system.quarantined() != []
    system_harness.advance(SUPERVISION["quarantine_s"] + 20)
    assert authorize(fleet["CP1"]) == ACCEPTED
    assert system_harness.system.quarantined() == []


def test_what_is_in_no_quarantine_cannot_be_released(system_harness):
    assert system_harness.live(lambda: system_harness.system.release("FailingPlugin")) is False
    assert system_harness.live(lambda: system_harness.system.release("back-office")) is False
    assert system_harness.live(lambda: system_harness.system.release("redelivery")) is False
    assert system_harness.live(lambda: system_harness.system.release("nobody")) is False


def test_a_released_plugin_begins_with_a_clean_slate(system_harness, plan, fleet):
    quarantine(system_harness, plan, fleet)
    system_harness.live(lambda: system_harness.system.release("FailingPlugin"))
    assert system_harness.plugin("FailingPlugin").breakers.failing == {}
    spend(system_harness, plan, fleet)  # one crash does not put it back
    assert system_harness.system.quarantined() == []


def test_without_a_quarantine_time_only_a_command_releases_it(plan, store):
    with SystemHarness(
        FailingPlugin.spec(plan), store=store, **{**SUPERVISION, "quarantine_s": 0.0}
    ) as system_harness:
        fleet = {name: system_harness.connect(name) for name in NAMES}
        quarantine(system_harness, plan, fleet)
        system_harness.advance(10_000)
        assert system_harness.system.quarantined() != []
        assert system_harness.live(lambda: system_harness.system.release("FailingPlugin")) is True
        assert authorize(fleet["CP1"]) == ACCEPTED
