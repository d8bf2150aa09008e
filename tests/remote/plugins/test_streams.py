"""Names of the keys in Redis, and the script that assigns the streams."""

import hashlib
from collections import Counter

import pytest

from chargehand.remote.plugins.streams import (
    FINISH,
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
from chargehand.remote.redis.link import Link, RedisCommandRefused
from chargehand.remote.redis.script_batch import ScriptBatch

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


class Batches:
    """Batches of the scripts, and what they told, in order."""

    def __init__(self, link):
        self.link = link
        self.sends = ScriptBatch(link, SEND)
        self.ends = ScriptBatch(link, FINISH, "g", 100, 60)
        self.told = []

    def send(self, stream, envelope="x", *, done="", limit=2):
        names = (stream, KEYS.alive("g"), done)
        self.sends.run(names, (limit,), envelope, lambda *told: self.told.append(told))

    def finish(self, stream, entry, answer, *, done="", answers=KEYS.answers("n"), keep_s=60, id_="1"):  # noqa: B008
        arguments = (entry, keep_s, f'"{id_}"')
        self.ends.run((stream, done, answers), arguments, answer, lambda *told: self.told.append(told))

    def results(self, number):
        until(lambda: len(self.told) == number)
        told, self.told = self.told, []
        return told

    def answers(self):
        """List the answers without what all of them begin with."""
        found = self.link.ask("XRANGE", KEYS.answers("n"), "-", "+")
        return [fields[1].removeprefix(b'{"v":1,"kind":"answer","id":"1",') for _, fields in found]

    def entry(self, stream):
        return self.link.ask("XADD", stream, "*", "e", "x").decode()

    def entries(self, stream):
        return [entry.decode() for entry, _ in self.link.ask("XRANGE", stream, "-", "+")]


@pytest.fixture
def batches(link):
    return Batches(link)


STREAM, OTHER = KEYS.stream(0, "g"), KEYS.stream(1, "g")


def test_nothing_is_sent_where_nobody_is_or_too_much_waits(batches):
    batches.send(STREAM)
    assert batches.results(1) == [(NOBODY, None)]
    batches.link.ask("SET", KEYS.alive("g"), "w")
    for stream in (STREAM, STREAM, STREAM, OTHER):
        batches.send(stream)
    batches.sends.flush()
    batches.send(STREAM)
    told = [found if found == FULL else found.decode() for found, _ in batches.results(5)]
    assert told == [*batches.entries(STREAM), FULL, *batches.entries(OTHER), FULL]


def test_what_was_answered_is_answered_the_same_and_not_sent_again(batches):
    batches.link.ask("SET", KEYS.alive("g"), "w")
    done = KEYS.done("k")
    for answer in (b'{"response":{"a":1}}', b'{"response":{"a":2}}'):
        entry = batches.entry(STREAM)
        batches.finish(STREAM, entry, answer, done=done)
    batches.results(2)
    assert batches.answers() == [b'"response":{"a":1}}'] * 2
    assert batches.entries(STREAM) == []
    batches.send(STREAM, done=done)
    batches.send(OTHER)
    assert batches.results(2)[0] == ([b'{"response":{"a":1}}'], None)
    assert (len(batches.entries(STREAM)), len(batches.entries(OTHER))) == (0, 1)


def test_a_failure_is_not_kept_and_gives_way_to_an_answer(batches):
    done = KEYS.done("k")
    batches.finish(STREAM, "1-0", b'{"failed":"x"}', done=done, keep_s=0)
    batches.results(1)
    assert batches.link.ask("EXISTS", done) == 0
    batches.finish(STREAM, "1-0", b'{"response":{}}', done=done)
    batches.finish(STREAM, "1-0", b'{"failed":"x"}', done=done, keep_s=0)
    batches.results(2)
    assert batches.answers() == [b'"failed":"x"}', b'"response":{}}', b'"response":{}}']


def test_entries_of_a_turn_are_removed_in_the_step_that_answers_them(batches):
    entries = [batches.entry(stream) for stream in (STREAM, STREAM, OTHER)]
    batches.link.ask("XGROUP", "CREATE", STREAM, "g", "0")
    batches.link.ask("XREADGROUP", "GROUP", "g", "w", "STREAMS", STREAM, ">")
    batches.finish(STREAM, entries[0], b'{"response":{}}')
    batches.finish(STREAM, entries[1], b"", answers="")
    batches.finish(OTHER, entries[2], b'{"response":{}}')
    assert [error for _, error in batches.results(3)] == [None] * 3
    assert batches.link.ask("XPENDING", STREAM, "g")[0] == 0
    assert (batches.entries(STREAM), batches.entries(OTHER)) == ([], [])
    assert len(batches.answers()) == 2
    assert batches.link.ask("TTL", KEYS.answers("n")) > 0


def test_a_key_of_another_type_costs_its_own_entries_only(batches):
    batches.link.ask("SET", KEYS.alive("g"), "w")
    batches.link.ask("SET", STREAM, "no stream")
    batches.send(STREAM)
    batches.send(OTHER)
    refused, sent = batches.results(2)
    assert isinstance(refused[1], RedisCommandRefused)
    assert [sent[0].decode()] == batches.entries(OTHER)
    batches.link.ask("SET", KEYS.answers("no"), "no stream")
    batches.finish(OTHER, sent[0].decode(), b'{"response":{}}', answers=KEYS.answers("no"))
    batches.finish(OTHER, "1-0", b'{"response":{}}')
    refused, written = batches.results(2)
    assert isinstance(refused[1], RedisCommandRefused)
    assert written == (1, None)
    assert [sent[0].decode()] == batches.entries(OTHER)  # it has no answer


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
