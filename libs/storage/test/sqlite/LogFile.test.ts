import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync, type StatementSync } from "node:sqlite"
import { assert, describe, it } from "@effect/vitest"
import { LogBatch, packBatch } from "../../src/sqlite/LogBatch.ts"
import { LogFile } from "../../src/sqlite/LogFile.ts"
import { isDamage, type ReadResult } from "../../src/sqlite/LogReads.ts"
import type { LogFileOptions } from "../../src/sqlite/LogWorkerMessages.ts"
import { recordKey } from "../../src/sqlite/RecordRow.ts"
import { temporaryDirectory } from "./LogDirectory.ts"
import { reserveBytesForTests } from "./reserveBytesForTests.ts"

const optionsFor = (directory: string): LogFileOptions => ({
  file: join(directory, "log.sqlite"),
  softBytes: 10_000_000,
  hardBytes: 11_000_000,
  synchronous: "FULL",
  recordBytesMax: 1_000_000,
  walBytesMax: 1_000_000,
  reserveBytes: reserveBytesForTests
})

interface Wanted {
  readonly shard: number
  readonly expectedLast: number
  readonly bytes: Uint8Array
}

/** Commits and gives the outcomes and whether the file is in doubt. */
const commit = (file: LogFile, records: ReadonlyArray<Wanted>) => {
  const batch = new LogBatch(
    packBatch(
      records.map((record) => ({ ...record, reserved: false })),
      undefined
    )
  )
  const { broken, cause } = file.commit(batch, [])
  return { broken, outcomes: records.map((_, i) => batch.outcome(i, cause)) }
}

const body = (fill: number, size = 30_000): Uint8Array => new Uint8Array(size).fill(fill)

/** A closed log with three records in shard 1 and one in shard 2. */
const written = (): LogFileOptions => {
  const options = optionsFor(temporaryDirectory())
  const file = LogFile.open(options)
  for (let i = 0; i < 3; i++) commit(file, [{ shard: 1, expectedLast: i, bytes: body(0xa0 + i) }])
  commit(file, [{ shard: 2, expectedLast: 0, bytes: body(0xb0) }])
  file.close([])
  return options
}

const positionsOf = (result: ReadResult): ReadonlyArray<number> | string =>
  isDamage(result)
    ? `damaged: ${result.shard}/${result.position} ${result.what}`
    : result.map(({ position }) => position)

const flipByteOf = (file: string, fill: number): void => {
  const bytes = readFileSync(file)
  // The last place: earlier ones may be remains of rows that were moved.
  const at = bytes.lastIndexOf(Buffer.alloc(64, fill))
  bytes[at] = (bytes[at] ?? 0) ^ 1
  writeFileSync(file, bytes)
}

const changeRows = (file: string, sql: string): void => {
  const database = new DatabaseSync(file)
  database.exec(sql)
  database.close()
}

/** A database whose next COMMIT fails, before or after it is carried out. */
class FailingDatabase extends DatabaseSync {
  failure: "before" | "after" | undefined

  override prepare(sql: string): StatementSync {
    const statement = super.prepare(sql)
    if (sql !== "COMMIT") return statement
    const run = statement.run.bind(statement)
    statement.run = () => {
      const failure = this.failure
      this.failure = undefined
      const changes = failure === "before" ? { changes: 0, lastInsertRowid: 0 } : run()
      // SQLITE_IOERR_FSYNC
      if (failure !== undefined) throw Object.assign(new Error("disk I/O error"), { errcode: 1034 })
      return changes
    }
    return statement
  }
}

describe("a commit that fails", () => {
  for (const failure of ["before", "after"] as const) {
    it(`†21 leaves every record of its batch ambiguous, and the truth to the next opening (${failure} it was written)`, () => {
      const options = optionsFor(temporaryDirectory())
      // Set by the opening below.
      const failing: { database?: FailingDatabase } = {}
      const file = LogFile.open(options, (path) => (failing.database = new FailingDatabase(path)))
      const one = { shard: 1, expectedLast: 0, bytes: body(1) }
      const two = { shard: 2, expectedLast: 0, bytes: body(2) }
      failing.database!.failure = failure
      const first = commit(file, [one, two])
      assert.isTrue(first.broken)
      assert.deepStrictEqual(
        first.outcomes.map(({ _tag }) => _tag),
        ["Ambiguous", "Ambiguous"]
      )
      file.abandon()

      const again = LogFile.open(options)
      const { outcomes } = commit(again, [one, two])
      assert.deepStrictEqual(
        outcomes,
        failure === "before"
          ? [
              { _tag: "Committed", position: 1 },
              { _tag: "Committed", position: 1 }
            ]
          : [
              { _tag: "WrongSequence", actual: 1 },
              { _tag: "WrongSequence", actual: 1 }
            ]
      )
      assert.deepStrictEqual(positionsOf(again.reads.readAfter(1, 0, 100_000)), [1])
      again.close([])
    })
  }
})

describe("damaged bytes", () => {
  it("are recognised in the middle of a shard: what lies before is served, the record never, nor skipped", () => {
    const options = written()
    flipByteOf(options.file, 0xa1)
    const file = LogFile.open(options)
    assert.deepStrictEqual(file.damage(), [])
    assert.deepStrictEqual(positionsOf(file.reads.readAfter(1, 0, 1_000_000)), [1])
    assert.strictEqual(positionsOf(file.reads.readAfter(1, 1, 1_000_000)), "damaged: 1/2 the checksum does not match")
    assert.strictEqual(positionsOf(file.reads.read(1, 2)), "damaged: 1/2 the checksum does not match")
    assert.deepStrictEqual(positionsOf(file.reads.last(1)), [3])
    file.close([])
  })

  it("†24 of a shard's last record are found at opening: the shard is not written any more, the others are", () => {
    const options = written()
    flipByteOf(options.file, 0xa2)
    const file = LogFile.open(options)
    assert.deepStrictEqual(file.damage(), [{ shard: 1, position: 3, what: "the checksum does not match" }])
    assert.strictEqual(positionsOf(file.reads.last(1)), "damaged: 1/3 the checksum does not match")
    const { broken, outcomes } = commit(file, [
      { shard: 1, expectedLast: 3, bytes: body(4) },
      { shard: 2, expectedLast: 1, bytes: body(4) }
    ])
    assert.isFalse(broken)
    assert.deepStrictEqual(outcomes, [
      { _tag: "Ambiguous", cause: "the shard is damaged" },
      { _tag: "Committed", position: 2 }
    ])
    file.close([])
  })

  it("are recognised when a whole record lies in another one's place, checksum and all", () => {
    const options = written()
    changeRows(
      options.file,
      `UPDATE records SET (crc, bytes) = (SELECT crc, bytes FROM records WHERE id = ${recordKey(2, 1)})
       WHERE id = ${recordKey(1, 2)}`
    )
    const file = LogFile.open(options)
    assert.strictEqual(positionsOf(file.reads.read(1, 2)), "damaged: 1/2 the checksum does not match")
    file.close([])
  })

  it("†24 a hole between records is found at opening and by reading", () => {
    const options = written()
    changeRows(options.file, `DELETE FROM records WHERE id = ${recordKey(1, 2)}`)
    const file = LogFile.open(options)
    assert.deepStrictEqual(file.damage(), [{ shard: 1, position: 2, what: "the record is missing" }])
    assert.strictEqual(positionsOf(file.reads.last(1)), "damaged: 1/2 the record is missing")
    assert.strictEqual(positionsOf(file.reads.readAfter(1, 1, 1_000_000)), "damaged: 1/2 the record is missing")
    assert.deepStrictEqual(positionsOf(file.reads.last(2)), [1])
    file.close([])
  })
})

describe("the file", () => {
  it("is begun again after a crash at its very first opening", () => {
    const options = optionsFor(temporaryDirectory())
    const database = new DatabaseSync(options.file)
    database.exec("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL")
    database.close()
    const file = LogFile.open(options)
    assert.deepStrictEqual(commit(file, [{ shard: 1, expectedLast: 0, bytes: body(1) }]).outcomes, [
      { _tag: "Committed", position: 1 }
    ])
    file.close([])
  })

  it("brings the write-ahead file into the main one when it is told to, and leaves none when it is closed", () => {
    const options = optionsFor(temporaryDirectory())
    const file = LogFile.open(options)
    commit(file, [{ shard: 1, expectedLast: 0, bytes: body(1, 200_000) }])
    assert.isAbove(file.space.walBytes(), 200_000)
    file.space.checkpoint()
    assert.strictEqual(file.space.walBytes(), 0)
    file.close([])
    assert.isFalse(existsSync(`${options.file}-wal`))
  })

  it("purges in steps, so that a commit gets in between", () => {
    const options = optionsFor(temporaryDirectory())
    const file = LogFile.open(options)
    for (let i = 0; i < 6; i++) commit(file, [{ shard: 1, expectedLast: i, bytes: body(i, 500_000) }])
    const before = file.bytes()
    assert.isTrue(file.purgeStep(1, 5, []))
    assert.isBelow(file.bytes(), before)
    assert.strictEqual(commit(file, [{ shard: 1, expectedLast: 6, bytes: body(6) }]).outcomes[0]?._tag, "Committed")
    let steps = 1
    while (file.purgeStep(1, 5, [])) steps += 1
    assert.isBelow(steps, 5)
    assert.deepStrictEqual(positionsOf(file.reads.readAfter(1, 0, 1_000_000)), [6, 7])
    file.close([])
  })

  it("DURABLE-BEFORE-ACK: syncs commits again after what it writes without an fsync, failed or not", () => {
    const options = written()
    // Set by the opening below.
    const seen: { database?: DatabaseSync } = {}
    const file = LogFile.open(options, (path) => (seen.database = new DatabaseSync(path)))
    const full = 2
    const synchronous = () => seen.database?.prepare("PRAGMA synchronous").get()?.["synchronous"]
    assert.strictEqual(synchronous(), full)
    file.storePositions([{ consumer: "persister", shard: 1, position: 1 }])
    assert.strictEqual(synchronous(), full)
    file.purgeStep(1, 1, [])
    assert.strictEqual(synchronous(), full)
    assert.throws(() => file.space.unsynced(() => assert.fail("within")), "within")
    assert.strictEqual(synchronous(), full)
    file.close([])
  })

  it("stores a consumer's position with the purge that it allows", () => {
    const options = written()
    const file = LogFile.open(options)
    file.purgeStep(1, 2, [{ consumer: "persister", shard: 1, position: 2 }])
    file.abandon()
    const again = LogFile.open(options)
    assert.deepStrictEqual(again.positions(), [{ consumer: "persister", shard: 1, position: 2 }])
    again.close([])
  })
})
