/** What a sync says of events that the store has, while it lacks the edits and deletes that came after them. */
import { assert, describe, it } from "@effect/vitest"
import { fromWire } from "@parley/protocol/WireText"
import { ChannelStore } from "@parley/storage/ChannelStore"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import * as MemoryStores from "@parley/storage/memory/MemoryStores"
import type { StoredEvent } from "@parley/storage/MessageStore"
import { Effect, Layer } from "effect"
import { editBody, messageBody, plainBody } from "../../src/channel/EventBody.ts"
import { loadedTailEvents } from "../../src/owner/ChannelLoader.ts"
import type { ChannelMutation, ChannelRequest, SyncResult } from "../../src/owner/OwnerProtocol.ts"
import { ask, oneShardRunner, shard } from "./OneShard.ts"

const channel = "group:old"
const members = ["ann", "ben"]
/** Enough that a tail which is filled up once more does not reach the first. */
const messages = loadedTailEvents * 2 + 20

let ids = 0
const cidAt = (time: number): string => {
  const hex = time.toString(16).padStart(12, "0")
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${String(ids++).padStart(12, "0")}`
}

const createdAt = Date.now() - 3_600_000
const eventOf = (seq: number, kind: string): StoredEvent => {
  const at = createdAt + seq * 1_000
  const n = Math.max(0, seq - 1)
  return { channel, generation: 1, seq, kind, at, by: "ann", cid: cidAt(at), bodyHash: "h", n, target: 0, body: "" }
}

/** Created, then messages; the third event edits the second, and its text is in the store. */
const stored = (): ReadonlyArray<StoredEvent> => {
  const created = eventOf(1, "created")
  const edit = { ...eventOf(3, "edit"), target: 2, n: 1 }
  const events = [
    { ...created, body: plainBody({ seq: 1, at: created.at, by: "ann", kind: "created", members }) },
    { ...edit, body: editBody(edit, 2, "secret, edited", [], false) }
  ]
  for (let seq = 2; seq <= messages; seq++) {
    if (seq === 3) continue
    const message = { ...eventOf(seq, "message"), n: seq === 2 ? 1 : seq - 2 }
    events.push({ ...message, body: messageBody(message, seq === 2 ? "secret" : `text ${seq}`, [], 0, 0) })
  }
  return events.toSorted((a, b) => a.seq - b.seq)
}

const world = Effect.gen(function* () {
  const channels = yield* ChannelStore
  const events = stored()
  yield* channels.write({
    events,
    named: [],
    taken: [],
    members: members.map((user) => ({ channel, user, role: "member", from: 1, to: null, seq: 1 })),
    rows: [
      {
        channel,
        generation: 1,
        seq: messages,
        n: messages - 2,
        name: "old",
        topic: "",
        fanout: "write",
        createdAt,
        members: members.length,
        idBound: 0
      }
    ]
  })
  const runner = yield* oneShardRunner()
  yield* runner.open(shard, 1)
  const request = <A>(request: ChannelRequest) => ask<A>(runner, request)
  const mutate = (mutation: ChannelMutation) =>
    request({
      _tag: "Mutate",
      caller: { user: "ann", device: "d", connection: 1, edge: "e" },
      mutation,
      admin: false
    })
  /** By seq, what a device gets that holds nothing yet, in pages of so many. */
  const synced = (eventsMax: number) =>
    Effect.gen(function* () {
      const found = new Map<number, Record<string, unknown>>()
      for (let seq = 1; ;) {
        const items = [{ channel, held: { generation: 1, seq }, cursor: { generation: 0, seq: 0 } }]
        const [answer] = yield* request<ReadonlyArray<SyncResult>>({
          _tag: "Sync",
          user: "ben",
          items,
          eventsMax,
          bytesMax: 262_144
        })
        if (answer?._tag !== "Sync") return assert.fail(JSON.stringify(answer))
        const { events, to } = JSON.parse(fromWire(answer.sync))
        for (const event of events) found.set(event.seq, event)
        if (to >= answer.head) return found
        seq = to
      }
    })
  return { mutate, synced }
})

const layer = Layer.mergeAll(MemoryEventLog.layer(), MemoryStores.layer)

describe("†16 a sync from below the tail, while the store lacks what came since", () => {
  for (const eventsMax of [10, 200]) {
    it.live(`has no text of what was deleted, nor of its edits, and edits as they are: pages of ${eventsMax}`, () =>
      Effect.gen(function* () {
        const { mutate, synced } = yield* world
        yield* mutate({ op: "delete", channel, cid: cidAt(Date.now()), target: 2 })
        yield* mutate({ op: "edit", channel, cid: cidAt(Date.now()), target: 5, text: "later", mentions: [] })
        const found = yield* synced(eventsMax)
        assert.strictEqual(found.size, messages + 1)
        assert.deepInclude(found.get(2), { text: "", deleted: messages + 1 })
        assert.strictEqual(found.get(3)?.["text"], "")
        assert.deepInclude(found.get(5), { text: "later", edited: messages + 2 })
        assert.notInclude(JSON.stringify([...found.values()]), "secret")
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }
})
