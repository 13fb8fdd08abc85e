/**
 * Events in great number, from few connections that nobody else listens with: what the cluster's log takes, its owners and
 * its persister, with as little as can be spent on sockets and the generator.
 */
import { ascending, percentile, round, until } from "../Report.ts"
import { type Client, clientId, connectClient, inParallel } from "../load/Clients.ts"
import { ackedSeq } from "../load/Order.ts"
import { pace } from "../load/Sends.ts"
import { type BenchCluster, channelsByShard } from "./BenchCluster.ts"

const connections = 16
const inFlightMax = 1_024
const openMax = 10_000
const addMsMax = 600_000
const text = "a message of the usual length, which is not long at all, sent by a person"

export class Pile {
  readonly channels: ReadonlyArray<string>
  readonly #clients: ReadonlyArray<Client>
  /** The largest seq that was acknowledged, by channel. */
  readonly heads: Array<number>
  #turn = 0
  #open = 0
  acked = 0
  /** Sends that were refused: those are not made good. */
  refused = 0
  #latencies: Array<number> = []
  #pacer: NodeJS.Timeout | undefined

  private constructor(channels: ReadonlyArray<string>, clients: ReadonlyArray<Client>) {
    this.channels = channels
    this.heads = channels.map(() => 1)
    this.#clients = clients
  }

  /** So many channels, spread evenly over the shards, each of one member, whose connection is at some node but the last. */
  static async open(bench: BenchCluster, prefix: string, count: number): Promise<Pile> {
    // Not at the last node, which may be killed.
    const ports = bench.ports.length > 1 ? bench.ports.slice(0, -1) : bench.ports
    const all = channelsByShard(prefix, Math.ceil(count / 256)).slice(0, count)
    const clients = await inParallel(
      Array.from({ length: connections }, (_, index) => index),
      connections,
      (index) => connectClient({ port: ports[index % ports.length] ?? 0, baseline: false }, `${prefix}-u${index}`, [])
    )
    for (const client of clients) client.onClosed = () => {}
    const pile = new Pile(all, clients)
    await inParallel(all, 32, async (id, index) => {
      await pile.#clientOf(index).request("create", `"cid":"${clientId()}","channel":"${id}","name":"b","members":[]`)
    })
    return pile
  }

  #clientOf(channel: number): Client {
    const client = this.#clients[channel % this.#clients.length]
    if (client === undefined) throw new Error("no connection")
    return client
  }

  #send(done: () => void): void {
    const index = this.#turn++ % this.channels.length
    const from = performance.now()
    this.#open++
    this.#clientOf(index).ask(
      "send",
      `"cid":"${clientId()}","channel":"${this.channels[index]}","text":"${text}"`,
      (frame) => {
        this.#open--
        if (frame.includes('"retryable":true')) this.refused++
        else {
          this.heads[index] = Math.max(this.heads[index] ?? 0, ackedSeq(frame))
          this.acked++
          this.#latencies.push(performance.now() - from)
        }
        done()
      }
    )
  }

  /** Adds so many events, as fast as they are taken. */
  async add(events: number): Promise<void> {
    const goal = this.acked + events
    const next = (): void => {
      if (this.acked + this.#open < goal) this.#send(next)
    }
    for (let i = 0; i < Math.min(events, inFlightMax); i++) next()
    if (!(await until(() => this.acked >= goal, addMsMax))) {
      throw new Error(`${this.acked} events of ${goal} were acknowledged after ${addMsMax} ms, ${this.refused} refused`)
    }
  }

  /** Sends on, so many a second. */
  start(perSecond: number): void {
    this.#pacer = pace(
      perSecond,
      () => this.#open < openMax,
      () => this.#send(() => {})
    )
  }

  stop(): void {
    clearInterval(this.#pacer)
  }

  /** Of the acks since the last time. */
  takeLatencies(): { readonly p50_ms: number; readonly p99_ms: number } {
    const sorted = ascending(this.#latencies)
    this.#latencies = []
    return { p50_ms: round(percentile(sorted, 0.5)), p99_ms: round(percentile(sorted, 0.99)) }
  }

  close(): void {
    this.stop()
    for (const client of this.#clients) client.close()
  }
}
