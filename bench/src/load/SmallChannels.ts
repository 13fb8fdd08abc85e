/**
 * The load of bench `send`: many small channels whose members are spread over the sockets, each send delivered to the
 * other members, each delivery checked to be the next one of its channel.
 */
import { until } from "../Report.ts"
import { type Client, clientId, connectMany, type Target } from "./Clients.ts"
import { createChannels, syncAll } from "./Channels.ts"
import { ackedSeq, Order, rangeOf } from "./Order.ts"
import type { SendOne } from "./Sends.ts"

export interface Shape {
  readonly channels: number
  readonly membersEach: number
  readonly sockets: number
  readonly text: string
}

interface Channel {
  readonly id: string
  readonly members: ReadonlyArray<number>
  head: number
}

const settleMsMax = 20_000

export class SmallChannels {
  readonly #channels: ReadonlyArray<Channel>
  readonly #clients: ReadonlyArray<Client>
  /** By client, then channel id. */
  readonly #orders: ReadonlyArray<Map<string, Order>>
  readonly #text: string
  delivered = 0

  private constructor(
    channels: ReadonlyArray<Channel>,
    clients: ReadonlyArray<Client>,
    orders: ReadonlyArray<Map<string, Order>>,
    text: string
  ) {
    this.#channels = channels
    this.#clients = clients
    this.#orders = orders
    this.#text = text
    clients.forEach((client, index) => {
      const own = orders[index]
      client.onPush = (frame) => {
        const range = rangeOf(frame)
        const order = range === undefined ? undefined : own?.get(range.channel)
        if (range === undefined || order === undefined) return
        order.event(range.from, range.to)
        this.delivered++
      }
    })
  }

  static async open(target: Target, { channels: count, membersEach, sockets, text }: Shape): Promise<SmallChannels> {
    const channels = Array.from({ length: count }, (_, index) => ({
      id: `group:c${index}`,
      members: Array.from({ length: membersEach }, (_, member) => (index * 2 + member * 211) % sockets),
      head: 0
    }))
    const of = Array.from({ length: sockets }, () => new Array<string>())
    for (const { id, members } of channels) for (const member of members) of[member]?.push(id)
    const clients = await connectMany(target, sockets, "u", (index) => of[index] ?? [])
    if (target.baseline) {
      return new SmallChannels(
        channels,
        clients,
        of.map((ids, index) =>
          ordersOf(
            index,
            ids.map((id) => [id, 0])
          )
        ),
        text
      )
    }
    return SmallChannels.over(clients, channels, text)
  }

  /** Makes these channels, with members by their places among the clients, wherever those are connected. */
  static async over(
    clients: ReadonlyArray<Client>,
    wanted: ReadonlyArray<{ readonly id: string; readonly members: ReadonlyArray<number> }>,
    text: string,
    acksLate = false
  ): Promise<SmallChannels> {
    const channels = wanted.map(({ id, members }) => ({ id, members, head: 0 }))
    const of = Array.from({ length: clients.length }, () => 0)
    for (const { members } of channels) for (const member of members) of[member] = (of[member] ?? 0) + 1
    await createChannels(clients, channels)
    const synced = await syncAll(clients, (index) => of[index] ?? 0)
    const byId = new Map(channels.map((channel) => [channel.id, channel]))
    const orders = synced.map((own, index) =>
      ordersOf(
        index,
        own.map(({ head, to }) => [head.channel, to]),
        acksLate
      )
    )
    for (const { head } of synced.flat()) {
      const channel = byId.get(head.channel)
      if (channel !== undefined) channel.head = Math.max(channel.head, head.seq)
    }
    return new SmallChannels(channels, clients, orders, text)
  }

  readonly send: SendOne = (turn, acked) => {
    const channel = this.#channels[turn % this.#channels.length]
    if (channel === undefined) return
    const member = channel.members[Math.floor(turn / this.#channels.length) % channel.members.length] ?? 0
    this.#clients[member]?.ask(
      "send",
      `"cid":"${clientId()}","channel":"${channel.id}","text":"${this.#text}"`,
      (frame) => {
        const seq = ackedSeq(frame)
        this.#orders[member]?.get(channel.id)?.ack(seq)
        channel.head = Math.max(channel.head, seq)
        acked()
      }
    )
  }

  /** Waits until every member of every channel has everything up to its head; fails where that doesn't come. */
  async settled(): Promise<void> {
    const behind = () =>
      this.#channels.find(({ head, id, members }) =>
        members.some((member) => this.#orders[member]?.get(id)?.isAt(head) !== true)
      )
    if (!(await until(() => behind() === undefined, settleMsMax))) {
      throw new Error(`${behind()?.id} was not delivered to all of its members up to its head`)
    }
  }

  close(): void {
    for (const client of this.#clients) client.close()
  }
}

const ordersOf = (
  client: number,
  channels: ReadonlyArray<readonly [id: string, at: number]>,
  acksLate = false
): Map<string, Order> => new Map(channels.map(([id, at]) => [id, new Order(`u${client} in ${id}`, at, acksLate)]))
