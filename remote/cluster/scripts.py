"""Lua scripts of the Redis coordinator: each is an atomic step.

Keys, all behind the prefix:

- `epoch`: the last epoch given;
- `cps`: a hash from charge point to "epoch node";
- `nodes`: a sorted set of the nodes by the end of their lease, in milliseconds of Redis's time;
- `fences:<node>`: a sorted set of charge points by the epoch that fenced this node;
- `doubt:<charge point>`: exists for as long as a fenced node may not know that it was fenced;
- `links`: a hash from node to the versions of the link that it speaks: "newest oldest";
- `in:<node>`: the stream of the messages to a node;
- `born`: this run of Redis, and its first sight. A Redis that has lost its data, or a replica that became master,
  is another run: leases that it does not know may still be held, so for the length of a lease all claims must wait.
"""

from __future__ import annotations

PRELUDE = """
local prefix, me = ARGV[1], ARGV[2]
local lease_ms, drift_ms, limit, keep_ms = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function whole(number) return string.format('%.0f', number) end

local function left(node)
  local ends = redis.call('ZSCORE', prefix .. ':nodes', node)
  return ends and math.max(0, tonumber(ends) - now) or 0
end

local function holder(id)
  local value = redis.call('HGET', prefix .. ':cps', id) or ''
  local at = string.find(value, ' ', 1, true)
  if not at then return 0, '' end
  return tonumber(string.sub(value, 1, at - 1)) or 0, string.sub(value, at + 1)
end

local function born()
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
  local known, since = string.match(redis.call('GET', prefix .. ':born') or '', '^(%w+) (%d+)$')
  if known ~= run then
    since = now
    redis.call('SET', prefix .. ':born', run .. ' ' .. whole(now))
  end
  return run, math.max(0, tonumber(since) + lease_ms + drift_ms - now)
end

local function tell(node, ...)
  redis.call('XADD', prefix .. ':in:' .. node, 'MAXLEN', '~', limit, '*', ...)
  redis.call('PEXPIRE', prefix .. ':in:' .. node, keep_ms)
end

local function fence(node, id, epoch)
  local key = prefix .. ':fences:' .. node
  redis.call('ZADD', key, whole(epoch), id)
  redis.call('PEXPIRE', key, keep_ms)
  local its = left(node)
  if its > 0 then
    tell(node, 'fenced', id, 'epoch', whole(epoch))
    local doubt = math.max(its, redis.call('PTTL', prefix .. ':doubt:' .. id))
    redis.call('SET', prefix .. ':doubt:' .. id, '', 'PX', whole(doubt))
  end
  return its
end
"""

RENEW = (
    PRELUDE
    + """
local seen, read, chunk = tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9])
local fences, inbox, nodes = prefix .. ':fences:' .. me, prefix .. ':in:' .. me, prefix .. ':nodes'
local links, newest, oldest = prefix .. ':links', tonumber(ARGV[10]), tonumber(ARGV[11])
if left(me) == 0 then
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', nodes, '(' .. whole(now), '+inf')) do
    local told = redis.call('HGET', links, node) or ''
    local its_newest, its_oldest = string.match(told, '^(%d+) (%d+)')
    if node ~= me and (tonumber(its_newest or 0) < oldest or newest < tonumber(its_oldest or 0)) then
      return {'refused', node, told}
    end
  end
end
redis.call('HSET', links, me, ARGV[10] .. ' ' .. ARGV[11])
for at = 12, #ARGV, 2 do
  local epoch = redis.call('ZSCORE', fences, ARGV[at])
  if epoch and tonumber(epoch) <= tonumber(ARGV[at + 1]) then redis.call('ZREM', fences, ARGV[at]) end
end
if seen > tonumber(redis.call('GET', prefix .. ':epoch') or 0) then
  redis.call('SET', prefix .. ':epoch', whole(seen))
end
local run, young = born()
local lapsed = left(me) == 0 and 1 or 0
redis.call('ZADD', nodes, whole(now + lease_ms + drift_ms), me)
for _, node in ipairs(redis.call('ZRANGEBYSCORE', nodes, '-inf', whole(now))) do
  redis.call('HDEL', links, node)
end
redis.call('ZREMRANGEBYSCORE', nodes, '-inf', whole(now))
redis.call('PEXPIRE', links, whole(2 * (lease_ms + drift_ms)))
redis.call('PEXPIRE', nodes, whole(2 * (lease_ms + drift_ms)))
redis.call('XTRIM', inbox, 'MINID', read)
return {
  run, lapsed, whole(young), redis.call('ZRANGE', nodes, 0, -1),
  redis.call('ZRANGE', fences, 0, chunk - 1, 'WITHSCORES'), redis.call('ZCARD', fences) > chunk and 1 or 0,
}
"""
)
"""Hold the lease. ARGV 7.. are the highest epoch seen, the last entry read, and the most fences; the newest and the
oldest version of the link that this node speaks; and the fences taken. A node that has
no lease is refused one while another node lives that it cannot speak with."""

CLAIM = (
    PRELUDE
    + """
if left(me) == 0 then return false end
local id, seen = ARGV[7], tonumber(ARGV[8])
local last = tonumber(redis.call('GET', prefix .. ':epoch') or 0)
local epoch = math.max(last + 1, seen + 1, time[1] * 1000000 + time[2])
local _, previous = holder(id)
local _, wait = born()
redis.call('SET', prefix .. ':epoch', whole(epoch))
redis.call('HSET', prefix .. ':cps', id, whole(epoch) .. ' ' .. me)
local doubt = redis.call('PTTL', prefix .. ':doubt:' .. id)
wait = math.max(wait, doubt)
if previous == me then previous = '' end
if previous ~= '' then
  local its = fence(previous, id, epoch)
  wait = math.max(wait, its)
  if its == 0 or doubt > 0 then previous = '' end
end
return {whole(epoch), previous, whole(wait)}
"""
)
"""Take a charge point over: ARGV 7, 8 are its id and the highest epoch seen. Nil without a lease."""

RELEASE = (
    PRELUDE
    + """
if redis.call('HGET', prefix .. ':cps', ARGV[7]) == ARGV[8] .. ' ' .. me then
  redis.call('HDEL', prefix .. ':cps', ARGV[7])
end
"""
)
"""Give a charge point back: ARGV 7, 8 are its id and epoch."""

VERIFY = (
    PRELUDE
    + """
if left(me) == 0 then return false end
local _, wait = born()
local others = {}
for at = 7, #ARGV, 2 do
  local id, epoch = ARGV[at], tonumber(ARGV[at + 1])
  local stored, node = holder(id)
  if stored >= epoch and node ~= me then
    others[#others + 1] = id
  elseif stored < epoch then
    redis.call('HSET', prefix .. ':cps', id, whole(epoch) .. ' ' .. me)
    if node ~= '' and node ~= me then
      wait = math.max(wait, fence(node, id, epoch))
    end
  end
end
return {whole(wait), others}
"""
)
"""Whose charge points are: ARGV 7.. are ids and epochs. Nil without a lease."""

FIND = (
    PRELUDE
    + """
local _, node = holder(ARGV[7])
return left(node) > 0 and node or ''
"""
)
"""Script that returns the holder of a charge point: ARGV 7 is its id."""

SEND = (
    PRELUDE
    + """
if left(ARGV[7]) == 0 then return 0 end
tell(ARGV[7], 'from', me, 'message', ARGV[8])
return 1
"""
)
"""Tell a node that has its lease: ARGV 7, 8 are its name and the message."""

NODES = (
    PRELUDE
    + """
return redis.call('ZRANGEBYSCORE', prefix .. ':nodes', '(' .. whole(now), '+inf')
"""
)
"""Which nodes have their lease now."""

STOP = (
    PRELUDE
    + """
redis.call('ZREM', prefix .. ':nodes', me)
redis.call('HDEL', prefix .. ':links', me)
redis.call('DEL', prefix .. ':in:' .. me, prefix .. ':fences:' .. me)
"""
)
"""Give the lease back, and with it all claims."""

ALL = (RENEW, CLAIM, RELEASE, VERIFY, FIND, SEND, NODES, STOP)
