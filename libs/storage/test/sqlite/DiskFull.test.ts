/**
 * A disk that is really full: a small tmpfs. Where mounting is not allowed the tests are skipped, which their names say.
 */
import { execFileSync } from "node:child_process"
import { rmSync, statfsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { afterAll } from "vitest"
import type { EventLog } from "../../src/EventLog.ts"
import { SqliteEventLog } from "../../src/sqlite/SqliteEventLog.ts"
import { append, commit } from "../EventLogContract.ts"
import { temporaryDirectory } from "./LogDirectory.ts"

const mounted: Array<string> = []
const unmountAll = (): void => {
  for (const directory of mounted.splice(0)) execFileSync("umount", ["-l", directory])
}
afterAll(unmountAll)

const smallDisk = (): string | undefined => {
  const directory = temporaryDirectory()
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=6m", "tmpfs", directory], { stdio: "ignore" })
    mounted.push(directory)
    return directory
  } catch {
    return undefined
  }
}

const disks = [smallDisk(), smallDisk(), smallDisk()]
const named = (name: string): string =>
  disks[0] === undefined ? `${name} (skipped: this process may not mount a tmpfs)` : name

const body = new Uint8Array(60_000).fill(7)

const onDisk = <A, E>(directory: string | undefined, use: (log: EventLog["Service"]) => Effect.Effect<A, E>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const log = yield* SqliteEventLog.make({
        file: join(directory ?? "", "log.sqlite"),
        softBytes: 100_000_000,
        hardBytes: 110_000_000,
        recordBytesMax: 100_000,
        walBytesMax: 262_144,
        reserveBytes: 1_048_576
      })
      return yield* use(log)
    })
  )

/** Appends to shard 1 until the log refuses; the last position. */
const fillUp = Effect.fnUntraced(function* (log: EventLog["Service"], from: number) {
  let last = from
  for (;;) {
    const outcome = yield* append(log, 1, last, body)
    if (outcome._tag === "Committed") last = outcome.position
    else {
      assert.deepStrictEqual(outcome, { _tag: "Refused", reason: "full" })
      return last
    }
  }
})

const readAll = Effect.fnUntraced(function* (log: EventLog["Service"], shard: number) {
  const positions: Array<number> = []
  for (;;) {
    const records = yield* log.readAfter(shard, positions.at(-1) ?? 0, 500_000)
    if (records.length === 0) return positions
    assert.isTrue(records.every((record) => record.bytes.length === body.length && record.bytes[9] === 7))
    positions.push(...records.map((record) => record.position))
  }
})

describe("a full disk", () => {
  it.live.skipIf(disks[0] === undefined)(
    named("WRITE-BEHIND-SAFE: refuses, keeps every acknowledged record, is purged, and goes on without a restart"),
    () =>
      onDisk(disks[0], (log) =>
        Effect.gen(function* () {
          const last = yield* fillUp(log, 0)
          assert.isAbove(last, 20)
          assert.lengthOf(yield* readAll(log, 1), last)
          yield* log.purge(1, last - 5)
          assert.lengthOf(yield* readAll(log, 1), 5)
          const more = yield* fillUp(log, last)
          assert.isAbove(more, last + 10)
          yield* log.purge(1, more)
          yield* commit(log, 1, more, body)
        })
      )
  )

  it.live.skipIf(disks[0] === undefined)(
    named("†28 still takes epoch records and checkpoints, and can be opened and taken over again"),
    () =>
      Effect.gen(function* () {
        const last = yield* onDisk(disks[1], (log) =>
          Effect.gen(function* () {
            let last = yield* fillUp(log, 0)
            for (let i = 0; i < 5; i++) last = yield* commit(log, 1, last, body, true)
            assert.strictEqual((yield* append(log, 1, last, body))._tag, "Refused")
            return last
          })
        )
        yield* onDisk(disks[1], (log) =>
          Effect.gen(function* () {
            assert.strictEqual(Option.getOrUndefined(yield* log.last(1))?.position, last)
            const epoch = yield* commit(log, 1, last, body, true)
            yield* log.purge(1, epoch)
            yield* fillUp(log, epoch)
          })
        )
      })
  )

  it.live.skipIf(disks[0] === undefined)(named("goes on by itself once somebody else's files are gone"), () =>
    onDisk(disks[2], (log) =>
      Effect.gen(function* () {
        const directory = disks[2] ?? ""
        let last = yield* commit(log, 1, 0, body)
        const room = statfsSync(directory)
        writeFileSync(join(directory, "other"), new Uint8Array(room.bavail * room.bsize - 16_384))
        last = yield* fillUp(log, last)
        // What the log must take has room all the same, and purging works.
        last = yield* commit(log, 1, last, body, true)
        yield* log.purge(1, last - 1)
        assert.strictEqual((yield* append(log, 1, last, body))._tag, "Refused")
        rmSync(join(directory, "other"))
        // It looks for room again at most once a second, when it is asked to write.
        for (;;) {
          const outcome = yield* append(log, 1, last, body)
          if (outcome._tag === "Committed") break
          assert.strictEqual(outcome._tag, "Refused")
          yield* Effect.sleep("20 millis")
        }
      })
    )
  )
})
