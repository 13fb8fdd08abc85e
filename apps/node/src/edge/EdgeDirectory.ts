/**
 * The edges of a cluster as each node knows them: every edge says each second where it is, how full and how late, on
 * core NATS, and is forgotten when it falls silent. A hint and no more: who is sent to an edge that has just gone tries
 * the next one. On one machine there is one edge, and clients know its address.
 */
import type { NatsConnection } from "@nats-io/transport-node"
import { Context, Effect, Layer, Result, Schema } from "effect"
import { Limits } from "@parley/protocol/Limits"
import { NodeConfig } from "../NodeConfig.ts"
import { Edge, Listening } from "./Edge.ts"

export interface EdgeAddress {
  readonly url: string
  readonly zone: string
}

export interface SeenEdge extends EdgeAddress {
  readonly name: string
  readonly connections: number
  /** It takes connections: neither overloaded nor leaving. */
  readonly open: boolean
  readonly heardMs: number
}

export class EdgeDirectory extends Context.Service<
  EdgeDirectory,
  {
    /** Those of the zone first, then by load; one that stops or is overloaded is not among them. */
    choose(zone: string): ReadonlyArray<EdgeAddress>
    /** All that were heard lately, by name. */
    readonly all: () => ReadonlyArray<SeenEdge>
    /** Has an edge tell its clients to move and take no more, or take them again; false: nobody of that name is known. */
    readonly leave: (name: string, leaves: boolean) => Effect.Effect<boolean>
  }
>()("@parley/node/EdgeDirectory") {
  /** Nobody is sent elsewhere. */
  static readonly layerAlone = Layer.succeed(EdgeDirectory, {
    choose: () => [],
    all: () => [],
    leave: () => Effect.succeed(false)
  })

  static readonly layerNats = (options: {
    readonly connection: NatsConnection
    readonly subject: string
    readonly wishSubject: (edge: string) => string
  }) =>
    Layer.effect(
      EdgeDirectory,
      Effect.gen(function* () {
        const { connection, subject, wishSubject } = options
        const edges = new EdgesHeard()
        yield* Effect.acquireRelease(
          Effect.sync(() =>
            connection.subscribe(subject, {
              callback: (error, message) => {
                if (error !== null) return
                const said = decodeWord(message.data)
                if (Result.isSuccess(said)) edges.heard(said.success, performance.now())
              }
            })
          ),
          (subscription) => Effect.sync(() => subscription.unsubscribe())
        )
        yield* takeWishes(connection, wishSubject)
        yield* announce(connection, subject).pipe(Effect.forkScoped)
        return {
          choose: (zone) => edges.choose(zone, performance.now()),
          all: () => edges.all(performance.now()),
          leave: (name, leaves) =>
            Effect.sync(() => {
              if (!edges.knows(name) || connection.isClosed()) return false
              connection.publish(wishSubject(name), leaves ? leaveWord : comeBackWord)
              return true
            })
        }
      })
    )
}

/** How often an edge says so, and after how long a silence it is not named any more. */
export const announceMs = 1_000
export const silenceMsMax = 3_500
/** Edges that are kept in mind. */
const edgesMax = 4_096

/** An operator's wish is said once; that it was heard shows in what the edge says of itself next. */
const leaveWord = "leave"
const comeBackWord = "come back"

const takeWishes = Effect.fnUntraced(function* (connection: NatsConnection, wishSubject: (edge: string) => string) {
  const edge = yield* Edge
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      connection.subscribe(wishSubject(edge.name), {
        callback: (error, message) => {
          if (error !== null) return
          const wish = message.string()
          if (wish === leaveWord) edge.leave()
          else if (wish === comeBackWord) edge.comeBack()
        }
      })
    ),
    (subscription) => Effect.sync(() => subscription.unsubscribe())
  )
})

/** What an edge says of itself. `load`: the share of its connections that is taken. */
const Word = Schema.Struct({
  name: Schema.String,
  url: Schema.String,
  zone: Schema.String,
  load: Schema.Number,
  open: Schema.Boolean,
  /** Those of an older version don't say it. */
  connections: Schema.optionalKey(Schema.Int)
})
type Word = (typeof Word)["Type"]

const decodeText = Schema.decodeUnknownResult(Schema.fromJsonString(Word))
const decodeWord = (data: Uint8Array): Result.Result<Word, unknown> => decodeText(Buffer.from(data).toString("utf8"))

const announce = Effect.fnUntraced(function* (connection: NatsConnection, subject: string) {
  const settings = yield* NodeConfig
  const edge = yield* Edge
  const { host, port } = yield* Listening
  const url = settings.edgeUrl === "" ? `http://${host}:${port}` : settings.edgeUrl
  const say = Effect.sync(() => {
    if (connection.isClosed()) return
    const word: Word = {
      name: edge.name,
      url,
      zone: settings.zone,
      load: edge.runtime.connections.size / settings.connectionsMax,
      open: !edge.draining() && !edge.runtime.lag.overloaded,
      connections: edge.runtime.connections.size
    }
    connection.publish(subject, JSON.stringify(word))
  })
  // The last word sends nobody here any more.
  yield* Effect.addFinalizer(() => say)
  yield* say.pipe(Effect.andThen(Effect.sleep(announceMs)), Effect.forever)
})

/** Apart from NATS and time, for tests. */
export class EdgesHeard {
  readonly #words = new Map<string, { readonly word: Word; readonly at: number }>()
  readonly #random: () => number

  constructor(random: () => number = Math.random) {
    this.#random = random
  }

  heard(word: Word, now: number): void {
    this.#words.delete(word.name)
    this.#words.set(word.name, { word, at: now })
    for (const [name, { at }] of this.#words) {
      if (now - at <= silenceMsMax && this.#words.size <= edgesMax) break
      this.#words.delete(name)
    }
  }

  knows(name: string): boolean {
    return this.#words.has(name)
  }

  all(now: number): ReadonlyArray<SeenEdge> {
    return [...this.#words.values()]
      .filter(({ at }) => now - at <= silenceMsMax)
      .sort((a, b) => (a.word.name < b.word.name ? -1 : 1))
      .map(({ at, word: { connections = 0, name, open, url, zone } }) => ({
        name,
        url,
        zone,
        open,
        connections,
        heardMs: Math.max(0, Math.round(now - at))
      }))
  }

  choose(zone: string, now: number): ReadonlyArray<EdgeAddress> {
    return [...this.#words.values()]
      .filter(({ at, word }) => word.open && now - at <= silenceMsMax)
      .map(({ word }) => ({ word, weight: this.#weight(word, zone) }))
      .sort((a, b) => a.weight - b.weight)
      .slice(0, Limits.edgesListedMax)
      .map(({ word }) => ({ url: word.url, zone: word.zone }))
  }

  /** With chance in it, more than loads differ as a rule: all who ask within a second know the same loads. */
  #weight({ load, zone }: Word, wanted: string): number {
    return (zone === wanted ? 0 : 2) + load + this.#random() * loadSpread
  }
}

const loadSpread = 0.25
