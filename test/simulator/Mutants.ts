/**
 * Broken builds, each by one patch of one file: a numbered rule of the design taken out. The simulator has to find each
 * within its bound of seeds; what it finds is some broken promise, not the patch itself.
 */

export interface Mutant {
  readonly name: string
  /** The rule, or the promise, that is broken. */
  readonly rule: string
  readonly file: string
  readonly find: string
  readonly put: string
  /** Seeds within which it is found. */
  readonly seedsMax: number
}

const log = "libs/actors/src/log"
const fanout = "libs/actors/src/fanout"
const owner = "libs/actors/src/owner"
const edge = "apps/node/src/edge"

export const mutants: ReadonlyArray<Mutant> = [
  {
    name: "ack-before-log",
    rule: "DURABLE-BEFORE-ACK",
    file: `${owner}/ShardOwner.ts`,
    find: "      waiters: [waiter],\n      reserved\n    }",
    put: "      waiters: [],\n      reserved\n    }\n    setImmediate(() => waiter(undefined))",
    seedsMax: 80
  },
  {
    name: "no-fence",
    rule: "SINGLE-WRITER",
    file: "libs/storage/src/memory/MemoryEventLog.ts",
    find: "    if (append.expectedLast !== last)",
    put: "    if (append.expectedLast > last)",
    seedsMax: 40
  },
  {
    name: "passivates-uncommitted",
    rule: "†1",
    file: `${owner}/Residents.ts`,
    find: "      resident.pending.length === 0 &&\n      !resident.dirty &&",
    put: "      !resident.dirty &&",
    seedsMax: 80
  },
  {
    name: "cursor-not-merged",
    rule: "†5",
    file: "libs/actors/src/session/SessionApply.ts",
    find: "  if (seq <= before.seq) return { cursor: before, moved: false }",
    put: "",
    seedsMax: 400
  },
  {
    name: "live-before-sync",
    rule: "†8",
    file: `${edge}/EdgeTopics.ts`,
    find: "      if (at > to && at <= until) this.#options.outbound.push(connection, frame, false)",
    put: "      if (at === -1) this.#options.outbound.push(connection, frame, false)",
    seedsMax: 80
  },
  {
    name: "no-resend",
    rule: "†9",
    file: `${fanout}/EdgeLinkState.ts`,
    find: "    if (last > this.#received) {",
    put: "    if (last < 0) {",
    seedsMax: 160
  },
  {
    name: "move-unnoticed",
    rule: "†9",
    file: `${edge}/Interest.ts`,
    find: "      if (epoch > interest.epoch) this.#moved(interest, epoch)\n      else if",
    put: "      if (epoch > interest.epoch) interest.epoch = epoch\n      if",
    seedsMax: 80
  },
  {
    name: "delivers-over-holes",
    rule: "†9",
    file: `${fanout}/TopicSequence.ts`,
    find: '    if (item.from > this.#delivered) {\n      this.#keep(item)\n      return "repair"\n    }',
    put: "",
    seedsMax: 40
  },
  {
    name: "sync-after-removal",
    rule: "†15",
    file: `${owner}/ChannelSync.ts`,
    find: '    if (stay.to !== null) return done({ _tag: "Lost", channel, seq: stay.to })\n',
    put: "",
    seedsMax: 80
  },
  {
    name: "live-after-removal",
    rule: "†15",
    file: `${edge}/EdgeTopics.ts`,
    find: "        if (late === undefined || (late.held === null && late.from < at)) this.#takeOff(topic, connection)",
    put: "        if (late === undefined) continue\n        if (late.held === null && late.from < at) this.#takeOff(topic, connection)",
    seedsMax: 40
  },
  {
    name: "deleted-text-in-tail",
    rule: "†16",
    file: "libs/actors/src/channel/Tail.ts",
    find: "      this.#noteChange(event.seq)\n      this.#change(event)",
    put: "      this.#noteChange(event.seq)",
    seedsMax: 40
  },
  {
    name: "answers-past-lease",
    rule: "†17",
    file: `${owner}/ShardOwner.ts`,
    find: 'return this.#state === "serving" && this.context.leaseHeld(this.shard)',
    put: 'return this.#state === "serving"',
    seedsMax: 160
  },
  {
    name: "lease-from-answer",
    rule: "†17",
    file: `${owner}/Lease.ts`,
    find: "    return monotonic < this.deadline && wall < this.deadline &&",
    put: "    return monotonic < this.deadline + 6_000 &&",
    seedsMax: 160
  },
  {
    name: "suspension-not-counted",
    rule: "†17",
    file: `${owner}/Lease.ts`,
    find: " && wall < this.deadline &&",
    put: " &&",
    seedsMax: 160
  },
  {
    name: "other-bytes-again",
    rule: "†19",
    file: `${log}/OpenBatch.ts`,
    find: "    if (this.#sealed !== null || this.#closed) return false",
    put: "    this.#sealed = null\n    if (this.#closed) return false",
    seedsMax: 80
  },
  {
    name: "refusal-settles",
    rule: "†21",
    file: `${log}/LogRules.ts`,
    find: "  refusalIsCertain: (flight) => !flight.doubtful,",
    put: "  refusalIsCertain: () => true,",
    seedsMax: 80
  },
  {
    name: "ambiguous-is-failed",
    rule: "†21",
    file: `${log}/ShardLogState.ts`,
    find: "      return pause(state, { ...flight, doubtful: flight.doubtful || left })",
    put: '      return refused(state, "full", rules)',
    seedsMax: 40
  },
  {
    name: "mine-by-number",
    rule: "†22",
    file: `${log}/LogRules.ts`,
    find: '    if (seen.hash === flight.hash) return "mine"',
    put: '    if (seen.hash === flight.hash || seen.number === flight.number) return "mine"',
    seedsMax: 120
  },
  {
    name: "stale-read-believed",
    rule: "†22",
    file: `${log}/LogRules.ts`,
    find: '    if (seen._tag !== "Record") return "again"',
    put: '    if (seen._tag !== "Record") return "foreign"',
    seedsMax: 80
  },
  {
    name: "replay-ends-early",
    rule: "†23",
    file: `${log}/Replay.ts`,
    find: "      if (++tries > replayTriesMax) {",
    put: "      if (tries === 0) return chain.bodies\n      if (++tries > replayTriesMax) {",
    seedsMax: 400
  },
  {
    name: "no-epoch-record",
    rule: "†23",
    file: `${log}/Takeover.ts`,
    find: '        if (effect._tag === "Append") step = this.#seal(step, effect)',
    put: '        if (effect._tag === "Append") step = this.#seal(step, effect)\n        if (effect._tag === "Append" && step.state._tag === "Opening" && step.state.after.position > 0) return { epoch: this.#epoch, tip: step.state.after }',
    seedsMax: 200
  },
  {
    name: "position-before-write",
    rule: "†25",
    file: `${fanout}/LogConsumer.ts`,
    find: "      if (entries.length > 0) yield* options.apply(shard, entries)",
    put: "      if (entries.length > 0) yield* Effect.ignore(options.apply(shard, entries))",
    seedsMax: 40
  },
  {
    name: "position-before-sync",
    rule: "WRITE-BEHIND-SAFE",
    file: `${fanout}/LogConsumer.ts`,
    find: "        if (options.sync !== undefined) yield* options.sync\n",
    put: "",
    seedsMax: 160
  },
  {
    name: "cut-past-checkpoint",
    rule: "†27",
    file: `${log}/Floor.ts`,
    find: "  Math.max(0, Math.min(fullCheckpoint - 1, ...floors))",
    put: "  Math.max(0, Math.min(Number.MAX_SAFE_INTEGER, fullCheckpoint + 1e9, ...floors))",
    seedsMax: 40
  },
  {
    name: "no-reserved-room",
    rule: "†28",
    file: `${log}/Takeover.ts`,
    find: "        reserved: true,",
    put: "        reserved: false,",
    seedsMax: 80
  },
  {
    name: "bound-not-raised",
    rule: "†29",
    file: "libs/actors/src/channel/IdempotencyWindow.ts",
    find: "      for (const held of this.#heap) bound = Math.max(bound, held.time)\n",
    put: "",
    seedsMax: 120
  }
]
