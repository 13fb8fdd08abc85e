/**
 * How much each shard of a cluster has to do: every runner says it of its own every two seconds, on core NATS, and every
 * node listens. A hint and no more, gone with the process: operators see it, and shards are evened out by it.
 */
import type { NatsConnection } from "@nats-io/transport-node"
import { Context, Effect, Layer, Option, Result, Schema } from "effect"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import type { Runner } from "@parley/actors/owner/Runner"

export class ShardLoads extends Context.Service<
  ShardLoads,
  {
    /** Requests and messages to edges a second, as its holder said last; undefined: nobody has said anything lately. */
    of(shard: number): number | undefined
  }
>()("@parley/node/ShardLoads") {
  static readonly layerNats = (options: { readonly connection: NatsConnection; readonly subject: string }) =>
    Layer.effect(
      ShardLoads,
      Effect.gen(function* () {
        const { connection, subject } = options
        const loads = new LoadsHeard()
        yield* Effect.acquireRelease(
          Effect.sync(() =>
            connection.subscribe(subject, {
              callback: (error, message) => {
                if (error !== null) return
                const said = decodeText(Buffer.from(message.data).toString("utf8"))
                if (Result.isSuccess(said)) loads.heard(said.success.shards, performance.now())
              }
            })
          ),
          (subscription) => Effect.sync(() => subscription.unsubscribe())
        )
        const here = yield* Effect.serviceOption(LocalRunnerService)
        if (Option.isSome(here)) yield* announce(here.value.runner, connection, subject).pipe(Effect.forkScoped)
        return ShardLoads.of({ of: (shard) => loads.of(shard, performance.now()) })
      })
    )
}

const sayMs = 2_000
const silenceMsMax = 7_000

/** Shard and load; of all shards of a cluster 1,024 at most. */
const Word = Schema.Struct({ shards: Schema.Array(Schema.Tuple([Schema.Int, Schema.Finite])) })
const decodeText = Schema.decodeUnknownResult(Schema.fromJsonString(Word))
type Said = (typeof Word)["Type"]["shards"]

const announce = Effect.fnUntraced(function* (runner: Runner, connection: NatsConnection, subject: string) {
  const rates = new WorkRates()
  const say = Effect.sync(() => {
    if (connection.isClosed()) return
    const shards = rates.of(runner.owners, performance.now())
    if (shards.length > 0) connection.publish(subject, JSON.stringify({ shards }))
  })
  yield* say.pipe(Effect.andThen(Effect.sleep(sayMs)), Effect.forever)
})

interface Worker {
  readonly shard: number
  readonly epoch: number
  readonly work: number
}

/** What came since it was asked last, a second. */
export class WorkRates {
  #before = new Map<number, Worker>()
  #at = 0

  of(owners: Iterable<Worker>, now: number): Said {
    const seconds = Math.max(1, now - this.#at) / 1_000
    const before = this.#before
    const said: Array<readonly [number, number]> = []
    this.#before = new Map()
    for (const { epoch, shard, work } of owners) {
      const known = before.get(shard)
      // One that has just come has no time to divide by.
      if (known?.epoch === epoch) said.push([shard, Math.round(((work - known.work) / seconds) * 10) / 10])
      this.#before.set(shard, { shard, epoch, work })
    }
    this.#at = now
    return said
  }
}

/** Apart from NATS and time, for tests. */
export class LoadsHeard {
  readonly #loads = new Map<number, { readonly load: number; readonly at: number }>()

  heard(shards: Said, now: number): void {
    for (const [shard, load] of shards) this.#loads.set(shard, { load, at: now })
  }

  of(shard: number, now: number): number | undefined {
    const said = this.#loads.get(shard)
    return said === undefined || now - said.at > silenceMsMax ? undefined : said.load
  }
}
