/**
 * Who of the watched users is online. Each presence shard numbers its changes `(epoch, n)`; whoever missed one watches
 * again, after a short random wait, and gets the whole state. Not promised to be complete (EPHEMERAL-IS-EPHEMERAL).
 */
import { Limits } from "@parley/protocol/Limits"
import { fullJitter } from "./Backoff.ts"
import type { ClientSettings } from "./ClientSettings.ts"
import type { Cancel, Environment } from "./Environment.ts"
import { Observers, type Unsubscribe } from "./Observers.ts"
import type { AnswerOf, OpFields, PlainPush, Presence, Result } from "./PlainFrame.ts"

export interface UserPresence {
  readonly state: Presence
  /** Milliseconds since 1970; null while online, or where nobody knows. */
  readonly lastSeen: number | null
}

export interface PresenceHost {
  request<Name extends "presence_watch" | "presence_set">(
    op: Name,
    fields: OpFields<Name>,
    done: (result: Result<AnswerOf<Name>>) => void
  ): void
}

type PresencePush = Extract<PlainPush, { ev: "presence" }>

/** Pushes kept while a watch is under way; with more the watch is repeated. */
const earlyPushesMax = 256

const offline: UserPresence = { state: "offline", lastSeen: null }

export class PresenceView {
  readonly #host: PresenceHost
  readonly #environment: Environment
  readonly #settings: ClientSettings
  readonly #observers = new Observers()
  #users: ReadonlySet<string> = new Set()
  #states: ReadonlyMap<string, UserPresence> = new Map()
  /** Shard → the version held. */
  readonly #versions = new Map<number, { readonly epoch: number; readonly n: number }>()
  #own: "online" | "away" = "online"
  #open = false
  #timer: Cancel | undefined
  #failures = 0
  /** The watch whose answer is awaited. */
  #underWay: object | undefined
  #again = false
  /** Pushes between a watch and its answer: some are newer than the answer. */
  #early: Array<PresencePush> = []

  constructor(host: PresenceHost, environment: Environment, settings: ClientSettings) {
    this.#host = host
    this.#environment = environment
    this.#settings = settings
  }

  subscribe(observer: () => void): Unsubscribe {
    return this.#observers.add(observer)
  }

  /** A new map with each change. */
  snapshot(): ReadonlyMap<string, UserPresence> {
    return this.#states
  }

  of(user: string): UserPresence {
    return this.#states.get(user) ?? offline
  }

  /** Watches exactly these users; the first `presenceWatchesPerConnectionMax` of them. */
  watch(users: Iterable<string>): void {
    const wanted = new Set([...users].slice(0, Limits.presenceWatchesPerConnectionMax))
    if (wanted.size === this.#users.size && [...wanted].every((user) => this.#users.has(user))) return
    this.#users = wanted
    this.#set(new Map([...this.#states].filter(([user]) => wanted.has(user))))
    this.#soon(this.#settings.presenceGatherMs)
  }

  /** What others see of this user's device; said again on each connection. */
  setOwn(state: "online" | "away"): void {
    if (state === this.#own) return
    this.#own = state
    this.#sayOwn()
  }

  open(): void {
    this.#open = true
    this.#failures = 0
    if (this.#own !== "online") this.#sayOwn()
    if (this.#users.size > 0) this.#soon(0)
  }

  close(): void {
    this.#open = false
    this.#underWay = undefined
    this.#again = false
    this.#early = []
    this.#versions.clear()
    this.#timer?.()
    this.#timer = undefined
  }

  pushed(push: PresencePush): void {
    if (this.#users.size === 0) return
    if (this.#underWay) {
      if (this.#early.length < earlyPushesMax) this.#early.push(push)
      else this.#again = true
      return
    }
    const held = this.#versions.get(push.shard)
    if (held !== undefined && held.epoch === push.epoch && push.n <= held.n) return
    const next = held !== undefined && held.epoch === push.epoch && push.n === held.n + 1
    // The users in the push are as it says, whether or not something before it was missed.
    this.#apply(push.users)
    if (next) this.#versions.set(push.shard, { epoch: push.epoch, n: push.n })
    else this.#retry()
  }

  #apply(users: AnswerOf<"presence_watch">["users"]): void {
    const states = new Map(this.#states)
    for (const { user, state, last_seen } of users) {
      if (this.#users.has(user)) states.set(user, { state, lastSeen: last_seen })
    }
    this.#set(states)
  }

  #set(states: ReadonlyMap<string, UserPresence>): void {
    this.#states = states
    this.#observers.changed()
  }

  #sayOwn(): void {
    if (this.#open) this.#host.request("presence_set", { state: this.#own }, () => {})
  }

  #soon(ms: number): void {
    if (!this.#open || this.#timer !== undefined) return
    this.#timer = this.#environment.after(ms, () => {
      this.#timer = undefined
      this.#ask()
    })
  }

  #retry(): void {
    const { backoffBaseMs, backoffMaxMs } = this.#settings
    this.#soon(fullJitter(this.#failures, backoffBaseMs, backoffMaxMs, this.#environment.random()))
  }

  #ask(): void {
    if (!this.#open) return
    if (this.#underWay !== undefined) {
      this.#again = true
      return
    }
    const watch = {}
    this.#underWay = watch
    this.#again = false
    this.#host.request("presence_watch", { users: [...this.#users] }, (result) => {
      if (this.#underWay !== watch) return
      this.#underWay = undefined
      if (result._tag === "Ok") {
        this.#failures = 0
        this.#versions.clear()
        for (const { shard, epoch, n } of result.value.shards) this.#versions.set(shard, { epoch, n })
        this.#apply(result.value.users)
        for (const push of this.#early.splice(0)) this.pushed(push)
        if (this.#again) this.#retry()
      } else if (result._tag === "Lost" || result.error.retryable) {
        this.#failures += 1
        this.#retry()
      }
    })
  }
}
