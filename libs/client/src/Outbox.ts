/**
 * Mutations that are not settled yet, in the order they were made. One of a channel is on the wire at a time, so a
 * channel gets them in that order; retryable refusals and lost answers keep an entry "sending" under the same id;
 * anything else fails it. Survives a reload through ClientStorage. Bounded by `outboxEntriesMax` and `outboxCharsMax`.
 */
import type { AnswerOf, ErrorObject, Result } from "./PlainFrame.ts"
import { errorTable } from "@parley/protocol/ApiError"
import { retryDelay } from "./Backoff.ts"
import type { ClientSettings } from "./ClientSettings.ts"
import { StoredText, type ClientStorage } from "./ClientStorage.ts"
import type { Cancel, Environment } from "./Environment.ts"
import {
  afterRefusal,
  charsOf,
  decodeEntries,
  encodeEntries,
  isTooLarge,
  type Mutation,
  MutationFailed,
  type MutationName,
  needsNewId,
  type OutboxEntry,
  type Settled
} from "./OutboxEntry.ts"

/** A mutation that was taken: its client id, and its outcome, which may be left alone. */
export interface Sent {
  readonly cid: string
  /** Rejects with MutationFailed. */
  readonly done: Promise<Settled>
}

export interface OutboxHost {
  transmit(entry: OutboxEntry, done: (result: Result<AnswerOf<MutationName>>) => void): void
  /** Applies what the ack says; false: a message whose place is beyond a hole, to be kept until `reached` says otherwise. */
  acknowledged(entry: OutboxEntry, answer: AnswerOf<MutationName>): boolean
  changed(channel: string): void
  idAhead(serverTime: number | undefined): void
  nextId(): string
  tokenRefused(): void
  problem(what: string, error: unknown): void
}

interface Waiter {
  readonly resolve: (settled: Settled) => void
  readonly reject: (error: MutationFailed) => void
}

export class Outbox {
  readonly #host: OutboxHost
  readonly #environment: Environment
  readonly #settings: ClientSettings
  readonly #stored: StoredText
  #entries: Array<OutboxEntry> = []
  #chars = 0
  #user: string | null = null
  #open = false
  readonly #waiters = new Map<string, Waiter>()
  /** On the wire, or waiting for their time: not to be sent now. */
  readonly #onWire = new Set<OutboxEntry>()
  readonly #waiting = new Map<OutboxEntry, Cancel>()
  /** The server limits the user, not one channel: nothing goes until then. */
  #pause: Cancel | undefined
  /** Their new id is not in storage yet. */
  readonly #renaming = new Set<OutboxEntry>()

  constructor(host: OutboxHost, storage: ClientStorage, environment: Environment, settings: ClientSettings) {
    this.#host = host
    this.#environment = environment
    this.#settings = settings
    this.#stored = new StoredText({
      storage,
      key: "outbox",
      environment,
      intervalMs: settings.storageIntervalMs,
      text: () => encodeEntries(this.#user, this.#entries),
      failed: (error) => host.problem("The outbox could not be kept in storage.", error)
    })
  }

  /** The entries of a channel, oldest first. */
  of(channel: string): ReadonlyArray<OutboxEntry> {
    return this.#entries.filter((entry) => entry.channel === channel)
  }

  /** Whose entries these are; null: nobody said yet. */
  get user(): string | null {
    return this.#user
  }

  get size(): number {
    return this.#entries.length
  }

  /** Entries that still go on their own. */
  get unsettled(): number {
    return this.#entries.filter((entry) => entry.state === "sending" && entry.acked === null).length
  }

  /** Takes over what an earlier run left; entries made meanwhile come after it. */
  async load(): Promise<void> {
    const { user, entries } = decodeEntries(await this.#stored.read())
    if (entries.length === 0) return
    this.#user ??= user
    const known = new Set(this.#entries.map((entry) => entry.cid))
    const older = entries.slice(0, this.#settings.outboxEntriesMax).filter((entry) => !known.has(entry.cid))
    this.#entries = [...older, ...this.#entries]
    this.#chars += older.reduce((sum, entry) => sum + charsOf(entry.mutation), 0)
    for (const channel of new Set(older.map((entry) => entry.channel))) this.#host.changed(channel)
  }

  /** The server said who this is. What another user left in this storage is not sent in this one's name. */
  belongsTo(user: string): void {
    if (this.#user !== null && this.#user !== user) {
      const dropped = this.#entries
      this.#entries = []
      this.#chars = 0
      for (const entry of dropped)
        this.#reject(entry, new MutationFailed("discarded", "It was written by another user."))
      for (const channel of new Set(dropped.map((entry) => entry.channel))) this.#host.changed(channel)
    }
    if (this.#user === user) return
    this.#user = user
    this.#stored.changed()
  }

  add(channel: string, mutation: Mutation): Sent {
    const cid = this.#host.nextId()
    const entry: OutboxEntry = {
      cid,
      channel,
      mutation,
      at: this.#environment.now(),
      state: "sending",
      tried: false,
      error: null,
      acked: null,
      attempts: 0,
      internals: 0
    }
    const chars = charsOf(mutation)
    const promise = new Promise<Settled>((resolve, reject) => this.#waiters.set(cid, { resolve, reject }))
    // The caller may look at the view instead: a rejection nobody waits for is no crash.
    promise.catch(() => {})
    const sent = { cid, done: promise }
    const { outboxEntriesMax, outboxCharsMax } = this.#settings
    if (this.#entries.length >= outboxEntriesMax || this.#chars + chars > outboxCharsMax) {
      this.#reject(entry, new MutationFailed("outbox_full", "Too many changes wait for the server."))
      return sent
    }
    this.#entries.push(entry)
    this.#chars += chars
    if (isTooLarge(mutation))
      this.#fail(entry, { code: "too_large", message: errorTable.too_large.text, retryable: false })
    this.#changed(entry)
    this.#pump()
    return sent
  }

  /** A failed message goes again. The same id, unless the server refuses it for ever: an earlier try may be in. */
  retry(cid: string): void {
    const entry = this.#entries.find((candidate) => candidate.cid === cid)
    if (entry === undefined || entry.state !== "failed") return
    const anew = needsNewId(entry.error?.code)
    entry.state = "sending"
    entry.error = null
    entry.attempts = 0
    entry.internals = 0
    if (anew) this.#rename(entry)
    this.#changed(entry)
    this.#pump()
  }

  /** Forgets a message that failed, or was not sent yet. One that may be in can't be taken back: false. */
  discard(cid: string): boolean {
    const entry = this.#entries.find((candidate) => candidate.cid === cid)
    if (entry === undefined || entry.acked !== null || (entry.state === "sending" && entry.tried)) return false
    this.#remove(entry)
    this.#reject(entry, new MutationFailed("discarded", "It was discarded."))
    return true
  }

  /** The mutation was seen in the sequence, by whatever way. */
  settle(cid: string, settled: Settled): void {
    const entry = this.#entries.find((candidate) => candidate.cid === cid)
    if (entry === undefined) return
    this.#remove(entry)
    this.#resolve(entry.cid, settled)
    this.#pump()
  }

  /** The channel's own list holds everything up to `seq`: acknowledged messages below are there, or will not be shown. */
  reached(channel: string, seq: number): void {
    for (const entry of this.of(channel)) if (entry.acked !== null && entry.acked.seq <= seq) this.#remove(entry)
  }

  /** The connection can take mutations. */
  open(): void {
    this.#open = true
    this.#pump()
  }

  /** The connection went: what was on it has no known outcome, and goes again on the next one. */
  close(): void {
    this.#open = false
    this.#onWire.clear()
    for (const cancel of this.#waiting.values()) cancel()
    this.#waiting.clear()
    this.#pause?.()
    this.#pause = undefined
  }

  flush(): Promise<void> {
    return this.#stored.flush()
  }

  #pump(): void {
    if (!this.#open || this.#pause !== undefined) return
    const busy = new Set<string>()
    for (const entry of this.#entries) {
      if (this.#onWire.size >= this.#settings.outboxInFlightMax) return
      if (entry.state === "failed" || entry.acked !== null || busy.has(entry.channel)) continue
      busy.add(entry.channel)
      const free = !this.#onWire.has(entry) && !this.#waiting.has(entry) && !this.#renaming.has(entry)
      if (free) this.#transmit(entry)
    }
  }

  #transmit(entry: OutboxEntry): void {
    this.#onWire.add(entry)
    entry.tried = true
    const cid = entry.cid
    this.#host.transmit(entry, (result) => {
      // Settled meanwhile (its event came first), or under another id: the answer only covers.
      const current = this.#onWire.delete(entry) && entry.cid === cid
      if (result._tag === "Ok") this.#acknowledged(entry, cid, result.value)
      else if (current && result._tag === "Refused") this.#refused(entry, result.error)
      else if (current) this.#again(entry, undefined)
      this.#pump()
    })
  }

  #acknowledged(entry: OutboxEntry, cid: string, answer: AnswerOf<MutationName>): void {
    const placed = this.#host.acknowledged({ ...entry, cid }, answer)
    if (!this.#entries.includes(entry)) return
    const at = "at" in answer ? answer.at : entry.at
    const seq = "seq" in answer ? answer.seq : answer.cursor.seq
    const settled = { channel: entry.channel, seq, at }
    if (placed) this.#remove(entry)
    else {
      entry.acked = settled
      this.#changed(entry)
    }
    this.#resolve(cid, settled)
  }

  #refused(entry: OutboxEntry, error: ErrorObject): void {
    const next = afterRefusal(entry, error)
    if (error.code === "internal") entry.internals += 1
    switch (next._tag) {
      case "Again":
        if (error.code === "rate_limited") this.#rest(entry.attempts + 1, next.retryAfterMs)
        return this.#again(entry, next.retryAfterMs)
      case "Token":
        this.#again(entry, undefined)
        return this.#host.tokenRefused()
      case "NewId":
        entry.attempts += 1
        this.#host.idAhead(next.serverTime)
        return this.#rename(entry)
      case "Failed":
        return this.#fail(entry, error)
    }
  }

  #rest(attempt: number, retryAfterMs: number | undefined): void {
    if (!this.#open || this.#pause !== undefined) return
    const wait = retryDelay(attempt, retryAfterMs, this.#settings.backoffMaxMs, this.#environment.random())
    this.#pause = this.#environment.after(wait, () => {
      this.#pause = undefined
      this.#pump()
    })
  }

  #again(entry: OutboxEntry, retryAfterMs: number | undefined): void {
    entry.attempts += 1
    if (!this.#open) return
    const wait = retryDelay(entry.attempts, retryAfterMs, this.#settings.backoffMaxMs, this.#environment.random())
    const cancel = this.#environment.after(wait, () => {
      this.#waiting.delete(entry)
      this.#pump()
    })
    this.#waiting.set(entry, cancel)
  }

  /** Under a new id, which is kept in storage before it is sent: after a crash between the two the old one would run too. */
  #rename(entry: OutboxEntry): void {
    const waiter = this.#waiters.get(entry.cid)
    this.#waiters.delete(entry.cid)
    entry.cid = this.#host.nextId()
    if (waiter !== undefined) this.#waiters.set(entry.cid, waiter)
    this.#renaming.add(entry)
    this.#changed(entry)
    void this.#stored.flush().then(() => {
      this.#renaming.delete(entry)
      this.#pump()
    })
  }

  #fail(entry: OutboxEntry, error: ErrorObject): void {
    const failure = new MutationFailed(error.code, error.message)
    if (entry.mutation.op === "send") {
      entry.state = "failed"
      entry.error = { code: error.code, message: error.message }
      this.#changed(entry)
    } else {
      // Nothing of it is on the screen to be retried: the caller is told, and asks again if he wants.
      this.#remove(entry)
    }
    this.#reject(entry, failure)
  }

  #remove(entry: OutboxEntry): void {
    const at = this.#entries.indexOf(entry)
    if (at === -1) return
    this.#entries.splice(at, 1)
    this.#chars -= charsOf(entry.mutation)
    this.#onWire.delete(entry)
    this.#waiting.get(entry)?.()
    this.#waiting.delete(entry)
    this.#changed(entry)
  }

  #changed(entry: OutboxEntry): void {
    this.#stored.changed()
    this.#host.changed(entry.channel)
  }

  #resolve(cid: string, settled: Settled): void {
    this.#waiters.get(cid)?.resolve(settled)
    this.#waiters.delete(cid)
  }

  #reject(entry: OutboxEntry, error: MutationFailed): void {
    this.#waiters.get(entry.cid)?.reject(error)
    this.#waiters.delete(entry.cid)
  }
}
