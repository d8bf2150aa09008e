"""Intake: sockets are turned away by address, memory and descriptors, before anything is read."""

import errno
import logging

import pytest

from chargehand.actors.runtime.log_limit import LogLimit
from chargehand.actors.runtime.timers import Timers
from chargehand.admission.intake import Intake, network_of
from chargehand.admission.security_events import CONNECTS_TOO_OFTEN
from chargehand.config.sessions import SessionSettings
from chargehand.testing import ManualClock

FREE = 10  # a descriptor that leaves enough


class Notes:
    def __init__(self):
        self.counts = []
        self.events = []

    def count(self, name, who):
        self.counts.append(name)

    def note(self, type_, info, *, identity="", peer=""):
        self.events.append((type_, peer))


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def make(clock, notes):
    def make(*, descriptors=256, reserved=32, **limits):
        return Intake(
            SessionSettings(**limits),
            descriptors=descriptors,
            reserved=reserved,
            clock=clock,
            observer=notes,
            log_limit=LogLimit(Timers(clock)),
            security_events=notes,
        )

    return make


def test_an_address_has_so_many_connections_at_a_time(make, notes):
    intake = make(connections_per_address=2)
    assert [intake.enter(f"192.0.2.1:{port}") for port in (1, 2)] == [None, None]
    refusal = intake.enter("192.0.2.1:3")
    assert (refusal.status, refusal.detail) == (429, "sessions.connections_per_address")
    assert intake.enter("192.0.2.2:1") is None
    intake.leave("192.0.2.1:1")
    assert intake.enter("192.0.2.1:4") is None
    assert notes.counts == ["connection_refused_address"]
    assert notes.events == [(CONNECTS_TOO_OFTEN, "192.0.2.1:3")]


def test_an_address_shakes_hands_so_often(make, clock, notes):
    intake = make(address_rate=1, address_burst=2)
    assert [intake.enter("192.0.2.1:1"), intake.enter("192.0.2.1:9")] == [None, None]
    refusal = intake.enter("192.0.2.1:2")
    assert (refusal.status, refusal.detail) == (429, "sessions.address_rate")
    assert refusal.headers == (("Retry-After", "1"),)
    assert intake.enter("198.51.100.1:4711") is None
    clock.advance(1)
    assert intake.enter("192.0.2.1:1") is None
    assert notes.counts == ["connection_refused_rate"]


def test_of_addresses_without_connections_nothing_is_kept(make):
    intake = make()
    peers = [f"192.0.2.{number}:1" for number in range(200)]
    for peer in peers:
        intake.enter(peer)
    assert intake.addresses == 200
    for peer in peers:
        intake.leave(peer)
    intake.leave("192.0.2.1:1")  # once too often
    assert intake.addresses == 0


def test_limits_of_zero_are_none(make):
    intake = make(connections_per_address=0, address_rate=0)
    assert [intake.enter("192.0.2.1:1") for _ in range(50)] == [None] * 50


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("192.0.2.1:7", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6:7", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1:7", "192.0.2.1"),
        ("fe80::1%eth0:7", "fe80::/64"),
        ("::1:7", "::/64"),
        ("no:address:7", "no:address"),
    ],
)
def test_an_address_of_ipv6_counts_as_its_network(peer, network):
    assert network_of(peer) == network


def test_descriptors_are_left_for_others(make, notes, caplog):
    caplog.set_level(logging.WARNING)
    intake = make(descriptors=256, reserved=32)
    assert intake.accept(223, "192.0.2.1:1") is None
    refusal = intake.accept(224, "192.0.2.1:1")
    assert (refusal.status, refusal.detail) == (503, "resources.descriptors_reserved")
    assert notes.counts == ["connection_refused_descriptors"]
    assert "224 of 256 file descriptors are in use" in caplog.text
    assert "raise `ulimit -n` (resources.descriptors_reserved)" in caplog.text


def test_at_most_a_quarter_of_the_descriptors_is_reserved(make):
    intake = make(descriptors=64, reserved=1000)
    assert intake.accept(47, "192.0.2.1:1") is None
    assert intake.accept(48, "192.0.2.1:1").status == 503


def test_an_accept_that_fails_is_counted_and_said(make, notes, caplog):
    caplog.set_level(logging.WARNING)
    make().used_up(OSError(errno.EMFILE, "Too many open files"))
    assert notes.counts == ["accept_failed"]
    assert "Too many open files; raise `ulimit -n`, 256 now" in caplog.text


def test_lines_about_descriptors_are_few_whoever_comes(make, caplog):
    caplog.set_level(logging.WARNING)
    intake = make()
    for number in range(200):
        intake.accept(250, f"192.0.2.{number}:1")
    assert len(caplog.records) == 10


def test_no_connection_is_taken_while_memory_is_short(make, notes):
    intake = make()
    intake.memory_is_short = True
    refusal = intake.accept(FREE, "192.0.2.1:1")
    assert (refusal.status, refusal.detail) == (503, "resources.memory_accept")
    intake.memory_is_short = False
    assert intake.accept(FREE, "192.0.2.1:1") is None
    assert notes.counts == ["connection_refused_memory"]
