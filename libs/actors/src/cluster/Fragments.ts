/**
 * Messages above the bus's `max_payload`, as several: each fragment names its sender, the message's number there, its
 * place and how many there are. The fragments of a message come in order or the message is lost, which whoever waits for
 * it notices as he would notice any lost message. What is half there is bounded in number and bytes.
 */
import { headerBytes, openMessage, messageKinds, writeHeader } from "./codec/Envelope.ts"
import type { ByteReader } from "./codec/ByteReader.ts"
import { ByteWriter } from "./codec/ByteWriter.ts"

/** The largest message that is sent or put together. */
export const messageBytesMax = 16_777_216
/** Messages that may be half there; another one ends the oldest. */
export const fragmentedMax = 32
/** What a fragment says besides its bytes, at most: header, sender, three numbers. */
const fragmentHeadBytes = 256

export const splitMessage = (
  message: Uint8Array,
  payloadBytesMax: number,
  sender: string,
  serial: number
): ReadonlyArray<Uint8Array> => {
  const room = payloadBytesMax - fragmentHeadBytes
  const count = Math.ceil(message.length / room)
  const fragments: Array<Uint8Array> = []
  for (let place = 0; place < count; place++) {
    const writer = new ByteWriter()
    writeHeader(writer, "fragment")
    writer.text(sender)
    writer.number(serial)
    writer.number(place)
    writer.number(count)
    writer.raw(message.subarray(place * room, (place + 1) * room))
    fragments.push(writer.take())
  }
  return fragments
}

interface Half {
  readonly parts: Array<Uint8Array>
  readonly count: number
  bytes: number
}

export class Fragments {
  readonly #halves = new Map<string, Half>()

  /** How many messages are half there. */
  get size(): number {
    return this.#halves.size
  }

  /** The message, when this is its last fragment (or no fragment at all); undefined: not yet, or never. */
  join(message: Uint8Array): Uint8Array | undefined {
    if (message.length <= headerBytes || message[1] !== messageKinds.fragment) return message
    const opened = openMessage(message)
    return opened._tag === "Message" ? this.#take(opened.reader) : message
  }

  #take(reader: ByteReader): Uint8Array | undefined {
    const key = `${reader.text()}/${reader.number()}`
    const place = reader.number()
    const count = reader.number()
    if (reader.failed || count < 1) return undefined
    if (place === 0) this.#begin(key, count)
    const half = this.#halves.get(key)
    if (half === undefined) return undefined
    const bytes = reader.rest()
    half.bytes += bytes.length
    if (half.count !== count || half.parts.length !== place || half.bytes > messageBytesMax) {
      this.#halves.delete(key)
      return undefined
    }
    // A copy: what the bus hands over is part of a larger piece that it read.
    half.parts.push(Buffer.from(bytes))
    if (half.parts.length < count) return undefined
    this.#halves.delete(key)
    return Buffer.concat(half.parts)
  }

  #begin(key: string, count: number): void {
    this.#halves.delete(key)
    const [oldest] = this.#halves.keys()
    if (this.#halves.size >= fragmentedMax && oldest !== undefined) this.#halves.delete(oldest)
    this.#halves.set(key, { parts: [], count, bytes: 0 })
  }
}
