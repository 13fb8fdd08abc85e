/**
 * The log of a data directory into a cluster's: each shard's records in order, with their epochs, numbers and entries, so
 * that its next owner takes it over as one that restarts would: newest states, client ids and positions of consumers. What
 * is there already is compared instead of written, so it may be run again; anything else there stops it.
 */
import { Effect, Option, Result } from "effect"
import { memberFanoutConsumer, persisterConsumer } from "@parley/actors/fanout/ConsumerNames"
import { Transplant } from "@parley/actors/log/Transplant"
import type { AppendOutcome, EventLog, LogPosition } from "@parley/storage/EventLog"
import { MigrationRefused } from "./MigrateError.ts"

type Log = EventLog["Service"]

const chunkBytes = 4_000_000
/** Attempts of one record while the log does not say whether it has it. */
const triesMax = 40
const retryMs = 250
/** Shards that are copied at the same time. */
const shardsAtOnce = 16
const consumers = [persisterConsumer, memberFanoutConsumer]

/** Records that are in the cluster's log now, over all shards. */
export const copyLog = Effect.fnUntraced(function* (from: Log, to: Log) {
  const copied = yield* Effect.forEach(yield* from.shards, (shard) => copyShard(from, to, shard), {
    concurrency: shardsAtOnce
  })
  return copied.reduce((sum, records) => sum + records, 0)
})

const copyShard = Effect.fnUntraced(function* (from: Log, to: Log, shard: number) {
  const transplant = new Transplant(shard)
  const there = new Reading(to, shard)
  const done = yield* Effect.forEach(consumers, (consumer) => from.consumerPosition(consumer, shard))
  const positions = new Map<string, LogPosition>()
  let records = 0
  let last: LogPosition = 0
  for (let after: LogPosition = 0; ;) {
    const chunk = yield* from.readAfter(shard, after, chunkBytes)
    if (chunk.length === 0) break
    for (const record of chunk) {
      const sealed = transplant.seal(record)
      if (Result.isFailure(sealed)) {
        const what = typeof sealed.failure === "string" ? sealed.failure : sealed.failure.what
        return yield* new MigrationRefused({
          why: `shard ${shard} of the data directory's log is damaged at ${record.position}: ${what}. Look at it with \`parley doctor\`; nothing was changed in it`
        })
      }
      const known = yield* there.next
      if (known !== undefined && !same(known.bytes, sealed.success)) return yield* changed(shard)
      last = known?.position ?? (yield* append(to, shard, last, sealed.success))
      transplant.placed(last)
      after = record.position
      records++
      for (const [at, consumer] of consumers.entries()) {
        if (record.position <= (done[at] ?? 0)) positions.set(consumer, last)
      }
    }
  }
  if ((yield* there.next) !== undefined) return yield* changed(shard)
  for (const [consumer, position] of positions) yield* to.setConsumerPosition(consumer, shard, position)
  return records
})

/** What the target has of a shard, record by record, until it has no more. */
class Reading {
  readonly #log: Log
  readonly #shard: number
  #records: Array<{ readonly position: LogPosition; readonly bytes: Uint8Array }> = []
  #after: LogPosition = 0
  #ended = false

  constructor(log: Log, shard: number) {
    this.#log = log
    this.#shard = shard
  }

  get next() {
    return Effect.gen({ self: this }, function* () {
      if (this.#records.length === 0 && !this.#ended) {
        this.#records = [...(yield* this.#log.readAfter(this.#shard, this.#after, chunkBytes))]
        this.#after = this.#records.at(-1)?.position ?? this.#after
        // What this process appends itself is not read again.
        this.#ended = this.#records.length === 0
      }
      return this.#records.shift()
    })
  }
}

const append = (to: Log, shard: number, expectedLast: LogPosition, bytes: Uint8Array) =>
  Effect.gen(function* () {
    for (let tries = 1; tries <= triesMax; tries++) {
      const outcome = yield* Effect.callback<AppendOutcome>((resume) =>
        to.append({
          shard,
          expectedLast,
          seal: () => bytes,
          reserved: true,
          settle: (outcome) => resume(Effect.succeed(outcome))
        })
      )
      switch (outcome._tag) {
        case "Committed":
          return outcome.position
        case "Refused":
          return yield* new MigrationRefused({
            why:
              outcome.reason === "full"
                ? "the cluster's log has no room for the data directory's: raise --log-soft-bytes and --log-hard-bytes, for the nodes as well"
                : `a record of ${bytes.length} bytes is larger than the cluster's log takes: set NATS's max_payload to 1 MiB`
          })
        case "WrongSequence": {
          // An attempt of this process that was not answered, or somebody else's.
          const found = yield* to.read(shard, outcome.actual)
          if (Option.isSome(found) && same(found.value.bytes, bytes)) return found.value.position
          return yield* changed(shard)
        }
        case "Ambiguous":
          yield* Effect.sleep(retryMs)
      }
    }
    return yield* new MigrationRefused({ why: `shard ${shard} of the cluster's log does not answer: run this again` })
  })

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

const changed = (shard: number) =>
  new MigrationRefused({
    why: `shard ${shard} of the cluster's log has records that are not of this data directory: a node was started, or the directory was used since. Make the cluster empty and begin anew`
  })
