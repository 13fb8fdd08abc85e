/**
 * A writer in each of many channels: sends, waits for the ack and a little more, sends again, for as long as the bench
 * lasts and whatever happens to the cluster. At the end every channel has to have exactly as many messages as were
 * acknowledged: none lost, none twice.
 */
import { pause, until } from "../Report.ts"
import { sync } from "../load/Channels.ts"
import { clientId, inParallel } from "../load/Clients.ts"
import { ackedSeq } from "../load/Order.ts"
import { Gaps } from "./Gaps.ts"
import type { Roamer } from "./Roamer.ts"

const settleMsMax = 60_000
const syncTriesMax = 100

export interface Loop {
  readonly id: string
  readonly writer: Roamer
}

export class ChannelLoops {
  readonly gaps: Gaps
  readonly #loops: ReadonlyArray<Loop>
  readonly #pauseMs: number
  /** The channel's own creation is its first event. */
  readonly #seqs: Array<number>
  #stopped = false
  #open = 0
  acked = 0

  constructor(loops: ReadonlyArray<Loop>, pauseMs: number) {
    this.#loops = loops
    this.#pauseMs = pauseMs
    this.gaps = new Gaps(loops.length)
    this.#seqs = loops.map(() => 1)
  }

  /** Makes the channels, each of its writer alone. */
  async create(): Promise<void> {
    await inParallel(this.#loops, 32, ({ id, writer }) => createAlone(writer, id))
  }

  start(): void {
    this.#loops.forEach((_loop, index) => {
      setTimeout(() => this.#next(index), Math.random() * this.#pauseMs)
    })
  }

  #next(index: number): void {
    const loop = this.#loops[index]
    if (loop === undefined || this.#stopped) return
    this.#open++
    loop.writer.send(loop.id, "a message of the usual length, which is not long at all", (frame) => {
      this.#open--
      this.acked++
      const expected = (this.#seqs[index] ?? 0) + 1
      const seq = ackedSeq(frame)
      if (seq !== expected) throw new Error(`${loop.id} acknowledged ${seq} where ${expected} is next`)
      this.#seqs[index] = seq
      this.gaps.acked(index, performance.now())
      setTimeout(() => this.#next(index), this.#pauseMs)
    })
  }

  /** No more sends, and those that are open are answered. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (!(await until(() => this.#open === 0, settleMsMax))) throw new Error(`${this.#open} sends were never answered`)
  }

  /** Every channel's head is what was acknowledged last; an ack of another seq has ended the bench before. */
  async verify(): Promise<void> {
    const seqs = new Map(this.#loops.map(({ id }, index) => [id, this.#seqs[index] ?? 0]))
    for (const writer of new Set(this.#loops.map((loop) => loop.writer))) await verifyHeads(writer, seqs)
  }
}

export const createAlone = async (writer: Roamer, id: string): Promise<void> => {
  await writer.client.request("create", `"cid":"${clientId()}","channel":"${id}","name":"bench","members":[]`)
}

const verifyHeads = async (writer: Roamer, seqs: ReadonlyMap<string, number>): Promise<void> => {
  for (let tries = 0; ; tries++) {
    try {
      const { channels } = await sync(writer.client, [], { generation: 0, seq: 0 })
      const wrong = channels.find(({ head }) => (seqs.get(head.channel) ?? head.seq) !== head.seq)
      if (wrong === undefined) return
      throw new Error(
        `${wrong.head.channel} ends at ${wrong.head.seq}, acknowledged were ${seqs.get(wrong.head.channel)}`
      )
    } catch (error) {
      if (tries === syncTriesMax) throw error
      await pause(100)
    }
  }
}
