/** What a cold channel wakes with, by what it wakes for, and what those who look behind it ask the store. */
import { assert, describe, it } from "@effect/vitest"
import { plainBody, messageBody } from "../../src/channel/EventBody.ts"
import type { ChannelAck, ChannelRequest, SyncResult } from "../../src/owner/OwnerProtocol.ts"
import { fromWire } from "@parley/protocol/WireText"
import { ChannelStore } from "@parley/storage/ChannelStore"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import * as MemoryStores from "@parley/storage/memory/MemoryStores"
import { MessageStore, type StoredEvent } from "@parley/storage/MessageStore"
import { Effect, Layer } from "effect"
import { ask, oneShardRunner, shard } from "./OneShard.ts"

const channel = "group:quiet"
const people = ["ann", "ben", "cat"]

let ids = 0
const cidAt = (time: number): string => {
  const hex = time.toString(16).padStart(12, "0")
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${String(ids++).padStart(12, "0")}`
}

const createdAt = Date.now() - 3_600_000
const eventOf = (seq: number, kind: string, fields: Partial<StoredEvent>): StoredEvent => {
  const at = createdAt + seq * 1_000
  return {
    channel,
    generation: 1,
    seq,
    kind,
    at,
    by: "ann",
    cid: cidAt(at),
    bodyHash: "h",
    n: seq - 1,
    target: 0,
    body: "",
    ...fields
  }
}

/** Created with everybody, then messages by ann, then what `last` says. */
const stored = (messages: number, last: "message" | "added"): ReadonlyArray<StoredEvent> => {
  const created = eventOf(1, "created", {})
  const events = [
    { ...created, body: plainBody({ seq: 1, at: created.at, by: "ann", kind: "created", members: people }) }
  ]
  for (let n = 1; n <= messages; n++) {
    const message = eventOf(n + 1, "message", {})
    events.push({ ...message, body: messageBody(message, `text ${n}`, [], 0, 0) })
  }
  if (last === "message") return events
  const added = eventOf(messages + 2, "added", { n: messages })
  return [
    ...events,
    { ...added, body: plainBody({ seq: added.seq, at: added.at, by: "ann", kind: "added", members: [] }) }
  ]
}

/** A runner over stores that count what they are asked. */
const world = Effect.fnUntraced(function* (events: ReadonlyArray<StoredEvent>, rowAt = events.at(-1)!) {
  const channels = yield* ChannelStore
  const messages = yield* MessageStore
  yield* channels.write({
    events,
    named: [],
    taken: [],
    members: people.map((user) => ({ channel, user, role: "member", from: 1, to: null, seq: 1 })),
    rows: [
      {
        channel,
        generation: 1,
        seq: rowAt.seq,
        n: rowAt.n,
        name: "quiet",
        topic: "",
        fanout: "write",
        createdAt,
        members: people.length,
        idBound: 0
      }
    ]
  })
  const asked: Array<string> = []
  const runner = yield* oneShardRunner({
    channels: {
      ...channels,
      load: (load) => {
        asked.push(`load ${load.newestSeqs.join()}`)
        return channels.load(load)
      }
    },
    messages: {
      ...messages,
      events: (name, after, upTo, limit) => {
        asked.push(`events ${after}-${upTo}`)
        return messages.events(name, after, upTo, limit)
      },
      messages: (name, range) => {
        asked.push("messages")
        return messages.messages(name, range)
      },
      countUnread: (name, after, upTo, user) => {
        asked.push(`unread ${after}-${upTo}`)
        return messages.countUnread(name, after, upTo, user)
      },
      findId: (name, sender, cid) => {
        asked.push("id")
        return messages.findId(name, sender, cid)
      }
    }
  })
  yield* runner.open(shard, 1)
  const request = <A>(request: ChannelRequest) => ask<A>(runner, request)
  const send = (text: string, cid = cidAt(Date.now())) =>
    request<ChannelAck>({
      _tag: "Mutate",
      caller: { user: "ann", device: "d", connection: 1, edge: "e" },
      mutation: { op: "send", channel, cid, text, mentions: [] },
      admin: false
    })
  const sync = (user: string, seq: number) =>
    Effect.map(
      request<ReadonlyArray<SyncResult>>({
        _tag: "Sync",
        user,
        items: [{ channel, held: { generation: 1, seq }, cursor: { generation: 1, seq } }],
        eventsMax: 100,
        bytesMax: 1_000_000
      }),
      ([result]) => {
        if (result?._tag !== "Sync") throw new Error(`no sync: ${result?._tag}`)
        // as: a ChannelSync of the protocol
        const { events, head } = JSON.parse(fromWire(result.sync)) as {
          readonly events: ReadonlyArray<{ readonly seq: number }>
          readonly head: { readonly unread: number; readonly last: { readonly seq: number } | null }
        }
        return { seqs: events.map((event) => event.seq), unread: head.unread, last: head.last?.seq }
      }
    )
  return { asked, send, sync }
})

const layers = Layer.mergeAll(MemoryEventLog.layer(), MemoryStores.layer)

describe("a cold channel", () => {
  it.live("that a send wakes loads its head only, and the next seq is right (ONE-ORDER)", () =>
    Effect.gen(function* () {
      const { asked, send } = yield* world(stored(20, "message"))
      const ack = yield* send("hello")
      assert.deepInclude(ack, { seq: 22, n: 21 })
      assert.deepStrictEqual(asked, ["load 0"])
    }).pipe(Effect.provide(layers))
  )

  it.live("that a send woke still looks up an id that it may have taken before (†29, EXACTLY-ONCE-EFFECT)", () =>
    Effect.gen(function* () {
      const events = stored(20, "message")
      const { asked, send } = yield* world(events)
      const first = events[4]!
      const failed = yield* Effect.exit(send("another body", first.cid))
      // The same id with another body is refused; what matters is that the store was asked.
      assert.strictEqual(failed._tag, "Failure")
      assert.deepStrictEqual(asked, ["load 0", "id"])
    }).pipe(Effect.provide(layers))
  )

  it.live("whose row is behind its events has the event at its row all the same: not every id is looked up (†29)", () =>
    Effect.gen(function* () {
      const events = stored(20, "message")
      const { asked, send } = yield* world(events, events[18])
      assert.deepInclude(yield* send("hello"), { seq: 20, n: 19 })
      assert.deepStrictEqual(asked, ["load 0", "load 50"])
    }).pipe(Effect.provide(layers))
  )

  it.live("that a sync wakes comes with the events that most resumes ask for", () =>
    Effect.gen(function* () {
      const { asked, sync } = yield* world(stored(20, "message"))
      assert.deepStrictEqual(yield* sync("ben", 18), { seqs: [19, 20, 21], unread: 3, last: 21 })
      assert.deepStrictEqual(asked, ["load 50"])
    }).pipe(Effect.provide(layers))
  )

  it.live("that a send woke is filled up once for all who come back a few events behind (NO-GAP-SYNC)", () =>
    Effect.gen(function* () {
      const { asked, send, sync } = yield* world(stored(60, "message"))
      yield* send("hello")
      const all = yield* Effect.forEach(["ben", "cat", "ben", "cat"], (user, at) => sync(user, 57 + at), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(all, [
        { seqs: [58, 59, 60, 61, 62], unread: 5, last: 62 },
        { seqs: [59, 60, 61, 62], unread: 4, last: 62 },
        { seqs: [60, 61, 62], unread: 3, last: 62 },
        { seqs: [61, 62], unread: 2, last: 62 }
      ])
      assert.deepStrictEqual(yield* sync("ben", 40), { seqs: seqsFrom(41, 62), unread: 22, last: 62 })
      assert.deepStrictEqual(asked, ["load 0", "events 11-61"])
      assert.strictEqual((yield* sync("cat", 3)).seqs.length, 59)
      assert.deepStrictEqual(asked.slice(2), ["events 0-11"])
    }).pipe(Effect.provide(layers))
  )

  it.live("that a send woke is filled up also when many sends followed, and not for those who are far behind", () =>
    Effect.gen(function* () {
      const { asked, send, sync } = yield* world(stored(200, "message"))
      for (let sent = 0; sent < 60; sent++) yield* send("hello")
      assert.strictEqual((yield* sync("cat", 3)).unread, 258)
      assert.deepStrictEqual(asked.slice(1), ["unread 3-201", "events 3-201"])
      for (const user of ["ben", "cat", "ben"]) assert.strictEqual((yield* sync(user, 190)).unread, 71)
      assert.deepStrictEqual(asked.slice(3), ["events 151-201"])
    }).pipe(Effect.provide(layers))
  )

  it.live("that a refused send woke tells a reader its last message, asked for once (NO-GAP-SYNC)", () =>
    Effect.gen(function* () {
      const events = stored(20, "message")
      const { asked, send, sync } = yield* world(events)
      yield* Effect.exit(send("another body", events[4]!.cid))
      const all = yield* Effect.forEach(["ben", "cat"], (user) => sync(user, 21), { concurrency: "unbounded" })
      assert.deepStrictEqual(all, [
        { seqs: [], unread: 0, last: 21 },
        { seqs: [], unread: 0, last: 21 }
      ])
      assert.deepStrictEqual(asked, ["load 0", "id", "messages"])
    }).pipe(Effect.provide(layers))
  )

  it.live("whose newest event is no message comes with the last message all the same", () =>
    Effect.gen(function* () {
      const { asked, send, sync } = yield* world(stored(5, "added"))
      const ack = yield* send("hello")
      assert.deepInclude(ack, { seq: 8, n: 6 })
      assert.deepStrictEqual(yield* sync("ben", 7), { seqs: [8], unread: 1, last: 8 })
      assert.deepStrictEqual(asked, ["load 0", "load 50"])
    }).pipe(Effect.provide(layers))
  )
})

const seqsFrom = (first: number, last: number): Array<number> =>
  Array.from({ length: last - first + 1 }, (_, at) => first + at)
