import { assert, describe, it, vi } from "@effect/vitest"
import type { TestModule } from "vitest/node"
import { NotRunReporter } from "../NotRunReporter.ts"

const test = (file: string, name: string, note?: string) => ({
  fullName: name,
  module: { relativeModuleId: file },
  result: () => ({ state: "skipped", note })
})

/** What the reporter prints at the end of a run that left these out. */
const printed = (tests: ReadonlyArray<ReturnType<typeof test>>): string => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {})
  try {
    // as: the reporter looks at no more of a module than its skipped tests
    const module = {
      children: { allTests: (state: string) => (state === "skipped" ? tests : []) }
    } as unknown as TestModule
    new NotRunReporter().onTestRunEnd([module])
    return log.mock.calls.flat().join("\n")
  } finally {
    log.mockRestore()
  }
}

describe("tests that were not run", () => {
  it("are counted, and listed by file, name and reason", () => {
    const out = printed([
      test("test/powerloss.test.ts", "power loss > FULL", "no FUSE here"),
      test("test/chat.test.ts", "screen")
    ])
    assert.include(out, "Not run (2)")
    assert.include(out, "test/powerloss.test.ts > power loss > FULL (no FUSE here)")
    assert.match(out, /test\/chat\.test\.ts > screen$/m)
  })

  it("are not spoken of where there are none", () => {
    assert.strictEqual(printed([]), "")
  })
})
