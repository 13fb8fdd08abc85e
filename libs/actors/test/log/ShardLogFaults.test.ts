import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import * as fc from "fast-check"
import type { Entry } from "../../src/log/Entry.ts"
import { decodeRecord } from "../../src/log/Record.ts"
import { ShardLog } from "../../src/log/ShardLog.ts"
import { openShard } from "../../src/log/Takeover.ts"
import { entry } from "./Entries.ts"
import { FakeClock, FakeLog, type Fate } from "./FakeLog.ts"

const shard = 1

const fate: fc.Arbitrary<Fate> = fc.oneof(
  { weight: 2, arbitrary: fc.constant<Fate>("ok") },
  fc.constantFrom<Fate>("lost_answer", "lost_attempt", "never_taken", "hold", "slow", "slow_full"),
  fc.constantFrom<Fate>({ refuse: "full" }, { refuse: "too_large" }),
  fc.constantFrom(0, 3, 7, 10, 13).map((wrongSequence): Fate => ({ wrongSequence }))
)

type Act = { readonly turn: boolean } & (
  | { readonly act: "send"; readonly count: number }
  | { readonly act: "wait"; readonly ms: number }
  | { readonly act: "release" | "checkpoint" | "takeover" | "stale" }
)
const turn = fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false))
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ act: fc.constant("send" as const), count: fc.integer({ min: 1, max: 4 }), turn })
  },
  {
    weight: 5,
    arbitrary: fc.record({ act: fc.constant("wait" as const), ms: fc.constantFrom(5, 2_000, 20_000), turn })
  },
  fc.record({ act: fc.constantFrom("release", "checkpoint", "takeover", "stale"), turn })
)

/** An entity as an owner has it: the next seq counts what is committed and what is under way. */
class Owner {
  readonly #log: ShardLog<{ readonly entry: Entry }>
  #underWay: Array<number> = []
  readonly committed: Array<string>
  readonly failed: Array<string> = []
  readonly unknown: Array<string> = []
  readonly out: Array<string> = []

  constructor(fake: FakeLog, clock: FakeClock, opened: Effect.Success<ReturnType<typeof openShard>>) {
    const before: Array<string> = opened.checkpoint === undefined ? [] : decodeIds(opened.checkpoint)
    this.committed = [...before, ...opened.entries.map(({ entry }) => entry.cid)]
    this.#log = new ShardLog({
      ...opened,
      log: fake.service,
      clock,
      recordBytesMax: 1_000,
      onCommitted: (entries) => {
        for (const { entry } of entries) {
          assert.strictEqual(this.#underWay.shift(), entry.seq)
          this.committed.push(entry.cid)
        }
      },
      onFailed: (entries, reason) => {
        assert.deepStrictEqual(
          entries.map(({ entry }) => entry.seq),
          this.#underWay
        )
        this.#underWay = []
        ;(reason === "out" ? this.out : this.failed).push(...entries.map(({ entry }) => entry.cid))
      },
      onUnknown: (entries) => this.unknown.push(...entries.map(({ entry }) => entry.cid)),
      onOut: () => {},
      onQuarantined: (what) => assert.fail(what)
    })
  }

  get idle(): boolean {
    return this.#underWay.length === 0
  }

  /** All that is committed: a checkpoint that misses one, or has one too many, shows after the next takeover. */
  checkpoint(): void {
    this.#log.appendCheckpoint(() => Buffer.from(this.committed.join()))
  }

  send(cid: string): void {
    const seq = this.committed.length + this.#underWay.length + 1
    // Before the append: it may be in flight when that returns, and a batch of its own.
    this.#underWay.push(seq)
    if (!this.#log.append({ entry: entry(seq, { cid, body: "x".repeat((seq % 3) * 150) }) })) this.#underWay.pop()
  }
}

const decodeIds = (body: Uint8Array): Array<string> =>
  Buffer.from(body)
    .toString()
    .split(",")
    .filter((id) => id !== "")

const letRun = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe("ShardLog over a log that fails", () => {
  it(
    "†19 †20 †21 †22 tells each entry once what became of it, and the log agrees",
    () =>
      fc.assert(
        fc.asyncProperty(fc.array(act, { minLength: 5, maxLength: 40 }), fc.array(fate, { maxLength: 30 }), run),
        { numRuns: 1_000 }
      ),
    60_000
  )
})

const run = async (acts: ReadonlyArray<Act>, fates: ReadonlyArray<Fate>): Promise<void> => {
  const fake = new FakeLog()
  const clock = new FakeClock()
  const open = () => Effect.runPromise(openShard({ log: fake.service, shard, epochAtLeast: 1 }))
  const owners = [new Owner(fake, clock, await open())]
  fake.fates = [...fates]
  let sent = 0
  for (const next of acts) {
    // The eldest goes on as if nothing had happened: it is the log that has to refuse it.
    const current = owners[owners.length - 1]
    if (next.act === "send") {
      for (const owner of owners) for (let one = 0; one < next.count; one++) owner.send(`${sent++}`)
    } else if (next.act === "wait") clock.advance(next.ms)
    else if (next.act === "release") fake.release()
    else if (next.act === "checkpoint") current?.checkpoint()
    else if (next.act === "stale") fake.emptyReads = 1
    else if (owners.length < 3) {
      const held = fake.fates
      fake.fates = []
      owners.push(new Owner(fake, clock, await open()))
      fake.fates = held
    }
    if (next.turn) await letRun()
  }
  fake.fates = []
  fake.emptyReads = 0
  for (let more = 0; more < 200 && owners.some((owner) => !owner.idle); more++) {
    fake.release()
    await letRun()
    clock.advance(2_000)
  }
  agree(fake, owners)
}

const agree = (fake: FakeLog, owners: ReadonlyArray<Owner>): void => {
  const records = fake.shard(shard).map(({ bytes }) => Result.getOrThrow(decodeRecord(bytes)))
  records.forEach((record, index) => {
    assert.strictEqual(record.number, index + 1)
    if (index > 0) assert.strictEqual(record.previous, records[index - 1]?.hash)
    assert.isAtLeast(record.epoch, records[index - 1]?.epoch ?? 0, "SINGLE-WRITER")
  })
  const logged = records.flatMap(({ entries }) => entries)
  assert.deepStrictEqual(
    logged.map(({ seq }) => seq),
    logged.map((_, index) => index + 1),
    "ONE-ORDER"
  )
  const inLog = new Set(logged.map(({ cid }) => cid))
  for (const owner of owners) {
    assert.isTrue(owner.idle, "everybody was told")
    assert.deepStrictEqual(
      owner.committed,
      logged.slice(0, owner.committed.length).map(({ cid }) => cid)
    )
    for (const cid of owner.failed) assert.isFalse(inLog.has(cid), `${cid} was told "failed"`)
    assert.strictEqual(new Set(owner.unknown).size, owner.unknown.length)
  }
}
