/**
 * That a cluster is being filled from a data directory (`parley migrate`), in the cluster's own bucket, next to its map. A
 * node that started meanwhile would take shards over whose history is not there yet, so it is refused until all is copied.
 */
import type { JetStreamManager } from "@nats-io/jetstream"
import { Kvm } from "@nats-io/kv"
import { Context, Effect, Schema } from "effect"
import { LogUnavailable } from "../EventLog.ts"
import type { LogStreams } from "./LogStreams.ts"

/** A data directory was moved here in part only. */
export class MigrationUnfinished extends Schema.TaggedError<MigrationUnfinished>()("MigrationUnfinished", {}) {
  override get message() {
    return "a data directory is being moved into this cluster and is not all here: run `parley migrate` again, with the same directory, then start the nodes"
  }
}

const Mark = Schema.Struct({ id: Schema.String, state: Schema.Literals(["copying", "done"]) })
export type Mark = typeof Mark.Type

/** The migration that this process is; undefined: it is none, and comes after all of them. */
export const OwnMigration = Context.Reference<string | undefined>("@parley/storage/jetstream/OwnMigration", {
  defaultValue: () => undefined
})

const key = "migration"

/** As the leader has it; undefined: nothing was ever moved here. */
export const readMark = Effect.fnUntraced(function* (
  manager: JetStreamManager,
  streams: LogStreams
): Effect.fn.Return<Mark | undefined, LogUnavailable> {
  const bucket = streams.clusterBucket
  const found = yield* ask(() => manager.streams.getMessage(`KV_${bucket}`, { last_by_subj: `$KV.${bucket}.${key}` }))
  if (found === null) return undefined
  return yield* Schema.decodeEffect(Schema.fromJsonString(Mark))(found.string()).pipe(
    Effect.mapError((cause) => new LogUnavailable({ cause }))
  )
})

/** The first mark is made only where there is none. */
export const writeMark = (
  manager: JetStreamManager,
  streams: LogStreams,
  mark: Mark
): Effect.Effect<void, LogUnavailable> =>
  ask(async () => {
    const kv = await new Kvm(manager.jetstream()).open(streams.clusterBucket)
    const text = JSON.stringify(mark)
    if (mark.state === "copying") await kv.create(key, text)
    else await kv.put(key, text)
  })

/** Nobody but the migration itself comes in while it is not done. */
export const checkMigration = Effect.fnUntraced(function* (manager: JetStreamManager, streams: LogStreams) {
  const mark = yield* readMark(manager, streams)
  if (mark?.state === "copying" && mark.id !== (yield* OwnMigration)) return yield* new MigrationUnfinished()
})

const ask = <A>(request: () => Promise<A>): Effect.Effect<A, LogUnavailable> =>
  Effect.tryPromise({ try: request, catch: (cause) => new LogUnavailable({ cause }) })
