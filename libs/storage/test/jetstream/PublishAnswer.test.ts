import { assert, describe, it } from "@effect/vitest"
import type { AppendOutcome } from "../../src/EventLog.ts"
import { batchOutcomeOf, outcomeOf, publishErrors } from "../../src/jetstream/PublishAnswer.ts"

const refusal = (code: number, text: string): string =>
  JSON.stringify({ stream: "log", seq: 0, error: { code: 400, err_code: code, description: text } })

type Kind = AppendOutcome["_tag"] | "full" | "too_large"
const kind = (outcome: AppendOutcome): Kind => (outcome._tag === "Refused" ? outcome.reason : outcome._tag)

/** Every row of the table, as the server says it. */
const rows: ReadonlyArray<readonly [code: number, text: string, means: Kind]> = [
  [10_071, "wrong last sequence: 41", "WrongSequence"],
  [10_164, "wrong last sequence", "Ambiguous"],
  [10_158, "duplicate message id is in process", "Ambiguous"],
  [10_077, "maximum bytes exceeded", "full"],
  [10_002, "resource limits exceeded for account", "full"],
  [10_023, "insufficient resources", "full"],
  [10_047, "insufficient storage resources available", "full"],
  [10_028, "insufficient memory resources available", "full"],
  [10_054, "message size exceeds maximum allowed", "too_large"],
  [10_097, "header size exceeds maximum allowed of 64k", "too_large"],
  [10_167, "too many requests", "Ambiguous"],
  [10_008, "JetStream system temporarily unavailable", "Ambiguous"],
  [10_009, "JetStream cluster can not handle request", "Ambiguous"],
  [10_076, "JetStream not enabled", "Ambiguous"],
  [10_039, "JetStream not enabled for account", "Ambiguous"]
]

describe("the answer to an append", () => {
  for (const [code, text, means] of rows) {
    it(`${code} (${text}) is ${means}`, () => assert.strictEqual(kind(outcomeOf(0, refusal(code, text))), means))
  }

  it("has a test for each row of the table", () =>
    assert.deepStrictEqual(
      rows.map(([code]) => code),
      [...publishErrors.keys()]
    ))

  it("names the place to read", () => {
    assert.deepStrictEqual(outcomeOf(0, refusal(10_071, "wrong last sequence: 41")), {
      _tag: "WrongSequence",
      actual: 41
    })
    assert.strictEqual(outcomeOf(0, refusal(10_071, "wrong last sequence"))._tag, "Ambiguous")
  })

  it("is committed where it has a sequence, also that of a first try", () => {
    assert.deepStrictEqual(outcomeOf(0, `{"stream":"log","seq":7}`), { _tag: "Committed", position: 7 })
    assert.deepStrictEqual(outcomeOf(0, `{"stream":"log","seq":7,"duplicate":true}`), {
      _tag: "Committed",
      position: 7
    })
  })

  it("is certain of nothing that it does not know", () => {
    const doubtful: ReadonlyArray<readonly [number, string]> = [
      [503, ""],
      [0, refusal(10_077, "write /data: no space left on device")],
      [0, refusal(10_077, "maximum messages exceeded")],
      [0, refusal(99_999, "something new")],
      [0, `{"error":{}}`],
      [0, `{"stream":"log","seq":0}`],
      [0, `{"stream":"log"}`],
      [0, `{"stream":"log","seq":1.5}`],
      [0, "null"],
      [0, "<html>"],
      [429, ""]
    ]
    for (const [status, body] of doubtful) assert.strictEqual(outcomeOf(status, body)._tag, "Ambiguous", body)
  })
})

describe("the answer to a batch", () => {
  it("is committed where the last one is, if it is of as many", () => {
    assert.deepStrictEqual(batchOutcomeOf(0, `{"stream":"log","seq":7,"batch":"b","count":3}`, 3), {
      _tag: "Committed",
      first: 5
    })
    for (const odd of [`{"stream":"log","seq":7}`, `{"seq":7,"count":2}`, `{"seq":2,"count":3}`]) {
      assert.strictEqual(batchOutcomeOf(0, odd, 3)._tag, "Ambiguous", odd)
    }
  })

  it("is a refusal of all where one message, or the batch as such, is refused before anything is proposed", () => {
    for (const [code, text, means] of rows) {
      const outcome = batchOutcomeOf(0, refusal(code, text), 2)
      const onItsWay = code === 10_164 || code === 10_158
      if (means === "Ambiguous" && !onItsWay) assert.strictEqual(outcome._tag, "Ambiguous", text)
      else assert.deepStrictEqual(outcome, { _tag: "Apart", never: false }, text)
    }
    assert.deepStrictEqual(batchOutcomeOf(0, refusal(10_176, "atomic publish batch is incomplete"), 2), {
      _tag: "Apart",
      never: false
    })
    assert.deepStrictEqual(batchOutcomeOf(0, refusal(10_174, "atomic publish is disabled"), 2), {
      _tag: "Apart",
      never: true
    })
  })

  it("is certain of nothing that it does not know", () => {
    for (const [status, body] of [
      [503, ""],
      [0, refusal(99_999, "something new")],
      [0, "null"]
    ] as const) {
      assert.strictEqual(batchOutcomeOf(status, body, 2)._tag, "Ambiguous", body)
    }
  })
})
