"""Load management holds a site's limit whatever happens: an observer sums what each charge point really holds.

A machine of Hypothesis cuts, freezes, restarts and refuses, answers late or not at all, sets limits by hand, and kills
the plugin; after every step the sum is checked.
"""

import os

import gevent.event
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chargehand.plugins.load_management import LoadManagement, LoadSettings, Site
from chargehand.simulator.answers import refusing
from chargehand.testing import Stage

LIMIT_A, MOST_A, POSTS = 30.0, 32.0, 3
METER_S, BY_HAND_A = 60.0, 31.0
POST = st.integers(0, POSTS - 1)
MODES = st.sampled_from(
    ["obeys", "obeys", "obeys", "refuses", "deaf", "mute", "mute", "late", "late", "dies"]
)
SET, CLEAR = "SetChargingProfile", "ClearChargingProfile"


def amps_of(request):
    """Read the limit of a station out of a request of either version."""
    profile = getattr(request, "cs_charging_profiles", None) or request.charging_profile
    schedule = profile.charging_schedule
    schedule = schedule[0] if isinstance(schedule, list | tuple) else schedule
    return float(schedule.charging_schedule_period[0].limit)


class Post:
    """Charge point, and the limit that it really holds: None for none, so that it draws what it can."""

    def __init__(self, stage, number):
        self.stage = stage
        self.id = f"CP{number}"
        self.point = stage.simulate(self.id, version=("1.6", "2.0.1")[number % 2], connectors=1)
        self.held = None
        self.by_hand = False  # somebody else has set its limit
        self.mode = "obeys"
        self.released = gevent.event.Event()
        self.normal = dict(self.point.answers)
        self.point.answers[SET] = self.set
        self.point.answers[CLEAR] = self.clear
        self.charging = self.frozen = False
        self.too_early = False  # it was sent a limit that was not stored before

    def set(self, request):
        amps = amps_of(request)
        bounds = [
            one.data["tenths_a"]
            for one in self.stage.store.collections.plugin_facts.of(self.id)
            if one.data["tenths_a"] is not None
        ]
        unknown = len(bounds) < len(self.stage.store.collections.plugin_facts.of(self.id))
        by_hand = amps == BY_HAND_A
        self.too_early |= not (by_hand or unknown or not bounds) and amps * 10 > max(bounds)
        if self.mode == "refuses":
            return refusing()(request)
        if self.mode == "deaf":
            return None
        self.held, self.by_hand = amps, by_hand
        if self.mode == "mute":
            return None
        if self.mode == "late":
            self.released.wait()
        if self.mode == "dies":
            self.mode = "obeys"
            self.point.faults.cut()
            return None
        return self.normal[SET](request)

    def clear(self, request):
        answer = self.normal[CLEAR](request)
        self.held, self.by_hand = None, True
        return answer

    def answer_late(self):
        self.released.set()
        self.released = gevent.event.Event()

    @property
    def most(self):
        """Current that it may draw of each phase."""
        return MOST_A if self.held is None else min(self.held, MOST_A)

    @property
    def obeys(self):
        return self.mode == "obeys" and not self.frozen and self.point.online


class Depot(RuleBasedStateMachine):
    """Site whose charge points hold no more together than it carries."""

    @initialize()
    def begin(self):
        site = Site(name="depot", charge_points=("CP*",), limit_a=LIMIT_A, retry_s=15.0, turn_min=2.0)
        self.stage = Stage(
            LoadManagement.spec(LoadSettings(sites=(site,)), name="load", scope="cluster"), bundled=True
        )
        self.stage.start()
        self.posts = [Post(self.stage, number) for number in range(POSTS)]
        self.over_s = 0.0
        self.stage.advance(30)

    def teardown(self):
        if hasattr(self, "stage"):
            for post in self.posts:
                post.answer_late()
            self.stage.stop()

    # -- What happens --------------------------------------------------------------------------------

    @rule(number=POST, mode=MODES)
    def a_vehicle_comes_or_goes(self, number, mode):
        post = self.posts[number]
        if post.frozen or not post.point.online:
            return
        post.mode = mode
        if post.charging:
            post.point.stop()
            post.point.unplug()
        else:
            post.point.plug_in()
            post.point.start("T1")
        post.charging = not post.charging
        self.stage.advance(1)

    @rule(number=POST)
    def a_charge_point_obeys_again(self, number):
        post = self.posts[number]
        post.mode = "obeys"
        post.answer_late()
        if post.frozen:
            post.frozen = False
            post.point.faults.recover()
            post.point.faults.cut()
            self.stage.settle()
        if not post.point.online:
            post.point.connect()
        self.stage.settle()

    @rule(number=POST)
    def a_connection_is_cut(self, number):
        post = self.posts[number]
        if post.point.online and not post.frozen:
            post.point.faults.cut()
        self.stage.settle()

    @rule(number=POST)
    def a_connection_is_half_open(self, number):
        post = self.posts[number]
        if post.point.online and not post.frozen:
            post.frozen = True
            post.point.faults.go_half_open()
        self.stage.settle()

    @rule(number=POST)
    def a_charge_point_starts_again_and_has_forgotten(self, number):
        post = self.posts[number]
        if post.frozen:
            return
        post.answer_late()
        if post.point.online:
            post.point.faults.cut()
            self.stage.settle()
        post.held = None
        post.point.connect()
        post.point.boot()
        self.stage.settle()

    @rule(number=POST, clears=st.booleans())
    def somebody_else_sets_a_limit_or_clears_it(self, number, clears):
        if clears:
            self.stage.clear_limit(f"CP{number}", timeout_s=10, expires_in_s=10)
        else:
            self.stage.limit(f"CP{number}", amps=BY_HAND_A, phases=3, timeout_s=10, expires_in_s=10)
        self.stage.settle()

    @rule()
    def the_plugin_is_killed(self):
        self.stage.plugins[0].kill()
        self.stage.settle()

    @rule(seconds=st.sampled_from([0.5, 3, 11, 16, 31]))
    def time_goes_by(self, seconds):
        self.stage.advance(seconds)
        excess = self.total() > LIMIT_A + 0.05 and any(post.obeys and post.most for post in self.posts)
        self.over_s = self.over_s + seconds if excess else 0.0

    # -- What holds ----------------------------------------------------------------------------------

    def total(self):
        return sum(post.most for post in self.posts)

    @invariant()
    def what_the_plugin_has_set_is_never_above_the_limit(self):
        """Charge points that lost their limit, or got that of somebody else, are counted by the next invariant."""
        if hasattr(self, "stage"):
            ours = [post.held for post in self.posts if post.held is not None and not post.by_hand]
            assert sum(ours) <= LIMIT_A + 0.05, [post.held for post in self.posts]

    @invariant()
    def no_limit_is_sent_before_it_is_stored(self):
        if hasattr(self, "stage"):
            assert not any(post.too_early for post in self.posts)

    @invariant()
    def no_excess_lasts_longer_than_a_meter_interval(self):
        """While all together may draw too much, each one that obeys is soon given nothing."""
        if hasattr(self, "stage"):
            assert self.over_s <= METER_S, [post.held for post in self.posts]

    @invariant()
    def the_plugin_counts_each_at_what_it_holds(self):
        if not hasattr(self, "stage"):
            return
        (view,) = self.stage.request("load", "GET", "sites")["sites"]
        possible = {one["id"]: one["possible_a"] for one in view["charge_points"]}
        for post in self.posts:
            if not post.by_hand and not post.frozen:  # a command by hand is counted when it has ended
                assert possible[post.id] >= post.most - 0.05, (post.id, possible, post.held)


TestDepot = Depot.TestCase
TestDepot.settings = settings(
    max_examples=int(os.environ.get("LOAD_EXAMPLES", "12")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
    print_blob=False,
    derandomize="LOAD_EXAMPLES" not in os.environ,
)
