/**
 * Attaches as large as their edge likes, as parts that the bus carries: cut by topics, and by users where one topic is
 * for very many, and paced: after a storm an edge attaches everything everywhere, and owners authorise every name. The
 * parts' answers become one: the highest head and version, everybody who was denied. Parts that two epochs answered are
 * void together, for the earlier owner's interest is gone: the whole attach is asked again.
 */
import type { Attach, Attached, OwnerReply } from "../owner/OwnerProtocol.ts"

/** A part's topics and users as bytes, about. */
export const attachPartBytesMax = 65_536
/** Parts of one process under way at a time, all shards together. */
export const attachPartsInFlightMax = 16
/** Attaches whose parts wait for their turn: one a shard, and some more. */
export const attachesWaitingMax = 8_192
/** Times that an attach which two epochs answered is begun anew. */
const attachTimesMax = 4

/** Of each text, besides its bytes. */
const textOverheadBytes = 3

const overloaded = { failure: { code: "overloaded" } } as const
const moved = { failure: { code: "moved" } } as const

type AttachReply = (reply: OwnerReply<Attached>) => void
type Send = (attach: Attach, reply: AttachReply) => void

export class AttachParts {
  readonly #send: Send
  readonly #waiting: Array<() => void> = []
  #inFlight = 0
  /** Since the start, for metrics. */
  readonly counts = { attaches: 0, parts: 0 }

  constructor(send: Send) {
    this.#send = send
  }

  get inFlight(): number {
    return this.#inFlight
  }

  attach(attach: Attach, reply: AttachReply): void {
    this.counts.attaches++
    this.#attach(attach, splitAttach(attach, attachPartBytesMax), 1, reply)
  }

  #attach(attach: Attach, parts: ReadonlyArray<Attach>, times: number, reply: AttachReply): void {
    if (this.#waiting.length >= attachesWaitingMax) return reply(overloaded)
    const answers: Array<Attached> = []
    let failed: OwnerReply<Attached> | undefined
    let left = parts.length
    const done = (answer: OwnerReply<Attached>) => {
      if ("ok" in answer) answers.push(answer.ok)
      else failed = answer
      if (--left > 0) return
      if (failed !== undefined) return reply(failed)
      const [first] = answers
      if (first === undefined) return reply(moved)
      if (answers.every(({ epoch }) => epoch === first.epoch)) reply({ ok: merge(attach, answers) })
      else if (times < attachTimesMax) this.#attach(attach, parts, times + 1, reply)
      else reply(moved)
    }
    for (const part of parts) this.#paced(part, done)
  }

  #paced(part: Attach, done: AttachReply): void {
    const begin = () => {
      this.#inFlight++
      this.counts.parts++
      this.#send(part, (answer) => {
        this.#inFlight--
        this.#waiting.shift()?.()
        done(answer)
      })
    }
    if (this.#inFlight < attachPartsInFlightMax) begin()
    else this.#waiting.push(begin)
  }
}

/** Parts of at most so many bytes each, in order; one for an attach that is small enough. */
export const splitAttach = (attach: Attach, bytesMax: number): ReadonlyArray<Attach> => {
  const parts: Array<Attach> = []
  let topics: Array<{ topic: string; users: ReadonlyArray<string> }> = []
  let bytes = 0
  const cut = () => {
    parts.push({ shard: attach.shard, edge: attach.edge, topics })
    topics = []
    bytes = 0
  }
  for (const { topic, users } of attach.topics) {
    if (bytes > 0 && bytes + bytesOf(topic) > bytesMax) cut()
    bytes += bytesOf(topic)
    let from = 0
    for (let i = 0; i < users.length; i++) {
      const more = bytesOf(users[i] ?? "")
      if (bytes + more > bytesMax && i > from) {
        topics.push({ topic, users: users.slice(from, i) })
        cut()
        bytes = bytesOf(topic)
        from = i
      }
      bytes += more
    }
    topics.push({ topic, users: from === 0 ? users : users.slice(from) })
  }
  if (topics.length > 0 || parts.length === 0) cut()
  return parts
}

/** At most so many bytes a char. */
const bytesOf = (text: string): number => text.length * 2 + textOverheadBytes

/** In the order asked. A connection syncs at least up to the head that it is told, so the highest is the safe one. */
const merge = (attach: Attach, answers: ReadonlyArray<Attached>): Attached => {
  const [first] = answers
  if (first !== undefined && answers.length === 1) return first
  const topics = new Map<string, { head: number; generation: number; denied: Array<string> }>()
  let interestVersion = 0
  for (const answer of answers) {
    interestVersion = Math.max(interestVersion, answer.interestVersion)
    for (const { denied, generation, head, topic } of answer.topics) {
      const known = topics.get(topic)
      if (known === undefined) topics.set(topic, { head, generation, denied: [...denied] })
      else {
        if (generation >= known.generation)
          known.head = generation > known.generation ? head : Math.max(known.head, head)
        known.generation = Math.max(known.generation, generation)
        known.denied.push(...denied)
      }
    }
  }
  return {
    shard: attach.shard,
    epoch: first?.epoch ?? 0,
    interestVersion,
    topics: attach.topics.flatMap(({ topic }) => {
      const answer = topics.get(topic)
      return answer === undefined ? [] : [{ topic, ...answer }]
    })
  }
}
