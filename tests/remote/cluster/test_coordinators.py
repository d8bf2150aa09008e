"""Behaviour that all coordinators share: with a real Redis, and with a real coordinator server."""

import itertools

import gevent
import pytest

from chargehand.remote.cluster.coordinator import DRIFT_S, MESSAGE_BYTES, CoordinatorUnavailable
from chargehand.remote.cluster.lease import CHUNK
from chargehand.testing import ManualClock

from ...hub import until
from ..conftest import LEASE_S
from ..recording_listener import refused

STRANGE = ["CP 1", "a:b", "ä€😀", "x\ny", "%20", "{h}", '"', "\\", "0", "CP1 "]


def grown(coordinator) -> None:
    """Wait until the coordinator knows all leases that it can know."""
    until(lambda: coordinator.claim("grown").wait_s == 0)


def test_a_claim_has_an_epoch_higher_than_all_before(coordinators):
    (a, _), (b, _) = coordinators.coordinator(), coordinators.coordinator()
    epochs = [one.claim(name).epoch for name in ("CP1", "CP2") for one in (a, b, a, a)]
    assert epochs == sorted(set(epochs))
    assert epochs[-1] < 2**53


def test_a_claim_takes_over_from_who_had_it_and_fences_it(coordinators):
    (a, listener_a), (b, listener_b) = coordinators.coordinator(), coordinators.coordinator()
    first = a.claim("CP1")
    second = b.claim("CP1")
    assert first.previous == ""
    assert second.previous == a.node
    assert 0 < second.wait_s <= LEASE_S + DRIFT_S
    until(lambda: listener_a.fences)
    assert set(listener_a.fences) == {("CP1", second.epoch)}
    assert listener_b.fences == []
    assert a.find("CP1") == b.find("CP1") == b.node


def test_a_claim_of_what_one_has_oneself_waits_for_nobody(coordinators):
    a, listener = coordinators.coordinator()
    grown(a)
    first = a.claim("CP1")
    second = a.claim("CP1")
    assert (second.previous, second.wait_s) == ("", 0)
    assert second.epoch > first.epoch
    assert listener.fences == []


def test_a_new_coordinator_lets_every_claim_wait_for_leases_that_it_does_not_know(coordinators):
    a, _ = coordinators.coordinator()
    claim = a.claim("CP1")
    assert claim.previous == ""
    assert 0 < claim.wait_s <= LEASE_S + DRIFT_S


def test_a_third_node_waits_for_the_first_too_though_the_second_is_gone(coordinators):
    (a, _), (b, _), (c, _) = (
        coordinators.coordinator(),
        coordinators.coordinator(),
        coordinators.coordinator(),
    )
    grown(a)
    a.claim("CP1")
    a.claim("CP2")
    b.release("CP1", b.claim("CP1").epoch)
    until(lambda: c.find("CP1") == "")
    assert c.claim("CP1")[1] == ""
    assert c.claim("CP1").wait_s > 0
    b.claim("CP2")
    claim = c.claim("CP2")
    assert claim.previous == ""  # the second cannot speak for the first
    assert claim.wait_s > 0
    until(lambda: c.claim("CP1").wait_s == 0)


def test_what_was_released_is_nobodys_and_its_epochs_go_on(coordinators):
    (a, _), (b, _) = coordinators.coordinator(), coordinators.coordinator()
    grown(a)
    first = a.claim("CP1")
    a.release("CP1", first.epoch)
    until(lambda: a.find("CP1") == "")
    second = b.claim("CP1")
    assert second == (second.epoch, "", 0)
    assert second.epoch > first.epoch


def test_a_release_that_comes_late_takes_nothing_away(coordinators):
    (a, _), (b, _) = coordinators.coordinator(), coordinators.coordinator()
    first = a.claim("CP1")
    b.claim("CP1")
    a.release("CP1", first.epoch)
    own = a.claim("CP2")
    again = a.claim("CP2")
    a.release("CP2", own.epoch)
    assert again.epoch > own.epoch
    assert a.find("CP1") == b.node
    assert a.find("CP2") == a.node


def test_a_charge_point_is_found_and_one_that_nobody_has_is_not(coordinators):
    (a, _), (b, _) = coordinators.coordinator(), coordinators.coordinator()
    a.claim("CP1")
    assert b.find("CP1") == a.node
    assert b.find("CP2") == ""


def test_ids_may_hold_any_character(coordinators):
    a, _ = coordinators.coordinator("no de:1")
    claims = {name: a.claim(name).epoch for name in STRANGE}
    assert [a.find(name) for name in STRANGE] == ["no de:1"] * len(STRANGE)
    assert dict(a.charge_points()) == dict.fromkeys(STRANGE, "no de:1")
    assert a.verify(claims).others == frozenset()
    b, listener_b = coordinators.coordinator()
    for name in STRANGE:
        b.claim(name)
    assert a.verify(claims).others == frozenset(STRANGE)
    assert listener_b.fences == []


def test_verify_names_what_is_anothers_and_takes_back_what_is_nobodys(coordinators):
    (a, _), (b, listener_b) = coordinators.coordinator(), coordinators.coordinator()
    grown(a)
    kept, taken, free = (a.claim(name).epoch for name in ("kept", "taken", "free"))
    b.claim("taken")
    a.release("free", free)
    verified = a.verify({"kept": kept, "taken": taken, "free": free})
    assert verified == (frozenset({"taken"}), 0)
    assert b.find("free") == a.node
    assert listener_b.fences == []


def test_verify_gives_to_the_highest_epoch_and_fences_the_other(coordinators):
    (a, _), (b, listener_b) = coordinators.coordinator(), coordinators.coordinator()
    grown(a)
    old = b.claim("CP1").epoch
    newer = old + 1000  # as after a Redis that came back with what it knew some time ago
    verified = a.verify({"CP1": newer})
    assert verified.others == frozenset()
    assert 0 < verified.wait_s <= LEASE_S + DRIFT_S
    until(lambda: ("CP1", newer) in listener_b.fences)
    assert b.verify({"CP1": old}).others == {"CP1"}


def test_verify_of_more_than_one_chunk_names_each_of_anothers(coordinators):
    (a, _), (b, _) = coordinators.coordinator(), coordinators.coordinator()
    claims = {f"CP{number}": a.claim(f"CP{number}").epoch for number in range(2 * CHUNK + 1)}
    taken = {f"CP{number}" for number in (0, CHUNK - 1, CHUNK, 2 * CHUNK)}
    for name in taken:
        b.claim(name)
    assert a.verify(claims).others == taken
    assert a.verify({}) == (frozenset(), 0)


def test_a_fence_is_told_again_by_renewals_until_it_is_taken(coordinators):
    (a, listener_a), (b, _) = coordinators.coordinator(), coordinators.coordinator()
    a.claim("CP1")
    epoch = b.claim("CP1").epoch
    until(lambda: listener_a.fences.count(("CP1", epoch)) == 2)  # by message, and by a renewal
    renewals = count_renewals(a)
    until(lambda: len(renewals) >= 2)
    assert listener_a.fences.count(("CP1", epoch)) == 2


def count_renewals(coordinator) -> list[float]:
    renewals: list[float] = []
    taken = coordinator.lease.renewed

    def renewed(sent_at, renewal) -> None:
        renewals.append(sent_at)
        taken(sent_at, renewal)

    coordinator.lease.renewed = renewed
    return renewals


def test_more_fences_than_fit_into_one_renewal_all_come(coordinators):
    (a, listener_a), (b, _) = coordinators.coordinator(), coordinators.coordinator()
    names = [f"CP{number}" for number in range(2 * CHUNK + 10)]
    for name in names:
        a.claim(name)
    epochs = {name: b.claim(name).epoch for name in names}
    until(lambda: len(listener_a.fences) == 2 * len(names))
    assert set(listener_a.fences) == set(epochs.items())
    assert a.held


def test_messages_arrive_in_order_with_their_sender(coordinators):
    (a, listener_a), (b, listener_b) = coordinators.coordinator(), coordinators.coordinator()
    messages = [bytes([number % 256]) * (number * 7 % 500) for number in range(500)]
    for message in messages:
        a.send(b.node, message)
    b.send(a.node, b"\x00\xff")
    until(lambda: len(listener_b.messages) == len(messages) and listener_a.messages)
    assert listener_b.messages == [(a.node, message) for message in messages]
    assert listener_a.messages == [(b.node, b"\x00\xff")]


def test_a_message_to_oneself_or_to_nobody_does_no_harm(coordinators):
    a, listener = coordinators.coordinator()
    a.send("nobody", b"1")
    a.send(a.node, b"2")
    until(lambda: listener.messages)
    assert listener.messages == [(a.node, b"2")]


def test_who_is_told_something_and_is_gone_is_heard_of(coordinators):
    a, listener = coordinators.coordinator()
    grown(a)
    a.send("gone", b"1")
    until(lambda: listener.lost_nodes == ["gone"])
    assert "gone" not in a.nodes()


def test_the_longest_message_arrives_and_a_longer_one_is_refused(coordinators):
    (a, _), (b, listener_b) = coordinators.coordinator(), coordinators.coordinator()
    a.send(b.node, bytes(MESSAGE_BYTES))
    with pytest.raises(ValueError, match="longer than"):
        a.send(b.node, bytes(MESSAGE_BYTES + 1))
    until(lambda: listener_b.messages)
    assert len(listener_b.messages[0][1]) == MESSAGE_BYTES


def test_all_nodes_are_known_and_one_that_stops_is_lost(coordinators):
    (a, listener_a), (b, _) = coordinators.coordinator(), coordinators.coordinator()
    until(lambda: set(a.nodes()) == {a.node, b.node})
    grown(a)
    b.claim("CP1")
    b.stop()
    until(lambda: listener_a.lost_nodes == [b.node])
    assert set(a.nodes()) == {a.node}
    assert a.find("CP1") == ""
    assert a.claim("CP1")[1:] == ("", 0)
    assert not b.held


def test_all_charge_points_are_listed_with_their_node(coordinators):
    (a, _), (b, _) = coordinators.coordinator(), coordinators.coordinator()
    names = [f"CP{number}" for number in range(CHUNK * 2)]
    for name in names:
        a.claim(name)
    for name in names[::2]:
        b.claim(name)
    a.release(names[1], a.claim(names[1]).epoch)
    until(lambda: a.find(names[1]) == "")
    expected = {name: (b if number % 2 == 0 else a).node for number, name in enumerate(names)}
    del expected[names[1]]
    assert dict(b.charge_points()) == expected


def test_there_is_no_lease_before_the_start_and_none_after_the_stop(coordinators):
    a, listener = coordinators.coordinator()
    assert listener.leases == [True]
    a.stop()
    assert not a.held
    assert listener.leases == [True]
    for ask in (lambda: a.claim("CP1"), lambda: a.find("CP1"), lambda: a.verify({"CP1": 1}), a.charge_points):
        assert refused(CoordinatorUnavailable, ask)
    assert refused(CoordinatorUnavailable, a.send, "x", b"")
    a.release("CP1", 1)


def test_the_lease_counts_by_the_nodes_own_clock(coordinators):
    clock = ManualClock()
    a, listener = coordinators.coordinator(clock=clock)
    clock.drive(a.lease.timers)
    clock.advance(LEASE_S - 0.001)
    assert a.held
    clock.advance(0.001)
    assert not a.held
    assert listener.leases == [True, False]
    assert refused(CoordinatorUnavailable, a.claim, "CP1")
    until(lambda: a.held)  # by the renewals that were sent meanwhile
    assert listener.leases == [True, False, True]


def test_a_node_that_renews_late_has_lost_its_lease_for_all_and_hears_of_it(coordinators):
    clock = ManualClock()  # it stands still: this node sends no renewal of its own accord
    a, listener_a = coordinators.coordinator(clock=clock)
    b, listener_b = coordinators.coordinator()
    old = a.claim("CP1").epoch
    until(lambda: a.node in listener_b.lost_nodes)
    assert a.node not in b.nodes()
    assert b.find("CP1") == ""
    assert refused(CoordinatorUnavailable, a.claim, "CP2")
    new = b.claim("CP1")
    assert new[1:] == ("", 0)
    clock.drive(a.lease.timers)
    clock.advance(LEASE_S)
    until(lambda: listener_a.leases == [True, False, True])
    assert set(listener_a.fences) == {("CP1", new.epoch)}
    assert a.verify({"CP1": old}).others == {"CP1"}
    until(lambda: a.node in b.nodes())


def test_two_nodes_that_claim_the_same_in_turn_and_at_once_get_epochs_that_rise(coordinators):
    (a, listener_a), (b, listener_b) = coordinators.coordinator(), coordinators.coordinator()
    in_turn = [one.claim("CP1").epoch for _ in range(500) for one in (a, b)]
    at_once: list[tuple[int, str]] = []

    def claim(one) -> None:
        at_once.extend((one.claim("CP1").epoch, one.node) for _ in range(250))

    gevent.joinall([gevent.spawn(claim, one) for one in (a, a, b, b)], raise_error=True)
    epochs = in_turn + sorted(epoch for epoch, _ in at_once)
    assert all(one < next_ for one, next_ in itertools.pairwise(epochs))
    last, holder = max(at_once)
    assert a.find("CP1") == holder
    listener = listener_a if holder == b.node else listener_b
    until(
        lambda: ("CP1", last) in listener.fences or max(listener.fences)[1] >= max_of_other(at_once, holder)
    )


def max_of_other(claims, holder) -> int:
    """Return the holder's first epoch after the other's last: the epoch that fenced the other off."""
    last = max((epoch for epoch, node in claims if node != holder), default=0)
    return min(epoch for epoch, node in claims if node == holder and epoch > last)
