"""A plugin's failures: a stand-in for the call, for the pair, a restart, quarantine; and the way back."""

import gevent
import pytest
from gevent.event import Event

from chargehand import OcppError, Plugin, StoreError, on_online, passive
from chargehand.testing import StubStore

from ..actors.messages_of_16 import METER_VALUES, START, STOP
from ..hub import settle, until
from .ward import DEADLINE_S, Ward

ACCEPTED = {"idTagInfo": {"status": "Accepted"}}
NAMES = ("CP1", "CP2", "CP3", "CP4")
SUPERVISION = {
    "handler_failures": 3,
    "failing_charge_points": 3,
    "failure_window_s": 60.0,
    "probe_s": 30.0,
    "intensity": 2,
    "period_s": 100.0,
    "backoff_min_s": 1.0,
    "backoff_max_s": 1.0,
    "quarantine_s": 50.0,
    "replay_delay_s": 1.0,
    "replay_delay_max_s": 20.0,
}


class Planted(Exception):
    """A fault of a handler's."""


class Story:
    """What the plugin does, and what it was asked; outlives it."""

    def __init__(self):
        self.made = 0
        self.started = 0
        self.may_start = True
        self.seen = []
        self.online = []
        self.bad = set()  # charge points whose calls fail
        self.how = self.raise_

    @staticmethod
    def raise_(_):
        raise Planted


class Moody(Plugin):
    """Answers, or fails for those that the story says."""

    def __init__(self, story):
        super().__init__()
        self.story = story
        story.made += 1

    def on_start(self):
        if not self.story.may_start:
            raise Planted("it does not start")
        self.story.started += 1

    def handle(self, call, answer):
        self.story.seen.append(call)
        return self.story.how(call) if call.charge_point.id in self.story.bad else answer

    @passive("Authorize")
    def authorize(self, call):
        return self.handle(call, ACCEPTED)

    @passive("Heartbeat")
    def heartbeat(self, call):
        return self.handle(call, {"currentTime": "2030-01-01T00:00:00Z"})

    @passive("StartTransaction")
    def start_transaction(self, call):
        return self.handle(call, {**ACCEPTED, "transactionId": call.transaction_id})

    @passive("StopTransaction")
    def stop_transaction(self, call):
        return self.handle(call, {})

    @passive("MeterValues")
    def meter_values(self, call):
        return self.handle(call, {})

    @on_online
    def came(self, charge_point):
        self.story.online.append(charge_point.id)


@pytest.fixture
def story():
    return Story()


@pytest.fixture
def store():
    return StubStore()


@pytest.fixture
def ward(story, store):
    with Ward(Moody.spec(story), store=store, **SUPERVISION) as ward:
        yield ward


@pytest.fixture
def fleet(ward):
    return {name: ward.connect(name) for name in NAMES}


def authorize(charge_point):
    return charge_point.call("Authorize", {"idTag": "T1"})[2]


def spend(ward, story, fleet):
    """Let three charge points fail: one restart of the plugin."""
    story.bad |= {"CP1", "CP2", "CP3"}
    for name in ("CP1", "CP2", "CP3"):
        assert authorize(fleet[name]) == "InternalError"
    ward.advance(1.0)  # the longest backoff


def quarantine(ward, story, fleet):
    """Spend the whole budget."""
    for _ in range(SUPERVISION["intensity"] + 1):
        ward.plugin("Moody").faults.pairs.clear()  # or stand-ins would answer for the pairs
        spend(ward, story, fleet)
    assert ward.plugin("Moody").quarantined
    story.bad.clear()
    story.seen.clear()


# The pair of one charge point and one action


def test_a_pair_that_failed_three_times_is_answered_for_without_asking(ward, story, fleet):
    story.bad.add("CP1")
    for number in range(5):
        assert authorize(fleet["CP1"]) == "InternalError"
        assert len(story.seen) == min(number + 1, 3)
    assert authorize(fleet["CP2"]) == ACCEPTED
    assert ward.count("handler_failed") == 3
    assert ward.count("stand_in") == 5


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
    ward.advance(SUPERVISION["probe_s"])
    assert authorize(fleet["CP1"]) == "InternalError"  # the probe, and it fails
    assert len(story.seen) == 4
    assert authorize(fleet["CP1"]) == "InternalError"
    assert len(story.seen) == 4
    story.bad.clear()
    ward.advance(SUPERVISION["probe_s"])
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


def test_calls_that_come_while_it_waits_for_its_restart_are_answered_after_it(ward, story, fleet):
    for _ in range(2):
        ward.plugin("Moody").kill()
        settle()
    assert ward.described("Moody")["state"] == "waiting"
    fleet["CP1"].send([2, "x", "Authorize", {"idTag": "T1"}])
    assert fleet["CP1"].take() == []
    ward.advance(1.0)
    assert fleet["CP1"].take() == [[3, "x", ACCEPTED]]


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
    assert ward.described("Moody")["state"] == "probing"
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
    ward.advance(SUPERVISION["probe_s"] - 0.01)
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
    assert ward.live(lambda: ward.system.release("replayer")) is False
    assert ward.live(lambda: ward.system.release("nobody")) is False


def test_a_released_plugin_begins_with_a_clean_slate(ward, story, fleet):
    quarantine(ward, story, fleet)
    ward.live(lambda: ward.system.release("Moody"))
    assert ward.plugin("Moody").faults.pairs == {}
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


# The spool


def test_what_was_spooled_meanwhile_is_replayed_in_order_when_it_is_released(ward, story, fleet, store):
    quarantine(ward, story, fleet)
    numbers = []
    for name in ("CP1", "CP2"):
        started = fleet[name].call("StartTransaction", START, f"{name}-start")[2]
        assert started["idTagInfo"]["status"] == "Accepted"
        numbers.append(started["transactionId"])
        assert fleet[name].call("MeterValues", METER_VALUES, f"{name}-meter")[2] == {}
        stop = {**STOP, "transactionId": numbers[-1]}
        assert fleet[name].call("StopTransaction", stop, f"{name}-stop")[2] == {}
    assert len(store.spooled()) == 6
    ward.advance(SUPERVISION["quarantine_s"])
    for name, number in zip(("CP1", "CP2"), numbers, strict=True):
        own = [call for call in story.seen if call.charge_point.id == name]
        assert [call.unique_id for call in own] == [f"{name}-{what}" for what in ("start", "meter", "stop")]
        assert all(call.replayed for call in own)
        assert own[0].transaction_id == number
    assert store.spooled() == []
    assert len(set(numbers)) == 2


def test_a_stop_that_comes_after_the_release_waits_behind_the_start_that_is_still_being_replayed(
    ward, story, fleet, store
):
    quarantine(ward, story, fleet)
    number = fleet["CP1"].call("StartTransaction", START, "start")[2]["transactionId"]
    story.bad.add("CP1")
    ward.live(lambda: ward.system.release("Moody"))  # its replay fails, and waits
    assert [call.unique_id for call in story.seen] == ["start"]
    assert fleet["CP1"].call("StopTransaction", {**STOP, "transactionId": number}, "stop")[2] == {}
    assert [call.unique_id for call in story.seen] == ["start"]
    assert fleet["CP2"].call("StopTransaction", STOP, "other")[2] == {}  # nobody else's waits
    assert story.seen[-1].unique_id == "other"
    story.bad.clear()
    ward.advance(SUPERVISION["replay_delay_max_s"])
    assert [call.unique_id for call in story.seen] == ["start", "other", "start", "stop"]
    assert store.spooled() == []
    assert fleet["CP1"].call("MeterValues", METER_VALUES, "direct")[2] == {}
    assert (story.seen[-1].unique_id, story.seen[-1].replayed) == ("direct", False)


def test_a_record_that_cannot_be_stored_is_not_acknowledged(ward, story, fleet, store):
    quarantine(ward, story, fleet)
    store.fail()
    assert fleet["CP1"].call("MeterValues", METER_VALUES) is None
    assert ward.count("spool_failed") >= 1
    assert fleet["CP1"].closed_with is None


def test_a_record_of_a_broken_pair_is_replayed_although_its_plugin_was_never_quarantined(
    ward, story, fleet, store
):
    story.bad.add("CP1")
    for number in range(4):
        assert fleet["CP1"].call("MeterValues", METER_VALUES, f"m{number}")[2] == {}
    assert len(store.spooled()) == 4
    story.bad.clear()
    story.seen.clear()
    ward.advance(SUPERVISION["replay_delay_max_s"] * 2)
    assert [call.unique_id for call in story.seen] == ["m0", "m1", "m2", "m3"]


# What was set aside, and the way back


def set_aside(fleet, store, name="CP1"):
    """A transaction of which all lies aside; its number."""
    number = fleet[name].call("StartTransaction", START, f"{name}-start")[2]["transactionId"]
    fleet[name].call("StopTransaction", {**STOP, "transactionId": number}, f"{name}-stop")
    for record in store.spooled(charge_point_id=name):
        store.set_aside(record.number, "planted")
    return number


def test_a_message_that_was_set_aside_comes_back_with_its_transaction_and_is_replayed_in_order(
    ward, story, fleet, store
):
    quarantine(ward, story, fleet)
    number = set_aside(fleet, store)
    set_aside(fleet, store, "CP2")
    ward.system._services.starts_aside.add(("CP1", number))
    ward.live(lambda: ward.system.release("Moody"))
    start, stop, *others = [record.number for record in store.aside()]
    assert ward.live(lambda: ward.system.retry_spooled([stop])) == [start, stop]
    ward.advance(SUPERVISION["replay_delay_s"])
    assert [call.unique_id for call in story.seen] == ["CP1-start", "CP1-stop"]
    assert ward.system._services.starts_aside == set()
    assert ward.live(ward.system.retry_spooled) == others
    ward.advance(SUPERVISION["replay_delay_s"])
    assert [call.unique_id for call in story.seen][2:] == ["CP2-start", "CP2-stop"]
    assert store.spooled() == store.aside() == []
    assert ward.live(lambda: ward.system.retry_spooled([start])) == []


def test_while_the_store_is_down_what_was_set_aside_stays_there(ward, story, fleet, store):
    quarantine(ward, story, fleet)
    number = set_aside(fleet, store)
    ward.live(lambda: ward.system.release("Moody"))
    ward.advance(SUPERVISION["replay_delay_s"])
    ward.system._services.starts_aside.add(("CP1", number))
    store.fail()
    with pytest.raises(StoreError):
        ward.live(ward.system.retry_spooled)
    store.work()
    ward.advance(SUPERVISION["replay_delay_max_s"])
    assert len(store.aside()) == 2
    assert ward.system._services.starts_aside == {("CP1", number)}
    assert ward.system._services.spool_owners == set()


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
        ward.system._root.actor.children[0].cell.kill()
        until(lambda: ward.system.describe()["children"][0]["state"] == "running" and ward.plugin("Generous"))
        charge_point = ward.connect()
        assert authorize(charge_point)["idTagInfo"]["status"] == "Blocked"
        assert ward.system.promote("Generous") is False


# The replayer among the plugins


def test_the_replayer_is_started_again_however_often_it_fails(ward, story, fleet, store):
    replayer = next(
        child.cell for child in ward.system._plugin_supervisor().children if child.spec.id == "replayer"
    )
    for _ in range(10):
        replayer.kill()
        ward.advance(2.0)
    assert ward.described("replayer")["state"] == "running"
    story.bad.add("CP1")
    assert fleet["CP1"].call("MeterValues", METER_VALUES, "m")[2] == {}
    story.bad.clear()
    ward.advance(5)
    assert until(lambda: store.spooled() == [])
