"""Lease of a node, with a clock that stands still and answers made by the test."""

import pytest

from chargehand.remote.cluster.lease import CHUNK, Lease, Renewal, chunks
from chargehand.testing import ManualClock

from ...hub import settle
from ..recording_listener import RecordingListener

OTHERS = frozenset({"me", "b", "c"})


class Case:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.listener = RecordingListener()
        self.sent: list[tuple[float, dict[str, int]]] = []
        self.lease = Lease(self.clock, "me", 5.0)
        self.clock.drive(self.lease.timers)
        self.lease.start(self.listener, lambda: self.sent.append(self.lease.sending()))

    def renewed(self, sent_at=None, **new) -> None:
        renewal = {
            "server": "s1", "lapsed": False, "young_s": 0.0, "nodes": OTHERS, "fences": {}, "more": False, **new,
        }  # fmt: skip
        self.lease.renewed(self.clock.monotonic() if sent_at is None else sent_at, Renewal(**renewal))


@pytest.fixture
def case():
    case = Case()
    yield case
    case.lease.stop()


def test_it_renews_at_once_and_then_again_and_again(case):
    case.clock.advance(4.5)
    assert [sent_at - case.sent[0][0] for sent_at, _ in case.sent] == [0, 1.5, 3.0, 4.5]


def test_it_counts_from_when_the_renewal_was_sent(case):
    sent_at = case.clock.monotonic()
    case.clock.advance(2.0)
    case.renewed(sent_at)
    case.clock.advance(2.999)
    assert case.lease.held
    case.clock.advance(0.001)
    assert not case.lease.held
    assert case.listener.leases == [True, False]


def test_a_renewal_whose_answer_is_too_late_gives_nothing(case):
    sent_at = case.clock.monotonic()
    case.clock.advance(5.0)
    case.renewed(sent_at)
    assert not case.lease.held
    assert case.listener.leases == []


def test_an_older_answer_takes_nothing_away(case):
    first = case.clock.monotonic()
    case.clock.advance(1.0)
    case.renewed()
    case.renewed(first)
    case.clock.advance(4.5)
    assert case.lease.held


def test_renewals_in_time_hold_it_on_and_nobody_is_told(case):
    for _ in range(10):
        case.renewed()
        case.clock.advance(1.5)
    assert case.listener.leases == [True]
    case.clock.advance(3.5)
    assert case.listener.leases == [True, False]


def test_who_was_stopped_in_between_is_told_of_the_loss_before_it_is_there_again(case):
    case.renewed()
    case.clock._monotonic += 60.0  # the process stood still; no timer was run
    assert not case.lease.held
    case.renewed()
    assert case.listener.leases == [True, False, True]


@pytest.mark.parametrize("new", [{"server": "s2"}, {"lapsed": True}])
def test_a_coordinator_that_did_not_know_the_lease_makes_it_a_new_one(case, new):
    case.renewed()
    case.renewed(**new)
    assert case.listener.leases == [True, False, True]
    assert case.lease.held


def test_it_is_not_held_on_while_there_are_more_fences(case):
    case.renewed(fences={"CP1": 7}, more=True)
    assert not case.lease.held
    assert case.sent[-1][1] == {"CP1": 7}
    case.renewed(fences={"CP2": 8})
    assert case.lease.held
    assert case.listener.fences == [("CP1", 7), ("CP2", 8)]
    assert case.lease.sending()[1] == {"CP2": 8}
    assert case.lease.sending()[1] == {}
    assert case.lease.seen == 8


def test_a_node_that_is_not_there_any_more_is_lost_once(case):
    case.renewed()
    case.renewed(nodes=frozenset({"me", "b"}))
    case.renewed(nodes=frozenset({"me", "b"}))
    assert case.listener.lost_nodes == ["c"]
    case.lease.lost("b")
    case.lease.lost("b")
    assert case.listener.lost_nodes == ["c", "b"]


def test_a_node_that_was_met_between_two_renewals_is_lost_too(case):
    case.renewed()
    sent_at = case.clock.monotonic()
    case.lease.met("d")
    case.renewed(sent_at)  # it was asked before
    assert case.listener.lost_nodes == []
    case.clock.advance(1.5)
    case.renewed()
    case.renewed()
    assert case.listener.lost_nodes == ["d"]
    case.lease.met("e")
    case.lease.lost("e")
    case.clock.advance(1.5)
    case.lease.met("f")
    case.clock.advance(1.5)
    case.renewed(nodes=OTHERS | {"f"})
    assert case.listener.lost_nodes == ["d", "e"]


def test_a_coordinator_that_has_just_begun_loses_nobody(case):
    case.renewed()
    case.renewed(server="s2", nodes=frozenset({"me"}), young_s=4.0)
    assert case.listener.lost_nodes == []
    assert case.lease.nodes == OTHERS
    case.renewed(server="s2", nodes=frozenset({"me", "b"}))
    assert case.listener.lost_nodes == ["c"]


def test_a_fence_that_overtakes_a_claim_comes_again_after_it(case):
    with case.lease.claiming("CP1"):
        with case.lease.claiming("CP1"):
            case.lease.fenced("CP1", 5)
            case.lease.fenced("CP2", 6)
        settle()
        assert case.listener.fences == [("CP1", 5), ("CP2", 6)]
    assert len(case.listener.fences) == 2
    settle()
    assert case.listener.fences == [("CP1", 5), ("CP2", 6), ("CP1", 5)]
    with case.lease.claiming("CP1"):
        pass
    settle()
    assert len(case.listener.fences) == 3


def test_after_the_stop_nothing_is_held_or_told(case):
    case.renewed()
    case.lease.stop()
    sent = len(case.sent)
    case.renewed(fences={"CP1": 7})
    case.lease.lost("b")
    case.clock.advance(10.0)
    assert not case.lease.held
    assert (case.listener.leases, case.listener.fences, case.listener.lost_nodes, len(case.sent)) == (
        [True],
        [],
        [],
        sent,
    )


def test_chunks_lose_nothing():
    items = list(range(CHUNK * 2 + 1))
    assert [len(chunk) for chunk in chunks(items)] == [CHUNK, CHUNK, 1]
    assert [one for chunk in chunks(items) for one in chunk] == items
    assert list(chunks([])) == []
