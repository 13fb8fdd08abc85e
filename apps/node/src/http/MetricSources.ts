/**
 * Who has metrics that are kept elsewhere and copied into the registry when somebody asks for them. What a node consists
 * of differs (an edge without owners has none of theirs), so each part says it when it starts.
 */
import { Context, Effect } from "effect"

export const MetricSources = Context.Reference<Set<Effect.Effect<void>>>("@parley/node/MetricSources", {
  defaultValue: () => new Set()
})

/** `record` is run at every scrape until the scope closes. */
export const addMetricSource = (record: Effect.Effect<void>) =>
  Effect.gen(function* () {
    const sources = yield* MetricSources
    yield* Effect.acquireRelease(
      Effect.sync(() => sources.add(record)),
      () => Effect.sync(() => sources.delete(record))
    )
  })

export const recordMetricSources = Effect.gen(function* () {
  for (const record of yield* MetricSources) yield* record
})
