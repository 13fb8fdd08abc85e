/** A refusal for good is one, also for a copy of the mutation that comes late. */
import { assert, describe, it } from "@effect/vitest"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import * as MemoryStores from "@parley/storage/memory/MemoryStores"
import { Effect, Layer } from "effect"
import type { ChannelMutation } from "../../src/owner/OwnerProtocol.ts"
import type { Runner } from "../../src/owner/Runner.ts"
import { RefusedIds, refusedMax, refusedMs } from "../../src/owner/RefusedIds.ts"
import { oneShardRunner, shard } from "./OneShard.ts"

const channel = "group:a"
let ids = 0
const cid = () => {
  const time = Date.now().toString(16).padStart(12, "0")
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${String(ids++).padStart(12, "0")}`
}

/** How it was answered: "ok", or the failure's code. */
const mutate = (runner: Runner, user: string, mutation: ChannelMutation) =>
  Effect.callback<string>((resume) =>
    runner.request(
      shard,
      runner.epochOf(shard),
      { _tag: "Mutate", caller: { user, device: "d", connection: 1, edge: "e" }, mutation, admin: false },
      (reply) => resume(Effect.succeed("ok" in reply ? "ok" : reply.failure.code)),
      () => resume(Effect.die("not mine"))
    )
  )

describe("EXACTLY-ONCE-EFFECT: a mutation that was refused for good", () => {
  it.live("stays refused, though its user may do it by now; with a new id it is another one", () =>
    Effect.gen(function* () {
      const runner = yield* oneShardRunner()
      yield* runner.open(shard, 1)
      yield* mutate(runner, "ann", { op: "create", channel, cid: cid(), name: "a", topic: "", members: [] })
      const late = { op: "send", channel, cid: cid(), text: "hi", mentions: [] } as const
      assert.strictEqual(yield* mutate(runner, "ben", late), "not_found")
      yield* mutate(runner, "ann", { op: "add_members", channel, cid: cid(), members: ["ben"] })
      assert.strictEqual(yield* mutate(runner, "ben", late), "not_found")
      assert.strictEqual(yield* mutate(runner, "ben", { ...late, cid: cid() }), "ok")
      // Nobody else's ids are his.
      assert.strictEqual(yield* mutate(runner, "ann", late), "ok")
    }).pipe(Effect.provide(Layer.mergeAll(MemoryEventLog.layer(), MemoryStores.layer)))
  )

  it("is remembered for a while, and so many of them", () => {
    let now = 0
    const refused = new RefusedIds(() => now)
    refused.answered("ben", "a", { code: "not_found" })
    refused.answered("ben", "b", { code: "unavailable" })
    assert.deepStrictEqual([refused.of("ben", "a"), refused.of("ben", "b")], [{ code: "not_found" }, undefined])
    now = refusedMs + 1
    assert.isUndefined(refused.of("ben", "a"))
    for (let at = 0; at < refusedMax * 2; at++) refused.answered("ben", `c${at}`, { code: "forbidden" })
    assert.strictEqual(refused.size, refusedMax)
    assert.isUndefined(refused.of("ben", "c0"))
    assert.deepStrictEqual(refused.of("ben", `c${refusedMax * 2 - 1}`), { code: "forbidden" })
  })
})
