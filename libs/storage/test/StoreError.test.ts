/** What an operator reads when a server does not start says why. */
import { describe, expect, it } from "vitest"
import { LogUnavailable } from "../src/EventLog.ts"
import { StoreRefused, StoreUnavailable } from "../src/StoreError.ts"

describe("failures of the storage", () => {
  it("say what failed and why", () => {
    const cause = new Error("no such column: written_at")
    expect(new StoreUnavailable({ store: "sqlite", cause }).message).toBe(
      "the store (sqlite) can't be used now: no such column: written_at"
    )
    const copy: unknown = Object.assign(Object.create(null), { message: "unconfigured table" })
    expect(new StoreUnavailable({ store: "cassandra", cause: copy }).message).toBe(
      "the store (cassandra) can't be used now: unconfigured table"
    )
    expect(new StoreRefused({ store: "sqlite", what: "string too big" }).message).toBe(
      "the store (sqlite) does not take what it was given: string too big"
    )
    expect(new LogUnavailable({ cause: "closed" }).message).toBe("the log can't be used now: closed")
  })
})
