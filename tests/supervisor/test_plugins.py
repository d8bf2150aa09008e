"""Failures of a plugin: a fallback for the call, an open circuit breaker, a restart; and the state that survives."""

import gevent
import pytest
from gevent.event import Event

from chargehand import OcppError, passive

from ..hub import settle, until
from .failing_plugins import ACCEPTED, NAMES, SUPERVISION, FailingPlugin, authorize, spend
from .system_harness import DEADLINE_S, SystemHarness

# The circuit breaker of one charge point and one action


def test_an_open_circuit_breaker_answers_without_asking_the_plugin(system_harness, plan, fleet):
    plan.bad.add("CP1")
    for number in range(5):
        assert authorize(fleet["CP1"]) == "InternalError"
        assert len(plan.seen) == min(number + 1, 3)
    assert authorize(fleet["CP2"]) == ACCEPTED
    assert system_harness.count("handler_failed") == 3
    assert system_harness.count("fallback") == 5


@pytest.mark.parametrize(
    ("how", "advance"),
    [
        (lambda _: 42, 0),
        (lambda _: {"idTagInfo": {"status": "Purple"}}, 0),
        (lambda _: gevent.sleep(3600), DEADLINE_S),
        (lambda call: call.later(), DEADLINE_S),
    ],
    ids=["nonsense", "an unknown status", "hangs", "never answers"],
)
def test_every_way_to_fail_counts(system_harness, plan, fleet, how, advance):
    plan.bad.add("CP1")
    plan.how = how
    for _ in range(3):
        fleet["CP1"].send([2, "x", "Authorize", {"idTag": "T1"}])
        system_harness.advance(advance)
        assert fleet["CP1"].take()[0][2] == "InternalError"
    plan.bad.clear()
    assert authorize(fleet["CP1"]) == "InternalError"
    assert len(plan.seen) == 3


def test_a_half_open_breaker_lets_one_trial_call_pass_and_its_success_closes_it(system_harness, plan, fleet):
    plan.bad.add("CP1")
    for _ in range(4):
        authorize(fleet["CP1"])
    system_harness.advance(SUPERVISION["trial_call_s"])
    assert authorize(fleet["CP1"]) == "InternalError"  # the trial call, which fails
    assert len(plan.seen) == 4
    assert authorize(fleet["CP1"]) == "InternalError"
    assert len(plan.seen) == 4
    plan.bad.clear()
    system_harness.advance(SUPERVISION["trial_call_s"])
    assert [authorize(fleet["CP1"]) for _ in range(3)] == [ACCEPTED] * 3


def test_a_plugin_that_refuses_on_purpose_has_not_failed(system_harness, plan, fleet):
    def refuse(_):
        raise OcppError(description="no")

    plan.bad |= set(NAMES)
    plan.how = refuse
    for _ in range(5):
        for name in NAMES:
            assert authorize(fleet[name]) == "GenericError"
    assert len(plan.seen) == 5 * len(NAMES)
    assert plan.made == 1


# The plugin


def test_failures_of_two_charge_points_do_not_touch_the_plugin(system_harness, plan, fleet):
    plan.bad |= {"CP1", "CP2"}
    for _ in range(10):
        authorize(fleet["CP1"])
        authorize(fleet["CP2"])
    assert plan.made == 1
    assert system_harness.described("FailingPlugin")["restarts"] == 0


def test_failures_of_three_start_it_again_and_spend_its_budget(system_harness, plan, fleet):
    spend(system_harness, plan, fleet)
    assert plan.made == plan.started == 2
    row = system_harness.described("FailingPlugin")
    assert (row["state"], row["restarts"], row["last_crash"]) == ("running", 1, "PlantedFault()")
    assert authorize(fleet["CP4"]) == ACCEPTED


def test_a_handler_that_runs_while_its_plugin_is_started_again_may_finish(system_harness, plan, fleet):
    let_go = Event()
    plan.bad.add("CP4")
    plan.how = lambda _: let_go.wait() and ACCEPTED
    fleet["CP4"].send([2, "slow", "Authorize", {"idTag": "T1"}])
    plan.how = plan.raise_
    plan.bad.discard("CP4")
    spend(system_harness, plan, fleet)
    assert plan.made == 2
    let_go.set()
    settle()
    assert fleet["CP4"].take() == [[3, "slow", ACCEPTED]]


def test_one_that_is_killed_idle_comes_back_and_loses_nothing(system_harness, plan, fleet):
    system_harness.plugin("FailingPlugin").kill()
    assert authorize(fleet["CP1"]) == ACCEPTED
    assert plan.made == 2
    assert system_harness.described("FailingPlugin")["restarts"] == 1
    assert (system_harness.count("plugin_crashed"), system_harness.count("plugin_restarted")) == (1, 1)


def test_calls_that_come_while_it_waits_for_its_restart_are_answered_after_it(system_harness, plan, fleet):
    for _ in range(2):
        system_harness.plugin("FailingPlugin").kill()
        settle()
    assert system_harness.described("FailingPlugin")["state"] == "waiting"
    fleet["CP1"].send([2, "x", "Authorize", {"idTag": "T1"}])
    assert fleet["CP1"].take() == []
    system_harness.advance(1.0)
    assert fleet["CP1"].take() == [[3, "x", ACCEPTED]]


# Shadows


class OtherFailingPlugin(FailingPlugin):
    """Another plugin with the same behaviour."""

    @passive("Authorize")
    def authorize(self, call):
        return {"idTagInfo": {"status": "Blocked"}}


def test_a_promotion_outlives_a_restart_of_their_supervisor(plan, store):
    specs = (FailingPlugin.spec(plan), OtherFailingPlugin.spec(plan, shadow=True))
    with SystemHarness(*specs, store=store, **SUPERVISION) as system_harness:
        charge_point = system_harness.connect()
        assert authorize(charge_point) == ACCEPTED
        assert system_harness.system.promote("OtherFailingPlugin") is True
        assert authorize(charge_point)["idTagInfo"]["status"] == "Blocked"
        system_harness.system._parts.tree.cells["plugins"].kill()
        until(
            lambda: (
                system_harness.system.describe()["children"][0]["state"] == "running"
                and system_harness.plugin("OtherFailingPlugin")
            )
        )
        charge_point = system_harness.connect()
        assert authorize(charge_point)["idTagInfo"]["status"] == "Blocked"
        assert system_harness.system.promote("OtherFailingPlugin") is False
