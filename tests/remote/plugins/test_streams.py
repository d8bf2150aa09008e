"""Names of the keys in Redis, and the script that assigns the streams."""

import hashlib
from collections import Counter

import pytest

from chargehand.remote.plugins.streams import (
    FINISH,
    FORWARDED,
    FULL,
    NOBODY,
    RENEW,
    SEND,
    WANTED,
    Keys,
    key_of,
    partition_of,
)
from chargehand.remote.redis.address import Address
from chargehand.remote.redis.link import Link

from ...hub import until


@pytest.fixture
def link(redis_server):
    link = Link(Address(redis_server.url), "test")
    link.start()
    assert link.wait(60)
    link.ask("FLUSHALL")
    yield link
    link.stop()


KEYS = Keys("p")


def renew(link, worker, lease_ms=4000, wants="{}"):
    names = (KEYS.hosts("g"), KEYS.alive("g"), KEYS.partitions, KEYS.wants("g"), KEYS.groups)
    _, share, mine = link.ask("EVAL", RENEW, 5, *names, worker, lease_ms, 10_000, "p", "g", wants)
    return share, mine


def wanted(link):
    return link.ask("EVAL", WANTED, 1, KEYS.groups, "p")


def test_a_charge_point_is_always_in_the_same_stream_and_all_streams_are_used():
    digest = hashlib.blake2b(b"CP1", digest_size=8).digest()
    assert partition_of("CP1", 16) == int.from_bytes(digest, "big") % 16 == 7
    assert len(Counter(partition_of(f"CP{number}", 16) for number in range(1000))) == 16


def test_keys_of_different_parts_differ_though_joined_they_are_the_same():
    assert key_of(b"ab", b"c") != key_of(b"a", b"bc")
    assert key_of(b"ab", b"c") == key_of(b"ab", b"c")


def test_nothing_is_sent_where_nobody_is_or_too_much_waits(link):
    names = (KEYS.stream(0, "g"), KEYS.alive("g"))
    assert link.ask("EVAL", SEND, 2, *names, 2, "x") == NOBODY
    link.ask("SET", KEYS.alive("g"), "w")
    first, second, third = (link.ask("EVAL", SEND, 2, *names, 2, "x") for _ in range(3))
    assert (first[0], second[0], third) == (FORWARDED, FORWARDED, FULL)
    assert [entry for entry, _ in link.ask("XRANGE", names[0], "-", "+")] == [first[1], second[1]]


def test_what_was_answered_is_answered_the_same_and_not_sent_again(link):
    link.ask("SET", KEYS.alive("g"), "w")
    stream, done, answers = KEYS.stream(0, "g"), KEYS.done("k"), KEYS.answers("n")
    for answer in (b'{"response":{"a":1}}', b'{"response":{"a":2}}'):
        entry = link.ask("XADD", stream, "*", "e", "x")
        link.ask("EVAL", FINISH, 3, stream, done, answers, "g", entry, answer, 60, '"1"', 100, 60)
    told = [fields[1] for _, fields in link.ask("XRANGE", answers, "-", "+")]
    assert told == [b'{"v":1,"kind":"answer","id":"1","response":{"a":1}}'] * 2
    assert link.ask("XLEN", stream) == 0
    assert link.ask("EVAL", SEND, 3, stream, KEYS.alive("g"), done, 2, "x") == b'{"response":{"a":1}}'


def test_a_failure_is_not_kept_and_gives_way_to_an_answer(link):
    stream, done, answers = KEYS.stream(0, "g"), KEYS.done("k"), KEYS.answers("n")
    names = (stream, done, answers)
    link.ask("EVAL", FINISH, 3, *names, "g", "1-0", b'{"failed":"x"}', 0, '"1"', 100, 60)
    assert link.ask("EXISTS", done) == 0
    link.ask("EVAL", FINISH, 3, *names, "g", "1-0", b'{"response":{}}', 60, '"1"', 100, 60)
    link.ask("EVAL", FINISH, 3, *names, "g", "1-0", b'{"failed":"x"}', 0, '"1"', 100, 60)
    told = [fields[1].partition(b',"id":"1",')[2] for _, fields in link.ask("XRANGE", answers, "-", "+")]
    assert told == [b'"failed":"x"}', b'"response":{}}', b'"response":{}}']


def test_workers_share_the_streams_and_what_is_free_is_taken(link):
    assert renew(link, "b") == (0, [])  # no node has said how many there are
    link.ask("SET", KEYS.partitions, 5)
    assert renew(link, "b") == (5, [0, 1, 2, 3, 4])
    assert renew(link, "a") == (3, [])
    assert renew(link, "b") == (2, [0, 1, 2, 3, 4])
    link.ask("DEL", KEYS.owner(0, "g"), KEYS.owner(1, "g"), KEYS.owner(2, "g"))
    assert renew(link, "a") == (3, [0, 1, 2])
    assert renew(link, "b") == (2, [3, 4])


def test_a_worker_that_renews_no_more_is_forgotten(link):
    link.ask("SET", KEYS.partitions, 2)
    renew(link, "dead", lease_ms=1)
    ends = 1000
    while (found := renew(link, "alive")) != (2, [0, 1]) and ends:
        ends -= 1
    assert found == (2, [0, 1])


def test_the_wants_of_living_plugin_hosts_are_known_and_those_of_dead_ones_forgotten(link):
    renew(link, "dead", lease_ms=1, wants='"dead"')
    renew(link, "a", wants='"a"')
    renew(link, "b", wants='"b"')
    until(lambda: wanted(link) == [[b"g", b'"a"', b'"b"']])
    link.ask("DEL", KEYS.hosts("g"))
    assert wanted(link) == []
    assert link.ask("SMEMBERS", KEYS.groups) == [b"g"]  # it was alive lately
    link.ask("DEL", KEYS.alive("g"))
    assert wanted(link) == []
    assert link.ask("EXISTS", KEYS.groups, KEYS.wants("g")) == 0
