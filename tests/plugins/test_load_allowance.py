"""Allowances of charge points, and their records among instances of the plugin: never below what is really held."""

import datetime as dt

import pytest

from chargehand import MemoryStore
from chargehand.plugins.load_management.allowance import Allowance
from chargehand.plugins.load_management.records import BoundRecords

NOW = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)


def test_nobody_knows_more_than_that_a_charge_point_may_draw_all():
    assert Allowance(320, None).bound == 320
    assert Allowance(320, 100).bound == 100
    assert Allowance(320, 400).bound == 320


@pytest.mark.parametrize(("outcome", "bound"), [("accept", 150), ("doubt", 150), ("decline", 100)], ids=str)
def test_a_higher_limit_counts_from_when_it_is_sent_unless_it_is_refused(outcome, bound):
    allowance = Allowance(320, 100)
    allowance.ask(150)
    assert allowance.bound == 150
    getattr(allowance, outcome)()
    assert allowance.bound == bound


@pytest.mark.parametrize(("outcome", "bound"), [("accept", 50), ("doubt", 100), ("decline", 100)])
def test_a_lower_limit_counts_when_it_is_accepted(outcome, bound):
    allowance = Allowance(320, 100)
    allowance.ask(50)
    assert allowance.bound == 100
    getattr(allowance, outcome)()
    assert allowance.bound == bound


def test_a_limit_that_is_accepted_over_a_restart_counts_for_nothing():
    allowance = Allowance(320, 100)
    allowance.ask(50)
    allowance.may_hold(None)
    allowance.accept()
    assert (allowance.bound, allowance.to_record, allowance.confirmed) == (320, None, False)
    allowance.ask(50)
    allowance.accept()
    assert (allowance.bound, allowance.to_record, allowance.confirmed) == (50, 50, True)


def records(store, told, at=NOW):
    return BoundRecords(store, "load", at, lambda *facts: told.append(facts))


def test_the_next_instance_counts_the_highest_bound_of_all_until_one_is_confirmed():
    store, told = MemoryStore(), []
    first = records(store, told)
    first.put("CP1", 100)
    second = records(store, told, NOW - dt.timedelta(hours=1))  # the clock of another machine is behind
    assert second.bound_of("CP1") == 100
    second.put("CP1", 80)
    assert second.bound_of("CP1") == 100
    second.put_confirmed("CP1", 80)
    assert records(store, told).bound_of("CP1") == 80


def test_an_instance_thought_dead_hears_that_it_is_replaced_and_hides_nothing():
    store, old, new = MemoryStore(), [], []
    first = records(store, old)
    second = records(store, new, NOW + dt.timedelta(seconds=1))
    second.put("CP1", 80)
    assert old == [("CP1", 80, True)]
    first.put("CP1", 200)
    assert new == [("CP1", 200, False)]
    first.put_confirmed("CP1", 10)  # which does not remove those of the later one
    assert second.bound_of("CP1") == 80


def test_a_charge_point_that_nobody_knows_anything_of_has_no_bound():
    store = MemoryStore()
    first = records(store, [])
    assert first.bound_of("CP1") is None
    first.put("CP1", None)
    first.put("CP2", 60)
    assert first.bound_of("CP1") is None
    first.forget({"CP1"})
    assert [one.charge_point_id for one in store.collections.plugin_facts] == ["CP1"]
