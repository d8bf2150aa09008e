"""The streams between nodes and workers: what everything is called in Redis, and the scripts that change it.

P streams for each group of workers; a charge point's messages are all in the one that its id is hashed to. A stream
belongs to one worker at a time, so that their order holds. What a step must not leave half done is one script.
docs/scaling.md has all of it for workers in other languages.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

LEASE_S = 4.0
"""Seconds that a worker has a stream for, from when its renewal was sent."""
RENEW_S = 1.0
"""Seconds between two renewals: what a dead worker had is another's after `LEASE_S + RENEW_S` at the latest."""
ALIVE_S = 10.0
"""Seconds after the last sign of any worker of a group after which nothing is sent to it any more."""
ANSWERS_LIMIT = 10_000
"""Answers that wait for one node; of more the oldest go."""
ANSWERS_S = 60
"""Seconds after which the answers of a node that is no more are gone."""
DEFAULT_GROUP = "default"

FORWARDED, NOBODY, FULL = 1, -1, -2
"""Results of `SEND`, unless it finds the answer of an earlier time."""

# KEYS: stream, alive, and for a call done. ARGV: limit, envelope.
SEND = """
local kept = #KEYS > 2 and redis.call('GET', KEYS[3])
if kept then return kept end
if redis.call('EXISTS', KEYS[2]) == 0 then return -1 end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return -2 end
redis.call('XADD', KEYS[1], '*', 'e', ARGV[2])
return 1
"""

# KEYS: stream, done, answers. ARGV: group, entry, answer, seconds to keep it or 0, request id as JSON, most answers,
# their seconds. Whoever was first has said what the answer is.
FINISH = """
local answer = ARGV[3]
if ARGV[4] == '0' then
  answer = redis.call('GET', KEYS[2]) or answer
elseif not redis.call('SET', KEYS[2], answer, 'NX', 'EX', ARGV[4]) then
  answer = redis.call('GET', KEYS[2])
end
answer = '{"v":1,"kind":"answer","id":' .. ARGV[5] .. ',' .. string.sub(answer, 2)
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[6], '*', 'a', answer)
redis.call('EXPIRE', KEYS[3], ARGV[7])
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
"""

# KEYS: stream. ARGV: group, entry. For what gets no answer.
DROP = """
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
"""

# KEYS: workers, alive, partitions. ARGV: worker, lease in ms, ms that the group counts as alive, prefix, group.
# Returns the time in ms, how many streams this worker should have, and those it has: by now, with free ones taken.
RENEW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
local workers = redis.call('ZRANGE', KEYS[1], 0, -1)
table.sort(workers)
local streams = tonumber(redis.call('GET', KEYS[3]) or '0')
local share = math.floor(streams / #workers)
for rank, worker in ipairs(workers) do
  if worker == ARGV[1] and rank <= streams % #workers then share = share + 1 end
end
local mine, free = {}, {}
for n = 0, streams - 1 do
  local key = ARGV[4] .. ':p:' .. n .. ':owner:' .. ARGV[5]
  local owner = redis.call('GET', key)
  if owner == ARGV[1] then
    redis.call('PEXPIRE', key, ARGV[2])
    table.insert(mine, n)
  elseif not owner then
    table.insert(free, {n, key})
  end
end
for _, found in ipairs(free) do
  if #mine >= share then break end
  redis.call('SET', found[2], ARGV[1], 'PX', ARGV[2])
  table.insert(mine, found[1])
end
return {now, share, mine}
"""

# KEYS: owners. ARGV: worker.
RELEASE = """
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
"""


def partition_of(charge_point_id: str, partitions: int) -> int:
    """The stream of a charge point: the BLAKE2b of its id, 8 bytes long and read as a big-endian number, modulo P."""
    return int.from_bytes(blake2b(charge_point_id.encode(), digest_size=8).digest(), "big") % partitions


def key_of(*parts: bytes) -> str:
    """Make the key of a stored answer: a BLAKE2b of the parts, each preceded by its length."""
    state = blake2b(digest_size=16)
    for part in parts:
        state.update(len(part).to_bytes(8, "big"))
        state.update(part)
    return state.hexdigest()


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of everything in Redis that nodes and workers share, below one prefix."""

    prefix: str

    @property
    def partitions(self) -> str:
        """Name of the key with the number of streams of each group, set by the first node."""
        return f"{self.prefix}:partitions"

    def stream(self, partition: int, group: str) -> str:
        """A stream: entries with one field, `e`, an envelope."""
        return f"{self.prefix}:p:{partition}:{group}"

    def owner(self, partition: int, group: str) -> str:
        """The worker that has a stream, as long as its lease runs."""
        return f"{self.prefix}:p:{partition}:owner:{group}"

    def epochs(self, partition: int, group: str) -> str:
        """A hash: the highest epoch that was seen of each charge point of a stream."""
        return f"{self.prefix}:p:{partition}:epochs:{group}"

    def workers(self, group: str) -> str:
        """A sorted set: the workers of a group, by when they count as dead (ms, by the clock of Redis)."""
        return f"{self.prefix}:workers:{group}"

    def alive(self, group: str) -> str:
        """Is there while a worker of the group was there lately."""
        return f"{self.prefix}:alive:{group}"

    def answers(self, node: str) -> str:
        """The stream of a node's answers: entries with one field, `a`."""
        return f"{self.prefix}:answers:{node}"

    def done(self, key: str) -> str:
        """The answer to a call that was handled."""
        return f"{self.prefix}:done:{key}"
