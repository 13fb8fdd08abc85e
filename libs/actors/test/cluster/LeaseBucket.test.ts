/** The lease bucket on real NATS: what is refused, who wins, and what a directory reads. */
import { assert, describe, it } from "@effect/vitest"
import { jetstreamManager } from "@nats-io/jetstream"
import { Context, Effect, Exit, Fiber, Layer } from "effect"
import { ClusterLeases } from "@parley/actors/cluster/ClusterLeases"
import { conflict, openLeaseBucket } from "@parley/actors/cluster/LeaseBucket"
import { LeaseView } from "@parley/actors/cluster/LeaseView"
import { leaseTimings } from "@parley/actors/cluster/LeaseTimings"
import { watchLeases } from "@parley/actors/cluster/LeaseWatch"
import { takeMachineId } from "@parley/actors/cluster/MachineIds"
import { layerNatsOwnerDirectory } from "@parley/actors/cluster/NatsOwnerDirectory"
import { OwnerDirectory, type ShardOwnership } from "@parley/actors/cluster/OwnerDirectory"
import { connected, connectedThrough, proxied, temporaryBucket, until } from "./RealNats.ts"

interface Over {
  readonly replicas?: number
  readonly shardCount?: number
  readonly joins?: boolean
}
const opened = (bucket: string, over: Over = {}) =>
  Effect.flatMap(connected(), (connection) =>
    openLeaseBucket(connection, { bucket, replicas: 3, shardCount: 8, requestMsMax: 2_000, ...over })
  )

describe("the lease bucket", () => {
  it.live("†2 a node configured for another number of shards is told so, and which", () =>
    Effect.gen(function* () {
      const name = yield* temporaryBucket
      yield* Effect.all([opened(name), opened(name), opened(name)], { concurrency: "unbounded" })
      const error = yield* Effect.flip(opened(name, { shardCount: 16 }))
      assert.strictEqual(error._tag, "LeaseBucketUnfit")
      assert.include(error.message, "the cluster has 8 shards and this node is configured for 16")
      yield* opened(name)
    }).pipe(Effect.scoped)
  )

  it.live("†2 who only joins makes nothing and waits for who does; he is held to the same number of shards", () =>
    Effect.gen(function* () {
      const name = yield* temporaryBucket
      const joining = yield* Effect.forkChild(opened(name, { joins: true }))
      const manager = yield* Effect.flatMap(connected(), (connection) =>
        Effect.promise(() => jetstreamManager(connection))
      )
      const there = Effect.tryPromise(() => manager.streams.info(`KV_${name}`))
      for (let times = 0; times < 5; times++) assert.isTrue(Exit.isFailure(yield* Effect.exit(there)))
      yield* opened(name)
      const bucket = yield* Fiber.join(joining)
      assert.include((yield* Effect.promise(() => bucket.read("settings")))?.text, "8")
      const error = yield* Effect.flip(opened(name, { joins: true, shardCount: 16 }))
      assert.include(error.message, "the cluster has 8 shards and this node is configured for 16")
    }).pipe(Effect.scoped)
  )

  it.live("a bucket with fewer copies than wanted is refused, and how to mend it is said", () =>
    Effect.gen(function* () {
      const name = yield* temporaryBucket
      yield* opened(name, { replicas: 1 })
      const error = yield* Effect.flip(opened(name))
      assert.strictEqual(error._tag, "LeaseBucketUnfit")
      assert.include(error.message, `nats stream edit KV_${name} --replicas 3`)
    }).pipe(Effect.scoped)
  )

  it.live("it lies on disk, replicated, and is read from its leader", () =>
    Effect.gen(function* () {
      const name = yield* temporaryBucket
      yield* opened(name)
      const connection = yield* connected()
      const { config } = yield* Effect.promise(async () =>
        (await jetstreamManager(connection)).streams.info(`KV_${name}`)
      )
      assert.deepInclude(config, { storage: "file", num_replicas: 3, allow_direct: false, max_msgs_per_subject: 1 })
    }).pipe(Effect.scoped)
  )

  it.live("of many that race for one entry, one has it", () =>
    Effect.gen(function* () {
      const name = yield* temporaryBucket
      const buckets = yield* Effect.all([opened(name), opened(name), opened(name)], { concurrency: "unbounded" })
      for (let shard = 1; shard <= 20; shard++) {
        const answers = yield* Effect.forEach(
          buckets,
          (bucket, i) => Effect.promise(() => bucket.swap(`shard.${shard}`, { runner: `r${i}`, epoch: 1 }, 0)),
          { concurrency: "unbounded" }
        )
        const winners = answers.flatMap((answer, i) => (typeof answer === "number" ? [i] : []))
        assert.strictEqual(winners.length, 1)
        const [bucket] = buckets
        const entry = yield* Effect.promise(async () => bucket?.read(`shard.${shard}`))
        assert.deepInclude(JSON.parse(entry?.text ?? "{}"), { runner: `r${winners[0]}` })
        const stale = yield* Effect.promise(async () => bucket?.swap(`shard.${shard}`, { runner: "", epoch: 1 }, 0))
        assert.strictEqual(stale, conflict)
      }
    }).pipe(Effect.scoped)
  )

  it.live("of runners that race for machine ids, each has its own; one that left gives it back", () =>
    Effect.gen(function* () {
      const name = yield* temporaryBucket
      const bucket = yield* opened(name)
      const runners = ["a", "b", "c", "d", "e"]
      for (const runner of runners) {
        yield* Effect.promise(() => bucket.put(`runner.${runner}`, { state: "active", weight: 1, beat: 1 }))
      }
      const view = new LeaseView()
      yield* watchLeases(bucket, view, leaseTimings)
      yield* until("all runners are seen", () => view.caughtUp && view.runners.size === runners.length)
      const take = (runner: string) => Effect.map(takeMachineId(bucket, view, runner), ({ id }) => id)
      const ids = yield* Effect.forEach(runners, take, { concurrency: "unbounded" })
      assert.strictEqual(new Set(ids).size, runners.length)
      yield* Effect.promise(() => bucket.put("runner.c", { state: "gone", weight: 1, beat: 2 }))
      yield* until("it is seen to go", () => view.runners.get("c")?.state === "gone" && view.machines.size >= 5)
      const given = ids[2]
      yield* until("its id is seen", () => view.machines.get(given ?? -1) === "c")
      assert.include(yield* Effect.forEach(["f", "g", "h"], take), given)
    }).pipe(Effect.scoped)
  )
})

describe("the owner directory on NATS", () => {
  it.live("knows owners as they come, and tells of changes", () =>
    Effect.gen(function* () {
      const name = yield* temporaryBucket
      const writer = yield* opened(name)
      const write = (shard: number, runner: string, epoch: number) =>
        Effect.promise(() => writer.put(`shard.${shard}`, { runner, epoch }))
      yield* write(1, "a", 4)
      const context = yield* Layer.build(
        Layer.provideMerge(
          layerNatsOwnerDirectory,
          ClusterLeases.layer({ connection: yield* connected(), bucket: name, replicas: 3, shardCount: 8 })
        )
      )
      const directory = Context.get(context, OwnerDirectory)
      const told: Array<readonly [number, ShardOwnership | undefined]> = []
      directory.onChange((shard, owner) => void told.push([shard, owner]))
      yield* until("it knows the owner", () => directory.ownerOf(1) !== undefined)
      assert.deepStrictEqual(directory.ownerOf(1), { runner: "a", epoch: 4 })
      assert.isUndefined(directory.ownerOf(2))
      yield* write(1, "b", 5)
      yield* until("it knows the next", () => directory.ownerOf(1)?.runner === "b")
      yield* write(1, "", 5)
      yield* until("nobody has it", () => directory.ownerOf(1) === undefined)
      assert.deepStrictEqual(told.slice(-2), [
        [1, { runner: "b", epoch: 5 }],
        [1, undefined]
      ])
    }).pipe(Effect.scoped)
  )

  it.live("looks at the bucket itself when it is asked to, ahead of the watch", () =>
    Effect.gen(function* () {
      const name = yield* temporaryBucket
      const bucket = yield* opened(name)
      const nothing = Effect.void
      const unwatched = ClusterLeases.of({
        bucket,
        view: new LeaseView(),
        timings: leaseTimings,
        shardCount: 8,
        cordon: () => nothing,
        uncordon: () => nothing,
        move: () => nothing,
        forgetMove: () => nothing
      })
      const context = yield* Layer.build(
        layerNatsOwnerDirectory.pipe(Layer.provide(Layer.succeed(ClusterLeases, unwatched)))
      )
      const directory = Context.get(context, OwnerDirectory)
      yield* Effect.promise(() => bucket.put("shard.3", { runner: "c", epoch: 1 }))
      for (let times = 0; times < 100; times++) directory.refresh(3)
      yield* until("it has looked", () => directory.ownerOf(3)?.runner === "c")
    }).pipe(Effect.scoped)
  )

  it.live("goes on after its connection was cut", () =>
    Effect.gen(function* () {
      const name = yield* temporaryBucket
      const writer = yield* opened(name)
      const proxy = yield* proxied
      const connection = yield* connectedThrough(proxy)
      const context = yield* Layer.build(
        Layer.provideMerge(
          layerNatsOwnerDirectory,
          ClusterLeases.layer({ connection, bucket: name, replicas: 3, shardCount: 8 })
        )
      )
      const directory = Context.get(context, OwnerDirectory)
      yield* Effect.promise(() => writer.put("shard.1", { runner: "a", epoch: 1 }))
      yield* until("it knows the owner", () => directory.ownerOf(1)?.runner === "a")
      proxy.cut()
      yield* Effect.promise(() => writer.put("shard.1", { runner: "b", epoch: 2 }))
      assert.strictEqual(directory.ownerOf(1)?.runner, "a")
      proxy.heal()
      yield* until("it knows the next", () => directory.ownerOf(1)?.runner === "b")
    }).pipe(Effect.scoped)
  )
})
