/**
 * Three owners, one after the other or all at once, over one shard's log that loses answers, delays attempts, refuses,
 * gives stale answers and is purged. A world is one state of all that; `successors` are all that can happen next. What
 * an owner does is `stepShardLog`, unchanged; what must never happen is checked here at the moment it would.
 */
import {
  emptyTip,
  openShardLog,
  servingShardLog,
  type ShardLogEffect,
  type ShardLogEvent,
  type ShardLogState,
  type Step,
  stepShardLog,
  type Tip
} from "../../src/log/ShardLogState.ts"
import type { Seen } from "../../src/log/LogRules.ts"
import {
  dead,
  entriesUpTo,
  idle,
  type ModelEntry,
  type ModelRecord,
  type Owner,
  ownerOf,
  recent,
  set,
  type World
} from "./LogWorld.ts"

/** A promise was broken: what, and how it came to it. */
export class Violation extends Error {}

export interface Move {
  readonly name: string
  /** Whether it is something going wrong: those are counted. */
  readonly fault: boolean
  readonly world: World
}

export interface ModelOptions {
  readonly owners: number
  readonly entriesPerOwner: number
  /** Whether each owner's lease gives it a higher epoch; otherwise those who start at once choose the same. */
  readonly epochsByLease?: boolean
  readonly step?: (state: ShardLogState, event: ShardLogEvent) => Step
  /** What breaks in the world around the state machine, for mutants. */
  readonly purgesLast?: boolean
  readonly identityWithoutBytes?: boolean
  readonly epochWithoutNonce?: boolean
  readonly opensWithoutEpochRecord?: boolean
}

export class LogModel {
  readonly #options: ModelOptions

  constructor(options: ModelOptions) {
    this.#options = options
  }

  get start(): World {
    return {
      log: [],
      purged: 0,
      owners: Array.from({ length: this.#options.owners }, () => idle),
      failed: "",
      served: 0
    }
  }

  successors(world: World, faults: boolean): ReadonlyArray<Move> {
    const moves: Array<Move> = []
    world.owners.forEach((owner, index) => {
      const name = `owner ${index + 1}`
      const add = (what: string, next: () => World, fault = false): void => {
        if (faults || !fault) moves.push({ name: `${name} ${what}`, fault, world: next() })
      }
      owner.late.forEach((record, at) => {
        const late = owner.late.filter((_, other) => other !== at)
        add("has a late attempt arrive", () => this.#write(set(world, index, { ...owner, late }), record).world)
      })
      if (!owner.started) this.#starts(world, index, add)
      else this.#moves(world, index, add)
    })
    const upTo = world.log.length - (this.#options.purgesLast === true ? 0 : 1)
    if (faults && upTo > world.purged) moves.push({ name: "purge", fault: true, world: { ...world, purged: upTo } })
    return moves
  }

  // Owners are alike, so they start in order. An owner begins with what it reads: until then it is as good as not there.
  #starts(world: World, index: number, add: Add): void {
    if (index > 0 && world.owners[index - 1]?.started !== true) return
    const owner: Owner = { ...idle, started: true }
    const epochAtLeast = this.#options.epochsByLease === true ? index + 1 : 1
    const opened = this.#perform(world, index, owner, openShardLog({ epochAtLeast, knownAtLeast: 0 }))
    this.#moves(opened, index, add)
    for (const { handover } of world.owners) {
      if (handover === null) continue
      add("opens with a hand-over", () =>
        this.#perform(
          world,
          index,
          { ...owner, known: handover.known },
          openShardLog({ epochAtLeast, knownAtLeast: 0, handover })
        )
      )
    }
  }

  #moves(world: World, index: number, add: Add): void {
    const owner = ownerOf(world, index)
    const { state, waits } = owner
    if (dead(state)) return
    const event = (event: ShardLogEvent, from: World = world, as: Owner = ownerOf(from, index)): World =>
      this.#event(from, index, as, event)
    if (state._tag === "Serving") {
      if (owner.proposed < this.#options.entriesPerOwner) add("gathers", () => this.#gather(world, index))
      if (state.flight === null && !state.gathered) {
        const handover = { ...state.tip, epoch: state.epoch, known: owner.known }
        add("drains", () => event({ _tag: "SteppedDown" }, world, { ...owner, handover }), true)
      }
    }
    if (state._tag !== "Reading") add("loses its lease", () => event({ _tag: "SteppedDown" }), true)
    switch (waits._tag) {
      case "Nothing":
        return
      case "Last":
        for (const position of [0, ...recent(world), world.log.length]) {
          const last = world.log[position - 1]
          const stale = position !== this.#last(world)
          add(
            `reads ${position} as the last`,
            () =>
              event({
                _tag: "LastRead",
                last: last === undefined ? null : { position, number: last.number, hash: last.id, epoch: last.epoch }
              }),
            stale
          )
        }
        return
      case "Place": {
        const { position } = waits
        const record = position > world.purged ? world.log[position - 1] : undefined
        const nothing: Seen = { _tag: "Nothing" }
        add(
          `finds nothing at ${position}`,
          () => event({ _tag: "PlaceRead", position, seen: nothing }),
          record !== undefined
        )
        if (record === undefined) return
        const { epoch, id: hash, number } = record
        add(`finds ${name(record)} at ${position}`, () =>
          event({ _tag: "PlaceRead", position, seen: { _tag: "Record", epoch, number, hash } })
        )
        return
      }
      case "Answer":
        this.#answers(world, index, waits.record, add)
    }
  }

  #answers(world: World, index: number, record: ModelRecord | null, add: Add): void {
    const owner = ownerOf(world, index)
    const settled = (from: World, outcome: Extract<ShardLogEvent, { _tag: "Settled" }>["outcome"]): World =>
      this.#event(from, index, ownerOf(from, index), { _tag: "Settled", outcome })
    add("is refused", () => settled(world, { _tag: "Refused", reason: "full" }), true)
    if (record === null) {
      add("can't reach the log", () => settled(world, { _tag: "Ambiguous", cause: "" }), true)
      if (owner.proposed < this.#options.entriesPerOwner) add("has its record taken", () => this.#take(world, index))
      // With nothing left to gather it makes no difference when it is taken.
      else {
        const taken = this.#take(world, index)
        this.#answers(taken, index, ownerOf(taken, index).sealed, add)
      }
      return
    }
    const written = this.#write(world, record)
    add(`is answered ${written.committed === null ? "wrong sequence" : "committed"}`, () =>
      settled(
        written.world,
        written.committed === null
          ? { _tag: "WrongSequence", actual: this.#last(written.world) }
          : { _tag: "Committed", position: written.committed }
      )
    )
    add("has its answer lost", () => settled(written.world, { _tag: "Ambiguous", cause: "" }), true)
    const known = world.log.findIndex(({ identity }) => identity === record.identity)
    if (known >= 0)
      add("is told that it is a duplicate", () => settled(world, { _tag: "Committed", position: known + 1 }))
    if (!owner.late.some(({ id }) => id === record.id)) {
      const late = [...owner.late, record]
      add(
        "has its attempt delayed",
        () => settled(set(world, index, { ...owner, late }), { _tag: "Ambiguous", cause: "" }),
        true
      )
    }
    for (const actual of [0, ...recent(world)]) {
      if (actual === record.expectedLast) continue
      add(
        `is refused by a deposed leader that ends at ${actual}`,
        () => settled(world, { _tag: "WrongSequence", actual }),
        true
      )
    }
  }

  #last(world: World): number {
    return world.purged === world.log.length ? 0 : world.log.length
  }

  /** What the log does with an attempt; here is where a broken promise would show. */
  #write(world: World, record: ModelRecord): { readonly world: World; readonly committed: number | null } {
    if (record.expectedLast !== this.#last(world)) return { world, committed: null }
    const before = world.log.at(-1)
    const violates = (what: string) => {
      throw new Violation(`${what}: ${name(record)} after ${before === undefined ? "nothing" : name(before)}`)
    }
    if (record.number !== world.log.length + 1) violates("numbers are not contiguous")
    if (record.previous !== (before?.id ?? emptyTip.hash)) violates("hashes are not contiguous")
    if (record.kind === "epoch" ? record.epoch <= (before?.epoch ?? 0) : record.epoch !== before?.epoch) {
      violates("SINGLE-WRITER")
    }
    if (record.kind === "events" && record.owner !== before?.owner) violates("SINGLE-WRITER within an epoch")
    if (record.epoch < world.served) violates(`SINGLE-WRITER while epoch ${world.served} was served`)
    let seq = entriesUpTo(world, world.log.length)
    for (const entry of record.entries) {
      if (entry.seq !== ++seq) violates(`ONE-ORDER, ${entry.name} has seq ${entry.seq} at ${seq}`)
      if (world.failed.includes(entry.name)) violates(`${entry.name} was told "failed"`)
    }
    const log = [...world.log, record]
    // What expects an older last record can't be written any more, unless the log forgets what its last one is.
    const owners =
      this.#options.purgesLast === true
        ? world.owners
        : world.owners.map((owner) =>
            owner.late.length === 0
              ? owner
              : { ...owner, late: owner.late.filter((late) => late.expectedLast === log.length) }
          )
    return { world: { ...world, log, owners }, committed: log.length }
  }

  #gather(world: World, index: number): World {
    const owner = ownerOf(world, index)
    const seq = owner.known + owner.flying.length + owner.open.length + 1
    const entry: ModelEntry = { seq, name: `${index}${owner.proposed};` }
    const proposed = owner.proposed + 1
    if (owner.state._tag === "Serving" && owner.state.flight?.hash === null) {
      return set(world, index, { ...owner, proposed, flying: [...owner.flying, entry] })
    }
    const first = owner.open.length === 0
    const gathered = { ...owner, proposed, open: [...owner.open, entry] }
    return first ? this.#event(world, index, gathered, { _tag: "Gathered" }) : set(world, index, gathered)
  }

  #take(world: World, index: number): World {
    const owner = ownerOf(world, index)
    const { state } = owner
    if ((state._tag !== "Serving" && state._tag !== "Opening") || state.flight === null)
      throw new Error("nothing to take")
    const { epoch, expectedLast, kind, number } = state.flight
    const previous = state._tag === "Serving" ? state.tip.hash : state.after.hash
    const writer = kind === "epoch" && this.#options.epochWithoutNonce === true ? "" : index
    // Stands for a hash: in one world it is the same only for the same content.
    const id = `${kind}.${writer}.${epoch}.${number}.${owner.flying.map(({ name }) => name).join("")}`
    const record: ModelRecord = {
      id,
      identity: this.#options.identityWithoutBytes === true ? `${index}.${epoch}.${number}` : id,
      kind: kind === "epoch" ? "epoch" : "events",
      owner: index,
      epoch,
      number,
      previous,
      expectedLast,
      entries: owner.flying
    }
    const taken: Owner = { ...owner, sealed: record, waits: { _tag: "Answer", record } }
    return this.#event(world, index, taken, { _tag: "Taken", hash: id })
  }

  #event(world: World, index: number, owner: Owner, event: ShardLogEvent): World {
    if (this.#options.opensWithoutEpochRecord === true && event._tag === "LastRead") {
      const epoch = (event.last?.epoch ?? 0) + 1
      const known = entriesUpTo(world, event.last?.position ?? 0)
      const state = servingShardLog(epoch, event.last ?? emptyTip)
      return this.#perform(world, index, { ...owner, known, waits: { _tag: "Nothing" } }, { state, effects: [] })
    }
    return this.#perform(world, index, owner, (this.#options.step ?? stepShardLog)(owner.state, event))
  }

  #perform(world: World, index: number, owner: Owner, step: Step): World {
    let next: World = set(world, index, { ...owner, state: step.state })
    for (const effect of step.effects) next = this.#effect(next, index, effect)
    const served = step.state._tag === "Serving" ? Math.max(next.served, step.state.epoch) : next.served
    const done = ownerOf(next, index)
    return { ...set(next, index, { ...done, state: calm(done.state) }), served }
  }

  #effect(world: World, index: number, effect: ShardLogEffect): World {
    const owner = ownerOf(world, index)
    switch (effect._tag) {
      case "ReadLast":
        return set(world, index, { ...owner, waits: { _tag: "Last" } })
      case "Read":
        return set(world, index, { ...owner, waits: { _tag: "Place", position: effect.position } })
      case "Append": {
        if (effect.again) return set(world, index, { ...owner, waits: { _tag: "Answer", record: owner.sealed } })
        const flying = [...owner.flying, ...(effect.flight.kind === "epoch" ? [] : owner.open)]
        const fresh: Owner = { ...owner, flying, open: [], sealed: null, waits: { _tag: "Answer", record: null } }
        const next = set(world, index, fresh)
        return effect.flight.kind === "epoch" ? this.#take(next, index) : next
      }
      case "Pause":
        return this.#event(world, index, owner, { _tag: "Resumed" })
      case "Committed":
        return this.#committed(world, index, effect.kind, effect.tip)
      case "Failed": {
        const failing = effect.gathered ? [...owner.flying, ...owner.open] : owner.flying
        for (const entry of failing) {
          if (inLog(world, entry)) throw new Violation(`${entry.name} is told "failed" and is in the log`)
        }
        const open = effect.gathered ? [] : owner.open
        // An entry can only come back in an attempt that is still on its way.
        const underWay = new Set(owner.late.flatMap(({ entries }) => entries.map(({ name }) => name)))
        const failed =
          world.failed +
          failing
            .map(({ name }) => name)
            .filter((name) => underWay.has(name))
            .join("")
        return set({ ...world, failed }, index, {
          ...owner,
          flying: [],
          open,
          sealed: null,
          waits: { _tag: "Nothing" }
        })
      }
      case "TellUnknown":
        return world
      case "GoOut":
      case "Quarantine": {
        // Nobody listens any more, but an attempt under way may still arrive.
        const late = owner.waits._tag === "Answer" && owner.waits.record !== null ? [owner.waits.record] : []
        return set(world, index, {
          ...idle,
          started: true,
          state: owner.state,
          handover: owner.handover,
          late: [...owner.late.filter(({ id }) => id !== late[0]?.id), ...late]
        })
      }
    }
  }

  #committed(world: World, index: number, kind: string, tip: Tip): World {
    const owner = ownerOf(world, index)
    const record = world.log[tip.position - 1]
    if (record === undefined || record.id !== tip.hash) throw new Violation("what was told committed is not in the log")
    for (const { name } of owner.flying) {
      const places = world.log.filter(({ entries }) => entries.some((entry) => entry.name === name))
      if (places.length !== 1 || places[0] !== record)
        throw new Violation(`${name} is told "committed" and is not there once`)
    }
    if (kind === "epoch") {
      // It replays, unless the state was handed over: that one has to be what a replay would give.
      const replayed = entriesUpTo(world, tip.position)
      const handed = owner.known > 0 && owner.known !== replayed
      if (handed) throw new Violation("serves a handed over state that misses events")
      return set(world, index, { ...owner, known: replayed, sealed: null, waits: { _tag: "Nothing" } })
    }
    const known = owner.known + owner.flying.length
    return set(world, index, { ...owner, known, flying: [], sealed: null, waits: { _tag: "Nothing" } })
  }
}

type Add = (what: string, next: () => World, fault?: boolean) => void

const name = (record: ModelRecord): string =>
  `${record.kind} ${record.number} of owner ${record.owner + 1} in epoch ${record.epoch}`

const inLog = (world: World, entry: ModelEntry): boolean =>
  world.log.some(({ entries }) => entries.some(({ name }) => name === entry.name))

/** Counters only pace: without them there are finitely many states. */
const calm = (state: ShardLogState): ShardLogState => {
  if (state._tag === "Reading") return { ...state, tries: 0, behind: 0 }
  if ((state._tag === "Serving" || state._tag === "Opening") && state.flight !== null) {
    return { ...state, flight: { ...state.flight, tries: 0, behind: 0 } }
  }
  return state
}
