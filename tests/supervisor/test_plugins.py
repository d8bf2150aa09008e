"""A plugin's failures: a fallback for the call, for the pair, a restart; and what its supervisor keeps."""

import gevent
import pytest
from gevent.event import Event

from chargehand import OcppError, passive

from ..hub import settle, until
from .failing_plugins import ACCEPTED, NAMES, SUPERVISION, Moody, authorize, spend
from .plugins_harness import DEADLINE_S, Ward

# The pair of one charge point and one action


def test_a_pair_that_failed_three_times_is_answered_for_without_asking(ward, story, fleet):
    story.bad.add("CP1")
    for number in range(5):
        assert authorize(fleet["CP1"]) == "InternalError"
        assert len(story.seen) == min(number + 1, 3)
    assert authorize(fleet["CP2"]) == ACCEPTED
    assert ward.count("handler_failed") == 3
    assert ward.count("fallback") == 5


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
def test_every_way_to_fail_counts(ward, story, fleet, how, advance):
    story.bad.add("CP1")
    story.how = how
    for _ in range(3):
        fleet["CP1"].send([2, "x", "Authorize", {"idTag": "T1"}])
        ward.advance(advance)
        assert fleet["CP1"].take()[0][2] == "InternalError"
    story.bad.clear()
    assert authorize(fleet["CP1"]) == "InternalError"
    assert len(story.seen) == 3


def test_after_the_probe_time_one_call_is_let_through_and_a_success_makes_it_whole(ward, story, fleet):
    story.bad.add("CP1")
    for _ in range(4):
        authorize(fleet["CP1"])
    ward.advance(SUPERVISION["trial_call_s"])
    assert authorize(fleet["CP1"]) == "InternalError"  # the probe, and it fails
    assert len(story.seen) == 4
    assert authorize(fleet["CP1"]) == "InternalError"
    assert len(story.seen) == 4
    story.bad.clear()
    ward.advance(SUPERVISION["trial_call_s"])
    assert [authorize(fleet["CP1"]) for _ in range(3)] == [ACCEPTED] * 3


def test_a_plugin_that_refuses_on_purpose_has_not_failed(ward, story, fleet):
    def refuse(_):
        raise OcppError(description="no")

    story.bad |= set(NAMES)
    story.how = refuse
    for _ in range(5):
        for name in NAMES:
            assert authorize(fleet[name]) == "GenericError"
    assert len(story.seen) == 5 * len(NAMES)
    assert story.made == 1


# The plugin


def test_failures_of_two_charge_points_do_not_touch_the_plugin(ward, story, fleet):
    story.bad |= {"CP1", "CP2"}
    for _ in range(10):
        authorize(fleet["CP1"])
        authorize(fleet["CP2"])
    assert story.made == 1
    assert ward.described("Moody")["restarts"] == 0


def test_failures_of_three_start_it_again_and_spend_its_budget(ward, story, fleet):
    spend(ward, story, fleet)
    assert story.made == story.started == 2
    row = ward.described("Moody")
    assert (row["state"], row["restarts"], row["last_crash"]) == ("running", 1, "Planted()")
    assert authorize(fleet["CP4"]) == ACCEPTED


def test_a_handler_that_runs_while_its_plugin_is_started_again_may_finish(ward, story, fleet):
    let_go = Event()
    story.bad.add("CP4")
    story.how = lambda _: let_go.wait() and ACCEPTED
    fleet["CP4"].send([2, "slow", "Authorize", {"idTag": "T1"}])
    story.how = story.raise_
    story.bad.discard("CP4")
    spend(ward, story, fleet)
    assert story.made == 2
    let_go.set()
    settle()
    assert fleet["CP4"].take() == [[3, "slow", ACCEPTED]]


def test_one_that_is_killed_idle_comes_back_and_loses_nothing(ward, story, fleet):
    ward.plugin("Moody").kill()
    assert authorize(fleet["CP1"]) == ACCEPTED
    assert story.made == 2
    assert ward.described("Moody")["restarts"] == 1
    assert (ward.count("plugin_crashed"), ward.count("plugin_restarted")) == (1, 1)


def test_calls_that_come_while_it_waits_for_its_restart_are_answered_after_it(ward, story, fleet):
    for _ in range(2):
        ward.plugin("Moody").kill()
        settle()
    assert ward.described("Moody")["state"] == "waiting"
    fleet["CP1"].send([2, "x", "Authorize", {"idTag": "T1"}])
    assert fleet["CP1"].take() == []
    ward.advance(1.0)
    assert fleet["CP1"].take() == [[3, "x", ACCEPTED]]


# Shadows


class Generous(Moody):
    """Another one that answers the same."""

    @passive("Authorize")
    def authorize(self, call):
        return {"idTagInfo": {"status": "Blocked"}}


def test_a_promotion_outlives_a_restart_of_their_supervisor(story, store):
    specs = (Moody.spec(story), Generous.spec(story, shadow=True))
    with Ward(*specs, store=store, **SUPERVISION) as ward:
        charge_point = ward.connect()
        assert authorize(charge_point) == ACCEPTED
        assert ward.system.promote("Generous") is True
        assert authorize(charge_point)["idTagInfo"]["status"] == "Blocked"
        ward.system._tree.cells["plugins"].kill()
        until(lambda: ward.system.describe()["children"][0]["state"] == "running" and ward.plugin("Generous"))
        charge_point = ward.connect()
        assert authorize(charge_point)["idTagInfo"]["status"] == "Blocked"
        assert ward.system.promote("Generous") is False
