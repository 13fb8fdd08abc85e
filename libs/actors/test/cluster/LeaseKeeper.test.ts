/** Shard leases over real NATS: who holds what when runners come, go, die, are cut off and come back. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { ClusterLeases } from "@parley/actors/cluster/ClusterLeases"
import { openLeaseBucket } from "@parley/actors/cluster/LeaseBucket"
import { releasesMax } from "@parley/actors/cluster/LeaseKeeper"
import { leaseTimings } from "@parley/actors/cluster/LeaseTimings"
import { connected, connectedThrough, proxied, stallsFromNow, temporaryBucket, until } from "./RealNats.ts"
import { testKeeper, type TestKeeper } from "./TestKeeper.ts"

const shardCount = 32

const runners = (count: number, bucket: string) =>
  Effect.forEach(
    Array.from({ length: count }),
    () => Effect.flatMap(connected(), (connection) => testKeeper({ connection, bucket, shardCount })),
    { concurrency: "unbounded" }
  )

const servedBy = (keepers: ReadonlyArray<TestKeeper>) => keepers.flatMap((keeper) => keeper.served())

const allServedOnce = (keepers: ReadonlyArray<TestKeeper>) => {
  const served = servedBy(keepers)
  return served.length === shardCount && new Set(served).size === shardCount
}

const balanced = (keepers: ReadonlyArray<TestKeeper>) => {
  const counts = keepers.map(({ open }) => open.size)
  return allServedOnce(keepers) && Math.max(...counts) - Math.min(...counts) <= 1
}

const operatorOf = (bucket: string) =>
  Effect.gen(function* () {
    const connection = yield* connected()
    const context = yield* Layer.build(ClusterLeases.layer({ connection, bucket, replicas: 3, shardCount }))
    return Context.get(context, ClusterLeases)
  })

/** Writes one entry after the other, and knows how long the slowest took: what this machine is slow at anyway. */
const writing = (bucket: string) =>
  Effect.gen(function* () {
    const connection = yield* connected()
    const entries = yield* openLeaseBucket(connection, { bucket, replicas: 3, shardCount, requestMsMax: 2_000 })
    let slowest = 0
    const one = Effect.promise(async () => {
      const before = performance.now()
      await entries.put("probe.1", {})
      slowest = Math.max(slowest, performance.now() - before)
    })
    yield* Effect.forkScoped(Effect.forever(one))
    return () => slowest
  })

describe("shard leases", () => {
  it.live("three runners that start together own all shards exactly once, evenly", () =>
    Effect.gen(function* () {
      const keepers = yield* runners(3, yield* temporaryBucket)
      yield* until("all shards are served, evenly", () => balanced(keepers))
    }).pipe(Effect.scoped)
  )

  it.live("a runner that dies loses its shards, and only its own move, within the bound and under higher epochs", () =>
    Effect.gen(function* () {
      const keepers = yield* runners(3, yield* temporaryBucket)
      yield* until("all shards are served, evenly", () => balanced(keepers))
      const [dead, ...living] = keepers
      assert(dead !== undefined)
      const lostEpochs = new Map(dead.open)
      const kept = living.map(({ open }) => new Map(open))
      const stall = yield* stallsFromNow
      const diedAt = performance.now()
      dead.keeper.stop()
      dead.open.clear()
      yield* until("the others serve all", () => allServedOnce(living))
      const tookMs = performance.now() - diedAt
      assert.isAtMost(tookMs, 5_000 + stall())
      yield* Effect.logInfo(`taken over after ${Math.round(tookMs)} ms`)
      for (const [shard, epoch] of lostEpochs) {
        const now = living.map(({ open }) => open.get(shard)).find((found) => found !== undefined) ?? 0
        assert.isAbove(now, epoch)
      }
      kept.forEach((before, i) => {
        for (const [shard, epoch] of before) assert.strictEqual(living[i]?.open.get(shard), epoch)
      })
    }).pipe(Effect.scoped)
  )

  it.live("a runner that drains hands each shard over at once, and nothing else moves", () =>
    Effect.gen(function* () {
      const bucket = yield* temporaryBucket
      const keepers = yield* runners(3, bucket)
      yield* until("all shards are served, evenly", () => balanced(keepers))
      const slowestWrite = yield* writing(bucket)
      const [leaving, ...staying] = keepers
      assert(leaving !== undefined)
      const kept = staying.map(({ open }) => new Map(open))
      const away = new Map<number, number>()
      let longest = 0
      const sampling = setInterval(() => {
        const served = new Set(servedBy(keepers))
        const now = performance.now()
        for (let shard = 1; shard <= shardCount; shard++) {
          if (!served.has(shard)) away.set(shard, away.get(shard) ?? now)
          else if (away.has(shard)) {
            longest = Math.max(longest, now - (away.get(shard) ?? now))
            away.delete(shard)
          }
        }
      }, 1)
      yield* Effect.promise(() => leaving.keeper.leave())
      yield* until("the others serve all", () => allServedOnce(staying))
      clearInterval(sampling)
      yield* Effect.logInfo(
        `longest pause ${Math.round(longest)} ms, slowest write of the bucket ${Math.round(slowestWrite())} ms`
      )
      // A hand-over is one write and its way to the next holder.
      assert.isAtMost(longest - slowestWrite(), 250)
      kept.forEach((before, i) => {
        for (const [shard, epoch] of before) assert.strictEqual(staying[i]?.open.get(shard), epoch)
      })
    }).pipe(Effect.scoped)
  )

  it.live(
    "what a runner was given is counted until it says that it serves it: no more than a few are away at once",
    () =>
      Effect.gen(function* () {
        const bucket = yield* temporaryBucket
        let announce: (shard: number) => void = () => {}
        const leaving = yield* testKeeper({
          connection: yield* connected(),
          bucket,
          shardCount,
          onServed: (served) => {
            announce = served
            return () => {}
          }
        })
        yield* until("the first serves all", () => allServedOnce([leaving]))
        const staying = yield* testKeeper({ connection: yield* connected(), bucket, shardCount })
        // Else it hands them over to nobody.
        yield* until("the first knows the other", () => leaving.view.runners.has(staying.name))
        const away = () => [...staying.open.keys()].filter((shard) => !announced.has(shard))
        const announced = new Set<number>()
        let most = 0
        yield* Effect.forkScoped(
          Effect.forever(
            Effect.gen(function* () {
              yield* Effect.sleep(20)
              const opened = away()
              most = Math.max(most, opened.length)
              for (const shard of opened) announced.add(shard)
              for (const shard of opened) announce(shard)
            })
          )
        )
        yield* Effect.promise(() => leaving.keeper.leave())
        yield* until("the other serves all", () => allServedOnce([staying]))
        assert.isAtMost(most, releasesMax)
      }).pipe(Effect.scoped)
  )

  it.live("a runner that never says what it serves holds nothing up for long", () =>
    Effect.gen(function* () {
      const bucket = yield* temporaryBucket
      const connection = yield* connected()
      const leaving = yield* testKeeper({ connection, bucket, shardCount, onServed: () => () => {} })
      yield* until("the first serves all", () => allServedOnce([leaving]))
      const staying = yield* testKeeper({ connection: yield* connected(), bucket, shardCount })
      yield* Effect.promise(() => leaving.keeper.leave())
      yield* until("the other serves all", () => allServedOnce([staying]))
    }).pipe(Effect.scoped)
  )

  it.live("a runner that comes gets its part, and the others give no more than that", () =>
    Effect.gen(function* () {
      const bucket = yield* temporaryBucket
      const first = yield* runners(2, bucket)
      yield* until("all shards are served, evenly", () => balanced(first))
      const before = first.map(({ open }) => new Map(open))
      const [third] = yield* runners(1, bucket)
      assert(third !== undefined)
      yield* until("all three are even", () => balanced([...first, third]))
      const moved = before.flatMap((held, i) =>
        [...held].filter(([shard, epoch]) => first[i]?.open.get(shard) !== epoch)
      )
      assert.strictEqual(moved.length, third.open.size)
    }).pipe(Effect.scoped)
  )

  it.live(
    "†17 a runner that can't reach the bucket serves nothing after its deadline, and others take over only then",
    () =>
      Effect.gen(function* () {
        const bucket = yield* temporaryBucket
        const proxy = yield* proxied
        const cutOff = yield* testKeeper({ connection: yield* connectedThrough(proxy), bucket, shardCount })
        const [other] = yield* runners(1, bucket)
        assert(other !== undefined)
        yield* until("both are even", () => balanced([cutOff, other]))
        const held = cutOff.served()
        let overlap: number | undefined
        const sampling = setInterval(() => {
          const here = new Set(cutOff.served())
          overlap ??= other.served().find((shard) => here.has(shard))
        }, 1)
        const stall = yield* stallsFromNow
        const cutAt = performance.now()
        proxy.freeze()
        yield* until("it serves nothing", () => cutOff.served().length === 0)
        assert.isAtMost(performance.now() - cutAt, leaseTimings.leaseMs + 100 + stall())
        yield* until("the other serves all", () => other.served().length === shardCount)
        clearInterval(sampling)
        assert.isUndefined(overlap)
        // It comes back to find them gone.
        proxy.heal()
        yield* until("it drops what it held", () => held.every((shard) => cutOff.dropped.has(shard)))
        yield* until("both are even again", () => balanced([cutOff, other]))
      }).pipe(Effect.scoped)
  )

  it.live("a runner that was cut off alone goes on with what it had, under the same epochs", () =>
    Effect.gen(function* () {
      const bucket = yield* temporaryBucket
      const proxy = yield* proxied
      const alone = yield* testKeeper({ connection: yield* connectedThrough(proxy), bucket, shardCount })
      yield* until("it serves all", () => alone.served().length === shardCount)
      const epochs = [...alone.open]
      proxy.cut()
      yield* until("it serves nothing", () => alone.served().length === 0)
      proxy.heal()
      yield* until("it serves all again", () => alone.served().length === shardCount)
      assert.deepStrictEqual([...alone.open], epochs)
      assert.strictEqual(alone.dropped.size, 0)
    }).pipe(Effect.scoped)
  )

  it.live("a cordoned runner keeps what it has and takes nothing", () =>
    Effect.gen(function* () {
      const bucket = yield* temporaryBucket
      const keepers = yield* runners(3, bucket)
      yield* until("all shards are served, evenly", () => balanced(keepers))
      const [cordoned, leaving, other] = keepers
      assert(cordoned !== undefined && leaving !== undefined && other !== undefined)
      const kept = [...cordoned.open]
      const operator = yield* operatorOf(bucket)
      yield* operator.cordon(cordoned.name)
      yield* until("all know", () => keepers.every(({ view }) => view.cordoned.has(cordoned.name)))
      yield* Effect.promise(() => leaving.keeper.leave())
      yield* until("all is served", () => allServedOnce([cordoned, other]))
      assert.deepStrictEqual([...cordoned.open], kept)
      yield* operator.uncordon(cordoned.name)
      yield* until("it takes its part again", () => balanced([cordoned, other]))
    }).pipe(Effect.scoped)
  )

  it.live("a shard moves to the runner that an operator names, and stays", () =>
    Effect.gen(function* () {
      const bucket = yield* temporaryBucket
      const keepers = yield* runners(2, bucket)
      yield* until("all shards are served, evenly", () => balanced(keepers))
      const [from, to] = keepers
      assert(from !== undefined && to !== undefined)
      const shard = from.served()[0] ?? 0
      const operator = yield* operatorOf(bucket)
      yield* operator.move(shard, to.name)
      yield* until("it has moved", () => to.served().includes(shard) && !from.open.has(shard))
      yield* until("all is even", () => balanced(keepers))
      assert.isTrue(to.open.has(shard))
    }).pipe(Effect.scoped)
  )
})
