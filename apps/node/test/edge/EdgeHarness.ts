/**
 * A real edge over fake owners, and clients that are plain sockets: what a test sends is exactly what goes over the
 * wire. Everything waits for conditions.
 */
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Context, Effect, Layer, Scope, Exit } from "effect"
import { TestRunner } from "effect/cluster"
import { WebSocket } from "ws"
import { Authentication } from "../../src/edge/Authentication.ts"
import { Edge, Listening } from "../../src/edge/Edge.ts"
import { EdgeDirectory } from "../../src/edge/EdgeDirectory.ts"
import { layerHttp } from "../../src/http/Http.ts"
import { NodeConfig, type NodeSettings } from "../../src/NodeConfig.ts"
import { ParkedOperations } from "@parley/actors/fanout/Parking"
import { layerFakeDirectory } from "./FakeDirectory.ts"
import { FakeOwners } from "./FakeOwners.ts"

export interface Frame {
  // oxlint-disable-next-line typescript/no-explicit-any -- a test knows the shape of what it looks at
  readonly [field: string]: any
}

export class TestClient {
  readonly frames: Array<Frame> = []
  readonly socket: WebSocket
  closed: { readonly code: number; readonly reason: string } | undefined = undefined
  refusedWith: number | undefined = undefined
  #next = 1

  constructor(
    url: string,
    options: {
      readonly origin?: string
      readonly protocols?: Array<string>
      readonly headers?: Record<string, string>
      readonly localAddress?: string
    } = {}
  ) {
    const { protocols = ["parley.v1.json"], ...rest } = options
    this.socket = new WebSocket(url, protocols, rest)
    this.socket.on("message", (data) => this.frames.push(JSON.parse(String(data)))) // JSON of the server
    this.socket.on("close", (code, reason) => (this.closed = { code, reason: String(reason) }))
    this.socket.on("unexpected-response", (_request, response) => {
      this.refusedWith = response.statusCode
      response.resume()
      this.socket.terminate()
    })
    this.socket.on("error", () => {})
  }

  static async open(url: string, options: ConstructorParameters<typeof TestClient>[1] = {}): Promise<TestClient> {
    const client = new TestClient(url, options)
    await until(
      () =>
        client.socket.readyState === WebSocket.OPEN || client.refusedWith !== undefined || client.closed !== undefined
    )
    return client
  }

  raw(data: string | Buffer, binary = false): void {
    this.socket.send(data, { binary })
  }

  async request(op: string, fields: object = {}): Promise<Frame> {
    const id = this.#next++
    this.raw(JSON.stringify({ id, op, ...fields }))
    return this.answer(id)
  }

  /** Sends without waiting; the id of the request. */
  post(op: string, fields: object = {}): number {
    const id = this.#next++
    this.raw(JSON.stringify({ id, op, ...fields }))
    return id
  }

  async answer(id: number): Promise<Frame> {
    await until(() => this.frames.some((frame) => frame["re"] === id) || this.closed !== undefined)
    const found = this.frames.find((frame) => frame["re"] === id)
    if (found === undefined) throw new Error(`closed with ${this.closed?.code} before an answer to ${id}`)
    return found
  }

  async pushed(match: (frame: Frame) => boolean): Promise<Frame> {
    await until(() => this.frames.some(match))
    return this.frames.find(match)!
  }

  events(channel: string): Array<number> {
    return this.frames
      .filter((frame) => frame["ev"] === "event" && frame["channel"] === channel)
      .map((frame) => frame["to"])
  }

  async whenClosed(): Promise<{ readonly code: number; readonly reason: string }> {
    await until(() => this.closed !== undefined)
    return this.closed!
  }
}

/** Waits for a condition; a test that would wait for ever fails by its timeout. */
export const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
}

let clientIds = 0
/** A client id of about now. */
export const clientId = (at = Date.now()): string => {
  const time = at.toString(16).padStart(12, "0")
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${(++clientIds).toString(16).padStart(12, "0")}`
}

export class EdgeHarness {
  readonly owners: FakeOwners
  readonly context: Context.Context<Edge | Listening | Authentication | ParkedOperations>
  readonly #scope: Scope.Closeable
  readonly data: string
  readonly #clients: Array<TestClient> = []

  private constructor(
    owners: FakeOwners,
    context: Context.Context<Edge | Listening | Authentication | ParkedOperations>,
    scope: Scope.Closeable,
    data: string
  ) {
    this.owners = owners
    this.context = context
    this.#scope = scope
    this.data = data
  }

  static async start(settings: Partial<NodeSettings> = {}): Promise<EdgeHarness> {
    const owners = new FakeOwners()
    const data = await mkdtemp(join(tmpdir(), "parley-edge-"))
    const config = NodeConfig.layerTest({ data, drainWindowMs: 0, drainDeadlineMs: 100, ...settings })
    const layer = layerHttp.pipe(
      Layer.provide(EdgeDirectory.layerAlone),
      Layer.provideMerge(Edge.layer),
      Layer.provideMerge(Authentication.layer),
      Layer.provideMerge(ParkedOperations.layer),
      Layer.provide([config, owners.layer, layerFakeDirectory, TestRunner.layer])
    )
    const scope = await Effect.runPromise(Scope.make())
    const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
    return new EdgeHarness(owners, context, scope, data)
  }

  get edge(): Edge["Service"] {
    return Context.get(this.context, Edge)
  }
  get parked(): ParkedOperations["Service"] {
    return Context.get(this.context, ParkedOperations)
  }
  get port(): number {
    return Context.get(this.context, Listening).port
  }
  get http(): string {
    return `http://127.0.0.1:${this.port}`
  }
  get url(): string {
    return `ws://127.0.0.1:${this.port}/v1/socket`
  }

  async token(user: string, ttlSeconds = 3_600): Promise<string> {
    const minted = await Effect.runPromise(Context.get(this.context, Authentication).mint!(user, ttlSeconds))
    return minted.token
  }

  async open(options: ConstructorParameters<typeof TestClient>[1] = {}): Promise<TestClient> {
    const client = await TestClient.open(this.url, options)
    this.#clients.push(client)
    return client
  }

  /** A client that has said hello. */
  async hello(user: string, device = "d1"): Promise<TestClient> {
    const client = await this.open()
    const answer = await client.request("hello", { token: await this.token(user), device })
    if (answer["ok"] === undefined) throw new Error(JSON.stringify(answer))
    return client
  }

  /** A client that has synced. */
  async join(user: string, device = "d1"): Promise<TestClient> {
    const client = await this.hello(user, device)
    await client.request("sync", { channels: [], session: { generation: 0, seq: 0 } })
    return client
  }

  /** Shuts the node down as SIGTERM does. */
  async release(): Promise<void> {
    await Effect.runPromise(Scope.close(this.#scope, Exit.void))
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.socket.terminate()
    await this.release()
    await rm(this.data, { recursive: true, force: true })
  }
}
