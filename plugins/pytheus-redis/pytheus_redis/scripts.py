"""What runs inside of Redis: each script is one atomic step, and running it twice is the same as running it once.

Rules:

- Every key is handed in, so that the scripts run in a cluster and under access rules for keys.
- A script that changes something first checks all that it relies on, and answers with one word where that does not
  hold; nothing has changed then. So a full server (OOM), which refuses the first write, leaves nothing half done.
- What changes a shard or the archive carries a name of its own (``attempt``, ``version``), which is stored with the
  change. A script that finds its own name there has run before, its answer was lost, and it answers "ok" again.
- Time is Redis's, so that the clocks of the machines do not matter; in milliseconds.
- Nothing in them is random, and they need nothing that Redis 6.2 lacks.
"""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = ["COMMIT", "FOLD", "INSPECT", "LIST", "PUBLISH", "READ", "STAGE", "STATE", "Script"]


class Script:
    """A script's text, its name for messages, and its digest, by which Redis remembers it."""

    __slots__ = ("name", "sha", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name: str = name
        self.text: str = text
        self.sha: str = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def __repr__(self) -> str:
        return f"<script {self.name}>"


_NOW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
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
    _NOW
    + _STORE
    + """
-- KEYS: state, shards, about, index, numbers, folded
-- ARGV: epoch, token, the attempt before, this attempt, whether this is the last one, records, (offset, bytes)*
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return {'unknown', now} end
if not redis.call('ZSCORE', KEYS[2], ARGV[2]) then
  return {redis.call('EXISTS', KEYS[6]) == 1 and 'folded' or 'unknown', now}
end
local attempt = redis.call('HGET', KEYS[3], 'attempt')
if attempt ~= ARGV[4] then
  if attempt ~= ARGV[3] then return {'unknown', now} end
  redis.call('HSET', KEYS[3], 'attempt', ARGV[4])
  store(KEYS[4], KEYS[5], ARGV[6], 7)
end
redis.call('ZADD', KEYS[2], ARGV[5] == '1' and 0 or now, ARGV[2])
return {'ok', now}
""",
)
"""Apply changes to a shard, and let its heart beat. Answers "ok", "unknown" (send everything) or "folded"."""

STAGE: Final = Script(
    "stage",
    _STORE
    + """
-- KEYS: about, index, numbers
-- ARGV: which part (from 1), milliseconds to keep it, the index's length before, records, (offset, bytes)*
local part = redis.call('HGET', KEYS[1], 'part') or '0'
if part == ARGV[1] then return 'ok' end
if tonumber(part) ~= ARGV[1] - 1 or redis.call('STRLEN', KEYS[2]) ~= tonumber(ARGV[3]) then return 'unknown' end
redis.call('HSET', KEYS[1], 'part', ARGV[1])
store(KEYS[2], KEYS[3], ARGV[4], 5)
for at = 1, 3 do redis.call('PEXPIRE', KEYS[at], ARGV[2]) end
return 'ok'
""",
)
"""Lay down a part of a whole shard, which nobody sees before `COMMIT`, and which goes by itself if that never comes."""

INSPECT: Final = Script(
    "inspect",
    _NOW
    + """
-- KEYS: state, shards, the tombstone of each former shard
-- ARGV: the token of each former shard
local answer = {redis.call('HGET', KEYS[1], 'epoch') or '', now}
for at, token in ipairs(ARGV) do
  if redis.call('ZSCORE', KEYS[2], token) then answer[at + 2] = 'live'
  else answer[at + 2] = redis.call('GET', KEYS[at + 2]) or '' end
end
return answer
""",
)
"""What became of the shards that this process had: "live", the attempt with which it was folded, or nothing known."""

COMMIT: Final = Script(
    "commit",
    _NOW
    + """
-- KEYS: state, shards, then about, index, numbers, base, folded: of the new shard, then of each former one
-- ARGV: the epoch that is expected ('' for none), the epoch to begin then, token, attempt, parts, identity, base,
--       whether this is the last one, milliseconds to keep tombstones, (token, what INSPECT said)*
local epoch = redis.call('HGET', KEYS[1], 'epoch') or ''
if redis.call('ZSCORE', KEYS[2], ARGV[3]) then
  return {redis.call('HGET', KEYS[3], 'attempt') == ARGV[4] and 'ok' or 'changed', now}
end
if epoch ~= ARGV[1] or redis.call('EXISTS', KEYS[7]) == 1 then return {'changed', now} end
local formers = (#ARGV - 9) / 2
for at = 1, formers do
  local said = redis.call('GET', KEYS[7 + at * 5]) or ''
  if redis.call('ZSCORE', KEYS[2], ARGV[8 + at * 2]) then said = 'live' end
  if said ~= ARGV[9 + at * 2] then return {'changed', now} end
end
if (redis.call('HGET', KEYS[3], 'part') or '0') ~= ARGV[5] then return {'unstaged', now} end
redis.call('HSET', KEYS[3], 'attempt', ARGV[4], 'identity', ARGV[6])
if epoch == '' then redis.call('HSET', KEYS[1], 'epoch', ARGV[2]) end
for at = 3, 5 do redis.call('PERSIST', KEYS[at]) end
if ARGV[7] ~= '' then redis.call('SET', KEYS[6], ARGV[7]) end
redis.call('ZADD', KEYS[2], ARGV[8] == '1' and 0 or now, ARGV[3])
for at = 1, formers do
  local said = ARGV[9 + at * 2]
  if said == 'live' then
    redis.call('ZREM', KEYS[2], ARGV[8 + at * 2])
    redis.call('HINCRBY', KEYS[1], 'moves', 1)
  end
  if said == 'live' or said == '' then redis.call('SET', KEYS[7 + at * 5], 'void', 'PX', ARGV[9]) end
  for key = 3 + at * 5, 6 + at * 5 do redis.call('DEL', KEYS[key]) end
end
return {'ok', now}
""",
)
"""Let a staged shard stand, in place of those that the same process had before; all at once, or not at all.

Answers "ok", "changed" (what `INSPECT` said holds no longer) or "unstaged" (the parts are gone). A former shard that
may still arrive, as it was sent and not acknowledged, is made void.
"""

LIST: Final = Script(
    "list",
    _NOW
    + """
-- KEYS: state, shards, archive, then the tombstones of this process's shards
-- ARGV: the archive's version that is known already, then the tokens of this process's shards
local state = redis.call('HMGET', KEYS[1], 'epoch', 'archive', 'moves')
local archive = false
if state[2] and state[2] ~= ARGV[1] then archive = redis.call('GET', KEYS[3]) end
local own = {}
for at = 2, #ARGV do
  if redis.call('ZSCORE', KEYS[2], ARGV[at]) then own[at - 1] = 'live'
  else own[at - 1] = redis.call('GET', KEYS[at + 2]) or '' end
end
return {state, now, archive, redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES'), own}
""",
)
"""The state, the time, the archive unless it is known, all shards with their heartbeats, and this process's own."""

READ: Final = Script(
    "read",
    """
-- KEYS: about, index, numbers, base
-- ARGV: the attempt whose numbers are known already, how many bytes of the index are
local about = redis.call('HMGET', KEYS[1], 'attempt', 'identity')
if not about[1] then return false end
if about[1] == ARGV[1] then return {about[1]} end
return {about[1], about[2], redis.call('GETRANGE', KEYS[2], ARGV[2], -1), redis.call('GET', KEYS[3]) or '',
  redis.call('GET', KEYS[4]) or ''}
""",
)
"""One shard as of one moment: what is new in its index, and its numbers. Nothing where it is gone."""

STATE: Final = Script("state", "return redis.call('HMGET', KEYS[1], 'epoch', 'archive', 'moves')")
"""What `LIST` gave first, to see that nothing moved while the shards were read one by one. KEYS: state"""

FOLD: Final = Script(
    "fold",
    _NOW
    + """
-- KEYS: state, shards, archive, then about, index, numbers, base, folded: of each dead shard
-- ARGV: epoch, the archive's version before, its version after, milliseconds without a heartbeat, milliseconds to keep
--       tombstones, archive, (token, attempt)*
local state = redis.call('HMGET', KEYS[1], 'epoch', 'archive')
if state[1] ~= ARGV[1] then return 'changed' end
if state[2] == ARGV[3] then return 'ok' end
if (state[2] or '') ~= ARGV[2] then return 'changed' end
local dead = (#ARGV - 6) / 2
for at = 1, dead do
  local heard = redis.call('ZSCORE', KEYS[2], ARGV[5 + at * 2])
  if not heard or tonumber(heard) > now - ARGV[4] then return 'changed' end
  if redis.call('HGET', KEYS[at * 5 - 1], 'attempt') ~= ARGV[6 + at * 2] then return 'changed' end
end
redis.call('SET', KEYS[3], ARGV[6])
redis.call('HSET', KEYS[1], 'archive', ARGV[3])
for at = 1, dead do
  redis.call('SET', KEYS[at * 5 + 3], ARGV[6 + at * 2], 'PX', ARGV[5])
  redis.call('ZREM', KEYS[2], ARGV[5 + at * 2])
  for key = at * 5 - 1, at * 5 + 2 do redis.call('DEL', KEYS[key]) end
end
return 'ok'
""",
)
"""Put a new archive in the place of the one that it was made from, and take away the shards that went into it.

Answers "changed" where somebody else was faster, or where one of the shards turns out to live.
"""
