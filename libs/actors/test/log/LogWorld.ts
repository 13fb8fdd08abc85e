/** What the model of a shard's log consists of, and a name for each state of it. */
import type { ShardLogState, Tip } from "../../src/log/ShardLogState.ts"

/** `seq` of the one entity that the model has, and who proposed it. */
export interface ModelEntry {
  readonly seq: number
  readonly name: string
}

export interface ModelRecord {
  readonly id: string
  /** What the log recognises a repetition by. */
  readonly identity: string
  readonly kind: "epoch" | "events"
  readonly owner: number
  readonly epoch: number
  readonly number: number
  readonly previous: string
  readonly expectedLast: number
  readonly entries: ReadonlyArray<ModelEntry>
}

export type Waits =
  | { readonly _tag: "Nothing" }
  | { readonly _tag: "Last" }
  | { readonly _tag: "Place"; readonly position: number }
  | { readonly _tag: "Answer"; readonly record: ModelRecord | null }

export interface Owner {
  readonly started: boolean
  readonly state: ShardLogState
  readonly waits: Waits
  /** Events of the entity that its state holds: committed as far as this owner knows. */
  readonly known: number
  readonly proposed: number
  readonly flying: ReadonlyArray<ModelEntry>
  readonly open: ReadonlyArray<ModelEntry>
  readonly sealed: ModelRecord | null
  /** Attempts that were given up and may still arrive. */
  readonly late: ReadonlyArray<ModelRecord>
  /** What it left for a successor, and whether it was a hand-over that it began with. */
  readonly handover: (Tip & { readonly epoch: number; readonly known: number }) | null
}

export interface World {
  readonly log: ReadonlyArray<ModelRecord>
  /** Records cut from the front; a read there finds nothing. */
  readonly purged: number
  readonly owners: ReadonlyArray<Owner>
  /** Names of entries whose callers were told "failed". */
  readonly failed: string
  /** The highest epoch that anybody served under. */
  readonly served: number
}

export const idle: Owner = {
  started: false,
  state: { _tag: "Out", reason: "stepped_down", epoch: 0 },
  waits: { _tag: "Nothing" },
  known: 0,
  proposed: 0,
  flying: [],
  open: [],
  sealed: null,
  late: [],
  handover: null
}

export const ownerOf = (world: World, index: number): Owner => world.owners[index] ?? idle
export const set = (world: World, index: number, owner: Owner): World => ({
  ...world,
  owners: world.owners.map((other, at) => (at === index ? owner : other))
})

export const entriesUpTo = (world: World, position: number): number => {
  let count = 0
  for (let at = 0; at < position; at++) count += world.log[at]?.entries.length ?? 0
  return count
}

export const dead = (state: ShardLogState): boolean => state._tag === "Out" || state._tag === "Quarantined"

/** Places a stale answer may name, besides an empty log: the two before the last. */
export const recent = (world: World): ReadonlyArray<number> =>
  [world.log.length - 2, world.log.length - 1].filter((position) => position > 0)

/**
 * A name for all that matters of a world: two with the same one go on alike. Hashes are only compared, so a record in
 * the log is as good as its place; how the log came about matters only as far as a stale answer reaches.
 */
export const worldKey = (world: World): string => {
  const count = entriesUpTo(world, world.log.length)
  const last = world.log.at(-1)
  let key = `${world.log.length},${count},${last?.kind},${last?.owner},${world.purged},${world.served},${world.failed}`
  for (const position of [...recent(world), world.log.length]) key += `,${world.log[position - 1]?.epoch}`
  for (const owner of world.owners) key += `|${ownerKey(owner, world)}`
  return key
}

const ownerKey = (owner: Owner, world: World): string => {
  if (!owner.started) return ""
  const { state, waits } = owner
  let key = ""
  for (const late of owner.late)
    key += `l${late.epoch},${late.expectedLast},${late.entries.length},${late.id === owner.sealed?.id}`
  if (owner.handover !== null) key += `h${owner.handover.position},${owner.handover.epoch},${owner.handover.known}`
  if (dead(state)) return `x${key}`
  key += `${waits._tag}${owner.known},${owner.proposed},${owner.flying.length},${owner.open.length}`
  if (waits._tag === "Place") key += `p${waits.position},${world.log[waits.position - 1]?.epoch}`
  if (owner.sealed !== null) key += `s${placeOf(world, owner.sealed)}`
  if (state._tag !== "Serving" && state._tag !== "Opening") return key
  const { flight } = state
  key +=
    state._tag === "Serving"
      ? `S${state.epoch},${state.tip.position},${state.gathered}`
      : `O${state.after.position},${state.handedOver}`
  if (flight === null) return key
  return `${key}f${flight.epoch},${flight.expectedLast},${flight.hash === null},${flight.doubtful},${flight.waits}`
}

const placeOf = (world: World, record: ModelRecord): number => world.log.findIndex(({ id }) => id === record.id)
