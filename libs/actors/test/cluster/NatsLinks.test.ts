import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { messageKinds } from "@parley/actors/cluster/codec/Envelope"
import { outboundBytesMax } from "@parley/actors/cluster/NatsOutbound"
import { EdgeLinkState } from "@parley/actors/fanout/EdgeLinkState"
import { OwnerLinks } from "@parley/actors/fanout/OwnerLink"
import type { LinkItem, LinkMessage } from "@parley/actors/owner/OwnerProtocol"
import {
  connectionOver,
  FakeRunner,
  lossy,
  natsConnection,
  newPrefix,
  owns,
  reaches,
  type TestProcess,
  testProcess,
  until,
  wayToNats
} from "./Nats.ts"

const event = (seq: number, body = `{"seq":${seq}}`): LinkItem => ({
  _tag: "Event",
  topic: "c/group:one",
  from: seq - 1,
  to: seq,
  body,
  kind: "message",
  originEdge: "",
  originConnection: 0,
  members: [],
  readFanout: false
})

/** A runner's real links, and an edge's real state of them, in two processes. */
const linked = (prefix: string, lose: (bytes: Uint8Array) => boolean) =>
  Effect.gen(function* () {
    const edge = yield* testProcess(prefix)
    const connection = yield* natsConnection(1)
    const links = lossy(connection, (_subject, bytes) => lose(bytes))
    const node = yield* testProcess(prefix, { server: 1, links })
    const runner = new FakeRunner("runner")
    yield* owns(3, { process: node, runner }, 7, [edge])
    const owner = new OwnerLinks({ owner: runner.name, start: 5, publish: (message) => node.links.publish(message) })
    runner.onResend = (start, to, from) => (start === owner.start ? owner.resend(to, from) : undefined)
    const taken: Array<LinkItem> = []
    let repairs = 0
    const state = new EdgeLinkState()
    const receive = (message: LinkMessage) => {
      for (const step of state.receive(message)) {
        if (step._tag === "Apply") taken.push(...step.message.items)
        if (step._tag === "Resend") edge.calls.resend(message.owner, message.start, "e1", step.from)
        if (step._tag === "Repair") repairs++
      }
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => edge.links.subscribe("e1", receive)),
      (stop) => Effect.sync(stop)
    )
    yield* reaches(connection, edge.connections.links, prefix)
    /** One message with one event each. */
    const send = (from: number, to: number) => {
      for (let seq = from; seq <= to; seq++) {
        owner.push("e1", event(seq))
        owner.flush()
      }
    }
    const seqs = () => taken.map((item) => (item._tag === "Event" ? item.to : 0))
    return { edge, node, owner, repairs: () => repairs, runner, send, seqs, taken }
  })

const ascending = (to: number) => Array.from({ length: to }, (_, i) => i + 1)

describe("links over NATS", () => {
  it.live("†9 bring every event once and in order, though messages are lost, by asking the owner for them", () =>
    Effect.gen(function* () {
      let turn = 0
      let losing = true
      const { repairs, runner, send, seqs } = yield* linked(newPrefix(), () => losing && ++turn % 3 === 0)
      send(1, 100)
      losing = false
      send(101, 101)
      yield* until("all are there", () => seqs().length >= 101)
      assert.deepStrictEqual(seqs(), ascending(101))
      assert.isAbove(runner.resent.length, 0)
      assert.strictEqual(repairs(), 0)
    }).pipe(Effect.scoped)
  )

  it.live("†9 show a lost last message by the next heartbeat", () =>
    Effect.gen(function* () {
      let losing = true
      const { owner, send, seqs } = yield* linked(newPrefix(), () => losing)
      send(1, 1)
      losing = false
      owner.heartbeat("e1", [{ shard: 3, epoch: 7, interestVersion: 1 }])
      yield* until("it is there", () => seqs().length === 1)
      assert.deepStrictEqual(seqs(), [1])
    }).pipe(Effect.scoped)
  )

  it.live("carry bodies as they are, in many bytes a char or one", () =>
    Effect.gen(function* () {
      const { owner, taken } = yield* linked(newPrefix(), () => false)
      const bodies = ["plain", "\u00d0\u00bf as wire text", "\u0000\u007f\u0080\u00ff"]
      bodies.forEach((body, index) => owner.push("e1", event(index + 1, body)))
      yield* until("they are there", () => taken.length === bodies.length)
      assert.deepStrictEqual(
        taken.map((item) => (item._tag === "Event" ? item.body : "")),
        bodies
      )
    }).pipe(Effect.scoped)
  )

  it.live("cut a message above the bus's size in fragments under its one number, and repair it when one is lost", () =>
    Effect.gen(function* () {
      let fragments = 0
      const lose = (bytes: Uint8Array) => bytes[1] === messageKinds.fragment && ++fragments === 2
      const { node, owner, send, seqs, taken } = yield* linked(newPrefix(), lose)
      for (let seq = 1; seq <= 3; seq++) owner.push("e1", event(seq, "m".repeat(500_000)))
      owner.flush()
      send(4, 5)
      yield* until("all are there", () => taken.length === 5)
      assert.deepStrictEqual(seqs(), ascending(5))
      // A megabyte and a half is two fragments, once in vain and once for good.
      assert.strictEqual(fragments, 4)
      assert.isAbove(node.bus.outbound.links.messages, fragments)
    }).pipe(Effect.scoped)
  )

  it.live("to an edge of the owner's own process use no bus", () =>
    Effect.gen(function* () {
      const node = yield* testProcess(newPrefix())
      const got: Array<LinkMessage> = []
      node.links.subscribe("e1", (message) => got.push(message))
      const message = { owner: "r", start: 1, edge: "e1", number: 1, items: [event(1)], digest: null }
      node.links.publish(message)
      assert.strictEqual(got.length, 0, "nothing may rely on its being instant")
      yield* until("it is there", () => got.length === 1)
      assert.strictEqual(got[0], message)
      assert.strictEqual(node.bus.outbound.links.messages, 0)
    }).pipe(Effect.scoped)
  )

  it.live("reach an edge whose name has what means something in a subject, and no other edge", () =>
    Effect.gen(function* () {
      const prefix = newPrefix()
      const edge = yield* testProcess(prefix)
      const node = yield* testProcess(prefix)
      const got = new Map<string, number>()
      for (const name of ["host.example.org *", "host", "host.example.org >"]) {
        edge.links.subscribe(name, ({ number }) => got.set(name, number))
      }
      yield* Effect.promise(() => edge.connections.links.flush())
      publishEmpty(node, "host", 1)
      publishEmpty(node, "host.example.org *", 2)
      publishEmpty(node, "host.example.org >", 3)
      yield* until("they are there", () => got.size === 3)
      assert.deepStrictEqual(Object.fromEntries(got), { host: 1, "host.example.org *": 2, "host.example.org >": 3 })
    }).pipe(Effect.scoped)
  )

  it.live("are dropped beyond a bound when the server takes nothing, and memory does not grow", () =>
    Effect.gen(function* () {
      const way = yield* wayToNats()
      const node = yield* testProcess(newPrefix(), { links: yield* connectionOver(way) })
      way.holdUp()
      const body = "m".repeat(500_000)
      const messages = Math.ceil(outboundBytesMax / body.length) + 10
      for (let number = 1; number <= messages; number++) {
        node.links.publish({ owner: "r", start: 1, edge: "e1", number, items: [event(number, body)], digest: null })
      }
      assert.isAtMost(node.bus.outbound.links.bytes, outboundBytesMax)
      assert.isAtLeast(node.bus.links.counts.dropped, 10)
    }).pipe(Effect.scoped)
  )
})

const publishEmpty = (process: TestProcess, edge: string, number: number): void =>
  process.links.publish({ owner: "r", start: 1, edge, number, items: [], digest: null })
