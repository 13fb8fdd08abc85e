/** A store thread's near side: what happens to calls when the thread dies, hangs, or is asked too much. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule } from "effect"
import { makeStoreThread } from "../src/sqlite/StoreThread.ts"

interface Calls {
  readonly echo: (value: number) => number
  readonly hang: () => void
  readonly die: () => void
}

const dying = makeStoreThread<Calls>(
  { file: "", role: "write", pendingMax: 3 },
  new URL("./DyingWorker.ts", import.meta.url)
)

describe("a store thread", () => {
  it.live("fails what waits when it dies, and serves again once it was restarted", () =>
    Effect.gen(function* () {
      const thread = yield* dying
      assert.strictEqual(yield* thread.call("echo", 1), 1)
      const waiting = yield* Effect.forkChild(Effect.flip(thread.call("hang")))
      const error = yield* Effect.flip(thread.call("die"))
      assert.strictEqual(error._tag, "StoreUnavailable")
      assert.include(String(error.cause), "died of it")
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "StoreUnavailable")
      const again = thread.call("echo", 2).pipe(Effect.retry(Schedule.spaced("20 millis")))
      assert.strictEqual(yield* again, 2)
    })
  )

  it.live("answers StoreUnavailable past its bound, and goes on below it", () =>
    Effect.gen(function* () {
      const thread = yield* dying
      const hanging = yield* Effect.forEach([1, 2, 3], () =>
        Effect.forkChild(thread.call("hang"), { startImmediately: true })
      )
      const error = yield* Effect.flip(thread.call("echo", 1))
      assert.include(String(error.cause), "3 calls wait")
      yield* Fiber.interruptAll(hanging)
    })
  )

  it.live("is not left behind by a scope that ends while calls wait", () =>
    Effect.gen(function* () {
      const waiting = yield* Effect.scoped(
        Effect.flatMap(dying, (thread) =>
          Effect.forkDetach(Effect.flip(thread.call("hang")), { startImmediately: true })
        )
      )
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "StoreUnavailable")
    })
  )
})
