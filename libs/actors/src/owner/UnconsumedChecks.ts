/**
 * What consumers have still to read below the place from which shards were replayed is read once after they were opened, a shard
 * at a time and not while others are being opened: a takeover must not take the longer the further the store is behind.
 * Damage found there takes the shard out of service, as it does wherever it is found (†24).
 */
import type { EventLog, LogPosition } from "@parley/storage/EventLog"
import { Effect, Option } from "effect"
import { checkUnconsumed, damageText } from "../log/UnconsumedRecords.ts"
import type { OwnerContext } from "./OwnerContext.ts"
import type { ShardOwner } from "./ShardOwner.ts"

/** Records in `(after, upTo]` of the shard that was opened for this owner. */
interface Check {
  readonly owner: ShardOwner
  readonly after: LogPosition
  readonly upTo: LogPosition
}

export interface UnconsumedChecksOptions {
  readonly log: EventLog["Service"]
  readonly run: OwnerContext["run"]
  /** Whether the shard is still his. */
  readonly owns: (owner: ShardOwner) => boolean
  readonly damaged: (shard: number, what: string) => void
}

export class UnconsumedChecks {
  readonly #options: UnconsumedChecksOptions
  /** By shard: that of its last opening here. */
  readonly #due = new Map<number, Check>()
  #opening = 0
  #checking = false

  constructor(options: UnconsumedChecksOptions) {
    this.#options = options
  }

  /** What is opened goes first. */
  whileOpening<A, E>(open: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.acquireUseRelease(
      Effect.sync(() => void this.#opening++),
      () => open,
      () => Effect.sync(() => void this.#opening--)
    )
  }

  add(check: Check): void {
    if (check.after < check.upTo) this.#due.set(check.owner.shard, check)
  }

  /** Called every `ownerTickMs`. */
  tick(): void {
    if (this.#checking || this.#opening > 0) return
    const { log, owns, run } = this.#options
    for (const [shard, { owner }] of this.#due) if (!owns(owner)) this.#due.delete(shard)
    const [next] = this.#due.values()
    if (next === undefined) return
    const { shard } = next.owner
    this.#due.delete(shard)
    const read = checkUnconsumed(log, shard, next.after, next.upTo).pipe(
      Effect.as(Option.none<string>()),
      Effect.catchTag("LogDamaged", (damage) => Effect.succeedSome(damageText(damage)))
    )
    this.#checking = true
    run(read, (result) => {
      this.#checking = false
      if (!owns(next.owner)) return
      // The log is away: later.
      if (!("ok" in result)) this.#due.set(shard, next)
      else if (Option.isSome(result.ok)) this.#options.damaged(shard, result.ok.value)
      else this.tick()
    })
  }
}
