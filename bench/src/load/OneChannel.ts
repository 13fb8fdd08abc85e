/**
 * One channel and many sockets: the load of benches `fanout` and `hotchannel`. Every delivery to every socket is checked
 * to be the next one, where it lies in the chunk that was read: no string is made of it, so that two million a second
 * are no work for the generator. The time from send to delivery is taken at one socket in twenty, which never sends.
 */
import { until } from "../Report.ts"
import { type Client, clientId, connectClient, connectMany, inParallel, type Target } from "./Clients.ts"
import { createChannels, syncAll } from "./Channels.ts"
import { ackedSeq, numberAt, Order } from "./Order.ts"
import type { SendOne } from "./Sends.ts"

export interface OneChannelShape {
  readonly id: string
  readonly sockets: number
  /** Sockets that send, in turn. */
  readonly senders: number
  readonly textBytes: number
  /** In front of each user's number; users of another channel would see that one, too. */
  readonly users?: string
  /** See `Order`: the channel's owner is in another process. */
  readonly acksLate?: boolean
}

const sampleEvery = 20
/** `fanout_threshold` as it is by default: above it only those who watch get the events. */
const watchAbove = 200
const settleMsMax = 30_000
const letterE = 101
const kindAt = '{"ev":"'.length
const serialMark = '"text":"s'
const serialDigits = 9

export class OneChannel {
  readonly #shape: OneChannelShape
  readonly #clients: ReadonlyArray<Client>
  readonly #orders: ReadonlyArray<Order>
  readonly #fromAt: number
  readonly #senders: ReadonlyArray<number>
  readonly #filler: string
  readonly #sentAt: Array<number> = []
  #head = 0
  #latencies: Array<number> | undefined
  delivered = 0

  private constructor(shape: OneChannelShape, clients: ReadonlyArray<Client>, heads: ReadonlyArray<number>) {
    this.#shape = shape
    this.#clients = clients
    this.#orders = heads.map((head, index) => new Order(`u${index} in ${shape.id}`, head, shape.acksLate))
    this.#head = Math.max(0, ...heads)
    this.#fromAt = `{"ev":"event","channel":"${shape.id}","from":`.length
    this.#senders = clients
      .map((_, index) => index)
      .filter((index) => index % sampleEvery !== 0 || clients.length < sampleEvery)
      .slice(0, shape.senders)
    this.#filler = "x".repeat(shape.textBytes - serialDigits - 1)
    clients.forEach((client, index) => {
      const order = this.#orders[index]
      const sampled = index % sampleEvery === 0
      if (order === undefined) return
      client.socket.onBytes = (data, start, end) => this.#take(order, sampled, data, start, end)
    })
  }

  static async open(target: Target, shape: OneChannelShape): Promise<OneChannel> {
    const { id, sockets } = shape
    const clients = await connectMany(target, sockets, shape.users ?? "u", () => [id])
    if (target.baseline)
      return new OneChannel(
        shape,
        clients,
        clients.map(() => 0)
      )
    await createChannels(clients, [{ id, members: clients.map((_, index) => index) }])
    await syncAll(clients, () => 1)
    return OneChannel.#live(shape, clients, sockets > watchAbove)
  }

  /** Of a channel that is there already; users may come several times, each with a connection of its own. */
  static async join(target: Target, shape: OneChannelShape, users: ReadonlyArray<string>): Promise<OneChannel> {
    const clients = await inParallel(users, 64, (user) => connectClient(target, user, []))
    await syncAll(clients, () => 1)
    return OneChannel.#live(shape, clients, true)
  }

  static async #live(shape: OneChannelShape, clients: ReadonlyArray<Client>, watch: boolean): Promise<OneChannel> {
    if (watch) await inParallel(clients, 64, (client) => client.request("watch", `"channel":"${shape.id}"`))
    // Once more: what came since the first sync is in the heads of this one.
    const heads = (await syncAll(clients, () => 1)).map((channels) => channels[0]?.to ?? 0)
    return new OneChannel(shape, clients, heads)
  }

  /** Only events of the channel; answers and all else go their usual way. */
  #take(order: Order, sampled: boolean, data: Buffer, start: number, end: number): boolean {
    if (data[start + kindAt] !== letterE || data[start + 2] !== letterE) return false
    const from = numberAt(data, start + this.#fromAt)
    order.event(from, from + 1)
    this.delivered++
    if (sampled && this.#latencies !== undefined) {
      const mark = data.subarray(start, end).indexOf(serialMark)
      const sentAt = this.#sentAt[numberAt(data, start + mark + serialMark.length)]
      if (sentAt !== undefined) this.#latencies.push(performance.now() - sentAt)
    }
    return true
  }

  readonly send: SendOne = (turn, acked) => {
    const index = this.#senders[turn % this.#senders.length] ?? 0
    const serial = this.#sentAt.push(performance.now()) - 1
    const text = `s${String(serial).padStart(serialDigits, "0")}${this.#filler}`
    this.#clients[index]?.ask(
      "send",
      `"cid":"${clientId()}","channel":"${this.#shape.id}","text":"${text}"`,
      (frame) => {
        const seq = ackedSeq(frame)
        this.#orders[index]?.ack(seq)
        this.#head = Math.max(this.#head, seq)
        acked()
      }
    )
  }

  /** From now on the time of each sampled delivery is kept. */
  takeLatencies(): ReadonlyArray<number> {
    const taken = this.#latencies ?? []
    this.#latencies = []
    return taken
  }

  async settled(): Promise<void> {
    const behind = () => this.#orders.findIndex((order) => !order.isAt(this.#head))
    if (!(await until(() => behind() < 0, settleMsMax))) {
      throw new Error(`u${behind()} is at ${this.#orders[behind()]?.at}, the channel at ${this.#head}`)
    }
  }

  close(): void {
    for (const client of this.#clients) client.close()
  }
}
