"""Routing: the plugin that answers an action, and the plugins that are told an event."""

import datetime as dt

import pytest

from chargehand import ChargePointOffline, ChargePointOnline, StatusChanged, on
from chargehand.actors.plugin.cell import EVENT_BACKLOG, PluginCell
from chargehand.actors.plugin.plugin import Plugin, on_outcome, passive
from chargehand.actors.plugin.routing import Router
from chargehand.actors.runtime.scheduler import Scheduler
from chargehand.protocol.versions import VERSIONS


class EmptyPlugin(Plugin):
    """Plugin whose cells are never started here, so that the messages told to them can be counted."""

    @passive("Authorize")
    def authorize(self, call):
        """Do nothing."""


@pytest.fixture
def router():
    return Router()


def cell(name="some", **options):
    return PluginCell(Scheduler(spare=0), EmptyPlugin.spec(name=name, **options), None)


ACTIONS = VERSIONS["ocpp1.6"].actions
ROW = ACTIONS["Authorize"]
CONNECTIONS = (ChargePointOnline, ChargePointOffline)
AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ONLINE = ChargePointOnline(at=AT, charge_point_id="CP1", peer="", secure=False, version="1.6")
OFFLINE = ChargePointOffline(at=AT, charge_point_id="CP1", code=1000, reason="")


def test_nobody_answers_an_action_that_nobody_claims(router):
    assert router.find(ROW) is None


def test_whoever_claims_an_action_answers_it(router):
    one = cell()
    router.add(one, passive=[ROW])
    assert router.find(ROW) is one
    assert router.find(ACTIONS["Heartbeat"]) is None


def test_the_first_of_several_plugins_answers_and_the_others_follow_in_order(router):
    one, two, last_resort = cell("one"), cell("two"), cell("last_resort")
    router.add(one, passive=[ROW])
    router.add(two, passive=[ROW])
    router.add(last_resort, passive=[ROW], last_resort=True)
    assert router.find(ROW) is one
    assert router.next_of(ROW, one) is two
    assert router.next_of(ROW, two) is last_resort
    assert router.next_of(ROW, last_resort) is None


def test_a_plugin_that_is_started_again_keeps_its_place_in_the_order(router):
    one, two = cell("one"), cell("two")
    router.add(one, passive=[ROW])
    router.add(two, passive=[ROW])
    one.end()
    again = cell("one")
    router.add(again, passive=[ROW])
    assert router.find(ROW) is again
    assert router.next_of(ROW, again) is two


def test_a_promoted_shadow_comes_before_those_it_was_compared_with(router):
    one, shadow = cell("one"), cell("shadow", shadow=True)
    router.add(one, passive=[ROW])
    router.add(shadow, passive=[ROW])
    router.promote(shadow)
    assert router.find(ROW) is shadow
    assert router.next_of(ROW, shadow) is one


def test_what_is_taken_from_the_last_resort_is_logged_in_one_line(router, caplog):
    caplog.set_level("INFO")
    router.add(cell("tags"), passive=[ROW])
    router.add(cell("office"), passive=[ROW, ACTIONS["Heartbeat"]], last_resort=True)
    assert caplog.messages == ["Authorize is answered by tags, in the place of office"]


def test_a_fallback_takes_only_what_nobody_claims(router):
    one, last_resort = cell("one"), cell("last_resort")
    router.add(one, passive=[ROW])
    router.add(last_resort, passive=[ROW, ACTIONS["Heartbeat"]], last_resort=True)
    assert router.find(ROW) is one
    assert router.find(ACTIONS["Heartbeat"]) is last_resort


def test_a_plugin_that_has_ended_makes_room_for_its_successor(router):
    one, two = cell("one"), cell("one")
    router.add(one, passive=[ROW], outcomes=["*"], events=CONNECTIONS)
    one.end()
    router.add(two, passive=[ROW], outcomes=["*"], events=CONNECTIONS)
    assert router.find(ROW) is two
    router.publish(ONLINE)
    router.publish(OFFLINE)
    router.tell_outcome("Reset", "fact")
    assert two.depth == 3


def test_those_who_asked_for_an_action_or_for_all_hear_of_outcomes(router):
    all_, resets, clears = cell("all"), cell("resets"), cell("clears")
    router.add(all_, outcomes=["*"])
    router.add(resets, outcomes=["Reset"])
    router.add(clears, outcomes=["ClearCache"])
    router.tell_outcome("Reset", "fact")
    assert (all_.depth, resets.depth, clears.depth) == (1, 1, 0)


class Once(EmptyPlugin):
    """Plugin that is told each outcome in one process of the cluster."""

    outcomes_once = True


def test_what_ended_at_another_node_is_not_told_to_those_who_hear_of_it_there(router):
    once = PluginCell(Scheduler(spare=0), Once.spec(name="once"), None)
    each = cell("each")
    for one in (once, each):
        router.add(one, outcomes=["Reset"])
    router.tell_outcome("Reset", "fact", elsewhere=True)
    assert (once.depth, each.depth) == (0, 1)
    router.tell_outcome("Reset", "fact")
    assert (once.depth, each.depth) == (1, 2)


def test_a_plugin_that_asked_for_an_action_and_for_all_hears_of_it_once(router):
    both = cell()
    router.add(both, outcomes=["Reset", "*"])
    router.tell_outcome("Reset", "fact")
    assert both.depth == 1


def test_comings_and_goings_are_told_to_those_who_want_to_know(router):
    coming, going = cell("coming"), cell("going")
    router.add(coming, events=[ChargePointOnline])
    router.add(going, events=[ChargePointOffline])
    router.publish(ONLINE)
    router.publish(ONLINE)
    router.publish(OFFLINE)
    assert (coming.depth, going.depth) == (2, 1)


def test_events_of_connections_are_all_told_whatever_waits_and_watch_no_answers(router):
    one = cell()
    router.add(one, events=[*CONNECTIONS, StatusChanged])
    for _ in range(EVENT_BACKLOG + 10):
        router.publish(ONLINE)
    assert one.depth == EVENT_BACKLOG + 10
    router.publish(StatusChanged(at=AT, evse=1, connector=1, status="Available"))
    assert one.depth == EVENT_BACKLOG + 10
    assert router.watched
    router.watch(one, events=CONNECTIONS)
    assert not router.watched


def test_one_that_has_ended_is_not_told(router):
    ended = cell()
    router.add(ended, outcomes=["*"], events=CONNECTIONS)
    ended.end()
    router.tell_outcome("Reset", "fact")
    router.publish(ONLINE)
    router.publish(OFFLINE)


def test_one_in_quarantine_is_not_told_and_does_not_fill_up(router):
    quarantined = cell()
    router.add(quarantined, outcomes=["*"], events=CONNECTIONS)
    quarantined.quarantined = True
    for _ in range(100):
        router.tell_outcome("Reset", "fact")
        router.publish(ONLINE)
        router.publish(OFFLINE)
    assert quarantined.depth == 0


def test_a_shadow_answers_nothing_until_it_is_promoted(router):
    real, shadow = cell("real"), cell("shadow", shadow=True)
    router.add(real, passive=[ROW])
    router.add(shadow, passive=[ROW])
    assert router.find(ROW) is real
    assert router.shadows(ROW) == [shadow]
    router.promote(shadow)
    assert router.find(ROW) is shadow
    assert router.shadows(ROW) == []


def test_a_shadow_hears_what_it_wants_to_know(router):
    shadow = cell("shadow", shadow=True)
    router.add(shadow, passive=[ROW], outcomes=["*"], events=CONNECTIONS)
    router.publish(ONLINE)
    router.publish(OFFLINE)
    router.tell_outcome("Reset", "fact")
    assert shadow.depth == 3


@pytest.mark.parametrize("order", [("real", "one", "two"), ("two", "one", "real"), ("one", "real", "two")])
def test_plugins_added_after_promoted_shadows_find_the_last_one_answering(router, order):
    def add_all():
        cells = {name: cell(name, shadow=name != "real") for name in order}
        for name in order:
            router.add(cells[name], passive=[ROW])
        return cells

    before = add_all()
    for name in ("one", "two"):
        router.promote(before[name])
    for old in before.values():
        old.end()
    after = add_all()
    assert router.find(ROW) is after["two"]
    assert router.shadows(ROW) == []
    assert not after["one"].shadow


# What a plugin declares


class MarkedHandlers(Plugin):
    """Plugin with one handler of each kind."""

    @passive("Authorize")
    def authorize(self, call):
        """Do nothing."""

    @on_outcome("Reset")
    def reset(self, ticket):
        """Do nothing."""

    @on_outcome()
    def any_outcome(self, ticket):
        """Do nothing."""

    @on(ChargePointOnline)
    def came(self, event):
        """Do nothing."""

    @on(ChargePointOffline)
    def went(self, event):
        """Do nothing."""


def test_a_plugins_own_declarations_fit_the_router(router):
    assert MarkedHandlers.actions_of("passive") == ["Authorize"]
    assert sorted(MarkedHandlers.actions_of("outcome")) == ["*", "Reset"]
    assert MarkedHandlers.events_heard() == [*CONNECTIONS]
