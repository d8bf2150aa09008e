"""A plugin over its budget is in quarantine: fallbacks answer; and the way back."""

import pytest
from gevent.event import Event

from chargehand import OcppError, Plugin, on_online

from ..actors.messages_of_v16 import METER_VALUES
from ..hub import settle
from .failing_plugins import ACCEPTED, NAMES, SUPERVISION, Moody, Story, authorize, quarantine, spend
from .plugins_harness import DEADLINE_S, Ward

# Quarantine


def test_over_its_budget_it_is_quarantined_and_stand_ins_answer(ward, story, fleet):
    quarantine(ward, story, fleet)
    assert ward.system.quarantined() == [{"plugin": "Moody", "last_crash": "Planted()", "times": 1}]
    assert ward.described("Moody")["state"] == "quarantined"
    assert ward.count("plugin_quarantined") == 1
    assert authorize(fleet["CP4"]) == "InternalError"
    assert fleet["CP4"].call("Heartbeat")[2]["currentTime"].startswith("2026-")
    assert fleet["CP4"].call("MeterValues", METER_VALUES)[2] == {}
    assert story.seen == []


def test_what_waits_for_it_then_is_answered_by_stand_ins_at_once(story, store):
    with Ward(Moody.spec(story, concurrency=1), store=store, **{**SUPERVISION, "intensity": 0}) as ward:
        fleet = {name: ward.connect(name) for name in NAMES}
        holding, working = Event(), Event()
        story.bad |= set(NAMES)
        for name in ("CP1", "CP2"):
            assert authorize(fleet[name]) == "InternalError"
        ways = {
            "last": lambda: holding.wait() and story.raise_(None),
            "a": lambda: working.wait() and ACCEPTED,
        }
        story.how = lambda call: ways[call.unique_id]()
        fleet["CP3"].send([2, "last", "Authorize", {"idTag": "T1"}])
        fleet["CP4"].send([2, "a", "Authorize", {"idTag": "T1"}])
        fleet["CP4"].send([2, "m", "MeterValues", METER_VALUES])
        ward.connect("CP5")  # a notice
        asked = ward.plugin("Moody").ref.proxy().story
        assert fleet["CP4"].take() == []
        holding.set()
        settle()
        assert ward.plugin("Moody").quarantined
        assert fleet["CP3"].take()[0][:3] == [4, "last", "InternalError"]
        assert fleet["CP4"].take() == [[3, "m", {}]]
        assert [record.unique_id for record in store.spooled()] == ["m"]
        assert ward.plugin("Moody").depth == 1  # the ask
        working.set()  # a handler that has begun may finish
        settle()
        assert fleet["CP4"].take() == [[3, "a", ACCEPTED]]
        ward.advance(DEADLINE_S)
        assert len(store.spooled()) == 1
        assert ward.live(lambda: ward.system.release("Moody")) is True
        assert ward.live(lambda: asked.get(timeout=5)) is story


def test_nobody_else_is_touched_by_that(ward, story, fleet):
    quarantine(ward, story, fleet)
    # The back office answers what it always did, and the root has not noticed.
    assert fleet["CP4"].call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})[2][
        "status"
    ] == ("Accepted")
    assert ward.described("back-office")["restarts"] == 0
    assert [child["state"] for child in ward.system.describe()["children"]] == ["running"] * 3
    assert ward.system.wait(0) is False


def test_a_quarantined_plugin_hears_of_nothing_and_what_it_did_not_hear_does_not_wait(ward, story, fleet):
    quarantine(ward, story, fleet)
    story.online.clear()
    ward.connect("CP9")
    ward.advance(SUPERVISION["quarantine_s"])
    ward.connect("CP8")
    assert story.online == []
    assert authorize(fleet["CP1"]) == ACCEPTED  # the probe
    ward.connect("CP7")
    assert story.online == ["CP7"]


def test_one_that_does_not_start_again_is_quarantined_too_and_its_supervisor_lives(ward, story, fleet):
    story.may_start = False
    ward.plugin("Moody").kill()
    ward.advance(5.0)
    assert ward.described("Moody")["state"] == "quarantined"
    assert ward.described("Moody")["last_crash"] == "Planted('it does not start')"
    assert ward.described("back-office")["state"] == "running"
    story.may_start = True
    ward.advance(SUPERVISION["quarantine_s"])
    assert authorize(fleet["CP1"]) == ACCEPTED


# The way back


def test_after_its_time_a_call_that_goes_well_releases_it(ward, story, fleet):
    quarantine(ward, story, fleet)
    quarantined_for = 1.0  # the last advance of spend()
    ward.advance(SUPERVISION["quarantine_s"] - quarantined_for - 0.01)
    assert authorize(fleet["CP1"]) == "InternalError"
    ward.advance(0.02)
    assert authorize(fleet["CP1"]) == ACCEPTED
    assert ward.system.quarantined() == []
    assert ward.described("Moody")["state"] == "running"
    assert ward.count("plugin_released") == 1


def test_each_quarantine_is_twice_as_long_as_the_one_before(ward, story, fleet):
    for times in range(1, 4):
        quarantine(ward, story, fleet)
        assert ward.system.quarantined()[0]["times"] == times
        ward.advance(SUPERVISION["quarantine_s"] * 2 ** (times - 1) - 1.01)
        assert authorize(fleet["CP1"]) == "InternalError"
        ward.advance(0.02)
        assert authorize(fleet["CP1"]) == ACCEPTED
        assert ward.system.quarantined() == []


@pytest.mark.parametrize("quiet_s", [59.0, 61.0])
def test_after_a_quiet_time_the_next_quarantine_is_short_again(ward, story, fleet, quiet_s):
    quarantine(ward, story, fleet)
    ward.live(lambda: ward.system.release("Moody"))
    ward.advance(quiet_s - SUPERVISION["intensity"])  # as long as it takes to spend the budget
    quarantine(ward, story, fleet)
    ward.advance(SUPERVISION["quarantine_s"])
    assert authorize(fleet["CP1"]) == (ACCEPTED if quiet_s > 60 else "InternalError")


def test_one_call_is_let_through_and_stand_ins_answer_the_others_until_it_has_ended(ward, story, fleet):
    quarantine(ward, story, fleet)
    ward.advance(SUPERVISION["quarantine_s"])
    assert ward.described("Moody")["state"] == "on_trial"
    let_go = Event()
    story.bad, story.how = {"CP1"}, lambda _: let_go.wait() and ACCEPTED
    fleet["CP1"].send([2, "probe", "Authorize", {"idTag": "T1"}])
    for name in NAMES:
        assert authorize(fleet[name]) == "InternalError"
    assert [call.unique_id for call in story.seen] == ["probe"]
    let_go.set()
    settle()
    assert fleet["CP1"].take() == [[3, "probe", ACCEPTED]]
    assert authorize(fleet["CP2"]) == ACCEPTED
    assert ward.described("Moody")["state"] == "running"
    assert ward.count("plugin_released") == 1


@pytest.mark.parametrize(
    ("how", "advance"), [(Story.raise_, 0), (lambda _: 42, 0), (lambda _: Event().wait(), DEADLINE_S)]
)
def test_a_probe_that_fails_puts_it_back_for_twice_as_long(ward, story, fleet, how, advance):
    quarantine(ward, story, fleet)
    ward.advance(SUPERVISION["quarantine_s"])
    made = story.made
    story.bad, story.how = set(NAMES), how
    fleet["CP1"].send([2, "probe", "Authorize", {"idTag": "T1"}])
    ward.advance(advance)
    assert fleet["CP1"].take()[0][:3] == [4, "probe", "InternalError"]
    assert authorize(fleet["CP2"]) == "InternalError"
    assert [call.unique_id for call in story.seen] == ["probe"]
    assert ward.system.quarantined()[0]["times"] == 2
    story.bad.clear()
    ward.advance(SUPERVISION["quarantine_s"] * 2 - 0.01)
    assert authorize(fleet["CP2"]) == "InternalError"
    ward.advance(0.02)
    assert story.made == made + 1
    assert authorize(fleet["CP2"]) == ACCEPTED
    assert ward.system.quarantined() == []


def test_a_probe_that_refuses_on_purpose_is_a_success(ward, story, fleet):
    def refuse(_):
        raise OcppError(description="no")

    quarantine(ward, story, fleet)
    ward.advance(SUPERVISION["quarantine_s"])
    story.bad, story.how = {"CP1"}, refuse
    assert authorize(fleet["CP1"]) == "GenericError"
    assert ward.system.quarantined() == []


def test_a_probe_whose_end_nobody_hears_of_is_followed_by_another(ward, story, fleet):
    quarantine(ward, story, fleet)
    ward.advance(SUPERVISION["quarantine_s"])
    story.bad, story.how = {"CP1"}, lambda _: Event().wait()
    fleet["CP1"].send([2, "probe", "Authorize", {"idTag": "T1"}])
    fleet["CP1"].hang_up()
    ward.advance(SUPERVISION["trial_call_s"] - 0.01)
    assert authorize(fleet["CP2"]) == "InternalError"
    ward.advance(0.02)
    assert authorize(fleet["CP2"]) == ACCEPTED
    assert ward.system.quarantined() == []


def test_one_that_ends_while_it_is_probed_is_put_back(ward, story, fleet):
    quarantine(ward, story, fleet)
    ward.advance(SUPERVISION["quarantine_s"])
    ward.plugin("Moody").kill()
    settle()
    assert ward.described("Moody")["state"] == "quarantined"
    assert ward.system.quarantined()[0]["times"] == 2


def test_a_command_releases_one_that_is_probed(ward, story, fleet):
    quarantine(ward, story, fleet)
    ward.advance(SUPERVISION["quarantine_s"])
    made = story.made
    assert ward.live(lambda: ward.system.release("Moody")) is True
    assert (ward.described("Moody")["state"], story.made) == ("running", made)


def test_its_restarts_go_on_being_counted(ward, story, fleet):
    quarantine(ward, story, fleet)
    before = ward.described("Moody")["restarts"]
    assert before == SUPERVISION["intensity"] + 1
    ward.advance(SUPERVISION["quarantine_s"])
    assert authorize(fleet["CP1"]) == ACCEPTED
    assert ward.described("Moody")["restarts"] == before + 1


def test_a_spooled_message_may_be_the_probe_and_each_time_it_is_another_charge_points(
    ward, story, fleet, store
):
    quarantine(ward, story, fleet)
    for name in ("CP1", "CP2"):
        fleet[name].call("MeterValues", METER_VALUES, name)
    story.bad.add("CP1")
    ward.advance(SUPERVISION["quarantine_s"])
    assert [call.unique_id for call in story.seen] == ["CP1"]
    assert ward.system.quarantined()[0]["times"] == 2
    ward.advance(SUPERVISION["quarantine_s"] * 2)
    assert [call.unique_id for call in story.seen] == [
        "CP1",
        "CP2",
        "CP1",
    ]  # the last one when it was released
    assert ward.system.quarantined() == []
    assert [record.unique_id for record in store.spooled()] == ["CP1"]


class Deaf(Plugin):
    """Answers nothing; its on_online hangs, or not."""

    def __init__(self, story):
        super().__init__()
        self.story = story

    @on_online
    def came(self, charge_point):
        self.story.online.append(charge_point.id)
        if charge_point.id in self.story.bad:
            Event().wait()


def test_a_plugin_that_answers_nothing_is_probed_with_a_notice(story, store):
    with Ward(Deaf.spec(story), store=store, **{**SUPERVISION, "intensity": 0}) as ward:
        story.bad |= set(NAMES)
        for name in NAMES[:3]:
            ward.connect(name)
        ward.advance(DEADLINE_S)
        assert ward.described("Deaf")["state"] == "quarantined"
        story.online.clear()
        ward.advance(SUPERVISION["quarantine_s"])
        ward.connect("CP4")
        ward.connect("CP5")
        assert story.online == ["CP4"]
        ward.advance(DEADLINE_S)
        assert ward.system.quarantined()[0]["times"] == 2
        ward.advance(SUPERVISION["quarantine_s"] * 2)
        ward.connect("CP6")
        assert ward.system.quarantined() == []


def test_a_command_releases_it_and_the_timer_of_that_quarantine_does_not_end_the_next(ward, story, fleet):
    quarantine(ward, story, fleet)
    ward.advance(20)
    assert ward.live(lambda: ward.system.release("Moody")) is True
    assert authorize(fleet["CP1"]) == ACCEPTED
    quarantine(ward, story, fleet)
    ward.advance(SUPERVISION["quarantine_s"] - 20)  # the first one's timer is over by now
    assert ward.system.quarantined() != []
    ward.advance(SUPERVISION["quarantine_s"] + 20)
    assert authorize(fleet["CP1"]) == ACCEPTED
    assert ward.system.quarantined() == []


def test_what_is_in_no_quarantine_cannot_be_released(ward):
    assert ward.live(lambda: ward.system.release("Moody")) is False
    assert ward.live(lambda: ward.system.release("back-office")) is False
    assert ward.live(lambda: ward.system.release("redelivery")) is False
    assert ward.live(lambda: ward.system.release("nobody")) is False


def test_a_released_plugin_begins_with_a_clean_slate(ward, story, fleet):
    quarantine(ward, story, fleet)
    ward.live(lambda: ward.system.release("Moody"))
    assert ward.plugin("Moody").breakers.failing == {}
    spend(ward, story, fleet)  # one crash does not put it back
    assert ward.system.quarantined() == []


def test_without_a_quarantine_time_only_a_command_releases_it(story, store):
    with Ward(Moody.spec(story), store=store, **{**SUPERVISION, "quarantine_s": 0.0}) as ward:
        fleet = {name: ward.connect(name) for name in NAMES}
        quarantine(ward, story, fleet)
        ward.advance(100_000)
        assert ward.system.quarantined() != []
        assert ward.live(lambda: ward.system.release("Moody")) is True
        assert authorize(fleet["CP1"]) == ACCEPTED
