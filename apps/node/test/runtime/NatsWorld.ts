/**
 * The runtime of a node in one process, asked by an edge in another: each has connections, a bus and a directory of its
 * own, so that all that an edge asks and hears goes over real NATS.
 */
import { randomBytes } from "node:crypto"
import { connect, type NatsConnection } from "@nats-io/transport-node"
import { Context, Effect, Layer } from "effect"
import { MemoryOwnerDirectory } from "@parley/actors/cluster/MemoryOwnerDirectory"
import { NatsBus } from "@parley/actors/cluster/NatsBus"
import { LinkBus, OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import { ShardRoutes } from "@parley/actors/owner/ShardRoutes"
import { layerRuntimeOverBus } from "../../src/Runtime.ts"

const connection = Effect.acquireRelease(
  Effect.promise(() => {
    const servers = process.env["PARLEY_TEST_NATS"] ?? ""
    const user = process.env["PARLEY_TEST_NATS_USER"]
    const pass = process.env["PARLEY_TEST_NATS_PASSWORD"]
    if (servers === "") {
      throw new Error("This test needs NATS servers: set PARLEY_TEST_NATS, or run it by `npm test`, which starts them.")
    }
    return connect({
      servers: servers.split(","),
      ...(user === undefined || pass === undefined ? {} : { user, pass })
    })
  }),
  (made) => Effect.promise(() => made.close())
)

/** Short: a test has a call that nobody takes. */
const retryMsMax = 3_000

export interface NatsWorldOptions {
  readonly shardCount: number
  /** Whether the next message of calls, asked or answered, is lost. */
  readonly lose?: () => boolean
  readonly tryMsMax?: number
  readonly retryMsMax?: number
}

const processBus = (prefix: string, { lose, ...options }: NatsWorldOptions, directory: MemoryOwnerDirectory) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const made = yield* connection
      const calls = lose === undefined ? made : lossy(made, lose)
      const links = yield* connection
      return NatsBus.layer({ retryMsMax, ...options, calls, links, prefix }).pipe(Layer.provide(directory.layer))
    })
  )

/** The connection, but what it publishes is lost where `lose` says so. */
const lossy = (connection: NatsConnection, lose: () => boolean): NatsConnection =>
  new Proxy(connection, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key)
      if (key !== "publish") return typeof value === "function" ? value.bind(target) : value
      return (subject: string, bytes: Uint8Array, options?: { readonly reply?: string }) => {
        if (!lose()) target.publish(subject, bytes, options)
      }
    }
  })

/** The links as the node has them; those of the edge are `LinkBus`. */
export class NodeLinks extends Context.Service<NodeLinks, typeof LinkBus.Service>()("test/NodeLinks") {}

/** Needs the log and the stores. `OwnerCalls` and `LinkBus` are the edge's. */
export const layerNatsRuntime = (options: NatsWorldOptions) =>
  Layer.unwrap(
    Effect.sync(() => {
      const { shardCount } = options
      const prefix = `test-world-${randomBytes(6).toString("hex")}`
      const [ofNode, ofEdge] = [new MemoryOwnerDirectory(), new MemoryOwnerDirectory()]
      /** As the table of leases would, the directories hear who has a shard. */
      const listed = Layer.effect(
        ShardRoutes,
        Effect.gen(function* () {
          const routes = yield* ShardRoutes
          return ShardRoutes.of({
            ...routes,
            own: (shard, runner) => {
              routes.own(shard, runner)
              const owner = { runner: runner.name, epoch: runner.epochOf(shard) }
              ofNode.set(shard, owner)
              ofEdge.set(shard, owner)
            }
          })
        })
      )
      const node = layerRuntimeOverBus({ shardCount }).pipe(
        Layer.provideMerge(Layer.effect(NodeLinks, LinkBus)),
        Layer.provideMerge(listed),
        Layer.provideMerge(processBus(prefix, options, ofNode))
      )
      const edge = Layer.effectContext(
        Effect.gen(function* () {
          const context = yield* Layer.build(Layer.fresh(processBus(prefix, options, ofEdge)))
          return Context.make(OwnerCalls, Context.get(context, OwnerCalls)).pipe(
            Context.add(LinkBus, Context.get(context, LinkBus))
          )
        })
      )
      return edge.pipe(Layer.provideMerge(node))
    })
  )
