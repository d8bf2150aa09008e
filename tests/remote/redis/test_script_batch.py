"""Runs of a script in one turn of the hub, as one command."""

import gevent
import pytest

from chargehand.remote.redis.address import Address, RedisAway
from chargehand.remote.redis.link import Link, RedisCommandRefused
from chargehand.remote.redis.script_batch import RUNS_AT_ONCE, ScriptBatch

from ...hub import until

# Returns for each run its first key, or an error, and how many runs the command had.
ECHO = """
local found = {}
for n = 2, #ARGV, 2 do
  if ARGV[n + 1] == 'fail' then found[#found + 1] = {err = 'ERR it failed'}
  else found[#found + 1] = {KEYS[tonumber(ARGV[n])] or '', ARGV[n + 1], (#ARGV - 1) / 2, #KEYS, ARGV[1]} end
end
return found
"""


@pytest.fixture
def link(redis_server):
    link = Link(Address(redis_server.url), "test")
    link.start()
    assert link.wait(60)
    yield link
    link.stop()


def test_runs_of_a_turn_are_one_command_with_each_key_once(link):
    told = []
    batch = ScriptBatch(link, ECHO, "s")
    for key, argument in (("a", "1"), ("b", "2"), ("a", "3"), ("", "4")):
        batch.run((key,), (argument,), lambda *found: told.append(found))
    assert told == []
    until(lambda: len(told) == 4)
    assert told == [
        ([key, argument, 4, 2, b"s"], None)
        for key, argument in ((b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"", b"4"))
    ]
    batch.run(("b",), ("5",), lambda *found: told.append(found))
    until(lambda: len(told) == 5)
    assert told[4] == ([b"b", b"5", 1, 1, b"s"], None)


def test_many_runs_of_a_turn_are_several_commands_in_order(link):
    told = []
    batch = ScriptBatch(link, ECHO, "s")
    for number in range(RUNS_AT_ONCE + 2):
        batch.run(("a",), (number,), lambda *found: told.append(found))
    until(lambda: len(told) == RUNS_AT_ONCE + 2)
    assert [int(found[1]) for found, _ in told] == list(range(RUNS_AT_ONCE + 2))
    assert [told[at][0][2] for at in (0, -1)] == [RUNS_AT_ONCE, 2]


def test_an_error_of_one_run_is_told_to_that_run_only(link):
    told = []
    batch = ScriptBatch(link, ECHO, "s")
    for argument in ("1", "fail", "2"):
        batch.run(("a",), (argument,), lambda *found: told.append(found))
    until(lambda: len(told) == 3)
    assert [error is None for _, error in told] == [True, False, True]
    assert isinstance(told[1][1], RedisCommandRefused)


@pytest.mark.parametrize("script", ["return {1}", "return 1", "return {1,2,3}"])
def test_a_result_for_which_there_is_no_run_ends_the_connection(link, script):
    told = []
    batch = ScriptBatch(link, script)
    for _ in range(2):
        batch.run(("a",), (), lambda *found: told.append(found))
    until(lambda: len(told) == 2)
    assert all(isinstance(error, RedisAway) for _, error in told)


def test_a_script_that_fails_and_a_redis_that_is_away_are_told_to_each_run(link):
    told = []
    batch = ScriptBatch(link, "return nonsense(")
    for _ in range(2):
        batch.run(("a",), (), lambda *found: told.append(found))
    until(lambda: len(told) == 2)
    assert all(isinstance(error, RedisCommandRefused) for _, error in told)
    batch.run(("a",), (), lambda *found: told.append(found))
    link.stop()
    until(lambda: len(told) == 3)
    assert isinstance(told[2][1], RedisAway)


def test_a_run_whose_reader_fails_does_not_keep_the_answer_from_the_others(link):
    told = []
    batch = ScriptBatch(link, ECHO, "s")
    hub = gevent.get_hub()
    unheard, hub.print_exception = hub.print_exception, lambda *_: None
    try:
        batch.run(("a",), ("1",), lambda *_: 1 / 0)
        batch.run(("a",), ("2",), lambda *found: told.append(found))
        until(lambda: told)
    finally:
        hub.print_exception = unheard
