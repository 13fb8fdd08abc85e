import { assert, describe, it } from "@effect/vitest"
import { vi } from "vitest"
import type { AppendOutcome } from "../../src/EventLog.ts"
import { batchBytesMax, CommitQueue } from "../../src/sqlite/CommitQueue.ts"
import { LogBatch, Outcome } from "../../src/sqlite/LogBatch.ts"

/** A queue whose batches are kept, with a promise for the next one. */
const makeQueue = (commitWindowMs: number) => {
  const sent: Array<{ readonly batch: LogBatch; readonly at: number }> = []
  const waiting: Array<() => void> = []
  const queue = new CommitQueue(
    commitWindowMs,
    (buffer) => {
      sent.push({ batch: new LogBatch(buffer), at: performance.now() })
      for (const wake of waiting.splice(0)) wake()
    },
    () => undefined
  )
  queue.setReady(true)
  const until = async (count: number): Promise<void> => {
    while (sent.length < count) await new Promise<void>((resolve) => waiting.push(resolve))
  }
  /** Answers the oldest batch that is not answered: everything in it committed at 1. */
  const answer = (index: number, cause = ""): void => {
    const { batch } = sent[index]!
    for (let i = 0; i < batch.count; i++) batch.setOutcome(i, cause === "" ? Outcome.committed : Outcome.ambiguous, 1)
    queue.done(batch.buffer, cause)
  }
  const outcomes: Array<AppendOutcome> = []
  const append = (shard: number, bytes = new Uint8Array(10), seal = () => bytes): void =>
    queue.append({ shard, expectedLast: 0, reserved: false, seal, settle: (outcome) => outcomes.push(outcome) })
  return { queue, sent, until, answer, outcomes, append }
}

const shardsOf = (batch: LogBatch): ReadonlyArray<number> =>
  Array.from({ length: batch.count }, (_, index) => batch.shard(index))

describe("group commit", () => {
  it("puts what all shards append in one turn into one batch, and what comes during it into the next", async () => {
    const { sent, until, answer, outcomes, append } = makeQueue(0)
    for (const shard of [1, 2, 3]) append(shard)
    await until(1)
    for (const shard of [4, 5]) append(shard)
    assert.deepStrictEqual(shardsOf(sent[0]!.batch), [1, 2, 3])
    assert.lengthOf(outcomes, 0)
    answer(0)
    assert.lengthOf(outcomes, 3)
    await until(2)
    assert.deepStrictEqual(shardsOf(sent[1]!.batch), [4, 5])
  })

  it("seals no earlier than it sends, so that a record takes all that gathered while another was in flight", async () => {
    const { sent, until, answer, append } = makeQueue(0)
    append(1)
    await until(1)
    const gathered: Array<string> = ["a"]
    append(2, undefined, () => Buffer.from(gathered.join("")))
    await new Promise((resolve) => setImmediate(resolve))
    gathered.push("b")
    answer(0)
    gathered.push("c")
    await until(2)
    assert.strictEqual(Buffer.from(sent[1]!.batch.bytes(0)).toString(), "abc")
  })

  it("leaves the commit window between two batches under load", async () => {
    const { sent, until, answer, append } = makeQueue(20)
    append(1)
    await until(1)
    append(2)
    answer(0)
    await until(2)
    // Timers count whole milliseconds from the loop's own clock.
    assert.isAtLeast(sent[1]!.at - sent[0]!.at, 19)
  })

  it("does not wait out the commit window when enough has gathered, before or after it was said", async () => {
    const { queue, sent, until, answer, append } = makeQueue(60_000)
    append(1)
    await until(1)
    append(2)
    queue.hurry()
    answer(0)
    await until(2)
    assert.deepStrictEqual(shardsOf(sent[1]!.batch), [2])
    answer(1)
    append(3)
    queue.hurry()
    await until(3)
    assert.deepStrictEqual(shardsOf(sent[2]!.batch), [3])
  })

  it("waits for the next window again after it hurried", async () => {
    const { queue, sent, until, answer, append } = makeQueue(20)
    append(1)
    await until(1)
    append(2)
    queue.hurry()
    answer(0)
    await until(2)
    append(3)
    answer(1)
    await until(3)
    assert.isAtLeast(sent[2]!.at - sent[1]!.at, 19)
  })

  it("gathers as long as the event loop is busy, within a bound", async () => {
    const { sent, until, answer, append } = makeQueue(0)
    // By a clock of its own: on a machine that is busy itself, three turns may take longer than the bound.
    let now = 1_000
    using _clock = vi.spyOn(performance, "now").mockImplementation(() => now)
    /** Turns that read a lot, each of which brings an append. */
    const busy = (turns: number): void => {
      append(turns + 1)
      now += 2
      if (turns > 0) setImmediate(busy, turns - 1)
    }
    append(100)
    busy(2)
    await until(1)
    assert.deepStrictEqual(shardsOf(sent[0]!.batch), [100, 3, 2, 1])
    append(100)
    busy(100)
    answer(0)
    await until(2)
    assert.isBelow(sent[1]!.batch.count, 100)
  })

  it("bounds a batch in bytes, but takes at least one record", async () => {
    const { sent, until, answer, append } = makeQueue(0)
    append(1, new Uint8Array(batchBytesMax))
    append(2, new Uint8Array(batchBytesMax / 2 + 1))
    append(3, new Uint8Array(batchBytesMax / 2 + 1))
    append(4)
    await until(1)
    answer(0)
    await until(2)
    answer(1)
    await until(3)
    assert.deepStrictEqual(
      sent.map(({ batch }) => shardsOf(batch)),
      [[1], [2, 3], [4]]
    )
  })

  it("lets appends wait, unsealed, while there is no worker, and settles ambiguous what a lost one had", async () => {
    const { queue, sent, until, outcomes, append } = makeQueue(0)
    append(1)
    await until(1)
    append(2)
    queue.lost("the worker ended")
    assert.deepStrictEqual(outcomes, [{ _tag: "Ambiguous", cause: "the worker ended" }])
    await new Promise((resolve) => setImmediate(resolve))
    assert.lengthOf(sent, 1)
    queue.setReady(true)
    await until(2)
    assert.deepStrictEqual(shardsOf(sent[1]!.batch), [2])
  })

  it("reuses the buffer that came back", async () => {
    const { sent, until, answer, append } = makeQueue(0)
    append(1)
    await until(1)
    answer(0)
    append(1)
    await until(2)
    assert.strictEqual(sent[1]!.batch.buffer, sent[0]!.batch.buffer)
  })
})
