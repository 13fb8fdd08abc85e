/**
 * A whole runtime in one process for tests, over memory or SQLite: what an edge would ask, asked directly.
 */
import { Effect, Layer, Option, type Scope } from "effect"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import type { LocalBus } from "@parley/actors/fanout/LocalBus"
import { LinkBus, OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type {
  Attached,
  Caller,
  ChannelAck,
  ChannelMutation,
  LinkItem,
  LinkMessage,
  OwnerReply,
  OwnerRequest,
  SessionView,
  SyncResult
} from "@parley/actors/owner/OwnerProtocol"
import type { ApiFailure } from "@parley/protocol/ApiError"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { layerRuntime } from "../../src/Runtime.ts"
import { layerNatsRuntime, NodeLinks } from "./NatsWorld.ts"

export const shardCount = 4

/** What every world is made with from now on: a test file may run the scenarios of others once more over NATS. */
let bus: "local" | "nats" = "local"
export const useBus = (kind: typeof bus): void => {
  bus = kind
}

const local = layerRuntime({ shardCount })
/** What both kinds have. */
type WorldRuntime = Layer.Layer<
  Exclude<Layer.Success<typeof local>, LocalBus>,
  Layer.Error<typeof local>,
  Layer.Services<typeof local>
>
const layerWorldRuntime: WorldRuntime = Layer.suspend((): WorldRuntime =>
  bus === "local" ? local : layerNatsRuntime({ shardCount })
)

export const layerMemoryWorld = layerWorldRuntime.pipe(
  Layer.provideMerge(MemoryEventLog.layer({ positions: "dense" })),
  Layer.provideMerge(layerMemoryStores)
)
/** The one whose links a test may disturb. */
export const layerLocalWorld = local.pipe(
  Layer.provideMerge(MemoryEventLog.layer({ positions: "dense" })),
  Layer.provideMerge(layerMemoryStores)
)

export class Failed extends Error {
  readonly failure: ApiFailure
  constructor(failure: ApiFailure) {
    super(failure.code)
    this.failure = failure
  }
}

let serial = 0
/** A client id of `at` (default: now). */
export const newId = (at = Date.now()): string => {
  const time = at.toString(16).padStart(12, "0")
  const tail = (++serial).toString(16).padStart(12, "0")
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${tail}`
}

export const callerOf = (user: string): Caller => ({ user, device: "d1", connection: 0, edge: "test" })

/** An edge in a test: what reached it over its links. */
export interface TestEdge {
  readonly name: string
  readonly items: Array<LinkItem>
  readonly messages: Array<LinkMessage>
}

const prober = "nobody"
/** NATS servers tell each other who listens after they have said so to him: until then what the node says is lost. */
const untilKnown = (edge: string, known: () => boolean) =>
  Effect.serviceOption(NodeLinks).pipe(
    Effect.flatMap(
      Option.match({
        onNone: () => Effect.void,
        onSome: (node) =>
          until(
            `the node knows ${edge}`,
            Effect.sync(() => {
              node.publish({ owner: prober, start: 0, edge, number: 0, items: [], digest: null })
              return known()
            })
          )
      })
    )
  )

export const world = Effect.gen(function* () {
  const calls = yield* OwnerCalls
  const links = yield* LinkBus

  const ask = <A>(id: string, request: OwnerRequest): Effect.Effect<A, Failed> =>
    Effect.callback<A, Failed>((resume) => {
      calls.request(calls.shardOf(id), request, (reply) => {
        // The answer's type is the request's, as the protocol says.
        if ("ok" in reply) resume(Effect.succeed(reply.ok as A))
        else resume(Effect.fail(new Failed(reply.failure)))
      })
    })
  const mutate = (user: string, mutation: ChannelMutation, admin = false) =>
    ask<ChannelAck>(mutation.channel, { _tag: "Mutate", caller: callerOf(user), mutation, admin })
  const send = (user: string, channel: string, text: string, cid = newId()) =>
    mutate(user, { op: "send", channel, cid, text, mentions: [] })
  const create = (user: string, channel: string, members: ReadonlyArray<string>, cid = newId()) =>
    mutate(user, { op: "create", channel, cid, name: channel, topic: "", members })
  const history = (
    user: string,
    channel: string,
    range: { before?: number; after?: number; around?: number; limit?: number } = {}
  ) =>
    ask<string>(channel, {
      _tag: "History",
      user,
      admin: false,
      channel,
      before: range.before ?? null,
      after: range.after ?? null,
      around: range.around ?? null,
      limit: range.limit ?? 50
    }).pipe(Effect.map((text) => JSON.parse(text) as HistoryPage)) // the protocol's `history` answer
  const open = (user: string, after = { generation: 0, seq: 0 }) =>
    ask<SessionView>(user, { _tag: "Open", user, after })
  const sync = (
    user: string,
    channel: string,
    held: { generation: number; seq: number } | null,
    cursor = { generation: 0, seq: 0 }
  ) =>
    ask<ReadonlyArray<SyncResult>>(channel, {
      _tag: "Sync",
      user,
      items: [{ channel, held, cursor }],
      eventsMax: 200,
      bytesMax: 262_144
    }).pipe(Effect.map((results) => results[0]))
  const attach = (edge: TestEdge, topic: string, users: ReadonlyArray<string>) =>
    Effect.callback<Attached, Failed>((resume) => {
      const shard = calls.shardOf(topic.slice(2))
      calls.attach({ shard, edge: edge.name, topics: [{ topic, users }] }, (reply: OwnerReply<Attached>) => {
        if ("ok" in reply) resume(Effect.succeed(reply.ok))
        else resume(Effect.fail(new Failed(reply.failure)))
      })
    })
  const edge = (name: string): Effect.Effect<TestEdge, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const self: TestEdge = { name, items: [], messages: [] }
        let known = false
        const stop = links.subscribe(name, (message) => {
          known = true
          if (message.owner === prober) return
          self.messages.push(message)
          self.items.push(...message.items)
        })
        return { self, stop, known: () => known }
      }),
      ({ stop }) => Effect.sync(stop)
    ).pipe(
      Effect.tap(({ known }) => untilKnown(name, known)),
      Effect.map(({ self }) => self)
    )
  return { ask, attach, calls, create, edge, history, mutate, open, send, sync }
})

interface HistoryPage {
  readonly from: number
  readonly to: number
  readonly before: boolean
  readonly after: boolean
  readonly events: ReadonlyArray<{
    readonly seq: number
    readonly n: number
    readonly text: string
    readonly by: string
    readonly edited?: number
    readonly deleted?: number
  }>
}

/** Waits for a condition, never for a time; fails after a bound. */
export const until = <E, R>(what: string, condition: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.gen(function* () {
    for (let tries = 0; tries < 1_000; tries++) {
      if (yield* condition) return
      yield* Effect.sleep(10)
    }
    yield* Effect.die(new Error(`never came: ${what}`))
  })

/** All channels of the id's shard are neither resident nor warm: the next question about one goes to the store. */
export const untilCold = (channel: string) =>
  Effect.gen(function* () {
    const { calls } = yield* world
    const { runner } = yield* LocalRunnerService
    yield* until(
      "it is cold",
      Effect.sync(() => {
        const owner = runner.owner(calls.shardOf(channel))
        owner?.sweep()
        const { residentCount, warmCount } = owner?.channels.residents ?? { residentCount: 1, warmCount: 1 }
        return residentCount + warmCount === 0
      })
    )
  })
