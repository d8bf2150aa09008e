"""Runs of a script in one turn of the hub, as one command."""

import gevent
import pytest

from chargehand.remote.redis.address import Address, RedisAway
from chargehand.remote.redis.link import Link, RedisCommandRefused
from chargehand.remote.redis.script_batch import RUNS_AT_ONCE, ScriptBatch

from ...hub import until

# Returns for each run its key and its argument, its text, and how many runs and keys the command had; or an error.
ECHO = """
local found, runs = {}, cmsgpack.unpack(ARGV[1])
for n, run in ipairs(runs) do
  if run[2] == 0 then found[n] = {err = 'ERR it failed'}
  else found[n] = {KEYS[run[1]] or '', run[2], ARGV[n + 1], #runs, #KEYS, ARGV[#runs + 2]} end
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
    for key, number in (("a", 1), ("b", 2), ("a", 3), ("", 4)):
        batch.run((key,), (number,), b"\xff%d" % number, lambda *found: told.append(found))
    assert told == []
    until(lambda: len(told) == 4)
    assert told == [
        ([key, number, b"\xff%d" % number, 4, 2, b"s"], None)
        for key, number in ((b"a", 1), (b"b", 2), (b"a", 3), (b"", 4))
    ]
    batch.run(("b",), ("5",), b"x", lambda *found: told.append(found))
    until(lambda: len(told) == 5)
    assert told[4] == ([b"b", b"5", b"x", 1, 1, b"s"], None)


def test_many_runs_of_a_turn_are_several_commands_in_order(link):
    told = []
    batch = ScriptBatch(link, ECHO, "s")
    for number in range(1, RUNS_AT_ONCE + 3):
        batch.run(("a",), (number,), b"", lambda *found: told.append(found))
    until(lambda: len(told) == RUNS_AT_ONCE + 2)
    assert [found[1] for found, _ in told] == list(range(1, RUNS_AT_ONCE + 3))
    assert [told[at][0][3] for at in (0, -1)] == [RUNS_AT_ONCE, 2]


def test_an_error_of_one_run_is_told_to_that_run_only(link):
    told = []
    batch = ScriptBatch(link, ECHO, "s")
    for number in (1, 0, 2):
        batch.run(("a",), (number,), b"", lambda *found: told.append(found))
    until(lambda: len(told) == 3)
    assert [error is None for _, error in told] == [True, False, True]
    assert isinstance(told[1][1], RedisCommandRefused)


@pytest.mark.parametrize("script", ["return {1}", "return 1", "return {1,2,3}"])
def test_a_result_for_which_there_is_no_run_ends_the_connection(link, script):
    told = []
    batch = ScriptBatch(link, script)
    for _ in range(2):
        batch.run(("a",), (), b"", lambda *found: told.append(found))
    until(lambda: len(told) == 2)
    assert all(isinstance(error, RedisAway) for _, error in told)


def test_a_script_that_fails_and_a_redis_that_is_away_are_told_to_each_run(link):
    told = []
    batch = ScriptBatch(link, "return nonsense(")
    for _ in range(2):
        batch.run(("a",), (), b"", lambda *found: told.append(found))
    until(lambda: len(told) == 2)
    assert all(isinstance(error, RedisCommandRefused) for _, error in told)
    batch.run(("a",), (), b"", lambda *found: told.append(found))
    link.stop()
    until(lambda: len(told) == 3)
    assert isinstance(told[2][1], RedisAway)


def test_a_run_whose_reader_fails_does_not_keep_the_answer_from_the_others(link):
    told = []
    batch = ScriptBatch(link, ECHO, "s")
    hub = gevent.get_hub()
    unheard, hub.print_exception = hub.print_exception, lambda *_: None
    try:
        batch.run(("a",), (1,), b"", lambda *_: 1 / 0)
        batch.run(("a",), (2,), b"", lambda *found: told.append(found))
        until(lambda: told)
    finally:
        hub.print_exception = unheard
