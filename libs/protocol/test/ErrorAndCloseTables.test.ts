/** The two tables that steer a client when something goes wrong. */
import { assert, describe, it } from "@effect/vitest"
import { errorCodes, errorTable, renderFailure, retryAfterMsDefault } from "../src/ApiError.ts"
import { afterClose, closeTable } from "../src/CloseCode.ts"

describe("errorTable", () => {
  it("calls retryable exactly what a later try may change", () => {
    for (const code of errorCodes) {
      const { retryable, status } = errorTable[code]
      assert.strictEqual(retryable, status === 429 || status >= 500, code)
    }
  })
  it("renders a wait with every retryable error and with no other", () => {
    for (const code of errorCodes) {
      const { retryable, text } = errorTable[code]
      const error = renderFailure({ code, retry_after_ms: 70 })
      assert.deepStrictEqual(error, { code, message: text, retryable, ...(retryable ? { retry_after_ms: 70 } : {}) })
      assert.strictEqual(renderFailure({ code }).retry_after_ms, retryable ? retryAfterMsDefault : undefined)
    }
  })
  it("lets a detail take the place of the table's text", () => {
    assert.strictEqual(renderFailure({ code: "invalid", detail: "text is empty" }).message, "text is empty")
  })
  it("passes on the server's clock", () => {
    assert.strictEqual(renderFailure({ code: "id_ahead", server_time: 5 }).server_time, 5)
  })
})

describe("closeTable", () => {
  it("has each code once, in the range that says what to do", () => {
    const rows = Object.values(closeTable)
    assert.strictEqual(new Set(rows.map(({ code }) => code)).size, rows.length)
    for (const { code, then } of rows) assert.deepStrictEqual([code, afterClose(code)], [code, then])
  })
  it("steers a client that does not know a code by its range", () => {
    for (const [code, then] of [
      [1000, "reconnect"],
      [1001, "reconnect"],
      [1006, "reconnect"],
      [1012, "reconnect"],
      [4099, "reconnect"],
      [4100, "delay"],
      [4199, "delay"],
      [4200, "token"],
      [4299, "token"],
      [4300, "stop"],
      [4399, "stop"],
      [4400, "reconnect"]
    ] as const)
      assert.deepStrictEqual([code, afterClose(code)], [code, then])
  })
})
