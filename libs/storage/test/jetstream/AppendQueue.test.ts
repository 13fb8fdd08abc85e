/** Which appends go together, and what becomes of them, over servers that answer when and what the test says. */
import { assert, describe, it } from "@effect/vitest"
import { beforeEach } from "vitest"
import type { AppendOutcome } from "../../src/EventLog.ts"
import {
  AppendQueue,
  batchBytesMax,
  batchesAtOnce,
  batchGapMs,
  batchPatienceMs,
  batchRecordsMax,
  inFlightBytesMax
} from "../../src/jetstream/AppendQueue.ts"
import { Silence } from "../../src/jetstream/LogHealth.ts"
import { LogStreams } from "../../src/jetstream/LogStreams.ts"
import type { BatchOutcome } from "../../src/jetstream/PublishAnswer.ts"
import type { Message, Publish } from "../../src/jetstream/Publisher.ts"
import { StreamRoom } from "../../src/jetstream/StreamRoom.ts"

const shards = 1_000

interface Batch {
  readonly messages: ReadonlyArray<Message>
  readonly settle: (outcome: BatchOutcome) => void
}

const texts = (messages: ReadonlyArray<Message>): ReadonlyArray<string> =>
  messages.map(({ bytes }) => Buffer.from(bytes).toString())

/** After all that this turn of the event loop has to do, and what that makes. */
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
}

const world = (count = 1) => {
  const alone: Array<Publish> = []
  const batches: Array<Batch> = []
  const settled: Array<string> = []
  const committed: Array<readonly [shard: number, follows: number, position: number]> = []
  const clock = { now: 1_000 }
  const queue = new AppendQueue({
    streams: new LogStreams("test", count, shards),
    publisher: {
      connected: true,
      publish: (publish) => void alone.push(publish),
      publishBatch: (messages, settle) => void batches.push({ messages, settle })
    },
    rooms: Array.from(
      { length: count },
      () => new StreamRoom({ softBytes: 1e9, look: () => Promise.resolve(0), now: () => clock.now })
    ),
    silence: new Silence(Array.from({ length: count }, (_, stream) => `test-log-${stream}`)),
    recordBytesMax: 4_000_000,
    committed: (shard, follows, { position }) => void committed.push([shard, follows, position]),
    unknown: () => {},
    now: () => clock.now
  })
  const append = (shard: number, expectedLast: number, body: string | (() => string)) =>
    queue.append({
      shard,
      expectedLast,
      reserved: false,
      seal: () => Buffer.from(typeof body === "string" ? body : body()),
      settle: (outcome: AppendOutcome) => void settled.push(`${shard} ${outcome._tag}`)
    })
  /** Time goes on, and whoever waited for it comes: the queue's own timer is of the machine's clock. */
  const after = async (ms: number): Promise<void> => {
    clock.now += ms
    await new Promise((resolve) => setTimeout(resolve, batchGapMs + 1))
    await turns()
  }
  return { after, alone, append, batches, clock, committed, queue, settled }
}

describe("appends to one stream", () => {
  let it_ = world()
  beforeEach(() => {
    it_ = world()
  })

  it("of one turn are one batch, in order, each committed at its own place", async () => {
    const { append, batches, committed, settled } = it_
    append(3, 7, "c")
    append(1, 0, "a")
    append(2, 5, "b")
    assert.deepStrictEqual([batches.length, settled], [0, []])
    await turns()
    assert.deepStrictEqual(
      batches.map(({ messages }) => texts(messages)),
      [["c", "a", "b"]]
    )
    assert.deepStrictEqual(
      batches[0]?.messages.map(({ expectedLast }) => expectedLast),
      [7, 0, 5]
    )
    batches[0]?.settle({ _tag: "Committed", first: 11 })
    assert.deepStrictEqual(committed, [
      [3, 7, 11],
      [1, 0, 12],
      [2, 5, 13]
    ])
    assert.deepStrictEqual(settled, ["3 Committed", "1 Committed", "2 Committed"])
  })

  it("that come alone after a rest leave at once, as no batch", async () => {
    it_.append(1, 0, "a")
    await turns()
    assert.deepStrictEqual([texts(it_.alone), it_.batches.length], [["a"], 0])
  })

  it("gather while a batch is on its way, sealed as they leave", async () => {
    const { after, append, batches, queue } = it_
    append(1, 0, "a")
    append(2, 0, "b")
    await turns()
    let text = "early"
    append(3, 0, () => text)
    append(4, 0, "d")
    await after(batchGapMs)
    assert.lengthOf(batches, 1)
    text = "late"
    batches[0]?.settle({ _tag: "Committed", first: 1 })
    await turns()
    assert.deepStrictEqual(
      batches.map(({ messages }) => texts(messages)),
      [
        ["a", "b"],
        ["late", "d"]
      ]
    )
    // Answered within the gap: the rest of it is waited out, unless there is enough.
    batches[1]?.settle({ _tag: "Committed", first: 3 })
    append(5, 0, "e")
    append(6, 0, "f")
    await turns()
    assert.lengthOf(batches, 2)
    queue.hurry()
    await turns()
    assert.lengthOf(batches, 3)
  })

  it("wait for a lost answer a bounded time, and so many of them", async () => {
    const { after, append, batches } = it_
    for (let batch = 1; batch <= batchesAtOnce + 1; batch++) {
      append(batch * 2, 0, "a")
      append(batch * 2 + 1, 0, "b")
      await after(batchPatienceMs)
      await turns()
      assert.lengthOf(batches, Math.min(batch, batchesAtOnce))
    }
    batches[0]?.settle({ _tag: "Ambiguous", cause: "no answer" })
    await after(batchPatienceMs)
    assert.lengthOf(batches, batchesAtOnce + 1)
  })

  it("†21 are each sent alone after their batch was refused, and answered for themselves", async () => {
    const { alone, append, batches, settled } = it_
    append(1, 0, "a")
    append(2, 0, "b")
    await turns()
    batches[0]?.settle({ _tag: "Apart", never: false })
    assert.deepStrictEqual([texts(alone), settled], [["a", "b"], []])
    alone[0]?.settle({ _tag: "WrongSequence", actual: 4 })
    alone[1]?.settle({ _tag: "Committed", position: 9 })
    assert.deepStrictEqual(settled, ["1 WrongSequence", "2 Committed"])
    append(3, 0, "c")
    append(4, 0, "d")
    await it_.after(batchGapMs)
    assert.lengthOf(batches, 2)
  })

  it("are all sent alone where the stream takes no batches, at once", async () => {
    const { alone, append, batches } = it_
    append(1, 0, "a")
    append(2, 0, "b")
    await turns()
    batches[0]?.settle({ _tag: "Apart", never: true })
    append(3, 0, "c")
    append(4, 0, "d")
    await turns()
    assert.deepStrictEqual([texts(alone), batches.length], [["a", "b", "c", "d"], 1])
  })

  it("†21 that are in doubt go alone, with the same identity, and hold up nobody", async () => {
    const { after, alone, append, batches, settled } = it_
    append(1, 0, "a")
    append(2, 0, "b")
    await turns()
    batches[0]?.settle({ _tag: "Ambiguous", cause: "no answer" })
    assert.deepStrictEqual(settled, ["1 Ambiguous", "2 Ambiguous"])
    append(1, 0, "a")
    append(3, 0, "c")
    append(4, 0, "d")
    await after(batchGapMs)
    assert.deepStrictEqual(texts(alone), ["a"])
    assert.strictEqual(alone[0]?.id, batches[0]?.messages[0]?.id)
    assert.deepStrictEqual(texts(batches[1]?.messages ?? []), ["c", "d"])
  })

  it("SINGLE-WRITER: beside another of the same shard go alone: the server would refuse the batch", async () => {
    const { alone, append, batches } = it_
    append(1, 0, "mine")
    append(2, 0, "b")
    append(1, 0, "another owner's")
    await turns()
    assert.deepStrictEqual(
      batches.map(({ messages }) => texts(messages)),
      [["mine", "b"]]
    )
    assert.deepStrictEqual(texts(alone), ["another owner's"])
  })

  it("are as many, and as large, as a batch may be", async () => {
    const { after, append, batches } = it_
    for (let shard = 1; shard <= batchRecordsMax + 2; shard++) append(shard, 0, "a")
    await turns()
    batches[0]?.settle({ _tag: "Committed", first: 1 })
    await after(batchGapMs)
    assert.deepStrictEqual(
      batches.map(({ messages }) => messages.length),
      [batchRecordsMax, 2]
    )
    batches[1]?.settle({ _tag: "Committed", first: 1_000 })
    const half = "x".repeat(batchBytesMax / 2)
    for (let shard = 301; shard <= 305; shard++) append(shard, 0, half)
    await after(batchGapMs)
    assert.strictEqual(batches[2]?.messages.length, 2)
  })

  it("that wait for room in the connection leave when another stream's answers make it", async () => {
    const { alone, append, batches } = world(2)
    append(2, 0, "a")
    append(4, 0, "b")
    await turns()
    // From now on all that this stream has leaves at once.
    batches[0]?.settle({ _tag: "Apart", never: true })
    for (const { settle } of alone.splice(0)) settle({ _tag: "Committed", position: 1 })
    const large = "x".repeat(batchBytesMax)
    const enough = inFlightBytesMax / batchBytesMax
    for (let at = 0; at < enough; at++) append(10 + 2 * at, 0, large)
    await turns()
    assert.lengthOf(alone, enough)
    append(1, 0, "of another stream")
    await turns()
    assert.lengthOf(alone, enough)
    alone[0]?.settle({ _tag: "Committed", position: 2 })
    await turns()
    assert.deepStrictEqual(texts(alone.slice(enough)), ["of another stream"])
  })
})
