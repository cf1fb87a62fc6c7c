"""The Lua scripts that run inside Redis: atomic and idempotent steps.

Rules:

- Every key is an argument, so that the scripts run in a cluster and under access rules for keys.
- A script that writes first checks everything that it relies on, and answers with one word if a check fails, before
  anything has changed. So a full server (OOM), which refuses the first write, leaves no partial change.
- A change of a shard or of the archive has a name (``attempt``, ``version``), which is stored with it. A script that
  finds its own name there has run before and its answer was lost; it answers "ok" again.
- Time is Redis's, in milliseconds, so that the clocks of the machines do not matter.
- Every key may hold anything. A key of another type counts as missing, a time that makes no sense as never, and a word
  that is too long as none. So garbage in one key stops no other shard from being read or folded.
- The scripts are deterministic and run on Redis 6.2 and later.
"""

from __future__ import annotations

from typing import Final

from pytheus_redis.script_parts import BEATING, EPOCH, NOTE, NOW, PUBLISHING, READING, STORE, UNCHANGED, Script

__all__ = [
    "BEAT",
    "COMMIT",
    "DISCARD",
    "DROP",
    "DUE",
    "FOLD",
    "INSPECT",
    "LIST",
    "MAX_VALUE_BYTES",
    "PREPARE",
    "PUBLISH",
    "READ",
    "RETIRE",
    "STAGE",
    "STATE",
    "Script",
]

MAX_VALUE_BYTES: Final = 256 * 1024 * 1024
"""A longer index, archive or sequence of numbers is not read, because it would fill the memory of the scraper."""

PREPARE: Final = Script(
    "prepare",
    NOW + READING + EPOCH + STORE + UNCHANGED,
    """
-- KEYS and ARGV as in UNCHANGED, then the part's number (from 1), milliseconds to keep it, records, (offset, bytes)*
local gone = missing()
if gone then return {gone, now} end
local about = read('HMGET', KEYS[5], 'attempt', 'check', 'staged') or {}
local staged = ARGV[4] .. ' ' .. ARGV[10]
if about[3] == staged then return {'ok', now} end
if damaged(about) then return {'unknown', now} end
if ARGV[10] ~= '1' and about[3] ~= ARGV[4] .. ' ' .. (ARGV[10] - 1) then return {'unknown', now} end
redis.call('HSET', KEYS[5], 'staged', staged)
if ARGV[10] == '1' and redis.call('EXISTS', KEYS[7]) == 1 then redis.call('COPY', KEYS[7], KEYS[9], 'REPLACE') end
store(KEYS[6], KEYS[9], ARGV[12], 13)
redis.call('PEXPIRE', KEYS[9], ARGV[11])
return {'ok', now}
""",
)
"""Store a part of a large publication where no reader sees it: behind the index's end, and in a copy of the numbers.

Answers as `PUBLISH`, which makes all parts visible at once.
"""

PUBLISH: Final = Script(
    "publish",
    NOW + READING + EPOCH + BEATING + STORE + UNCHANGED + PUBLISHING,
    """
-- KEYS and ARGV as in PUBLISHING, then records, (offset, bytes)*
return {publish(14), now}
""",
)
"""Apply changes to a shard, and record its heartbeat. Answers "ok", "unknown" (send everything) or "folded"."""

RETIRE: Final = Script(
    "retire",
    NOW + READING + EPOCH + BEATING + STORE + UNCHANGED + PUBLISHING,
    """
-- KEYS as in PUBLISHING, then about, index, numbers and base of a staged shard
-- ARGV as in PUBLISHING, then its token, parts, identity, base and check, then records, (offset, bytes)*
local function is_staged()
  return (read('HGET', KEYS[10], 'part') or '0') == ARGV[15]
end
local function show()
  redis.call('HSET', KEYS[10], 'attempt', '0', 'identity', ARGV[16], 'check', ARGV[18])
  for at = 10, 12 do redis.call('PERSIST', KEYS[at]) end
  if ARGV[17] ~= '' then redis.call('SET', KEYS[13], ARGV[17]) end
  redis.call('ZADD', KEYS[2], 0, ARGV[14])
  redis.call('HSET', KEYS[1], 'moves', ARGV[14])
end
return {publish(19, is_staged, show), now}
""",
)
"""Apply changes to a shard as `PUBLISH`, and make a staged shard visible at once, as that of a process that has ended.

Answers as `PUBLISH`, or "unstaged" (the parts are gone).
"""

BEAT: Final = Script(
    "beat",
    NOW + READING + EPOCH + BEATING,
    """
-- KEYS: state, shards
-- ARGV: milliseconds that a process may be silent, tokens
for at = 2, #ARGV do
  local heard = tonumber(read('ZSCORE', KEYS[2], ARGV[at]) or '0')
  if heard > 0 then beat(KEYS[1], KEYS[2], ARGV[at], '0', ARGV[1]) end
end
return 'ok'
""",
)
"""Record a heartbeat of those shards that exist and have not announced their end."""

STAGE: Final = Script(
    "stage",
    STORE,
    """
-- KEYS: about, index, numbers
-- ARGV: the part's number (from 1), milliseconds to keep it, the index's length before, records, (offset, bytes)*
local part = redis.call('HGET', KEYS[1], 'part') or '0'
if part == ARGV[1] then return 'ok' end
if tonumber(part) ~= ARGV[1] - 1 or redis.call('STRLEN', KEYS[2]) ~= tonumber(ARGV[3]) then return 'unknown' end
redis.call('HSET', KEYS[1], 'part', ARGV[1])
store(KEYS[2], KEYS[3], ARGV[4], 5)
for at = 1, 3 do redis.call('PEXPIRE', KEYS[at], ARGV[2]) end
return 'ok'
""",
)
"""Store a part of a whole shard. It is visible after `COMMIT` only, and expires if that never comes."""

DROP: Final = Script("drop", "return redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])")
"""Delete the parts of a shard that will not be committed. KEYS: about, index, numbers"""

INSPECT: Final = Script(
    "inspect",
    NOW + READING + EPOCH,
    """
-- KEYS: state, shards, archive, folded
-- ARGV: the prefix of the tokens of all shards of this process, the token of each previous shard
local epoch = epoch_of(KEYS[1], KEYS[3])
local strays, known = {}, {}
local answer = {epoch, now, strays}
for at = 2, #ARGV do
  known[ARGV[at]] = true
  answer[at + 2] = status_of(epoch, KEYS[2], KEYS[4], ARGV[at])
end
for _, token in ipairs(read('ZRANGE', KEYS[2], 0, -1) or {}) do
  if string.sub(token, 1, #ARGV[1]) == ARGV[1] and not known[token] then strays[#strays + 1] = token end
end
return answer
""",
)
"""The status of each previous shard of this process: "live", the attempt with which it was folded, or "" if unknown.

Before them it lists live shards that this process has replaced and forgotten, because Redis went back in time.
"""

COMMIT: Final = Script(
    "commit",
    NOW + READING + EPOCH + NOTE + BEATING,
    """
-- KEYS: state, shards, archive, folded, notes, then about, index, numbers, base, next: of the new and each previous
--       shard
-- ARGV: the epoch that is expected ('' for none), a random word, token, attempt, parts, identity, base, whether this
--       is the last one, milliseconds to keep notes, milliseconds that a process may be silent, check,
--       (token, its status according to INSPECT)*
local epoch = epoch_of(KEYS[1], KEYS[3])
local replaced = {}
if read('ZSCORE', KEYS[2], ARGV[3]) then
  return {read('HGET', KEYS[6], 'attempt') == ARGV[4] and 'ok' or 'changed', now, replaced}
end
if epoch ~= ARGV[1] or read('HEXISTS', KEYS[4], ARGV[3]) == 1 then return {'changed', now, replaced} end
if epoch == '' then
  for at, kind in ipairs({'hash', 'zset', 'string', 'hash', 'zset'}) do replace_other(KEYS[at], kind, replaced) end
  -- The content of an archive is lost with its epoch.
  if redis.call('EXISTS', KEYS[3]) == 1 or redis.call('HEXISTS', KEYS[1], 'archive') == 1 then
    replaced[#replaced + 1] = KEYS[3]
  end
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2] .. '-' .. time[1] .. '-' .. time[2])
  redis.call('HDEL', KEYS[1], 'archive')
  redis.call('DEL', KEYS[3], KEYS[4], KEYS[5])
  return {'begun', now, replaced}
end
local previous = (#ARGV - 11) / 2
for at = 1, previous do
  if status_of(epoch, KEYS[2], KEYS[4], ARGV[10 + at * 2]) ~= ARGV[11 + at * 2] then
    return {'changed', now, replaced}
  end
end
if (read('HGET', KEYS[6], 'part') or '0') ~= ARGV[5] then return {'unstaged', now, replaced} end
redis.call('HSET', KEYS[6], 'attempt', ARGV[4], 'identity', ARGV[6], 'check', ARGV[11])
for at, kind in ipairs({'hash', 'zset', 'string', 'hash', 'zset'}) do replace_other(KEYS[at], kind, replaced) end
for at = 6, 8 do redis.call('PERSIST', KEYS[at]) end
if ARGV[7] ~= '' then redis.call('SET', KEYS[9], ARGV[7]) end
beat(KEYS[1], KEYS[2], ARGV[3], ARGV[8], ARGV[10])
for at = 1, previous do
  local token, status = ARGV[10 + at * 2], ARGV[11 + at * 2]
  if status == 'live' then
    redis.call('ZREM', KEYS[2], token)
    redis.call('HSET', KEYS[1], 'moves', ARGV[3])
  end
  if status == 'live' or status == '' then note(KEYS[4], KEYS[5], token, 'void', ARGV[9]) end
  for key = 6 + at * 5, 10 + at * 5 do redis.call('DEL', KEYS[key]) end
end
drop_notes(KEYS[4], KEYS[5])
return {'ok', now, replaced}
""",
)
"""Replace the previous shards of a process by a staged one; all at once, or not at all.

Answers "ok", "changed" (the answer of `INSPECT` is outdated), "begun" (an epoch; the next call commits) or "unstaged"
(the parts are gone), and the common keys whose content was not valid and was replaced. A previous shard that may still
arrive, because it was sent and not acknowledged, is made void. The name of an epoch has Redis's time, so that no
message that arrives late begins the same one again, and brings back a shard that Redis has lost.
"""

LIST: Final = Script(
    "list",
    NOW + READING + EPOCH,
    """
-- KEYS: state, shards, archive, folded
-- ARGV: the archive's version that is known already, the longest archive that is read, the most shards that are read,
--       then the tokens of this process's shards
local state = read('HMGET', KEYS[1], 'epoch', 'archive', 'moves') or {}
state = {word(state[1]), word(state[2]), word(state[3])}
local archive = false
if state[2] ~= '' and state[2] ~= ARGV[1] then
  local size = length(KEYS[3])
  if size > tonumber(ARGV[2]) then
    archive = ''
  elseif size >= 0 then
    archive = redis.call('GET', KEYS[3])
  end
end
local own = {}
local epoch = epoch_of(KEYS[1], KEYS[3])
for at = 4, #ARGV do own[at - 3] = status_of(epoch, KEYS[2], KEYS[4], ARGV[at]) end
local shards, problems = {}, {}
for at, kind in ipairs({'hash', 'zset', 'string', 'hash'}) do
  local found = redis.call('TYPE', KEYS[at]).ok
  if found ~= kind and found ~= 'none' then problems[#problems + 1] = KEYS[at] .. ' is a ' .. found end
end
local listed = read('ZREVRANGE', KEYS[2], 0, ARGV[3] - 1, 'WITHSCORES') or {}
local long = 0
for at = 1, #listed, 2 do
  if #listed[at] <= 200 then
    shards[#shards + 1] = listed[at]
    shards[#shards + 1] = listed[at + 1]
  else
    long = long + 1
  end
end
if long > 0 then problems[#problems + 1] = KEYS[2] .. ' has ' .. long .. ' members that are not tokens' end
local more = (read('ZCARD', KEYS[2]) or 0) - ARGV[3]
if more > 0 then problems[#problems + 1] = KEYS[2] .. ' has ' .. more .. ' members more than are read' end
return {state, now, archive, shards, own, tostring(since_of(KEYS[1])), problems}
""",
)
"""The state, the time, the archive unless it is known, the shards with their heartbeats, the statuses of this process's
own, when the first heartbeat after a silence came, and which of the common keys hold something else.
"""

READ: Final = Script(
    "read",
    READING,
    """
-- KEYS: about, index, numbers, base
-- ARGV: the attempt whose numbers are known already, how many bytes of the index are known, the longest value to read
local about = read('HMGET', KEYS[1], 'attempt', 'check', 'identity') or {}
if not about[1] then return false end
if #about[1] > 64 then return 'the name of its publication has ' .. #about[1] .. ' bytes' end
if about[1] == ARGV[1] then return {about[1]} end
local check = word(about[2])
local sizes = {string.match(check, '^(%d+) (%d+) (%d+) ')}
if not sizes[1] then return 'its check is missing or damaged' end
if #(about[3] or '') > 1024 then return 'its identity has ' .. #about[3] .. ' bytes' end
for at, name in ipairs({'index', 'numbers', 'base'}) do
  local size, found = tonumber(sizes[at]), length(KEYS[at + 1])
  if found < 0 then return 'its ' .. name .. ' is a ' .. redis.call('TYPE', KEYS[at + 1]).ok end
  if found > tonumber(ARGV[3]) then return 'its ' .. name .. ' has ' .. found .. ' bytes, more than are read' end
  -- Behind the end of the index there may be the parts of a publication that is not complete.
  if found < size or at > 1 and found > size then
    return 'its ' .. name .. ' has ' .. found .. ' bytes, but ' .. size .. ' were published'
  end
end
local index = ''
if tonumber(ARGV[2]) < tonumber(sizes[1]) then index = redis.call('GETRANGE', KEYS[2], ARGV[2], sizes[1] - 1) end
return {about[1], about[3] or '', check, index, redis.call('GET', KEYS[3]) or '', redis.call('GET', KEYS[4]) or ''}
""",
)
"""One shard at one moment: the new part of its index, and its numbers; false if it is gone.

A text if it cannot be read: why.
"""

STATE: Final = Script(
    "state",
    READING,
    """
local state = read('HMGET', KEYS[1], 'epoch', 'archive', 'moves') or {}
return {word(state[1]), word(state[2]), word(state[3])}
""",
)
"""The state, as in `LIST`, which tells whether shards moved while they were read one by one. KEYS: state"""

FOLD: Final = Script(
    "fold",
    NOW + READING + EPOCH + NOTE,
    """
-- KEYS: state, shards, archive, folded, notes, then about, index, numbers, base, next: of each dead shard
-- ARGV: epoch, the archive's version before, its version after, milliseconds without a heartbeat, milliseconds to keep
--       notes, archive, (token, attempt, '' if its keys are gone)*
if ARGV[1] == '' or epoch_of(KEYS[1], KEYS[3]) ~= ARGV[1] then return 'changed' end
local version = redis.call('HGET', KEYS[1], 'archive') or ''
if version == ARGV[3] then return 'ok' end
if version ~= ARGV[2] then return 'changed' end
local waits = now - since_of(KEYS[1]) < tonumber(ARGV[4])
local dead = (#ARGV - 6) / 2
for at = 1, dead do
  local heard = tonumber(read('ZSCORE', KEYS[2], ARGV[5 + at * 2]) or '')
  if not heard or heard > now - ARGV[4] or waits and heard > 0 then return 'changed' end
  if word(read('HGET', KEYS[1 + at * 5], 'attempt')) ~= ARGV[6 + at * 2] then return 'changed' end
end
redis.call('SET', KEYS[3], ARGV[6])
redis.call('HSET', KEYS[1], 'archive', ARGV[3])
replace_other(KEYS[4], 'hash', {})
replace_other(KEYS[5], 'zset', {})
for at = 1, dead do
  note(KEYS[4], KEYS[5], ARGV[5 + at * 2], ARGV[6 + at * 2], ARGV[5])
  redis.call('ZREM', KEYS[2], ARGV[5 + at * 2])
  for key = 1 + at * 5, 5 + at * 5 do redis.call('DEL', KEYS[key]) end
end
drop_notes(KEYS[4], KEYS[5])
return 'ok'
""",
)
"""Replace the archive by a new one that was made from it, and delete the shards that were folded into the new one.

Answers "changed" if another process was faster, or if one of the shards is live or may still come back.
"""

DUE: Final = Script(
    "due",
    NOW + READING,
    """
-- KEYS: state, shards, archive
-- ARGV: the archive's version that is known already, the longest archive that is read
local version = word(read('HGET', KEYS[1], 'archive'))
local archive = false
local size = length(KEYS[3])
if version ~= '' and version ~= ARGV[1] and size >= 0 and size <= tonumber(ARGV[2]) then
  archive = redis.call('GET', KEYS[3])
end
return {version, now, read('ZCOUNT', KEYS[2], 0, 0) or 0, archive}
""",
)
"""The archive's version, the time, how many shards have announced their end, and the archive unless it is known."""

DISCARD: Final = Script(
    "discard",
    READING,
    """
-- KEYS: state, archive; ARGV: the archive's version
if (read('HGET', KEYS[1], 'archive') or '') == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 'discarded'
""",
)
"""Delete an archive that cannot be read, which ends the epoch: every living process publishes everything again."""
