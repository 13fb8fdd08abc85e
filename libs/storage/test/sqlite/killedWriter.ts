/**
 * Appends to four shards as fast as it can and prints `shard position` for each record that was acknowledged, until
 * somebody kills it. What a record holds follows from its place, so that the survivor can check it.
 */
import { writeSync } from "node:fs"
import { Effect, Option } from "effect"
import { SqliteEventLog } from "../../src/sqlite/SqliteEventLog.ts"
import { reserveBytesForTests } from "./reserveBytesForTests.ts"

export const recordOf = (shard: number, position: number): Buffer =>
  Buffer.alloc(100 + ((position * 977) % 12_000), `${shard}/${position};`)

const write = (file: string) =>
  Effect.gen(function* () {
    const log = yield* SqliteEventLog.make({
      file,
      softBytes: 100_000_000,
      hardBytes: 110_000_000,
      commitWindowMs: 0,
      reserveBytes: reserveBytesForTests
    })
    const appendAfter = (shard: number, last: number): void =>
      log.append({
        shard,
        expectedLast: last,
        seal: () => recordOf(shard, last + 1),
        reserved: false,
        settle: (outcome) => {
          if (outcome._tag !== "Committed") throw new Error(JSON.stringify(outcome))
          writeSync(1, `${shard} ${outcome.position}\n`)
          appendAfter(shard, outcome.position)
        }
      })
    for (const shard of [0, 1, 2, 3]) {
      const last = yield* log.last(shard)
      appendAfter(shard, Option.isSome(last) ? last.value.position : 0)
    }
    return yield* Effect.never
  })

if (import.meta.main) await Effect.runPromise(Effect.scoped(write(process.argv[2] ?? "")))
