/**
 * The log of a simulated cluster: `MemoryEventLog` behind the network. Answers get lost, attempts arrive long after
 * their caller gave them up, refusals and reads come from leaders that were deposed, and for a while it is full or
 * unreachable; all of it within the contract of `EventLog`. What was ever committed is kept aside, for the checks.
 */
import { Effect, Option } from "effect"
import {
  type Append,
  type AppendOutcome,
  type EventLog,
  type LogPosition,
  type LogRecord,
  LogUnavailable
} from "@parley/storage/EventLog"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import type { Random } from "../harness/Random.ts"
import type { SimNetwork } from "./SimNetwork.ts"
import type { SimProcess, VirtualTime } from "./VirtualTime.ts"

/** Parts of one: how often each thing goes wrong while it may. */
export interface LogWeather {
  /** An attempt arrives after its caller gave it up. */
  readonly late: number
  /** Refused for certain: this attempt is not done, whatever becomes of earlier ones. */
  readonly refused: number
  /** Done, and answered as if nobody knew. */
  readonly ambiguous: number
  /** Not done, and answered as if nobody knew. */
  readonly unknown: number
  /** Refused as not following an older record: a deposed leader answers. */
  readonly staleRefusal: number
  /** A read that decides, answered by a deposed leader; one that does not, answered by a follower. */
  readonly staleRead: number
  readonly staleFollower: number
}
export const goodLog: LogWeather = {
  late: 0,
  refused: 0,
  ambiguous: 0,
  unknown: 0,
  staleRefusal: 0,
  staleRead: 0,
  staleFollower: 0
}

export interface SimLogOptions {
  readonly time: VirtualTime
  readonly network: SimNetwork
  readonly random: Random
  readonly positions: "shared" | "dense"
  readonly softBytes: number
  readonly hardBytes: number
  readonly appendWaitMs: number
}

export interface Archived extends LogRecord {
  readonly shard: number
}

const lateMsMax = 12_000
const readWaitMs = 1_500
/** How far a leader that was deposed, or a follower, may be behind. */
const staleRecordsMax = 4

export class SimLog {
  weather: LogWeather = goodLog
  /** Nobody is answered. */
  away = false
  readonly host: SimProcess
  /** When it last had no room at all. */
  hardAt = -Infinity
  #hard = false
  /** All that was ever committed, in the order of the commits, purged or not. */
  readonly archive: Array<Archived> = []
  readonly #options: SimLogOptions
  readonly #memory: ReturnType<typeof MemoryEventLog.make>

  constructor(options: SimLogOptions) {
    this.#options = options
    this.host = options.time.process("log", "log")
    const { hardBytes, positions, softBytes } = options
    this.#memory = MemoryEventLog.make({ positions, softBytes, hardBytes, schedule: (work) => work() })
  }

  /** Refuses what is not reserved, or everything; undefined: as configured. */
  setFull(full: "soft" | "hard" | undefined): void {
    if (this.#hard) this.hardAt = this.#options.time.now
    this.#hard = full === "hard"
    const { hardBytes, softBytes } = this.#options
    this.#memory.faults.setBounds({
      softBytes: full === undefined ? softBytes : 0,
      hardBytes: full === "hard" ? 0 : hardBytes
    })
  }

  /** Nobody could be refused for want of reserved room in the last `ms`. */
  hadRoom(ms: number): boolean {
    return !this.#hard && this.hardAt < this.#options.time.now - ms
  }

  records(shard: number): ReadonlyArray<LogRecord> {
    return this.#memory.faults.records(shard)
  }
  /** The log comes back without what came after `position`. */
  lose(shard: number, position: LogPosition): void {
    this.#memory.faults.lose(shard, position)
  }
  positionOf(consumer: string, shard: number): LogPosition {
    return Effect.runSync(this.#memory.service.consumerPosition(consumer, shard))
  }

  /** The log as one simulated process has it. */
  service(): EventLog["Service"] {
    const { service } = this.#memory
    const records = (shard: number, stale: number) => {
      const all = this.records(shard)
      if (this.#options.random.next() >= stale) return all
      return all.slice(0, all.length - this.#options.random.between(1, staleRecordsMax))
    }
    const first = Effect.map((found: ReadonlyArray<LogRecord>) => Option.fromUndefinedOr(found[0]))
    return {
      append: (append) => this.#append(append),
      hurry: () => {},
      last: (shard) => this.#read(() => records(shard, this.weather.staleRead).slice(-1)).pipe(first),
      read: (shard, position) =>
        this.#read(() => records(shard, this.weather.staleRead).filter((record) => record.position === position)).pipe(
          first
        ),
      readAfter: (shard, after, bytesMax) =>
        this.#read(() => page(records(shard, this.weather.staleFollower), after, bytesMax)),
      own: () => undefined,
      purge: (shard, upTo) => this.#read(() => Effect.runSync(service.purge(shard, upTo))),
      spare: (shard, upTo) => this.#read(() => Effect.runSync(service.spare(shard, upTo))),
      known: () => 0,
      newest: (shard) => service.newest(shard),
      usage: this.#read(() => Effect.runSync(service.usage)),
      shards: this.#read(() => Effect.runSync(service.shards)),
      consumerPosition: (consumer, shard) =>
        this.#read(() => Effect.runSync(service.consumerPosition(consumer, shard))),
      setConsumerPosition: (consumer, shard, position) =>
        this.#read(() => Effect.runSync(service.setConsumerPosition(consumer, shard, position)))
    }
  }

  #read<A>(read: () => A): Effect.Effect<A, LogUnavailable> {
    return Effect.callback<A, LogUnavailable>((resume) => {
      const unavailable = () => resume(Effect.fail(new LogUnavailable({ cause: "no answer of the simulated log" })))
      this.#options.network.ask(
        this.host,
        readWaitMs,
        () => (this.away ? undefined : { value: read() }),
        (answer) => (answer?.got === undefined ? unavailable() : resume(Effect.succeed(answer.got.value)))
      )
    })
  }

  #append(append: Append): void {
    const { appendWaitMs, network, random, time } = this.#options
    const asker = time.current
    const attempt = () => {
      const bytes = append.seal()
      let open = true
      const settle = (outcome: AppendOutcome) => {
        if (!open) return
        open = false
        timer.cancelled = true
        append.settle(outcome)
      }
      const timer = time.after(appendWaitMs, asker, () => settle({ _tag: "Ambiguous", cause: "no answer in time" }))
      const arrive = () => {
        const outcome = this.#arrived(append, bytes)
        if (outcome !== undefined) network.send(this.host.host, asker, () => settle(outcome))
      }
      // It has left its sender, and lies in some buffer on the way.
      if (random.next() < this.weather.late) time.after(random.next() * lateMsMax, this.host, arrive)
      else network.send(asker.host, this.host, arrive, true)
    }
    // What gathers in this very moment is still in it.
    time.after(random.next() < 0.5 ? 0 : random.next() * 2, asker, attempt)
  }

  /** What the log does with an attempt, and answers; undefined: nothing. */
  #arrived(append: Append, bytes: Uint8Array): AppendOutcome | undefined {
    if (this.away) return this.#options.random.next() < 0.5 ? undefined : ambiguous
    const { weather } = this
    const { random } = this.#options
    if (random.next() < weather.unknown) return ambiguous
    if (!append.reserved && random.next() < weather.refused) return { _tag: "Refused", reason: "full" }
    if (random.next() < weather.staleRefusal) {
      const older = this.records(append.shard).filter((record) => record.position < append.expectedLast)
      return { _tag: "WrongSequence", actual: random.pick(older)?.position ?? 0 }
    }
    const outcome = this.#write(append, bytes)
    return random.next() < weather.ambiguous ? ambiguous : outcome
  }

  #write({ expectedLast, reserved, shard }: Append, bytes: Uint8Array): AppendOutcome {
    let outcome: AppendOutcome = ambiguous
    this.#memory.service.append({
      shard,
      expectedLast,
      reserved,
      seal: () => bytes,
      settle: (settled) => (outcome = settled)
    })
    if (outcome._tag === "Committed") this.archive.push({ shard, position: outcome.position, bytes })
    return outcome
  }
}

const ambiguous: AppendOutcome = { _tag: "Ambiguous", cause: "no leader" }

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
