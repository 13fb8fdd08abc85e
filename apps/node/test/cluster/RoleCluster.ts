/**
 * A small cluster on a NATS of its own, where everybody has a user by nkey with the permissions of its role, over TLS
 * with certificates on both sides: a node that runs shards, a worker that writes behind it, and three that are edges only,
 * two of them on one port. Stores are in memory, the same for all.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { connect, type NatsConnection, nkeyAuthenticator } from "@nats-io/transport-node"
import { Context, Effect, Exit, Layer, Logger, Scope } from "effect"
import { connectNats, type NatsOptions } from "@parley/storage/jetstream/Nats"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { startServices } from "../../../../infra/services/Services.ts"
import type { NatsUser } from "../../../../infra/services/NatsServerConfig.ts"
import { makeAuthority } from "../../../../infra/test/Certificates.ts"
import { makeNatsUsers, type NatsKeyUser } from "../../src/cli/NatsUsers.ts"
import { natsOptions } from "../../src/ClusterConnections.ts"
import { Authentication } from "../../src/edge/Authentication.ts"
import { Listening } from "../../src/edge/Edge.ts"
import { layerLog, layerNats } from "../../src/ClusterStorage.ts"
import { layerEdgeOverStorage, layerRunnerOverStorage, layerWorkerOverStorage } from "../../src/ClusterNode.ts"
import { NodeConfig, type NodeSettings } from "../../src/NodeConfig.ts"
import { TestClient } from "../edge/EdgeHarness.ts"

export const cluster = "roles"
export const prefix = `parley-${cluster}`
export const streams = 2

const withoutName = ({ nkey, permissions }: NatsKeyUser): NatsUser => ({ nkey, permissions })

/** The client's own connections check no IP address; here it is the server that is to check. */
const anyName = { checkServerIdentity: () => undefined }

/** Who works and is not attacked, and who is broken into. */
const nodes = { r1: "runner", w1: "worker", e1: "edge", e2: "edge", e3: "edge" } as const
export type NodeName = keyof typeof nodes

type EdgeName = Exclude<NodeName, "w1">

export interface ServedNode {
  readonly http: string
  /** A client that has said hello and synced. */
  join(user: string): Promise<TestClient>
}

export interface RoleCluster extends AsyncDisposable {
  readonly nodes: Readonly<Record<EdgeName, ServedNode>>
  readonly worker: Pick<ServedNode, "http">
  /** What NATS has written into its log. */
  natsLog(): string
  /** A connection with a node's own credentials, as one who has broken into it has. */
  breakInto(name: NodeName): Promise<NatsConnection>
  /** A connection by r1's key, over TLS with its own certificate, with none, or with one of another authority. */
  connectWith(certificate: "own" | "none" | "foreign"): Promise<NatsConnection>
  /** Of the operator, for HTTP. */
  operatorKey(): string
}

export const startRoleCluster = async (): Promise<RoleCluster> => {
  const folder = mkdtempSync(join(tmpdir(), "parley-roles-"))
  const authority = makeAuthority(folder)
  const server = authority.issue("nats")
  const foreign = makeAuthority(folder, "foreign").issue("stranger")
  const names = ["r1", "w1", "e1", "e2", "e3"] as const
  const users = makeNatsUsers({
    cluster,
    runners: names.filter((name) => nodes[name] === "runner"),
    edges: names.filter((name) => nodes[name] === "edge"),
    workers: names.filter((name) => nodes[name] === "worker"),
    streams,
    keys: folder
  })
  const services = await startServices({
    data: join(folder, "services"),
    temporary: true,
    environment: { ...process.env, PARLEY_NATS: "" },
    nats: {
      nodes: 1,
      users: () => users.nodes.map(withoutName),
      systemUsers: () => [withoutName(users.system)],
      tls: {
        certificateFile: server.certFile,
        keyFile: server.keyFile,
        authorityFile: authority.caFile,
        verify: true
      }
    }
  })
  const nats = services.state.natsServers ?? []
  const certificates = new Map(names.map((name) => [name, authority.issue(name)]))
  /** Of e2 and e3; 0 until the first of them has one. */
  let sharedPort = 0
  const settingsOf = (name: NodeName): Partial<NodeSettings> => {
    const { certFile = "", keyFile = "" } = certificates.get(name) ?? {}
    return {
      cluster,
      name,
      roles: [nodes[name]],
      ...(name === "e2" || name === "e3" ? { sharePort: true, port: sharedPort } : {}),
      data: folder,
      shards: 4,
      logStreams: streams,
      logReplicas: "1",
      unsafeLog: true,
      eventLoopLagMs: 60_000,
      drainWindowMs: 0,
      drainDeadlineMs: 100,
      nats,
      natsNkeySeed: join(folder, `${name}.nk`),
      natsSystemNkeySeed: nodes[name] === "runner" ? join(folder, "system.nk") : "",
      natsCa: authority.caFile,
      natsCert: certFile,
      natsKey: keyFile,
      ...(nodes[name] === "worker" ? { redis: ["redis://127.0.0.1:1"] } : {})
    }
  }
  const scope = await Effect.runPromise(Scope.make())
  const stores = Layer.succeedContext(await Effect.runPromise(Layer.buildWithScope(layerMemoryStores, scope)))
  const startWorker = async (): Promise<Pick<ServedNode, "http">> => {
    const layer = layerWorkerOverStorage.pipe(
      Layer.provide(Layer.merge(stores, layerLog)),
      Layer.provide([NodeConfig.layerTest(settingsOf("w1")), Logger.layer([])])
    )
    const context = await Effect.runPromise(Layer.buildWithScope(Layer.fresh(layer), scope))
    return { http: `http://127.0.0.1:${Context.get(context, Listening).port}` }
  }
  const start = async (name: EdgeName): Promise<ServedNode> => {
    const config = NodeConfig.layerTest(settingsOf(name))
    const runner = layerRunnerOverStorage.pipe(Layer.provide(Layer.merge(stores, layerLog)), Layer.provide(config))
    const edge = layerEdgeOverStorage.pipe(Layer.provide(Layer.merge(stores, layerNats)), Layer.provide(config))
    const layer = Layer.fresh(nodes[name] === "edge" ? edge : runner).pipe(Layer.provide(Logger.layer([])))
    const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
    const { port } = Context.get(context, Listening)
    if (name === "e2") sharedPort = port
    const { mint } = Context.get(context, Authentication)
    return {
      http: `http://127.0.0.1:${port}`,
      join: async (user) => {
        const client = await TestClient.open(`ws://127.0.0.1:${port}/v1/socket`)
        if (mint === null) throw new Error("development mode mints")
        const { token } = await Effect.runPromise(mint(user, 600))
        await client.request("hello", { token, device: "d1" })
        await client.request("sync", { channels: [], session: { generation: 0, seq: 0 } })
        return client
      }
    }
  }
  const [e1, r1, e2, worker] = await Promise.all([start("e1"), start("r1"), start("e2"), startWorker()])
  const e3 = await start("e3")
  const optionsOf = async (name: NodeName): Promise<NatsOptions> => {
    const settings = await Effect.runPromise(NodeConfig.pipe(Effect.provide(NodeConfig.layerTest(settingsOf(name)))))
    return { ...natsOptions(settings, "intruder"), firstConnectMs: 500 }
  }
  const dial = (options: NatsOptions) =>
    Effect.runPromise(connectNats(options).pipe(Effect.provide(Logger.layer([])), Scope.provide(scope)))
  return {
    nodes: { r1, e1, e2, e3 },
    worker,
    natsLog: () => services.state.nodes.map(({ launch }) => readFileSync(launch.log, "utf8")).join(""),
    breakInto: async (name) => dial(await optionsOf(name)),
    connectWith: (certificate) =>
      connect({
        servers: [...nats],
        authenticator: nkeyAuthenticator(readFileSync(join(folder, "r1.nk"))),
        tls: {
          caFile: authority.caFile,
          ...{ own: certificates.get("r1"), none: {}, foreign }[certificate],
          ...anyName
        },
        reconnect: false,
        timeout: 1_000
      }),
    operatorKey: () => readFileSync(join(folder, "operator.key"), "utf8"),
    [Symbol.asyncDispose]: async () => {
      await Effect.runPromise(Scope.close(scope, Exit.void))
      await services.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
