/**
 * The owner's side of calls over core NATS: one subject a runner, listened to while it owns anything. Each request is
 * checked before anybody works on it: that this runner has the shard, that the entity it names belongs there, and (by the
 * runner itself) epoch and lease (†17). A repetition of a call that is still worked on is left alone; the answers of one
 * turn of the event loop to one process go as one message. Plain TypeScript: bench `remotecalls`.
 */
import type { OwnerReply } from "../owner/OwnerProtocol.ts"
import type { LocalRunner } from "../owner/LocalRunner.ts"
import { Batch } from "./Batch.ts"
import {
  type Asked,
  beginOk,
  readAsked,
  writeAnsweredAttach,
  writeAnsweredFailure,
  writeNotMine,
  writeServes
} from "./codec/CallCodec.ts"
import { openMessage, messageKinds, readParts } from "./codec/Envelope.ts"
import { writeAnswer } from "./codec/ReplyCodec.ts"
import { belongsTo } from "./codec/RequestCodec.ts"
import { Fragments } from "./Fragments.ts"
import type { NatsOutbound } from "./NatsOutbound.ts"

/** Calls worked on for other processes at a time; beyond them "overloaded" is answered. */
export const callsWorkedOnMax = 65_536
/** After this long, or twice it, a call that was never answered is forgotten: its caller has given up. */
export const forgetCallsMs = 20_000

const overloaded = { code: "overloaded" } as const
/** Retrying is of no use, but an operator who mends it may be quick. */
const misrouted = {
  code: "unavailable",
  detail: "asked of a shard that the entity does not belong to: do all nodes have the same number of shards?"
} as const

interface Caller {
  readonly batch: Batch
  /** Calls that are worked on, and the epoch that each named; and those that were so when it was last looked. */
  working: Map<number, number>
  older: Map<number, number>
}

export interface NatsOwnersOptions {
  readonly shardCount: number
  readonly outbound: NatsOutbound
  /** The runner that owns a shard in this process. */
  readonly ownerOf: (shard: number) => LocalRunner | undefined
  readonly callsWorkedOnMax?: number
}

export class NatsOwners {
  readonly #options: NatsOwnersOptions
  readonly #callers = new Map<string, Caller>()
  readonly #fragments = new Fragments()
  readonly #workedOnMax: number
  readonly #timer: NodeJS.Timeout
  #workedOn = 0
  /** Since the start, for metrics. */
  readonly counts = {
    requests: 0,
    repeated: 0,
    misrouted: 0,
    notMine: 0,
    overloaded: 0,
    unreadable: 0,
    otherVersion: 0
  }

  constructor(options: NatsOwnersOptions) {
    this.#options = options
    this.#workedOnMax = options.callsWorkedOnMax ?? callsWorkedOnMax
    this.#timer = setInterval(() => this.forget(), forgetCallsMs).unref()
  }

  get workedOn(): number {
    return this.#workedOn
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** A message to a runner's subject, and where its answers are to go. */
  receive(runner: LocalRunner, bytes: Uint8Array, inbox: string): void {
    const message = this.#fragments.join(bytes)
    if (message === undefined) return
    const opened = openMessage(message)
    if (opened._tag === "OtherVersion") this.counts.otherVersion++
    else if (opened._tag !== "Message" || opened.kind !== messageKinds.calls || inbox === "") this.counts.unreadable++
    else {
      const caller = this.#caller(inbox)
      readParts(
        opened.reader,
        (part) => {
          const asked = readAsked(part)
          if (asked !== undefined) this.#asked(runner, caller, asked)
        },
        () => void this.counts.unreadable++
      )
    }
  }

  /** Forgets what was worked on two rounds ago, and who asked nothing since. Called by itself. */
  forget(): void {
    this.#workedOn = 0
    for (const [inbox, caller] of this.#callers) {
      if (caller.working.size === 0) this.#callers.delete(inbox)
      this.#workedOn += caller.working.size
      caller.older = caller.working
      caller.working = new Map()
    }
  }

  #asked(runner: LocalRunner, caller: Caller, asked: Asked): void {
    switch (asked._tag) {
      case "Request":
        return this.#request(runner, caller, asked)
      case "Attach": {
        const { attach, epoch, id } = asked
        if (!this.#begins(runner, caller, id, attach.shard, epoch)) return
        return runner.attach(
          epoch,
          attach,
          (reply) => {
            if ("failure" in reply) this.#fail(caller, id, reply)
            else this.#answer(caller, id, (to) => writeAnsweredAttach(to, id, reply.ok))
          },
          () => this.#notMine(runner, caller, id, attach.shard, epoch)
        )
      }
      case "Who": {
        const { shard } = asked
        const serves = this.#options.ownerOf(shard) === runner && runner.serves(shard)
        return write(caller, (to) => writeServes(to, shard, serves, runner.epochOf(shard)))
      }
      case "Detach":
        return runner.detach(asked.detach)
      case "Resend":
        return runner.resend(asked.start, asked.edge, asked.from)
    }
  }

  #request(runner: LocalRunner, caller: Caller, asked: Extract<Asked, { _tag: "Request" }>): void {
    const { epoch, id, request, shard } = asked
    if (!this.#begins(runner, caller, id, shard, epoch)) return
    if (!belongsTo(request, shard, this.#options.shardCount)) {
      this.counts.misrouted++
      return this.#fail(caller, id, { failure: misrouted })
    }
    runner.request(
      shard,
      epoch,
      request,
      (reply) => {
        if ("failure" in reply) return this.#fail(caller, id, reply)
        this.#answer(caller, id, (to) => {
          const part = beginOk(to, id)
          writeAnswer(to, request._tag, reply.ok)
          to.end(part)
        })
      },
      () => this.#notMine(runner, caller, id, shard, epoch)
    )
  }

  /** Whether somebody has to begin with it; if not, it was answered or is worked on. */
  #begins(runner: LocalRunner, caller: Caller, id: number, shard: number, epoch: number): boolean {
    this.counts.requests++
    if (caller.working.get(id) === epoch || caller.older.get(id) === epoch) {
      this.counts.repeated++
      return false
    }
    if (this.#workedOn >= this.#workedOnMax) {
      this.counts.overloaded++
      write(caller, (to) => writeAnsweredFailure(to, id, overloaded))
      return false
    }
    if (this.#options.ownerOf(shard) !== runner) {
      this.counts.notMine++
      write(caller, (to) => writeNotMine(to, id, epoch, 0))
      return false
    }
    if (!caller.working.has(id)) this.#workedOn++
    caller.working.set(id, epoch)
    return true
  }

  #notMine(runner: LocalRunner, caller: Caller, id: number, shard: number, asked: number): void {
    this.counts.notMine++
    const epoch = this.#options.ownerOf(shard) === runner ? runner.epochOf(shard) : 0
    this.#answer(caller, id, (to) => writeNotMine(to, id, asked, epoch))
  }

  #fail(caller: Caller, id: number, { failure }: Extract<OwnerReply<unknown>, { failure: unknown }>): void {
    this.#answer(caller, id, (to) => writeAnsweredFailure(to, id, failure))
  }

  #answer(caller: Caller, id: number, writePart: (to: ReturnType<Batch["open"]>) => void): void {
    if (caller.working.delete(id) || caller.older.delete(id)) this.#workedOn = Math.max(0, this.#workedOn - 1)
    write(caller, writePart)
  }

  #caller(inbox: string): Caller {
    let caller = this.#callers.get(inbox)
    if (caller === undefined) {
      const batch = new Batch(this.#options.outbound, "replies", inbox)
      caller = { batch, working: new Map(), older: new Map() }
      this.#callers.set(inbox, caller)
    }
    return caller
  }
}

const write = ({ batch }: Caller, writePart: (to: ReturnType<Batch["open"]>) => void): void => {
  const to = batch.open()
  const before = to.length
  writePart(to)
  batch.written(before)
}
