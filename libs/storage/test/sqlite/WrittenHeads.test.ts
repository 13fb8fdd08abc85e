/** Heads that the writer remembers change nothing of what it writes. */
import * as fc from "fast-check"
import { describe, expect, it } from "@effect/vitest"
import type { ChannelRow } from "../../src/Directory.ts"
import type { StoredEvent } from "../../src/MessageStore.ts"
import { packStep } from "../../src/sqlite/SqliteChannelStore.ts"
import { packEvents } from "../../src/sqlite/EventColumns.ts"
import { writerCalls } from "../../src/sqlite/StoreCalls.ts"
import { openForWriting } from "../../src/sqlite/StoreFile.ts"
import { WrittenHeads } from "../../src/sqlite/WrittenHeads.ts"
import { History } from "../History.ts"

type Act =
  /** A step of the persister: so many events, `messages` of them at least plain ones; repeated from `back` places before. */
  | { readonly do: "step"; readonly channel: number; readonly kinds: ReadonlyArray<number>; readonly back: number }
  | { readonly do: "row" | "move"; readonly channel: number; readonly ahead: number }
  | { readonly do: "events" | "generation" | "fail"; readonly channel: number }

const channel = fc.nat(2)
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("step" as const),
      channel,
      // Most are plain messages.
      kinds: fc.array(fc.nat(19), { minLength: 1, maxLength: 3 }),
      back: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(5) })
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom("row" as const, "move" as const),
      channel,
      ahead: fc.integer({ min: -3, max: 3 })
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom("events" as const, "generation" as const, "fail" as const), channel })
  }
)

const rowOf = (channel: string, generation: number, seq: number, n: number): ChannelRow => ({
  channel,
  generation,
  seq,
  n,
  name: `n${seq}`,
  topic: "",
  fanout: "write",
  createdAt: 1,
  members: 1,
  idBound: 2e12 + seq
})

class Writer {
  readonly #db
  readonly #calls

  constructor(headsMax: number) {
    const db = openForWriting(":memory:")
    if ("_tag" in db) throw new Error(JSON.stringify(db))
    this.#db = db
    this.#calls = writerCalls(db, new WrittenHeads(headsMax))
  }

  step(events: ReadonlyArray<StoredEvent>, rows: ReadonlyArray<ChannelRow>): void {
    this.#calls.writeStep(packStep({ events, named: [], taken: [], members: [], rows }))
  }

  perform(act: Act, events: ReadonlyArray<StoredEvent>, row: ChannelRow): void {
    if (act.do === "step") this.step(events, [])
    else if (act.do === "row") this.#calls.writeChannels([row])
    else if (act.do === "move") this.#calls.moveChannels([row])
    else if (act.do === "events") this.#calls.writeEvents(packEvents(events))
    // A time that is no integer: the whole step is undone, after its messages were written.
    else if (act.do === "fail") {
      expect(() => this.step(events, [{ ...row, channel: "test:refused", createdAt: 0.5 }])).toThrow("REAL")
    }
  }

  get rows(): ReadonlyArray<unknown> {
    const tables = ["channels", "messages", "texts", "channel_events", "message_ids", "block_counts", "block_senders"]
    return tables.map((table) => this.#db.prepare(`SELECT * FROM ${table}`).all())
  }

  close(): void {
    this.#db.close()
  }
}

describe("heads that the writer remembers", () => {
  it("leave all rows as they are without them", () => {
    fc.assert(
      fc.property(fc.array(act, { minLength: 10, maxLength: 60 }), (acts) => {
        const writers = [0, 1, 100].map((max) => new Writer(max))
        const channels = [0, 1, 2].map((at) => ({
          history: new History(`test:${at}`),
          sent: new Array<StoredEvent>(),
          seq: 0,
          generation: 1
        }))
        for (const writer of writers) {
          for (const { history } of channels)
            writer.perform({ do: "row", channel: 0, ahead: 0 }, [], rowOf(history.channel, 1, 0, 0))
        }
        const next = (it: (typeof channels)[number], kind: number): StoredEvent => {
          const { generation, history } = it
          const seq = ++it.seq
          const target = Math.max(1, seq - 2)
          if (kind === 7) return history.edit(seq, target, "edited", { generation })
          if (kind === 8) return history.delete(seq, target, { generation })
          if (kind === 9) return history.added(seq, { generation })
          return history.message(seq, "said", { generation })
        }
        for (const act of acts) {
          const it = channels[act.channel]!
          if (act.do === "generation") {
            // The next one begins below what was written, or where it was.
            it.generation++
            it.seq = Math.max(0, it.seq - 2)
            it.sent = []
            continue
          }
          const kinds = act.do === "step" ? act.kinds : [0, 0]
          const repeated = act.do === "step" && act.back > 0 ? it.sent.slice(-act.back) : []
          const fresh = act.do === "row" || act.do === "move" ? [] : kinds.map((kind) => next(it, kind))
          const ahead = act.do === "row" || act.do === "move" ? act.ahead : 0
          const row = rowOf(it.history.channel, it.generation, Math.max(1, it.seq + ahead), it.sent.at(-1)?.n ?? 0)
          for (const writer of writers) writer.perform(act, [...repeated, ...fresh], row)
          if (act.do !== "fail") it.sent.push(...fresh)
          else it.seq -= fresh.length
        }
        const [without, ...others] = writers.map(({ rows }) => rows)
        for (const writer of writers) writer.close()
        for (const other of others) expect(other).toEqual(without)
      }),
      { numRuns: 300 }
    )
  }, 120_000)
})
