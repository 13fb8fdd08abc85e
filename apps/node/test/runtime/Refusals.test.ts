/** A refusal says what is, so what it was decided on has to be committed: an event in flight may never have been. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { MemoryEventLogFaults } from "@parley/storage/memory/MemoryEventLog"
import { type Failed, layerMemoryWorld, newId, until, world } from "./World.ts"

const channel = "group:one"

const failureOf = (exit: Exit.Exit<unknown, Failed>): string => {
  if (Exit.isSuccess(exit)) return "ok"
  for (const reason of exit.cause.reasons) if (reason._tag === "Fail") return reason.error.failure.code
  return "died"
}

/** Two removals of the same member, the first in flight. */
const twice = Effect.gen(function* () {
  const { create, mutate } = yield* world
  const faults = yield* MemoryEventLogFaults
  yield* create("ana", channel, ["ana", "ben"])
  const remove = Effect.exit(mutate("ana", { op: "remove_members", channel, cid: newId(), members: ["ben"] }))
  faults.hold()
  const first = yield* Effect.forkChild(remove)
  yield* until(
    "the append is in flight",
    Effect.sync(() => faults.held() > 0)
  )
  const again = yield* Effect.forkChild(
    Effect.exit(mutate("ana", { op: "remove_members", channel, cid: newId(), members: ["ben"] }))
  )
  // Whatever is answered at once is answered by then.
  const other = yield* Effect.forkChild(
    Effect.exit(mutate("ana", { op: "remove_members", channel: "group:none", cid: newId(), members: ["ben"] }))
  )
  yield* Fiber.join(other)
  return { faults, first, again }
})

describe("EXACTLY-ONCE-EFFECT a refusal", () => {
  it.live("waits for what it was decided on", () =>
    Effect.gen(function* () {
      const { again, faults, first } = yield* twice
      assert.isUndefined(again.pollUnsafe())
      faults.release()
      assert.strictEqual(failureOf(yield* Fiber.join(first)), "ok")
      assert.strictEqual(failureOf(yield* Fiber.join(again)), "conflict")
    }).pipe(Effect.provide(layerMemoryWorld))
  )

  it.live("is none where that was not committed: it is to be tried again", () =>
    Effect.gen(function* () {
      const { again, faults, first } = yield* twice
      faults.setBounds({ softBytes: 0 })
      faults.release()
      assert.strictEqual(failureOf(yield* Fiber.join(first)), "log_full")
      assert.strictEqual(failureOf(yield* Fiber.join(again)), "log_full")
    }).pipe(Effect.provide(layerMemoryWorld))
  )
})
