import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Result } from "effect"
import type { Entry } from "../../src/log/Entry.ts"
import { recordEntriesMax } from "../../src/log/OpenBatch.ts"
import { decodeRecord, encodeBody, encodeRecord, noHash, noPlace, type ShardRecord } from "../../src/log/Record.ts"
import { commitEntriesEnough, ShardLog, type ShardLogOptions } from "../../src/log/ShardLog.ts"
import { behindMax } from "../../src/log/ShardLogState.ts"
import { entry } from "./Entries.ts"
import { FakeClock, FakeLog } from "./FakeLog.ts"

const shard = 2
const seqsUpTo = (last: number): ReadonlyArray<number> => Array.from({ length: last }, (_, index) => index + 1)
interface Sent {
  readonly entry: Entry
}

/** A served shard over a log that has its epoch record, and what its owner was told. */
const serve = (over: Partial<ShardLogOptions<Sent>> = {}) => {
  const fake = new FakeLog()
  const clock = new FakeClock()
  const told: Array<string> = []
  const seqs = (entries: ReadonlyArray<Sent>) => entries.map(({ entry }) => entry.seq).join(" ")
  const first = encodeBody(
    { kind: "epoch", shard, epoch: 4, number: 1, previous: noHash, checkpoint: noPlace, full: noPlace },
    new Uint8Array()
  )
  const position = fake.put(shard, first.bytes)
  const log = new ShardLog<Sent>({
    shard,
    epoch: 4,
    position,
    number: 1,
    hash: first.hash,
    checkpointPlace: noPlace,
    fullPlace: noPlace,
    log: fake.service,
    clock,
    commitWindowMs: 0,
    onCommitted: (entries, position) => told.push(`committed ${seqs(entries)} @${position}`),
    onFailed: (entries, reason) => told.push(`failed ${reason} ${seqs(entries)}`),
    onUnknown: (entries) => told.push(`unknown ${seqs(entries)}`),
    onOut: () => told.push("out"),
    onQuarantined: (what) => told.push(`quarantined: ${what}`),
    ...over
  })
  const send = (...seqs: ReadonlyArray<number>) => seqs.map((seq) => log.append({ entry: entry(seq) }))
  /** Lets everything happen that does not wait for time or for a held attempt. */
  const settle = async () => {
    for (let turn = 0; turn < 40; turn++) await Promise.resolve()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const records = (): ReadonlyArray<ShardRecord> =>
    fake.shard(shard).map(({ bytes }) => Result.getOrThrow(decodeRecord(bytes)))
  return { fake, clock, told, log, send, settle, records }
}

describe("ShardLog", () => {
  it("asks the log to hurry once a batch is worth a commit by itself, and not before", async () => {
    const { fake, send, settle } = serve()
    fake.fates = ["hold"]
    send(...seqsUpTo(commitEntriesEnough - 1))
    assert.strictEqual(fake.hurries, 0)
    send(commitEntriesEnough)
    assert.strictEqual(fake.hurries, 1)
    await settle()
    fake.held.shift()?.()
    await settle()
    assert.strictEqual(fake.hurries, 1)
  })

  it("hurries too for what gathered while a record was in flight, and does not wait out its own window", async () => {
    const { fake, records, send, settle } = serve({ commitWindowMs: 60_000 })
    fake.fates = ["slow"]
    send(1)
    await settle()
    send(...seqsUpTo(commitEntriesEnough).map((seq) => seq + 1))
    fake.held.shift()?.()
    await settle()
    assert.strictEqual(records().at(-1)?.entries.length, commitEntriesEnough)
    assert.strictEqual(fake.hurries, 1)
    send(100)
    await settle()
    send(...seqsUpTo(commitEntriesEnough - 1).map((seq) => seq + 100))
    await settle()
    assert.strictEqual(records().at(-1)?.entries.length, commitEntriesEnough)
    assert.strictEqual(records().at(-1)?.entries[0]?.seq, 100)
  })

  it("commits what gathers until the log takes it as one record", async () => {
    const { records, send, settle, told } = serve()
    send(1, 2, 3)
    await settle()
    assert.deepStrictEqual(told, ["committed 1 2 3 @10"])
    assert.deepStrictEqual(records()[1]?.entries, [entry(1), entry(2), entry(3)])
    assert.strictEqual(records()[1]?.previous, records()[0]?.hash)
  })

  it("has one record in flight and gathers the next", async () => {
    const { fake, records, send, settle, told } = serve()
    fake.fates = ["lost_answer", "ok"]
    send(1)
    await settle()
    send(2, 3)
    await settle()
    assert.strictEqual(fake.attempts.length, 1)
    assert.deepStrictEqual(told, [])
    assert.strictEqual(records().length, 2)
  })

  it("†19 tries an ambiguous record again with the same bytes, whatever has gathered since", async () => {
    const { clock, fake, send, settle, told } = serve()
    fake.fates = ["lost_attempt", "lost_attempt"]
    send(1)
    await settle()
    send(2)
    for (let n = 0; n < 2; n++) {
      clock.advance(2_000)
      await settle()
    }
    assert.deepStrictEqual(told, ["committed 1 @10", "committed 2 @13"])
    const [first, second, third] = fake.attempts
    assert.deepStrictEqual(second?.bytes, first?.bytes)
    assert.deepStrictEqual(third?.bytes, first?.bytes)
  })

  it("lets entries join while no byte of the record has left", async () => {
    const { clock, fake, send, settle, told } = serve()
    fake.fates = ["never_taken"]
    send(1)
    await settle()
    send(2)
    clock.advance(2_000)
    await settle()
    assert.deepStrictEqual(told, ["committed 1 2 @10"])
  })

  it("†20 fails a refused record and everything gathered since, oldest first, then goes on", async () => {
    const { fake, records, send, settle, told } = serve()
    fake.fates = [{ refuse: "full" }]
    send(1, 2)
    await settle()
    assert.deepStrictEqual(told, ["failed full 1 2"])
    send(1)
    await settle()
    assert.deepStrictEqual(told.slice(1), ["committed 1 @10"])
    assert.strictEqual(records()[1]?.number, 2)
  })

  it("†20 fails what gathered behind a record that was sealed and then refused", async () => {
    const { fake, log, send, settle, told } = serve()
    fake.fates = ["slow_full"]
    send(1)
    await settle()
    send(2, 3)
    fake.release()
    await settle()
    assert.deepStrictEqual(told, ["failed full 1 2 3"])
    assert.strictEqual(log.uncommitted.entries, 0)
  })

  it("†21 does not believe a refusal after an ambiguous attempt", async () => {
    const { clock, fake, records, send, settle, told } = serve()
    fake.fates = ["lost_answer", { refuse: "full" }, { refuse: "full" }]
    send(1)
    await settle()
    for (let n = 0; n < 3; n++) {
      clock.advance(2_000)
      await settle()
    }
    assert.deepStrictEqual(told, ["committed 1 @10"])
    assert.strictEqual(records().length, 2)
  })

  it("†21 tells callers at their deadline that the outcome is unknown, once, and stays pinned", async () => {
    const { clock, fake, send, settle, told } = serve({ callerDeadlineMs: 15_000 })
    fake.fates = Array.from({ length: 60 }, () => "lost_attempt")
    send(1)
    await settle()
    clock.advance(10_000)
    await settle()
    send(2)
    clock.advance(5_000)
    await settle()
    assert.deepStrictEqual(told, ["unknown 1"])
    clock.advance(10_000)
    await settle()
    assert.deepStrictEqual(told, ["unknown 1", "unknown 2"])
    fake.fates = []
    clock.advance(1_000)
    await settle()
    assert.deepStrictEqual(told.slice(2), ["committed 1 @10", "committed 2 @13"])
  })

  it("†22 finds its own record at the place that a refusal names", async () => {
    const { clock, fake, records, send, settle, told } = serve()
    fake.fates = ["lost_answer"]
    send(1)
    await settle()
    clock.advance(2_000)
    await settle()
    assert.deepStrictEqual(told, ["committed 1 @10"])
    assert.strictEqual(records().length, 2)
  })

  it("†22 is out when a higher epoch is there, and takes nothing more", async () => {
    const { fake, log, records, send, settle, told } = serve()
    const tip = records()[0]
    fake.put(
      shard,
      encodeBody(
        { kind: "epoch", shard, epoch: 5, number: 2, previous: tip?.hash ?? "", checkpoint: noPlace, full: noPlace },
        new Uint8Array()
      ).bytes
    )
    send(1, 2)
    await settle()
    assert.deepStrictEqual(told, ["out", "failed out 1 2"])
    assert.strictEqual(log.state, "Out")
    assert.deepStrictEqual(send(3), [false])
  })

  it("†22 asks again when a stale answer names a place that decides nothing", async () => {
    const { clock, fake, send, settle, told } = serve()
    fake.fates = [{ wrongSequence: 7 }, { wrongSequence: 3 }, { wrongSequence: 0 }]
    fake.emptyReads = 1
    send(1)
    await settle()
    for (let n = 0; n < 4; n++) {
      clock.advance(2_000)
      await settle()
    }
    assert.deepStrictEqual(told, ["committed 1 @10"])
  })

  it("†24 is quarantined when the log keeps ending before what is known", async () => {
    const { clock, fake, log, send, settle, told } = serve()
    fake.records.set(shard, [])
    send(1)
    for (let n = 0; n < behindMax; n++) {
      await settle()
      clock.advance(2_000)
    }
    await settle()
    assert.strictEqual(log.state, "Quarantined")
    assert.deepStrictEqual(
      told.filter((line) => !line.startsWith("unknown")),
      ["quarantined: the log ends at 0, but 7 is known", "failed out 1"]
    )
    assert.strictEqual(fake.shard(shard).length, 0)
  })

  it("†24 is quarantined when the record that decides is damaged", async () => {
    const { fake, records, send, settle, told } = serve()
    const foreign = encodeRecord({ ...encodeHeader(records()), number: 2 }, [entry(9)]).bytes
    foreign[100] = (foreign[100] ?? 0) ^ 1
    fake.put(shard, foreign)
    send(1)
    await settle()
    assert.match(told[0] ?? "", /^quarantined: at 10: the hash/)
  })

  it("keeps order when a batch is full, and says so when both are", async () => {
    const { fake, log, settle, told } = serve({ recordBytesMax: 4_000 })
    fake.fates = ["hold"]
    let taken = 0
    while (log.append({ entry: entry(taken + 1) })) taken++
    assert.isBelow(taken, recordEntriesMax)
    // A small entry does not slip past the ones that did not fit.
    assert.isTrue(taken > 20)
    await settle()
    fake.release()
    await settle()
    const committed = told.flatMap((line) =>
      line
        .replace(/^committed | @.*$/g, "")
        .split(" ")
        .map(Number)
    )
    assert.deepStrictEqual(
      committed,
      Array.from({ length: taken }, (_, index) => index + 1)
    )
    assert.strictEqual(told.length, 2)
  })

  it("leaves a commit window between two records under load, and none after idle", async () => {
    const { clock, fake, send, settle, told } = serve({ commitWindowMs: 3 })
    send(1)
    await settle()
    assert.strictEqual(fake.attempts.length, 1)
    send(2)
    await settle()
    assert.strictEqual(fake.attempts.length, 1)
    send(3)
    clock.advance(3)
    await settle()
    assert.deepStrictEqual(told, ["committed 1 @10", "committed 2 3 @13"])
    clock.advance(100)
    send(4)
    await settle()
    assert.strictEqual(fake.attempts.length, 3)
  })

  it("writes a checkpoint between two batches, in the reserved room, made when nothing is in flight (†28)", async () => {
    const { fake, log, records, send, settle, told } = serve()
    fake.fates = ["hold"]
    send(1)
    await settle()
    log.appendCheckpoint(
      () => {
        told.push("made")
        return Uint8Array.of(7)
      },
      "full",
      (position) => told.push(`checkpoint @${position}`)
    )
    send(2)
    fake.release()
    await settle()
    assert.deepStrictEqual(told, ["committed 1 2 @10", "made", "checkpoint @13"])
    assert.deepStrictEqual(
      fake.attempts.map(({ reserved }) => reserved),
      [false, true]
    )
    assert.strictEqual(log.replayFrom, 13)
    send(3)
    await settle()
    assert.deepStrictEqual(records().at(-1)?.full, { position: 13, number: 3 })
    assert.deepStrictEqual(
      records().map(({ number }) => number),
      [1, 2, 3, 4]
    )
  })

  it("a refused checkpoint fails nobody's events", async () => {
    const { fake, log, send, settle, told } = serve()
    fake.fates = [{ refuse: "full" }]
    log.appendCheckpoint(
      () => Uint8Array.of(7),
      "full",
      (position) => told.push(`checkpoint @${position}`)
    )
    send(1)
    await settle()
    assert.deepStrictEqual(told, ["checkpoint @null", "committed 1 @10"])
    assert.strictEqual(log.replayFrom, 0)
  })

  it("takes entries that a callback appends", async () => {
    const again: Array<() => void> = []
    const setup = serve({
      onCommitted: (entries) => {
        setup.told.push(`committed ${entries.length}`)
        again.pop()?.()
      }
    })
    again.push(() => setup.send(2, 3))
    setup.send(1)
    await setup.settle()
    assert.deepStrictEqual(setup.told, ["committed 1", "committed 2"])
  })

  it("flushes when nothing is in flight or gathered, and hands over exactly that record (†23)", async () => {
    const { fake, log, records, send, settle, told } = serve()
    fake.fates = ["hold"]
    send(1)
    const flushed = Effect.runFork(log.flush())
    await settle()
    assert.strictEqual(flushed.pollUnsafe(), undefined)
    fake.release()
    await Effect.runPromise(Fiber.join(flushed))
    log.stepDown()
    assert.deepStrictEqual(told, ["committed 1 @10"])
    const { epoch, hash, number, position } = log.handover
    assert.deepStrictEqual(
      { epoch, hash, number, position },
      { epoch: 4, hash: records()[1]?.hash, number: 2, position: 10 }
    )
    assert.deepStrictEqual(send(2), [false])
  })

  it("stepping down tells what is under way to ask elsewhere, and ignores what the log says later", async () => {
    const { fake, log, send, settle, told } = serve()
    fake.fates = ["hold"]
    send(1)
    await settle()
    log.stepDown()
    assert.deepStrictEqual(told, ["failed out 1"])
    fake.release()
    await settle()
    assert.deepStrictEqual(told, ["failed out 1"])
  })
})

const encodeHeader = (records: ReadonlyArray<ShardRecord>) => ({
  kind: "events" as const,
  shard,
  epoch: 4,
  number: 2,
  previous: records[0]?.hash ?? "",
  checkpoint: noPlace,
  full: noPlace
})
