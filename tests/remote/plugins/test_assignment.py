"""Streams that are assigned to a plugin host."""

from chargehand.remote.plugins.assignment import Assignment
from chargehand.remote.plugins.streams import LEASE_S


def having(*numbers, share=None, at=0.0):
    shares = Assignment()
    shares.renewed(numbers, len(numbers) if share is None else share, at)
    return shares


def test_a_stream_is_read_as_long_as_its_lease_runs_from_when_it_was_asked_for():
    shares = having(1, 2, at=10.0)
    assert [one.number for one in shares.readable(10.0 + LEASE_S - 0.1)] == [1, 2]
    assert shares.readable(10.0 + LEASE_S) == []


def test_what_is_new_and_what_was_lost_is_told():
    shares = having(1, 2)
    assert shares.renewed([2, 3], 2, 1.0) == ([3], [1])
    assert sorted(one.number for one in shares) == [2, 3]


def test_a_stream_whose_lease_had_ended_is_claimed_again():
    shares = having(1, at=0.0)
    shares[1].claimed = True
    shares.renewed([1], 1, LEASE_S - 0.1)
    assert shares[1].claimed
    shares.renewed([1], 1, 3 * LEASE_S)
    assert not shares[1].claimed


def test_more_than_its_share_is_given_back_only_when_nothing_of_it_is_pending():
    shares = having(1, 2, 3)
    for one in shares:
        one.pending[b"1-0"] = "something"
    shares.renewed([1, 2, 3], 1, 1.0)
    assert [one.number for one in shares.readable(1.0)] == [3]
    assert shares.give_back() == []
    shares.done((2, b"1-0"))
    assert shares.give_back() == [2]
    assert sorted(one.number for one in shares) == [1, 3]


def test_a_leaving_partition_is_the_same_at_renewal_and_stays_when_there_is_room():
    shares = having(1, 2, 3)
    shares.renewed([1, 2, 3], 2, 1.0)
    leaving = [one.number for one in shares if one.leaving]
    shares.renewed([1, 2, 3], 2, 2.0)
    assert [one.number for one in shares if one.leaving] == leaving
    assert len(leaving) == 1
    shares.renewed([1, 2, 3], 3, 3.0)
    assert not [one.number for one in shares if one.leaving]


def test_pending_entries_are_known_when_its_stream_was_lost_and_comes_again():
    shares = having(1)
    shares[1].pending[b"1-0"] = "something"
    shares.clear()
    assert (len(shares), shares.busy) == (0, 1)
    shares.renewed([1], 1, 1.0)
    assert b"1-0" in shares[1].pending
    shares.done((1, b"1-0"))
    assert shares.pending == []


def test_a_node_with_a_lower_epoch_is_fenced():
    shares = having(1)
    shares[1].epochs["CP"] = 5
    assert shares[1].fenced("CP", 4)
    assert not shares[1].fenced("CP", 5)
    assert not shares[1].fenced("other", 0)
