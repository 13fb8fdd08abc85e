/** Broken builds of the log, its takeover, and those who read it. */
import type { Mutant } from "./Mutants.ts"

const log = "libs/actors/src/log"
const fanout = "libs/actors/src/fanout"

export const logMutants: ReadonlyArray<Mutant> = [
  {
    name: "no-fence",
    rule: "SINGLE-WRITER",
    file: "libs/storage/src/memory/MemoryEventLog.ts",
    find: "    if (append.expectedLast !== last)",
    put: "    if (append.expectedLast > last)",
    seedsMax: 40
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
    seedsMax: 400
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
    seedsMax: 800
  },
  {
    name: "no-epoch-record",
    rule: "†23",
    file: `${log}/Takeover.ts`,
    find: '        if (effect._tag === "Append") step = this.#seal(step, effect)',
    put: '        if (effect._tag === "Append") step = this.#seal(step, effect)\n        if (effect._tag === "Append" && step.state._tag === "Opening" && step.state.after.position > 0) return { epoch: this.#epoch, tip: step.state.after }',
    seedsMax: 800
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
    find: "        if (options.sync !== undefined && options.syncPeriodic !== true) yield* options.sync\n",
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
    name: "writes-over-the-lost",
    rule: "†24",
    file: `${log}/ShardLogState.ts`,
    find: "      if (last.position >= state.knownAtLeast) return appendEpoch",
    put: "      if (last.position >= 0) return appendEpoch",
    seedsMax: 80
  },
  {
    name: "parked-forgotten",
    rule: "†26",
    file: `${fanout}/Parking.ts`,
    find: "      yield* this.#store.put(\n        entries.map(",
    put: "      yield* this.#store.put(\n        entries.slice(1).map(",
    seedsMax: 80
  }
]
