/**
 * `CommitSignal` between processes: this process's listeners are told at once, the others' within `hintGatherMs`, by one
 * message for all that came together. A hint may be lost. For what nobody would ask again (how far the store is, what was
 * found damaged) the one who knows says it again now and then; an older word than was heard already is not passed on,
 * whoever says it. Plain TypeScript: it is called for every commit.
 */
import type { LogPosition } from "@parley/storage/EventLog"
import type { ParkedEntity } from "@parley/storage/ParkedEvents"
import { type CommitSignal, makeCommitSignal } from "../fanout/CommitSignal.ts"
import type { Released } from "../fanout/Parking.ts"
import { ByteWriter } from "./codec/ByteWriter.ts"
import { openMessage, messageKinds, readParts, writeHeader } from "./codec/Envelope.ts"
import { type Hint, readHint, writeHint } from "./codec/HintCodec.ts"
import { Fragments } from "./Fragments.ts"
import type { NatsOutbound } from "./NatsOutbound.ts"
import type { Subjects } from "./Subjects.ts"

/** How long hints gather. A consumer gathers for longer than this anyway. */
export const hintGatherMs = 10
/** Releases that gather at most before they go. */
export const releasedMax = 4_096
/** How often what this process said last of the store is said again. */
export const hintRepeatMs = 5_000
/** Times that damage is said: once it was mended, saying it would be wrong. */
export const damagedTimes = 3

interface Stored {
  readonly position: LogPosition
  parked: ReadonlyArray<ParkedEntity>
}

export interface NatsSignalsOptions {
  readonly process: string
  readonly outbound: NatsOutbound
  readonly subjects: Subjects
}

export class NatsSignals {
  readonly service: CommitSignal["Service"]
  readonly #options: NatsSignalsOptions
  readonly #local = makeCommitSignal()
  readonly #writer = new ByteWriter()
  readonly #fragments = new Fragments()
  readonly #committed = new Set<number>()
  readonly #stored = new Map<number, Stored>()
  #released: Array<Released> = []
  readonly #damaged = new Map<number, { readonly what: string; times: number }>()
  /** What this process said last of shards that nobody has said more of. */
  readonly #said = new Map<number, Stored>()
  /** The highest position of the store that anybody named. */
  readonly #heard = new Map<number, LogPosition>()
  readonly #repeat: NodeJS.Timeout
  #gather: NodeJS.Timeout | undefined = undefined
  /** Since the start, for metrics. */
  readonly counts = { published: 0, dropped: 0, unreadable: 0 }

  constructor(options: NatsSignalsOptions) {
    this.#options = options
    const local = this.#local
    this.service = {
      ...local,
      committed: (shard) => {
        local.committed(shard)
        this.#committed.add(shard)
        this.#schedule()
      },
      stored: (shard, position, parked) => {
        if (!this.#hear(shard, position)) return
        local.stored(shard, position, parked)
        this.#stored.set(shard, { position, parked })
        this.#said.set(shard, { position, parked })
        this.#schedule()
      },
      released: (entity) => {
        local.released(entity)
        unsay(this.#said.get(entity.shard), entity)
        this.#released.push(entity)
        if (this.#released.length >= releasedMax) this.#flush()
        else this.#schedule()
      },
      damaged: (shard, what) => {
        local.damaged(shard, what)
        this.#damaged.set(shard, { what, times: damagedTimes })
        this.#schedule()
      }
    }
    this.#repeat = setInterval(() => this.repeat(), hintRepeatMs).unref()
  }

  stop(): void {
    clearInterval(this.#repeat)
    clearTimeout(this.#gather)
    this.#flush()
  }

  /** Says again what a listener may have missed. Called by itself. */
  repeat(): void {
    for (const [shard, said] of this.#said) if (!this.#stored.has(shard)) this.#stored.set(shard, said)
    if (this.#stored.size > 0 || this.#damaged.size > 0) this.#schedule()
  }

  /** A message of this process or another one. */
  receive(bytes: Uint8Array): void {
    const message = this.#fragments.join(bytes)
    if (message === undefined) return
    const opened = openMessage(message)
    if (opened._tag !== "Message" || opened.kind !== messageKinds.hints) {
      this.counts.unreadable++
      return
    }
    if (opened.reader.text() === this.#options.process) return
    readParts(
      opened.reader,
      (part) => {
        const hint = readHint(part)
        if (hint !== undefined) this.#take(hint)
      },
      () => void this.counts.unreadable++
    )
  }

  #take(hint: Hint): void {
    switch (hint._tag) {
      case "Committed":
        for (const shard of hint.shards) this.#local.committedElsewhere(shard)
        return
      case "Stored": {
        const { parked, position, shard } = hint
        if (!this.#hear(shard, position)) return
        const said = this.#said.get(shard)
        if (said !== undefined && said.position < position) this.#said.delete(shard)
        return this.#local.stored(shard, position, parked)
      }
      case "Released":
        // This process may have worked on the shard before, and would go on saying that it is parked.
        for (const saying of [this.#said, this.#stored]) unsay(saying.get(hint.entity.shard), hint.entity)
        return this.#local.released(hint.entity)
      case "Damaged":
        return this.#local.damaged(hint.shard, hint.what)
    }
  }

  /** Whether it is no older than what was heard: two may speak of one shard while it moves from one to the other. */
  #hear(shard: number, position: LogPosition): boolean {
    if (position < (this.#heard.get(shard) ?? 0)) return false
    this.#heard.set(shard, position)
    return true
  }

  #schedule(): void {
    this.#gather ??= setTimeout(this.#flush, hintGatherMs)
  }

  readonly #flush = (): void => {
    clearTimeout(this.#gather)
    this.#gather = undefined
    const hints: Array<Hint> = []
    if (this.#committed.size > 0) hints.push({ _tag: "Committed", shards: [...this.#committed] })
    for (const [shard, { parked, position }] of this.#stored) hints.push({ _tag: "Stored", shard, position, parked })
    for (const entity of this.#released) hints.push({ _tag: "Released", entity })
    for (const [shard, damage] of this.#damaged) {
      hints.push({ _tag: "Damaged", shard, what: damage.what })
      if (--damage.times <= 0) this.#damaged.delete(shard)
    }
    this.#committed.clear()
    this.#stored.clear()
    this.#released = []
    if (hints.length === 0) return
    writeHeader(this.#writer, "hints")
    this.#writer.text(this.#options.process)
    for (const hint of hints) writeHint(this.#writer, hint)
    this.counts.published++
    const { outbound, subjects } = this.#options
    if (!outbound.publish(subjects.hint, this.#writer.take())) this.counts.dropped++
  }
}

/** Nothing of the entity is parked any more. */
const unsay = (said: Stored | undefined, entity: Released): void => {
  if (said !== undefined) said.parked = said.parked.filter(({ id, topic }) => !isOf(entity, topic, id))
}

const isOf = (entity: Released, topic: Released["topic"], id: string): boolean =>
  entity.topic === topic && entity.id === id
