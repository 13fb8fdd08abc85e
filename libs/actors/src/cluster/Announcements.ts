/**
 * Runners say what they have begun to serve, so that callers who wait need not ask. One message a turn of the event loop;
 * it may be lost: then callers find out by asking.
 */
import { ByteWriter } from "./codec/ByteWriter.ts"
import { openMessage, messageKinds, writeHeader } from "./codec/Envelope.ts"
import type { NatsOutbound } from "./NatsOutbound.ts"
import type { Subjects } from "./Subjects.ts"

export interface AnnouncementsOptions {
  readonly process: string
  readonly outbound: NatsOutbound
  readonly subjects: Subjects
}

export class Announcements {
  readonly #options: AnnouncementsOptions
  /** By shard: the runner that serves it, and under which epoch. */
  readonly #news = new Map<number, readonly [runner: string, epoch: number]>()

  constructor(options: AnnouncementsOptions) {
    this.#options = options
  }

  say(runner: string, shard: number, epoch: number): void {
    if (this.#news.size === 0) setImmediate(this.#flush)
    this.#news.set(shard, [runner, epoch])
  }

  /** Tells what other processes have begun to serve. */
  receive(bytes: Uint8Array, heard: (runner: string, shard: number, epoch: number) => void): void {
    const opened = openMessage(bytes)
    if (opened._tag !== "Message" || opened.kind !== messageKinds.owned) return
    const { reader } = opened
    if (reader.text() === this.#options.process) return
    const news = reader.list(() => {
      const runner = reader.text()
      const shard = reader.number()
      return { runner, shard, epoch: reader.number() }
    })
    if (!reader.failed) for (const { epoch, runner, shard } of news) heard(runner, shard, epoch)
  }

  readonly #flush = (): void => {
    const { outbound, process, subjects } = this.#options
    const writer = new ByteWriter()
    writeHeader(writer, "owned")
    writer.text(process)
    writer.number(this.#news.size)
    for (const [shard, [runner, epoch]] of this.#news) {
      writer.text(runner)
      writer.number(shard)
      writer.number(epoch)
    }
    this.#news.clear()
    outbound.publish(subjects.owned, writer.take())
  }
}
