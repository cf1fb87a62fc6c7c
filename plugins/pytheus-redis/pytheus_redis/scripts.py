"""The Lua scripts that run inside Redis: atomic and idempotent steps.

Rules:

- Every key is an argument, so that the scripts run in a cluster and under access rules for keys.
- A script that writes first checks everything that it relies on, and answers with one word if a check fails, before
  anything has changed. So a full server (OOM), which refuses the first write, leaves no partial change.
- A change of a shard or of the archive has a name (``attempt``, ``version``), which is stored with it. A script that
  finds its own name there has run before and its answer was lost; it answers "ok" again.
- Time is Redis's, in milliseconds, so that the clocks of the machines do not matter.
- The scripts are deterministic and run on Redis 6.2 and later.
"""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = ["COMMIT", "DROP", "FOLD", "INSPECT", "LIST", "PUBLISH", "READ", "STAGE", "STATE", "Script"]


class Script:
    """A script's text, its name for messages, and the digest by which Redis knows it."""

    __slots__ = ("name", "sha", "text")

    def __init__(self, name: str, *parts: str) -> None:
        self.name: str = name
        self.text: str = "".join(parts)
        self.sha: str = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def __repr__(self) -> str:
        return f"<script {self.name}>"


_NOW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# An epoch ends when the state is lost, and when the archive is, because the notes of folded shards refer to it.
_EPOCH: Final = """
local function epoch_of(state, archive)
  local known = redis.call('HMGET', state, 'epoch', 'archive')
  if known[2] and redis.call('EXISTS', archive) == 0 then return '' end
  return known[1] or ''
end
local function status_of(epoch, shards, folded, token)
  if redis.call('ZSCORE', shards, token) then return 'live' end
  return epoch ~= '' and redis.call('HGET', folded, token) or ''
end
"""

# Notes do not use Redis's expiry, so that a server that runs out of memory does not evict them.
_NOTE: Final = """
local function note(folded, notes, token, text, keep)
  redis.call('HSET', folded, token, text)
  redis.call('ZADD', notes, now + keep, token)
end
local function drop_notes(folded, notes)
  for _, token in ipairs(redis.call('ZRANGEBYSCORE', notes, '-inf', now, 'LIMIT', 0, 1000)) do
    redis.call('HDEL', folded, token)
    redis.call('ZREM', notes, token)
  end
end
"""

# Where all shards were silent for long, Redis was away or went back in time, and the silence of one process means
# nothing. All get as much time to send a heartbeat as a process may be silent, except those that announced their end
# (score 0). A silence is counted once; otherwise short-lived processes alone would never let the dead be folded.
_BEAT: Final = """
local function beat(state, shards, token, last, expiry)
  local newest = tonumber(redis.call('ZREVRANGE', shards, 0, 0, 'WITHSCORES')[2])
  if newest and now - newest > expiry / 2 and newest > tonumber(redis.call('HGET', state, 'since') or '0') then
    redis.call('HSET', state, 'since', now)
  end
  redis.call('ZADD', shards, last == '1' and 0 or now, token)
end
"""

# Pairs of offset and bytes, from ARGV[first] on.
_STORE: Final = """
local function store(index, numbers, records, first)
  if records ~= '' then redis.call('APPEND', index, records) end
  for at = first, #ARGV, 2 do
    redis.call('SETRANGE', numbers, ARGV[at], ARGV[at + 1])
  end
end
"""

PUBLISH: Final = Script(
    "publish",
    _NOW + _EPOCH + _BEAT + _STORE,
    """
-- KEYS: state, shards, archive, folded, about, index, numbers, base
-- ARGV: epoch, token, the attempt before, this attempt, whether this is the last one, milliseconds that a process may
--       be silent, how many of index, numbers and base there were before, records, (offset, bytes)*
if epoch_of(KEYS[1], KEYS[3]) ~= ARGV[1] then return {'unknown', now} end
if not redis.call('ZSCORE', KEYS[2], ARGV[2]) then
  return {redis.call('HEXISTS', KEYS[4], ARGV[2]) == 1 and 'folded' or 'unknown', now}
end
local attempt = redis.call('HGET', KEYS[5], 'attempt')
if attempt ~= ARGV[4] or ARGV[3] == ARGV[4] then
  if attempt ~= ARGV[3] then return {'unknown', now} end
  if redis.call('EXISTS', KEYS[6], KEYS[7], KEYS[8]) ~= tonumber(ARGV[7]) then return {'unknown', now} end
end
if attempt ~= ARGV[4] then
  redis.call('HSET', KEYS[5], 'attempt', ARGV[4])
  store(KEYS[6], KEYS[7], ARGV[8], 9)
end
beat(KEYS[1], KEYS[2], ARGV[2], ARGV[5], ARGV[6])
return {'ok', now}
""",
)
"""Apply changes to a shard, and record its heartbeat. Answers "ok", "unknown" (send everything) or "folded"."""

STAGE: Final = Script(
    "stage",
    _STORE,
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
    _NOW + _EPOCH,
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
for _, token in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
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
    _NOW + _EPOCH + _NOTE + _BEAT,
    """
-- KEYS: state, shards, archive, folded, notes, then about, index, numbers, base of the new and each previous shard
-- ARGV: the epoch that is expected ('' for none), the epoch to begin then, token, attempt, parts, identity, base,
--       whether this is the last one, milliseconds to keep notes, milliseconds that a process may be silent,
--       (token, its status according to INSPECT)*
local epoch = epoch_of(KEYS[1], KEYS[3])
if redis.call('ZSCORE', KEYS[2], ARGV[3]) then
  return {redis.call('HGET', KEYS[6], 'attempt') == ARGV[4] and 'ok' or 'changed', now}
end
if epoch ~= ARGV[1] or redis.call('HEXISTS', KEYS[4], ARGV[3]) == 1 then return {'changed', now} end
local previous = (#ARGV - 10) / 2
for at = 1, previous do
  if status_of(epoch, KEYS[2], KEYS[4], ARGV[9 + at * 2]) ~= ARGV[10 + at * 2] then return {'changed', now} end
end
if (redis.call('HGET', KEYS[6], 'part') or '0') ~= ARGV[5] then return {'unstaged', now} end
redis.call('HSET', KEYS[6], 'attempt', ARGV[4], 'identity', ARGV[6])
if epoch == '' then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2])
  redis.call('HDEL', KEYS[1], 'archive')
  redis.call('DEL', KEYS[3], KEYS[4], KEYS[5])
end
for at = 6, 8 do redis.call('PERSIST', KEYS[at]) end
if ARGV[7] ~= '' then redis.call('SET', KEYS[9], ARGV[7]) end
beat(KEYS[1], KEYS[2], ARGV[3], ARGV[8], ARGV[10])
for at = 1, previous do
  local token, status = ARGV[9 + at * 2], ARGV[10 + at * 2]
  if status == 'live' then
    redis.call('ZREM', KEYS[2], token)
    redis.call('HINCRBY', KEYS[1], 'moves', 1)
  end
  if status == 'live' or status == '' then note(KEYS[4], KEYS[5], token, 'void', ARGV[9]) end
  for key = 6 + at * 4, 9 + at * 4 do redis.call('DEL', KEYS[key]) end
end
drop_notes(KEYS[4], KEYS[5])
return {'ok', now}
""",
)
"""Replace the previous shards of a process by a staged one; all at once, or not at all.

Answers "ok", "changed" (the answer of `INSPECT` is outdated) or "unstaged" (the parts are gone). A previous shard that
may still arrive, because it was sent and not acknowledged, is made void.
"""

LIST: Final = Script(
    "list",
    _NOW + _EPOCH,
    """
-- KEYS: state, shards, archive, folded
-- ARGV: the archive's version that is known already, then the tokens of this process's shards
local state = redis.call('HMGET', KEYS[1], 'epoch', 'archive', 'moves')
local archive = false
if state[2] and state[2] ~= ARGV[1] then archive = redis.call('GET', KEYS[3]) end
local own = {}
for at = 2, #ARGV do
  own[at - 1] = status_of(epoch_of(KEYS[1], KEYS[3]), KEYS[2], KEYS[4], ARGV[at])
end
return {state, now, archive, redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES'), own,
  redis.call('HGET', KEYS[1], 'since') or ''}
""",
)
"""The state, the time, the archive unless it is known, all shards with their heartbeats, the statuses of this process's
own, and when the first heartbeat after a silence came.
"""

READ: Final = Script(
    "read",
    """
-- KEYS: about, index, numbers, base
-- ARGV: the attempt whose numbers are known already, how many bytes of the index are known
local about = redis.pcall('HMGET', KEYS[1], 'attempt', 'identity')
if about.err or not about[1] then return false end
if about[1] == ARGV[1] then return {about[1]} end
return {about[1], about[2], redis.call('GETRANGE', KEYS[2], ARGV[2], -1), redis.call('GET', KEYS[3]) or '',
  redis.call('GET', KEYS[4]) or ''}
""",
)
"""One shard at one moment: the new part of its index, and its numbers; false if it is gone."""

STATE: Final = Script("state", "return redis.call('HMGET', KEYS[1], 'epoch', 'archive', 'moves')")
"""The state, as in `LIST`, which tells whether shards moved while they were read one by one. KEYS: state"""

FOLD: Final = Script(
    "fold",
    _NOW + _EPOCH + _NOTE,
    """
-- KEYS: state, shards, archive, folded, notes, then about, index, numbers, base: of each dead shard
-- ARGV: epoch, the archive's version before, its version after, milliseconds without a heartbeat, milliseconds to keep
--       notes, archive, (token, attempt, '' if its keys are gone)*
local state = redis.call('HMGET', KEYS[1], 'archive', 'since')
if epoch_of(KEYS[1], KEYS[3]) ~= ARGV[1] then return 'changed' end
if state[1] == ARGV[3] then return 'ok' end
if (state[1] or '') ~= ARGV[2] then return 'changed' end
local waits = now - tonumber(state[2] or '0') < tonumber(ARGV[4])
local dead = (#ARGV - 6) / 2
for at = 1, dead do
  local heard = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[5 + at * 2]))
  if not heard or heard > now - ARGV[4] or waits and heard > 0 then return 'changed' end
  local attempt = redis.pcall('HGET', KEYS[2 + at * 4], 'attempt')
  if (type(attempt) == 'string' and attempt or '') ~= ARGV[6 + at * 2] then return 'changed' end
end
redis.call('SET', KEYS[3], ARGV[6])
redis.call('HSET', KEYS[1], 'archive', ARGV[3])
for at = 1, dead do
  note(KEYS[4], KEYS[5], ARGV[5 + at * 2], ARGV[6 + at * 2], ARGV[5])
  redis.call('ZREM', KEYS[2], ARGV[5 + at * 2])
  for key = 2 + at * 4, 5 + at * 4 do redis.call('DEL', KEYS[key]) end
end
drop_notes(KEYS[4], KEYS[5])
return 'ok'
""",
)
"""Replace the archive by a new one that was made from it, and delete the shards that were folded into the new one.

Answers "changed" if another process was faster, or if one of the shards is live or may still come back.
"""
