/** The edge's side of links as a whole: a bus that loses, repeats and reorders, then heartbeats. */
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { EdgeLinkState, linkHeldMax, resendTriesMax } from "../../src/fanout/EdgeLinkState.ts"
import { TopicSequence } from "../../src/fanout/TopicSequence.ts"
import type { LinkItem, LinkMessage } from "../../src/owner/OwnerProtocol.ts"

const message = (number: number, items: ReadonlyArray<LinkItem> = []): LinkMessage => ({
  owner: "o",
  start: 1,
  edge: "e",
  number,
  items,
  digest: null
})
const heartbeat = (number: number): LinkMessage => ({ ...message(number), digest: [] })
const tags = (state: EdgeLinkState, m: LinkMessage) => state.receive(m).map((step) => step._tag)

const event = (topic: string, seq: number): LinkItem => ({
  _tag: "Event",
  topic,
  from: seq - 1,
  to: seq,
  body: `{"seq":${seq}}`,
  kind: "message",
  originEdge: "",
  originConnection: 0,
  members: [],
  readFanout: false
})

describe("EdgeLinkState", () => {
  it("applies consecutive numbers and ignores repeated ones", () => {
    const state = new EdgeLinkState()
    expect(tags(state, message(1))).toEqual(["Apply"])
    expect(tags(state, message(1))).toEqual([])
    expect(tags(state, message(2))).toEqual(["Apply"])
  })

  it("asks once for a missing number, and applies what it held back when it comes (†9)", () => {
    const state = new EdgeLinkState()
    expect(state.receive(message(2))).toEqual([{ _tag: "Resend", from: 1 }])
    expect(state.receive(message(3))).toEqual([])
    expect(tags(state, message(1))).toEqual(["Apply", "Apply", "Apply"])
    expect(state.received).toBe(3)
  })

  it("notices a lost last message by the heartbeat's number (†9)", () => {
    const state = new EdgeLinkState()
    state.receive(message(1))
    expect(state.receive(heartbeat(2))[0]).toEqual({ _tag: "Resend", from: 2 })
  })

  it("repairs by heads when a number does not come again (†9)", () => {
    const state = new EdgeLinkState()
    state.receive(message(2))
    let repaired = false
    for (let i = 0; i < resendTriesMax; i++) repaired = tags(state, heartbeat(2)).includes("Repair")
    expect(repaired).toBe(true)
    expect(tags(state, message(3))).toEqual(["Apply"])
  })

  it("holds back a bounded number of messages", () => {
    const state = new EdgeLinkState()
    let repaired = false
    for (let number = 2; number <= linkHeldMax + 2; number++) {
      repaired ||= tags(state, message(number)).includes("Repair")
    }
    expect(repaired).toBe(true)
    expect(state.heldCount).toBe(0)
  })
})

/** One edge with one link and many topics; the owner's heads and tails are plain arrays. */
class ModelEdge {
  readonly link = new EdgeLinkState()
  readonly topics = new Map<string, TopicSequence<Extract<LinkItem, { _tag: "Event" }>>>()
  readonly seen = new Map<string, Array<number>>()
  readonly heads: ReadonlyMap<string, number>
  readonly resend: (from: number) => void

  constructor(heads: ReadonlyMap<string, number>, resend: (from: number) => void) {
    this.heads = heads
    this.resend = resend
    for (const topic of heads.keys()) {
      const sequence = new TopicSequence<Extract<LinkItem, { _tag: "Event" }>>()
      sequence.resume(0)
      this.topics.set(topic, sequence)
      this.seen.set(topic, [])
    }
  }

  receive(m: LinkMessage): void {
    for (const step of this.link.receive(m)) {
      if (step._tag === "Apply") for (const item of step.message.items) this.item(item)
      else if (step._tag === "Resend") this.resend(step.from)
      else if (step._tag === "Repair") for (const topic of this.topics.keys()) this.repair(topic)
    }
  }

  item(item: LinkItem): void {
    if (item._tag !== "Event") return
    const offered = this.topics.get(item.topic)!.offer(item)
    if (offered === "deliver") this.seen.get(item.topic)!.push(item.to)
    if (offered === "repair") this.repair(item.topic)
  }

  /** Fetches what lies between delivered and the owner's head. */
  repair(topic: string): void {
    const sequence = this.topics.get(topic)!
    const head = this.heads.get(topic)!
    for (let seq = sequence.delivered + 1; seq <= head; seq++) this.seen.get(topic)!.push(seq)
    const resumed = sequence.resume(head)
    for (const item of resumed.items) this.seen.get(topic)!.push(item.to)
    if (resumed.again) this.repair(topic)
  }
}

const fates = fc.array(fc.constantFrom("deliver", "lose", "twice", "late"), { minLength: 1, maxLength: 60 })
const writes = fc.array(fc.array(fc.constantFrom("c/a", "c/b", "u/x"), { minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 40
})

describe("a link and its topics", () => {
  it("deliver every event once and in order whatever was lost, repeated or reordered, once heartbeats came (†9)", () => {
    fc.assert(
      fc.property(writes, fates, fc.integer({ min: 0, max: 50 }), (batches, fate, ringMax) => {
        const heads = new Map([
          ["c/a", 0],
          ["c/b", 0],
          ["u/x", 0]
        ])
        const sent: Array<LinkMessage> = []
        const late: Array<LinkMessage> = []
        let turn = 0
        const publish = (m: LinkMessage) => {
          const what = fate[turn++ % fate.length]
          if (what === "lose") return
          if (what === "late") late.push(m)
          else edge.receive(m)
          if (what === "twice") edge.receive(m)
        }
        const edge: ModelEdge = new ModelEdge(heads, (from) => {
          for (const m of sent.slice(Math.max(from - 1, sent.length - ringMax))) if (turn < 2_000) publish(m)
        })
        for (const batch of batches) {
          const items = batch.map((topic) => {
            const seq = heads.get(topic)! + 1
            heads.set(topic, seq)
            return event(topic, seq)
          })
          const m = message(sent.length + 1, items)
          sent.push(m)
          publish(m)
          if (sent.length % 7 === 0) for (const waiting of late.splice(0).reverse()) edge.receive(waiting)
        }
        for (const waiting of late.splice(0).reverse()) edge.receive(waiting)
        // Each number that comes after all begins the count of tries anew.
        for (let i = 0; i < (sent.length + 1) * (resendTriesMax + 1); i++) edge.receive(heartbeat(sent.length))
        for (const [topic, head] of heads) {
          expect(edge.seen.get(topic)).toEqual(Array.from({ length: head }, (_, i) => i + 1))
        }
      }),
      { numRuns: 300 }
    )
  })
})
