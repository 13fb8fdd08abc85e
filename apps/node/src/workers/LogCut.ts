/**
 * Says what each shard can spare of the log's front (DESIGN §5.9), and cuts it where room is getting scarce: below what the persister and the member fan-out are done with, and below the last
 * full checkpoint (†27). Other consumers (search, push, webhooks) hold it too while there is room: where the log has come
 * to a part of its bound, one that is behind is cut loose, which is written down before the cut, and it catches up from
 * the store (†3). So a customer's dead webhook never stops a send.
 */
import { Effect, Option, Result } from "effect"
import { cutOf, LooseConsumers, memberFanoutConsumer, persisterConsumer } from "@parley/actors/fanout/ConsumerNames"
import { WorkedShards } from "@parley/actors/fanout/WorkedShards"
import { purgeUpTo } from "@parley/actors/log/Floor"
import { decodeRecord } from "@parley/actors/log/Record"
import { EventLog, type LogPosition } from "@parley/storage/EventLog"

/** The part of the log's soft bound from which on it keeps nothing for consumers that may be cut loose. */
export const looseLogPart = 0.5

/** Shards looked at in one round while there is room: each look costs the log a read, and up to three appends. */
export const cutShardsMax = 16
/** Of shards that rest so many, for what was left when they came to rest. */
const restingShardsMax = 2
/** A shard rests when nothing was written of it for so long. */
const restingMs = 60_000
/** From this part of the log's soft bound on every round looks at every shard. */
export const hurriedLogPart = 0.25
/** From this part on shards are cut one by one as well: one that spares nothing holds up what the others do. */
export const crowdedLogPart = 0.5
/** From this part on whatever can go goes, whatever it costs: at the bound sends are refused. */
export const scarceLogPart = 0.9
/**
 * Before that a shard is cut by itself only where this part of what it has goes: for each cut the log's servers look through all
 * that the stream still has (docs/capacity.md).
 */
export const cutPartMin = 0.5

/** `from`: where the shard was cut last; `last`: its last record. */
export const worthCutting = (from: LogPosition, upTo: LogPosition, last: LogPosition, scarce: boolean): boolean =>
  upTo > from && (scarce || upTo - from >= cutPartMin * (last - from))

/**
 * One round: a look at the next few of the shards that are worked on here, at all of them where room is scarce. What the
 * holding consumers have done is durable since before their positions moved. `storedAt`: when the persister moved last.
 * `cuts`: where each shard was cut last, kept by the caller between rounds.
 */
export const cutLog = Effect.fnUntraced(function* (
  round: number,
  storedAt: (shard: number) => number,
  cuts: Map<number, LogPosition> = new Map()
) {
  const log = yield* EventLog
  const loose = yield* LooseConsumers
  const { bytes, softBytes } = yield* log.usage
  const room = bytes < softBytes * looseLogPart
  const crowded = bytes >= softBytes * crowdedLogPart
  const scarce = bytes >= softBytes * scarceLogPart
  const { works } = yield* WorkedShards
  const shards = (yield* log.shards).filter(works)
  const resting = performance.now() - restingMs
  const due =
    bytes >= softBytes * hurriedLogPart
      ? shards
      : [
          ...turn(
            shards.filter((shard) => storedAt(shard) >= resting),
            round,
            cutShardsMax
          ),
          ...turn(
            shards.filter((shard) => storedAt(shard) < resting),
            round,
            restingShardsMax
          )
        ]
  for (const shard of due) {
    const last = yield* Effect.option(log.last(shard).pipe(Effect.flatMap(Effect.fromOption)))
    // An empty shard, or a damaged one: that is left as it is, and the others are cut all the same (†24).
    if (Option.isNone(last)) continue
    const decoded = decodeRecord(last.value.bytes)
    if (Result.isFailure(decoded)) continue
    // A quiet shard ends with its checkpoint; any other record names the one before it.
    const { full, kind } = decoded.success
    const checkpoint = kind === "full" ? last.value.position : full.position
    const stored = yield* log.consumerPosition(persisterConsumer, shard)
    const fannedOut = yield* log.consumerPosition(memberFanoutConsumer, shard)
    let upTo = purgeUpTo([stored, fannedOut], checkpoint)
    for (const name of loose) {
      const position = yield* log.consumerPosition(name, shard)
      if (position >= upTo) continue
      if (room) upTo = position
      else {
        yield* log.setConsumerPosition(cutOf(name), shard, upTo)
        yield* Effect.logWarning("consumer cut loose from the log: it catches up from the store").pipe(
          Effect.annotateLogs({ consumer: name, shard, position, cut: upTo })
        )
      }
    }
    yield* log.spare(shard, upTo)
    if (!crowded || !worthCutting(cuts.get(shard) ?? 0, upTo, last.value.position, scarce)) continue
    yield* log.purge(shard, upTo)
    cuts.set(shard, upTo)
  }
})

/** Those of this round, at most so many; all of them in turn. */
export const turn = (shards: ReadonlyArray<number>, round: number, most: number): ReadonlyArray<number> => {
  const rounds = Math.ceil(shards.length / most)
  return shards.filter((_, at) => at % rounds === round % rounds)
}
