"""A script, and the functions in Lua that several scripts share."""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = ["BEATING", "EPOCH", "NOTE", "NOW", "PUBLISHING", "READING", "STORE", "UNCHANGED", "Script"]


class Script:
    """A script's text, its name for messages, and the digest by which Redis knows it."""

    __slots__ = ("name", "sha", "text")

    def __init__(self, name: str, *parts: str) -> None:
        self.name: str = name
        self.text: str = "".join(parts)
        self.sha: str = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def __repr__(self) -> str:
        return f"<script {self.name}>"


NOW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""

# `length` is -1 for a key of another type. Words are chosen by pytheus, and short.
READING: Final = """
local function read(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    if string.find(answer.err, 'WRONGTYPE', 1, true) then return false end
    error(answer.err)
  end
  return answer
end
local function length(key)
  return read('STRLEN', key) or -1
end
local function word(text)
  return text and #text <= 64 and text or ''
end
local function replace_other(key, kind, replaced)
  local found = redis.call('TYPE', key).ok
  if found ~= kind and found ~= 'none' then
    redis.call('DEL', key)
    replaced[#replaced + 1] = key
  end
end
"""

# An epoch ends when the state is lost, and when the archive is, because the notes of folded shards refer to it.
EPOCH: Final = """
local function epoch_of(state, archive)
  local known = read('HMGET', state, 'epoch', 'archive') or {}
  if known[2] and (word(known[2]) == '' or redis.call('TYPE', archive).ok ~= 'string') then return '' end
  return word(known[1])
end
local function status_of(epoch, shards, folded, token)
  if read('ZSCORE', shards, token) then return 'live' end
  return epoch ~= '' and word(read('HGET', folded, token)) or ''
end
local function since_of(state)
  local since = tonumber(read('HGET', state, 'since') or '0') or 0
  return since >= 0 and since <= now and since or 0
end
"""

# Notes do not use Redis's expiry, so that a server that runs out of memory does not evict them.
NOTE: Final = """
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
# A heartbeat that is ahead of the clock, which went back, becomes one of this moment, because it would never be old.
BEATING: Final = """
local function beat(state, shards, token, last, expiry)
  local newest = redis.call('ZREVRANGEBYSCORE', shards, now, '-inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  newest = tonumber(newest or '')
  if newest and now - newest > expiry / 2 and newest > since_of(state) then
    redis.call('HSET', state, 'since', now)
  end
  for _, ahead in ipairs(redis.call('ZRANGEBYSCORE', shards, '(' .. now, '+inf', 'LIMIT', 0, 100)) do
    redis.call('ZADD', shards, now, ahead)
  end
  redis.call('ZADD', shards, last == '1' and 0 or now, token)
end
"""

# Pairs of offset and bytes, from ARGV[first] on.
STORE: Final = """
local function store(index, numbers, records, first)
  if records ~= '' then redis.call('APPEND', index, records) end
  for at = first, #ARGV, 2 do
    redis.call('SETRANGE', numbers, ARGV[at], ARGV[at + 1])
  end
end
"""

# KEYS: state, shards, archive, folded, about, index, numbers, base, next
# ARGV: epoch, token, the attempt before, this attempt, the check before, the lengths of index, numbers, base and next
UNCHANGED: Final = """
local function missing()
  if epoch_of(KEYS[1], KEYS[3]) ~= ARGV[1] then return 'unknown' end
  if read('ZSCORE', KEYS[2], ARGV[2]) then return false end
  return read('HEXISTS', KEYS[4], ARGV[2]) == 1 and 'folded' or 'unknown'
end
local function damaged(about)
  if about[1] ~= ARGV[3] or about[2] ~= ARGV[5] then return true end
  for at = 6, 9 do
    if length(KEYS[at]) ~= tonumber(ARGV[at]) then return true end
  end
  return false
end
"""

# KEYS and ARGV as in UNCHANGED, then the check after, how many parts were prepared, whether this is the last one,
# milliseconds that a process may be silent. The records are ARGV[records]. `show` changes more in the same step, if
# `is_ready` allows it.
PUBLISHING: Final = """
local function publish(records, is_ready, show)
  local gone = missing()
  if gone then return gone end
  local about = read('HMGET', KEYS[5], 'attempt', 'check', 'staged') or {}
  if about[1] ~= ARGV[4] or ARGV[3] == ARGV[4] then
    if damaged(about) then return 'unknown' end
    if ARGV[11] ~= '0' and about[3] ~= ARGV[4] .. ' ' .. ARGV[11] then return 'unknown' end
    if is_ready and not is_ready() then return 'unstaged' end
    if ARGV[3] ~= ARGV[4] then
      redis.call('HSET', KEYS[5], 'attempt', ARGV[4], 'check', ARGV[10])
      if ARGV[11] ~= '0' then
        redis.call('HDEL', KEYS[5], 'staged')
        if redis.call('EXISTS', KEYS[9]) == 1 then
          redis.call('RENAME', KEYS[9], KEYS[7])
          redis.call('PERSIST', KEYS[7])
        end
      end
      store(KEYS[6], KEYS[7], ARGV[records], records + 1)
      if show then show() end
    end
  end
  beat(KEYS[1], KEYS[2], ARGV[2], ARGV[12], ARGV[13])
  return 'ok'
end
"""
