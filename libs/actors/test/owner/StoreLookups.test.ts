/** Waiting for a store that is behind. */
import { assert, describe, it } from "@effect/vitest"
import type { ShardOwner } from "../../src/owner/ShardOwner.ts"
import { whenStoreReady } from "../../src/owner/StoreLookups.ts"

describe("a store that is behind", () => {
  it("is waited for only by the shard's owner: one that is none any more is told nothing of it (†18)", () => {
    // as: all that is asked of it
    const former = { storeReady: false, serving: false } as ShardOwner
    let told: boolean | undefined
    whenStoreReady(former, (ready) => (told = ready))
    assert.strictEqual(told, false)
  })
})
