/**
 * The log in memory: for tests of everything that stands on it, and the plainest statement of its contract. Positions
 * come from one counter for all shards (as in a JetStream stream), so that nobody gets used to 1, 2, 3 a shard.
 *
 * What a real log does to its callers is done here on demand, by `MemoryEventLogFaults`.
 */
import { Context, Effect, Layer, Option } from "effect"
import {
  type Append,
  type AppendOutcome,
  EventLog,
  LogDamaged,
  type LogPosition,
  type LogRecord,
  LogUnavailable
} from "../EventLog.ts"

export interface MemoryEventLogOptions {
  readonly softBytes?: number
  readonly hardBytes?: number
  readonly recordBytesMax?: number
  /** "dense": 1, 2, 3 … in each shard, as the SQLite backend has them. */
  readonly positions?: "shared" | "dense"
  /** How work is put off; a simulator gives its own. Microtasks unless told otherwise. */
  readonly schedule?: (work: () => void) => void
}

/** Makes the log misbehave, each time within its contract (but for `damage` and `lose`, which are disasters). */
export class MemoryEventLogFaults extends Context.Service<
  MemoryEventLogFaults,
  {
    /** The next append (of the shard, if one is named) is refused for certain. */
    refuseNext(reason: "full" | "too_large", shard?: number): void
    /** The next appends are answered Ambiguous, written or not. */
    ambiguousNext(fault: { readonly written: boolean; readonly shard?: number; readonly times?: number }): void
    /** The next append is refused as not following `actual`, whatever is true, and is not written. */
    wrongSequenceNext(actual: LogPosition, shard?: number): void
    /** The next reads of the shard answer as if its last record were not there yet: a deposed leader. */
    staleReads(shard: number, times: number): void
    /** Appends from now on are in flight until `release`: written already, or (by default) decided only then. */
    hold(how?: { readonly written?: boolean; readonly shard?: number }): void
    /** How many are held. */
    held(): number
    /** Settles the oldest `count` held appends (all without a count, and holds no more). */
    release(count?: number): void
    /** While it lasts every append is ambiguous and not written, and reads fail. */
    setUnavailable(unavailable: boolean): void
    setBounds(bounds: { readonly softBytes?: number; readonly hardBytes?: number }): void
    /** Reading this record fails from now on. */
    damage(shard: number, position: LogPosition): void
    /** The log comes back with less than it had: records after `position` are gone (†24). */
    lose(shard: number, position: LogPosition): void
    /** What really lies in a shard, whatever the faults make reads say. */
    records(shard: number): ReadonlyArray<LogRecord>
  }
>()("@parley/storage/memory/MemoryEventLogFaults") {}

interface PlannedFault {
  readonly shard: number | undefined
  readonly outcome: AppendOutcome
  /** Whether the append is carried out all the same. */
  readonly written: boolean
}

interface Held {
  readonly append: Append
  readonly finish: () => AppendOutcome
}

/** The records and bounds, without any fault. */
class Records {
  private readonly shards = new Map<number, Array<LogRecord>>()
  private readonly shared: boolean
  private readonly recordBytesMax: number
  private readonly spared = new Map<number, number>()
  private lastPosition = 0
  softBytes: number
  hardBytes: number
  bytes = 0

  constructor(options: MemoryEventLogOptions) {
    this.shared = options.positions !== "dense"
    this.recordBytesMax = options.recordBytesMax ?? 4_194_304
    this.softBytes = options.softBytes ?? 268_435_456
    this.hardBytes = options.hardBytes ?? 301_989_888
  }

  of(shard: number): ReadonlyArray<LogRecord> {
    return this.shards.get(shard) ?? []
  }

  list(): ReadonlyArray<number> {
    return [...this.shards.keys()].filter((shard) => this.of(shard).length > 0).sort((a, b) => a - b)
  }

  write(append: Append, bytes: Uint8Array): AppendOutcome {
    const records = this.shards.get(append.shard) ?? []
    const last = records.at(-1)?.position ?? 0
    if (append.expectedLast !== last) return { _tag: "WrongSequence", actual: last }
    if (bytes.length > this.recordBytesMax) return { _tag: "Refused", reason: "too_large" }
    if (this.bytes + bytes.length > (append.reserved ? this.hardBytes : this.softBytes)) {
      return { _tag: "Refused", reason: "full" }
    }
    this.lastPosition += 1
    const position = this.shared ? this.lastPosition : last + 1
    // A copy: the owner may fill its buffer anew once the append has settled.
    records.push({ position, bytes: bytes.slice() })
    this.shards.set(append.shard, records)
    this.bytes += bytes.length
    return { _tag: "Committed", position }
  }

  purge(shard: number, upTo: number): void {
    this.keep(shard, (record, last) => record.position > upTo || record === last)
  }

  /** Shards that share positions lie together, and only what all of them spare goes. */
  spare(shard: number, upTo: number): void {
    if (!this.shared) return this.purge(shard, upTo)
    this.spared.set(shard, Math.max(upTo, this.spared.get(shard) ?? 0))
    const shards = this.list()
    const front = Math.min(...shards.map((each) => this.spared.get(each) ?? 0))
    for (const each of shards) this.purge(each, front)
  }

  /** Of the shards that lie together. */
  get newest(): number {
    return this.shared ? this.lastPosition : 0
  }

  lose(shard: number, position: number): void {
    this.keep(shard, (record) => record.position <= position)
  }

  private keep(shard: number, kept: (record: LogRecord, last: LogRecord | undefined) => boolean): void {
    const records = this.shards.get(shard) ?? []
    const last = records.at(-1)
    const left = records.filter((record) => kept(record, last))
    for (const record of records) this.bytes -= record.bytes.length
    for (const record of left) this.bytes += record.bytes.length
    this.shards.set(shard, left)
  }
}

/** The faults that are planned or under way. */
class Faults {
  readonly planned: Array<PlannedFault> = []
  readonly stale = new Map<number, number>()
  readonly damaged = new Set<string>()
  readonly holding: Array<Held> = []
  hold: { readonly written: boolean; readonly shard: number | undefined } | undefined
  unavailable = false

  take(shard: number): PlannedFault | undefined {
    const index = this.planned.findIndex((fault) => fault.shard === undefined || fault.shard === shard)
    return index < 0 ? undefined : this.planned.splice(index, 1)[0]
  }

  /** What a read sees: without the last record while reads are stale. */
  visible(shard: number, records: ReadonlyArray<LogRecord>): ReadonlyArray<LogRecord> {
    const times = this.stale.get(shard) ?? 0
    if (times === 0) return records
    this.stale.set(shard, times - 1)
    return records.slice(0, -1)
  }
}

const unreachable = "the log can't be reached"

const makeLog = (records: Records, faults: Faults, schedule: (work: () => void) => void): EventLog["Service"] => {
  const positions = new Map<string, number>()

  const decide = (append: Append, bytes: Uint8Array): AppendOutcome => {
    if (faults.unavailable) return { _tag: "Ambiguous", cause: unreachable }
    const fault = faults.take(append.shard)
    if (fault === undefined) return records.write(append, bytes)
    if (fault.written) records.write(append, bytes)
    return fault.outcome
  }

  const take = (append: Append): void => {
    const bytes = append.seal()
    const hold = faults.hold
    if (hold === undefined || (hold.shard !== undefined && hold.shard !== append.shard)) {
      return append.settle(decide(append, bytes))
    }
    const outcome = hold.written ? decide(append, bytes) : undefined
    faults.holding.push({ append, finish: () => outcome ?? decide(append, bytes) })
  }

  const reading = <A>(read: () => A): Effect.Effect<A, LogUnavailable> =>
    Effect.suspend(() =>
      faults.unavailable ? Effect.fail(new LogUnavailable({ cause: unreachable })) : Effect.sync(read)
    )
  const whole = (shard: number, found: ReadonlyArray<LogRecord>) => {
    const bad = found.find((record) => faults.damaged.has(`${shard}/${record.position}`))
    return bad === undefined
      ? Effect.succeed(found)
      : Effect.fail(new LogDamaged({ shard, position: bad.position, what: "the checksum does not match" }))
  }
  const readRecords = (shard: number, choose: (visible: ReadonlyArray<LogRecord>) => ReadonlyArray<LogRecord>) =>
    reading(() => choose(faults.visible(shard, records.of(shard)))).pipe(Effect.flatMap((found) => whole(shard, found)))
  const first = Effect.map((found: ReadonlyArray<LogRecord>) => Option.fromUndefinedOr(found[0]))

  return EventLog.of({
    append: (append) => schedule(() => take(append)),
    hurry: () => {},
    last: (shard) => readRecords(shard, (visible) => visible.slice(-1)).pipe(first),
    read: (shard, position) =>
      readRecords(shard, (visible) => visible.filter((record) => record.position === position)).pipe(first),
    readAfter: (shard, after, bytesMax) => readRecords(shard, (visible) => page(visible, after, bytesMax)),
    own: () => undefined,
    purge: (shard, upTo) => reading(() => records.purge(shard, upTo)),
    spare: (shard, upTo) => reading(() => records.spare(shard, upTo)),
    known: (shard) => records.of(shard).at(-1)?.position ?? 0,
    newest: () => records.newest,
    usage: reading(() => ({ bytes: records.bytes, softBytes: records.softBytes, hardBytes: records.hardBytes })),
    shards: reading(() => records.list()),
    consumerPosition: (consumer, shard) => reading(() => positions.get(`${shard}/${consumer}`) ?? 0),
    setConsumerPosition: (consumer, shard, position) =>
      reading(() => {
        const key = `${shard}/${consumer}`
        if (position > (positions.get(key) ?? 0)) positions.set(key, position)
      })
  })
}

const page = (records: ReadonlyArray<LogRecord>, after: number, bytesMax: number): ReadonlyArray<LogRecord> => {
  const found: Array<LogRecord> = []
  let size = 0
  for (const record of records) {
    if (record.position <= after) continue
    if (found.length > 0 && size + record.bytes.length > bytesMax) break
    size += record.bytes.length
    found.push(record)
  }
  return found
}

const makeFaults = (records: Records, faults: Faults): MemoryEventLogFaults["Service"] =>
  MemoryEventLogFaults.of({
    refuseNext: (reason, shard) =>
      void faults.planned.push({ shard, written: false, outcome: { _tag: "Refused", reason } }),
    ambiguousNext: ({ written, shard, times = 1 }) => {
      for (let i = 0; i < times; i++) {
        faults.planned.push({ shard, written, outcome: { _tag: "Ambiguous", cause: "no answer in time" } })
      }
    },
    wrongSequenceNext: (actual, shard) =>
      void faults.planned.push({ shard, written: false, outcome: { _tag: "WrongSequence", actual } }),
    staleReads: (shard, times) => void faults.stale.set(shard, times),
    hold: (how = {}) => {
      faults.hold = { written: how.written ?? false, shard: how.shard }
    },
    held: () => faults.holding.length,
    release: (count) => {
      if (count === undefined) faults.hold = undefined
      for (const { append, finish } of faults.holding.splice(0, count ?? faults.holding.length)) append.settle(finish())
    },
    setUnavailable: (unavailable) => {
      faults.unavailable = unavailable
    },
    setBounds: (bounds) => {
      records.softBytes = bounds.softBytes ?? records.softBytes
      records.hardBytes = bounds.hardBytes ?? records.hardBytes
    },
    damage: (shard, position) => void faults.damaged.add(`${shard}/${position}`),
    lose: (shard, position) => records.lose(shard, position),
    records: (shard) => records.of(shard)
  })

/** The log and its faults, out of Effect: for simulators. */
const make = (options: MemoryEventLogOptions = {}) => {
  const records = new Records(options)
  const faults = new Faults()
  return {
    service: makeLog(records, faults, options.schedule ?? queueMicrotask),
    faults: makeFaults(records, faults)
  }
}

const layer = (options: MemoryEventLogOptions = {}): Layer.Layer<EventLog | MemoryEventLogFaults> =>
  Layer.effectContext(
    Effect.sync(() => {
      const { service, faults } = make(options)
      return Context.make(EventLog, service).pipe(Context.add(MemoryEventLogFaults, faults))
    })
  )

export const MemoryEventLog = { make, layer }
