/** The real NATS that tests run against, connections to it, and names that no other test has. */
import { jetstreamManager } from "@nats-io/jetstream"
import { connect, type ConnectionOptions, type NatsConnection, nuid } from "@nats-io/transport-node"
import { Effect, type Scope } from "effect"
import { natsOptionsNow } from "../../../storage/test/Services.ts"
import { type NatsProxy, natsProxy } from "./NatsProxy.ts"

export const natsServers = (): ReadonlyArray<string> =>
  natsOptionsNow().servers.map((server) => server.replace(/^nats:\/\//, ""))

export const uniqueName = (prefix: string) => `${prefix}-${nuid.next().slice(-8)}`

export const connected = (options: ConnectionOptions = {}): Effect.Effect<NatsConnection, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() =>
      connect({ ...natsOptionsNow(), maxReconnectAttempts: -1, reconnectTimeWait: 100, ...options })
    ),
    (connection) => Effect.promise(() => connection.close())
  )

export const proxied: Effect.Effect<NatsProxy, never, Scope.Scope> = Effect.acquireRelease(
  // There is one by then.
  Effect.promise(() => natsProxy(natsServers()[0] ?? "")),
  (proxy) => Effect.promise(() => proxy.close())
)

/** Connected through the proxy, and by no other way. */
export const connectedThrough = (proxy: NatsProxy) =>
  connected({ servers: [proxy.address], ignoreClusterUpdates: true, pingInterval: 60_000 })

/** A bucket's name; the bucket is removed when the test ends. */
export const temporaryBucket: Effect.Effect<string, never, Scope.Scope> = Effect.gen(function* () {
  const connection = yield* connected()
  return yield* Effect.acquireRelease(
    Effect.sync(() => uniqueName("parley-test-leases")),
    (bucket) =>
      Effect.promise(async () => {
        const manager = await jetstreamManager(connection)
        await manager.streams.delete(`KV_${bucket}`).catch(() => {})
      })
  )
})

/** Waits for a condition, never for a time; fails after a bound. */
/** The longest time that this process stood still since then, in ms: on a busy machine it is late by that. */
export const stallsFromNow = Effect.gen(function* () {
  let longest = 0
  let last = performance.now()
  const look = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }
  const timer = setInterval(look, 1)
  yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(timer)))
  return () => {
    look()
    return longest
  }
})

export const until = (what: string, condition: () => boolean, boundMs = 15_000): Effect.Effect<void> =>
  Effect.gen(function* () {
    const deadline = performance.now() + boundMs
    while (!condition()) {
      if (performance.now() > deadline) yield* Effect.die(new Error(`never came: ${what}`))
      yield* Effect.sleep(5)
    }
  })
