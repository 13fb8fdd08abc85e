/** A channel is back when something is acknowledged in it that is younger than the mark. */
import { expect, it } from "vitest"
import { type Fact, Recorder } from "../checker/History.ts"
import { AckWatch } from "./AckWatch.ts"

const seat = { user: "ana", device: "ana-1", connection: 1 }
const asked = (channel: string, cid: string): Fact => ({
  ...seat,
  _tag: "Asked",
  mutation: { op: "send", channel, cid, text: "" }
})
const acked = (channel: string, cid: string, at = 1): Fact => ({ ...seat, _tag: "Acked", channel, cid, seq: 1, at })

const watched = (facts: (recorder: Recorder, mark: () => void) => void): AckWatch => {
  const recorder = new Recorder()
  const watch = new AckWatch(recorder, () => ["red", "blue"])
  watch.begin()
  facts(recorder, () => watch.mark())
  watch.end()
  return watch
}

it("an ack of what was asked before the mark does not bring its channel back", () => {
  const watch = watched((recorder, mark) => {
    recorder.add(asked("red", "1"))
    mark()
    recorder.add(acked("red", "1"))
  })
  expect([watch.silent, watch.recoveryMs]).toEqual([["red", "blue"], undefined])
})

it("an ack of what was committed after the mark does, whenever it was asked for", () => {
  const watch = watched((recorder, mark) => {
    recorder.add(asked("red", "1"))
    mark()
    recorder.add(acked("red", "1", Date.now() + 1))
  })
  expect(watch.silent).toEqual(["blue"])
})

it("all channels are back when the last one is, also what is tried again after the mark", () => {
  const watch = watched((recorder, mark) => {
    recorder.add(asked("red", "1"))
    mark()
    for (const [channel, cid] of [
      ["red", "1"],
      ["blue", "2"]
    ] as const) {
      recorder.add(asked(channel, cid))
      recorder.add(acked(channel, cid))
    }
  })
  expect(watch.silent).toEqual([])
  expect(watch.recoveryMs).toBeGreaterThanOrEqual(0)
})

it("without a mark nothing is timed, and a pause is counted to the end", () => {
  const watch = watched((recorder) => recorder.add(acked("red", "1")))
  expect([watch.silent, watch.recoveryMs]).toEqual([[], undefined])
  expect(watch.longestPauseMs).toBeGreaterThanOrEqual(0)
})
