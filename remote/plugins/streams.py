"""Streams between nodes and plugin hosts: the names of their keys in Redis, and the scripts that change them.

Each group of plugin hosts has P streams; all messages of a charge point are in one stream, chosen by a hash of its id.
A stream belongs to one plugin host at a time, so that the order of its messages holds. A change that must be atomic is
one script. docs/scaling.md describes everything for plugin hosts in other languages.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

LEASE_S = 4.0
"""Length of a plugin host's lease of a stream, from when its renewal was sent."""
RENEW_S = 1.0
"""Seconds between renewals: a dead plugin host's streams are taken over within `LEASE_S + RENEW_S`."""
ALIVE_S = 10.0
"""Seconds after the last renewal of any plugin host of a group during which messages are sent to the group."""
ANSWERS_LIMIT = 10_000
"""Answers that may wait for one node; beyond it the oldest are dropped."""
ANSWERS_S = 60
"""Seconds after which the answers for a dead node are dropped."""
CHARGE_POINTS = 10_000
"""Charge points whose streams are known without a hash."""
DEFAULT_GROUP = "default"

NOBODY, FULL = -1, -2
"""Results of `SEND` for an envelope that is not written; else they are the id of its entry, or a stored answer in a
list."""

# A `ScriptBatch`. Keys of an envelope, its text: stream, alive, done or none. Argument: limit.
SEND = """
local alive, length, found = {}, {}, {}
local function send(stream, hosts, done, limit, envelope)
  local kept = done and redis.call('GET', done)
  if kept then return {kept} end
  alive[hosts] = alive[hosts] or redis.call('EXISTS', hosts)
  if alive[hosts] == 0 then return -1 end
  length[stream] = length[stream] or redis.call('XLEN', stream)
  if length[stream] >= limit then return -2 end
  local id = redis.call('XADD', stream, '*', 'e', envelope)
  length[stream] = length[stream] + 1
  return id
end
for n, run in ipairs(cmsgpack.unpack(ARGV[1])) do
  local fine, one = pcall(send, KEYS[run[1]], KEYS[run[2]], KEYS[run[3]], run[4], ARGV[1 + n])
  if not fine and type(one) == 'string' then one = {err = one} end
  table.insert(found, one)
end
return found
"""

# A `ScriptBatch` with the settings: group, most answers of a node, seconds for which they are kept. Keys of an answer,
# its text: stream, done or none, answers or none. Arguments: entry, seconds to keep the answer or 0, id of the call in
# JSON. The first answer that was stored counts. An entry whose answer cannot be written stays.
FINISH = """
local runs = cmsgpack.unpack(ARGV[1])
local group, most, lasting = ARGV[#runs + 2], ARGV[#runs + 3], ARGV[#runs + 4]
local ended, told, found = {}, {}, {}
local function answer(done, answers, said, keep, id)
  if done and (keep == 0 or not redis.call('SET', done, said, 'NX', 'EX', keep)) then
    said = redis.call('GET', done) or said
  end
  said = '{"v":1,"kind":"answer","id":' .. id .. ',' .. string.sub(said, 2)
  redis.call('XADD', answers, '*', 'a', said)
  told[answers] = true
end
for n, run in ipairs(runs) do
  local stream, done, answers = KEYS[run[1]], KEYS[run[2]], KEYS[run[3]]
  local fine, one = true, 1
  if answers then fine, one = pcall(answer, done, answers, ARGV[1 + n], run[5], run[6]) end
  if fine then
    ended[stream] = ended[stream] or {}
    table.insert(ended[stream], run[4])
    one = 1
  elseif type(one) == 'string' then
    one = {err = one}
  end
  table.insert(found, one)
end
for answers in pairs(told) do
  redis.call('XTRIM', answers, 'MAXLEN', '~', most)
  redis.call('EXPIRE', answers, lasting)
end
for stream, entries in pairs(ended) do
  redis.pcall('XACK', stream, group, unpack(entries))
  redis.pcall('XDEL', stream, unpack(entries))
end
return found
"""

# KEYS: hosts, alive, partitions, wants, groups. ARGV: plugin host, lease in ms, ms that the group counts as alive,
# prefix, group, wants of the plugin host as JSON. Takes free streams; returns the time in ms, how many streams this
# plugin host should have, and those it has.
RENEW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
redis.call('HSET', KEYS[4], ARGV[1], ARGV[6])
redis.call('SADD', KEYS[5], ARGV[5])
for _, host in ipairs(redis.call('HKEYS', KEYS[4])) do
  if not redis.call('ZSCORE', KEYS[1], host) then redis.call('HDEL', KEYS[4], host) end
end
local hosts = redis.call('ZRANGE', KEYS[1], 0, -1)
table.sort(hosts)
local streams = tonumber(redis.call('GET', KEYS[3]) or '0')
local share = math.floor(streams / #hosts)
for rank, host in ipairs(hosts) do
  if host == ARGV[1] and rank <= streams % #hosts then share = share + 1 end
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

# KEYS: groups. ARGV: prefix. Returns the name of each group with living plugin hosts that want something, and their
# wants; forgets groups without any plugin host.
WANTED = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local found = {}
for _, group in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local wants = ARGV[1] .. ':wants:' .. group
  local hosts = redis.call('ZRANGEBYSCORE', ARGV[1] .. ':workers:' .. group, now, '+inf')
  local one = {group}
  for _, host in ipairs(hosts) do
    local said = redis.call('HGET', wants, host)
    if said then table.insert(one, said) end
  end
  if #one > 1 then
    table.insert(found, one)
  elseif #hosts == 0 and redis.call('EXISTS', ARGV[1] .. ':alive:' .. group) == 0 then
    redis.call('SREM', KEYS[1], group)
    redis.call('DEL', wants)
  end
end
return found
"""

# KEYS: owners. ARGV: plugin host.
RELEASE = """
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
"""


@lru_cache(maxsize=CHARGE_POINTS)
def partition_of(charge_point_id: str, partitions: int) -> int:
    """Return the stream of a charge point: the 8-byte BLAKE2b of its id, as a big-endian number, modulo P."""
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
    """Names of the keys in Redis that nodes and plugin hosts share, below one prefix."""

    prefix: str

    @property
    def partitions(self) -> str:
        """Name of the key with the number of streams of each group, set by the first node."""
        return f"{self.prefix}:partitions"

    def stream(self, partition: int, group: str) -> str:
        """Name of a stream; its entries have one field, `e`, an envelope."""
        return f"{self.prefix}:p:{partition}:{group}"

    def owner(self, partition: int, group: str) -> str:
        """Name of the key with the plugin host that owns a stream, while its lease runs."""
        return f"{self.prefix}:p:{partition}:owner:{group}"

    def epochs(self, partition: int, group: str) -> str:
        """Name of the hash with the highest epoch seen of each charge point of a stream."""
        return f"{self.prefix}:p:{partition}:epochs:{group}"

    def hosts(self, group: str) -> str:
        """Name of the sorted set of a group's plugin hosts, by when they count as dead (ms, by the clock of Redis)."""
        return f"{self.prefix}:workers:{group}"

    @property
    def groups(self) -> str:
        """Name of the set of the groups that have, or had lately, plugin hosts."""
        return f"{self.prefix}:groups"

    def wants(self, group: str) -> str:
        """Name of the hash with the wants of each plugin host of a group, as JSON."""
        return f"{self.prefix}:wants:{group}"

    def alive(self, group: str) -> str:
        """Name of the key that exists while a plugin host of the group was alive lately."""
        return f"{self.prefix}:alive:{group}"

    def answers(self, node: str) -> str:
        """Name of the stream of a node's answers; its entries have one field, `a`."""
        return f"{self.prefix}:answers:{node}"

    def done(self, key: str) -> str:
        """Name of the key with the stored answer to a call."""
        return f"{self.prefix}:done:{key}"
