import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { layerMemoryWorld, newId, until, world } from "./World.ts"

const failureCode = <A>(effect: Effect.Effect<A, { readonly failure: { readonly code: string } }>) =>
  effect.pipe(
    Effect.flip,
    Effect.map((error) => error.failure.code)
  )

describe("channels behind the edge", () => {
  it.live("ONE-ORDER: sends take dense seqs, and history shows them in order", () =>
    Effect.gen(function* () {
      const { create, history, send } = yield* world
      yield* create("ana", "group:one", ["ana", "ben"])
      const acks = yield* Effect.forEach(
        Array.from({ length: 50 }, (_, i) => i),
        (i) => send(i % 2 === 0 ? "ana" : "ben", "group:one", `m${i}`),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        acks.map((ack) => ack.seq).sort((a, b) => a - b),
        Array.from({ length: 50 }, (_, i) => i + 2)
      )
      const page = yield* history("ben", "group:one", { limit: 200 })
      assert.deepStrictEqual(
        page.events.map((event) => event.n),
        Array.from({ length: 50 }, (_, i) => i + 1)
      )
    }).pipe(Effect.provide(layerMemoryWorld))
  )

  it.live("EXACTLY-ONCE-EFFECT: the same id gets the first one's ack, another body under it is refused", () =>
    Effect.gen(function* () {
      const { create, history, send } = yield* world
      yield* create("ana", "group:one", ["ana"])
      const cid = newId()
      const [first, again] = yield* Effect.all(
        [send("ana", "group:one", "hello", cid), send("ana", "group:one", "hello", cid)],
        { concurrency: 2 }
      )
      assert.deepStrictEqual(first, again)
      assert.strictEqual(yield* failureCode(send("ana", "group:one", "other", cid)), "id_reused")
      assert.strictEqual((yield* history("ana", "group:one")).events.length, 1)
    }).pipe(Effect.provide(layerMemoryWorld))
  )

  it.live("a channel one is not in does not exist", () =>
    Effect.gen(function* () {
      const { create, history, send, sync } = yield* world
      yield* create("ana", "group:one", ["ana"])
      assert.strictEqual(yield* failureCode(send("eve", "group:one", "hi")), "not_found")
      assert.strictEqual(yield* failureCode(send("eve", "group:none", "hi")), "not_found")
      assert.strictEqual(yield* failureCode(history("eve", "group:one")), "not_found")
      assert.strictEqual((yield* sync("eve", "group:one", null))?._tag, "Lost")
    }).pipe(Effect.provide(layerMemoryWorld))
  )

  it.live("†12 being added reaches the session by the log", () =>
    Effect.gen(function* () {
      const { create, open } = yield* world
      yield* create("ana", "group:one", ["ana", "ben"])
      yield* until(
        "ben's session lists the channel",
        open("ben").pipe(Effect.map((view) => view.channels.some((c) => c.channel === "group:one")))
      )
    }).pipe(Effect.provide(layerMemoryWorld))
  )

  it.live("†12 being removed reaches the session by the log", () =>
    Effect.gen(function* () {
      const { create, mutate, open } = yield* world
      yield* create("ana", "group:one", ["ana", "ben"])
      yield* until("ben is told that he is in", open("ben").pipe(Effect.map((view) => view.channels.length === 1)))
      const { seq } = yield* mutate("ana", {
        op: "remove_members",
        channel: "group:one",
        cid: newId(),
        members: ["ben"]
      })
      yield* until(
        "ben's session has left the channel",
        open("ben").pipe(Effect.map(({ channels, left }) => channels.length === 0 && left[0]?.seq === seq))
      )
    }).pipe(Effect.provide(layerMemoryWorld))
  )

  it.live("an attached edge gets each committed event once, in order", () =>
    Effect.gen(function* () {
      const { attach, create, edge, send } = yield* world
      yield* create("ana", "group:one", ["ana", "ben"])
      const one = yield* edge("e1")
      const attached = yield* attach(one, "c/group:one", ["ana", "eve"])
      assert.deepStrictEqual(attached.topics[0]?.denied, ["eve"])
      assert.strictEqual(attached.topics[0]?.head, 1)
      yield* Effect.forEach([1, 2, 3, 4], (i) => send("ana", "group:one", `m${i}`), { concurrency: 4 })
      yield* until(
        "four events",
        Effect.sync(() => one.items.length === 4)
      )
      assert.deepStrictEqual(
        one.items.map((item) => (item._tag === "Event" ? item.to : 0)),
        [2, 3, 4, 5]
      )
    }).pipe(Effect.scoped, Effect.provide(layerMemoryWorld))
  )
})

const headOf = (synced: unknown): { unread: number; mentions: number } =>
  JSON.parse((synced as { readonly sync: string }).sync).head // a Sync result of our own encoding

describe("unread and mentions", () => {
  it.live("a mention counts until it is read, edited away or deleted, also when its message has left the tail", () =>
    Effect.gen(function* () {
      const { create, mutate, sync } = yield* world
      const channel = "group:one"
      yield* create("ana", channel, ["ana", "ben"])
      const name = (text: string) => mutate("ana", { op: "send", channel, cid: newId(), text, mentions: ["ben"] })
      const first = yield* name("one @ben")
      const second = yield* name("two @ben")
      const third = yield* name("three @ben")
      const counts = (seq: number) => sync("ben", channel, null, { generation: 0, seq }).pipe(Effect.map(headOf))
      const { mentions, unread } = yield* counts(0)
      assert.deepStrictEqual([unread, mentions], [3, 3])
      yield* mutate("ana", { op: "edit", channel, cid: newId(), target: first.seq, text: "one", mentions: [] })
      assert.deepStrictEqual([(yield* counts(0)).mentions, (yield* counts(0)).unread], [2, 3])
      yield* mutate("ana", { op: "delete", channel, cid: newId(), target: second.seq })
      assert.deepStrictEqual([(yield* counts(0)).mentions, (yield* counts(0)).unread], [1, 2])
      assert.strictEqual((yield* counts(third.seq)).mentions, 0)
    }).pipe(Effect.provide(layerMemoryWorld))
  )
})
