/**
 * When what Cassandra has acknowledged is on stable storage. With its periodic commit log (the default) a node answers a
 * write before it has synced it, so what was written is safe once the period is over, and nothing can be asked that
 * would say so earlier: `sync` waits. Any number may wait at a time, for a timer each. The position that a caller moves
 * afterwards trails the writes by this wait, and with it the purge (DESIGN §5.9); it must not hold up the next writes.
 *
 * A node that dies in that time forgets what it had not synced. So the nodes are asked meanwhile when they started: a sync
 * fails where one of them started anew, or ceased to answer, since the writes that it is about may have been made.
 */
import { Clock, Effect, Layer, Semaphore } from "effect"
import { StoreUnavailable } from "../StoreError.ts"
import { StoreSync } from "../StoreSync.ts"
import { Cassandra, type NodeStarts } from "./Cassandra.ts"

export interface StoreSyncOptions {
  /** `commitlog_sync_period` of Cassandra's nodes; 0 where they have `commitlog_sync: batch` or `group`. */
  readonly syncPeriodMs?: number
}

const syncPeriodMsDefault = 10_000
/**
 * A sync takes time as well, and may begin late. This is as long as Cassandra itself bears it: when the last one is
 * older than one and a half periods, a node stops to answer writes.
 */
const periods = 1.5
/** Between two looks at the nodes. */
const lookMs = 1_000
/** Looks in a row that a node may miss: a slow one is not a dead one. */
const missesMax = 2

interface Node {
  readonly start: number
  misses: number
}

/** What is known of the nodes, and when one of them was last found to have stopped or started. */
class Watch {
  #disturbedAt = -Infinity
  readonly #nodes = new Map<string, Node>()

  /** `now` in ms. */
  look(starts: NodeStarts, now: number): void {
    for (const [address, start] of starts) {
      const known = this.#nodes.get(address)
      if (start === undefined) {
        // One that has not answered for long was counted when it ceased to.
        if (known !== undefined && ++known.misses === missesMax) this.#disturbedAt = now
      } else {
        if (known !== undefined && known.start !== start) this.#disturbedAt = now
        this.#nodes.set(address, { start, misses: 0 })
      }
    }
  }

  /** Cassandra as a whole does not answer. */
  missed(now: number): void {
    this.look(new Map([...this.#nodes.keys()].map((address) => [address, undefined])), now)
  }

  /** Some node has missed a look, and it is not known yet why. */
  get inDoubt(): boolean {
    return [...this.#nodes.values()].some(({ misses }) => misses > 0 && misses < missesMax)
  }

  disturbedSince(time: number): boolean {
    return this.#disturbedAt >= time
  }
}

/** Of the wall clock an hour may be set back in the midst of a wait. */
const monotonicMs = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

export const layerCassandra = (options: StoreSyncOptions = {}): Layer.Layer<StoreSync, never, Cassandra> => {
  const waitMs = Math.ceil((options.syncPeriodMs ?? syncPeriodMsDefault) * periods)
  if (waitMs === 0) return Layer.succeed(StoreSync, StoreSync.of({ sync: Effect.void, periodic: false }))
  return Layer.effect(
    StoreSync,
    Effect.gen(function* () {
      const cassandra = yield* Cassandra
      const watch = new Watch()
      const one = yield* Semaphore.make(1)
      let lookedAt = -Infinity
      /** One look for all who wait, unless there was one since then. */
      const lookSince = (time: number) =>
        one.withPermits(1)(
          Effect.gen(function* () {
            if (lookedAt >= time) return
            const begun = yield* monotonicMs
            const starts = yield* Effect.option(cassandra.starts)
            const now = yield* monotonicMs
            if (starts._tag === "Some") watch.look(starts.value, now)
            else watch.missed(now)
            lookedAt = begun
          })
        )
      // What they were before the first write: the first sync compares with that.
      yield* Effect.forkScoped(lookSince(yield* monotonicMs))
      const sync = Effect.gen(function* () {
        const calledAt = yield* monotonicMs
        // What a caller has not synced is younger than its last sync, which took as long, and what it did since.
        const writtenSince = calledAt - waitMs * 2
        const end = calledAt + waitMs
        for (let now = calledAt; now < end; now = yield* monotonicMs) {
          yield* lookSince(now - lookMs + 1)
          yield* Effect.sleep(Math.min(lookMs, end - now))
        }
        yield* lookSince(end)
        while (watch.inDoubt) {
          yield* Effect.sleep(lookMs)
          yield* lookSince((yield* monotonicMs) - lookMs + 1)
        }
        if (!watch.disturbedSince(writtenSince)) return
        return yield* new StoreUnavailable({
          store: "Cassandra",
          cause: new Error("a node stopped or started anew, and may have forgotten what it had not synced")
        })
      })
      return StoreSync.of({ sync, periodic: true })
    })
  )
}
