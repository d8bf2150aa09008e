"""Charge points by id, and the time for which they have been away."""

from types import SimpleNamespace

import pytest

from chargehand.actors.session.charge_point import ChargePoint
from chargehand.actors.session.directory import Directory
from chargehand.protocol.session import Registration


class StubCell:
    """Stub with the part of a cell that a directory uses."""

    def __init__(self, id_):
        self.charge_point = ChargePoint(id_)
        self.newest = None
        self.session = SimpleNamespace(calls=None)


@pytest.fixture
def directory():
    directory = Directory()
    for id_ in ("a", "b", "c"):
        directory.add(StubCell(id_))
    return directory


def ids(entries):
    return [entry.charge_point.id for entry in entries]


def test_it_finds_what_was_entered(directory):
    assert directory.find("b").charge_point.id == "b"
    assert directory.find("x") is None
    assert len(directory) == 3


def test_it_can_be_changed_while_it_is_gone_through(directory):
    for entry in directory:
        directory.remove(entry.charge_point.id)
    assert len(directory) == 0


def test_what_is_removed_is_forgotten(directory):
    directory.note_offline("b", 1.0)
    directory.remove("b")
    directory.remove("b")
    assert directory.find("b") is None
    assert directory.offline_since(10.0) == []
    assert directory.connected == 2


def test_those_that_have_been_away_are_found_the_longest_first(directory):
    for id_, since in (("c", 1.0), ("a", 2.0), ("b", 3.0)):
        directory.note_offline(id_, since)
    assert ids(directory.offline_since(2.5)) == ["c", "a"]
    assert ids(directory.offline_since(1.0)) == []
    assert ids(directory.offline_since(9.0)) == ["c", "a", "b"]
    assert directory.connected == 0


def test_one_that_has_come_back_is_not_away(directory):
    directory.note_offline("a", 1.0)
    directory.note_online("a")
    assert directory.offline_since(9.0) == []
    assert directory.connected == 3


def test_one_that_goes_away_again_is_away_from_then_on(directory):
    directory.note_offline("a", 1.0)
    directory.note_offline("b", 2.0)
    directory.note_offline("a", 3.0)
    assert ids(directory.offline_since(2.5)) == ["b"]
    assert ids(directory.offline_since(9.0)) == ["b", "a"]


def test_the_end_of_an_old_connection_does_not_take_one_away_that_has_a_newer_one(directory):
    directory.find("a").newest = object()
    directory.note_offline("a", 1.0)
    assert directory.offline_since(9.0) == []
    assert directory.connected == 3


def test_one_that_is_not_known_cannot_be_away(directory):
    directory.note_offline("x", 1.0)
    assert directory.connected == 3


def test_too_many_that_never_booted_are_found_the_oldest_first(directory):
    for number, id_ in enumerate("abc"):
        directory.note_offline(id_, number)
    assert ids(directory.unbooted_above(3)) == []
    assert ids(directory.unbooted_above(1)) == ["a", "b"]
    assert ids(directory.unbooted_above(1)) == []


def test_one_that_has_booted_or_is_here_or_has_a_command_is_not_among_them(directory):
    directory.find("a").charge_point.registration = Registration.ACCEPTED
    directory.find("b").session.calls = object()
    for id_ in "abc":
        directory.note_offline(id_, 1.0)
    directory.note_online("c")
    assert ids(directory.unbooted_above(0)) == []
    directory.note_offline("c", 2.0)
    directory.remove("c")
    assert ids(directory.unbooted_above(0)) == []
