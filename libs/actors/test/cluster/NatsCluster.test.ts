/** Whole runners over real NATS: shards open in the log by their leases, entities are called where they are. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect } from "effect"
import { leaseTimings } from "@parley/actors/cluster/LeaseTimings"
import { addressOf } from "@parley/actors/cluster/NatsRunnerStorage"
import { shardEntities } from "@parley/actors/cluster/ShardEntities"
import { OwnerDirectory } from "@parley/actors/cluster/OwnerDirectory"
import { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type { OwnerReply, OwnerRequest } from "@parley/actors/owner/OwnerProtocol"
import { connectedThrough, proxied, stallsFromNow, until } from "./RealNats.ts"
import { allServed, cluster, shardCount, type TestNode } from "./TestNode.ts"

const entities = shardEntities(shardCount)

let serial = 0
const newId = () => {
  const time = Date.now().toString(16).padStart(12, "0")
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${(++serial).toString(16).padStart(12, "0")}`
}

const caller = (user: string) => ({ user, device: "d1", connection: 0, edge: "test" })

const create = (channel: string): OwnerRequest => ({
  _tag: "Mutate",
  admin: false,
  caller: caller("ana"),
  mutation: { op: "create", channel, cid: newId(), name: channel, topic: "", members: ["ana"] }
})

const send = (channel: string, text: string): OwnerRequest => ({
  _tag: "Mutate",
  admin: false,
  caller: caller("ana"),
  mutation: { op: "send", channel, cid: newId(), text, mentions: [] }
})

/** A channel of each shard. */
const channelOf = (calls: OwnerCalls["Service"], shard: number): string => {
  for (let i = 0; ; i++) if (calls.shardOf(`group:c${i}`) === shard) return `group:c${i}`
}

const ask = (calls: OwnerCalls["Service"], channel: string, request: OwnerRequest) =>
  Effect.callback<OwnerReply<unknown>>((resume) => {
    calls.request(calls.shardOf(channel), request, (reply) => resume(Effect.succeed(reply)))
  })

const shards = Array.from({ length: shardCount }, (_, i) => i + 1)

/** Sends to every shard, one after the other is acked, and notes the longest time between two acks of a shard. */
const sendingToAll = (calls: OwnerCalls["Service"]) =>
  Effect.gen(function* () {
    const pauses = new Map<number, number>()
    const lastAck = new Map<number, number>()
    yield* Effect.forEach(
      shards,
      (shard) =>
        Effect.gen(function* () {
          const channel = channelOf(calls, shard)
          assert.property(yield* ask(calls, channel, create(channel)), "ok")
          lastAck.set(shard, performance.now())
          const one = Effect.gen(function* () {
            assert.property(yield* ask(calls, channel, send(channel, "hello")), "ok")
            const now = performance.now()
            pauses.set(shard, Math.max(pauses.get(shard) ?? 0, now - (lastAck.get(shard) ?? now)))
            lastAck.set(shard, now)
            yield* Effect.sleep(10)
          })
          yield* Effect.forkScoped(Effect.forever(one))
        }),
      { discard: true }
    )
    return { pauses, lastAck }
  })

const evenly = (nodes: ReadonlyArray<TestNode>) => {
  const counts = nodes.map(({ runner }) => runner.shards.length)
  return allServed(nodes) && Math.max(...counts) - Math.min(...counts) <= 1
}

describe("a cluster over NATS", () => {
  it.live("an entity is called on the node that has its shard, from any node, also after it has moved", () =>
    Effect.gen(function* () {
      const { shared, start } = yield* cluster
      const calls = Context.get(shared, OwnerCalls)
      const [a, b] = yield* Effect.all([start(), start()], { concurrency: "unbounded" })
      assert(a !== undefined && b !== undefined)
      yield* until("all shards are served, evenly", () => evenly([a, b]))
      const shard = b.runner.shards[0] ?? 0
      const channel = channelOf(calls, shard)
      assert.property(yield* ask(calls, channel, create(channel)), "ok")
      const inspect = (node: TestNode) =>
        Effect.gen(function* () {
          const client = yield* entities.channel.client
          return yield* client(channel).Inspect({ payloads: false })
        }).pipe(Effect.provideContext(node.context))
      const active = Effect.all([a.sharding.activeEntityCount, b.sharding.activeEntityCount])
      // Effect hears of who has a shard a little later than the shard's runner.
      let counts: ReadonlyArray<number> = []
      for (let tries = 0; tries < 100 && String(counts) !== "0,1"; tries++) {
        assert.strictEqual((yield* inspect(a))["id"], channel)
        counts = yield* active
        yield* Effect.sleep(50)
      }
      assert.deepStrictEqual(counts, [0, 1])
      yield* b.stop
      yield* until("the other node has all", () => a.runner.shards.length === shardCount)
      assert.strictEqual((yield* inspect(a))["id"], channel)
      assert.strictEqual(yield* a.sharding.activeEntityCount, 1)
    }).pipe(Effect.scoped)
  )

  it.live("a process without the runner role calls entities too, once every shard has an owner", () =>
    Effect.gen(function* () {
      const { client, shared, start } = yield* cluster
      const calls = Context.get(shared, OwnerCalls)
      const node = yield* start()
      const context = yield* client
      for (const shard of shards) {
        assert.strictEqual(Context.get(context, OwnerDirectory).ownerOf(shard)?.runner, node.name)
      }
      yield* until("all shards are served", () => allServed([node]))
      const channel = channelOf(calls, 3)
      assert.property(yield* ask(calls, channel, create(channel)), "ok")
      const entity = yield* entities.channel.client.pipe(Effect.provideContext(context))
      assert.strictEqual((yield* entity(channel).Inspect({ payloads: false }))["id"], channel)
    }).pipe(Effect.scoped)
  )

  it.live("a runner that isn't there is known at once", () =>
    Effect.gen(function* () {
      const { start } = yield* cluster
      const { name, runners } = yield* start()
      yield* runners.ping(addressOf(name))
      const before = performance.now()
      const error = yield* Effect.flip(runners.ping(addressOf("nobody")))
      assert.strictEqual(error._tag, "RunnerUnavailable")
      assert.isBelow(performance.now() - before, 1_000)
    }).pipe(Effect.scoped)
  )

  it.live("after kill -9 every shard acks again within five seconds, under a higher epoch", () =>
    Effect.gen(function* () {
      const { shared, start } = yield* cluster
      const calls = Context.get(shared, OwnerCalls)
      const [dead, ...living] = yield* Effect.all([start(), start(), start()], { concurrency: "unbounded" })
      assert(dead !== undefined)
      yield* until("all shards are served, evenly", () => evenly([dead, ...living]))
      const { lastAck } = yield* sendingToAll(calls)
      const epochs = new Map(dead.runner.shards.map((shard) => [shard, dead.runner.epochOf(shard)]))
      const stall = yield* stallsFromNow
      const diedAt = performance.now()
      yield* dead.kill
      yield* until("the others serve all", () => allServed(living))
      const servedAt = performance.now()
      yield* until("every shard acks", () => shards.every((shard) => (lastAck.get(shard) ?? 0) > servedAt))
      const tookMs = performance.now() - diedAt
      yield* Effect.logInfo(`every shard acks ${Math.round(tookMs)} ms after the kill`)
      assert.isAtMost(tookMs, 5_000 + stall())
      for (const [shard, epoch] of epochs) {
        const owner = living.find(({ runner }) => runner.epochOf(shard) > 0)
        assert.isAbove(owner?.runner.epochOf(shard) ?? 0, epoch)
        assert.deepStrictEqual(owner?.directory.ownerOf(shard), {
          runner: owner?.name,
          epoch: owner?.runner.epochOf(shard)
        })
      }
    }).pipe(Effect.scoped)
  )

  it.live("when a node is drained no shard is away for more than 250 ms, and those of other nodes not at all", () =>
    Effect.gen(function* () {
      const { shared, start } = yield* cluster
      const calls = Context.get(shared, OwnerCalls)
      const [leaving, ...staying] = yield* Effect.all([start(), start(), start()], { concurrency: "unbounded" })
      assert(leaving !== undefined)
      yield* until("all shards are served, evenly", () => evenly([leaving, ...staying]))
      const { lastAck, pauses } = yield* sendingToAll(calls)
      const epochs = staying.map(({ runner }) => new Map(runner.shards.map((shard) => [shard, runner.epochOf(shard)])))
      pauses.clear()
      yield* leaving.stop
      yield* until("the others serve all", () => allServed(staying))
      const servedAt = performance.now()
      yield* until("every shard acks", () => shards.every((shard) => (lastAck.get(shard) ?? 0) > servedAt))
      const longest = (moved: boolean) =>
        Math.max(
          ...[...pauses].flatMap(([shard, ms]) => (epochs.some((kept) => kept.has(shard)) === moved ? [] : [ms]))
        )
      yield* Effect.logInfo(
        `longest time between two acks: ${Math.round(longest(true))} ms of a shard that moved, ${Math.round(longest(false))} ms of one that stayed`
      )
      // What this machine is slow at anyway shows in those that stayed.
      assert.isAtMost(longest(true) - longest(false), 250)
      staying.forEach(({ runner }, i) => {
        for (const [shard, epoch] of epochs[i] ?? []) assert.strictEqual(runner.epochOf(shard), epoch)
      })
    }).pipe(Effect.scoped)
  )

  it.live(
    "†17 †22 a node cut off from NATS answers not mine after its deadline; if it wrote all the same, the log refuses it",
    () =>
      Effect.gen(function* () {
        const { shared, start } = yield* cluster
        const calls = Context.get(shared, OwnerCalls)
        const proxy = yield* proxied
        const paused = yield* start(yield* connectedThrough(proxy))
        const other = yield* start()
        yield* until("all shards are served, evenly", () => evenly([paused, other]))
        const shard = paused.runner.shards[0] ?? 0
        const epoch = paused.runner.epochOf(shard)
        const channel = channelOf(calls, shard)
        assert.property(yield* ask(calls, channel, create(channel)), "ok")
        const askPaused = (text: string) =>
          Effect.callback<OwnerReply<unknown> | "not mine">((resume) => {
            paused.runner.request(
              shard,
              epoch,
              send(channel, text),
              (reply) => resume(Effect.succeed(reply)),
              () => resume(Effect.succeed("not mine"))
            )
          })
        const stall = yield* stallsFromNow
        const cutAt = performance.now()
        proxy.freeze()
        while ((yield* askPaused("before the deadline")) !== "not mine") yield* Effect.sleep(20)
        assert.isAtMost(performance.now() - cutAt, leaseTimings.leaseMs + 100 + stall())
        yield* until("the other serves the shard", () => other.runner.epochOf(shard) > epoch)
        // As if it had looked at its lease just before it was over, and wrote only now.
        paused.runner.setLease(shard, Infinity)
        const refused = yield* askPaused("after the takeover")
        assert.isFalse(refused !== "not mine" && "ok" in refused)
        assert.property(yield* ask(calls, channel, send(channel, "at the new owner")), "ok")
        proxy.heal()
        yield* until("both have their part again", () => evenly([paused, other]))
        assert.property(yield* ask(calls, channel, send(channel, "after all")), "ok")
      }).pipe(Effect.scoped)
  )

  it.live(
    "a runner that the log put out of a shard serves it again under a new epoch, if the lease is still its own",
    () =>
      Effect.gen(function* () {
        const { shared, start } = yield* cluster
        const calls = Context.get(shared, OwnerCalls)
        const [node, stray] = yield* Effect.all([start(), start()], { concurrency: "unbounded" })
        assert(node !== undefined && stray !== undefined)
        yield* until("all shards are served, evenly", () => evenly([node, stray]))
        const shard = node.runner.shards[0] ?? 0
        const epoch = node.runner.epochOf(shard)
        const channel = channelOf(calls, shard)
        assert.property(yield* ask(calls, channel, create(channel)), "ok")
        // Somebody without a lease opens it in the log.
        yield* stray.runner.open(shard, 1)
        stray.runner.drop(shard)
        const request = send(channel, "still here")
        // Told to try again, with the same id, a client does.
        while (!("ok" in (yield* ask(calls, channel, request)))) yield* Effect.sleep(10)
        assert.isAbove(node.runner.epochOf(shard), epoch + 1)
        yield* until(
          "the directory says so",
          () => stray.directory.ownerOf(shard)?.epoch === node.runner.epochOf(shard)
        )
        assert.strictEqual(stray.directory.ownerOf(shard)?.runner, node.name)
      }).pipe(Effect.scoped)
  )

  it.live("machine ids are unique", () =>
    Effect.gen(function* () {
      const { start } = yield* cluster
      const nodes = yield* Effect.all([start(), start(), start()], { concurrency: "unbounded" })
      const ids = yield* Effect.forEach(nodes, ({ machineId }) => machineId, { concurrency: "unbounded" })
      assert.strictEqual(new Set(ids).size, 3)
      const again = yield* Effect.forEach(nodes, ({ machineId }) => machineId)
      assert.deepStrictEqual(again, ids)
    }).pipe(Effect.scoped)
  )
})
