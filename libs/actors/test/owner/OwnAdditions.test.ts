/** Who was just added, and asks before the owner knows that the event is in the log. */
import { assert, describe, it } from "@effect/vitest"
import { type Append, EventLog } from "@parley/storage/EventLog"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import * as MemoryStores from "@parley/storage/memory/MemoryStores"
import { Effect, Layer } from "effect"
import type { Attached, ChannelMutation, ChannelRequest, OwnerReply } from "../../src/owner/OwnerProtocol.ts"
import { channelTopic } from "../../src/owner/OwnerProtocol.ts"
import type { Runner } from "../../src/owner/Runner.ts"
import { oneShardRunner, shard } from "./OneShard.ts"

const caller = { user: "ann", device: "d", connection: 1, edge: "e" }
const channel = "group:a"
let ids = 0
const cid = () => {
  const time = Date.now().toString(16).padStart(12, "0")
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${String(ids++).padStart(12, "0")}`
}

/** Answers to appends that are held back; the records are in the log. */
const held: Array<() => void> = []
let holds = false
const lateLog = Layer.effect(
  EventLog,
  Effect.map(EventLog, (log) =>
    EventLog.of({
      ...log,
      append: (append: Append) =>
        log.append({
          ...append,
          settle: (outcome) => {
            if (holds) held.push(() => append.settle(outcome))
            else append.settle(outcome)
          }
        })
    })
  )
).pipe(Layer.provide(MemoryEventLog.layer()))

const layers = Layer.mergeAll(lateLog, MemoryStores.layer)

const request = (runner: Runner, asked: ChannelRequest, reply: (reply: OwnerReply<unknown>) => void) =>
  runner.request(shard, runner.epochOf(shard), asked, reply, () => assert.fail("not mine"))

const mutate = (runner: Runner, mutation: ChannelMutation) =>
  Effect.callback<void>((resume) =>
    request(runner, { _tag: "Mutate", caller, mutation, admin: false }, (reply) =>
      resume("ok" in reply ? Effect.void : Effect.die(reply.failure))
    )
  )

/** A channel to which ben is being added: the record is in the log, its owner has not heard so. */
const adding = Effect.gen(function* () {
  holds = false
  held.length = 0
  const runner = yield* oneShardRunner()
  yield* runner.open(shard, 1)
  yield* mutate(runner, { op: "create", channel, cid: cid(), name: "a", topic: "", members: [] })
  holds = true
  const done = yield* Effect.forkChild(mutate(runner, { op: "add_members", channel, cid: cid(), members: ["ben"] }))
  while (held.length === 0) yield* Effect.sleep(1)
  const settle = Effect.gen(function* () {
    holds = false
    for (const answer of held.splice(0)) answer()
    yield* Effect.yieldNow
  })
  return { done, runner, settle }
})

const attachFor = (runner: Runner, user: string, answers: Array<ReadonlyArray<string>>) =>
  runner.attach(
    runner.epochOf(shard),
    { shard, edge: "e", topics: [{ topic: channelTopic(channel), users: [user] }] },
    (reply: OwnerReply<Attached>) => {
      if ("ok" in reply) answers.push(...reply.ok.topics.map(({ denied }) => denied))
    },
    () => assert.fail("not mine")
  )

const sync = (user: string): ChannelRequest => ({
  _tag: "Sync",
  user,
  items: [{ channel, held: null, cursor: { generation: 0, seq: 0 } }],
  eventsMax: 100,
  bytesMax: 100_000
})

describe("who is being added to a channel", () => {
  it.live("is let in once the owner knows of it, not turned away before", () =>
    Effect.gen(function* () {
      const { runner, settle } = yield* adding
      const denied: Array<ReadonlyArray<string>> = []
      attachFor(runner, "ben", denied)
      const synced: Array<unknown> = []
      request(runner, sync("ben"), (reply) => synced.push(reply))
      assert.deepStrictEqual([denied, synced], [[], []])
      yield* settle
      assert.deepStrictEqual(denied, [[]])
      // as: the answer of a sync
      const [answer] = synced as ReadonlyArray<{
        readonly ok: ReadonlyArray<{ readonly _tag: string; readonly head: number }>
      }>
      assert.include(answer?.ok[0], { _tag: "Sync", head: 2 })
    }).pipe(Effect.scoped, Effect.provide(layers))
  )

  it.live("is told that it can't be said now where that takes too long, and not no", () =>
    Effect.gen(function* () {
      const { runner, settle } = yield* adding
      const answers: Array<ReadonlyArray<unknown>> = []
      runner.attach(
        runner.epochOf(shard),
        { shard, edge: "e", topics: [{ topic: channelTopic(channel), users: ["ben"] }] },
        (reply: OwnerReply<Attached>) => answers.push("ok" in reply ? reply.ok.topics : [reply]),
        () => assert.fail("not mine")
      )
      const synced: Array<unknown> = []
      request(runner, sync("ben"), (reply) => synced.push(reply))
      while (answers.length === 0 || synced.length === 0) yield* Effect.sleep(5)
      assert.deepStrictEqual(answers, [[]])
      assert.deepStrictEqual(synced, [{ ok: [{ _tag: "Failed", channel, failure: { code: "unavailable" } }] }])
      yield* settle
    }).pipe(Effect.scoped, Effect.provide(layers))
  )

  it.live("does not make others wait, who are in or not", () =>
    Effect.gen(function* () {
      const { runner, settle } = yield* adding
      const denied: Array<ReadonlyArray<string>> = []
      attachFor(runner, "ann", denied)
      assert.deepStrictEqual(denied, [[]])
      attachFor(runner, "cleo", denied)
      while (denied.length < 2) yield* Effect.sleep(1)
      assert.deepStrictEqual(denied, [[], ["cleo"]])
      yield* settle
    }).pipe(Effect.scoped, Effect.provide(layers))
  )
})
