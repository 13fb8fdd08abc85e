import { mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { describe, expect, it } from "@effect/vitest"
import { pauseMsMax, readConversations } from "../../src/cli/replay/Conversations.ts"

const lines = [
  `{"conversation":1,"sender":"a","at":"2020-01-01T00:00:00Z","text":"hi"}`,
  `{"conversation":2,"sender":"x","at":"2020-01-01T00:00:00Z","text":"alone"}`,
  `{"conversation":1,"sender":"b","at":"2020-01-01T00:00:02Z","text":"hello"}`,
  `no message at all`,
  `{"conversation":1,"sender":"a","at":"2020-01-02T00:00:00Z","text":"next day"}`,
  `{"conversation":1,"sender":"a","at":"2020-01-02T00:00:01Z","text":"  "}`
]

const fileOf = (name: string, content: string | Buffer) => {
  const file = join(mkdtempSync(join(tmpdir(), "parley-replay-")), name)
  writeFileSync(file, content)
  return file
}

describe("recorded conversations", () => {
  for (const [name, content] of [
    ["plain.ndjson", lines.join("\n")],
    ["packed.ndjson.gz", gzipSync(lines.join("\n"))]
  ] as const) {
    it(`are read in order, with pauses cut and other lines counted (${name})`, async () => {
      const { conversations, skipped } = await readConversations(fileOf(name, content), 10)
      expect(skipped).toBe(2)
      expect(conversations.map((one) => one.name)).toEqual(["1", "2"])
      expect(conversations[0]?.senders).toEqual(["a", "b"])
      expect(conversations[0]?.messages).toEqual([
        { sender: "a", after: 0, text: "hi" },
        { sender: "b", after: 2_000, text: "hello" },
        { sender: "a", after: 2_000 + pauseMsMax, text: "next day" }
      ])
    })
  }

  it("are taken up to a number, whole", async () => {
    const { conversations } = await readConversations(fileOf("some.ndjson", lines.join("\n")), 1)
    expect(conversations.map((one) => one.messages.length)).toEqual([3])
  })
})
