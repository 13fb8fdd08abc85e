/**
 * When channels got their last messages, in Redis: what inboxes are made of. It orders work and nothing else (†10), so
 * nothing waits for Redis: flushed or away, a user's channels come unordered until their next messages. Bounded: the
 * places of longest ago go. Mentions, which are counted, are in Cassandra.
 */
import { Effect, Layer } from "effect"
import { bucketOf } from "../cassandra/Buckets.ts"
import { Cassandra } from "../cassandra/Cassandra.ts"
import { mentionsIn } from "../cassandra/CassandraMentions.ts"
import { makeGathered } from "../cassandra/Gathered.ts"
import { type Activity, Inbox, type InboxPlace, type ReadUpTo } from "../Inbox.ts"
import { Redis, redisScript } from "./Redis.ts"

/** Channels whose last message is known, at most; each takes some 250 bytes of Redis. */
export const activeChannelsMax = 1_000_000
/** Pairs of keys that the channels are spread over: the nodes of a Cluster share them. */
const pairs = 16
const channelsAtOnceMax = 500
/** Calls that are noted together: each shard's step of the fan-out is one, of a message or two. */
const callsAtOnceMax = 64

/**
 * (counter; how many) → the place before theirs. Later than all before, also than those before a flush: pages of a sync
 * may still be asked for with them.
 */
const takePlaces = redisScript(`
local time = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
local before = math.max(last, time[1] * 1000000 + time[2])
redis.call('SET', KEYS[1], string.format('%.0f', before + ARGV[1]))
return before
`)

/** (channel → "seq:place", channels by place; bound, then channel, seq, place …). */
const note = redisScript(`
for i = 2, #ARGV, 3 do
  local channel, seq, place = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local s, p = string.match(redis.call('HGET', KEYS[1], channel) or '0:0', '^(%d+):(%d+)$')
  if seq > tonumber(s) then
    local text = string.format('%.0f', math.max(place, tonumber(p) + 1))
    redis.call('HSET', KEYS[1], channel, ARGV[i + 1] .. ':' .. text)
    redis.call('ZADD', KEYS[2], text, channel)
  end
end
local over = redis.call('ZCARD', KEYS[2]) - ARGV[1]
if over > 0 then
  local gone = redis.call('ZPOPMIN', KEYS[2], over)
  for i = 1, #gone, 2 do redis.call('HDEL', KEYS[1], gone[i]) end
end
return false
`)

/** (channel → "seq:place"; channels …) → theirs, in the same order. */
const find = redisScript("return redis.call('HMGET', KEYS[1], unpack(ARGV))")

/** Both keys of a pair in one slot of a Cluster. */
const keysOf = (pair: number): readonly [seqs: string, places: string] => [
  `inbox:{${pair}}:seqs`,
  `inbox:{${pair}}:places`
]

/** In parts that one script takes, each of one pair of keys. */
const inPairs = <A extends { readonly channel: string }>(
  items: ReadonlyArray<A>
): ReadonlyArray<readonly [pair: number, part: ReadonlyArray<A>]> => {
  const parts: Array<readonly [number, Array<A>]> = []
  const filling = new Map<number, Array<A>>()
  for (const item of items) {
    const pair = bucketOf(item.channel, pairs)
    const part = filling.get(pair)
    if (part !== undefined && part.length < channelsAtOnceMax) {
      part.push(item)
      continue
    }
    const next = [item]
    filling.set(pair, next)
    parts.push([pair, next])
  }
  return parts
}

const placeOf = ({ channel, seq }: ReadUpTo, found: unknown): InboxPlace | undefined => {
  const [last, place] = typeof found === "string" ? found.split(":").map(Number) : []
  return last !== undefined && place !== undefined && last > seq ? { channel, seq: last, place } : undefined
}

const makePlaces = Effect.fnUntraced(function* (redis: Redis["Service"], channelsMax: number) {
  const pairMax = Math.max(1, Math.ceil(channelsMax / pairs))

  const noteAll = Effect.fnUntraced(function* (messages: ReadonlyArray<Activity>) {
    const before = Number(yield* redis.run(takePlaces, ["inbox:last-place"], [messages.length]))
    const placed = messages.map((message, at) => ({ ...message, place: before + 1 + at }))
    yield* Effect.forEach(
      inPairs(placed),
      ([pair, part]) =>
        redis.run(note, keysOf(pair), [pairMax, ...part.flatMap(({ channel, place, seq }) => [channel, seq, place])]),
      { concurrency: pairs, discard: true }
    )
  })

  const findAll = (read: ReadonlyArray<ReadUpTo>) =>
    Effect.forEach(
      inPairs(read),
      ([pair, part]) =>
        Effect.map(
          redis.run(
            find,
            [keysOf(pair)[0]],
            part.map(({ channel }) => channel)
          ),
          (found) => (Array.isArray(found) ? part.flatMap((it, at) => placeOf(it, found[at]) ?? []) : [])
        ),
      { concurrency: pairs }
    ).pipe(Effect.map((places) => places.flat()))

  const noted = yield* makeGathered(callsAtOnceMax, (calls: ReadonlySet<ReadonlyArray<Activity>>) =>
    Effect.as(noteAll([...calls].flat()), () => undefined)
  )

  const places: Pick<Inbox["Service"], "active" | "placesOf"> = {
    // Without Redis the fan-out goes on: what it notes only orders work, and the next message notes it again.
    active: (messages) => (messages.length === 0 ? Effect.void : Effect.ignore(noted(messages))),
    placesOf: (read) => Effect.catchTag(findAll(read), "StoreUnavailable", () => Effect.succeed([]))
  }
  return places
})

export const layerRedis = (options: { readonly channelsMax?: number } = {}) =>
  Layer.effect(
    Inbox,
    Effect.gen(function* () {
      return Inbox.of({
        ...(yield* makePlaces(yield* Redis, options.channelsMax ?? activeChannelsMax)),
        ...mentionsIn(yield* Cassandra)
      })
    })
  )
