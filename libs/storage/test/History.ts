/** Builds the stored events of one channel as its owner would hand them to the persister. */
import { toWire } from "@parley/protocol/WireText"
import { randomUUID } from "node:crypto"
import type { StoredEvent } from "../src/MessageStore.ts"

export const freshChannel = (): string => `test:${randomUUID()}`

let ids = 0
/** A client id with the embedded time `time`. */
export const clientId = (time: number): string => {
  const hex = time.toString(16).padStart(12, "0")
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${(++ids).toString(16).padStart(12, "0")}`
}

interface Options {
  readonly generation?: number
  readonly by?: string
}

/** Builds stored events of one channel. Seqs may have gaps, so that tests can span many blocks with few events. */
export class History {
  readonly channel: string
  #n = 0
  constructor(channel: string = freshChannel()) {
    this.channel = channel
  }

  #event(
    seq: number,
    kind: string,
    target: number,
    fields: object,
    { generation = 1, by = "ann" }: Options
  ): StoredEvent {
    const at = 1_700_000_000_000 + seq
    const cid = clientId(at)
    const n = kind === "message" ? ++this.#n : this.#n
    const body = toWire(JSON.stringify({ seq, at, by, kind, cid, ...fields }))
    return { channel: this.channel, generation, seq, kind, at, by, cid, bodyHash: `h${seq}`, n, target, body }
  }

  message(
    seq: number,
    text: string,
    options: Options & { readonly mentions?: ReadonlyArray<string> } = {}
  ): StoredEvent {
    const mentions = options.mentions === undefined ? {} : { mentions: options.mentions }
    return this.#event(seq, "message", 0, { n: this.#n + 1, text, ...mentions }, options)
  }
  edit(
    seq: number,
    target: number,
    text: string,
    options: Options & { readonly mentions?: ReadonlyArray<string> } = {}
  ): StoredEvent {
    const mentions = options.mentions === undefined ? {} : { mentions: options.mentions }
    return this.#event(seq, "edit", target, { target, text, ...mentions }, options)
  }
  delete(seq: number, target: number, options: Options = {}): StoredEvent {
    return this.#event(seq, "delete", target, { target }, options)
  }
  added(seq: number, options: Options = {}): StoredEvent {
    return this.#event(seq, "added", 0, { members: ["bob"] }, options)
  }
}
