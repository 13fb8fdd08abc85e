/** What tests of the cluster over real NATS share: connections, a process's bus, and a runner that does as it is told. */
import { randomBytes } from "node:crypto"
import { createConnection, createServer, type Socket } from "node:net"
import { connect, type NatsConnection } from "@nats-io/transport-node"
import { Context, Effect, Layer, type Scope } from "effect"
import { MemoryOwnerDirectory } from "@parley/actors/cluster/MemoryOwnerDirectory"
import { NatsBus, type NatsBusOptions } from "@parley/actors/cluster/NatsBus"
import { CommitSignal } from "@parley/actors/fanout/CommitSignal"
import { shardOf } from "@parley/actors/fanout/ShardHash"
import type { LocalRunner } from "@parley/actors/owner/LocalRunner"
import { LinkBus, OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type { Attach, Attached, Detach, OwnerReply, OwnerRequest } from "@parley/actors/owner/OwnerProtocol"
import { ShardRoutes } from "@parley/actors/owner/ShardRoutes"
import { natsOptionsNow } from "../../../storage/test/Services.ts"

export const shardCount = 16

/** Another prefix for each test: they run side by side on one NATS. */
export const newPrefix = (): string => `test-transport-${randomBytes(6).toString("hex")}`

/** A connection to the server of that number, counted round. */
export const natsConnection = (server = 0): Effect.Effect<NatsConnection, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => {
      const { servers, ...login } = natsOptionsNow()
      return connect({
        ...login,
        servers: servers[server % servers.length] ?? "",
        reconnectTimeWait: 50,
        maxReconnectAttempts: -1
      })
    }),
    (connection) => Effect.promise(() => connection.close())
  )

/**
 * Waits until a connection to one server reaches what another connection to another server subscribes to by now: servers
 * tell each other of subscriptions in their order, and later than they answer a flush.
 */
export const reaches = (from: NatsConnection, to: NatsConnection, prefix: string): Effect.Effect<void> =>
  Effect.gen(function* () {
    const subject = `${prefix}.reached`
    let reached = false
    const subscription = to.subscribe(subject, {
      callback: () => {
        reached = true
      }
    })
    yield* until("one server knows of the other's subscriptions", () => {
      if (!reached) from.publish(subject)
      return reached
    })
    subscription.unsubscribe()
  })

/** The connection, but what it publishes is lost where `lose` says so. */
export const lossy = (
  connection: NatsConnection,
  lose: (subject: string, bytes: Uint8Array) => boolean
): NatsConnection =>
  new Proxy(connection, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key)
      if (key !== "publish") return typeof value === "function" ? value.bind(target) : value
      return (subject: string, bytes: Uint8Array, options?: { readonly reply?: string }) => {
        if (!lose(subject, bytes)) target.publish(subject, bytes, options)
      }
    }
  })

/** A way to a NATS server that a test can cut, mend and hold up. */
export interface Way {
  readonly address: string
  /** Ends what is connected and takes nothing new, until `mend`. */
  cut(): void
  mend(): void
  /** Nothing goes through any more, and nobody is told. */
  holdUp(): void
}

export const wayToNats = (server = 0): Effect.Effect<Way, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Way & { readonly close: () => void }>((resume) => {
      const { servers } = natsOptionsNow()
      const { hostname, port } = new URL(servers[server % servers.length] ?? "")
      const sockets = new Set<Socket>()
      let open = true
      const listener = createServer((near) => {
        if (!open) return void near.destroy()
        const far = createConnection(Number(port), hostname)
        for (const [one, other] of [
          [near, far],
          [far, near]
        ] as const) {
          sockets.add(one)
          one.on("data", (data) => other.write(data))
          one.on("error", () => {})
          one.on("close", () => {
            sockets.delete(one)
            other.destroy()
          })
        }
      })
      const end = () => {
        for (const socket of sockets) socket.destroy()
      }
      listener.listen(0, "127.0.0.1", () => {
        const address = listener.address()
        resume(
          Effect.succeed({
            address: `nats://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
            cut: () => {
              open = false
              end()
            },
            mend: () => {
              open = true
            },
            holdUp: () => {
              for (const socket of sockets) socket.pause()
            },
            close: () => {
              end()
              listener.close()
            }
          })
        )
      })
    }),
    (way) => Effect.sync(way.close)
  )

/** A connection over that way, which stays with it. */
export const connectionOver = (way: Way): Effect.Effect<NatsConnection, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() =>
      connect({
        ...natsOptionsNow(),
        servers: way.address,
        ignoreClusterUpdates: true,
        reconnectTimeWait: 20,
        maxReconnectAttempts: -1
      })
    ),
    (connection) => Effect.promise(() => connection.close())
  )

export interface TestProcess {
  readonly bus: NatsBus["Service"]
  readonly calls: OwnerCalls["Service"]
  readonly routes: ShardRoutes["Service"]
  readonly links: LinkBus["Service"]
  readonly signals: CommitSignal["Service"]
  readonly directory: MemoryOwnerDirectory
  readonly connections: { readonly calls: NatsConnection; readonly links: NatsConnection }
}

/** A process's worth of bus, over connections and a directory of its own. */
export const testProcess = (
  prefix: string,
  options: Partial<NatsBusOptions> & { readonly server?: number } = {}
): Effect.Effect<TestProcess, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { server = 0, ...bounds } = options
    const calls = yield* natsConnection(server)
    const links = yield* natsConnection(server)
    const directory = new MemoryOwnerDirectory()
    const scope = yield* Effect.scope
    const layer = NatsBus.layer({ calls, links, prefix, shardCount, ...bounds })
    const context = yield* Layer.buildWithScope(Layer.fresh(layer.pipe(Layer.provide(directory.layer))), scope)
    // The subscriptions are there when the server has answered.
    yield* Effect.promise(() => calls.flush())
    return {
      bus: Context.get(context, NatsBus),
      calls: Context.get(context, OwnerCalls),
      routes: Context.get(context, ShardRoutes),
      links: Context.get(context, LinkBus),
      signals: Context.get(context, CommitSignal),
      directory,
      connections: { calls, links }
    }
  })

/** Tells every process that the runner owns the shard, and waits until it is reachable. */
export const owns = (
  shard: number,
  owner: { readonly process: TestProcess; readonly runner: FakeRunner },
  epoch: number,
  told: ReadonlyArray<TestProcess>
): Effect.Effect<void> =>
  Effect.gen(function* () {
    owner.runner.epochs.set(shard, epoch)
    owner.process.routes.own(shard, owner.runner)
    yield* Effect.promise(() => owner.process.connections.calls.flush())
    for (const { directory } of told) directory.set(shard, { runner: owner.runner.name, epoch })
  })

type Answer = (request: OwnerRequest, reply: (reply: OwnerReply<unknown>) => void, notMine: () => void) => void

/** A runner that notes what it is asked, and answers as the test says. */
export class FakeRunner implements LocalRunner {
  readonly name: string
  readonly epochs = new Map<number, number>()
  readonly asked: Array<OwnerRequest> = []
  readonly attached: Array<Attach> = []
  readonly detached: Array<Detach> = []
  readonly resent: Array<readonly [start: number, edge: string, from: number]> = []
  answer: Answer = (_request, reply) => reply({ ok: {} })
  answerAttach: (attach: Attach, epoch: number) => OwnerReply<Attached> = ({ shard, topics }, epoch) => ({
    ok: {
      shard,
      epoch,
      interestVersion: this.attached.length,
      topics: topics.map(({ topic }) => ({ topic, head: 1, generation: 0, denied: [] }))
    }
  })

  constructor(name: string) {
    this.name = `${name}-${randomBytes(4).toString("hex")}`
  }

  epochOf(shard: number): number {
    return this.epochs.get(shard) ?? 0
  }

  serves(shard: number): boolean {
    return this.epochs.has(shard)
  }

  request(
    shard: number,
    epoch: number,
    request: OwnerRequest,
    reply: (reply: OwnerReply<unknown>) => void,
    notMine: () => void
  ): void {
    if (this.epochs.get(shard) !== epoch) return notMine()
    this.asked.push(request)
    this.answer(request, reply, notMine)
  }

  attach(epoch: number, attach: Attach, reply: (reply: OwnerReply<Attached>) => void, notMine: () => void): void {
    if (this.epochs.get(attach.shard) !== epoch) return notMine()
    this.attached.push(attach)
    reply(this.answerAttach(attach, epoch))
  }

  detach(detach: Detach): void {
    this.detached.push(detach)
  }

  /** Answers a request for link messages. */
  onResend: (start: number, edge: string, from: number) => void = () => {}

  resend(start: number, edge: string, from: number): void {
    this.resent.push([start, edge, from])
    this.onResend(start, edge, from)
  }
}

/** The call's answer. */
export const ask = (process: TestProcess, shard: number, request: OwnerRequest): Effect.Effect<OwnerReply<unknown>> =>
  Effect.callback((resume) => process.calls.request(shard, request, (reply) => resume(Effect.succeed(reply))))

let serial = 0
/** A channel of a shard, another one each time. */
export const channelIn = (shard: number): string => {
  for (;;) {
    const channel = `group:${++serial}`
    if (shardOf(channel, shardCount) === shard) return channel
  }
}

export const inspectOf = (channel: string): OwnerRequest => ({ _tag: "InspectChannel", channel, payloads: false })

/** Waits for a condition, never for a time; fails after a bound. */
export const until = (what: string, condition: () => boolean): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (let tries = 0; tries < 2_000; tries++) {
      if (condition()) return
      yield* Effect.sleep(5)
    }
    yield* Effect.die(new Error(`never came: ${what}`))
  })
