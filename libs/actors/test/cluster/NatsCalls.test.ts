import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { attachPartBytesMax, attachPartsInFlightMax } from "@parley/actors/cluster/AttachParts"
import { OwnerMap } from "@parley/actors/cluster/OwnerMap"
import { subjectsOf } from "@parley/actors/cluster/Subjects"
import type { OwnerReply } from "@parley/actors/owner/OwnerProtocol"
import { collectYoung, oldSince } from "../../../storage/test/OldObjects.ts"
import {
  ask,
  channelIn,
  connectionOver,
  FakeRunner,
  inspectOf,
  newPrefix,
  owns,
  shardCount,
  testProcess,
  until,
  wayToNats
} from "./Nats.ts"

const ok = (value: unknown) => ({ ok: value })

describe("calls over NATS", () => {
  it.live("are answered by the owner in another process, each with its own answer", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const edge = yield* testProcess(prefix)
      const node = yield* testProcess(prefix, { server: 1 })
      const runner = new FakeRunner("runner")
      runner.answer = (request, reply) =>
        reply(request._tag === "InspectChannel" ? ok({ channel: request.channel }) : { failure: { code: "internal" } })
      yield* owns(3, { process: node, runner }, 7, [edge])
      const channels = Array.from({ length: 50 }, () => channelIn(3))
      const replies = yield* Effect.forEach(channels, (channel) => ask(edge, 3, inspectOf(channel)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(
        replies,
        channels.map((channel) => ok({ channel }))
      )
      assert.strictEqual(edge.bus.calls.inFlight, 0)
      assert.strictEqual(node.bus.owners.workedOn, 0)
    }).pipe(Effect.scoped)
  )

  it.live("leave nothing of what was asked among V8's old objects", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const edge = yield* testProcess(prefix)
      const node = yield* testProcess(prefix)
      const runner = new FakeRunner("runner")
      yield* owns(3, { process: node, runner }, 7, [edge])
      const asks = 1_000
      const carriedBytes = 16_000
      const old = oldSince()
      yield* Effect.forEach(
        Array.from({ length: asks }, (_, n) => n),
        (n) => {
          const carrying = { carried: Array.from({ length: carriedBytes / 8 }, (_, i) => i + n * 0.5) }
          if (n % 10 === 0) collectYoung()
          return ask(edge, 3, { ...inspectOf(channelIn(3)), ...carrying })
        },
        { concurrency: 4, discard: true }
      )
      // All of it, where a call has what was asked until it is collected.
      assert.isBelow(old(), (asks * carriedBytes) / 2)
    }).pipe(Effect.scoped)
  )

  it.live("of one turn of the event loop are one message there and one back, over all shards of a runner", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const edge = yield* testProcess(prefix)
      const node = yield* testProcess(prefix)
      const runner = new FakeRunner("runner")
      for (let shard = 1; shard <= shardCount; shard++) yield* owns(shard, { process: node, runner }, shard, [edge])
      yield* ask(edge, 1, inspectOf(channelIn(1)))
      const asked = edge.bus.outbound.calls.messages
      const answered = node.bus.outbound.calls.messages
      yield* Effect.all(
        Array.from({ length: 160 }, (_, i) =>
          ask(edge, (i % shardCount) + 1, inspectOf(channelIn((i % shardCount) + 1)))
        ),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(edge.bus.outbound.calls.messages - asked, 1)
      assert.strictEqual(node.bus.outbound.calls.messages - answered, 1)
    }).pipe(Effect.scoped)
  )

  it.live("within the owner's own process send no message, and are checked alike", () =>
    Effect.gen(function* () {
      const node = yield* testProcess(newPrefix())
      const runner = new FakeRunner("runner")
      yield* owns(3, { process: node, runner }, 7, [node])
      const before = node.bus.outbound.calls.messages
      assert.deepStrictEqual(yield* ask(node, 3, inspectOf(channelIn(3))), ok({}))
      // Taken again under another epoch, of which nobody was told.
      runner.epochs.set(3, 8)
      assert.deepStrictEqual(yield* ask(node, 3, inspectOf(channelIn(3))), ok({}))
      assert.isAtMost(node.bus.outbound.calls.messages - before, 1)
      assert.strictEqual(runner.asked.length, 2)
    }).pipe(Effect.scoped)
  )

  it.live("†17 that name another epoch than the owner's are refused, and repeated under the one that it says", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const node = yield* testProcess(prefix)
      const runner = new FakeRunner("runner")
      yield* owns(3, { process: node, runner }, 9, [])
      // It comes later than the announcement, and knows the lease's epoch; the log's was higher, so the owner went above it.
      const edge = yield* testProcess(prefix)
      edge.directory.set(3, { runner: runner.name, epoch: 5 })
      assert.deepStrictEqual(yield* ask(edge, 3, inspectOf(channelIn(3))), ok({}))
      assert.strictEqual(edge.bus.calls.owners.routeOf(3)?.epoch, 9)
      assert.strictEqual(edge.bus.calls.counts.refused, 1)
    }).pipe(Effect.scoped)
  )

  it.live("of any process are told who begins to serve a shard, until they want to hear no more", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const [node, edge] = [yield* testProcess(prefix), yield* testProcess(prefix, { server: 1 })]
      const heard: Array<string> = []
      const hearing = Object.entries({ node, edge }).map(([name, { calls }]) =>
        calls.onServed((shard, epoch) => heard.push(`${name} ${shard} ${epoch}`))
      )
      const runner = new FakeRunner("runner")
      yield* owns(3, { process: node, runner }, 7, [])
      yield* owns(4, { process: node, runner }, 9, [])
      yield* until("both have heard of both", () => heard.length === 4)
      assert.deepStrictEqual(heard.toSorted(), ["edge 3 7", "edge 4 9", "node 3 7", "node 4 9"])
      for (const stop of hearing) stop()
      yield* owns(5, { process: node, runner }, 7, [edge])
      yield* ask(edge, 5, inspectOf(channelIn(5)))
      assert.strictEqual(heard.length, 4)
    }).pipe(Effect.scoped)
  )

  it.live("that a runner says are not its own go to the one that the directory names next", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const edge = yield* testProcess(prefix)
      const [one, two] = [yield* testProcess(prefix, { server: 1 }), yield* testProcess(prefix, { server: 2 })]
      const [first, second] = [new FakeRunner("first"), new FakeRunner("second")]
      yield* owns(3, { process: one, runner: first }, 7, [edge])
      yield* ask(edge, 3, inspectOf(channelIn(3)))
      // The first one has lost it without a word, and still has another shard, so that it is there to be asked.
      yield* owns(4, { process: one, runner: first }, 7, [edge])
      first.epochs.delete(3)
      const asking = yield* ask(edge, 3, inspectOf(channelIn(3))).pipe(Effect.forkChild)
      yield* until("somebody has looked", () => edge.directory.refreshed.includes(3))
      yield* owns(3, { process: two, runner: second }, 8, [edge])
      assert.deepStrictEqual(yield* Fiber.join(asking), ok({}))
      assert.strictEqual(first.asked.length, 1)
      assert.strictEqual(second.asked.length, 1)
    }).pipe(Effect.scoped)
  )

  it.live("wait in order while nobody has the shard, and go out when a runner announces it", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const edge = yield* testProcess(prefix)
      const node = yield* testProcess(prefix)
      const runner = new FakeRunner("runner")
      const channels = Array.from({ length: 20 }, () => channelIn(3))
      const asking = yield* Effect.forEach(channels, (channel) => ask(edge, 3, inspectOf(channel)), {
        concurrency: "unbounded"
      }).pipe(Effect.forkChild)
      yield* until("they wait", () => edge.bus.calls.inFlight === channels.length)
      // The directory never says a word.
      yield* owns(3, { process: node, runner }, 7, [])
      yield* Fiber.join(asking)
      assert.deepStrictEqual(runner.asked, channels.map(inspectOf))
    }).pipe(Effect.scoped)
  )

  it.live("asked while others wait for the same owner go behind them, also in the very moment it is known", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const node = yield* testProcess(prefix)
      const runner = new FakeRunner("runner")
      yield* owns(3, { process: node, runner }, 7, [])
      // It has not heard the announcement.
      const late = yield* testProcess(prefix)
      const channels = Array.from({ length: 3 }, () => channelIn(3))
      for (const channel of channels.slice(0, 2)) late.calls.request(3, inspectOf(channel), () => {})
      late.directory.set(3, { runner: runner.name, epoch: 7 })
      const last = yield* ask(late, 3, inspectOf(channels[2] ?? ""))
      assert.deepStrictEqual(last, ok({}))
      assert.deepStrictEqual(runner.asked, channels.map(inspectOf))
    }).pipe(Effect.scoped)
  )

  it.live("find an owner whose announcement was lost, by asking whether it serves now", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const edge = yield* testProcess(prefix)
      const node = yield* testProcess(prefix)
      const runner = new FakeRunner("runner")
      // It has the lease, and is still opening the shard.
      yield* owns(4, { process: node, runner }, 1, [])
      edge.directory.set(3, { runner: runner.name, epoch: 7 })
      const asking = yield* ask(edge, 3, inspectOf(channelIn(3))).pipe(Effect.forkChild)
      yield* until("it was refused", () => edge.bus.calls.counts.refused > 0)
      const { owners } = edge.bus.calls
      const heard: Array<number> = []
      owners.announced = (runner, shard, epoch) => {
        // The first one is the announcement, the second one an answer.
        if (heard.push(epoch) > 1) OwnerMap.prototype.announced.call(owners, runner, shard, epoch)
      }
      yield* owns(3, { process: node, runner }, 7, [])
      assert.deepStrictEqual(yield* Fiber.join(asking), ok({}))
      assert.isAtLeast(heard.length, 2)
    }).pipe(Effect.scoped)
  )

  it.live("that nobody listens for are noticed at once, and answered by a later owner", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      // One try would wait for longer than the test may take.
      const edge = yield* testProcess(prefix, { tryMsMax: 60_000, retryMsMax: 60_000 })
      const node = yield* testProcess(prefix)
      const runner = new FakeRunner("runner")
      edge.directory.set(3, { runner: "killed", epoch: 6 })
      const asking = yield* ask(edge, 3, inspectOf(channelIn(3))).pipe(Effect.forkChild)
      yield* until("nobody listens, so the owner is looked up", () => edge.directory.refreshed.includes(3))
      assert.isAbove(edge.bus.calls.counts.unreachable, 0)
      yield* owns(3, { process: node, runner }, 7, [edge])
      assert.deepStrictEqual(yield* Fiber.join(asking), ok({}))
    }).pipe(Effect.scoped)
  )

  it.live("to an owner that never answers go to the one that takes the shard after it", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const edge = yield* testProcess(prefix, { tryMsMax: 60_000, retryMsMax: 60_000 })
      const [one, two] = [yield* testProcess(prefix), yield* testProcess(prefix)]
      const [paused, second] = [new FakeRunner("paused"), new FakeRunner("second")]
      paused.answer = () => {}
      yield* owns(3, { process: one, runner: paused }, 7, [edge])
      const asking = yield* ask(edge, 3, inspectOf(channelIn(3))).pipe(Effect.forkChild)
      yield* until("it was asked", () => paused.asked.length === 1)
      yield* owns(3, { process: two, runner: second }, 8, [edge])
      assert.deepStrictEqual(yield* Fiber.join(asking), ok({}))
    }).pipe(Effect.scoped)
  )

  it.live("whose message or answer was lost are repeated to the same owner, which begins each only once", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const edge = yield* testProcess(prefix, { tryMsMax: 50 })
      const node = yield* testProcess(prefix)
      const runner = new FakeRunner("runner")
      let answerLater: ((reply: OwnerReply<unknown>) => void) | undefined
      runner.answer = (_request, reply) => {
        answerLater = reply
      }
      yield* owns(3, { process: node, runner }, 7, [edge])
      const asking = yield* ask(edge, 3, inspectOf(channelIn(3))).pipe(Effect.forkChild)
      yield* until("it was repeated", () => node.bus.owners.counts.repeated >= 2)
      assert.strictEqual(runner.asked.length, 1)
      answerLater?.(ok({ at: "last" }))
      assert.deepStrictEqual(yield* Fiber.join(asking), ok({ at: "last" }))
    }).pipe(Effect.scoped)
  )

  it.live("that no owner takes end as moved, once", () =>
    Effect.gen(function* () {
      const edge = yield* testProcess(newPrefix(), { retryMsMax: 300 })
      const replies: Array<OwnerReply<unknown>> = []
      edge.calls.request(3, inspectOf(channelIn(3)), (reply) => replies.push(reply))
      yield* until("it is answered", () => replies.length > 0)
      assert.deepStrictEqual(replies, [{ failure: { code: "moved" } }])
      assert.strictEqual(edge.bus.calls.inFlight, 0)
    }).pipe(Effect.scoped)
  )

  it.live("that their owner could not finish go to the next one, for the client id makes it one effect", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const edge = yield* testProcess(prefix)
      const [one, two] = [yield* testProcess(prefix), yield* testProcess(prefix)]
      const [out, second] = [new FakeRunner("out"), new FakeRunner("second")]
      out.answer = (_request, reply) => reply({ failure: { code: "moved" } })
      yield* owns(3, { process: one, runner: out }, 7, [edge])
      const asking = yield* ask(edge, 3, inspectOf(channelIn(3))).pipe(Effect.forkChild)
      yield* until("it was asked", () => out.asked.length > 0)
      out.epochs.delete(3)
      yield* owns(3, { process: two, runner: second }, 8, [edge])
      assert.deepStrictEqual(yield* Fiber.join(asking), ok({}))
    }).pipe(Effect.scoped)
  )

  it.live("that name an entity of another shard are refused before anybody works on them", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const edge = yield* testProcess(prefix)
      const node = yield* testProcess(prefix)
      const runner = new FakeRunner("runner")
      yield* owns(3, { process: node, runner }, 7, [edge])
      const reply = yield* ask(edge, 3, inspectOf(channelIn(4)))
      assert.strictEqual("failure" in reply ? reply.failure.code : "ok", "unavailable")
      assert.strictEqual(runner.asked.length, 0)
      assert.strictEqual(node.bus.owners.counts.misrouted, 1)
    }).pipe(Effect.scoped)
  )

  it.live("beyond what a process may have in flight are refused at once", () =>
    Effect.gen(function* () {
      const edge = yield* testProcess(newPrefix(), { callsInFlightMax: 8 })
      const replies: Array<OwnerReply<unknown>> = []
      for (let i = 0; i < 10; i++) edge.calls.request(3, inspectOf(channelIn(3)), (reply) => replies.push(reply))
      assert.deepStrictEqual(replies, [{ failure: { code: "overloaded" } }, { failure: { code: "overloaded" } }])
      assert.strictEqual(edge.bus.calls.inFlight, 8)
    }).pipe(Effect.scoped)
  )

  it.live("beyond what a runner may work on are refused, and it takes more when it has answered", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const edge = yield* testProcess(prefix)
      const node = yield* testProcess(prefix, { callsWorkedOnMax: 2 })
      const runner = new FakeRunner("runner")
      const waiting: Array<(reply: OwnerReply<unknown>) => void> = []
      runner.answer = (_request, reply) => void waiting.push(reply)
      yield* owns(3, { process: node, runner }, 7, [edge])
      const replies: Array<OwnerReply<unknown>> = []
      for (let i = 0; i < 3; i++) edge.calls.request(3, inspectOf(channelIn(3)), (reply) => replies.push(reply))
      yield* until("one is refused", () => replies.length === 1)
      assert.deepStrictEqual(replies, [{ failure: { code: "overloaded" } }])
      for (const reply of waiting) reply(ok({}))
      yield* until("the others are answered", () => replies.length === 3)
      runner.answer = (_request, reply) => reply(ok({}))
      assert.deepStrictEqual(yield* ask(edge, 3, inspectOf(channelIn(3))), ok({}))
    }).pipe(Effect.scoped)
  )

  it.live("and answers larger than a message of the bus go in fragments", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const edge = yield* testProcess(prefix)
      const node = yield* testProcess(prefix)
      const runner = new FakeRunner("runner")
      const text = "m".repeat(3_000_000)
      runner.answer = (request, reply) =>
        reply(ok(request._tag === "Mutate" ? { seq: 1, n: 1, at: 1, generation: 0 } : text))
      yield* owns(3, { process: node, runner }, 7, [edge])
      const channel = channelIn(3)
      const caller = { user: "ana", device: "d1", connection: 1, edge: "e1" }
      const sent = yield* ask(edge, 3, {
        _tag: "Mutate",
        caller,
        mutation: { op: "send", channel, cid: "one", text, mentions: [] },
        admin: false
      })
      assert.deepStrictEqual(sent, ok({ seq: 1, n: 1, at: 1, generation: 0 }))
      const [asked] = runner.asked
      assert.strictEqual(asked?._tag === "Mutate" && asked.mutation.op === "send" && asked.mutation.text === text, true)
      const page = yield* ask(edge, 3, {
        _tag: "History",
        user: "ana",
        admin: false,
        channel,
        before: null,
        after: null,
        around: null,
        limit: 50
      })
      assert.deepStrictEqual(page, ok(text))
    }).pipe(Effect.scoped)
  )
})

describe("messages that nobody here can read", () => {
  it.live("garbage and those of a version to come, are counted and do no harm", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const edge = yield* testProcess(prefix)
      const node = yield* testProcess(prefix)
      const runner = new FakeRunner("runner")
      yield* owns(3, { process: node, runner }, 7, [edge])
      yield* ask(edge, 3, inspectOf(channelIn(3)))
      edge.links.subscribe("e1", () => {})
      const subjects = subjectsOf(prefix)
      const inbox = subjects.answers(edge.bus.process, edge.bus.process, runner.name)
      const said = [subjects.run(runner.name), inbox, subjects.edge("e1"), subjects.hint, subjects.owned]
      const garbage = [[], [1], [9, 1, 0], [1, 1, 255, 255, 255, 255], [1, 2, 1, 0, 0, 0, 9], [1, 6, 7], [1, 3, 255]]
      for (const subject of said) {
        for (const bytes of garbage) {
          edge.connections.calls.publish(subject, Uint8Array.from(bytes))
          edge.connections.calls.publish(subject, Uint8Array.from(bytes), { reply: inbox })
        }
      }
      yield* until("it came", () => node.bus.owners.counts.otherVersion >= 2 && edge.bus.calls.counts.unreadable >= 8)
      assert.deepStrictEqual(yield* ask(edge, 3, inspectOf(channelIn(3))), ok({}))
      assert.strictEqual(runner.asked.length, 2)
    }).pipe(Effect.scoped)
  )
})

describe("calls over a connection that is lost", () => {
  it.live("are repeated as soon as it is there again", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const way = yield* wayToNats()
      const calls = yield* connectionOver(way)
      const edge = yield* testProcess(prefix, { calls, tryMsMax: 60_000, retryMsMax: 60_000 })
      const node = yield* testProcess(prefix)
      const runner = new FakeRunner("runner")
      runner.answer = () => {}
      yield* owns(3, { process: node, runner }, 7, [edge])
      const asking = yield* ask(edge, 3, inspectOf(channelIn(3))).pipe(Effect.forkChild)
      yield* until("it was asked", () => runner.asked.length === 1)
      way.cut()
      yield* until("the loss is noticed", () => !edge.bus.outbound.calls.connected)
      // Asked while there is no connection, which nothing keeps.
      const later = yield* ask(edge, 3, inspectOf(channelIn(3))).pipe(Effect.forkChild)
      yield* until("nothing was taken", () => edge.bus.outbound.calls.refused > 0)
      runner.answer = (_request, reply) => reply(ok({}))
      // What it was asked first, it has forgotten.
      node.bus.owners.forget()
      node.bus.owners.forget()
      way.mend()
      assert.deepStrictEqual(yield* Fiber.join(asking), ok({}))
      assert.deepStrictEqual(yield* Fiber.join(later), ok({}))
    }).pipe(Effect.scoped)
  )
})

describe("attaches over NATS", () => {
  it.live("of very many users go in parts, a few at a time, and are answered as one", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const edge = yield* testProcess(prefix)
      const node = yield* testProcess(prefix)
      const runner = new FakeRunner("runner")
      runner.answerAttach = ({ shard, topics }, epoch) => ({
        ok: {
          shard,
          epoch,
          interestVersion: runner.attached.length,
          topics: topics.map(({ topic, users }) => ({
            topic,
            head: runner.attached.length,
            generation: 0,
            denied: users.filter((user) => user.endsWith("777"))
          }))
        }
      })
      yield* owns(3, { process: node, runner }, 7, [edge])
      const users = Array.from({ length: 20_000 }, (_, i) => `a-user-with-a-name-of-some-length-${i}`)
      const topics = [
        { topic: `c/${channelIn(3)}`, users },
        { topic: `c/${channelIn(3)}`, users: ["ana"] }
      ]
      const reply = yield* Effect.callback<OwnerReply<unknown>>((resume) =>
        edge.calls.attach({ shard: 3, edge: "e1", topics }, (reply) => resume(Effect.succeed(reply)))
      )
      const parts = runner.attached.length
      assert.isAbove(parts, attachPartsInFlightMax)
      for (const { topics } of runner.attached) {
        assert.isAtMost(JSON.stringify(topics).length, attachPartBytesMax * 2)
      }
      assert.deepStrictEqual(
        runner.attached.flatMap(({ topics }) => topics.flatMap(({ users }) => users)),
        [...users, "ana"]
      )
      assert.deepStrictEqual(
        reply,
        ok({
          shard: 3,
          epoch: 7,
          interestVersion: parts,
          topics: [
            {
              topic: topics[0]?.topic,
              head: parts,
              generation: 0,
              denied: users.filter((user) => user.endsWith("777"))
            },
            { topic: topics[1]?.topic, head: parts, generation: 0, denied: [] }
          ]
        })
      )
    }).pipe(Effect.scoped)
  )

  it.live("detaches and requests for link messages reach the owner", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const edge = yield* testProcess(prefix)
      const node = yield* testProcess(prefix)
      const runner = new FakeRunner("runner")
      yield* owns(3, { process: node, runner }, 7, [edge])
      const detach = { shard: 3, edge: "e1", topics: ["c/group:1"] }
      edge.calls.detach(detach)
      edge.calls.resend(runner.name, 5, "e1", 12)
      yield* until("they came", () => runner.detached.length + runner.resent.length === 2)
      assert.deepStrictEqual(runner.detached, [detach])
      assert.deepStrictEqual(runner.resent, [[5, "e1", 12]])
    }).pipe(Effect.scoped)
  )
})
