/**
 * Who runs the consumers of the log, in a cluster: for the consumers themselves (`WorkedShards`), for whoever has a wish
 * to pass on to them, and for operators. A worker says each second that it lives, in the lease bucket, and no more.
 */
import { Context, Effect, Layer } from "effect"
import { type Work, WorkedShards, worksWhere } from "../fanout/WorkedShards.ts"
import { ClusterLeases } from "./ClusterLeases.ts"
import { type WorkerEntry, workerKey } from "./LeaseEntries.ts"
import { LocalRunnerService } from "./LocalLeases.ts"
import { WorkView } from "./WorkView.ts"

export class ClusterWork extends Context.Service<ClusterWork, WorkView>()("@parley/actors/ClusterWork") {
  static readonly layer = Layer.effect(
    ClusterWork,
    Effect.gen(function* () {
      const { shardCount, timings, view } = yield* ClusterLeases
      const work = new WorkView({ view, timings, shardCount })
      yield* Effect.acquireRelease(
        Effect.sync(() => setInterval(() => work.look(), timings.tickMs)),
        (timer) => Effect.sync(() => clearInterval(timer))
      )
      return work
    })
  )
}

/** Consumers work where the shard is: what they read is in memory there. */
export const layerWorkOfRunner = Layer.effect(
  WorkedShards,
  Effect.map(LocalRunnerService, ({ runner }) => worksWhere((shard) => runner.owner(shard) !== undefined))
)

/**
 * Of a runner without the worker role: its consumers rest while any worker lives. With none, what the log has would be
 * stored by nobody until the log is full, so it works on its own shards, and says so.
 */
export const layerWorkWithoutWorkers = Layer.effect(
  WorkedShards,
  Effect.gen(function* () {
    const work = yield* ClusterWork
    const { runner } = yield* LocalRunnerService
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const works = (shard: number): boolean =>
      work.seen && work.workers.length === 0 && runner.owner(shard) !== undefined
    let alone = false
    const say = () => {
      if (alone === (work.workers.length === 0)) return
      alone = !alone
      run(
        alone
          ? Effect.logWarning("no worker lives: this runner writes behind its own shards until one comes")
          : Effect.logInfo("workers write behind this runner's shards from now on")
      )
    }
    yield* Effect.acquireRelease(
      Effect.sync(() => work.onChange(say)),
      (stop) => Effect.sync(stop)
    )
    return {
      works,
      onBegun: (begun) => tellBegun(work, works, () => runner.shards, begun),
      remote: false
    } satisfies Work
  })
)

/** The process is a worker of this name, and says so until its scope closes. */
export const layerWorkOfWorker = (name: string) =>
  Layer.effect(
    WorkedShards,
    Effect.gen(function* () {
      const { bucket, shardCount, timings } = yield* ClusterLeases
      const work = yield* ClusterWork
      const run = Effect.runForkWith(yield* Effect.context<never>())
      const write = (entry: WorkerEntry) =>
        Effect.tryPromise(() => bucket.put(workerKey(name), entry)).pipe(
          Effect.catch((error) => Effect.logWarning("worker's heartbeat not answered", error)),
          Effect.asVoid
        )
      let beat = 0
      const say = () => void run(write({ state: "active", beat: ++beat }))
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          say()
          return setInterval(say, timings.beatMs)
        }),
        (timer) =>
          Effect.andThen(
            Effect.sync(() => clearInterval(timer)),
            write({ state: "gone", beat: ++beat })
          )
      )
      const works = (shard: number): boolean => work.workerOf(shard) === name
      const all = Array.from({ length: shardCount }, (_, index) => index + 1)
      return { works, onBegun: (begun) => tellBegun(work, works, () => all, begun), remote: true } satisfies Work
    })
  )

/** Those of the shards that are worked on and were not before. */
const tellBegun = (
  work: WorkView,
  works: (shard: number) => boolean,
  shards: () => ReadonlyArray<number>,
  begun: (shard: number) => void
): (() => void) => {
  let before = new Set<number>()
  const tell = () => {
    const now = new Set(shards().filter((shard) => works(shard)))
    for (const shard of now) if (!before.has(shard)) begun(shard)
    before = now
  }
  return work.onChange(tell)
}
