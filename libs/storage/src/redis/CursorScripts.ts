/**
 * A user's hot cursors in Redis: one hash, channel → "generation:seq", merged by max, so nothing in it ever moves back. And
 * those of a small channel, user → the same, from when somebody has asked for them.
 * The hash may lack what was lost with a flush, a restart from an older file, or a failover to a replica that was behind.
 * So it says under "#" in which dataset it was completed: the server's run and its replication history, which another
 * server, or the same one started again, does not have. A refill is announced ("?") before the store is read, and
 * completes the hash only if the announcement is still there: what was merged since then is, too.
 */
import { redisScript } from "./Redis.ts"

const dataset = `
local function dataset()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') .. '/' ..
    string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
end
`

/** (user or channel; nonce, ttl ms) → the whole hash where it is complete, else nothing, and a refill is announced. */
export const readCursors = redisScript(`${dataset}
local now = dataset()
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if redis.call('HGET', KEYS[1], '#') == now then return redis.call('HGETALL', KEYS[1]) end
redis.call('HSET', KEYS[1], '?', ARGV[1] .. '@' .. now)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return false
`)

const mergeAll = `
for i = 3, #ARGV, 3 do
  local generation, seq = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local known = redis.call('HGET', KEYS[1], ARGV[i])
  local later = true
  if known then
    local g, s = string.match(known, '^(%d+):(%d+)$')
    g, s = tonumber(g), tonumber(s)
    later = generation > g or (generation == g and seq > s)
  end
  if later then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ':' .. ARGV[i + 2]) end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
`

/**
 * (user or channel; nonce or '', ttl ms, then channel or user, generation, seq …) → the whole hash afterwards, with a
 * nonce; else nothing.
 */
export const mergeCursors = redisScript(`${dataset}${mergeAll}
if ARGV[1] == '' then return false end
local now = dataset()
if redis.call('HGET', KEYS[1], '?') == ARGV[1] .. '@' .. now then
  redis.call('HSET', KEYS[1], '#', now)
  redis.call('HDEL', KEYS[1], '?')
end
return redis.call('HGETALL', KEYS[1])
`)

/**
 * (channel; '', ttl ms, then user, generation, seq …): nothing where there is no hash, nor one announced. Who asks for it
 * later reads what was merged before from the store.
 */
export const mergeAskedCursors = redisScript(`
if not redis.call('HGET', KEYS[1], '#') and not redis.call('HGET', KEYS[1], '?') then return false end
${mergeAll}
return false
`)

/** (user or channel): the next read comes from the store. */
export const forgetCursors = redisScript("return redis.call('DEL', KEYS[1])")
