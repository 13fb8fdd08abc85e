import { assert, describe, it } from "@effect/vitest"
import { logRules } from "../../src/log/LogRules.ts"
import {
  openShardLog,
  type ShardLogEvent,
  type ShardLogState,
  type Step,
  stepShardLog
} from "../../src/log/ShardLogState.ts"
import { explore } from "./Explore.ts"
import type { ModelOptions } from "./LogModel.ts"

const exploreMs = 60_000

describe("ShardLogState, every interleaving", () => {
  const promise = (options: ModelOptions, faults: number, statesMin: number): void => {
    const { entriesPerOwner, epochsByLease, owners } = options
    const epochs = epochsByLease === true ? "epochs by lease" : "no lease"
    it(
      `†19 †20 †21 †22 †23 holds for ${owners} owners, ${entriesPerOwner} events each, ${faults} faults, ${epochs}`,
      () => {
        const { states, violation } = explore(options, faults)
        assert.isNull(violation)
        assert.isAbove(states, statesMin)
      },
      exploreMs
    )
  }
  promise({ owners: 3, entriesPerOwner: 2 }, 1, 100_000)
  promise({ owners: 3, entriesPerOwner: 1 }, 2, 40_000)
  promise({ owners: 3, entriesPerOwner: 1, epochsByLease: true }, 1, 5_000)
  promise({ owners: 2, entriesPerOwner: 2 }, 3, 30_000)
  promise({ owners: 1, entriesPerOwner: 2 }, 5, 500)
})

/** Each takes one of the rules away; the exploration has to find what breaks then, or it would find nothing. */
describe("ShardLogState, with a rule missing", () => {
  const breaks = (name: string, expected: RegExp, options: Partial<ModelOptions>, faults: number): void => {
    it(
      `${name} breaks ${expected.source}`,
      () => {
        const { violation } = explore({ owners: 2, entriesPerOwner: 2, ...options }, faults)
        assert.match(violation ?? "nothing was found", expected)
      },
      exploreMs
    )
  }

  breaks(
    "†19 a repetition with other bytes under the same identity",
    /told "(committed|failed)"/,
    {
      identityWithoutBytes: true,
      step: (state, event) => resealing(stepShardLog(state, event))
    },
    2
  )

  breaks(
    "†20 keeping what gathered behind a refused record",
    /ONE-ORDER/,
    {
      step: (state, event) => stepShardLog(state, event, { ...logRules, gatheredFailsToo: () => false })
    },
    1
  )

  breaks(
    "†21 believing a refusal after an ambiguous attempt",
    /told "failed"/,
    {
      step: (state, event) => stepShardLog(state, event, { ...logRules, refusalIsCertain: () => true })
    },
    2
  )

  breaks("†22 letting a stale read decide", /told "failed"/, { step: staleReadDecides }, 2)

  breaks(
    "†22 taking what has my numbers for mine",
    /told committed|SINGLE-WRITER/,
    {
      step: (state, event) =>
        stepShardLog(state, event, {
          ...logRules,
          judge: (flight, seen) =>
            seen._tag === "Record" && seen.epoch === flight.epoch && seen.number === flight.number
              ? "mine"
              : logRules.judge(flight, seen)
        })
    },
    1
  )

  breaks("†23 serving without an epoch record", /SINGLE-WRITER/, { opensWithoutEpochRecord: true }, 1)

  breaks("†23 an epoch record that two owners could have written", /SINGLE-WRITER/, { epochWithoutNonce: true }, 1)

  breaks(
    "†23 a hand-over that does not expect exactly its record",
    /misses events/,
    {
      owners: 3,
      entriesPerOwner: 1,
      epochsByLease: true,
      step: (state, event) => handingOverAnyway(stepShardLog(state, event))
    },
    1
  )

  breaks("†27 purging the last record", /SINGLE-WRITER|contiguous/, { purgesLast: true }, 2)
})

/** Seals a repetition anew, with what has gathered since. */
const resealing = (step: Step): Step => {
  const { effects, state } = step
  if (
    state._tag !== "Serving" ||
    state.flight === null ||
    !effects.some((effect) => effect._tag === "Append" && effect.again)
  ) {
    return step
  }
  const flight = { ...state.flight, hash: null }
  return { state: { ...state, flight, gathered: false }, effects: [{ _tag: "Append", flight, again: false }] }
}

/** Takes "there is nothing of mine" for the proof that it failed. */
function staleReadDecides(state: ShardLogState, event: ShardLogEvent): Step {
  if (
    state._tag !== "Serving" ||
    state.flight === null ||
    event._tag !== "PlaceRead" ||
    event.seen._tag !== "Nothing"
  ) {
    return stepShardLog(state, event)
  }
  const flight = { ...state.flight, waits: "append" as const, doubtful: false }
  return stepShardLog({ ...state, flight }, { _tag: "Settled", outcome: { _tag: "Refused", reason: "full" } })
}

/** Reads the last record and appends after that one, with the state that was handed over. */
const handingOverAnyway = (step: Step): Step =>
  step.state._tag === "Out" && step.state.reason === "stale_handover"
    ? openShardLog({ epochAtLeast: 1, knownAtLeast: 0 })
    : step
