/**
 * The stores of a simulated cluster: the memory backends behind the network. Calls fail before they are done or after,
 * take long, arrive when nobody waits any more; the whole store can be away, and can lose what it had not synced. What
 * is there outlives every node.
 */
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { ChannelStore, layerComposed } from "@parley/storage/ChannelStore"
import { CursorStore } from "@parley/storage/CursorStore"
import { Directory } from "@parley/storage/Directory"
import { Inbox } from "@parley/storage/Inbox"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { MessageStore, type StoredEvent } from "@parley/storage/MessageStore"
import { ParkedEvents } from "@parley/storage/ParkedEvents"
import { StoreRefused, StoreUnavailable } from "@parley/storage/StoreError"
import { StoreSync } from "@parley/storage/StoreSync"
import type { Random } from "../harness/Random.ts"
import type { SimNetwork } from "./SimNetwork.ts"
import type { SimProcess, VirtualTime } from "./VirtualTime.ts"

export type AllStores = MessageStore | CursorStore | Directory | Inbox | ParkedEvents | StoreSync | ChannelStore

/** Parts of one. */
export interface StoreWeather {
  readonly failsBefore: number
  readonly failsAfter: number
  /** It is done long after its caller gave it up. */
  readonly late: number
}
export const goodStore: StoreWeather = { failsBefore: 0, failsAfter: 0, late: 0 }

const waitMs = 2_000
const lateMsMax = 8_000

/** Methods that change something. */
const changes = /^(write|put|add|remove|merge|move|active|forget)/

const build = (): Context.Context<AllStores> =>
  Effect.runSync(
    Effect.gen(function* () {
      return yield* Layer.buildWithScope(layerMemoryStores, yield* Scope.make())
    })
  )

type Call = Effect.Effect<unknown, unknown>

export interface SimStoresOptions {
  readonly time: VirtualTime
  readonly network: SimNetwork
  readonly random: Random
  /** A step of the persister, and what a cold channel wakes with, is one call; otherwise part by part. */
  readonly atomic: boolean
}

/** Longer than a process takes from a write to the sync that is about it, pauses and suspensions in it. */
const unsyncedMsMax = 15_000

export class SimStores {
  weather: StoreWeather = goodStore
  /** Events that the stores do not take, whenever they are tried (†26). */
  poison: ((event: StoredEvent) => boolean) | undefined = undefined
  away = false
  readonly host: SimProcess
  readonly #options: SimStoresOptions
  #memory = build()
  /** Changes in order, and how many of them are on stable storage. */
  readonly #journal: Array<(stores: Context.Context<AllStores>) => Call> = []
  #synced = 0
  /** When the power went. */
  #lostAt = -Infinity

  constructor(options: SimStoresOptions) {
    this.#options = options
    this.host = options.time.process("store", "store")
  }

  /** As it is, without the network. */
  get memory(): Context.Context<AllStores> {
    return this.#memory
  }

  /** The power goes: what was not synced is gone. */
  losePower(): void {
    this.#lostAt = this.#options.time.now
    this.#journal.length = this.#synced
    this.#memory = build()
    for (const change of this.#journal) Effect.runSyncExit(change(this.#memory))
  }

  /** The stores as one simulated process has them. */
  services(): Context.Context<AllStores> {
    // What was written before a loss of power may be gone: a sync that comes after it can't say that it is there, whoever asks.
    const sync = Effect.suspend(() => {
      if (this.#lostAt > this.#options.time.now - unsyncedMsMax) {
        return Effect.fail(new StoreUnavailable({ store: "simulated", cause: new Error("the power went") }))
      }
      this.#synced = this.#journal.length
      return Effect.void
    })
    const parts = Context.make(MessageStore, this.#remote(MessageStore)).pipe(
      Context.add(CursorStore, this.#remote(CursorStore)),
      Context.add(Directory, this.#remote(Directory)),
      Context.add(Inbox, this.#remote(Inbox)),
      Context.add(ParkedEvents, this.#remote(ParkedEvents)),
      Context.add(
        StoreSync,
        StoreSync.of({
          // as: it can't fail otherwise
          sync: this.#ask(() => sync) as Effect.Effect<void, StoreUnavailable>,
          periodic: false
        })
      )
    )
    const channels = this.#options.atomic
      ? this.#remote(ChannelStore)
      : Context.get(
          Effect.runSync(
            Effect.gen(function* () {
              return yield* Layer.buildWithScope(layerComposed, yield* Scope.make())
            }).pipe(Effect.provide(parts))
          ),
          ChannelStore
        )
    return Context.add(parts, ChannelStore, channels)
  }

  /** Each method as a call over the network. */
  #remote<I extends AllStores, S extends object>(service: Context.Key<I, S>): S {
    const get = (stores: Context.Context<AllStores>): S => Context.get(stores, service)
    const methods = Object.keys(get(this.#memory)).map((name) => {
      const call = (...given: ReadonlyArray<unknown>) => {
        const run = (stores: Context.Context<AllStores>): Call =>
          // as: all methods of the seams are functions that answer with an effect
          (get(stores) as Record<string, (...given: ReadonlyArray<unknown>) => Call>)[name]?.(...given) ?? Effect.void
        return this.#ask(() => {
          const refused = name === "write" ? this.#refused(given[0]) : undefined
          if (refused !== undefined) return Effect.fail(new StoreRefused({ store: "simulated", what: refused }))
          if (changes.test(name)) this.#journal.push(run)
          return run(this.#memory)
        })
      }
      return [name, call] as const
    })
    // as: the same methods with the same answers
    return Object.fromEntries(methods) as S
  }

  /** Of a write of events, or of all that a step of the persister has: why it is not taken. */
  #refused(given: unknown): string | undefined {
    const { poison } = this
    if (poison === undefined || typeof given !== "object" || given === null) return undefined
    // as: the argument of `MessageStore.write` or of `ChannelStore.write`
    const events = (
      Array.isArray(given) ? given : (given as { readonly events: unknown }).events
    ) as ReadonlyArray<StoredEvent>
    const found = events.find(poison)
    return found === undefined ? undefined : `${found.seq} of ${found.channel}`
  }

  #ask(call: () => Call): Call {
    return Effect.callback<unknown, unknown>((resume) => {
      const { network, random, time } = this.#options
      const unavailable = (cause: string) =>
        resume(Effect.fail(new StoreUnavailable({ store: "simulated", cause: new Error(cause) })))
      const handle = (): Exit.Exit<unknown, unknown> | undefined => {
        if (this.away) return undefined
        if (random.next() < this.weather.failsBefore) return undefined
        const exit = Effect.runSyncExit(call())
        return random.next() < this.weather.failsAfter ? undefined : exit
      }
      if (random.next() < this.weather.late) time.after(random.next() * lateMsMax, this.host, () => void handle())
      network.ask(this.host, waitMs, handle, (answer) => {
        if (answer === undefined) unavailable("no answer in time")
        else if (answer.got === undefined) unavailable("not now")
        else if (Exit.isSuccess(answer.got)) resume(Effect.succeed(answer.got.value))
        else resume(Effect.failCause(answer.got.cause))
      })
    })
  }
}
