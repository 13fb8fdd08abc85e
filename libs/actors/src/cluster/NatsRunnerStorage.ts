/**
 * Effect's runner storage over the lease bucket. Effect follows: who holds a shard is decided by the keepers of leases
 * (`LeaseKeeper`, `Placement`), and Effect's sharding hears of it as if its ring had said so. A runner is listed once as
 * itself, without shards, and once for each shard that it holds, as the only one that has the shard's group.
 *
 * All of it is answered from what the watch has brought: nothing here waits for NATS, so a slow bucket never makes
 * Effect give shards up. Its own way of losing locks would release all of them at the first second of silence.
 */
import { Effect, Layer } from "effect"
import { MachineId, Runner, RunnerAddress, RunnerStorage, type ShardId } from "effect/cluster"
import { PersistenceError } from "effect/cluster/ClusterError"
import { ClusterLeases } from "./ClusterLeases.ts"
import type { LeaseKeeper } from "./LeaseKeeper.ts"
import type { LeaseTimings } from "./LeaseTimings.ts"
import type { LeaseView } from "./LeaseView.ts"
import { RunnerLeases } from "./RunnerLeases.ts"
import { shardGroup, shardNumber } from "./ShardEntities.ts"

/** An address is a name that no other start of any process has; the port says nothing. */
export const addressOf = (name: string): RunnerAddress.RunnerAddress => RunnerAddress.make(name, 0)

/** Effect takes runners of one address and weight for the same. Weights below 0.1 count as 0.1 in its rings. */
const weightOf = (shard: number) => shard / 2 ** 20

type Listing = readonly [runner: Runner.Runner, healthy: boolean]

/** Lists runners and what they hold; what is unchanged is the same object again. */
const makeListing = (view: LeaseView, timings: LeaseTimings, self: string | undefined) => {
  const listed = new Map<string, Map<number, Listing>>()
  const listing = (name: string, shard: number): Listing => {
    const ofRunner = listed.get(name) ?? new Map<number, Listing>()
    listed.set(name, ofRunner)
    const known = ofRunner.get(shard)
    if (known !== undefined) return known
    const address = addressOf(name)
    const made: Listing =
      shard === 0
        ? [Runner.make({ address, groups: [], weight: 1 }), true]
        : [Runner.make({ address, groups: [shardGroup(shard)], weight: weightOf(shard) }), true]
    ofRunner.set(shard, made)
    return made
  }

  return (): Array<Listing> => {
    const now = performance.now()
    // Whether to call it, not whether to take its shards: calls that fail are tried again.
    const alive = (name: string) => {
      if (name === self) return true
      const seen = view.runners.get(name)
      return seen !== undefined && seen.state !== "gone" && now - seen.seenAt <= timings.leaseMs + timings.beatMs
    }
    const names = new Set(view.runners.keys())
    if (self !== undefined) names.add(self)
    for (const name of listed.keys()) if (!names.has(name)) listed.delete(name)
    const all = [...names].filter(alive).map((name) => listing(name, 0))
    for (const [shard, { runner }] of view.shards) if (runner !== "" && alive(runner)) all.push(listing(runner, shard))
    return all
  }
}

const storageOf = (
  list: () => Array<Listing>,
  keeper: LeaseKeeper | undefined,
  register: RunnerStorage.RunnerStorage["Service"]["register"]
) => {
  const held = (shardIds: Iterable<ShardId.ShardId>) =>
    Effect.sync(() => {
      const all = new Set(keeper?.held)
      return [...shardIds].filter((shardId) => all.has(shardNumber(shardId.group)))
    })
  return RunnerStorage.RunnerStorage.of({
    getRunners: Effect.sync(list),
    register,
    unregister: () => Effect.sync(() => void keeper?.drain()),
    setRunnerHealth: () => Effect.void,
    acquire: (_address, shardIds) => held(shardIds),
    refresh: (_address, shardIds) => held(shardIds),
    release: () => Effect.void,
    releaseAll: () => (keeper === undefined ? Effect.void : Effect.promise(() => keeper.drain()))
  })
}

export const layerNatsRunnerStorage = Layer.effect(
  RunnerStorage.RunnerStorage,
  Effect.gen(function* () {
    const { timings, view } = yield* ClusterLeases
    const { keeper, machineId } = yield* RunnerLeases
    return storageOf(makeListing(view, timings, keeper.name), keeper, () =>
      Effect.map(machineId, MachineId.make).pipe(Effect.mapError((cause) => new PersistenceError({ cause })))
    )
  })
)

/** For a process that calls entities and runs none. */
export const layerNatsRunnerStorageOfClient = Layer.effect(
  RunnerStorage.RunnerStorage,
  Effect.gen(function* () {
    const { timings, view } = yield* ClusterLeases
    return storageOf(makeListing(view, timings, undefined), undefined, () =>
      Effect.die(new Error("a process without the runner role registers no runner"))
    )
  })
)
