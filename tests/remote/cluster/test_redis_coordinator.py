"""Coordinators while Redis disconnects, comes back empty, is silent, or refuses; and the keys that are left in it."""

import time

import gevent
import pytest

from chargehand.actors.runtime.timers import SystemClock
from chargehand.remote.cluster.coordinator import CoordinatorUnavailable
from chargehand.remote.cluster.redis_coordinator import RedisCoordinator
from chargehand.remote.redis.address import Address
from chargehand.remote.redis.link import Link

from ...hub import settle, until
from ..conftest import LEASE_S, NUMBERS, coordinators_on
from ..proxy import Proxy
from ..recording_listener import RecordingListener, refused


@pytest.fixture
def redis_link(redis_server):
    link = Link(Address(redis_server.url), "test")
    link.start()
    assert link.wait(60)
    yield link
    link.stop()
    settle()


@pytest.fixture
def proxy(redis_server):
    proxy = Proxy(redis_server.port)
    proxy.start()
    yield proxy
    proxy.stop()
    settle()


@pytest.fixture
def two(redis_server, proxy):
    """Two coordinators, the first one behind the proxy."""
    prefix = f"two{next(NUMBERS)}"
    behind, beside = coordinators_on(proxy.url, prefix), coordinators_on(redis_server.url, prefix)
    yield behind.coordinator(), beside.coordinator()
    behind.close()
    beside.close()


def test_a_redis_that_comes_back_empty_learns_of_all_and_epochs_do_not_fall(own_redis):
    server = own_redis()
    coordinators = coordinators_on(server.url)
    (a, listener_a), (b, listener_b) = coordinators.coordinator(), coordinators.coordinator()
    try:
        a.claim("CP1")
        old = b.claim("CP1")
        mine = a.claim("CP2")
        server.kill()
        until(lambda: refused(CoordinatorUnavailable, a.find, "CP1"))
        assert refused(CoordinatorUnavailable, a.claim, "CP1")
        assert refused(CoordinatorUnavailable, a.verify, {"CP1": 1})
        assert refused(CoordinatorUnavailable, a.charge_points)
        assert refused(CoordinatorUnavailable, a.send, b.node, b"")
        until(lambda: listener_a.leases == [True, False] and listener_b.leases == [True, False])
        assert not a.held
        server.start()
        until(lambda: a.held or b.held)
        assert (a if a.held else b).claim("CP3").wait_s > 0  # leases that it does not know of may still run
        until(lambda: a.held and b.held)
        assert listener_a.leases == [True, False, True]
        assert a.claim("CP1").epoch > old.epoch
        assert a.find("CP2") == ""
        assert a.verify({"CP2": mine.epoch}).others == frozenset()
        assert b.verify({"CP1": old.epoch}).others == {"CP1"}
        assert b.find("CP2") == a.node
        until(lambda: set(a.nodes()) == {a.node, b.node})
    finally:
        coordinators.close()


def test_a_replica_that_is_made_master_is_another_coordinator_though_it_knows_much(own_redis):
    first = own_redis("--repl-diskless-sync-delay", "0")
    second = own_redis("--replicaof", f"127.0.0.1 {first.port}")
    replica = Link(Address(second.url), "test")
    replica.start()
    proxy = Proxy(first.port)
    proxy.start()
    coordinators = coordinators_on(proxy.url, "p")
    try:
        a, listener = coordinators.coordinator(lease_s=10.0)  # so long that it is not lost by time
        replica.wait(60)
        epoch = a.claim("CP1").epoch
        born = until(lambda: replica.ask("GET", "p:born"))
        until(lambda: replica.ask("HGET", "p:cps", "CP1") == f"{epoch} {a.node}".encode())
        replica.ask("REPLICAOF", "NO", "ONE")
        proxy.lead_to(second.port)
        first.kill()
        until(lambda: listener.leases == [True, False, True])
        assert replica.ask("GET", "p:born") != born
        assert a.find("CP1") == a.node
        assert a.verify({"CP1": epoch}).wait_s > 9.0
        assert a.claim("CP2").wait_s > 9.0
    finally:
        coordinators.close()
        replica.stop()
        proxy.stop()
        settle()


def test_epochs_rise_even_with_a_redis_whose_clock_is_behind(redis_coordinators):
    (a, _), (b, _) = redis_coordinators.coordinator(), redis_coordinators.coordinator()
    far = 2**52
    a.lease.saw(far)
    assert a.claim("CP1").epoch == far + 1
    assert b.claim("CP1").epoch == far + 2
    c, _ = redis_coordinators.coordinator()
    c.lease.saw(far + 100)
    until(lambda: b.claim("CP1").epoch > far + 100)  # with a renewal of the one that has seen it


def test_a_node_that_is_cut_off_loses_its_lease_by_itself_and_hears_of_its_fences(two, proxy):
    (a, listener_a), (b, listener_b) = two
    until(lambda: a.claim("CP0").wait_s == 0)
    old = a.claim("CP1").epoch
    proxy.cut()
    new = b.claim("CP1")
    assert new.previous == a.node
    until(lambda: not a.held)
    assert not listener_a.fences
    until(lambda: listener_b.lost_nodes == [a.node])
    b.release("CP1", new.epoch)
    proxy.heal()
    until(lambda: listener_a.leases == [True, False, True])
    assert ("CP1", new.epoch) in listener_a.fences  # though nobody has it now
    assert old < new.epoch


def test_a_network_that_swallows_all_ends_the_lease_in_time_and_asks_then_fail(two, proxy):
    (a, listener_a), (b, _) = two
    a.claim("CP1")
    proxy.black_hole()
    asked = gevent.spawn(refused, CoordinatorUnavailable, a.claim, "CP2")
    until(lambda: not a.held)
    assert refused(CoordinatorUnavailable, a.claim, "CP3")
    proxy.heal()
    until(lambda: a.held)
    asked.join(60)
    assert asked.ready()
    assert listener_a.leases == [True, False, True]
    assert b.held


def test_a_slow_network_keeps_the_lease(proxy):
    coordinators = coordinators_on(proxy.url)
    a, listener_a = coordinators.coordinator(lease_s=3 * LEASE_S)
    proxy.delay(LEASE_S / 3)
    ends_at = time.monotonic() + 4 * LEASE_S
    until(lambda: time.monotonic() > ends_at)
    assert a.held
    assert listener_a.leases == [True]
    coordinators.close()


def test_messages_of_a_short_cut_arrive_once(two, proxy):
    (a, listener_a), (b, _) = two
    b.send(a.node, b"1")
    until(lambda: listener_a.messages)
    proxy.cut()
    b.send(a.node, b"2")
    b.find("CP1")
    proxy.heal()
    b.send(a.node, b"3")
    until(lambda: len(listener_a.messages) >= 3)
    assert [message for _, message in listener_a.messages] == [b"1", b"2", b"3"]


def test_scripts_that_were_flushed_are_loaded_again(redis_coordinators, redis_link):
    a, _ = redis_coordinators.coordinator()
    redis_link.ask("SCRIPT", "FLUSH")
    until(lambda: not refused(CoordinatorUnavailable, a.claim, "CP1"))
    assert a.held


def test_one_that_may_not_do_what_it_must_says_so_and_has_no_lease(own_redis, caplog):
    server = own_redis()
    admin = Link(Address(server.url), "admin")
    admin.start()
    admin.wait(60)
    admin.ask("ACL", "SETUSER", "weak", "on", ">secret", "~*", "+@all", "-evalsha")
    address = Address(f"redis://weak:secret@127.0.0.1:{server.port}")
    a = RedisCoordinator(address, "p", "a", SystemClock(), lease_s=LEASE_S)
    a.start(RecordingListener())
    try:
        until(lambda: "refuses the lease" in caplog.text)
        with pytest.raises(CoordinatorUnavailable, match="evalsha"):
            a.claim("CP1")
        assert not a.held
        assert "secret" not in caplog.text
    finally:
        a.stop()
        admin.stop()
        settle()


def test_entries_that_are_none_of_ours_do_no_harm(redis_coordinators, redis_link, caplog):
    a, listener = redis_coordinators.coordinator()
    for entry in (
        ["x", "y"],
        ["from", "b"],
        ["fenced", "CP1", "epoch", "-1"],
        ["fenced", b"\xff", "epoch", "1"],
    ):
        redis_link.ask("XADD", a._inbox, "*", *entry)
    redis_link.ask("HSET", f"{a._prefix}:cps", "CP1", "nonsense")
    redis_link.ask("HSET", f"{a._prefix}:cps", "CP2", "x y")
    a.send(a.node, b"ours")
    until(lambda: listener.messages)
    assert "in an unknown format" in caplog.text
    assert a.find("CP1") == a.find("CP2") == ""
    assert a.claim("CP1").previous == a.claim("CP2").previous == ""


def test_an_inbox_is_bounded_and_nothing_stays_for_ever(redis_server, redis_link):
    prefix = f"bound{next(NUMBERS)}"
    a, b = (
        RedisCoordinator(
            Address(redis_server.url), prefix, node, SystemClock(), stream_limit=200, lease_s=LEASE_S
        )
        for node in "ab"
    )
    a.start(RecordingListener())
    b.start(RecordingListener())
    until(lambda: a.held and b.held)
    b._messages.stop()  # it reads nothing any more
    b._reader.kill()
    for _ in range(2000):
        a.send("b", b"x" * 100)
    a.claim("CP1")
    b.claim("CP1")
    assert redis_link.ask("XLEN", b._inbox) < 400
    keys = {key.decode().removeprefix(prefix) for key in redis_link.ask("KEYS", f"{prefix}:*")}
    lasting = {key for key in keys if redis_link.ask("PTTL", prefix + key) == -1}
    assert lasting == {":epoch", ":cps", ":born"}
    a.stop()
    b.stop()
    keys = {key.decode().removeprefix(prefix) for key in redis_link.ask("KEYS", f"{prefix}:*")}
    assert keys - {":doubt:CP1", ":nodes"} == lasting
    settle()


def test_what_was_read_is_trimmed(redis_coordinators, redis_link):
    (a, listener_a), (b, _) = redis_coordinators.coordinator(), redis_coordinators.coordinator()
    for _ in range(50):
        b.send(a.node, b"x")
    until(lambda: len(listener_a.messages) == 50)
    until(lambda: redis_link.ask("XLEN", a._inbox) == 1)  # the last one read is kept
    b.send(a.node, b"y")
    until(lambda: len(listener_a.messages) == 51)


def test_an_inbox_whose_entries_begin_again_lower_is_read(own_redis):
    server = own_redis()
    coordinators = coordinators_on(server.url)
    a, listener = coordinators.coordinator()
    try:
        a._read = b"9999999999999-0"  # as read from a Redis whose clock was ahead
        server.kill()
        server.start()
        until(lambda: not refused(CoordinatorUnavailable, a.send, a.node, b"1"))
        until(lambda: a.held)
        until(lambda: not refused(CoordinatorUnavailable, a.send, a.node, b"2"))
        until(lambda: listener.messages)
        assert listener.messages[-1][1] in (b"1", b"2")
    finally:
        coordinators.close()


def test_what_no_node_has_sealed_is_not_taken_from_redis_and_said_with_the_setting(
    redis_server, redis_link, caplog
):
    prefix = f"sealed{next(NUMBERS)}"
    address, clock = Address(redis_server.url), SystemClock()
    options = {"lease_s": LEASE_S, "secret": "a secret of sixteen"}
    a, b = (RedisCoordinator(address, prefix, node, clock, **options) for node in "ab")
    heard = RecordingListener()
    a.start(RecordingListener())
    b.start(heard)
    try:
        until(lambda: a.held and b.held)
        redis_link.ask("XADD", b._inbox, "*", "from", "a", "message", b"forged")
        a.send("b", b"first")
        until(lambda: heard.messages)
        (_, entry), *_ = redis_link.ask("XREVRANGE", b._inbox, "+", "-", "COUNT", 1)
        redis_link.ask("XADD", b._inbox, "*", *entry)  # the same again
        a.send("b", b"second")
        until(lambda: len(heard.messages) > 1)
        assert heard.messages == [("a", b"first"), ("a", b"second")]
        assert "a message of a was not taken: it has no seal (redis.secret)" in caplog.text
    finally:
        a.stop()
        b.stop()
        settle()


@pytest.fixture
def linked(redis_server):
    """Start coordinators that speak some versions of the link, on one prefix; return each with its listener."""
    prefix, made = f"linked{next(NUMBERS)}", []

    def start(node, *links):
        more = {"links": links} if links else {}
        one = RedisCoordinator(
            Address(redis_server.url), prefix, node, SystemClock(), lease_s=LEASE_S, **more
        )
        listener = RecordingListener()
        made.append(one)
        one.start(listener)
        return one, listener

    start.prefix = prefix
    yield start
    for one in made:
        one.stop()
    settle()


def test_nodes_of_two_versions_of_the_link_live_together_if_one_is_spoken_by_both(linked):
    a, _ = linked("a", 4, 3)
    until(lambda: a.held)
    b, _ = linked("b", 5, 4)
    until(lambda: b.held and set(a.nodes()) == {"a", "b"})


def test_a_node_that_does_not_speak_the_link_of_another_one_gets_no_lease(linked, caplog):
    a, listener = linked("a", 4, 3)
    until(lambda: a.held)
    b, refused_listener = linked("b", 6, 5)
    until(lambda: refused_listener.refusals)
    why = "node a speaks link 4 3, and this one link 6 (oldest 5): stop the nodes of the other version first"
    assert refused_listener.refusals[0] == why
    assert b.trouble == why
    assert refused(CoordinatorUnavailable, b.claim, "CP1")
    assert why in caplog.text
    assert a.held
    assert listener.refusals == []
    assert list(a.nodes()) == ["a"]
    # With that node stopped the other one is let in at its next renewal.
    a.stop()
    until(lambda: b.held)
    assert b.trouble == ""


def test_a_node_that_does_not_tell_its_link_has_to_stop_first(linked, redis_link):
    redis_link.send("ZADD", f"{linked.prefix}:nodes", int((time.time() + 60) * 1000), "old").wait()
    _, listener = linked("b")
    until(lambda: listener.refusals)
    assert "node old speaks the link of an older chargehand" in listener.refusals[0]


def test_links_of_nodes_that_are_gone_are_forgotten(linked, redis_link):
    key = f"{linked.prefix}:links"
    a, _ = linked("a")
    until(lambda: a.held)
    assert redis_link.ask("HGETALL", key) == [b"a", b"1 1"]
    a.stop()
    until(lambda: redis_link.ask("HGETALL", key) == [])
    # One that was killed: its lease has run out.
    redis_link.ask("ZADD", f"{linked.prefix}:nodes", 1, "killed")
    redis_link.ask("HSET", key, "killed", "1 1")
    b, _ = linked("b")
    until(lambda: b.held)
    assert redis_link.ask("HGETALL", key) == [b"b", b"1 1"]


def test_an_entry_and_members_of_a_newer_node_are_ignored(linked, redis_link, caplog):
    a, listener = linked("a")
    until(lambda: a.held)
    inbox = f"{linked.prefix}:in:a"
    redis_link.ask("XADD", inbox, "*", "foreseen", "1")
    redis_link.ask("XADD", inbox, "*", "fenced", "CP1", "epoch", "17", "why", "foreseen")
    until(lambda: listener.fences == [("CP1", 17)])
    assert "an entry in an unknown format was not taken" in caplog.text
