/**
 * The entities of one shard that are in memory, one queue each: however a command comes in, it is a step of the
 * entity's plain state, taken in turn. A step that has to wait (for the store) holds its entity's queue, not the
 * others'. Residents are bounded by bytes: one that was not used lately, that nothing waits for, and that has no
 * uncommitted event (†1), becomes warm state, which is bounded too and exact while the shard does not move.
 */

import type { ApiFailure } from "@parley/protocol/ApiError"
import type { Entry } from "../log/Entry.ts"
import type { ShardMemory } from "./MemoryBudget.ts"
import { WarmStates } from "./WarmStates.ts"

/** Commands that may wait for one entity; further ones are refused as overloaded. */
export const entityQueueMax = 4_096

/** What log and inspection need of a resident, whatever its kind. */
export interface AnyResident {
  readonly id: string
  /** Replaced where it is empty: nearly all have none, and share that. */
  pending: Array<PendingEvent>
  readonly waiting: ReadonlyArray<unknown>
  readonly dirty: boolean
  readonly bytes: number
}

/** An event between its entity and the log. */
export interface PendingEvent {
  readonly entry: Entry
  readonly resident: AnyResident
  /** Takes the event back out of the entity's state; in LIFO order only. */
  readonly undo: () => void
  readonly originEdge: string
  readonly originConnection: number
  /** It may use the room that a full log keeps (†28). */
  readonly reserved: boolean
  /** Those to be told how it ended: the caller, and repeats of the same mutation. Emptied when told. */
  waiters: Array<(failure: ApiFailure | undefined) => void>
}

/**
 * Answers that a mutation is refused, once all that it was decided on is committed: what is not is visible to nobody, and may
 * never have been. Where it fails, so does this, to be tried again (EXACTLY-ONCE-EFFECT).
 */
export const refuse = (
  { pending }: Pick<AnyResident, "pending">,
  why: ApiFailure,
  reply: (reply: { readonly failure: ApiFailure }) => void
): void => {
  const last = pending.at(-1)
  if (last === undefined) return reply({ failure: why })
  last.waiters.push((failure) => {
    if (failure === undefined) reply({ failure: why })
    // That event's own fault is not this mutation's.
    else reply({ failure: failure.code === "too_large" ? { code: "unavailable" } : failure })
  })
}

export interface EntityState {
  readonly bytes: number
  /**
   * The state at rest, in bytes that hold until the next call. `scarce`: others need the room, what the store has as well
   * is left out.
   */
  pack(scarce: boolean): Uint8Array
  /** Gives up what the store has as well, down to what it would keep at rest; false: there was nothing. */
  shrink(): boolean
}

export interface Resident<S extends EntityState> {
  readonly id: string
  /** Undefined while it is being loaded. */
  state: S | undefined
  /** Steps that wait for the load, or for the step that holds the queue. */
  waiting: Array<(resident: Resident<S>) => void>
  /** Waits for the store that hold the queue; a step may begin another before the first is over. */
  holds: number
  /** Events that are not settled yet, in order; see AnyResident. */
  pending: Array<PendingEvent>
  /** Reasons to stay besides uncommitted events (unsaved cursors). */
  dirty: boolean
  /** Had a turn since the sweep last looked (the clock algorithm: a second chance instead of an order of use). */
  used: boolean
  /** It had no turn since the one that woke it. */
  fresh: boolean
  bytes: number
}

/** Of nearly all residents; never changed. */
const nothing: Array<never> = []

/** The resident's newest event, not settled yet. */
export const enterPending = (resident: AnyResident, pending: PendingEvent): void => {
  if (resident.pending.length === 0) resident.pending = [pending]
  else resident.pending.push(pending)
}

/** What a cold entity wakes for: a step that looks at its head alone, or one that may look behind it. */
export type WakeDepth = "head" | "tail"

export interface ResidentsOptions<S extends EntityState> {
  readonly memory: ShardMemory
  readonly decode: (id: string, bytes: Uint8Array) => S
  /** Loads a cold entity; calls back once, never from within, undefined where the store can't be asked now. */
  readonly load: (id: string, depth: WakeDepth, done: (state: S | undefined) => void) => void
  /** Whether all of the entity is in the store: only then it may leave memory for warm state, and warm state be dropped. */
  readonly stored: (id: string) => boolean
  /**
   * Whether what is dropped can be had back from the store: not after a takeover, until it has what the checkpoint is of.
   * Warm states beyond the bound are kept so long; they are those of the checkpoint, which is bounded itself.
   */
  readonly storeReady: () => boolean
}

/**
 * Of the room for residents, as one part of so many: what those may take that were woken and not used again (2Q, Johnson
 * and Shasha, 1994). Beyond it they go first, however recent: sends to a million channels must not drive out those that
 * people talk in, nor fill the heap with what is looked at once.
 */
const freshPart = 8

/** Compact committed state of an entity that is not resident. */
export interface Warm {
  readonly bytes: Uint8Array
}

/** Calls of `rest` in which every resident is looked at once: one that had no turn in between goes. */
export const restCalls = 60
/** Residents looked at by one call: what has to be encoded at once must not hold up others. */
export const restLooksMax = 64

export class Residents<S extends EntityState> {
  readonly #options: ResidentsOptions<S>
  readonly #residents = new Map<string, Resident<S>>()
  readonly #warm: WarmStates
  #residentBytes = 0
  /** Of warm states, as the budget has it. */
  #warmBytes = 0
  /** Entities that became resident out of warm state, and out of the store. */
  wokenWarm = 0
  wokenCold = 0
  /** Fresh ones in the order of their waking, from `#freshFrom` on, and some that are fresh no more. */
  #fresh: Array<Resident<S>> = []
  #freshFrom = 0
  #freshCount = 0
  #freshBytes = 0
  /** Where the next sweep goes on: the hand of the clock. */
  #hand: Iterator<Resident<S>> = this.#residents.values()
  /** Its looks since room is needed, or since one of them made some: whoever is left after a round is in use. */
  #looksInVain = 0
  #resting: Iterator<Resident<S>> = this.#residents.values()
  /** Residents when the round began. */
  #restRound = 0
  /** Looks that are due, times `restCalls`: what is less than one is left for the next call. */
  #restLooks = 0

  constructor(options: ResidentsOptions<S>) {
    this.#options = options
    this.#warm = new WarmStates(options.memory.warm.bytesMax)
  }

  get residentCount(): number {
    return this.#residents.size
  }
  get residentBytes(): number {
    return this.#residentBytes
  }
  get warmCount(): number {
    return this.#warm.count
  }
  get warmBytes(): number {
    return this.#warmBytes
  }

  /** Places in the queue of fresh ones, for tests: they are bounded whether room is needed or not. */
  get freshPlaces(): number {
    return this.#fresh.length
  }

  /** The entity if it is in memory and nothing holds it: the hot path. */
  ready(id: string): Resident<S> | undefined {
    const resident = this.#residents.get(id)
    return resident !== undefined &&
      resident.state !== undefined &&
      resident.holds === 0 &&
      resident.waiting.length === 0
      ? resident
      : undefined
  }

  peek(id: string): Resident<S> | undefined {
    return this.#residents.get(id)
  }

  /** The state holds until another one comes to rest. */
  warm(id: string): Warm | undefined {
    const bytes = this.#warm.get(id)
    return bytes === undefined ? undefined : { bytes }
  }

  all(): Iterable<Resident<S>> {
    return this.#residents.values()
  }

  /** Takes the entity's next turn; `full` where too many wait already, `failed` where it can't be loaded. */
  turn(
    id: string,
    step: (resident: Resident<S>) => void,
    refused: (why: "full" | "failed") => void,
    depth: WakeDepth = "tail"
  ): void {
    const ready = this.ready(id)
    if (ready !== undefined) {
      this.use(ready)
      step(ready)
      return
    }
    const resident = this.#residents.get(id) ?? this.#start(id, depth)
    if (resident.state !== undefined && resident.holds === 0 && resident.waiting.length === 0) {
      step(resident)
      return
    }
    if (resident.waiting.length >= entityQueueMax) {
      refused("full")
      return
    }
    const waiter = (r: Resident<S>) => (r.state === undefined ? refused("failed") : step(r))
    if (resident.waiting.length === 0) resident.waiting = [waiter]
    else resident.waiting.push(waiter)
  }

  /** Tells of a turn that is taken without `turn`. */
  use(resident: Resident<S>): void {
    resident.used = true
    if (resident.fresh) this.#age(resident)
  }

  /** Holds the entity's queue until `release`. */
  hold(resident: Resident<S>): void {
    resident.holds++
  }

  release(resident: Resident<S>): void {
    resident.holds--
    if (resident.holds === 0) this.#drain(resident)
  }

  /** Tells that a resident was used and may have another size. */
  touch(resident: Resident<S>): void {
    const bytes = resident.state === undefined ? 0 : resident.state.bytes
    const more = bytes - resident.bytes
    this.#countResident(more)
    if (resident.fresh) this.#freshBytes += more
    resident.bytes = bytes
  }

  /** Puts a warm state, from a checkpoint or a hand-over. */
  putWarm(id: string, bytes: Uint8Array): void {
    this.#warm.put(id, bytes)
    this.#countWarm()
  }

  /** Takes a warm state out, to make it resident; it holds until another one comes to rest. */
  takeWarm(id: string): Warm | undefined {
    const bytes = this.#warm.take(id)
    this.#countWarm()
    return bytes === undefined ? undefined : { bytes }
  }

  /** Puts a resident state, from replay. */
  put(id: string, state: S): Resident<S> {
    const resident = this.#add(id, state)
    this.touch(resident)
    return resident
  }

  /** Moves one entity out of memory now; false where it can't go. */
  passivate(id: string): boolean {
    const resident = this.#residents.get(id)
    if (resident === undefined || !this.#passive(resident)) return false
    this.#passivate(resident, false)
    return true
  }

  /** Brings memory back under its bounds; called once a turn of the event loop, looks at few. */
  sweep(looksMax: number): void {
    this.#sweepFresh(looksMax)
    const { resident: room } = this.#options.memory
    if (!room.exceeded) this.#looksInVain = 0
    let looks = Math.min(looksMax, this.#residents.size)
    for (; room.exceeded && looks > 0; looks--) this.#look()
    // Those that were woken left holes, which are looked at as well.
    const { memory, stored, storeReady } = this.#options
    const may = memory.warm.exceeded && storeReady() ? stored : undefined
    for (looks = 0; memory.warm.exceeded && looks < looksMax * 2; looks++) {
      if (!this.#warm.reclaim(may)) break
      this.#countWarm()
    }
  }

  #look(): void {
    let next = this.#hand.next()
    if (next.done === true) {
      this.#hand = this.#residents.values()
      next = this.#hand.next()
    }
    if (next.done === true) return
    const resident = next.value
    if (!resident.used && this.#passive(resident)) {
      this.#passivate(resident, true)
      this.#looksInVain = 0
      return
    }
    resident.used = false
    if (this.#looksInVain < this.#residents.size) this.#looksInVain++
    // Nobody can go: who is in use, or not stored yet, gives up what the store has.
    else if (resident.state?.shrink() === true) this.touch(resident)
  }

  /**
   * Moves idle residents to warm state, whatever room there is: somebody who is only connected must not keep his session
   * in memory, nor a quiet channel its members. Called at regular intervals.
   */
  rest(): void {
    // As many as a round began with, so that its end comes although it gets smaller.
    this.#restLooks += Math.min(Math.max(this.#residents.size, this.#restRound), restLooksMax * restCalls)
    for (; this.#restLooks >= restCalls; this.#restLooks -= restCalls) {
      let next = this.#resting.next()
      if (next.done === true) {
        this.#restRound = this.#residents.size
        this.#resting = this.#residents.values()
        next = this.#resting.next()
      }
      if (next.done === true) {
        this.#restLooks = 0
        return
      }
      const resident = next.value
      if (resident.used) resident.used = false
      else if (this.#passive(resident)) this.#passivate(resident, false)
    }
  }

  #countResident(bytes: number): void {
    this.#residentBytes += bytes
    this.#options.memory.resident.used += bytes
  }

  #countWarm(): void {
    const { bytes } = this.#warm
    this.#options.memory.warm.used += bytes - this.#warmBytes
    this.#warmBytes = bytes
  }

  #add(id: string, state: S | undefined): Resident<S> {
    const resident: Resident<S> = {
      id,
      state,
      waiting: nothing,
      holds: 0,
      pending: nothing,
      dirty: false,
      used: true,
      fresh: false,
      bytes: 0
    }
    this.#residents.set(id, resident)
    return resident
  }

  #start(id: string, depth: WakeDepth): Resident<S> {
    const warm = this.takeWarm(id)
    if (warm !== undefined) {
      this.wokenWarm++
      const woken = this.put(id, this.#options.decode(id, warm.bytes))
      this.#enterFresh(woken)
      return woken
    }
    this.wokenCold++
    const resident = this.#add(id, undefined)
    this.#enterFresh(resident)
    this.#options.load(id, depth, (state) => {
      if (this.#residents.get(id) !== resident) return
      resident.state = state
      if (state === undefined) this.#remove(resident)
      else this.touch(resident)
      this.#drain(resident)
    })
    return resident
  }

  #remove(resident: Resident<S>): void {
    if (resident.fresh) this.#age(resident)
    this.#residents.delete(resident.id)
  }

  #enterFresh(resident: Resident<S>): void {
    resident.fresh = true
    this.#freshCount++
    this.#freshBytes += resident.bytes
    this.#fresh.push(resident)
    // Places of those that are fresh no more are given up when there are as many of them.
    if (this.#fresh.length < 64 || this.#fresh.length < this.#freshCount * 2) return
    this.#fresh = this.#fresh.slice(this.#freshFrom).filter(({ fresh }) => fresh)
    this.#freshFrom = 0
  }

  /** Its place in the queue is left as it is. */
  #age(resident: Resident<S>): void {
    resident.fresh = false
    this.#freshCount--
    this.#freshBytes -= resident.bytes
  }

  #sweepFresh(looksMax: number): void {
    const bytesMax = this.#options.memory.resident.bytesMax / freshPart
    for (let looks = 0; this.#freshBytes > bytesMax && looks < looksMax; looks++) {
      const resident = this.#fresh[this.#freshFrom]
      if (resident === undefined) return
      this.#freshFrom++
      if (!resident.fresh) continue
      if (this.#passive(resident)) this.#passivate(resident, true)
      else this.#fresh.push(resident)
    }
  }

  #drain(resident: Resident<S>): void {
    const waiting = resident.waiting
    if (waiting.length === 0) return
    let taken = 0
    while (taken < waiting.length && resident.holds === 0) {
      const step = waiting[taken++]
      if (step !== undefined) step(resident)
    }
    resident.waiting = taken === waiting.length ? nothing : waiting.slice(taken)
  }

  #passive(resident: Resident<S>): boolean {
    return (
      resident.state !== undefined &&
      resident.pending.length === 0 &&
      !resident.dirty &&
      resident.holds === 0 &&
      resident.waiting.length === 0 &&
      this.#options.stored(resident.id)
    )
  }

  #passivate(resident: Resident<S>, scarce: boolean): void {
    const { state } = resident
    if (state === undefined) return
    this.#remove(resident)
    this.#countResident(-resident.bytes)
    this.putWarm(resident.id, state.pack(scarce))
  }
}
